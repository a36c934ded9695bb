//! The root of the state, and the paths below it.
//!
//! `root = hash4(accounts, chains, markets, system)`; the form of each part is in `docs/adr/0004-second-edition.md`.

use std::sync::{Arc, LazyLock};

use crate::amount::Amount;
use crate::hash::{Domain, Fr, compress4, hash_many};
use crate::id::{AccountId, ChainId, Owner, Serial, SlotId, SubAccountId, TokenId};
use crate::layout::{Packed, field, low_bytes, low_word, power_of_two};
use crate::state::{Account, OrderSlot, SubAccount, System};

mod trees;

pub use trees::{OtherLeaf, Places, StateTree};

/// The packed word of an account leaf: all of the account but the low parts of addresses, the key and the sub-accounts.
pub const ACCOUNT_WORD: Packed<7> = Packed::new([
    field("home", 1),
    field("owner_top", 1),
    field("created", 8),
    field("recipient_home", 1),
    field("recipient_top", 1),
    field("key_version", 4),
    field("nonce", 4),
]);

/// The leaf of an order slot.
pub const ORDER_SLOT_WORD: Packed<3> =
    Packed::new([field("nonce", 4), field("epoch", 4), field("remaining", 16)]);

/// Values of the empty nodes of a tree of tokens, from the leaf to the root.
static EMPTY_TOKENS: LazyLock<Arc<[Fr]>> =
    LazyLock::new(|| empty_nodes(TokenId::DEPTH, Fr::zero()));

/// Values of the empty nodes of the other trees, from the leaf to the root.
struct Empty {
    slots: Arc<[Fr]>,
    sub_accounts: Arc<[Fr]>,
    accounts: Arc<[Fr]>,
    chains: Arc<[Fr]>,
    /// What a sub-account has besides balances and order slots.
    rest: Fr,
}

static EMPTY: LazyLock<Empty> = LazyLock::new(|| {
    let slots = empty_nodes(SlotId::DEPTH, Fr::zero());
    let none = empty_tokens_root();
    let rest = sub_account_rest(Fr::zero(), Fr::zero(), Fr::zero());
    let fresh = SubAccountRoots { balances: none, slots: slots[SlotId::DEPTH], rest };
    let sub_leaf = sub_account_leaf(&fresh, &SubAccount::default());
    let sub_accounts = empty_nodes(SubAccountId::DEPTH, sub_leaf);
    let sub_root = *sub_accounts.last().expect("a tree has a root");
    let accounts = empty_nodes(AccountId::DEPTH, account_leaf(&Account::default(), sub_root));
    let chains = empty_nodes(ChainId::DEPTH, chain_leaf(Serial(0), none, Fr::zero()));
    Empty { slots, sub_accounts, accounts, chains, rest }
});

fn empty_nodes(depth: usize, leaf: Fr) -> Arc<[Fr]> {
    let mut nodes = vec![leaf];
    for level in 0..depth {
        nodes.push(compress4(Domain::Node, [nodes[level]; 4]));
    }
    nodes.into()
}

/// Root of an empty tree of tokens; also of the markets, until perpetuals exist.
pub fn empty_tokens_root() -> Fr {
    EMPTY_TOKENS[TokenId::DEPTH]
}

/// Root of the order slots of a sub-account that has none.
pub fn empty_slots_root() -> Fr {
    EMPTY.slots[SlotId::DEPTH]
}

/// An amount as a field element.
pub fn amount_to_fr(amount: Amount) -> Fr {
    Fr::from_raw([amount.0 as u64, (amount.0 >> 64) as u64, 0, 0])
}

/// What a sub-account leaf has beside its counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubAccountRoots {
    /// Root of the balances.
    pub balances: Fr,
    /// Root of the order slots.
    pub slots: Fr,
    /// Positions, collaterals and extension: see [`sub_account_rest`].
    pub rest: Fr,
}

/// Hash of positions, collaterals and extension root. All three are zero until perpetuals and NFTs exist.
pub fn sub_account_rest(positions: Fr, collaterals: Fr, extension: Fr) -> Fr {
    compress4(Domain::SubAccountRest, [positions, collaterals, extension, Fr::zero()])
}

/// [`sub_account_rest`] of a sub-account that has none of them.
pub fn empty_rest() -> Fr {
    EMPTY.rest
}

/// Leaf of an order slot; zero when the slot is fresh.
pub fn order_slot_leaf(slot: &OrderSlot) -> Fr {
    ORDER_SLOT_WORD.pack([slot.nonce.0.into(), slot.epoch.into(), slot.remaining.0])
}

/// Leaf of a sub-account: balances, order slots, rest, and `nonce + epoch * 2^32`.
pub fn sub_account_leaf(roots: &SubAccountRoots, sub: &SubAccount) -> Fr {
    compress4(Domain::SubAccountLeaf, sub_account_lanes(roots, sub))
}

fn sub_account_lanes(roots: &SubAccountRoots, sub: &SubAccount) -> [Fr; 4] {
    let counters = Fr::from(u64::from(sub.epoch) << 32 | u64::from(sub.nonce.0));
    [roots.balances, roots.slots, roots.rest, counters]
}

/// The packed word of an account leaf.
pub fn account_word(account: &Account) -> Fr {
    let Account { owner, recipient, key_version, nonce, created, .. } = account;
    ACCOUNT_WORD.pack([
        owner.home.0.into(),
        owner.top().into(),
        (*created).into(),
        recipient.home.0.into(),
        recipient.top().into(),
        key_version.0.into(),
        nonce.0.into(),
    ])
}

/// Leaf of an account with this root of its sub-accounts.
pub fn account_leaf(account: &Account, subs: Fr) -> Fr {
    hash_many(Domain::AccountLeaf, &account_words(account, subs))
}

fn account_words(account: &Account, subs: Fr) -> [Fr; 6] {
    let (x, y) = account.key.map_or((Fr::zero(), Fr::zero()), |key| (key.x(), key.y()));
    let (owner, recipient) = (low_word(account.owner.low()), low_word(account.recipient.low()));
    [account_word(account), owner, recipient, x, y, subs]
}

/// Leaf of a chain: its priority cursor, the root of its pools, and the root of its quarantine index, which is zero
/// until chains can be quarantined.
pub fn chain_leaf(cursor: Serial, pools: Fr, quarantine: Fr) -> Fr {
    compress4(Domain::ChainLeaf, [Fr::from(cursor.0), pools, quarantine, Fr::zero()])
}

/// The part of the root that holds the system's facts.
pub fn system_hash(system: &System) -> Fr {
    let clock =
        Fr::from(system.timestamp) * power_of_two(32) + Fr::from(u64::from(system.number.0));
    let insurance = u64::from(system.insurance_account.0) << 32;
    let accounts = Fr::from(insurance | u64::from(system.fee_account.0));
    let deployment = low_word(system.deployment.0);
    compress4(Domain::System, [clock, accounts, deployment, Fr::zero()])
}

/// The root of the state from its four parts.
pub fn root_of_parts(accounts: Fr, chains: Fr, markets: Fr, system: Fr) -> Fr {
    compress4(Domain::StateRoot, [accounts, chains, markets, system])
}

/// Reads an owner from its home, the first byte of its address, and the word of the rest.
///
/// # Errors
/// When the word is wider than its part of an address, or no chain can have the number of the home.
pub fn owner_of(home: ChainId, top: u8, low: &Fr) -> Result<Owner, crate::layout::BadWord> {
    if home.0 > ChainId::MAX {
        return Err(crate::layout::BadWord::Range("home"));
    }
    Ok(Owner::join(home, top, low_bytes(low)?))
}
