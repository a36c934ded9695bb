//! A chain with our contracts, behind servers that are some blocks apart, for tests of whoever reads it. It counts
//! what it is asked.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

use alloy_primitives::{B256, U256};
use alloy_sol_types::{SolCall, SolInterface};
use zklink::token::Address;
use zklink::tx::keccak;
use zklink_chain::client::{
    Answer, At, Call, ChainClient, ClientError, FeeMarket, Hash, Header, Log, LogQuery, Receipt,
};
use zklink_chain::contracts::{Hub, LightOracle, Rollup};

use crate::Contracts;

pub(crate) const CONTRACTS: Contracts =
    Contracts { rollup: [1; 20], hub: Some([3; 20]), oracle: [2; 20], first_block: 1 };

/// The last block of the rollup that the contracts have at a block of the chain; all stages are there.
pub(crate) type Committed = Arc<dyn Fn(u64) -> u32 + Send + Sync>;

/// See the module.
pub(crate) struct Replicas {
    /// How many blocks each server is behind; they answer in turn.
    pub(crate) lags: Vec<u64>,
    pub(crate) tip: AtomicU64,
    pub(crate) committed: Mutex<Committed>,
    /// After so many questions the chain is another one.
    pub(crate) reorganised: Mutex<Option<(u64, Committed)>>,
    pub(crate) asked: AtomicU64,
    /// Calls of contracts at a fixed height are not answered.
    pub(crate) stateless: std::sync::atomic::AtomicBool,
}

/// The root after a block.
pub(crate) fn root(number: u32) -> [u8; 32] {
    keccak(&[b"root", &number.to_be_bytes()])
}

/// The rolling content up to a block.
pub(crate) fn rolling(number: u32) -> [u8; 32] {
    keccak(&[b"rolling", &number.to_be_bytes()])
}

impl Replicas {
    pub(crate) fn new(lags: &[u64], tip: u64, committed: Committed) -> Arc<Replicas> {
        Arc::new(Replicas {
            lags: lags.to_vec(),
            tip: tip.into(),
            committed: Mutex::new(committed),
            reorganised: Mutex::default(),
            asked: AtomicU64::new(0),
            stateless: false.into(),
        })
    }

    /// The tip of the server whose turn it is.
    fn served(&self) -> u64 {
        let asked = self.asked.fetch_add(1, SeqCst);
        let mut other = self.reorganised.lock().unwrap();
        if let Some((_, committed)) = other.take_if(|(after, _)| asked >= *after) {
            *self.committed.lock().unwrap() = committed;
        }
        let lag = self.lags[asked as usize % self.lags.len()];
        self.tip.load(SeqCst) - lag
    }

