//! Stories that drive the whole system.

pub mod simulated;
