//! Schema of the stored state and its append-only migration steps.
