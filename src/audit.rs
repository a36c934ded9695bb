//! The double-entry auditor: an account of the books that shares nothing with the operations it checks.

use std::collections::{BTreeMap, BTreeSet};

use crate::amount::Amount;
use crate::id::TokenId;
use crate::state::{Cell, State};

/// The books of a token do not balance.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("token {token}: users and fees hold {balances}, the chains owe {pools}")]
pub struct Imbalance {
    /// The token.
    pub token: TokenId,
    /// Sum of all balances.
    pub balances: u128,
    /// Sum of all pools.
    pub pools: u128,
}

/// Checks that for each token users and fees together hold exactly what the chains together owe.
///
/// # Errors
/// The first token whose books do not balance.
pub fn audit(state: &State) -> Result<(), Imbalance> {
    for (token, (balances, pools)) in sums(state) {
        if balances != pools {
            return Err(Imbalance { token, balances, pools });
        }
    }
    Ok(())
}

/// For each token what users and fees hold together, and what the chains owe.
fn sums(state: &State) -> BTreeMap<TokenId, (u128, u128)> {
    let mut books: BTreeMap<TokenId, (u128, u128)> = BTreeMap::new();
    for (_, account) in state.accounts() {
        for (token, amount) in account.sub_accounts.values().flat_map(|sub| &sub.balances) {
            let entry = &mut books.entry(*token).or_default().0;
            *entry = entry.saturating_add(amount.0);
        }
    }
    for (token, amount) in state.fees() {
        let entry = &mut books.entry(*token).or_default().0;
        *entry = entry.saturating_add(amount.0);
    }
    for (token, amount) in state.chains().flat_map(|(_, chain)| &chain.pools) {
        let entry = &mut books.entry(*token).or_default().1;
        *entry = entry.saturating_add(amount.0);
    }
    books
}

/// The books of a state that is followed from block to block: the same check at the cost of what a block changed.
///
/// It believes operations which cells they change, so [`audit`] of the whole state stays the judge, and runs beside.
#[derive(Clone, Debug)]
pub struct Books {
    tokens: BTreeMap<TokenId, Book>,
    /// Fees of the open block, as they were when the books were closed.
    fees: BTreeMap<TokenId, Amount>,
    /// What cells held then, of those that may have changed since.
    before: BTreeMap<Cell, Amount>,
}

/// Sums of a token.
#[derive(Clone, Copy, Debug, Default)]
struct Book {
    /// Of users and fees.
    held: u128,
    /// Of pools.
    owed: u128,
}

impl Books {
    /// The books of a state.
    pub fn of(state: &State) -> Books {
        let mut tokens: BTreeMap<TokenId, Book> = BTreeMap::new();
        for (token, (held, owed)) in sums(state) {
            tokens.insert(token, Book { held, owed });
        }
        Books { tokens, fees: state.fees().clone(), before: BTreeMap::new() }
    }

    /// What cells hold, for [`Books::note`] when they have changed.
    pub fn look(state: &State, cells: impl IntoIterator<Item = Cell>) -> Vec<(Cell, Amount)> {
        cells.into_iter().map(|cell| (cell, held_by(state, cell))).collect()
    }

    /// Notes what cells held before they changed. Only the first note of a cell since the last [`Books::close`] counts.
    pub fn note(&mut self, before: Vec<(Cell, Amount)>) {
        for (cell, amount) in before {
            self.before.entry(cell).or_insert(amount);
        }
    }

    /// Closes the books on a state in which the noted cells and the fees may have changed.
    ///
    /// # Errors
    /// The first token whose books do not balance.
    pub fn close(&mut self, state: &State) -> Result<(), Imbalance> {
        let mut changed = BTreeSet::new();
        for (cell, before) in std::mem::take(&mut self.before) {
            let after = held_by(state, cell);
            match cell {
                Cell::Balance(_, _, token) => {
                    let book = self.tokens.entry(token).or_default();
                    book.held = replaced(book.held, before, after);
                    changed.insert(token);
                }
                Cell::Pool(_, token) => {
                    let book = self.tokens.entry(token).or_default();
                    book.owed = replaced(book.owed, before, after);
                    changed.insert(token);
                }
                Cell::Cursor(_) => {}
            }
        }
        let before = std::mem::replace(&mut self.fees, state.fees().clone());
        let tokens: BTreeSet<TokenId> = before.keys().chain(self.fees.keys()).copied().collect();
        for token in tokens {
            let of =
                |fees: &BTreeMap<TokenId, Amount>| fees.get(&token).copied().unwrap_or_default();
            let (before, after) = (of(&before), of(&self.fees));
            let book = self.tokens.entry(token).or_default();
            book.held = replaced(book.held, before, after);
            changed.insert(token);
        }
        for token in changed {
            let Book { held, owed } = self.tokens[&token];
            if held != owed {
                return Err(Imbalance { token, balances: held, pools: owed });
            }
        }
        Ok(())
    }
}

