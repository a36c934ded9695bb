//! What the methods take and give.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use zklink::amount::Amount;
use zklink::fees::LeastFees;
use zklink::id::{
    AccountId, BlockNumber, ChainId, KeyVersion, Nonce, Owner, Serial, ShapeId, SubAccountId,
    TokenId,
};
use zklink::key::PublicKey;
use zklink::state::DeploymentId;
use zklink::token::{Chain, L1Token, Network, Token};
use zklink::tx::SignedTx;

use crate::hex_bytes::{Hash, HexBytes};

/// Names an account, by its id or by its owner's address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum AccountQuery {
    /// By id.
    Id(AccountId),
    /// By the owner's address.
    Address(Owner),
}

impl From<AccountId> for AccountQuery {
    fn from(id: AccountId) -> AccountQuery {
        AccountQuery::Id(id)
    }
}

impl From<Owner> for AccountQuery {
    fn from(owner: Owner) -> AccountQuery {
        AccountQuery::Address(owner)
    }
}

impl<'de> Deserialize<'de> for AccountQuery {
    /// By the kind of the JSON value, so that a wrong address says what is wrong with it.
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<AccountQuery, D::Error> {
        struct Visitor;
        impl serde::de::Visitor<'_> for Visitor {
            type Value = AccountQuery;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("the id of an account, or the address of its owner")
            }

            fn visit_u64<E: serde::de::Error>(self, id: u64) -> Result<AccountQuery, E> {
                let id = u32::try_from(id).map(AccountId);
                id.map(AccountQuery::Id).map_err(|_| E::custom("an account id is below 2^24"))
            }

            fn visit_str<E: serde::de::Error>(self, address: &str) -> Result<AccountQuery, E> {
                address.parse().map(AccountQuery::Address).map_err(E::custom)
            }
        }
        from.deserialize_any(Visitor)
    }
}

/// A connected chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportChain {
    /// The protocol's number of it.
    pub chain_id: ChainId,
    /// zkLink's kind of chain: 0 for EVM.
    pub chain_type: u8,
    /// The chain's own id, which L1 signatures bind.
    pub layer_one_chain_id: u64,
    /// The rollup's contract there.
    pub main_contract: HexBytes<20>,
    /// Other contracts of the deployment there: nothing may be sent to them.
    #[serde(default)]
    pub reserved: BTreeSet<Owner>,
    /// The unified token that is its native coin, if that is supported.
    pub gas_token_id: Option<TokenId>,
    /// Blocks that a deposit waits for; nothing where the chain itself says what is final.
    pub deposit_confirmation: Option<u32>,
}

/// A unified token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SupportToken {
    /// Its id.
    pub id: TokenId,
    /// What people call it.
    pub symbol: String,
    /// Always absent: this node knows no prices.
    pub usd_price: Option<String>,
    /// What transactions that pay their fee in this token must pay at least.
    #[serde(default)]
    pub least_fees: LeastFees,
    /// The token on each chain that has it.
    pub chains: BTreeMap<ChainId, TokenOnChain>,
}

/// A token as one chain knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TokenOnChain {
    /// The chain.
    pub chain_id: ChainId,
    /// The contract; the zero address for the native coin.
    pub address: HexBytes<20>,
    /// Decimals of the token there.
    pub decimals: u8,
    /// Whether brokers pay withdrawals at once there.
    pub fast_withdraw: bool,
}

/// How far the rollup is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LatestBlock {
    /// The last sealed block whose root is known, which follows some milliseconds behind; zero before the first.
    pub last_block_number: BlockNumber,
    /// When it was sealed, in microseconds since the Unix epoch.
    pub timestamp: u64,
    /// The last block that is committed on the hub.
    pub committed: BlockNumber,
    /// The last block that is proven on the hub.
    pub verified: BlockNumber,
}

/// A sealed block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockInfo {
    /// Its number.
    pub number: BlockNumber,
    /// The digest of its public data, which its proof binds.
    pub commitment: Hash,
    /// The root after it.
    pub root_hash: Hash,
    /// The account that received the fees.
    pub fee_account_id: AccountId,
    /// Slots of its shape.
    pub block_size: u32,
    /// Its shape: zkLink calls it the composition of operations.
    pub ops_composition_number: ShapeId,
    /// When it was sealed, in microseconds since the Unix epoch.
    pub timestamp: u64,
    /// Its transactions in order; hashes or details, as it was asked for.
    pub transactions: Vec<BlockTx>,
}

/// A transaction in a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, Eq)]
#[serde(untagged)]
pub enum BlockTx {
    /// Its hash.
    Hash(Hash),
    /// All about it.
    Detail(Box<TxInfo>),
}

