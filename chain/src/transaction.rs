//! EIP-1559 transactions, and those with blobs (EIP-4844), signed here: the key never leaves the process and the hash
//! is known before sending.

use alloy_consensus::transaction::RlpEcdsaEncodableTx;
use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844, TxEip4844WithSidecar};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};

use super::account::EthKey;
use super::blob::{BlobError, BlobProofs};
use super::client::{Call, Hash};

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
    /// The most that a unit of blob gas may cost, wei; nothing looks at it where the call has no blobs.
    pub blob_fee: u128,
    /// How the blobs are proven. The hash does not depend on it.
    pub blob_proofs: BlobProofs,
}

/// A transaction ready to be handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedTransaction {
    /// Its hash, which is that of the part that comes into a block.
    pub hash: Hash,
    /// What to send: for a call with blobs the network form, which has the blobs and their proofs.
    pub raw: Vec<u8>,
}

/// Signs a call under terms. `call.from` is not looked at: the sender is who signs. The same call, terms and key give
/// the same bytes.
///
/// # Errors
/// Only with blobs: [`BlobError::NoReceiver`], or that they could not be proven.
pub fn sign(call: &Call, terms: Terms, key: &EthKey) -> Result<SignedTransaction, BlobError> {
    let value = U256::from(call.value);
    let input = Bytes::copy_from_slice(&call.data);
    let Some(blobs) = &call.blobs else {
        let transaction = TxEip1559 {
            chain_id: terms.chain_id,
            nonce: terms.nonce,
            gas_limit: terms.gas,
            max_fee_per_gas: terms.max_fee,
            max_priority_fee_per_gas: terms.priority_fee,
            to: call.to.map_or(TxKind::Create, |to| TxKind::Call(Address(to.into()))),
            value,
            access_list: Default::default(),
            input,
        };
        return Ok(signed(transaction, key));
    };
    let tx = TxEip4844 {
        chain_id: terms.chain_id,
        nonce: terms.nonce,
        gas_limit: terms.gas,
        max_fee_per_gas: terms.max_fee,
        max_priority_fee_per_gas: terms.priority_fee,
        to: Address(call.to.ok_or(BlobError::NoReceiver)?.into()),
        value,
        access_list: Default::default(),
        blob_versioned_hashes: blobs.hashes().iter().map(B256::from).collect(),
        max_fee_per_blob_gas: terms.blob_fee,
        input,
    };
    let sidecar = blobs.sidecar(terms.blob_proofs)?.clone();
    Ok(signed(TxEip4844WithSidecar { tx, sidecar }, key))
}

fn signed<T>(transaction: T, key: &EthKey) -> SignedTransaction
where
    T: SignableTransaction<Signature> + RlpEcdsaEncodableTx,
{
    let (signature, recovery) = key.sign(&transaction.signature_hash().0);
    let (r, s) = signature.split_bytes();
    let (r, s) = (U256::from_be_slice(&r), U256::from_be_slice(&s));
    let signed = transaction.into_signed(Signature::new(r, s, recovery.is_y_odd()));
    let mut raw = Vec::with_capacity(signed.eip2718_encoded_length());
    signed.eip2718_encode(&mut raw);
    SignedTransaction { hash: signed.hash().0, raw }
}
