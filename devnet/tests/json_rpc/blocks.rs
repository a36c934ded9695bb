//! Blocks: linkage, tags, fees, time, old states, mining by itself.

use std::time::Duration;

use alloy_primitives::{B256, keccak256};
use alloy_rlp::Encodable;
use serde_json::{Value, json};
use web3::types::{Address, BlockId, BlockNumber, Bytes, H256, TransactionParameters, U64, U256};
use zklink_devnet::{DevChain, DevChainConfig, Mining, StartError};

use crate::client::{Client, MAX_FEE, TIP, config, to};
use crate::code;

#[tokio::test]
async fn a_contract_is_deployed_and_called_with_all_three_kinds_of_transactions() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let eth = client.web3.eth();
    assert_eq!(eth.code(counter, None).await.unwrap(), Bytes(code::counter()));
    assert_eq!(eth.chain_id().await.unwrap(), U256::from(9001));
    assert_eq!(client.web3.net().version().await.unwrap(), "9001");

    for (nonce, kind) in [(1, None), (2, Some(U64::from(1))), (3, Some(U64::from(2)))] {
        let dynamic = kind == Some(U64::from(2));
        let tx = TransactionParameters {
            nonce: Some(U256::from(nonce)),
            transaction_type: kind,
            gas_price: (!dynamic).then(|| U256::from(TIP) * 2),
            ..to(counter)
        };
        let hash = client.send(tx).await.unwrap();
        client.chain.mine(1).unwrap();
        let receipt = client.receipt(hash).await.unwrap();
        assert_eq!(receipt.status, Some(U64::one()));
        let block = eth.block(BlockId::Number(BlockNumber::Latest)).await.unwrap().unwrap();
        let base_fee = block.base_fee_per_gas.unwrap();
        let paid = if dynamic { base_fee + TIP } else { U256::from(TIP) * 2 };
        assert_eq!(receipt.effective_gas_price, Some(paid));
        assert_eq!(receipt.logs.len(), 1);
        assert_eq!(receipt.logs[0].data.0, U256::from(nonce).to_big_endian_vec());
        let found = eth.transaction(hash.into()).await.unwrap().unwrap();
        assert_eq!(found.block_hash, block.hash);
        assert_eq!(found.from, Some(client.me()));
    }
    let slot = eth.storage(counter, U256::zero(), None).await.unwrap();
    assert_eq!(slot, H256::from_low_u64_be(3));
    assert_eq!(eth.transaction_count(client.me(), None).await.unwrap(), U256::from(4));
}

trait BigEndian {
    fn to_big_endian_vec(self) -> Vec<u8>;
}

impl BigEndian for U256 {
    fn to_big_endian_vec(self) -> Vec<u8> {
        let mut bytes = [0; 32];
        self.to_big_endian(&mut bytes);
        bytes.to_vec()
    }
}

#[tokio::test]
async fn blocks_are_linked_by_the_hash_of_their_rlp() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    client.send(TransactionParameters { nonce: Some(1.into()), ..to(counter) }).await.unwrap();
    client.chain.mine(2).unwrap();
    let mut parent = json!(B256::ZERO);
    for number in 0..=3 {
        let params = vec![json!(format!("0x{number:x}")), json!(false)];
        let block = client.rpc("eth_getBlockByNumber", params).await.unwrap();
        assert_eq!(block["parentHash"], parent);
        let header: alloy_consensus::Header = serde_json::from_value(block.clone()).unwrap();
        let mut encoded = Vec::new();
        header.encode(&mut encoded);
        assert_eq!(json!(keccak256(encoded)), block["hash"]);
        let by_hash = vec![block["hash"].clone(), json!(false)];
        assert_eq!(client.rpc("eth_getBlockByHash", by_hash).await.unwrap(), block);
        parent = block["hash"].clone();
    }
    let params = vec![json!("0x2"), json!(true)];
    let full = client.rpc("eth_getBlockByNumber", params).await.unwrap();
    let full: alloy_rpc_types_eth::Block = serde_json::from_value(full).unwrap();
    let full = full.map_transactions(|tx| tx.inner);
    let root = full.calculate_transactions_root().unwrap();
    assert_eq!(root, full.header.inner.transactions_root);
    let receipts = client.rpc("eth_getBlockReceipts", vec![json!("0x2")]).await.unwrap();
    assert_eq!(receipts.as_array().unwrap().len(), 1);
    assert_eq!(receipts[0]["logsBloom"], json!(full.header.inner.logs_bloom));
    assert_ne!(full.header.inner.logs_bloom, alloy_primitives::Bloom::ZERO);
}

