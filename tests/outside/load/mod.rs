//! Load tests: what many, slow or hostile peers cost, measured on the process. Each takes 30 s at most, and its thresholds
//! hold for a debug build; `MCPGATE_TEST_BINARY` names another binary to measure.

mod burst;
mod connections;
mod logins;
mod memory;
mod messages;
mod pages;
mod pending;
mod registrations;
mod shares;
mod tokens;
