//! Stories that drive the whole system.