#[tokio::test]
async fn finalized_and_safe_lag_and_do_not_exist_at_first() {
    let lag = DevChainConfig { finality_lag_blocks: 3, safe_lag_blocks: 1, ..config() };
    let client = Client::start(lag).await;
    assert_eq!(client.height_of(BlockNumber::Finalized).await, None);
    assert_eq!(client.height_of(BlockNumber::Safe).await, None);
    let zero = json!(Address::zero());
    let params = vec![zero, json!("finalized")];
    let error = client.rpc("eth_getBalance", params).await.unwrap_err();
    assert!(matches!(error, web3::Error::Rpc(error) if error.code.code() == -39001));
    for latest in 1..8_u64 {
        client.chain.mine(1).unwrap();
        assert_eq!(client.height_of(BlockNumber::Latest).await, Some(latest));
        assert_eq!(client.height_of(BlockNumber::Finalized).await, latest.checked_sub(3));
        assert_eq!(client.height_of(BlockNumber::Safe).await, Some(latest - 1));
    }
    assert_eq!(client.height_of(BlockNumber::Pending).await, None);
    assert_eq!(client.height_of(BlockNumber::Number(100.into())).await, None);
}

#[tokio::test]
async fn old_states_can_be_read_as_far_as_they_are_kept() {
    let kept = DevChainConfig { state_history_blocks: 10, ..config() };
    let client = Client::start(kept).await;
    let counter = client.deploy(&code::counter()).await;
    let eth = client.web3.eth();
    for nonce in 1..=12 {
        let tx = TransactionParameters { nonce: Some(nonce.into()), ..to(counter) };
        client.send(tx).await.unwrap();
        client.chain.mine(1).unwrap();
    }
    for (block, count) in [(3_u64, 2), (7, 6), (12, 11), (13, 12)] {
        let at = Some(BlockNumber::Number(block.into()));
        let slot = eth.storage(counter, U256::zero(), at).await.unwrap();
        assert_eq!(slot, H256::from_low_u64_be(count));
        let nonce = eth.transaction_count(client.me(), at).await.unwrap();
        assert_eq!(nonce, U256::from(block));
    }
    let pruned = eth.balance(counter, Some(BlockNumber::Number(2.into()))).await;
    assert_eq!(
        crate::client::text(pruned),
        "missing trie node: the state of block 2 is not kept, the oldest is 3"
    );
}

#[tokio::test]
async fn the_base_fee_moves_as_eip_1559_says() {
    let client = Client::start(config()).await;
    client.chain.mine(3).unwrap();
    let history =
        client.web3.eth().fee_history(4.into(), BlockNumber::Latest, Some(vec![50.0])).await;
    let history = history.unwrap();
    let fees: Vec<u64> = history.base_fee_per_gas.iter().map(U256::as_u64).collect();
    // Empty blocks lower the fee by an eighth each, rounded to the paying side.
    assert_eq!(fees, [1_000_000_000, 875_000_000, 765_625_000, 669_921_875, 586_181_641]);
    assert_eq!(history.oldest_block, BlockNumber::Number(0.into()));
    assert_eq!(history.gas_used_ratio, [0.0; 4]);
    assert_eq!(history.reward, Some(vec![vec![U256::zero()]; 4]));
    let price = client.web3.eth().gas_price().await.unwrap();
    assert_eq!(price, U256::from(586_181_641_u64 + TIP));
    let tip = client.rpc("eth_maxPriorityFeePerGas", vec![]).await.unwrap();
    assert_eq!(tip, json!("0x3b9aca00"));
}

#[tokio::test]
async fn fees_are_paid_to_the_coinbase_and_burnt() {
    let client = Client::start(config()).await;
    let eth = client.web3.eth();
    let before = eth.balance(client.me(), None).await.unwrap();
    let other = Address::repeat_byte(7);
    let value = U256::from(5);
    let hash = client.send(TransactionParameters { value, ..to(other) }).await.unwrap();
    client.chain.mine(1).unwrap();
    let receipt = client.receipt(hash).await.unwrap();
    assert_eq!(receipt.gas_used, Some(U256::from(21_000)));
    assert!(receipt.effective_gas_price.unwrap() < U256::from(MAX_FEE));
    let fee = receipt.effective_gas_price.unwrap() * 21_000;
    assert_eq!(eth.balance(client.me(), None).await.unwrap(), before - fee - 5);
    assert_eq!(eth.balance(other, None).await.unwrap(), value);
    let coinbase = Address::repeat_byte(0xc0);
    assert_eq!(eth.balance(coinbase, None).await.unwrap(), U256::from(TIP) * 21_000);
}

async fn timestamp(client: &Client) -> u64 {
    let block = client.web3.eth().block(BlockId::Number(BlockNumber::Latest)).await.unwrap();
    block.unwrap().timestamp.as_u64()
}

