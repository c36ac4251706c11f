//! The model: a store in memory, behind one lock, whose behaviour the others must equal.
