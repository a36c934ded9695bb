//! What the journal holds: everything that enters the state machine, and the seals of the blocks that came out.
//!
//! A record is the version of its form, the version of the rules under which it was accepted, and its binary form
//! ([`zklink::binary`]). A transaction is in it once, with the operation that came of it: a seal names no operations,
//! its block has those since the seal before. The root of a block is no record: it follows from the records, and is
//! made behind them.

use borsh::{BorshDeserialize, BorshSerialize};
use zklink::amount::Amount;
use zklink::binary;
use zklink::block::{Block, Head};
use zklink::hash::Fr;
use zklink::id::{
    AccountId, BlockNumber, ChainId, Nonce, Owner, Serial, ShapeId, SubAccountId, TokenId,
};
use zklink::key::PublicKey;
use zklink::op::{Op, RULES};
use zklink::reject::Reject;
use zklink::tx::{SignedTx, Tx, TxHash, keccak};
use zklink_mechanism::port::Message;

/// The version of the form below. A record of another version is refused, never guessed at.
pub const VERSION: u8 = 3;

/// A record of the journal.
#[expect(clippy::large_enum_variant, reason = "the large one is nearly every record")]
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Record {
    /// An operation was executed in the open block.
    Executed(Executed),
    /// An owner authorised a key on a chain, finally.
    KeyAuthorised(KeyAuthorised),
    /// The open block was sealed.
    Sealed(Seal),
}

/// An operation that was executed, and what it came from.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Executed {
    /// The operation.
    pub op: Op,
    /// What it came from.
    pub source: Source,
}

/// The end of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Seal {
    /// Its number.
    pub number: BlockNumber,
    /// Its time, Unix seconds.
    pub timestamp: u64,
    /// Its shape.
    pub shape: ShapeId,
}

/// A transaction that was executed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AcceptedTx {
    /// The transaction as its sender signed it.
    pub tx: SignedTx,
    /// Its hash.
    pub hash: TxHash,
    /// When it was executed, in milliseconds since the Unix epoch.
    pub time: u64,
}

/// A deposit that was executed.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct AcceptedDeposit {
    /// The deposit as the chain knows it.
    pub deposit: FinalDeposit,
    /// The account that it went to; zero when it was refused.
    pub account: AccountId,
    /// Why nobody was credited and the payer is refunded on the chain, if so.
    pub refused: Option<DepositRefusal>,
    /// When it was executed, in milliseconds since the Unix epoch.
    pub time: u64,
}

/// Why a deposit cannot be credited. It is refused, so that it does not stop the queue behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize, thiserror::Error)]
pub enum DepositRefusal {
    /// The owner could never use it: a contract of the deployment, a token, or no EVM address of a connected chain.
    #[error("the owner of the account is not valid: the payer is refunded on the chain")]
    BadReceiver,
    /// The tree of accounts is full.
    #[error("no account id is free: the payer is refunded on the chain")]
    AccountsFull,
    /// The chain would owe more than an amount can say.
    #[error("the chain would owe too much of the token: the payer is refunded on the chain")]
    AmountOverflow,
}

impl DepositRefusal {
    /// The refusal that a rejection of a deposit becomes; nothing where it must not become one.
    pub fn of(reject: &Reject) -> Option<DepositRefusal> {
        match reject {
            Reject::BadReceiver => Some(DepositRefusal::BadReceiver),
            Reject::AccountsFull => Some(DepositRefusal::AccountsFull),
            Reject::AmountOverflow => Some(DepositRefusal::AmountOverflow),
            _ => None,
        }
    }
}

/// A deposit that its chain's finality rule declared final.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct FinalDeposit {
    /// The chain where the tokens are locked.
    pub chain: ChainId,
    /// Its place in the queue of that chain.
    pub serial: Serial,
    /// The unified token.
    pub token: TokenId,
    /// Who paid it there, and is refunded if it cannot be credited.
    pub payer: Owner,
    /// Who gets it.
    pub owner: Owner,
    /// The sub-account that gets it.
    pub sub_account: SubAccountId,
    /// How much, in 18 decimals.
    pub amount: Amount,
    /// The transaction that locked the tokens, for people to look up.
    pub l1_tx: [u8; 32],
    /// The block of the chain that holds that transaction, for people to look up.
    pub l1_block: u64,
}

/// An owner authorised a key by a transaction to the contract of a chain.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct KeyAuthorised {
    /// The chain.
    pub chain: ChainId,
    /// The owner, who sent that transaction.
    pub owner: Owner,
    /// The account nonce for which the key is authorised.
    pub nonce: Nonce,
    /// The key.
    pub key: PublicKey,
}

impl Message for KeyAuthorised {
    type Reply = ();
}

