//! The methods of the RPC.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::{RpcResult, async_trait};
use jsonrpsee::types::ErrorObjectOwned;
use serde_json::Value;
use zklink::amount::{Amount, Fee};
use zklink::fees::FeeTable;
use zklink::id::{AccountId, BlockNumber, ChainId, Owner, ShapeId, SubAccountId, TokenId};
use zklink::reject::Reject;
use zklink::shape::shape;
use zklink::token::Network;
use zklink::tx::{SignedTx, Tx, TxHash};
use zklink_client::error::{busy, code, error, rejected};
use zklink_client::{
    AccountInfo, AccountQuery, AccountSnapshot, AlarmView, Balances, BlockInfo, BlockOnChain,
    BlockTx, Hash, HexBytes, HistoryKind, LatestBlock, NetworkInfo, Page, ProvingStatus, ShapeInfo,
    SupportChain, SupportToken, TxInfo, ZkLinkServer,
};
use zklink_mechanism::port::{Refused, ReplyTo, Unanswered};
use zklink_prover::feed::ReadProgress;

use super::checker::{Checker, Wrong};
use super::faucet::{FaucetRequest, NoDrip};
use super::history::{self, Found, LIST_MAX, PageAsked, Search};
use super::present::{self, Moment};
use super::sources::{Reached, Sources};
use crate::builder::{Receipt, Refusal, Submit};

/// Looks at a transaction that is between two places.
const MOVING_LOOKS: u32 = 20;
/// Pause between two of them.
const MOVING_PAUSE: Duration = Duration::from_millis(25);
/// Pause between two looks at a view that does not show a transaction yet.
const SHOWN_PAUSE: Duration = Duration::from_millis(2);
/// When to come back to a node that is full.
const BUSY_MS: u64 = 500;
/// When to come back to a node whose settlement lags: the hub takes a block every some seconds at best.
const BEHIND_MS: u64 = 15_000;

/// What the node says of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// Chains and tokens.
    pub network: Arc<Network>,
    /// What new transactions must pay.
    pub fees: FeeTable,
    /// The shapes of the deployment, the cheapest first.
    pub shapes: Vec<ShapeId>,
    /// Confirmations that a deposit waits for, where a chain is read by them.
    pub confirmations: BTreeMap<ChainId, u32>,
    /// The chain that wallets name in a ChangePubKey.
    pub key_chain: ChainId,
}

/// See the module.
#[derive(Clone)]
pub struct Api {
    sources: Sources,
    about: Arc<About>,
    checker: Checker,
    timeout: Duration,
}

impl Api {
    /// The methods over these sources; what they ask of machines may take `timeout`.
    pub fn new(sources: Sources, about: About, timeout: Duration) -> Api {
        let checker = Checker::start(sources.view.clone(), Arc::clone(&about.network));
        Api { sources, about: Arc::new(about), checker, timeout }
    }