/// What the books know of a cell: nothing of a cursor.
fn held_by(state: &State, cell: Cell) -> Amount {
    match cell {
        Cell::Balance(account, sub, token) => state.balance(account, sub, token),
        Cell::Pool(chain, token) => state.pool(chain, token),
        Cell::Cursor(_) => Amount::ZERO,
    }
}

/// A sum in which one of its terms is another one now.
///
/// # Panics
/// When the term was not in the sum, or a sum of amounts that deposits bound does not fit: the books are wrong.
fn replaced(sum: u128, before: Amount, after: Amount) -> u128 {
    let rest = sum.checked_sub(before.0).expect("a term of the sum");
    rest.checked_add(after.0).expect("deposits bound all balances together")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::{Scenario, USDC};
    use crate::id::{AccountId, SubAccountId};

    /// Some users with money, and their books.
    fn world() -> (Scenario, Books) {
        let mut world = Scenario::new();
        for user in [1, 2, 3] {
            world.deposit(1, USDC, user, 100).expect("a deposit");
        }
        let books = Books::of(&world.state);
        (world, books)
    }

    #[test]
    fn books_that_are_followed_say_what_a_full_audit_says() {
        let (mut world, mut books) = world();
        for user in [1, 2, 1, 3] {
            let account = world.account(user);
            let cells = [
                Cell::Balance(account, SubAccountId(0), USDC),
                Cell::Pool(crate::id::ChainId(1), USDC),
                Cell::Cursor(crate::id::ChainId(1)),
            ];
            books.note(Books::look(&world.state, cells));
            world.deposit(1, USDC, user, 7).expect("a deposit");
            assert_eq!((books.close(&world.state), audit(&world.state)), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn money_from_nowhere_is_found_where_it_is_noted() {
        let (mut world, mut books) = world();
        let account = world.account(1);
        let cell = Cell::Balance(account, SubAccountId(0), USDC);
        books.note(Books::look(&world.state, [cell]));
        // A second look must not hide what happened since the first.
        let by = |world: &mut Scenario, account: AccountId, amount: u128| {
            world.state.credit(account, SubAccountId(0), USDC, Amount(amount));
        };
        by(&mut world, account, 5);
        books.note(Books::look(&world.state, [cell]));
        let total = world.state.supply(USDC).expect("a sum").0;
        let found = books.close(&world.state).unwrap_err();
        assert_eq!(found, Imbalance { token: USDC, balances: total + 5, pools: total });
        assert_eq!(audit(&world.state), Err(found));
        // And it stays found.
        books.note(Books::look(&world.state, [cell]));
        assert_eq!(
            books.close(&world.state),
            Err(Imbalance { token: USDC, balances: total + 5, pools: total })
        );
    }

    #[test]
    fn fees_are_held_until_the_end_of_the_block_and_are_the_fee_accounts_afterwards() {
        let (mut world, mut books) = world();
        let fees = State::FEE_ACCOUNT;
        let payer = Cell::Balance(world.account(1), SubAccountId(0), USDC);
        books.note(Books::look(&world.state, [payer]));
        let account = world.account(1);
        let left = world.state.balance(account, SubAccountId(0), USDC).checked_sub(Amount(3));
        world.state.set_balance(account, SubAccountId(0), USDC, left.expect("there is enough"));
        world.state.collect_fee(USDC, Amount(3));
        assert_eq!(books.close(&world.state), Ok(()));
        books.note(Books::look(&world.state, [Cell::Balance(fees, SubAccountId(0), USDC)]));
        let number = world.state.system.number.next().expect("a number");
        world.state.end_block(number, 1);
        assert_eq!((books.close(&world.state), audit(&world.state)), (Ok(()), Ok(())));
        world.state.collect_fee(USDC, Amount(1));
        assert!(books.close(&world.state).is_err(), "nobody paid it");
    }
}
