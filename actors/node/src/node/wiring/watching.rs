//! For each token its merge ledger, for each chain its watcher with a driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::amount::Amount;
use zklink::id::{ChainId, Serial, TokenId};
use zklink_chain::deploy::DeployedChain;
use zklink_mechanism::driver::pull;
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::supervised::Origin;

use super::{Core, MAILBOX, Parts, StartError};
use crate::merge_ledger::{ChainConfig, Config as MergeConfig, MergeLedger};
use crate::node::follow::NodePools;
use crate::node::{ChainSetup, HeldBack, rebuild};
use crate::pool_history::PoolHistory;
use crate::watcher::driver::{ChainReader, Contract};
use crate::watcher::{ChainStatus, Outlets, WatchConfig, Watcher, bookmark};

/// How often it is kept how far the chains were read.
const BOOKMARK: Duration = Duration::from_secs(5);

/// The most of a token that may lie on one chain, and on all together: none is bounded yet.
const CHAIN_CAP: Amount = Amount(1 << 120);
const MERGE_CAP: Amount = Amount(1 << 126);

/// Name of the merge ledger of a token.
fn ledger_name(token: TokenId) -> String {
    format!("merge-ledger-{token}")
}

/// Name of the watcher of a chain.
fn watcher_name(chain: ChainId) -> String {
    format!("watcher-{chain}")
}

type Ledgers<P> = BTreeMap<TokenId, <P as Platform>::Ref<MergeLedger>>;
type Watchers<P> = BTreeMap<ChainId, <P as Platform>::Ref<Watcher>>;
type ChainHealth = BTreeMap<ChainId, watch::Receiver<Option<ChainStatus>>>;

/// For each token its merge ledger; and who knows what they hold back.
pub(super) async fn start_ledgers<P: Platform>(
    platform: &mut P,
    core: &mut Core<P>,
    parts: &Parts,
    history: &PoolHistory,
) -> Result<(Ledgers<P>, P::Ref<HeldBack>), StartError> {
    // Nobody tells an alarm twice, so this machine is not rebuilt.
    let held_back = Origin::Once(HeldBack::default());
    let thread = platform.thread();
    let held_back = platform.start(&thread, "held-back", MAILBOX, held_back).await?;
    let thread = platform.thread();
    let mut ledgers = BTreeMap::new();
    for (id, token) in parts.deployment.network().tokens {
        let sources: Vec<String> = token.chains.keys().map(|chain| watcher_name(*chain)).collect();
        let caps =
            token.chains.into_iter().map(|(id, token)| (id, ChainConfig { token, cap: CHAIN_CAP }));
        let config = MergeConfig {
            token: id,
            chains: caps.collect(),
            merge_cap: MERGE_CAP,
            kept_max: MAILBOX,
        };
        let (view, archive) = (core.view.clone(), core.reader.clone());
        let pools = NodePools { view, history: history.clone(), archive };
        let (credit, alarm) = (core.builder.port(), held_back.port());
        let origin = rebuild::merge_ledger(config, pools, credit, alarm);
        let name = ledger_name(id);
        let ledger = platform.start(&thread, &name, MAILBOX, origin).await?;
        // A ledger that was built anew knows no deposit: the watchers read them again.
        platform.retold_by(&name, &sources);
        core.ticks.push(ledger.port());
        ledgers.insert(id, ledger);
    }
    Ok((ledgers, held_back))
}

/// For each chain its watcher with a driver.
pub(super) async fn start_watchers<P: Platform>(
    platform: &mut P,
    core: &Core<P>,
    parts: &Parts,
    ledgers: &Ledgers<P>,
) -> Result<(Watchers<P>, ChainHealth), StartError> {
    let (mut watchers, mut health) = (BTreeMap::new(), ChainHealth::new());
    for chain in &parts.deployment.chains {
        let of_chain = &parts.chains[&chain.id];
        let tokens: Vec<TokenId> = chain.tokens.iter().map(|token| token.id).collect();
        let deposits = tokens.iter().map(|id| (*id, parts.events.of_deposits(ledgers[id].port())));
        let outlets = Outlets {
            deposits: deposits.collect(),
            readings: tokens.iter().map(|id| (*id, ledgers[id].port())).collect(),
            keys: core.builder.port(),
        };
        let config = watch_config(chain, of_chain, tokens);
        let (view, archive) = (core.view.clone(), core.reader.clone());
        let origin = rebuild::watcher(config, outlets, view, archive);
        let (thread, name) = (platform.thread(), watcher_name(chain.id));
        let watcher = platform.start(&thread, &name, MAILBOX, origin).await?;
        let tokens = chain.tokens.iter().map(|token| (token.id, token.address)).collect();
        let contract = Contract { rollup: chain.rollup, tokens };
        let reader = ChainReader { client: Arc::clone(&of_chain.client), contract };
        let (status, heard) = watch::channel(None);
        health.insert(chain.id, heard);
        let (period, stop) = (Duration::from_millis(of_chain.poll_ms), platform.stopping());
        let driver = pull(reader, watcher.port(), watcher.port(), status, period, stop);
        platform.drive(&format!("driver of {name}"), driver);
        watchers.insert(chain.id, watcher);
    }
    let (asked, stop) = (core.builder.port(), platform.stopping());
    let bookmarks = bookmark::drive(health.clone(), asked, core.keep(), BOOKMARK, stop);
    platform.drive("bookmarks", bookmarks);
    Ok((watchers, health))
}

fn watch_config(chain: &DeployedChain, setup: &ChainSetup, tokens: Vec<TokenId>) -> WatchConfig {
    WatchConfig {
        chain: chain.id,
        rollup: chain.rollup,
        recorder: chain.key_recorder,
        first_block: chain.first_block,
        finality: setup.finality,
        max_range: setup.max_log_range,
        checkpoints: 256,
        poll_ms: setup.poll_ms,
        reading_ms: 30 * setup.poll_ms,
        held_max: MAILBOX,
        tokens,
        resume: Serial(0),
    }
}
