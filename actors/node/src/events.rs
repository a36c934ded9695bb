//! What happens in the node, for people who watch: the demo, the log, later subscriptions.
//!
//! Nothing depends on an event being heard. A slow listener misses the oldest ones and is told how many.

use std::sync::Arc;

use tokio::sync::broadcast;
use zklink::amount::Amount;
use zklink::id::{BlockNumber, ChainId, Owner, Serial, ShapeId, TokenId};
use zklink_circuit::groth16::Stage;
use zklink_mechanism::port::{Deliver, Envelope, Port, Refused};
use zklink_prover::prover::{Watching, Work};
use zklink_settlement::driver::{Done, Report};

use crate::merge_ledger::DepositFinal;

/// Events that wait for a slow listener.
const BACKLOG: usize = 1024;

/// Something happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A deposit is final on its chain and goes to the rollup. After a restart, one that the rollup does not have yet
    /// is told again.
    DepositFinal {
        /// The chain where the tokens are locked.
        chain: ChainId,
        /// Its place in the queue of that chain.
        serial: Serial,
        /// The token.
        token: TokenId,
        /// How much, in 18 decimals.
        amount: Amount,
        /// Who gets it.
        owner: Owner,
        /// The transaction on the chain.
        hash: [u8; 32],
    },
    /// A block was sealed.
    BlockSealed {
        /// The block.
        number: BlockNumber,
        /// Its shape.
        shape: ShapeId,
        /// Operations in it.
        ops: usize,
    },
    /// The witness of a block was made.
    WitnessMade {
        /// The block.
        number: BlockNumber,
        /// How long that took, in milliseconds.
        millis: u64,
    },
    /// A prover is at work.
    Proving {
        /// The block.
        number: BlockNumber,
        /// What it does.
        stage: Stage,
        /// The share of the work that is done, 0 to 1.
        done: f32,
    },
    /// A proof was accepted by the feed.
    Proven {
        /// The block.
        number: BlockNumber,
        /// How long the prover took, in milliseconds.
        millis: u64,
    },
    /// A transaction of the settlement was mined.
    Settled {
        /// The chain.
        chain: ChainId,
        /// What it did, such as `commit` or `prove`.
        step: String,
        /// The first and the last block of L2 that it is about, if it is about blocks.
        blocks: Option<(BlockNumber, BlockNumber)>,
        /// The transaction on the chain.
        hash: [u8; 32],
        /// Gas that it used.
        gas: u64,
        /// Whether it succeeded.
        success: bool,
    },
}

/// Where events are told and heard.
#[derive(Clone, Debug)]
pub struct Events(broadcast::Sender<Event>);

impl Events {
    /// Nobody listens yet.
    pub fn new() -> Events {
        Events(broadcast::channel(BACKLOG).0)
    }

    /// Tells an event. That nobody listens is no error.
    pub fn tell(&self, event: Event) {
        drop(self.0.send(event));
    }

    /// A port that goes on to `ledger` and tells of each deposit that is taken there.
    pub fn of_deposits(&self, ledger: Port<DepositFinal>) -> Port<DepositFinal> {
        Port::new(ToldDeposits { ledger, events: self.clone() })
    }

    /// Tells what a prover is at.
    pub fn of_provers(&self) -> Watching {
        let events = self.clone();
        Arc::new(move |work| {
            events.tell(match work {
                Work::Proving { block: number, stage, done } => {
                    Event::Proving { number, stage, done }
                }
                Work::Proven { block: number, millis } => Event::Proven { number, millis },
            });
        })
    }

    /// A report of settlement that also tells each step.
    pub fn of_settlement(&self) -> Report {
        let events = self.clone();
        Report::with_listener(Arc::new(move |done: &Done| {
            events.tell(Event::Settled {
                chain: done.chain,
                step: done.step.name().to_owned(),
                blocks: done.step.blocks().map(|range| (range.first, range.last)),
                hash: done.tx_hash,
                gas: done.gas_used,
                success: true,
            });
        }))
    }

    /// Hears what is told from now on.
    pub fn listen(&self) -> broadcast::Receiver<Event> {
        self.0.subscribe()
    }
}

impl Default for Events {
    fn default() -> Events {
        Events::new()
    }
}

/// See [`Events::of_deposits`].
struct ToldDeposits {
    ledger: Port<DepositFinal>,
    events: Events,
}

impl Deliver<DepositFinal> for ToldDeposits {
    fn deliver(&self, envelope: Envelope<DepositFinal>) -> Result<(), Refused<DepositFinal>> {
        let deposit = &envelope.message.0;
        let event = Event::DepositFinal {
            chain: deposit.chain,
            serial: deposit.serial,
            token: deposit.token,
            amount: deposit.amount,
            owner: deposit.owner,
            hash: deposit.l1_tx,
        };
        let Envelope { message, reply } = envelope;
        self.ledger.tell(message)?;
        self.events.tell(event);
        if let Some(reply) = reply {
            reply.answer(());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use zklink::id::SubAccountId;
    use zklink_mechanism::probe::Inbox;
    use zklink_store::record::FinalDeposit;

    use super::*;

    #[test]
    fn a_deposit_is_told_once_it_is_taken() {
        let (ledger, port) = Inbox::new(0);
        let events = Events::new();
        let (port, mut heard) = (events.of_deposits(port), events.listen());
        let deposit = DepositFinal(FinalDeposit {
            payer: Owner::from_evm([8; 20]),
            chain: ChainId(2),
            serial: Serial(7),
            token: TokenId(17),
            owner: Owner::from_evm([9; 20]),
            sub_account: SubAccountId(0),
            amount: Amount(5),
            l1_tx: [3; 32],
            l1_block: 11,
        });
        assert!(matches!(port.tell(deposit.clone()), Err(Refused::Full(_))));
        assert!(heard.try_recv().is_err(), "it was not taken");
        *ledger.room.lock().unwrap() = 1;
        assert!(port.tell(deposit.clone()).is_ok());
        assert_eq!(ledger.take(), [deposit]);
        let Event::DepositFinal { chain, serial, hash, .. } = heard.try_recv().unwrap() else {
            panic!()
        };
        assert_eq!((chain, serial, hash), (ChainId(2), Serial(7), [3; 32]));
    }
}
