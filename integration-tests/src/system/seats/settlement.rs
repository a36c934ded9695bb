//! The attestation book, the attesters, and settlement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use zklink::id::ChainId;
use zklink::token::Address;
use zklink_chain::client::ChainClient;
use zklink_chain::finality::Finality;
use zklink_mechanism::port::Port;
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::world::MachineRef;
use zklink_node::node::follow::ArchivedBlocks;
use zklink_settlement::attester::driver::Line;
use zklink_settlement::attester::history::History;
use zklink_settlement::attester::{AttestedChain, Attester, AttesterConfig};
use zklink_settlement::book::{Attestation, AttestationBook};
use zklink_settlement::{Periods, RefundSearch, Retries, routes_to};
use zklink_store::archive::ArchiveReader;

use super::Seating;
use crate::drivers::read::{AttesterReader, ReadLoop};
use crate::drivers::settle::{SettleLoop, Stage};
use crate::drivers::start as start_driver;
use crate::network::{DEPLOYMENT, HUB, THRESHOLD, attesters, oracle, settled_contracts, validator};
use crate::system::ENDPOINTS;

/// The attestation book, the attesters, and a settler for each chain.
pub(super) fn start(
    seating: &mut Seating<'_>,
    reader: &ArchiveReader,
) -> MachineRef<AttestationBook> {
    let system = seating.system;
    let oracles: BTreeMap<ChainId, Address> =
        system.chains.keys().map(|id| (*id, oracle(*id))).collect();
    let addresses: BTreeSet<_> = attesters().iter().map(|key| key.address()).collect();
    let book = seating.seat_follower("attestation-book", move || {
        AttestationBook::new(DEPLOYMENT, oracles.clone(), addresses.clone(), THRESHOLD)
    });
    for number in 0..attesters().len() {
        start_attester(seating, number, &book);
    }
    // Proofs are handed on as they are stored, because here they are not Groth16 proofs.
    let source = Arc::new(ArchivedBlocks::new(reader.clone(), |proof| Ok(proof.to_vec())));
    let contracts = settled_contracts();
    let client =
        |id: ChainId| -> Arc<dyn ChainClient> { Arc::new(system.endpoints[&id][0].clone()) };
    for (id, pool) in &system.chains {
        let settler = SettleLoop {
            chain: *id,
            hub_id: HUB,
            contracts: contracts.clone(),
            client: client(*id),
            hub: client(HUB),
            pool: pool.clone(),
            validator: validator(),
            source: source.clone(),
            routes: routes_to(*id, HUB, contracts.keys().copied(), oracle(*id), &book.port()),
            book: book.port(),
            log: system.settlement.clone(),
            retries: Retries::new(system.config.poll_ms),
            refunds: RefundSearch::default(),
            period_ms: system.config.poll_ms,
            stage: Stage::Idle,
            due: Timestamp(0),
            failures: 0,
        };
        start_driver(&system.world, &seating.running, settler);
    }
    book
}

fn start_attester(seating: &mut Seating<'_>, number: usize, book: &MachineRef<AttestationBook>) {
    let system = seating.system;
    let chains = system.chains.keys().map(|id| {
        let attested = AttestedChain {
            oracle: oracle(*id),
            first_block: 1,
            finality: Finality::FINALIZED,
            max_range: 8,
            checkpoints: 256,
            periods: Periods::new(system.config.poll_ms),
        };
        (*id, attested)
    });
    let config =
        AttesterConfig { deployment: DEPLOYMENT, chains: chains.collect(), offer_ms: 1_000 };
    let (key, offers): (_, Port<Attestation>) = (attesters()[number].clone(), book.port());
    // Here an attester that is built again has forgotten what it signed; on disk it has not.
    let place = seating.seat_follower(&format!("attester-{number}"), move || {
        Attester::new(config.clone(), key.clone(), History::in_memory(), offers.clone())
    });
    for id in system.chains.keys() {
        let others = system.chains.keys().copied();
        let partners = others.filter(|other| other != id && [*other, *id].contains(&HUB));
        let endpoint = system.endpoints[id][number % ENDPOINTS].clone();
        let line = Line {
            chain: *id,
            client: Arc::new(endpoint),
            oracle: oracle(*id),
            partners: partners.collect(),
        };
        let reader = AttesterReader { line };
        let period = system.config.poll_ms;
        let driver = ReadLoop::new(reader, place.port(), place.port(), period);
        start_driver(&system.world, &seating.running, driver);
    }
}
