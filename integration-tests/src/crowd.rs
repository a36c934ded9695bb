//! Random users and random trouble, all from a seed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use zklink::id::{AccountId, ChainId, SubAccountId, TokenId};
use zklink::state::State;
use zklink_mechanism::timestamp::Timestamp;
use zklink_mechanism::world::Seed;
use zklink_node::builder::ViewReader;

use crate::auditor::Auditor;
use crate::network::{COIN, HUB, ONE, SPOKE, USD, User, network};
use crate::requests::Requests;
use crate::simulated::{EndpointFault, Fate, SimulatedChainHandle};
use crate::system::{Outsider, System};

/// How often somebody does something, virtual milliseconds.
const ACT_MS: u64 = 150;

/// Users who do things until a time.
pub struct Crowd {
    users: Vec<User>,
    chains: BTreeMap<ChainId, SimulatedChainHandle>,
    auditor: Arc<Mutex<Auditor>>,
    requests: Requests,
    seed: Seed,
    until: Timestamp,
    due: Timestamp,
}

impl Crowd {
    /// Lets the users of a system act for so many virtual milliseconds.
    pub fn begin(system: &System, ms: u64) {
        system.outsider(Crowd {
            users: system.config.users.clone(),
            chains: system.chains.clone(),
            auditor: system.shared_auditor(),
            requests: system.requests.clone(),
            seed: Seed(system.config.seed ^ 0xc0),
            until: system.now().after(ms),
            due: Timestamp(0),
        });
    }

    fn deposit(&mut self, user: &User) {
        let chain = [HUB, SPOKE][self.seed.below_usize(2)];
        let token = [USD, USD, COIN][self.seed.below_usize(3)];
        let decimals = network().tokens[&token].chains[&chain].decimals;
        let units = u128::from(1 + self.seed.below(50)) * 10u128.pow(u32::from(decimals) - 1);
        let call = user.deposit(chain, token, units);
        self.chains[&chain].lock().submit(user.address(), call);
    }

    /// The account of a user, if an archived block and the executed state have it: others may change.
    fn account(&self, user: &User, view: &ViewReader) -> Option<AccountId> {
        let auditor = self.auditor.lock().unwrap_or_else(PoisonError::into_inner);
        let archived = auditor.state().account_of(user.owner());
        archived.filter(|id| view.read().state.account_of(user.owner()) == Some(*id))
    }

    fn act(&mut self) {
        let lane = self.seed.below_usize(self.users.len());
        let user = self.users[lane].clone();
        let kind = self.seed.below(8);
        if kind < 2 || !self.requests.is_idle(lane) {
            return if kind < 2 {
                self.deposit(&user)
            };
        }
        let Some(view) = self.requests.node().map(|node| node.view) else { return };
        let Some(id) = self.account(&user, &view) else { return self.deposit(&user) };
        let view = view.read();
        let account = view.state.account(id);
        let Some(account) = account else { return };
        if account.key.is_none() {
            let nonce = account.nonce.0;
            if kind == 2 {
                let call = user.authorise_on_chain(HUB, nonce);
                self.chains[&HUB].lock().submit(user.address(), call);
            }
            // Without the wallet's signature it is taken only if the chain knows the key, finally.
            self.requests.send(lane, user.set_key(id, nonce, USD, kind > 4), false);
            return;
        }
        let token = [USD, USD, COIN][self.seed.below_usize(3)];
        let tx = self.spend(&user, id, token, &view.state, kind);
        self.requests.send(lane, tx, false);
    }

    /// A payment or a withdrawal; some of them are more than there is.
    fn spend(
        &mut self,
        user: &User,
        id: AccountId,
        token: TokenId,
        state: &State,
        kind: u64,
    ) -> zklink::tx::SignedTx {
        let sub = state.sub_account(id, SubAccountId(0));
        let nonce = sub.map(|sub| sub.nonce.0).unwrap_or_default();
        let have = state.balance(id, SubAccountId(0), token).0;
        // A multiple of a millionth, so that it can be paid out on every chain.
        let amount = have / 10u128.pow(12) * u128::from(self.seed.below(9)) / 8 * 10u128.pow(12);
        if kind < 5 {
            let to = self.seed.below_usize(self.users.len() + 2);
            let to = match self.users.get(to) {
                Some(user) => user.owner(),
                None => User::new(&format!("stranger {}", self.seed.below(50))).owner(),
            };
            return user.transfer(id, nonce, to, token, amount.min(5 * ONE));
        }
        let chain = [HUB, SPOKE][self.seed.below_usize(2)];
        user.withdraw(id, nonce, chain, token, amount)
    }
}

impl Outsider for Crowd {
    fn beat(&mut self, now: Timestamp) {
        if now < self.until && now >= self.due {
            self.due = now.after(self.seed.below(2 * ACT_MS));
            self.act();
        }
    }
}

/// What may go wrong in a time of trouble.
#[derive(Clone, Copy, Debug)]
pub struct Trouble {
    /// Whether the node may crash.
    pub crashes: bool,
    /// Whether chains may be reorganised, below finality.
    pub reorganisations: bool,
    /// Whether endpoints may fail.
    pub endpoints: bool,
}

impl Trouble {
    /// Everything.
    pub const ALL: Trouble = Trouble { crashes: true, reorganisations: true, endpoints: true };

    /// Makes one thing go wrong.
    ///
    /// # Panics
    /// When the node does not start again.
    pub fn strike(self, system: &mut System) {
        let chain = [HUB, SPOKE][system.chance.below_usize(2)];
        match system.chance.below(6) {
            0 if self.crashes => {
                system.crash();
                let ms = system.chance.below(3_000);
                system.run_for(ms);
                system.restart().expect("the node starts again");
            }
            1 | 2 if self.reorganisations => {
                let depth = 1 + system.chance.below(system.config.lag);
                let fate = [Fate::Remined, Fate::Dropped, Fate::Mixed];
                let fate = fate[system.chance.below_usize(3)];
                system.note(format!("chain {chain}: {depth} blocks are reorganised, {fate:?}"));
                let (handle, now) = (system.chains[&chain].clone(), system.now());
                handle.lock().reorganise(depth, fate, &mut system.chance, now);
            }
            3 | 4 if self.endpoints => {
                let number = system.chance.below_usize(crate::system::ENDPOINTS);
                let fault = match system.chance.below(3) {
                    0 => EndpointFault::Dead,
                    1 => EndpointFault::Lagging(1 + system.chance.below(6)),
                    // The watcher's pair must not lie with one voice: that halts the chain until a person looks.
                    _ if number > 0 => EndpointFault::NoLogs,
                    _ => EndpointFault::None,
                };
                system.note(format!("chain {chain}: endpoint {number} has {fault:?}"));
                system.endpoints[&chain][number].set_fault(fault);
            }
            _ => {}
        }
    }

    /// Mends all endpoints.
    pub fn end(system: &mut System) {
        system.note("the trouble ends");
        for endpoint in system.endpoints.values().flatten() {
            endpoint.set_fault(EndpointFault::None);
        }
    }
}
