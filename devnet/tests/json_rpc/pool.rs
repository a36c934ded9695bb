//! Transactions that wait, and those that may not.

use serde_json::json;
use web3::types::{Address, BlockNumber, Bytes, TransactionParameters, U64, U256};
use zklink_devnet::{DevChainConfig, Limits};

use crate::client::{Client, MAX_FEE, TIP, config, key, text, to};

fn nonce(nonce: u64) -> TransactionParameters {
    TransactionParameters { nonce: Some(nonce.into()), ..to(Address::repeat_byte(7)) }
}

#[tokio::test]
async fn a_nonce_gap_is_held_until_it_is_filled() {
    let client = Client::start(config()).await;
    let third = client.send(nonce(2)).await.unwrap();
    let second = client.send(nonce(1)).await.unwrap();
    client.chain.mine(1).unwrap();
    assert!(client.receipt(second).await.is_none());
    let waiting = client.web3.eth().transaction(third.into()).await.unwrap().unwrap();
    assert_eq!(waiting.block_hash, None);
    let pending = Some(BlockNumber::Pending);
    let count = |at| client.web3.eth().transaction_count(client.me(), at);
    assert_eq!(count(pending).await.unwrap(), U256::zero());

    let first = client.send(nonce(0)).await.unwrap();
    assert_eq!(count(pending).await.unwrap(), U256::from(3));
    assert_eq!(count(None).await.unwrap(), U256::zero());
    client.chain.mine(1).unwrap();
    for (index, hash) in [first, second, third].into_iter().enumerate() {
        let receipt = client.receipt(hash).await.unwrap();
        assert_eq!(receipt.block_number, Some(U64::from(2)));
        assert_eq!(receipt.transaction_index, U64::from(index));
        assert_eq!(receipt.cumulative_gas_used, U256::from(21_000 * (index + 1)));
    }
}

#[tokio::test]
async fn a_replacement_must_offer_a_tenth_more() {
    let client = Client::start(config()).await;
    let old = client.send(nonce(0)).await.unwrap();
    assert_eq!(text(client.send(nonce(0)).await), "already known");
    let raise = |percent: u64| TransactionParameters {
        max_fee_per_gas: Some(U256::from(MAX_FEE / 100 * percent)),
        max_priority_fee_per_gas: Some(U256::from(TIP / 100 * percent)),
        ..nonce(0)
    };
    let refused = text(client.send(raise(109)).await);
    assert!(refused.starts_with("replacement transaction underpriced"), "{refused}");
    let new = client.send(raise(110)).await.unwrap();
    client.chain.mine(1).unwrap();
    assert!(client.receipt(old).await.is_none());
    assert!(client.receipt(new).await.is_some());
    assert!(client.web3.eth().transaction(old.into()).await.unwrap().is_none());
    assert_eq!(text(client.send(nonce(0)).await), "nonce too low: next nonce 1, tx nonce 0");
    assert_eq!(text(client.send(raise(110)).await), "already known");
}

#[tokio::test]
async fn a_block_takes_the_best_tips_first_and_waits_for_cheap_offers() {
    let client = Client::start(config()).await;
    let mut hashes = Vec::new();
    for (seed, tip) in [(11, 1), (12, 3), (13, 2)] {
        let sender = crate::client::address(&key(seed));
        client.chain.set_balance(sender.0.into(), "1000000000000000000".parse().unwrap()).unwrap();
        let tx = TransactionParameters {
            max_priority_fee_per_gas: Some(U256::from(tip)),
            ..to(Address::repeat_byte(7))
        };
        let raw = client.sign(&key(seed), tx).await;
        hashes.push(client.web3.eth().send_raw_transaction(raw).await.unwrap());
    }
    let low = TransactionParameters {
        max_fee_per_gas: Some(U256::from(800_000_000)),
        max_priority_fee_per_gas: Some(U256::zero()),
        ..nonce(0)
    };
    let low = client.send(low).await.unwrap();
    client.chain.mine(1).unwrap();
    for (hash, index) in hashes.into_iter().zip([2, 0, 1]) {
        let receipt = client.receipt(hash).await.unwrap();
        assert_eq!(receipt.transaction_index, U64::from(index));
    }
    // The base fee is 875,000,000 in block 1 and falls below the offer in block 2.
    assert!(client.receipt(low).await.is_none());
    client.chain.mine(1).unwrap();
    assert_eq!(client.receipt(low).await.unwrap().block_number, Some(U64::from(2)));
}

