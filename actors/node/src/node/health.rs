//! How the node is doing, in one place: what each driver said last, and what a person must look at.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::ChainId;
use zklink_mechanism::port::Port;
use zklink_settlement::attester::{AttesterStatus, Refusal};
use zklink_settlement::driver::{Report, SettlementStatus};
use zklink_settlement::{Diverged, Step};

use super::ReadAlarms;
use crate::merge_ledger::Discrepancy;
use crate::watcher::{ChainStatus, Halt};

/// How long the machine that keeps discrepancies may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// Refusals of one step in a row after which a person must look: some minutes' worth, since the pauses in between grow.
const REFUSALS: u32 = 10;

/// How the drivers are doing, for people and for tests.
#[derive(Clone)]
pub struct Health {
    /// The watcher of each chain.
    pub chains: BTreeMap<ChainId, watch::Receiver<Option<ChainStatus>>>,
    /// Settlement on each chain.
    pub settlement: BTreeMap<ChainId, watch::Receiver<SettlementStatus>>,
    /// Each attester of this process, on each chain.
    pub attesters: BTreeMap<(usize, ChainId), watch::Receiver<Option<AttesterStatus>>>,
    /// The steps that settlement took.
    pub report: Report,
    /// What the merge ledgers hold back.
    pub(super) discrepancies: Port<ReadAlarms>,
}

/// Something that does not go on without a person. `docs/operations.md` says what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Alarm {
    /// A token of a chain is held back.
    #[error("{0}")]
    HeldBack(Discrepancy),
    /// A chain is not read any more.
    #[error("chain {chain}: the watcher has halted: {halt}")]
    Halted {
        /// The chain.
        chain: ChainId,
        /// Why.
        halt: Halt,
    },
    /// Nothing more is sent to a chain.
    #[error("chain {chain}: settlement has stopped: {diverged}")]
    Diverged {
        /// The chain.
        chain: ChainId,
        /// Why.
        diverged: Diverged,
    },
    /// A chain refuses a step again and again; the others go on meanwhile.
    #[error("chain {chain}: cannot {step}: {error}")]
    Refused {
        /// The chain.
        chain: ChainId,
        /// What it refuses.
        step: Step,
        /// What was said the last time.
        error: String,
    },
    /// An attester of this process signs nothing more of a chain.
    #[error("attester {attester} signs nothing more of chain {chain}: {refusal}")]
    AttesterStopped {
        /// Which, in the order of the configuration, from zero.
        attester: usize,
        /// The chain.
        chain: ChainId,
        /// Why.
        refusal: Refusal,
    },
}

impl Health {
    /// Everything that a person must look at now.
    pub async fn alarms(&self) -> Vec<Alarm> {
        let mut alarms: Vec<Alarm> =
            self.held_back().await.into_iter().map(Alarm::HeldBack).collect();
        for (chain, status) in &self.chains {
            let halt = status.borrow().as_ref().and_then(|status| status.halted.clone());
            alarms.extend(halt.map(|halt| Alarm::Halted { chain: *chain, halt }));
        }
        for (chain, status) in &self.settlement {
            let diverged = status.borrow().diverged.clone();
            alarms.extend(diverged.map(|diverged| Alarm::Diverged { chain: *chain, diverged }));
            let status = status.borrow();
            let refused = status.failing.iter().filter(|failing| failing.failures >= REFUSALS);
            alarms.extend(refused.map(|failing| {
                let (step, error) = (failing.step.clone(), failing.error.clone());
                Alarm::Refused { chain: *chain, step, error }
            }));
        }
        for ((attester, chain), status) in &self.attesters {
            let (attester, chain) = (*attester, *chain);
            let refusal = status.borrow().as_ref().and_then(|status| status.refusal.clone());
            alarms.extend(refusal.map(|refusal| Alarm::AttesterStopped {
                attester,
                chain,
                refusal,
            }));
        }
        alarms
    }

    /// What the merge ledgers hold back; nothing while the machine that knows does not answer, which the supervisor
    /// reports.
    async fn held_back(&self) -> Vec<Discrepancy> {
        match self.discrepancies.ask(ReadAlarms) {
            Ok(pending) => pending.wait(PATIENCE).await.unwrap_or_default(),
            Err(_) => Vec::new(),
        }
    }

