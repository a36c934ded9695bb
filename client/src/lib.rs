//! The RPC of a zkLink node: one trait, from which server and typed client are made.