#[tokio::test]
async fn a_full_block_leaves_the_rest_for_the_next() {
    let small = DevChainConfig { gas_limit: 1_000_000, ..config() };
    let client = Client::start(small).await;
    let mut hashes = Vec::new();
    for number in 0..3 {
        let tx = TransactionParameters { gas: U256::from(600_000), ..nonce(number) };
        hashes.push(client.send(tx).await.unwrap());
    }
    // Gas is reserved by the limit, but only what was used counts against the block.
    client.chain.mine(1).unwrap();
    for hash in hashes {
        assert_eq!(client.receipt(hash).await.unwrap().block_number, Some(U64::one()));
    }
    let over = TransactionParameters { gas: U256::from(1_000_001), ..nonce(3) };
    assert_eq!(
        text(client.send(over).await),
        "exceeds block gas limit: gas 1000001, limit 1000000"
    );
}

#[tokio::test]
async fn senders_pay_for_all_that_waits() {
    let client = Client::start(config()).await;
    let poor = key(21);
    let sender = crate::client::address(&poor);
    let cost = U256::from(MAX_FEE) * 100_000 + 10;
    let balance: U256 = cost * 2 - 1;
    let balance = balance.to_string();
    client.chain.set_balance(sender.0.into(), balance.parse().unwrap()).unwrap();
    let send = async |number: u64| {
        let tx = TransactionParameters { value: U256::from(10), ..nonce(number) };
        client.web3.eth().send_raw_transaction(client.sign(&poor, tx).await).await
    };
    send(0).await.unwrap();
    let expected = format!(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {cost}, \
         tx cost {cost}"
    );
    assert_eq!(text(send(1).await), expected);
    client.chain.mine(1).unwrap();
    // What was not used came back.
    send(1).await.unwrap();
}

#[tokio::test]
async fn the_pool_is_bounded() {
    let limits =
        Limits { pool_transactions: 3, pool_transactions_per_sender: 2, ..Limits::default() };
    let client = Client::start(DevChainConfig { limits, ..config() }).await;
    client.send(nonce(5)).await.unwrap();
    client.send(nonce(6)).await.unwrap();
    assert!(
        text(client.send(nonce(7)).await).starts_with("txpool is full: 2 transactions of this")
    );
    let other = crate::client::address(&key(2));
    client.chain.set_balance(other.0.into(), "1000000000000000000".parse().unwrap()).unwrap();
    let send = async |number: u64| {
        let raw = client.sign(&key(2), nonce(number)).await;
        client.web3.eth().send_raw_transaction(raw).await
    };
    send(0).await.unwrap();
    assert!(text(send(1).await).starts_with("txpool is full: 3 transactions of all senders"));
}

#[tokio::test]
async fn transactions_that_can_never_be_good_are_refused() {
    let client = Client::start(config()).await;
    let raw =
        async |bytes: Vec<u8>| text(client.web3.eth().send_raw_transaction(Bytes(bytes)).await);
    let foreign = TransactionParameters { chain_id: Some(1), ..nonce(0) };
    assert_eq!(text(client.send(foreign).await), "invalid chain id for signer: have 1 want 9001");
    let weak = TransactionParameters { gas: U256::from(20_999), ..nonce(0) };
    assert_eq!(
        text(client.send(weak).await),
        "intrinsic gas too low: gas 20999, minimum needed 21000"
    );
    let crossed = TransactionParameters {
        max_priority_fee_per_gas: Some(U256::from(MAX_FEE) + 1),
        ..nonce(0)
    };
    assert!(text(client.send(crossed).await).starts_with("max priority fee per gas higher"));
    let bulky = TransactionParameters {
        to: None,
        gas: U256::from(10_000_000),
        data: Bytes(vec![0; 49_153]),
        ..nonce(0)
    };
    assert_eq!(
        text(client.send(bulky).await),
        "max initcode size exceeded: code size 49153, limit 49152"
    );
    assert!(raw(vec![0; 0]).await.starts_with("rlp: "));
    assert!(raw(vec![0xff; 100]).await.starts_with("rlp: "));
    assert!(raw(vec![0x02, 0xc0]).await.starts_with("rlp: "));
    assert!(raw(vec![0x03, 0xc0]).await.starts_with("transaction type not supported: 3"));
    assert!(raw(vec![0x04, 0xc0]).await.starts_with("transaction type not supported: 4"));
    assert!(raw(vec![0x02; 131_073]).await.starts_with("oversized data"));
    let good = client.sign(&client.key, nonce(0)).await.0;
    assert!(raw([good.as_slice(), &[0]].concat()).await.starts_with("rlp: "));
    let cut = good[..good.len() - 1].to_vec();
    assert!(raw(cut).await.starts_with("rlp: "));
    assert_eq!(client.rpc("eth_blockNumber", vec![]).await.unwrap(), json!("0x0"));
}
