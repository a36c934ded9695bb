//! The header of every signed message. The circuit packs with its weights.

use crate::layout::{Packed, field};

/// One header for all types, so that the circuit needs no choice between several: fields that a type does not have are
/// zero.
pub const HEADER: Packed<12> = Packed::new([
    field("type", 1),
    field("account", 3),
    field("sub_account", 1),
    field("token", 2),
    field("fee", 2),
    field("nonce", 4),
    field("key_version", 4),
    field("chain", 1),
    field("scale", 1),
    field("to_sub_account", 1),
    field("to_home", 1),
    field("to_top", 1),
]);