    fn moment(&self) -> Moment<'_> {
        self.sources.moment(&self.about.network)
    }

    fn resolve(&self, query: AccountQuery) -> RpcResult<AccountId> {
        match query {
            AccountQuery::Id(id) if !id.is_valid() => Err(rejected(&Reject::BadAccount(id))),
            AccountQuery::Id(id) => Ok(id),
            AccountQuery::Address(owner) => {
                let found = self.sources.view.read().state.account_of(owner);
                found.ok_or_else(|| {
                    let hint = "make the account by a deposit or a transfer to its address";
                    error(code::ACCOUNT_NOT_FOUND, format!("{owner} has no account"), hint)
                })
            }
        }
    }

    /// Asks the builder to execute a transaction.
    async fn submit(&self, tx: SignedTx) -> RpcResult<Hash> {
        let tx = match self.checker.check(tx).await {
            Ok(tx) => tx,
            Err(Wrong::Form(reject)) => return Err(rejected(&reject)),
            Err(Wrong::Signature(hash, reject)) => {
                return self.old_or(hash, &Refusal::Rejected(reject));
            }
            Err(Wrong::Overloaded) => return Err(refused(&Refusal::Overloaded)),
            Err(Wrong::Failed) => return Err(history::internal("a signature was not checked")),
        };
        let hash = tx.hash();
        let (reply, pending) = ReplyTo::new();
        match self.sources.submit.tell(Submit { tx: Box::new(tx), reply }) {
            Ok(()) => {}
            Err(Refused::Full(_)) => return Err(refused(&Refusal::Overloaded)),
            Err(Refused::Closed(_)) => return Err(refused(&Refusal::Stopping)),
        }
        match pending.wait(self.timeout).await {
            Ok(Ok(receipt)) => {
                self.shown(&receipt).await;
                Ok(receipt.hash.into())
            }
            Ok(Err(refusal)) => self.old_or(hash, &refusal),
            Err(Unanswered::Dropped | Unanswered::TimedOut) => Err(error(
                code::UNAVAILABLE,
                "the node did not answer in time: the transaction may or may not be executed",
                format!("ask getTransactionByHash for {hash}; if it is unknown, send it again"),
            )),
        }
    }

    /// Waits until the view shows an executed transaction, so that its sender reads the nonce and
    /// balances after it. Where readers keep the news out for long, the answer goes first.
    async fn shown(&self, receipt: &Receipt) {
        for _ in 0..MOVING_LOOKS {
            if self.shows(receipt) {
                return;
            }
            tokio::time::sleep(SHOWN_PAUSE).await;
        }
    }

    /// Whether the view is at the transaction or behind it.
    fn shows(&self, receipt: &Receipt) -> bool {
        let view = self.sources.view.read();
        view.state.system.number >= receipt.place.block || view.open_tx(receipt.hash).is_some()
    }

    /// A search of hundreds of reads, off the threads that serve everybody.
    async fn search<T: Send + 'static>(
        &self,
        search: impl FnOnce(&mut Search<'_>) -> RpcResult<T> + Send + 'static,
    ) -> RpcResult<T> {
        let (sources, about) = (self.sources.clone(), Arc::clone(&self.about));
        let search = move || search(&mut Search::new(&sources, &about.network));
        tokio::task::spawn_blocking(search).await.map_err(history::internal)?
    }

    fn find(&self, hash: TxHash) -> RpcResult<Found> {
        Search::new(&self.sources, &self.about.network).find(hash)
    }

    /// A transaction that was executed long ago is refused for its nonce: but it is done, and
    /// sending it again is answered as the first time.
    fn old_or(&self, hash: TxHash, refusal: &Refusal) -> RpcResult<Hash> {
        let by_nonce = matches!(refusal, Refusal::Rejected(Reject::Nonce { .. }));
        if by_nonce && !matches!(self.find(hash)?, Found::Unknown) {
            return Ok(hash.into());
        }
        Err(refused(refusal))
    }
}

fn refused(refusal: &Refusal) -> ErrorObjectOwned {
    let text = refusal.to_string();
    match refusal {
        Refusal::Rejected(reject) => rejected(reject),
        Refusal::NoShape => {
            let hint = "send to sub-accounts of other accounts, one token at a time";
            error(code::TX_FORMAT, text, hint)
        }
        Refusal::Overloaded => busy(code::LIMIT, text, BUSY_MS),
        Refusal::SettlementBehind { .. }
        | Refusal::SettlementStuck { .. }
        | Refusal::StoreBehind { .. } => busy(code::LIMIT, text, BEHIND_MS),
        Refusal::DiskLow => busy(code::UNAVAILABLE, text, BEHIND_MS),
        Refusal::HubUnknown => busy(code::UNAVAILABLE, text, BUSY_MS),
        Refusal::Stopping => busy(code::UNAVAILABLE, text, BUSY_MS),
    }
}

fn no_updates(include_update: Option<bool>) -> RpcResult<()> {
    if include_update == Some(true) {
        let hint = "leave includeUpdate out; read getAccount and getAccountBalances instead";
        return Err(error(code::PARAMS, "state updates are not served", hint));
    }
    Ok(())
}

fn no_block(number: Option<BlockNumber>) -> ErrorObjectOwned {
    let what = number.map_or("no block is sealed yet".to_owned(), |number| {
        format!("block {number} is not sealed, or its root is not known yet")
    });
    error(code::BLOCK_NOT_FOUND, what, "ask getLatestBlockNumber for the last one")
}

#[async_trait]
impl ZkLinkServer for Api {
    async fn support_chains(&self) -> RpcResult<Vec<SupportChain>> {
        Ok(present::chains(&self.about.network, &self.about.confirmations))
    }

    async fn support_tokens(&self) -> RpcResult<BTreeMap<TokenId, SupportToken>> {
        Ok(present::tokens(&self.about.network, &self.about.fees))
    }

    async fn latest_block(&self) -> RpcResult<LatestBlock> {
        // The last block that can be asked for: it is on disk, and its root is known.
        let rooted = self.sources.archive.rooted().map_err(history::internal)?;
        let last_block_number = rooted.unwrap_or_default();
        let body = self.sources.archive.body(last_block_number).map_err(history::internal)?;
        let timestamp = body.map(|body| present::sealed_at(body.seal.timestamp));
        let Reached { committed, verified, .. } = self.sources.stages.reached();
        Ok(LatestBlock {
            last_block_number,
            timestamp: timestamp.unwrap_or_default(),
            committed,
            verified,
        })
    }