    /// Tells of each alarm when it comes up, and looks each `period`. Runs until it is dropped.
    pub async fn follow(&self, period: Duration, mut tell: impl FnMut(&Alarm)) {
        let mut told = BTreeSet::new();
        loop {
            let alarms = self.alarms().await;
            let texts: BTreeSet<String> = alarms.iter().map(Alarm::to_string).collect();
            for alarm in alarms.iter().filter(|alarm| !told.contains(&alarm.to_string())) {
                tell(alarm);
            }
            // What was mended and comes back is told of again.
            told = texts;
            tokio::time::sleep(period).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use zklink::id::{BlockNumber, Serial, TokenId};
    use zklink_mechanism::port::{Deliver, Envelope, Refused};
    use zklink_mechanism::timestamp::Timestamp;
    use zklink_settlement::Failing;

    use super::*;
    use crate::merge_ledger::Fault;

    /// Answers at once.
    struct Kept(Vec<Discrepancy>);

    impl Deliver<ReadAlarms> for Kept {
        fn deliver(&self, envelope: Envelope<ReadAlarms>) -> Result<(), Refused<ReadAlarms>> {
            let asked = envelope.reply.map(|reply| reply.answer(self.0.clone()));
            asked.ok_or(Refused::Closed(ReadAlarms))
        }
    }

    const CHAIN: ChainId = ChainId(2);

    fn status(halted: Option<Halt>) -> ChainStatus {
        ChainStatus {
            chain: CHAIN,
            goal: None,
            scanned: None,
            next: Serial(0),
            held: 0,
            last_contact: None,
            failures: 0,
            last_error: None,
            bad_keys: 0,
            halted,
            handed: None,
        }
    }

    #[test]
    fn every_kind_of_alarm_is_seen_in_one_place_and_told_once() {
        let fault = Fault::Balance { at_block: 7, balance: 1, locked: 2 };
        let discrepancy = Discrepancy { chain: CHAIN, token: TokenId(17), fault };
        let (watcher, chain) = watch::channel(Some(status(None)));
        let (settler, settlement) = watch::channel(SettlementStatus::default());
        let stopped = AttesterStatus {
            chain: CHAIN,
            scanned: None,
            offered: 0,
            last_contact: None,
            failures: 0,
            last_error: None,
            refusal: Some(Refusal::Lost),
        };
        let (_attester, attested) = watch::channel(Some(stopped));
        let health = Health {
            chains: [(CHAIN, chain)].into(),
            settlement: [(CHAIN, settlement)].into(),
            attesters: [((1, CHAIN), attested)].into(),
            report: Report::default(),
            discrepancies: Port::new(Kept(vec![discrepancy.clone()])),
        };
        let mut told = Vec::new();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let lines = health.follow(Duration::from_millis(1), |alarm| told.push(alarm.clone()));
            drop(tokio::time::timeout(Duration::from_millis(20), lines).await);
            let refusal = Refusal::Lost;
            let held = Alarm::HeldBack(discrepancy);
            let attester = Alarm::AttesterStopped { attester: 1, chain: CHAIN, refusal };
            assert_eq!(told, [held.clone(), attester.clone()], "each once");

            let (halt, diverged) = (Halt::Vanished(Serial(3)), Diverged::Root(BlockNumber(4)));
            watcher.send_replace(Some(status(Some(halt.clone()))));
            settler.send_modify(|status| status.diverged = Some(diverged.clone()));
            let (halt, diverged) =
                (Alarm::Halted { chain: CHAIN, halt }, Alarm::Diverged { chain: CHAIN, diverged });
            assert_eq!(
                health.alarms().await,
                [&held, &halt, &diverged, &attester].map(Clone::clone)
            );

            let step = Step::Ack(BlockNumber(4));
            for (failures, alarmed) in [(REFUSALS - 1, false), (REFUSALS, true)] {
                let (step, error, again) = (step.clone(), "no".to_owned(), Timestamp(0));
                let failing = Failing { step: step.clone(), failures, error, again };
                settler.send_modify(|status| status.failing = vec![failing]);
                let refused = Alarm::Refused { chain: CHAIN, step, error: "no".to_owned() };
                assert_eq!(health.alarms().await.contains(&refused), alarmed, "{failures}");
            }
        });
    }
}
