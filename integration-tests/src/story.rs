//! A short story with a cause for every step, so that its end does not depend on when things happen.
//!
//! Carol deposits on the hub. Then Alice deposits on the spoke, sets her key, pays Bob, who has no account, and
//! withdraws on the hub. Then Bob sets his key and withdraws on the hub as well.

use std::sync::{Arc, Mutex, PoisonError};

use zklink::id::{AccountId, ChainId};
use zklink::tx::TxHash;
use zklink_mechanism::timestamp::Timestamp;

use crate::auditor::Auditor;
use crate::network::{HUB, ONE, SPOKE, USD, User};
use crate::requests::Requests;
use crate::simulated::SimulatedChainHandle;
use crate::system::{Outsider, System};

/// What Alice deposits on the spoke, with 18 decimals as there.
pub const ALICE_DEPOSITS: u128 = 100 * ONE;
/// What Carol deposits on the hub, which has six decimals.
pub const CAROL_DEPOSITS: u128 = 500 * 1_000_000;
/// What Bob is paid.
pub const BOB_GETS: u128 = 40 * ONE;
/// What Alice withdraws on the hub.
pub const ALICE_WITHDRAWS: u128 = 30 * ONE;
/// What Bob withdraws on the hub.
pub const BOB_WITHDRAWS: u128 = 10 * ONE;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chapter {
    Start,
    CarolDeposits,
    AliceDeposits,
    AlicePays(TxHash),
    BobWithdraws,
}

/// The story as an actor.
pub struct Story {
    users: [User; 3],
    chains: [SimulatedChainHandle; 2],
    auditor: Arc<Mutex<Auditor>>,
    requests: Requests,
    chapter: Arc<Mutex<Chapter>>,
}

/// How far the story is. It outlives the node.
#[derive(Clone, Debug)]
pub struct Told(Arc<Mutex<Chapter>>);

impl Told {
    /// Whether everything was sent and acknowledged.
    pub fn is_over(&self, system: &System) -> bool {
        let chapter = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        chapter == Chapter::BobWithdraws && system.requests.open() == 0
    }
}

impl Story {
    /// Begins the story in a system.
    pub fn begin(system: &System) -> Told {
        let chapter = Arc::new(Mutex::new(Chapter::Start));
        system.outsider(Story {
            users: ["alice", "bob", "carol"].map(User::new),
            chains: [HUB, SPOKE].map(|id: ChainId| system.chains[&id].clone()),
            auditor: system.shared_auditor(),
            requests: system.requests.clone(),
            chapter: Arc::clone(&chapter),
        });
        Told(chapter)
    }

    /// The account of a user, once an archived block has it: from then on it is that one for ever.
    fn account(&self, user: &User) -> Option<AccountId> {
        let auditor = self.auditor.lock().unwrap_or_else(PoisonError::into_inner);
        auditor.state().account_of(user.owner())
    }

    fn next(&self, chapter: Chapter) -> Option<Chapter> {
        let [alice, bob, carol] = &self.users;
        let [hub, spoke] = &self.chains;
        match chapter {
            Chapter::Start => {
                let call = carol.deposit(HUB, USD, CAROL_DEPOSITS);
                hub.lock().submit(carol.address(), call);
                Some(Chapter::CarolDeposits)
            }
            Chapter::CarolDeposits => {
                self.account(carol)?;
                let call = alice.deposit(SPOKE, USD, ALICE_DEPOSITS);
                spoke.lock().submit(alice.address(), call);
                Some(Chapter::AliceDeposits)
            }
            Chapter::AliceDeposits => {
                let id = self.account(alice)?;
                self.requests.send(0, alice.set_key(id, 0, USD, true), true);
                let pays = alice.transfer(id, 0, bob.owner(), USD, BOB_GETS);
                let pays = self.requests.send(0, pays, true);
                self.requests.send(0, alice.withdraw(id, 1, HUB, USD, ALICE_WITHDRAWS), true);
                Some(Chapter::AlicePays(pays))
            }
            Chapter::AlicePays(pays) => {
                let id = self.account(bob).filter(|_| self.requests.is_accepted(pays))?;
                self.requests.send(1, bob.set_key(id, 0, USD, true), true);
                self.requests.send(1, bob.withdraw(id, 0, HUB, USD, BOB_WITHDRAWS), true);
                Some(Chapter::BobWithdraws)
            }
            Chapter::BobWithdraws => None,
        }
    }
}

impl Outsider for Story {
    fn beat(&mut self, _: Timestamp) {
        let chapter = *self.chapter.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(next) = self.next(chapter) {
            *self.chapter.lock().unwrap_or_else(PoisonError::into_inner) = next;
        }
    }
}
