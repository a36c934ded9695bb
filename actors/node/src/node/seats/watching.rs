//! For each token its merge ledger, for each chain its watcher with a driver.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use zklink::amount::Amount;
use zklink::id::{ChainId, Serial, TokenId};
use zklink::token::Network;
use zklink_chain::deploy::DeployedChain;
use zklink_mechanism::port::Port;
use zklink_mechanism::shell::{MachineRef, Thread};
use zklink_mechanism::supervised::Origin;
use zklink_mechanism::supervisor::RetoldBy;

use super::core::Core;
use super::{Drivers, MAILBOX, Setup, StartError, ledger_name};
use crate::events::Events;
use crate::merge_ledger::{ChainConfig, Config as MergeConfig, MergeLedger};
use crate::node::follow::NodePools;
use crate::node::{ChainSetup, HeldBack, ReadHeldBack, rebuild};
use crate::pool_history::PoolHistory;
use crate::watcher::{self, ChainStatus, Outlets, WatchConfig, bookmark};

/// How often it is kept how far the chains were read.
const BOOKMARK: Duration = Duration::from_secs(5);

/// Name of the watcher of a chain.
fn watcher_name(chain: ChainId) -> String {
    format!("watcher-{chain}")
}

pub(super) type Ledgers = BTreeMap<TokenId, MachineRef<MergeLedger>>;
pub(super) type ChainHealth = BTreeMap<ChainId, watch::Receiver<Option<ChainStatus>>>;

/// For each token its merge ledger; and who knows what they hold back.
pub(super) async fn start_ledgers(
    network: &Network,
    core: &mut Core,
    history: &PoolHistory,
) -> Result<(Ledgers, Port<ReadHeldBack>), StartError> {
    // Nobody tells an alarm twice, so this machine is not rebuilt.
    let alarms = Origin::Once(HeldBack::default());
    let alarms = core.host.start(&Thread::start(), "alarms", MAILBOX, alarms).await?;
    let thread = Thread::start();
    let mut ledgers = BTreeMap::new();
    for (id, token) in &network.tokens {
        let chains = token
            .chains
            .iter()
            .map(|(chain, l1)| (*chain, ChainConfig { token: *l1, cap: Amount(1 << 120) }));
        let config = MergeConfig {
            token: *id,
            chains: chains.collect(),
            merge_cap: Amount(1 << 126),
            kept_max: MAILBOX,
        };
        let (view, archive) = (core.view.clone(), core.archive.clone());
        let pools = NodePools { view, history: history.clone(), archive };
        let (credit, alarm) = (core.builder.port(), alarms.port());
        let origin = rebuild::merge_ledger(config, pools, credit, alarm);
        let name = ledger_name(*id);
        let seat = core.host.start(&thread, &name, MAILBOX, origin).await?;
        // A ledger that was built anew knows no deposit: the watchers read them again.
        let sources = token.chains.keys().map(|chain| watcher_name(*chain)).collect();
        let retold: Port<RetoldBy> = core.supervisor.port();
        drop(retold.tell(RetoldBy { machine: name, sources }));
        core.ticks.push(seat.port());
        ledgers.insert(*id, seat);
    }
    Ok((ledgers, alarms.port()))
}

/// For each chain its watcher with a driver.
pub(super) async fn start_watchers(
    setup: &Setup,
    core: &mut Core,
    drivers: &mut Drivers,
    ledgers: &Ledgers,
    events: &Events,
) -> Result<ChainHealth, StartError> {
    let mut health = BTreeMap::new();
    for chain in &setup.deployment.chains {
        let of_chain = &setup.chains[&chain.id];
        let tokens: Vec<TokenId> = chain.tokens.iter().map(|token| token.id).collect();
        let outlets = Outlets {
            deposits: tokens
                .iter()
                .map(|id| (*id, events.of_deposits(ledgers[id].port())))
                .collect(),
            readings: tokens.iter().map(|id| (*id, ledgers[id].port())).collect(),
            keys: core.builder.port(),
        };
        let config = watch_config(chain, of_chain, tokens);
        let (view, archive) = (core.view.clone(), core.archive.clone());
        let origin = rebuild::watcher(config, outlets, view, archive);
        let name = watcher_name(chain.id);
        let seat = core.host.start(&Thread::start(), &name, MAILBOX, origin).await?;
        let contract = watcher::driver::Contract {
            rollup: chain.rollup,
            tokens: chain.tokens.iter().map(|token| (token.id, token.address)).collect(),
        };
        let (status, heard) = watch::channel(None);
        health.insert(chain.id, heard);
        let driver = watcher::driver::run(
            Arc::clone(&of_chain.client),
            contract,
            seat.port(),
            seat.port(),
            status,
            Duration::from_millis(of_chain.poll_ms),
            drivers.stop.clone(),
        );
        drivers.start(format!("driver of {name}"), driver);
    }
    let stop = drivers.stop.clone();
    let (asked, keep) = (core.builder.port(), core.keep.clone());
    let bookmarks = bookmark::drive(health.clone(), asked, keep, BOOKMARK, stop);
    drivers.start("bookmarks".to_owned(), bookmarks);
    Ok(health)
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