    async fn block(
        &self,
        number: Option<BlockNumber>,
        include_tx: Option<bool>,
        include_update: Option<bool>,
    ) -> RpcResult<BlockInfo> {
        no_updates(include_update)?;
        let wanted = match number {
            Some(number) => Some(number),
            None => self.sources.archive.rooted().map_err(history::internal)?,
        };
        let sealed = wanted.map(|number| self.sources.archive.block(number)).transpose();
        let sealed = sealed.map_err(history::internal)?.flatten();
        let sealed = sealed.ok_or_else(|| no_block(number))?;
        let fee_account = self.sources.view.read().state.system.fee_account;
        Ok(self.moment().block(&sealed, fee_account, include_tx.unwrap_or(false)))
    }

    async fn pending_block(
        &self,
        after: u64,
        include_tx: Option<bool>,
        include_update: Option<bool>,
        limit: Option<u32>,
    ) -> RpcResult<Vec<BlockTx>> {
        no_updates(include_update)?;
        let limit = limit.unwrap_or(LIST_MAX);
        if limit > LIST_MAX {
            let message = format!("a limit of {limit} is too high");
            return Err(error(code::RANGE, message, "ask for at most 100 at once"));
        }
        let detail = include_tx.unwrap_or(false);
        let limit = usize::try_from(limit).map_err(history::internal)?;
        let view = self.sources.view.read();
        let newer = view.open.iter().filter(|tx| present::micros(tx.source.time()) > after);
        let moment = self.moment();
        let shown = newer
            .take(limit)
            .map(|executed| present::listed(&executed.source, detail, || moment.open(executed)));
        Ok(shown.collect())
    }

    async fn block_on_chain(&self, number: BlockNumber) -> RpcResult<BlockOnChain> {
        let head = self.sources.archive.head().map_err(history::internal)?;
        if number == BlockNumber(0) || head.is_none_or(|head| number > head) {
            return Err(no_block(Some(number)));
        }
        Ok(self.sources.stages.on_chain(number))
    }

    async fn account(&self, account: AccountQuery) -> RpcResult<AccountInfo> {
        let id = self.resolve(account)?;
        let view = self.sources.view.read();
        let account = view.state.account(id);
        let account = account.ok_or_else(|| rejected(&Reject::AccountNotFound(id)))?;
        Ok(present::account_info(id, account))
    }

    async fn balances(
        &self,
        account: AccountId,
        sub_account: Option<SubAccountId>,
    ) -> RpcResult<Balances> {
        let id = self.resolve(account.into())?;
        if let Some(sub) = sub_account.filter(|sub| !sub.is_valid()) {
            return Err(rejected(&Reject::BadSubAccount(sub)));
        }
        let view = self.sources.view.read();
        let account = view.state.account(id);
        let account = account.ok_or_else(|| rejected(&Reject::AccountNotFound(id)))?;
        Ok(present::balances(account, sub_account))
    }

    async fn snapshot(
        &self,
        account: AccountQuery,
        sub_account: Option<SubAccountId>,
        number: Option<BlockNumber>,
    ) -> RpcResult<AccountSnapshot> {
        if let Some(sub) = sub_account.filter(|sub| !sub.is_valid()) {
            return Err(rejected(&Reject::BadSubAccount(sub)));
        }
        if number.is_some() {
            let hint = "leave the block out: only the newest state is kept";
            return Err(error(code::UNSUPPORTED, "states of earlier blocks are not kept", hint));
        }
        let id = self.resolve(account)?;
        let view = self.sources.view.read();
        let account = view.state.account(id);
        let account = account.ok_or_else(|| rejected(&Reject::AccountNotFound(id)))?;
        Ok(present::account_snapshot(id, account, sub_account, view.state.system.number))
    }

    async fn token_reserve(
        &self,
        token: TokenId,
        _mapping: Option<bool>,
    ) -> RpcResult<BTreeMap<ChainId, Amount>> {
        let known = self.about.network.token(token).map_err(|reject| rejected(&reject))?;
        let view = self.sources.view.read();
        Ok(known.chains.keys().map(|chain| (*chain, view.state.pool(*chain, token))).collect())
    }

    async fn transaction(&self, hash: Hash, include_update: Option<bool>) -> RpcResult<TxInfo> {
        no_updates(include_update)?;
        for _ in 0..MOVING_LOOKS {
            match self.find(hash.into())? {
                Found::Here(info) => return Ok(*info),
                Found::Unknown => {
                    let hint = "send it, or wait if it is a deposit that is not final yet";
                    let message = format!("transaction {hash} is not known");
                    return Err(error(code::TX_NOT_FOUND, message, hint));
                }
                Found::Moving => tokio::time::sleep(MOVING_PAUSE).await,
            }
        }
        Err(history::moving())
    }