/// A transaction and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TxInfo {
    /// Its hash.
    pub tx_hash: Hash,
    /// What was sent.
    pub tx: TxBody,
    /// What became of it.
    pub receipt: TxReceipt,
    /// Of a withdrawal: how its tokens leave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payout: Option<PayoutInfo>,
}

/// What was sent, or what a chain delivered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum TxBody {
    /// A deposit of a chain.
    Deposit(DepositInfo),
    /// A signed transaction.
    Signed(Box<SignedTx>),
}

/// A deposit: credited, or refused and refunded on its chain, as its receipt says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type", rename = "Deposit")]
pub struct DepositInfo {
    /// The chain where the tokens are locked.
    pub from_chain_id: ChainId,
    /// The account that was credited; zero when the deposit was refused.
    pub account_id: AccountId,
    /// The sub-account that was to be credited.
    pub sub_account_id: SubAccountId,
    /// Who paid on the chain, and is refunded there if the deposit is refused.
    pub from: Owner,
    /// Whose account was to be credited.
    pub to: Owner,
    /// The unified token.
    pub token: TokenId,
    /// How much, in 18 decimals.
    pub amount: Amount,
    /// Its place in the queue of the chain.
    pub serial_id: Serial,
    /// The transaction on the chain.
    pub eth_hash: Hash,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TxReceipt {
    /// Whether it was executed: true for all that the node keeps.
    pub executed: bool,
    /// When, in microseconds since the Unix epoch.
    pub executed_timestamp: u64,
    /// Whether it did what it says: false for a deposit that was refused; nothing yet for a withdrawal whose payout was
    /// not made; true for all else that the node keeps.
    pub success: Option<bool>,
    /// Why not.
    pub fail_reason: Option<String>,
    /// Its block: the one that will be sealed next while `status` is `executed`.
    pub block: BlockNumber,
    /// Its place in the block.
    pub index: u32,
    /// How final it is.
    pub status: TxStatus,
}

/// How final something is. Each stage includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TxStatus {
    /// In the block that is open.
    Executed,
    /// In a sealed block.
    Sealed,
    /// Its block is committed on the hub.
    Committed,
    /// Its block is proven on the hub. The last stage of all but withdrawals.
    Verified,
    /// A withdrawal that the hub released: its chain may pay it.
    Released,
    /// A withdrawal whose chain made its payout: the receiver has the tokens, or may `claim` them.
    Paid,
}

/// How the tokens of a withdrawal leave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PayoutInfo {
    /// The chain that pays.
    pub chain_id: ChainId,
    /// The contract there that pays, and keeps what the receiver did not take.
    pub contract: HexBytes<20>,
    /// Who is paid.
    pub receiver: HexBytes<20>,
    /// The unified token, by which the contract knows it too.
    pub token: TokenId,
    /// The transactions that made payouts of its block there, as far as this node sent them since it was
    /// started. Anybody else may have sent them.
    pub transactions: Vec<ChainTx>,
    /// Once it was made: how to see whether the receiver has the tokens, or has to claim them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// The transactions that settled a block.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockOnChain {
    /// Those that committed it.
    pub committed: Vec<ChainTx>,
    /// That which proved it.
    pub proved: Vec<ChainTx>,
    /// Those that released or paid it.
    pub verified: Vec<ChainTx>,
}

/// A transaction on a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChainTx {
    /// The chain.
    pub chain_id: ChainId,
    /// The transaction.
    pub tx_hash: Hash,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountInfo {
    /// Its id.
    pub id: AccountId,
    /// Its owner.
    pub address: Owner,
    /// The next nonce of a key change.
    pub nonce: Nonce,
    /// How many keys the account has had: every transaction says it.
    pub key_version: KeyVersion,
    /// Hash of its key; zero without one.
    pub pub_key_hash: HexBytes<20>,
    /// Its key.
    pub pub_key: Option<PublicKey>,
    /// The next nonce of each sub-account that was ever used; zero for the others.
    pub sub_account_nonces: BTreeMap<SubAccountId, Nonce>,
}

/// What an account holds: sub-account, token, amount in 18 decimals.
pub type Balances = BTreeMap<SubAccountId, BTreeMap<TokenId, Amount>>;

