//! A transaction with a blob on a chain of anvil: sent as the node sends, mined, and found again with its hash.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of what they share")]

#[path = "common/anvil.rs"]
mod anvil;
#[path = "common/world.rs"]
mod world;

use std::sync::Arc;

use anvil::anvils;
use serde_json::{Value, json};
use world::{policy, validator};
use zklink::id::ChainId;
use zklink_chain::blob::{BlobProofs, Blobs};
use zklink_chain::client::{At, Call, ChainClient, hex0x};
use zklink_chain::endpoint::{Endpoint, EndpointLimits};
use zklink_chain::sender::{SendPolicy, Sender};

/// Returns the hash of the first blob of the transaction that calls it: `BLOBHASH(0)`.
const SHOWS_HASH: &str = "5f495f5260205ff3";

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_with_a_blob_is_mined_and_has_its_hash() {
    let (chains, urls) = anvils(1).await;
    let (evm_chain_id, url) = &urls[&ChainId(1)];
    let limits = EndpointLimits::default();
    let endpoint = Endpoint::connect(url, *evm_chain_id, limits).await.unwrap();
    let client: Arc<dyn ChainClient> = Arc::new(endpoint);
    assert!(client.blob_base_fee().await.unwrap().is_some());
    let shows = [0x22; 20];
    chains[0].ask("anvil_setCode", json!([hex0x(&shows), format!("0x{SHOWS_HASH}")])).await;
    for (nonce, blob_proofs) in [BlobProofs::Blob, BlobProofs::Cell].into_iter().enumerate() {
        let policy = SendPolicy { blob_proofs, ..policy() };
        let sender = Sender::new(client.clone(), validator(), *evm_chain_id, policy);
        let mut word = [0; 32];
        word[31] = nonce as u8 + 1;
        let blobs = Blobs::new(&[word, [0x11; 32]]).unwrap();
        let hash = blobs.hashes()[0];
        let from = validator().address();
        let call = Call { from, to: Some(shows), blobs: Some(blobs), ..Call::default() };
        // The trial knows the hash.
        assert_eq!(client.call(call.clone(), At::Latest).await.unwrap(), hash);
        let receipt = sender.send(call).await.unwrap();
        assert!(receipt.success);
        let found: Value =
            chains[0].ask("eth_getTransactionByHash", json!([hex0x(&receipt.tx_hash)])).await;
        assert_eq!(found["blobVersionedHashes"], json!([hex0x(&hash)]));
        assert_eq!(found["type"], "0x3");
    }
    assert_eq!(client.nonce(validator().address()).await.unwrap(), 2);
}
