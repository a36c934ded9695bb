//! Accounts of others, owners with another home, accounts that are made, and what an account keeps.

use zklink::fixtures::{ONE, Scenario};
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, Nonce, Owner};
use zklink::layout::power_of_two;
use zklink::op::{ChangePubKey, Deposit, Op, Transfer};

use super::{BAD_SIGNATURE, HONEST, MEMORY, block, change_of, deposit_of, over, transfer_of};
use crate::blocks::{edit, world};
use crate::cheat::Cheat;
use crate::ops::{Said, change_key, deposit, transfer};

/// The contract at the address of user `n` on chain 1.
fn contract(n: u8) -> Owner {
    Owner::contract(ChainId(1), [n; 20])
}

/// A world in which account 3 belongs to the contract at user 2's address on chain 1.
fn with_contract() -> Scenario {
    let mut world = world();
    edit(&mut world, |json| {
        json["accounts"]["3"]["owner"] = serde_json::to_value(contract(2)).expect("it is text");
    });
    world
}

#[test]
fn a_deposit_to_another_owners_account_is_refused() {
    let world = world();
    let cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(2)));
    assert_eq!(cheat.clone().caught(), MEMORY);
    // Nor can he claim that the account is new.
    assert_eq!(cheat.choose("queue/slot 0/owner/created", Fr::one()).caught(), MEMORY);
}

#[test]
fn a_deposit_does_not_make_an_account_twice() {
    // The owner is the right one, and the account is claimed to be new.
    let world = world();
    let cheat = deposit_of(&world, deposit(2, ONE, Scenario::owner(1)));
    assert_eq!(cheat.choose("queue/slot 0/owner/created", Fr::one()).caught(), MEMORY);
    // A new account that is claimed to be known.
    let cheat = over(&world, &[0, 5]).queue(deposit(5, ONE, Scenario::owner(9)), 0);
    assert_eq!(cheat.clone().caught(), HONEST);
    assert_eq!(cheat.choose("queue/slot 0/owner/created", Fr::zero()).caught(), MEMORY);
}

#[test]
fn all_parts_of_an_owner_count() {
    let mut world = world();
    let bytes = |first: u8| {
        let mut bytes = [0xee; 32];
        bytes[0] = first;
        Owner { home: ChainId(2), address: bytes }
    };
    let owner = bytes(1);
    edit(&mut world, |json| {
        json["accounts"]["3"]["owner"] = serde_json::to_value(owner).expect("it is text");
    });
    assert_eq!(deposit_of(&world, deposit(3, ONE, owner)).caught(), HONEST);
    let mut low = owner;
    low.address[31] = 0;
    for other in
        [bytes(2), Owner { home: ChainId(3), ..owner }, Owner { home: ChainId(0), ..owner }, low]
    {
        assert_eq!(deposit_of(&world, deposit(3, ONE, other)).caught(), MEMORY, "{other}");
    }
}

#[test]
fn the_low_part_of_an_owner_has_248_bits() {
    // With more, two owners could have one packed word, or a word that nobody can read be published.
    let world = world();
    let honest = deposit_of(&world, deposit(3, ONE, Scenario::owner(2))).idle_signed().settle();
    let cs = honest.synthesize();
    for owner in ["queue/slot 0/owner", "signed/slot 0/party"] {
        let has = |bit: usize| {
            let path = format!("{owner}/low/bit{bit}/bit");
            cs.aux_paths().contains(&path)
        };
        assert!(has(0) && has(247) && !has(248), "{owner}");
    }
    let top = "queue/slot 0/owner/low/bit247/bit";
    let failures = honest.choose(top, Fr::from(2)).failures();
    assert!(failures.iter().any(|path| path == top), "{failures:?}");
}

#[test]
fn nobody_cannot_own_an_account() {
    let world = world();
    for home in [0, 1] {
        let nobody = Owner { home: ChainId(home), address: [0; 32] };
        let cheat = over(&world, &[0, 2, 5]).queue(deposit(5, ONE, nobody), 0);
        assert_eq!(cheat.caught(), ["queue/slot 0/owner/somebody if on"]);
        let op = Op::Transfer(Transfer { new_owner: Some(nobody), ..transfer(2, 5, ONE) });
        let cheat = over(&world, &[0, 2, 5]).by(&world, 1, op);
        assert_eq!(cheat.caught(), ["signed/slot 0/party/somebody if on"]);
    }
    // Nor is it a receiver that exists.
    let op = Op::Transfer(transfer(2, 5, ONE));
    let cheat = over(&world, &[0, 2, 5]).by(&world, 1, op);
    assert_eq!(cheat.caught(), ["signed/slot 0/party/somebody if on"]);
    // Nor is it paid on a chain.
    let cheat = super::withdraw_of(&world, crate::ops::withdraw(2, 7, Owner::NONE));
    assert_eq!(cheat.caught(), ["signed/slot 0/party/somebody if on"]);
}

