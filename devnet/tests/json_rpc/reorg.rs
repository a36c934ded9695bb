//! Reorganisations.

use serde_json::json;
use web3::types::{Address, BlockId, BlockNumber, H256, TransactionParameters, U64, U256};
use zklink_devnet::{ChainError, DevChainConfig};

use crate::client::{Client, config, text, to};
use crate::code;

async fn hash_at(client: &Client, number: u64) -> H256 {
    let id = BlockId::Number(BlockNumber::Number(number.into()));
    client.web3.eth().block(id).await.unwrap().unwrap().hash.unwrap()
}

fn call(counter: Address, nonce: u64) -> TransactionParameters {
    TransactionParameters { nonce: Some(nonce.into()), ..to(counter) }
}

async fn count(client: &Client, counter: Address) -> H256 {
    client.web3.eth().storage(counter, U256::zero(), None).await.unwrap()
}

#[tokio::test]
async fn a_reorg_drops_all_but_the_transactions_that_it_is_given() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let mut hashes = Vec::new();
    for nonce in [1, 2] {
        hashes.push(client.send(call(counter, nonce)).await.unwrap());
        client.chain.mine(1).unwrap();
    }
    let kept = hash_at(&client, 1).await;
    let old = [hash_at(&client, 2).await, hash_at(&client, 3).await];
    let raw = client.sign(&client.key, call(counter, 1)).await;
    let params = vec![json!(2), json!([[raw, 1]])];
    client.rpc("anvil_reorg", params).await.unwrap();

    assert_eq!(client.chain.latest().unwrap(), 3);
    assert_eq!(hash_at(&client, 1).await, kept);
    assert_ne!(hash_at(&client, 2).await, old[0]);
    assert_ne!(hash_at(&client, 3).await, old[1]);
    for hash in old {
        assert!(client.web3.eth().block(BlockId::Hash(hash)).await.unwrap().is_none());
    }
    // The first transaction is in another block now, the second is gone.
    let receipt = client.receipt(hashes[0]).await.unwrap();
    assert_eq!(receipt.block_number, Some(U64::from(3)));
    assert!(client.receipt(hashes[1]).await.is_none());
    assert_eq!(count(&client, counter).await, H256::from_low_u64_be(1));
    let logs = vec![json!({ "fromBlock": "0x0" })];
    let logs = client.rpc("eth_getLogs", logs).await.unwrap();
    assert_eq!(logs.as_array().unwrap().len(), 1);
    assert_eq!(logs[0]["blockNumber"], "0x3");
    // It can be sent again.
    assert_eq!(client.send(call(counter, 2)).await.unwrap(), hashes[1]);
    client.chain.mine(1).unwrap();
    assert_eq!(count(&client, counter).await, H256::from_low_u64_be(2));
}

#[tokio::test]
async fn a_natural_reorg_mines_the_transactions_again() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let mut hashes = Vec::new();
    for nonce in [1, 2] {
        hashes.push(client.send(call(counter, nonce)).await.unwrap());
        client.chain.mine(1).unwrap();
    }
    let before = hash_at(&client, 3).await;
    client.chain.reorg(2).unwrap();
    assert_ne!(hash_at(&client, 3).await, before);
    assert_eq!(count(&client, counter).await, H256::from_low_u64_be(2));
    for (index, hash) in hashes.into_iter().enumerate() {
        let receipt = client.receipt(hash).await.unwrap();
        assert_eq!(receipt.block_number, Some(U64::from(2)));
        assert_eq!(receipt.transaction_index, U64::from(index));
    }
}

#[tokio::test]
async fn no_reorg_crosses_finality() {
    let lag = DevChainConfig { finality_lag_blocks: 3, ..config() };
    let client = Client::start(lag).await;
    // Before there is a final block, all but the genesis block can go.
    client.chain.mine(2).unwrap();
    let error = ChainError::Finality { depth: 3, most: 2 };
    assert_eq!(client.chain.reorg(3), Err(error));
    let empty = hash_at(&client, 1).await;
    client.chain.reorg(2).unwrap();
    // Even a block with the same contents in the same second is another one.
    assert_ne!(hash_at(&client, 1).await, empty);
    client.chain.mine(8).unwrap();
    let before = hash_at(&client, 10).await;
    for depth in [4, 1000, u64::MAX] {
        let expected = format!("a reorganisation of {depth} blocks crosses finality: 3 blocks");
        let refused = text(client.rpc("anvil_reorg", vec![json!(depth), json!([])]).await);
        assert!(refused.starts_with(&expected), "{refused}");
        let refused = text(client.rpc("anvil_rollback", vec![json!(depth)]).await);
        assert!(refused.starts_with(&expected), "{refused}");
    }
    assert_eq!(hash_at(&client, 10).await, before);
    // A rollback shortens the chain, but finality stays where it was.
    client.rpc("anvil_rollback", vec![]).await.unwrap();
    client.rpc("anvil_rollback", vec![json!(2)]).await.unwrap();
    assert_eq!(client.chain.latest().unwrap(), 7);
    assert_eq!(client.chain.finalized().unwrap(), Some(7));
    assert_eq!(client.height_of(BlockNumber::Safe).await, Some(7));
    assert_eq!(client.chain.rollback(1), Err(ChainError::Finality { depth: 1, most: 0 }));
}

#[tokio::test]
async fn a_rollback_restores_code_storage_and_balances() {
    let client = Client::start(config()).await;
    client.chain.mine(1).unwrap();
    let eth = client.web3.eth();
    let rich = eth.balance(client.me(), None).await.unwrap();
    let counter = client.deploy(&code::counter()).await;
    client.send(call(counter, 1)).await.unwrap();
    client.chain.mine(1).unwrap();
    let stray = Address::repeat_byte(5);
    client.chain.set_balance(stray.0.into(), "5".parse().unwrap()).unwrap();
    client.chain.rollback(2).unwrap();
    assert_eq!(eth.code(counter, None).await.unwrap().0, Vec::<u8>::new());
    assert_eq!(count(&client, counter).await, H256::zero());
    assert_eq!(eth.balance(client.me(), None).await.unwrap(), rich);
    assert_eq!(eth.transaction_count(client.me(), None).await.unwrap(), U256::zero());
    assert_eq!(eth.balance(stray, None).await.unwrap(), U256::zero());
    // The same deployment gives the same address again.
    assert_eq!(client.deploy(&code::counter()).await, counter);
}

#[tokio::test]
async fn a_reorg_with_bad_transactions_changes_nothing() {
    let client = Client::start(config()).await;
    client.chain.mine(3).unwrap();
    let before = hash_at(&client, 3).await;
    let raw = client.sign(&client.key, call(Address::zero(), 0)).await;
    let late = vec![json!(2), json!([[raw, 2]])];
    assert_eq!(
        text(client.rpc("anvil_reorg", late).await),
        "block 2 is not in a reorganisation of 2 blocks (counted from 0)"
    );
    let broken = vec![json!(2), json!([["0xc0ffee", 0]])];
    assert!(text(client.rpc("anvil_reorg", broken).await).starts_with("rlp: "));
    let shapeless = vec![json!(2), json!([["0xc0ffee"]])];
    assert!(client.rpc("anvil_reorg", shapeless).await.is_err());
    assert_eq!(hash_at(&client, 3).await, before);
}
