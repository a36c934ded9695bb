//! A chain that exists only in memory, for tests of everything that reads one.

use alloy_primitives::{Address, FixedBytes, U256};
use alloy_sol_types::SolEvent;
use zklink::tx::keccak;

use crate::client::{At, Hash, Header, Log};
use crate::contracts::{KeyRecorder, Rollup};
use crate::finality::Finality;
use crate::scan::{Question, Told};

/// The contract of the simulated chain.
pub const CONTRACT: [u8; 20] = [0xcc; 20];
/// The key recorder of the simulated chain.
pub const RECORDER: [u8; 20] = [0xcd; 20];

/// A block with its events.
#[derive(Clone, Debug)]
pub struct SimBlock {
    pub header: Header,
    pub logs: Vec<Log>,
}

/// A chain in memory. Blocks of different branches have different hashes.
#[derive(Clone, Debug)]
pub struct SimChain {
    pub blocks: Vec<SimBlock>,
    /// How far `finalized` lags behind the tip.
    pub lag: u64,
    branch: u64,
}

impl SimChain {
    pub fn new(lag: u64) -> Self {
        let mut chain = Self { blocks: Vec::new(), lag, branch: 0 };
        chain.mine(Vec::new());
        chain
    }

    pub fn tip(&self) -> u64 {
        self.blocks.len() as u64 - 1
    }

    fn hash(&self, number: u64) -> Hash {
        keccak(&[&number.to_be_bytes(), &self.branch.to_be_bytes()])
    }

    /// Adds a block with events (topics and data).
    pub fn mine(&mut self, events: Vec<(Vec<[u8; 32]>, Vec<u8>)>) {
        let number = self.blocks.len() as u64;
        let parent = self.blocks.last().map(|block| block.header.hash).unwrap_or_default();
        let hash = self.hash(number);
        let header = Header { number, hash, parent, timestamp: 1_000 + 10 * number };
        let logs = events.into_iter().enumerate().map(|(index, (topics, data))| Log {
            address: if topics[0] == KeyRecorder::AuthPubKeySet::SIGNATURE_HASH.0 {
                RECORDER
            } else {
                CONTRACT
            },
            topics,
            data,
            block: number,
            block_hash: hash,
            tx_hash: keccak(&[&hash, &[index as u8]]),
            index: index as u64,
        });
        self.blocks.push(SimBlock { header, logs: logs.collect() });
    }

    /// Adds empty blocks.
    pub fn grow(&mut self, blocks: u64) {
        (0..blocks).for_each(|_| self.mine(Vec::new()));
    }

    /// Takes the newest blocks back; what comes next is another branch.
    pub fn rewind(&mut self, blocks: u64) {
        self.branch += 1;
        self.blocks.truncate(self.blocks.len() - blocks as usize);
    }

    pub fn header(&self, at: At) -> Option<Header> {
        let number = match at {
            At::Latest => self.tip(),
            At::Safe | At::Finalized => self.tip().checked_sub(self.lag)?,
            At::Near(number) | At::Number(number) => number,
        };
        self.blocks.get(number as usize).map(|block| block.header)
    }

    pub fn tell(&self, question: &Question) -> Told {
        match question {
            Question::Header(at) => Told::Header(self.header(*at)),
            Question::Logs(query) => {
                let blocks = self.blocks.iter();
                let range = blocks.filter(|b| (query.from..=query.to).contains(&b.header.number));
                Told::Logs(range.flat_map(|block| block.logs.clone()).collect())
            }
        }
    }

    /// The deposits of the chain up to a height.
    pub fn deposits(&self, to: u64) -> usize {
        let blocks = self.blocks.iter().filter(|block| block.header.number <= to);
        let deposit = |log: &&Log| log.topics[0] == Rollup::DepositQueued::SIGNATURE_HASH.0;
        blocks.flat_map(|block| &block.logs).filter(deposit).count()
    }
}

/// A deposit event.
pub fn deposit(serial: u64, token: u16, amount: u128) -> (Vec<[u8; 32]>, Vec<u8>) {
    let event = Rollup::DepositQueued {
        serial,
        token,
        owner: FixedBytes([5; 32]),
        home: 2,
        subAccount: 3,
        amount,
        payer: Address::repeat_byte(6),
    };
    encoded(&event)
}

/// A key event.
pub fn key_event(x: [u8; 32], y: [u8; 32], nonce: u32) -> (Vec<[u8; 32]>, Vec<u8>) {
    encoded(&KeyRecorder::AuthPubKeySet {
        owner: Address::repeat_byte(6),
        nonce,
        home: 0,
        keyX: U256::from_be_bytes(x),
        keyY: U256::from_be_bytes(y),
    })
}

/// The topics and data of an event.
pub fn encoded(event: &impl SolEvent) -> (Vec<[u8; 32]>, Vec<u8>) {
    let data = event.encode_log_data();
    (data.topics().iter().map(|topic| topic.0).collect(), data.data.to_vec())
}

/// Final when so many blocks lie on top.
pub fn confirmations(blocks: u64) -> Finality {
    Finality { anchor: crate::finality::Anchor::Confirmations(blocks), min_age_seconds: 0 }
}
