//! What the node in the World is made of: simulated parts where a node in a process has real ones.

use std::sync::Arc;

use zklink::fees::FeeTable;
use zklink::id::ChainId;
use zklink_chain::account::EthKey;
use zklink_chain::client::ChainClient;
use zklink_chain::finality::Finality;
use zklink_chain::pair::Paired;
use zklink_chain::sender::SendPolicy;
use zklink_node::events::Events;
use zklink_node::node::wiring::{Parts, ProvingParts};
use zklink_node::node::{AttesterSetup, Bounds, ChainReading, ChainSetup};
use zklink_prover::feed::{self, ProverId};
use zklink_prover::prover::Proving;
use zklink_settlement::attester::history::History;
use zklink_transport::Workers;

use super::{ENDPOINTS, System};
use crate::network::{HUB, attesters, deployment, genesis, validator};
use crate::simulated::{Character, SimulatedProving, check_simulated_proof};

/// The most blocks in one question for events.
const LOG_RANGE: u64 = 8;
/// The bounds of the prover feed; leases are short, so that tests see them run out.
const FEED: feed::Config = feed::Config {
    jobs_max: 64,
    witness_bytes_max: 64 << 20,
    proof_bytes_max: 1024,
    provers_max: 64,
    lease_ms: 5_000,
    alive_ms: 10_000,
    strikes_max: 3,
    bar_ms: 30_000,
};

impl System {
    /// The parts of the node, but for its log.
    pub(super) fn parts(&self) -> Parts {
        let provers = self.config.provers.iter().enumerate();
        let proving = ProvingParts {
            check: Arc::new(check_simulated_proof),
            // Proofs are handed on as they are stored, because here they are not Groth16 proofs.
            form: |proof| Ok(proof.to_vec()),
            provers: provers.map(|(number, character)| prover(number, *character)).collect(),
            feed: FEED,
        };
        let attesters = attesters().into_iter().enumerate();
        let hub = self.chain(HUB).final_contracts();
        Parts {
            deployment: deployment(),
            genesis: genesis(),
            proven: hub.hub.as_ref().map(|hub| hub.proven).unwrap_or_default(),
            store: Arc::new(self.store.clone()),
            chains: self.chains.keys().map(|id| (*id, self.chain_setup(*id))).collect(),
            attesters: attesters.map(|(number, key)| self.attester(number, key)).collect(),
            proving,
            workers: Workers::default(),
            builder: self.config.builder,
            fees: FeeTable::default(),
            mailbox: self.config.mailbox,
            snapshot_records: self.config.snapshot_records,
            disk: None,
            alarms: Bounds::default(),
            events: Events::new(),
            report: self.report.clone(),
        }
    }

    fn chain_setup(&self, id: ChainId) -> ChainSetup {
        let [first, second] = [0, 1].map(|number| self.client(id, number));
        ChainSetup {
            client: Arc::new(Paired::new(first, second, false)),
            sender_key: validator(),
            finality: Finality::FINALIZED,
            max_log_range: LOG_RANGE,
            poll_ms: self.config.poll_ms,
            send: SendPolicy { poll_ms: self.config.poll_ms, ..SendPolicy::default() },
        }
    }

    fn client(&self, id: ChainId, number: usize) -> Arc<dyn ChainClient> {
        Arc::new(self.endpoints[&id][number].clone())
    }

    /// An attester with an endpoint of its own on each chain.
    fn attester(&self, number: usize, key: EthKey) -> AttesterSetup {
        let chains = self.chains.keys().map(|id| {
            let reading = ChainReading {
                client: self.client(*id, number % ENDPOINTS),
                finality: Finality::FINALIZED,
                max_log_range: LOG_RANGE,
                poll_ms: self.config.poll_ms,
            };
            (*id, reading)
        });
        AttesterSetup {
            deployment: deployment(),
            chains: chains.collect(),
            key,
            // Here an attester that is built again has forgotten what it signed; on disk it has not.
            history: Arc::new(|| Ok(History::in_memory())),
        }
    }
}

fn prover(number: usize, character: Character) -> (ProverId, Arc<dyn Proving>) {
    let name = ProverId::new(&format!("simulated-{number}")).expect("a plain name");
    (name, Arc::new(SimulatedProving(character)))
}