/// A sealed block without its roots: what the records of the journal say of it.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub struct Body {
    /// Its end.
    pub seal: Seal,
    /// Its operations in order.
    pub executed: Vec<Executed>,
}

impl Body {
    /// The block between two roots.
    pub fn between(self, old_root: Fr, new_root: Fr) -> SealedBlock {
        let Seal { number, timestamp, shape } = self.seal;
        let head = Head { number, timestamp, shape, old_root, new_root };
        let (ops, sources) =
            self.executed.into_iter().map(|executed| (executed.op, executed.source)).unzip();
        SealedBlock { block: Block { head, ops }, sources }
    }
}

/// A sealed block, with what its operations came from: complete in itself, so that whoever reads
/// blocks needs nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedBlock {
    /// The block.
    pub block: Block,
    /// For each operation in order: what it came from.
    pub sources: Vec<Source>,
}

/// What an operation of a block came from.
#[derive(Clone, Debug, PartialEq, Eq, BorshSerialize, BorshDeserialize)]
pub enum Source {
    /// A signed transaction.
    Tx(AcceptedTx),
    /// A deposit of a chain's queue.
    Deposit(AcceptedDeposit),
}

impl Source {
    /// The hash of the transaction or deposit.
    pub fn hash(&self) -> TxHash {
        match self {
            Source::Tx(tx) => tx.hash,
            Source::Deposit(deposit) => deposit.deposit.hash(),
        }
    }

    /// When it was executed, in milliseconds since the Unix epoch.
    pub fn time(&self) -> u64 {
        match self {
            Source::Tx(tx) => tx.time,
            Source::Deposit(deposit) => deposit.time,
        }
    }
}

impl FinalDeposit {
    /// Names the deposit among transactions: a Keccak hash of its place and content, in words.
    pub fn hash(&self) -> TxHash {
        TxHash(keccak(&[
            b"zkLink/deposit/v2",
            &[self.chain.0],
            &self.serial.0.to_be_bytes(),
            &self.token.0.to_be_bytes(),
            &[self.payer.home.0],
            &self.payer.address,
            &[self.owner.home.0],
            &self.owner.address,
            &[self.sub_account.0],
            &self.amount.0.to_be_bytes(),
        ]))
    }
}

impl SealedBlock {
    /// The operations in order, each with what it came from.
    pub fn entries(&self) -> impl Iterator<Item = (&Op, &Source)> {
        self.block.ops.iter().zip(&self.sources)
    }

    /// The transactions of the signed operations, in order.
    pub fn signed(&self) -> Vec<SignedTx> {
        let signed = |source: &Source| match source {
            Source::Tx(tx) => Some(tx.tx.clone()),
            Source::Deposit(_) => None,
        };
        self.sources.iter().filter_map(signed).collect()
    }

    /// What the contract of a chain is given to check the block's key changes there, in order:
    /// a signature of the owner, or nothing for a key that the contract knows already.
    pub fn key_witnesses(&self, chain: ChainId) -> Vec<Vec<u8>> {
        let changes = self.entries().filter_map(|(op, source)| match (op, source) {
            (Op::ChangePubKey(op), Source::Tx(tx)) if op.chain == chain => Some(&tx.tx.tx),
            _ => None,
        });
        let witness = |tx: &Tx| match tx {
            Tx::ChangePubKey(change) => Some(change.eth_auth_data.witness()),
            Tx::Transfer(_) | Tx::Withdraw(_) => None,
        };
        changes.filter_map(witness).collect()
    }
}

/// Bytes are not a record.
#[derive(Debug, thiserror::Error)]
pub enum BadRecord {
    /// There are fewer than every record has.
    #[error("the record has no version: the journal was not written by this program")]
    Empty,
    /// Another version.
    #[error(
        "the record has version {0}, this program reads {VERSION}: run the program that wrote it"
    )]
    Version(u8),
    /// Other rules.
    #[error(
        "the record was accepted under version {0} of the rules, this program has {RULES}: run the program that wrote \
         it"
    )]
    Rules(u8),
    /// The body is not what the version says.
    #[error("the record does not parse: {0}")]
    Body(#[from] std::io::Error),
}

impl Record {
    /// The bytes that the journal keeps.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION, RULES];
        self.serialize(&mut bytes).expect("into memory, and no list is so long");
        bytes
    }

    /// Reads what [`Record::encode`] wrote.
    ///
    /// # Errors
    /// [`BadRecord`].
    pub fn decode(bytes: &[u8]) -> Result<Record, BadRecord> {
        match bytes {
            [VERSION, RULES, body @ ..] => Ok(binary::read(body)?),
            [VERSION, rules, ..] => Err(BadRecord::Rules(*rules)),
            [version, _, ..] => Err(BadRecord::Version(*version)),
            _ => Err(BadRecord::Empty),
        }
    }
}
