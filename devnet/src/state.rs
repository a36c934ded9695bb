//! Accounts and storage, with an undo record per block.
//!
//! One copy of the state is kept, that of the latest block. Each block adds the old values of what
//! it changed, so an older state is read through the undo records after it, a rollback applies
//! them, and an empty block costs nothing.

use std::collections::BTreeMap;
use std::convert::Infallible;

use alloy_primitives::{Address, B256, KECCAK256_EMPTY, Keccak256, U256};
use revm::DatabaseRef;
use revm::bytecode::Bytecode;
use revm::state::{Account as TouchedAccount, AccountInfo, EvmState};

/// An account without its storage and code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) nonce: u64,
    pub(crate) balance: U256,
    pub(crate) code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK256_EMPTY }
    }
}

type Slot = (Address, U256);

/// The state of the latest block.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    accounts: BTreeMap<Address, Account>,
    slots: BTreeMap<Slot, U256>,
    /// Code by its hash. It is never removed: it is found by content, so keeping it is harmless.
    codes: BTreeMap<B256, Bytecode>,
}

/// The old values of what a block changed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Undo {
    accounts: BTreeMap<Address, Option<Account>>,
    slots: BTreeMap<Slot, U256>,
}

impl Undo {
    fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.slots.is_empty()
    }
}

impl State {
    pub(crate) fn account(&self, address: &Address) -> Account {
        self.accounts.get(address).cloned().unwrap_or_default()
    }

    /// Sets a balance outside of any transaction.
    pub(crate) fn set_balance(&mut self, address: Address, balance: U256, undo: &mut Undo) {
        let account = Account { balance, ..self.account(&address) };
        self.put_account(address, Some(account), undo);
    }

    /// Applies what a transaction changed.
    pub(crate) fn apply(&mut self, changes: EvmState, undo: &mut Undo) {
        for (address, touched) in changes {
            // An account that was only read needs no write (EIP-161 speaks of touched ones).
            if touched.is_touched() {
                self.apply_account(address, touched, undo);
            }
        }
    }

    fn apply_account(&mut self, address: Address, touched: TouchedAccount, undo: &mut Undo) {
        let gone = touched.is_selfdestructed();
        if gone || touched.is_created() {
            self.clear_slots(address, undo);
        }
        if gone || touched.info.is_empty() {
            self.put_account(address, None, undo);
            return;
        }
        let info = touched.info;
        if let Some(code) = info.code.filter(|code| !code.is_empty()) {
            self.codes.entry(info.code_hash).or_insert(code);
        }
        // revm may leave the zero hash for "no code" in accounts that it made.
        let code_hash = if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
        let account = Account { nonce: info.nonce, balance: info.balance, code_hash };
        self.put_account(address, Some(account), undo);
        for (index, slot) in touched.storage {
            if slot.is_changed() {
                self.put_slot((address, index), slot.present_value(), undo);
            }
        }
    }

    fn clear_slots(&mut self, address: Address, undo: &mut Undo) {
        let all = (address, U256::ZERO)..=(address, U256::MAX);
        let keys: Vec<Slot> = self.slots.range(all).map(|(key, _)| *key).collect();
        for key in keys {
            self.put_slot(key, U256::ZERO, undo);
        }
    }

    fn put_account(&mut self, address: Address, account: Option<Account>, undo: &mut Undo) {
        let old = match account {
            Some(account) => self.accounts.insert(address, account),
            None => self.accounts.remove(&address),
        };
        undo.accounts.entry(address).or_insert(old);
    }

    fn put_slot(&mut self, key: Slot, value: U256, undo: &mut Undo) {
        let old =
            if value.is_zero() { self.slots.remove(&key) } else { self.slots.insert(key, value) };
        undo.slots.entry(key).or_insert(old.unwrap_or_default());
    }

    /// Takes back what an undo record covers. Records are applied from the newest to the oldest.
    pub(crate) fn revert(&mut self, undo: Undo) {
        let mut ignored = Undo::default();
        for (address, account) in undo.accounts {
            self.put_account(address, account, &mut ignored);
        }
        for (key, value) in undo.slots {
            self.put_slot(key, value, &mut ignored);
        }
    }

    /// The stand-in for the state root: a digest of the parent's and of every value that the block
    /// changed, in order. Equal histories give equal roots, and a different change a different one.
    /// Nothing can be proved against it.
    pub(crate) fn next_root(&self, parent: B256, undo: &Undo) -> B256 {
        if undo.is_empty() {
            return parent;
        }
        let mut digest = Keccak256::new();
        digest.update(parent);
        for address in undo.accounts.keys() {
            let account = self.account(address);
            digest.update(address);
            digest.update(account.nonce.to_be_bytes());
            digest.update(account.balance.to_be_bytes::<32>());
            digest.update(account.code_hash);
        }
        for key in undo.slots.keys() {
            digest.update(key.0);
            digest.update(key.1.to_be_bytes::<32>());
            digest.update(self.slots.get(key).copied().unwrap_or_default().to_be_bytes::<32>());
        }
        digest.finalize()
    }
}