    fn answer(&self, call: &Call, height: u64) -> Vec<u8> {
        let committed = self.committed.lock().unwrap()(height);
        let to = call.to.unwrap();
        let word = |known: bool, word: [u8; 32]| B256::from(if known { word } else { [0; 32] });
        if to == CONTRACTS.oracle {
            use LightOracle::LightOracleCalls as View;
            return match View::abi_decode(&call.data).unwrap() {
                View::deliveredCount(_) => LightOracle::deliveredCountCall::abi_encode_returns(&0),
                View::sentCount(_) => LightOracle::sentCountCall::abi_encode_returns(&0),
                _ => panic!("not simulated"),
            };
        }
        if to == CONTRACTS.rollup {
            use Rollup::RollupCalls as View;
            return match View::abi_decode(&call.data).unwrap() {
                View::lastCommitted(_) => Rollup::lastCommittedCall::abi_encode_returns(&committed),
                View::lastAcked(_) => Rollup::lastAckedCall::abi_encode_returns(&committed),
                View::lastReleased(_) => Rollup::lastReleasedCall::abi_encode_returns(&committed),
                View::lastPaid(_) => Rollup::lastPaidCall::abi_encode_returns(&committed),
                View::chunksPaid(_) => Rollup::chunksPaidCall::abi_encode_returns(&0),
                View::payGas(_) => Rollup::payGasCall::abi_encode_returns(&U256::from(1)),
                View::recordOf(of) => {
                    let rolling = word(of.number <= committed, rolling(of.number));
                    let record = Rollup::recordOfReturn { index: of.number, rolling, cursor: 0 };
                    Rollup::recordOfCall::abi_encode_returns(&record)
                }
                _ => panic!("not simulated"),
            };
        }
        use Hub::HubCalls as View;
        match View::abi_decode(&call.data).unwrap() {
            View::blocksCommitted(_) => Hub::blocksCommittedCall::abi_encode_returns(&committed),
            View::blocksProven(_) => Hub::blocksProvenCall::abi_encode_returns(&committed),
            View::blocksReleased(_) => Hub::blocksReleasedCall::abi_encode_returns(&committed),
            View::rootOf(of) => {
                let root = word(of.number <= committed, root(of.number));
                Hub::rootOfCall::abi_encode_returns(&root)
            }
            View::chainInfo(_) => Hub::chainInfoCall::abi_encode_returns(&Hub::chainInfoReturn {
                last: committed,
                lastRolling: word(committed > 0, rolling(committed)),
                ackedThrough: committed,
                released: committed,
                sent: committed,
            }),
            _ => panic!("not simulated"),
        }
    }
}

/// The block of this height.
fn header(number: u64) -> Header {
    let hash = |number: u64| keccak(&[&number.to_be_bytes()]);
    let (parent, timestamp) = (hash(number.saturating_sub(1)), 1_000 + 12 * number);
    Header { number, hash: hash(number), parent, timestamp }
}

fn now<T: Send + 'static>(answer: Result<T, ClientError>) -> Answer<'static, T> {
    Box::pin(std::future::ready(answer))
}

fn unavailable<T>() -> Result<T, ClientError> {
    let (endpoint, reason) = ("replica".to_owned(), "missing trie node".to_owned());
    Err(ClientError::Unavailable { endpoint, reason })
}

impl ChainClient for Replicas {
    fn chain_id(&self) -> Answer<'_, u64> {
        now(Ok(1))
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        let tip = self.served();
        let number = match at {
            At::Latest => tip,
            At::Safe | At::Finalized => tip.saturating_sub(2),
            At::Near(number) | At::Number(number) => number,
        };
        now(Ok((number <= tip).then(|| header(number))))
    }

    fn logs(&self, _: LogQuery) -> Answer<'_, Vec<Log>> {
        self.served();
        now(Ok(Vec::new()))
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        let tip = self.served();
        let height = match at {
            At::Latest => tip,
            At::Safe | At::Finalized => tip.saturating_sub(2),
            At::Near(number) | At::Number(number) => number,
        };
        if height > tip || (self.stateless.load(SeqCst) && matches!(at, At::Number(_))) {
            return now(unavailable());
        }
        now(Ok(self.answer(&call, height)))
    }

    fn code(&self, _: Address, _: At) -> Answer<'_, Vec<u8>> {
        now(unavailable())
    }

    fn balance(&self, _: Address, _: At) -> Answer<'_, u128> {
        now(unavailable())
    }

    fn nonce(&self, _: Address) -> Answer<'_, u64> {
        now(unavailable())
    }

    fn estimate_gas(&self, _: Call) -> Answer<'_, u64> {
        now(unavailable())
    }

    fn fee_market(&self) -> Answer<'_, FeeMarket> {
        now(unavailable())
    }

    fn send_raw(&self, _: Vec<u8>) -> Answer<'_, Hash> {
        now(unavailable())
    }

    fn receipt(&self, _: Hash) -> Answer<'_, Option<Receipt>> {
        now(unavailable())
    }

    fn input(&self, _: Hash) -> Answer<'_, Option<Vec<u8>>> {
        now(unavailable())
    }
}
