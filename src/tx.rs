//! Signed transactions: what a user sends, what the signatures bind, and how an [`Op`](crate::op::Op) comes out of it.
//!
//! Reading order: `form` is what is parsed, `header` and `message` are what is signed and hashed, `verify` decides.

mod ethereum;
mod form;
pub mod header;
mod message;
mod verify;

pub(crate) use ethereum::word;
pub use ethereum::{evm_address, keccak, recover};
pub use form::{ChangePubKeyTx, KeyAuth, SignedTx, TransferTx, Tx, TxSignature, WithdrawTx};
pub use message::TxHash;
pub use verify::{CheckedTx, KeyAuthorisations};
