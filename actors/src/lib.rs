//! The zkLink node: actors, RPC, chains and storage around the protocol.
