//! Which addresses are public, decided on the address that is dialled; limits on size, time and number.