#[test]
fn a_new_account_must_be_nobodys() {
    let world = world();
    let op = Transfer { new_owner: Some(Scenario::owner(9)), ..transfer(2, 4, ONE) };
    assert_eq!(transfer_of(&world, op).caught(), MEMORY);
    let op = Transfer { new_owner: Some(Scenario::owner(9)), ..transfer(2, 5, ONE) };
    assert_eq!(over(&world, &[0, 2, 5]).by(&world, 1, Op::Transfer(op)).caught(), HONEST);
}

#[test]
fn a_known_receiver_must_exist() {
    // Account 5 is nobody's; the payment names user 9 and makes no account.
    let world = world();
    let op = Op::Transfer(transfer(2, 5, ONE));
    let said = Said { to: Scenario::owner(9), ..Said::next(&world, &op) };
    assert_eq!(over(&world, &[0, 2, 5]).saying(1, op, said).caught(), MEMORY);
}

#[test]
fn a_contract_is_not_the_key_pair_with_its_address() {
    // User 1 pays a contract, the operator credits the key pair with the same address; and the other way round.
    for (world, signed, credited) in [
        (world(), contract(2), Scenario::owner(2)),
        (with_contract(), Scenario::owner(2), contract(2)),
        (with_contract(), Owner::contract(ChainId(2), [2; 20]), contract(2)),
    ] {
        let op = Op::Transfer(transfer(2, 3, ONE));
        let said = Said::next(&world, &op);
        assert_eq!(said.to, credited);
        assert_eq!(block(&world).saying(1, op.clone(), said).caught(), HONEST);
        // He says who signed for whom, and the account belongs to somebody else.
        let other = Said { to: signed, ..said };
        assert_eq!(block(&world).saying(1, op.clone(), other).caught(), MEMORY);
        // He says whose the account is, and somebody else was signed for.
        let cheat = block(&world).signed(op.clone(), other.by(1, &op), credited);
        assert_eq!(cheat.caught(), BAD_SIGNATURE);
        // A deposit for one does not reach the other.
        let op = deposit(3, ONE, signed);
        assert_eq!(deposit_of(&world, op).caught(), MEMORY);
    }
}

#[test]
fn a_key_change_publishes_the_owner() {
    let world = world();
    let honest = change_key(&world, 2, 7);
    assert_eq!(change_of(&world, honest.clone(), 7).caught(), HONEST);
    for owner in [Scenario::owner(2), contract(1), Owner::contract(ChainId(3), [1; 20])] {
        let op = ChangePubKey { owner, ..honest.clone() };
        assert_eq!(change_of(&world, op, 7).caught(), MEMORY, "{owner}");
    }
    let world = with_contract();
    let op = ChangePubKey { owner: Scenario::owner(2), ..change_key(&world, 3, 7) };
    assert_eq!(change_of(&world, op, 7).caught(), MEMORY);
}

#[test]
fn a_key_change_of_an_account_that_does_not_exist_is_refused() {
    let world = world();
    let op = ChangePubKey { fee: zklink::amount::Fee::ZERO, ..change_key(&world, 5, 7) };
    let cheat = over(&world, &[0, 5]).by(&world, 7, Op::ChangePubKey(op.clone()));
    assert_eq!(cheat.caught(), ["signed/slot 0/party/somebody if on"]);
    let op = ChangePubKey { owner: Scenario::owner(9), ..op };
    let cheat = over(&world, &[0, 5]).by(&world, 7, Op::ChangePubKey(op));
    assert_eq!(cheat.caught(), MEMORY);
}