/// An account with everything that it holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccountSnapshot {
    /// Its id.
    pub id: AccountId,
    /// Its owner.
    pub address: Owner,
    /// The next nonce of a key change.
    pub nonce: Nonce,
    /// How many keys the account has had: every transaction says it.
    pub key_version: KeyVersion,
    /// Hash of its key; zero without one.
    pub pub_key_hash: HexBytes<20>,
    /// The next nonce of each sub-account that was asked for and ever used.
    pub sub_account_nonces: BTreeMap<SubAccountId, Nonce>,
    /// What it holds, after everything that was executed.
    pub balances: Balances,
    /// Empty: this version has no orders.
    pub order_slots: BTreeMap<SubAccountId, BTreeMap<u32, Value>>,
    /// Empty: this version has no positions.
    pub positions: BTreeMap<SubAccountId, BTreeMap<u16, Value>>,
    /// The last sealed block. The state is newer where transactions were executed since.
    pub block_number: BlockNumber,
}

/// Which transactions a history is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum HistoryKind {
    /// Deposits.
    Deposit,
    /// Withdrawals.
    Withdraw,
    /// Transfers, sent or received.
    Transfer,
}

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page<T> {
    /// Number of pages that can be asked for.
    pub total_page_num: u64,
    /// This page, from zero.
    pub page_index: u64,
    /// Entries of a full page.
    pub page_size: u64,
    /// The entries.
    pub page_data: Vec<T>,
}

/// What a wallet needs to sign for this deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NetworkInfo {
    /// Version of the node.
    pub version: String,
    /// Bound by every signature.
    pub deployment_id: HexBytes<31>,
    /// The account that receives the fees.
    pub fee_account_id: AccountId,
    /// The last root that is known: that of the last sealed block, or of one shortly before.
    pub state_root: Hash,
    /// Whether this is a development network, with a faucet.
    pub dev: bool,
    /// The chains.
    pub chains: Vec<SupportChain>,
    /// The tokens.
    pub tokens: BTreeMap<TokenId, SupportToken>,
    /// The block shapes of the deployment, the cheapest first.
    pub shapes: Vec<ShapeInfo>,
}

impl NetworkInfo {
    /// The deployment, as signatures bind it.
    pub fn deployment(&self) -> DeploymentId {
        DeploymentId(self.deployment_id.0)
    }

    /// Chains and tokens in the form that the protocol uses.
    ///
    /// # Errors
    /// The node names a token with more than 18 decimals, which the protocol cannot have.
    pub fn network(&self) -> Result<Network, BadNetwork> {
        let chain = |chain: &SupportChain| {
            let (evm_chain_id, contract) = (chain.layer_one_chain_id, chain.main_contract.0);
            let reserved = chain.reserved.clone();
            (chain.chain_id, Chain { evm_chain_id, contract, reserved })
        };
        let mut tokens = BTreeMap::new();
        for (id, token) in &self.tokens {
            let mut chains = BTreeMap::new();
            for (chain, on_chain) in &token.chains {
                let TokenOnChain { address, decimals, .. } = *on_chain;
                if decimals > zklink::amount::DECIMALS {
                    return Err(BadNetwork { token: *id, decimals });
                }
                chains.insert(*chain, L1Token { address: address.0, decimals });
            }
            tokens.insert(*id, Token { symbol: token.symbol.clone(), chains });
        }
        Ok(Network { chains: self.chains.iter().map(chain).collect(), tokens })
    }
}

/// A node describes a network that cannot be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node says that token {token} has {decimals} decimals: do not trust this node")]
pub struct BadNetwork {
    /// The token.
    pub token: TokenId,
    /// Its decimals.
    pub decimals: u8,
}

/// A block shape.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShapeInfo {
    /// Its number in the registry of the hub.
    pub id: ShapeId,
    /// Its name.
    pub name: String,
    /// Its slots.
    pub slots: u32,
}

/// How proving goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvingStatus {
    /// Blocks that wait for a proof, oldest first, at most a hundred.
    pub waiting: Vec<ProvingJob>,
    /// Proofs that were accepted since the node was started.
    pub proven: u64,
    /// Provers that were heard of.
    pub provers: Vec<ProverInfo>,
}

/// A block that waits for a proof.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvingJob {
    /// The block.
    pub block: BlockNumber,
    /// Its shape.
    pub shape: ShapeId,
    /// How often it was given to a prover.
    pub attempts: u32,
    /// Who works on it.
    pub prover: Option<String>,
}

/// A prover.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProverInfo {
    /// Its name.
    pub name: String,
    /// Whether it was heard of lately.
    pub alive: bool,
    /// Proofs of it that were accepted.
    pub proven: u64,
    /// Wrong proofs of it since it was last barred.
    pub strikes: u32,
}

/// Something of the node that does not go on without a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlarmView {
    /// Its kind, in kebab case; the same for ever.
    pub kind: String,
    /// The chain that it is about, if it is about one.
    pub chain: Option<u8>,
    /// What is wrong, for people.
    pub text: String,
    /// Since when, in milliseconds since the Unix epoch, if that is known.
    pub since_ms: Option<u64>,
}