    async fn deposits_by_l1_hash(
        &self,
        l1_hash: Hash,
        page_index: Option<u64>,
        page_size: Option<u64>,
    ) -> RpcResult<Page<TxInfo>> {
        let size = page_size.unwrap_or_else(|| LIST_MAX.into());
        let wanted = PageAsked::new(page_index.unwrap_or_default(), size)?;
        for _ in 0..MOVING_LOOKS {
            let page = self.search(move |search| search.deposits_of(l1_hash, &wanted)).await?;
            if let Some(page) = page {
                return Ok(page);
            }
            tokio::time::sleep(MOVING_PAUSE).await;
        }
        Err(history::moving())
    }

    async fn history(
        &self,
        kind: HistoryKind,
        address: Owner,
        page_index: u64,
        page_size: u64,
    ) -> RpcResult<Page<TxInfo>> {
        let wanted = PageAsked::new(page_index, page_size)?;
        let account = self.resolve(address.into())?;
        let found = self.search(move |search| search.of_account(account, kind)).await?;
        wanted.cut(found)
    }

    async fn change_pub_key_chain(&self) -> RpcResult<ChainId> {
        Ok(self.about.key_chain)
    }

    async fn estimate_transaction_fee(&self, tx: Tx) -> RpcResult<Fee> {
        let (token, _) = tx.fee();
        self.about.network.token(token).map_err(|reject| rejected(&reject))?;
        let view = self.sources.view.read();
        Ok(self.about.fees.least(&tx, &view.state))
    }

    async fn send_transaction(
        &self,
        tx: SignedTx,
        _l1_signature: Option<Value>,
        _submitter_signature: Option<Value>,
    ) -> RpcResult<Hash> {
        self.submit(tx).await
    }

    async fn network(&self) -> RpcResult<NetworkInfo> {
        let system = self.sources.view.read().state.system;
        let rooted = self.sources.archive.rooted().map_err(history::internal)?;
        let root = rooted.map(|block| self.sources.archive.root(block)).transpose();
        let root = root.map_err(history::internal)?.flatten().unwrap_or_default();
        let shapes = self.about.shapes.iter().filter_map(|id| shape(*id));
        Ok(NetworkInfo {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            deployment_id: HexBytes(system.deployment.0),
            fee_account_id: system.fee_account,
            state_root: root.into(),
            dev: self.sources.faucet.is_some(),
            chains: self.support_chains().await?,
            tokens: self.support_tokens().await?,
            shapes: shapes
                .map(|shape| ShapeInfo {
                    id: shape.id,
                    name: shape.name.to_owned(),
                    slots: present::slots(shape),
                })
                .collect(),
        })
    }

    async fn provers(&self) -> RpcResult<ProvingStatus> {
        let Some(feed) = &self.sources.proving else {
            let hint = "ask a node that proves";
            return Err(error(code::UNSUPPORTED, "this node has no prover feed", hint));
        };
        let down = || busy(code::UNAVAILABLE, "the prover feed does not answer", BUSY_MS);
        let pending = feed.ask(ReadProgress).map_err(|_| down())?;
        let progress = pending.wait(self.timeout).await.map_err(|_| down())?;
        Ok(present::proving(progress))
    }

    async fn alarms(&self) -> RpcResult<Vec<AlarmView>> {
        let limit = usize::try_from(LIST_MAX).map_err(history::internal)?;
        Ok(self.sources.alarms.borrow().iter().take(limit).cloned().collect())
    }

    async fn dev_faucet(
        &self,
        address: Owner,
        chain: ChainId,
        token: TokenId,
        amount: Amount,
    ) -> RpcResult<Hash> {
        let Some(faucet) = &self.sources.faucet else {
            let hint = "deposit on a chain; only development networks give tokens away";
            return Err(error(code::UNSUPPORTED, "this is not a development network", hint));
        };
        let known = self.about.network.l1_token(chain, token);
        known.map_err(|reject| rejected(&reject))?;
        let dripped = faucet.drip(FaucetRequest { owner: address, chain, token, amount }).await;
        dripped.map(HexBytes).map_err(|none| match none {
            NoDrip::Refused(reason) => error(code::TX_FORMAT, reason, "ask for another amount"),
            NoDrip::Failed(reason) => {
                error(code::INTERNAL, reason, "try again; see the node's log if it goes on")
            }
        })
    }
}
