//! EIP-1559 transactions, signed here: the key never leaves the process and the hash is known
//! before sending.

use alloy_rlp::{BufMut, Encodable, Header};
use zklink::tx::keccak;

use super::account::EthKey;
use super::client::{Call, Hash};

/// The type byte of EIP-2718.
const TYPE: u8 = 2;

/// What a transaction needs besides its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// The sender's next nonce.
    pub nonce: u64,
    /// The most gas that it may use.
    pub gas: u64,
    /// The most that a unit of gas may cost, wei.
    pub max_fee: u128,
    /// What goes to the block's producer of that, wei.
    pub priority_fee: u128,
}

/// A transaction ready to be handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// Its hash.
    pub hash: Hash,
    /// What to send.
    pub raw: Vec<u8>,
}

/// Signs a call under terms. `call.from` is not looked at: the sender is who signs.
pub fn sign(call: &Call, terms: Terms, key: &EthKey) -> SignedTransaction {
    let unsigned = envelope(&fields(call, terms));
    let (signature, recovery) = key.sign(&keccak(&[&unsigned]));
    let mut payload = fields(call, terms);
    recovery.to_byte().encode(&mut payload);
    let (r, s) = signature.split_bytes();
    encode_integer(&r, &mut payload);
    encode_integer(&s, &mut payload);
    let raw = envelope(&payload);
    SignedTransaction { hash: keccak(&[&raw]), raw }
}

/// The encoded fields that both the signed and the unsigned form begin with.
fn fields(call: &Call, terms: Terms) -> Vec<u8> {
    let mut out = Vec::with_capacity(call.data.len() + 128);
    terms.chain_id.encode(&mut out);
    terms.nonce.encode(&mut out);
    terms.priority_fee.encode(&mut out);
    terms.max_fee.encode(&mut out);
    terms.gas.encode(&mut out);
    // A creation has the empty string in place of an address.
    call.to.as_ref().map_or(&[][..], |to| &to[..]).encode(&mut out);
    call.value.encode(&mut out);
    call.data.as_slice().encode(&mut out);
    // The access list, which is empty.
    out.put_u8(alloy_rlp::EMPTY_LIST_CODE);
    out
}

fn envelope(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![TYPE];
    Header { list: true, payload_length: payload.len() }.encode(&mut out);
    out.extend_from_slice(payload);
    out
}

/// An integer has no leading zeros in RLP.
fn encode_integer(bytes: &[u8], out: &mut Vec<u8>) {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes[zeros..].encode(out);
}
