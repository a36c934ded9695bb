//! The attestation book, the attesters of this process, and a settler for each chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::account::EthKey;
use zklink_chain::deploy::DeployedChain;
use zklink_chain::sender::Sender;
use zklink_mechanism::port::Port;
use zklink_mechanism::shell::Thread;
use zklink_mechanism::supervised::Origin;
use zklink_settlement::attester::AttesterStatus;
use zklink_settlement::book::{Attestation, AttestationBook, WhatNext};
use zklink_settlement::driver::{Done, Report, SettlementStatus, Settler};
use zklink_settlement::{Calldata, Contracts, HubNews, HubReader, Periods, routes_to};

use super::attesting::{AttesterSetup, ChainReading, start_attester};
use super::core::Core;
use super::{ChainSetup, Drivers, MAILBOX, Setup, StartError};
use crate::events::{Event, Events};
use crate::node::follow::{ArchivedBlocks, groth16_form};
use crate::node::hub;

pub(super) type AttesterHealth =
    BTreeMap<(usize, ChainId), watch::Receiver<Option<AttesterStatus>>>;

/// What settlement shows to others.
pub(super) struct Settling {
    pub(super) status: BTreeMap<ChainId, watch::Receiver<SettlementStatus>>,
    pub(super) attesters: AttesterHealth,
    /// Where signatures go, also those of other processes.
    pub(super) attest: Port<Attestation>,
    pub(super) report: Report,
    pub(super) hub: HubNews,
}

/// The attestation book, the attesters of this process, and a settler for each chain.
pub(super) async fn start_settlement(
    setup: &Setup,
    core: &mut Core,
    drivers: &mut Drivers,
    events: &Events,
) -> Result<Settling, StartError> {
    let deployment = &setup.deployment;
    let oracles: BTreeMap<ChainId, Address> =
        deployment.chains.iter().map(|chain| (chain.id, chain.oracle)).collect();
    let attesters = deployment.attesters.iter().map(|address| address.0).collect();
    let threshold = usize::try_from(deployment.threshold).unwrap_or(usize::MAX);
    let (id, attesters): (_, BTreeSet<_>) = (deployment.deployment_id, attesters);
    // The attesters offer again what a chain has not taken, so a new book fills by itself.
    let origin = Origin::rebuilt(move || {
        Ok(AttestationBook::new(id, oracles.clone(), attesters.clone(), threshold))
    });
    let book = core.host.start(&Thread::start(), "attestation-book", MAILBOX, origin).await?;
    let attestations: Port<Attestation> = book.port();
    let mut attesters = AttesterHealth::new();
    for (number, key) in setup.attesters.iter().enumerate() {
        let (name, book) = (format!("attester-{number}"), attestations.clone());
        let of_attester = attester_setup(setup, number, key);
        let started = start_attester(&mut core.host, drivers, &name, &of_attester, book).await?;
        attesters.extend(started.into_iter().map(|(chain, heard)| ((number, chain), heard)));
    }
    let heard = events.clone();
    let report = Report::with_listener(Arc::new(move |done: &Done| heard.tell(settled(done))));
    let source = Arc::new(ArchivedBlocks::new(core.archive.clone(), groth16_form));
    let ids: Vec<ChainId> = deployment.chains.iter().map(|chain| chain.id).collect();
    let next: Port<WhatNext> = book.port();
    let hub_client = Arc::clone(&setup.chains[&deployment.hub].client);
    let contract = deployment.hub_contracts().1.contract;
    let of_hub = periods(setup, deployment.hub);
    let (reader, news) = HubReader::new(hub_client, contract, ids.clone(), source.clone(), of_hub);
    let (builder, blocks) = (core.builder.port(), source.clone());
    let reading = reader.run(move |tip| hub::tell(tip, &*blocks, &builder), drivers.stop.clone());
    drivers.start("hub reader".to_owned(), reading);
    let mut health = BTreeMap::new();
    for chain in &deployment.chains {
        let of_chain = &setup.chains[&chain.id];
        let sender = Sender::new(
            Arc::clone(&of_chain.client),
            of_chain.sender_key.clone(),
            chain.evm_chain_id,
            of_chain.send.clone(),
        );
        let settler = Settler {
            chain: chain.id,
            hub_id: deployment.hub,
            contracts: contracts_of(chain),
            sender,
            hub: news.clone(),
            source: source.clone(),
            routes: routes_to(chain.id, deployment.hub, ids.clone(), chain.oracle, &next),
            publication: Arc::new(Calldata),
            report: report.clone(),
            max_log_range: of_chain.max_log_range,
            periods: periods(setup, chain.id),
        };
        let (status, status_heard) = watch::channel(SettlementStatus::default());
        health.insert(chain.id, status_heard);
        let driver = settler.run(status, drivers.stop.clone());
        drivers.start(format!("settlement on chain {}", chain.id), driver);
    }
    Ok(Settling { status: health, attesters, attest: attestations, report, hub: news })
}

fn periods(setup: &Setup, chain: ChainId) -> Periods {
    Periods::new(setup.chains[&chain].poll_ms)
}

fn contracts_of(chain: &DeployedChain) -> Contracts {
    Contracts {
        rollup: chain.rollup,
        hub: chain.hub.map(|hub| hub.contract),
        oracle: chain.oracle,
        first_block: chain.first_block,
    }
}

fn settled(done: &Done) -> Event {
    Event::Settled {
        chain: done.chain,
        step: done.step.name().to_owned(),
        blocks: done.step.blocks().map(|range| (range.first, range.last)),
        hash: done.tx_hash,
        gas: done.gas_used,
        success: true,
    }
}

fn attester_setup(setup: &Setup, number: usize, key: &EthKey) -> AttesterSetup {
    let reading = |chain: &ChainSetup| ChainReading {
        client: Arc::clone(&chain.client),
        finality: chain.finality,
        max_log_range: chain.max_log_range,
        poll_ms: chain.poll_ms,
    };
    AttesterSetup {
        deployment: setup.deployment.clone(),
        chains: setup.chains.iter().map(|(id, chain)| (*id, reading(chain))).collect(),
        key: key.clone(),
        history: setup.data.join(format!("attester-{number}.history")),
    }
}
