//! The headers of the signed messages. The circuit packs with their weights.

use crate::layout::{Packed, field};

/// Header of a signed transfer.
pub const TRANSFER: Packed<8> = Packed::new([
    field("type", 1),
    field("account", 3),
    field("sub_account", 1),
    field("to_sub_account", 1),
    field("token", 2),
    field("fee", 2),
    field("nonce", 4),
    field("to_top", 1),
]);

/// Header of a signed withdrawal.
pub const WITHDRAW: Packed<9> = Packed::new([
    field("type", 1),
    field("account", 3),
    field("sub_account", 1),
    field("chain", 1),
    field("token", 2),
    field("fee", 2),
    field("nonce", 4),
    field("scale", 1),
    field("to_top", 1),
]);

/// Header of a signed key change.
pub const CHANGE_PUB_KEY: Packed<7> = Packed::new([
    field("type", 1),
    field("account", 3),
    field("sub_account", 1),
    field("chain", 1),
    field("fee_token", 2),
    field("fee", 2),
    field("nonce", 4),
]);