#[test]
fn a_refused_deposit_changes_the_cursor_and_nothing_else() {
    let world = world();
    let honest = Deposit { refused: true, ..deposit(0, ONE, Scenario::owner(1)) };
    assert_eq!(deposit_of(&world, honest).caught(), HONEST);
    // It names an account.
    let op = Deposit { account: AccountId(2), ..honest };
    assert_eq!(deposit_of(&world, op).caught(), ["queue/slot 0/refused: no account"]);
    // It does not move the cursor.
    let cursor = Fr::from(world.state.cursor(ChainId(1)).0);
    let cheat = deposit_of(&world, honest).touch("close/chain 0/new cursor", &[cursor], 0);
    assert_eq!(cheat.caught(), MEMORY);
    // It credits: the leaf, and nothing that was said.
    let credited = [Fr::from(5 * ONE as u64) + Fr::from(ONE as u64)];
    let cheat = deposit_of(&world, honest);
    let moment = cheat.queue_moment(0, 0);
    let cheat = cheat.touch("close/balance 1/new", &credited, moment);
    assert_eq!(cheat.caught(), MEMORY);
}

#[test]
fn a_deposit_has_one_outcome() {
    let world = world();
    let cheat = deposit_of(&world, deposit(0, 0, Owner::from_evm([0xfe; 20])));
    let cheat = cheat.choose("queue/slot 0/refused", Fr::one());
    let caught = cheat.caught();
    assert_eq!(caught[0], "queue/slot 0/one outcome");
    // It would be on twice, and its word twice what it says.
    let cheat = deposit_of(&world, deposit(0, 0, Owner::from_evm([0xfe; 20])));
    let half = Fr::from(2).invert().expect("the field is odd");
    let cheat = cheat.choose("queue/slot 0/refused", half).choose("queue/slot 0/done", half);
    let caught = cheat.caught();
    assert_eq!(caught[..2], ["queue/slot 0/done", "queue/slot 0/refused"]);
}

#[test]
fn an_account_is_made_at_the_time_of_the_block_before() {
    let world = world();
    let cheat = over(&world, &[0, 5]).queue(deposit(5, ONE, Scenario::owner(9)), 0).settle();
    let honest = cheat.synthesize().value("close/account 1/kept/created");
    assert_eq!(honest, Fr::from(world.state.system.timestamp) * power_of_two(16));
    let later = honest + power_of_two(16);
    for (account, created) in [(1, later), (1, Fr::zero()), (0, honest)] {
        let path = format!("close/account {account}/kept/created");
        assert_eq!(cheat.clone().choose(&path, created).caught(), [path]);
    }
    // Whether it is made follows from its owners.
    let path = "close/account 1/kept/made";
    assert_eq!(cheat.clone().choose(path, Fr::zero()).caught(), [path]);
    let path = "close/account 0/kept/made";
    assert_eq!(cheat.choose(path, Fr::one()).caught(), [path]);
}

#[test]
fn what_an_account_keeps_is_that_of_its_old_leaf() {
    let world = world();
    type Spoil = fn(&mut zklink::state::Account);
    let spoil: [Spoil; 4] = [
        |account| account.created += 1,
        |account| account.recipient.home = ChainId(1),
        |account| account.recipient.address[0] = 1,
        |account| account.recipient.address[31] = 1,
    ];
    for spoil in spoil {
        let mut cheat = transfer_of(&world, transfer(2, 3, ONE));
        spoil(&mut cheat.witness.accounts[3].account);
        assert_eq!(cheat.caught(), ["close/account 3/level0/old child/child on the path"]);
    }
    // A recipient that was set stays.
    let mut world = world;
    edit(&mut world, |json| {
        let recipient = Owner { home: ChainId(2), address: [9; 32] };
        json["accounts"]["2"]["recipient"] = serde_json::to_value(recipient).expect("it is text");
        json["accounts"]["2"]["created"] = u64::MAX.into();
    });
    let op = Op::Transfer(transfer(2, 3, ONE));
    assert_eq!(block(&world).by(&world, 1, op).caught(), HONEST);
}

#[test]
fn counters_do_not_pass_from_one_key_to_another() {
    // The nonce of an account and the version of its key are two numbers of one word.
    let world = world();
    let op = change_key(&world, 2, 7);
    let later = ChangePubKey { nonce: Nonce(op.nonce.0 + 1), ..op.clone() };
    assert_eq!(op.nonce, Nonce(1));
    let said = Said {
        version: zklink::id::KeyVersion(0),
        ..Said::next(&world, &Op::ChangePubKey(op.clone()))
    };
    let cheat: Cheat = block(&world).saying(7, Op::ChangePubKey(op), said);
    assert_eq!(cheat.caught(), BAD_SIGNATURE);
    assert_eq!(change_of(&world, later, 7).caught(), BAD_SIGNATURE);
}