#[tokio::test]
async fn developers_move_time_and_balances() {
    let client = Client::start(config()).await;
    let start = timestamp(&client).await;
    // Blocks on demand do not run ahead of the clock, however many there are.
    client.chain.mine(100).unwrap();
    assert!((start..start + 10).contains(&timestamp(&client).await));
    assert_eq!(client.rpc("evm_increaseTime", vec![json!(1000)]).await.unwrap(), json!(1000));
    client.rpc("evm_mine", vec![]).await.unwrap();
    let moved = timestamp(&client).await;
    assert!((start + 1000..start + 1010).contains(&moved));
    let set = vec![json!(format!("0x{:x}", moved + 500))];
    client.rpc("evm_setNextBlockTimestamp", set).await.unwrap();
    client.rpc("anvil_mine", vec![json!("0x3"), json!(60)]).await.unwrap();
    let last = timestamp(&client).await;
    assert!((moved + 620..moved + 630).contains(&last));
    client.rpc("evm_mine", vec![json!({ "timestamp": last + 9, "blocks": 2 })]).await.unwrap();
    assert_eq!(client.chain.latest().unwrap(), 106);
    let past = client.rpc("evm_mine", vec![json!(5)]).await;
    assert_eq!(crate::client::text(past), "cannot use the time 5: it is before the latest block");
    let far = client.rpc("evm_increaseTime", vec![json!("0xffffffffffffffff")]).await;
    assert!(crate::client::text(far).contains("too far ahead"));

    let who = Address::repeat_byte(9);
    let params = vec![json!(who), json!("0xde0b6b3a7640000")];
    assert_eq!(client.rpc("anvil_setBalance", params).await.unwrap(), Value::Null);
    let balance = client.web3.eth().balance(who, None).await.unwrap();
    assert_eq!(balance, U256::exp10(18));
}

#[tokio::test]
async fn snapshots_bring_everything_back() {
    let client = Client::start(config()).await;
    let counter = client.deploy(&code::counter()).await;
    let id = client.rpc("evm_snapshot", vec![]).await.unwrap();
    let later = client.rpc("evm_snapshot", vec![]).await.unwrap();
    let tx = || TransactionParameters { nonce: Some(1.into()), ..to(counter) };
    let hash = client.send(tx()).await.unwrap();
    client.chain.mine(7).unwrap();
    assert_eq!(client.rpc("evm_revert", vec![id.clone()]).await.unwrap(), json!(true));
    assert_eq!(client.chain.latest().unwrap(), 1);
    assert!(client.receipt(hash).await.is_none());
    let slot = client.web3.eth().storage(counter, U256::zero(), None).await.unwrap();
    assert_eq!(slot, H256::zero());
    // A snapshot is used up, and so are those that were taken after it.
    assert_eq!(client.rpc("evm_revert", vec![id]).await.unwrap(), json!(false));
    assert_eq!(client.rpc("evm_revert", vec![later]).await.unwrap(), json!(false));
    assert_eq!(client.send(tx()).await.unwrap(), hash);
}

#[tokio::test]
async fn a_chain_left_alone_mines_transactions_at_once_and_empty_blocks_in_time() {
    let slow =
        DevChainConfig { mining: Mining::Auto, block_time: Duration::from_secs(3600), ..config() };
    let client = Client::start(slow).await;
    let hash = client.send(to(Address::repeat_byte(7))).await.unwrap();
    assert_eq!(client.wait(hash).await.block_number, Some(U64::one()));
    client.chain.stop().await;

    let quick = DevChainConfig {
        mining: Mining::Interval,
        block_time: Duration::from_millis(20),
        ..config()
    };
    let client = Client::start(quick).await;
    let hash = client.send(to(Address::repeat_byte(7))).await.unwrap();
    client.wait(hash).await;
    for _ in 0..500 {
        if client.chain.finalized().unwrap() >= Some(3) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("finality does not go on by itself");
}

#[tokio::test]
async fn a_stopped_chain_frees_its_port_and_a_taken_port_is_an_error() {
    let client = Client::start(config()).await;
    let bind = client.chain.address();
    let taken = DevChain::start(DevChainConfig { bind, ..config() }).await;
    assert!(matches!(taken, Err(StartError::Bind { address, .. }) if address == bind));
    client.chain.stop().await;
    let again = DevChain::start(DevChainConfig { bind, ..config() }).await.unwrap();
    assert_eq!(again.address(), bind);
    let bad = DevChain::start(DevChainConfig { chain_id: 0, ..config() }).await;
    assert!(matches!(bad, Err(StartError::Config(_))));
}

#[tokio::test]
async fn chains_in_one_process_do_not_share_anything() {
    let others = [config(), DevChainConfig { chain_id: 9002, ..config() }];
    let [one, two] = others;
    let (one, two) = (Client::start(one).await, Client::start(two).await);
    let hash = one.send(to(Address::repeat_byte(7))).await.unwrap();
    one.chain.mine(1).unwrap();
    assert!(one.receipt(hash).await.is_some());
    assert!(two.receipt(hash).await.is_none());
    assert_eq!(two.chain.latest().unwrap(), 0);
    let genesis = BlockId::Number(BlockNumber::Earliest);
    let first = one.web3.eth().block(genesis).await.unwrap().unwrap().hash;
    assert_ne!(first, two.web3.eth().block(genesis).await.unwrap().unwrap().hash);
    let foreign = two.send(to(Address::repeat_byte(7))).await;
    let refused = crate::client::text(foreign);
    assert_eq!(refused, "invalid chain id for signer: have 9001 want 9002");
}
