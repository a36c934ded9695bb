//! The methods.

use std::collections::BTreeMap;

use jsonrpsee::core::RpcResult;
use jsonrpsee::proc_macros::rpc;
use serde_json::Value;
use zklink::amount::{Amount, Fee};
use zklink::id::{AccountId, BlockNumber, ChainId, Owner, SubAccountId, TokenId};
use zklink::tx::{SignedTx, Tx};

use crate::hex_bytes::Hash;
use crate::types::{
    AccountInfo, AccountQuery, AccountSnapshot, AlarmView, Balances, BlockInfo, BlockOnChain,
    BlockTx, HistoryKind, LatestBlock, NetworkInfo, Page, ProvingStatus, SupportChain,
    SupportToken, TxInfo,
};

/// What a zkLink node answers. `include_update` must be absent or false: this node shows state by
/// the methods that read it, not by updates.
#[rpc(server, client)]
pub trait ZkLink {
    /// The connected chains.
    #[method(name = "getSupportChains")]
    async fn support_chains(&self) -> RpcResult<Vec<SupportChain>>;

    /// The unified tokens.
    #[method(name = "getSupportTokens")]
    async fn support_tokens(&self) -> RpcResult<BTreeMap<TokenId, SupportToken>>;

    /// How far the rollup is.
    #[method(name = "getLatestBlockNumber")]
    async fn latest_block(&self) -> RpcResult<LatestBlock>;

    /// A sealed block, or the last one. 214: there is none.
    #[method(name = "getBlockByNumber")]
    async fn block(
        &self,
        #[argument(rename = "blockNumber")] number: Option<BlockNumber>,
        #[argument(rename = "includeTx")] include_tx: Option<bool>,
        #[argument(rename = "includeUpdate")] include_update: Option<bool>,
    ) -> RpcResult<BlockInfo>;

    /// Transactions of the open block that were executed after a time, oldest first, at most 100.
    #[method(name = "getPendingBlock")]
    async fn pending_block(
        &self,
        #[argument(rename = "lastTxTimestampMicro")] after: u64,
        #[argument(rename = "includeTx")] include_tx: Option<bool>,
        #[argument(rename = "includeUpdate")] include_update: Option<bool>,
        #[argument(rename = "limit")] limit: Option<u32>,
    ) -> RpcResult<Vec<BlockTx>>;

    /// The transactions that settled a block. 214: there is no such block.
    #[method(name = "getBlockOnChainByNumber")]
    async fn block_on_chain(
        &self,
        #[argument(rename = "blockNumber")] number: BlockNumber,
    ) -> RpcResult<BlockOnChain>;

    /// An account by id or address. 201: there is none.
    #[method(name = "getAccount")]
    async fn account(
        &self,
        #[argument(rename = "account")] account: AccountQuery,
    ) -> RpcResult<AccountInfo>;

    /// What an account holds after everything that was executed. 201: there is no such account.
    #[method(name = "getAccountBalances")]
    async fn balances(
        &self,
        #[argument(rename = "accountId")] account: AccountId,
        #[argument(rename = "subAccountId")] sub_account: Option<SubAccountId>,
    ) -> RpcResult<Balances>;

    /// An account with everything that it holds, in all sub-accounts or in one. The block must be absent: states of
    /// earlier blocks are not kept. 201: there is no such account.
    #[method(name = "getAccountSnapshot")]
    async fn snapshot(
        &self,
        #[argument(rename = "account")] account: AccountQuery,
        #[argument(rename = "subAccountId")] sub_account: Option<SubAccountId>,
        #[argument(rename = "blockNumber")] number: Option<BlockNumber>,
    ) -> RpcResult<AccountSnapshot>;

    /// What can be withdrawn of a token to each chain. `mapping` changes nothing: a unified
    /// token is the same on all chains.
    #[method(name = "getTokenReserve")]
    async fn token_reserve(
        &self,
        #[argument(rename = "tokenId")] token: TokenId,
        #[argument(rename = "mapping")] mapping: Option<bool>,
    ) -> RpcResult<BTreeMap<ChainId, Amount>>;

    /// A transaction or deposit by its hash. 203: it is not known.
    #[method(name = "getTransactionByHash")]
    async fn transaction(
        &self,
        #[argument(rename = "txHash")] hash: Hash,
        #[argument(rename = "includeUpdate")] include_update: Option<bool>,
    ) -> RpcResult<TxInfo>;

    /// The deposits that a transaction on a chain made, in the order of their serials, at most 100 on a page. An
    /// empty list: no such deposit was executed, because it is not final on its chain yet or was never made.
    #[method(name = "getDepositsByL1Hash")]
    async fn deposits_by_l1_hash(
        &self,
        #[argument(rename = "l1Hash")] l1_hash: Hash,
        #[argument(rename = "pageIndex")] page_index: Option<u64>,
        #[argument(rename = "pageSize")] page_size: Option<u64>,
    ) -> RpcResult<Page<TxInfo>>;

    /// Transactions of an account, newest first. A page has at most 100 entries, and the pages
    /// reach back over the last 500 transactions of any kind.
    #[method(name = "getAccountTransactionHistory")]
    async fn history(
        &self,
        #[argument(rename = "type")] kind: HistoryKind,
        #[argument(rename = "address")] address: Owner,
        #[argument(rename = "pageIndex")] page_index: u64,
        #[argument(rename = "pageSize")] page_size: u64,
    ) -> RpcResult<Page<TxInfo>>;

    /// The chain to name in a ChangePubKey when the wallet has no other wish.
    #[method(name = "getChangePubkeyChainId")]
    async fn change_pub_key_chain(&self) -> RpcResult<ChainId>;

    /// The least fee that the node takes for a transaction, in the token in which the transaction pays it. The fee that
    /// the transaction names does not matter, nor does its nonce; it need not be signed. 103: no such token.
    #[method(name = "estimateTransactionFee")]
    async fn estimate_transaction_fee(&self, #[argument(rename = "tx")] tx: Tx) -> RpcResult<Fee>;

    /// Executes a transaction; the answer comes when that is on disk. Sending it again gives the
    /// same hash. The L2 signature is in the transaction; the two further signatures that
    /// zkLink's clients may send are accepted and not needed.
    #[method(name = "sendTransaction")]
    async fn send_transaction(
        &self,
        #[argument(rename = "tx")] tx: SignedTx,
        #[argument(rename = "l1Signature")] l1_signature: Option<Value>,
        #[argument(rename = "submitterSignature")] submitter_signature: Option<Value>,
    ) -> RpcResult<Hash>;

    /// What a wallet needs to sign.
    #[method(name = "getNetwork")]
    async fn network(&self) -> RpcResult<NetworkInfo>;

    /// How proving goes.
    #[method(name = "getProvers")]
    async fn provers(&self) -> RpcResult<ProvingStatus>;

    /// What an operator must look at now, at most 100. An empty list: nothing.
    #[method(name = "getAlarms")]
    async fn alarms(&self) -> RpcResult<Vec<AlarmView>>;

    /// Development networks only: deposits test tokens for an address through the contract of a
    /// chain, and gives the transaction there. 106: it does not give that amount.
    #[method(name = "devFaucet")]
    async fn dev_faucet(
        &self,
        #[argument(rename = "address")] address: Owner,
        #[argument(rename = "chainId")] chain: ChainId,
        #[argument(rename = "tokenId")] token: TokenId,
        #[argument(rename = "amount")] amount: Amount,
    ) -> RpcResult<Hash>;
}
