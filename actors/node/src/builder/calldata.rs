//! How much of a block each chain is given: a block that is sealed must fit one transaction of every chain.

use std::collections::BTreeMap;

use zklink::id::ChainId;
use zklink::op::Op;

/// The most that a block may have for one chain, in bytes. Sequencers of some rollups take no transaction above 60 KB;
/// what is left is for the envelope. Of other operations than key changes no shape has so many.
const BYTES_MAX: usize = 48_000;
/// A word.
const WORD: usize = 32;
/// What a key change has beside its words: offset, length and the signature, padded.
const WITNESS: usize = 5 * WORD;

/// Bytes for each chain of an open block.
#[derive(Debug, Default)]
pub(super) struct Calldata(BTreeMap<ChainId, usize>);

impl Calldata {
    /// Whether the operation can be added. Alone it always can.
    pub(super) fn has_room(&self, op: &Op) -> bool {
        let held = |chain: ChainId| self.0.get(&chain).copied().unwrap_or_default();
        op.chain().is_none_or(|chain| held(chain) + bytes(op) <= BYTES_MAX)
    }

    /// Adds an operation.
    pub(super) fn add(&mut self, op: &Op) {
        if let Some(chain) = op.chain() {
            *self.0.entry(chain).or_default() += bytes(op);
        }
    }
}

/// What an operation adds to the commit of its chain.
fn bytes(op: &Op) -> usize {
    let more = match op {
        // The address of the payer.
        Op::Deposit(_) => WORD,
        Op::ChangePubKey(_) => WITNESS,
        Op::Transfer(_) | Op::Withdraw(_) => 0,
    };
    op.words(0).len() * WORD + more
}

#[cfg(test)]
mod tests {
    use zklink::amount::{Amount, Fee};
    use zklink::id::{AccountId, Nonce, Owner, SubAccountId, TokenId};
    use zklink::key::SecretKey;
    use zklink::op::{ChangePubKey, Deposit};
    use zklink::shape::shapes;

    use super::*;

    fn deposit(chain: u8) -> Op {
        Op::Deposit(Deposit {
            chain: ChainId(chain),
            account: AccountId(2),
            sub_account: SubAccountId(0),
            token: TokenId(1),
            amount: Amount(1),
            owner: Owner::from_evm([1; 20]),
            refused: false,
        })
    }

    #[test]
    fn only_key_changes_reach_the_bound_and_each_chain_has_its_own() {
        let change = Op::ChangePubKey(ChangePubKey {
            chain: ChainId(1),
            account: AccountId(2),
            sub_account: SubAccountId(0),
            fee_token: TokenId(1),
            fee: Fee(0),
            nonce: Nonce(0),
            owner: Owner::from_evm([1; 20]),
            key: SecretKey::from_seed(b"somebody").public(),
        });
        let rooms = shapes().iter().map(|shape| shape.room);
        let most = rooms.map(|room| room.queue * bytes(&deposit(1)) + room.signed * 2 * WORD).max();
        assert!(most.expect("there are shapes") < BYTES_MAX);
        let mut open = Calldata::default();
        let mut count = 0;
        while open.has_room(&change) {
            open.add(&change);
            count += 1;
        }
        assert_eq!(count, BYTES_MAX / (4 * WORD + WITNESS));
        assert!(open.has_room(&deposit(1)), "something smaller");
        let other = |chain| match change.clone() {
            Op::ChangePubKey(change) => Op::ChangePubKey(ChangePubKey { chain, ..change }),
            op => op,
        };
        assert!(open.has_room(&other(ChainId(2))) && !open.has_room(&other(ChainId(1))));
    }
}
