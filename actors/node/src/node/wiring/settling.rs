//! The attestation book, the attesters beside the node, and a settler for each chain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::sync::watch;
use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::deploy::DeployedChain;
use zklink_chain::sender::Sender;
use zklink_mechanism::platform::{Platform, Reach};
use zklink_mechanism::port::Port;
use zklink_mechanism::supervised::Origin;
use zklink_settlement::attester::AttesterStatus;
use zklink_settlement::book::{AttestationBook, WhatNext};
use zklink_settlement::driver::{SettlementStatus, Settler};
use zklink_settlement::{Calldata, Contracts, HubNews, HubReader, Periods, routes_to};

use super::attesting::start_attester;
use super::{Core, MAILBOX, Parts, StartError};
use crate::node::follow::ArchivedBlocks;
use crate::node::hub;

type AttesterHealth = BTreeMap<(usize, ChainId), watch::Receiver<Option<AttesterStatus>>>;

/// What settlement shows to others.
pub(super) struct Settling<P: Platform> {
    pub(super) book: P::Ref<AttestationBook>,
    pub(super) status: BTreeMap<ChainId, watch::Receiver<SettlementStatus>>,
    pub(super) attesters: AttesterHealth,
    pub(super) hub: HubNews,
}

/// The attestation book, the attesters beside the node, and a settler for each chain.
pub(super) async fn start_settlement<P: Platform>(
    platform: &mut P,
    core: &Core<P>,
    parts: &Parts,
) -> Result<Settling<P>, StartError> {
    let book = start_book(platform, parts).await?;
    let mut attesters = AttesterHealth::new();
    for (number, setup) in parts.attesters.iter().enumerate() {
        let name = format!("attester-{number}");
        let started = start_attester(platform, &name, setup, book.port()).await?;
        attesters.extend(started.into_iter().map(|(chain, heard)| ((number, chain), heard)));
    }
    let source = Arc::new(ArchivedBlocks::new(core.reader.clone(), parts.proving.form));
    let hub = start_hub_reader(platform, core, parts, &source);
    let next = book.port();
    let status = start_settlers(platform, parts, &source, &hub, &next);
    Ok(Settling { book, status, attesters, hub })
}

async fn start_book<P: Platform>(
    platform: &mut P,
    parts: &Parts,
) -> Result<P::Ref<AttestationBook>, StartError> {
    let deployment = &parts.deployment;
    let oracles: BTreeMap<ChainId, Address> =
        deployment.chains.iter().map(|chain| (chain.id, chain.oracle)).collect();
    let attesters: BTreeSet<_> = deployment.attesters.iter().map(|address| address.0).collect();
    let threshold = usize::try_from(deployment.threshold).unwrap_or(usize::MAX);
    let id = deployment.deployment_id;
    // The attesters offer again what a chain has not taken, so a new book fills by itself.
    let origin = Origin::rebuilt(move || {
        Ok(AttestationBook::new(id, oracles.clone(), attesters.clone(), threshold))
    });
    let thread = platform.thread();
    Ok(platform.start(&thread, "attestation-book", MAILBOX, origin).await?)
}

fn start_hub_reader<P: Platform>(
    platform: &mut P,
    core: &Core<P>,
    parts: &Parts,
    source: &Arc<ArchivedBlocks>,
) -> HubNews {
    let deployment = &parts.deployment;
    let client = Arc::clone(&parts.chains[&deployment.hub].client);
    let contract = deployment.hub_contracts().1.contract;
    let ids = deployment.chains.iter().map(|chain| chain.id).collect();
    let of_hub = periods(parts, deployment.hub);
    let (reader, news) = HubReader::new(client, contract, ids, source.clone(), of_hub);
    let (builder, blocks) = (core.builder.port(), Arc::clone(source));
    let reading = reader.run(move |tip| hub::tell(tip, &*blocks, &builder), platform.stopping());
    platform.drive("hub reader", reading);
    news
}

fn start_settlers<P: Platform>(
    platform: &mut P,
    parts: &Parts,
    source: &Arc<ArchivedBlocks>,
    hub: &HubNews,
    next: &Port<WhatNext>,
) -> BTreeMap<ChainId, watch::Receiver<SettlementStatus>> {
    let deployment = &parts.deployment;
    let ids: Vec<ChainId> = deployment.chains.iter().map(|chain| chain.id).collect();
    let mut health = BTreeMap::new();
    for chain in &deployment.chains {
        let of_chain = &parts.chains[&chain.id];
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
            hub: hub.clone(),
            source: source.clone(),
            routes: routes_to(chain.id, deployment.hub, ids.clone(), chain.oracle, next),
            publication: Arc::new(Calldata),
            report: parts.report.clone(),
            max_log_range: of_chain.max_log_range,
            periods: periods(parts, chain.id),
        };
        let (status, heard) = watch::channel(SettlementStatus::default());
        health.insert(chain.id, heard);
        let driver = settler.run(status, platform.stopping());
        platform.drive(&format!("settlement on chain {}", chain.id), driver);
    }
    health
}

fn periods(parts: &Parts, chain: ChainId) -> Periods {
    Periods::new(parts.chains[&chain].poll_ms)
}

fn contracts_of(chain: &DeployedChain) -> Contracts {
    Contracts {
        rollup: chain.rollup,
        hub: chain.hub.map(|hub| hub.contract),
        oracle: chain.oracle,
        first_block: chain.first_block,
    }
}