/// The state as it was at the end of some block.
pub(crate) struct StateView<'a> {
    state: &'a State,
    /// The undo records of all later blocks, from the oldest to the newest.
    later: Vec<&'a Undo>,
    /// Hashes of the last 256 blocks and more, for BLOCKHASH.
    hashes: &'a dyn Fn(u64) -> B256,
}

impl<'a> StateView<'a> {
    /// `later` are the undo records of all blocks after the one to be seen, oldest first. Empty
    /// ones say nothing and are left out.
    pub(crate) fn new(
        state: &'a State,
        later: impl Iterator<Item = &'a Undo>,
        hashes: &'a dyn Fn(u64) -> B256,
    ) -> Self {
        Self { state, later: later.filter(|undo| !undo.is_empty()).collect(), hashes }
    }

    pub(crate) fn account(&self, address: &Address) -> Option<Account> {
        // The oldest record that knows the account has its value at the end of the block wanted.
        let old = self.later.iter().find_map(|undo| undo.accounts.get(address));
        old.cloned().unwrap_or_else(|| self.state.accounts.get(address).cloned())
    }

    pub(crate) fn slot(&self, address: Address, index: U256) -> U256 {
        let key = (address, index);
        let old = self.later.iter().find_map(|undo| undo.slots.get(&key));
        old.or_else(|| self.state.slots.get(&key)).copied().unwrap_or_default()
    }

    pub(crate) fn code(&self, code_hash: B256) -> Bytecode {
        self.state.codes.get(&code_hash).cloned().unwrap_or_default()
    }
}

impl DatabaseRef for StateView<'_> {
    type Error = Infallible;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Infallible> {
        Ok(self.account(&address).map(|account| {
            let code = self.code(account.code_hash);
            AccountInfo::new(account.balance, account.nonce, account.code_hash, code)
        }))
    }

    fn code_by_hash_ref(&self, code_hash: B256) -> Result<Bytecode, Infallible> {
        Ok(self.code(code_hash))
    }

    fn storage_ref(&self, address: Address, index: U256) -> Result<U256, Infallible> {
        Ok(self.slot(address, index))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Infallible> {
        Ok((self.hashes)(number))
    }
}

#[cfg(test)]
mod tests {
    use revm::state::{EvmStorageSlot, TransactionId};

    use super::*;

    const WHO: Address = Address::repeat_byte(1);

    fn touched(balance: u64, slots: &[(u64, u64)]) -> TouchedAccount {
        let mut account = TouchedAccount::default().with_touched_mark();
        account.info.balance = U256::from(balance);
        for (index, value) in slots {
            let (old, new) = (U256::MAX, U256::from(*value));
            let slot = EvmStorageSlot::new_changed(old, new, TransactionId::ZERO);
            account.storage.insert(U256::from(*index), slot);
        }
        account
    }

    fn applied(state: &mut State, account: TouchedAccount) -> Undo {
        let mut undo = Undo::default();
        state.apply([(WHO, account)].into_iter().collect(), &mut undo);
        undo
    }

    fn slot(state: &State, later: &[&Undo], index: u64) -> u64 {
        let hashes = |_| B256::ZERO;
        let view = StateView::new(state, later.iter().copied(), &hashes);
        view.slot(WHO, U256::from(index)).to()
    }

    #[test]
    fn what_is_created_anew_or_destroyed_has_no_old_storage_and_comes_back_by_undo() {
        let mut state = State::default();
        let first = applied(&mut state, touched(5, &[(1, 10), (2, 20)]));
        let created = touched(6, &[(2, 22)]).with_created_mark();
        let second = applied(&mut state, created);
        assert_eq!([slot(&state, &[], 1), slot(&state, &[], 2)], [0, 22]);
        let third = applied(&mut state, touched(7, &[]).with_selfdestruct_mark());
        assert_eq!(state.account(&WHO), Account::default());
        assert_eq!(slot(&state, &[], 2), 0);

        // Through the undo records, each block sees its own values.
        let later = [&first, &second, &third];
        assert_eq!([slot(&state, &later[2..], 1), slot(&state, &later[2..], 2)], [0, 22]);
        assert_eq!([slot(&state, &later[1..], 1), slot(&state, &later[1..], 2)], [10, 20]);
        assert_eq!([slot(&state, &later, 1), slot(&state, &later, 2)], [0, 0]);

        state.revert(third);
        state.revert(second);
        assert_eq!([slot(&state, &[], 1), slot(&state, &[], 2)], [10, 20]);
        assert_eq!(state.account(&WHO).balance, U256::from(5));
        state.revert(first);
        assert!(state.accounts.is_empty() && state.slots.is_empty());
    }

    #[test]
    fn the_root_depends_on_every_change_and_an_empty_block_keeps_it() {
        let root = |account| {
            let mut state = State::default();
            let undo = applied(&mut state, account);
            state.next_root(B256::ZERO, &undo)
        };
        assert_eq!(root(touched(5, &[(1, 10)])), root(touched(5, &[(1, 10)])));
        let others = [touched(6, &[(1, 10)]), touched(5, &[(1, 11)]), touched(5, &[(2, 10)])];
        for other in others {
            assert_ne!(root(touched(5, &[(1, 10)])), root(other));
        }
        let parent = B256::repeat_byte(9);
        assert_eq!(State::default().next_root(parent, &Undo::default()), parent);
    }
}
