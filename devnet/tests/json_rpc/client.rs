//! A chain with a funded key, and a client of it.

use std::time::Duration;

use serde_json::Value;
use web3::Transport;
use web3::signing::{Key, SecretKey, SecretKeyRef};
use web3::transports::Http;
use web3::types::{
    Address, BlockId, BlockNumber, Bytes, H256, TransactionParameters, TransactionReceipt, U64,
    U256,
};
use zklink_devnet::{DevChain, DevChainConfig, DevChainHandle, Mining};

use crate::code;

pub(crate) const CHAIN_ID: u64 = 9001;
/// Wei per gas, far above every base fee in these tests.
pub(crate) const MAX_FEE: u64 = 100_000_000_000;
pub(crate) const TIP: u64 = 1_000_000_000;

pub(crate) struct Client {
    pub(crate) chain: DevChainHandle,
    pub(crate) web3: web3::Web3<Http>,
    pub(crate) key: SecretKey,
}

/// A configuration with one rich account, that mines only when asked to.
pub(crate) fn config() -> DevChainConfig {
    let funded = vec![(address(&key(1)).0.into(), alloy_primitives::U256::from(10_u128.pow(20)))];
    DevChainConfig { funded, mining: Mining::Manual, ..DevChainConfig::new(CHAIN_ID) }
}

pub(crate) fn key(seed: u8) -> SecretKey {
    SecretKey::from_slice(&[seed; 32]).expect("a small number is a key")
}

pub(crate) fn address(key: &SecretKey) -> Address {
    SecretKeyRef::new(key).address()
}

/// A call of the rich account that is good as it stands, for tests to change.
pub(crate) fn to(contract: Address) -> TransactionParameters {
    TransactionParameters {
        nonce: Some(U256::zero()),
        to: Some(contract),
        gas: U256::from(100_000),
        chain_id: Some(CHAIN_ID),
        transaction_type: Some(U64::from(2)),
        max_fee_per_gas: Some(U256::from(MAX_FEE)),
        max_priority_fee_per_gas: Some(U256::from(TIP)),
        ..TransactionParameters::default()
    }
}

impl Client {
    pub(crate) async fn start(config: DevChainConfig) -> Self {
        let chain = DevChain::start(config).await.unwrap();
        let web3 = web3::Web3::new(Http::new(&chain.http_url()).unwrap());
        Self { chain, web3, key: key(1) }
    }

    pub(crate) fn me(&self) -> Address {
        address(&self.key)
    }

    pub(crate) async fn rpc(&self, method: &str, params: Vec<Value>) -> web3::Result<Value> {
        self.web3.transport().execute(method, params).await
    }

    pub(crate) async fn sign(&self, key: &SecretKey, tx: TransactionParameters) -> Bytes {
        self.web3.accounts().sign_transaction(tx, key).await.unwrap().raw_transaction
    }

    pub(crate) async fn send(&self, tx: TransactionParameters) -> web3::Result<H256> {
        let raw = self.sign(&self.key, tx).await;
        self.web3.eth().send_raw_transaction(raw).await
    }

    pub(crate) async fn receipt(&self, hash: H256) -> Option<TransactionReceipt> {
        self.web3.eth().transaction_receipt(hash).await.unwrap()
    }

    /// Waits for a chain that mines by itself.
    pub(crate) async fn wait(&self, hash: H256) -> TransactionReceipt {
        for _ in 0..500 {
            if let Some(receipt) = self.receipt(hash).await {
                return receipt;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{hash:?} was not mined");
    }

    /// Deploys runtime code with the next nonce, in a block of its own.
    pub(crate) async fn deploy(&self, runtime: &[u8]) -> Address {
        let nonce = self.web3.eth().transaction_count(self.me(), None).await.unwrap();
        let data = Bytes(code::init(runtime));
        let gas = U256::from(200_000);
        let tx = TransactionParameters {
            nonce: Some(nonce),
            to: None,
            data,
            gas,
            ..to(Address::zero())
        };
        let hash = self.send(tx).await.unwrap();
        self.chain.mine(1).unwrap();
        let receipt = self.receipt(hash).await.unwrap();
        assert_eq!(receipt.status, Some(U64::one()));
        receipt.contract_address.unwrap()
    }

    pub(crate) async fn height_of(&self, tag: BlockNumber) -> Option<u64> {
        let block = self.web3.eth().block(BlockId::Number(tag)).await.unwrap();
        block.map(|block| block.number.unwrap().as_u64())
    }
}

/// The text of a JSON-RPC error; panics for everything else.
pub(crate) fn text<T: std::fmt::Debug>(result: web3::Result<T>) -> String {
    match result {
        Err(web3::Error::Rpc(error)) => error.message,
        other => panic!("not a JSON-RPC error: {other:?}"),
    }
}
