//! What zkSync Lite accepted and then could not prove or commit. Here execution refuses each, before it is in a block.

use k256::ecdsa::SigningKey;
use zklink::amount::{Amount, Fee};
use zklink::block::BlockError;
use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::id::{AccountId, ChainId, Owner, SubAccountId};
use zklink::key::{PackedKey, Signature};
use zklink::op::{Deposit, Op, SlotKind, Transfer, Withdraw};
use zklink::reject::Reject;
use zklink::shape::{NANO, SMALL, shape};
use zklink::tx::{ChangePubKeyTx, KeyAuth, Tx, evm_address};

use crate::cases::{USER, world};

/// Day one, June 2020: transfers to the zero address made blocks that could not be proven.
#[test]
fn transfer_to_the_zero_address_is_refused_by_execution() {
    let mut world = world();
    let tx = world.transfer(USER, Owner::NONE, ONE, 0);
    assert_eq!(world.send(USER, tx), Err(Reject::BadReceiver));
    // Not only on the way in: execution itself refuses the operation.
    let op = Op::Transfer(Transfer {
        account: world.account(USER),
        sub_account: SubAccountId(0),
        to_account: AccountId(3),
        to_sub_account: SubAccountId(0),
        token: USDC,
        amount: Amount(ONE),
        fee: Fee::ZERO,
        new_owner: Some(Owner::NONE),
    });
    let before = world.state.clone();
    assert_eq!(op.apply(&mut world.state), Err(Reject::BadReceiver));
    assert_eq!(world.state, before);
}

/// March 2026: a withdrawal passed whose signed bytes were other ones than the circuit makes. Here the circuit makes
/// the message from the operation, so the node checks the signature over exactly that: amount in the chain's units,
/// and scale.
#[test]
fn withdrawal_signed_over_other_bytes_than_the_circuit_makes_is_refused() {
    let mut world = world();
    let tx = world.withdraw(USER, 1, USDC, 10 * ONE, 0);
    let mut elsewhere = world.network.clone();
    let usdc = elsewhere.tokens.get_mut(&USDC).expect("it is in the network");
    usdc.chains.get_mut(&ChainId(1)).expect("it is on chain 1").decimals = 18;
    let signed = tx.sign(&Scenario::key(USER), world.state.system.deployment, &elsewhere);
    assert_eq!(world.submit(&signed.expect("it is well formed")), Err(Reject::Signature));
}

/// A key change whose owner signs with his own key.
fn signed_key_change(
    world: &mut Scenario,
    chain_signed: ChainId,
    edit: fn(&mut ChangePubKeyTx),
) -> Result<Op, Reject> {
    let owner_key = SigningKey::from_slice(&[0x42; 32]).expect("it is in range");
    let owner = Owner::from_evm(evm_address(owner_key.verifying_key()));
    // The owner's account comes to be by a transfer.
    let pay = world.transfer(USER, owner, ONE, 0);
    world.send(USER, pay).expect("the user can pay");
    let mut tx = ChangePubKeyTx {
        chain_id: ChainId(1),
        account_id: world.state.account_of(owner).expect("it was just made"),
        sub_account_id: SubAccountId(0),
        new_pub_key: Scenario::key(5).public(),
        fee_token: USDC,
        fee: Fee::ZERO,
        nonce: Default::default(),
        key_version: Default::default(),
        eth_auth_data: KeyAuth::Onchain,
    };
    let digest = tx.eth_digest(world.network.chain(chain_signed).expect("it is connected"));
    let (signature, recovery) =
        owner_key.sign_prehash_recoverable(&digest).expect("the key can sign");
    let mut packed = [0; 65];
    packed[..64].copy_from_slice(&signature.to_bytes());
    packed[64] = 27 + recovery.to_byte();
    tx.eth_auth_data = KeyAuth::EthEcdsa { signature: packed };
    edit(&mut tx);
    world.send(5, Tx::ChangePubKey(tx))
}

const NOT_THE_OWNER: Reject = Reject::KeyNotAuthorised("the EIP-712 signature is not by the owner");

#[test]
fn key_change_signed_by_the_owner_is_accepted() {
    let op = signed_key_change(&mut world(), ChainId(1), |_| ());
    assert_eq!(op.map(|op| op.chain()), Ok(Some(ChainId(1))));
}

/// March 2026: the chain id of an EIP-712 key change was not enforced in batches.
#[test]
fn key_change_signed_for_another_chain_is_refused() {
    assert_eq!(signed_key_change(&mut world(), ChainId(2), |_| ()), Err(NOT_THE_OWNER));
}

/// March 2026: the L1 encoding dropped a part of what the owner had signed (the batch hash), and the contract
/// recovered another address. Here every signed field is published, so a signature over anything else is refused.
#[test]
fn key_change_with_a_signature_that_the_contract_cannot_rebuild_is_refused() {
    let edits: [fn(&mut ChangePubKeyTx); 2] = [
        |tx| tx.new_pub_key = Scenario::key(6).public(),
        |tx| {
            if let KeyAuth::EthEcdsa { signature } = &mut tx.eth_auth_data {
                signature[64] ^= 7;
            }
        },
    ];
    for edit in edits {
        assert_eq!(signed_key_change(&mut world(), ChainId(1), edit), Err(NOT_THE_OWNER));
    }
}

/// The executor took a transaction whose signature recovered no signer: only the API refused it.
#[test]
fn signature_that_names_no_signer_is_refused() {
    let mut world = world();
    let tx = world.transfer(USER, Scenario::owner(7), ONE, 0);
    let signed = tx.sign(&Scenario::key(USER), world.state.system.deployment, &world.network);
    let signed = signed.expect("it is well formed");
    for bytes in [[0u8; 64], [0xff; 64]] {
        let mut junk = signed.clone();
        junk.signature.signature = Signature::from_bytes(&bytes);
        assert_eq!(world.submit(&junk), Err(Reject::Signature));
    }
    let mut stranger = signed;
    stranger.signature.pub_key = PackedKey::from(&Scenario::key(8).public());
    assert_eq!(world.submit(&stranger), Err(Reject::Signature));
}

/// March 2026: an invariant that the circuit kept was missing in the executor. The ranges that the circuit keeps,
/// one by one.
#[test]
fn operations_outside_of_the_ranges_of_the_circuit_are_refused_by_execution() {
    let mut world = world();
    let account = world.account(USER);
    let withdraw = Withdraw {
        chain: ChainId(1),
        account,
        sub_account: SubAccountId(0),
        token: USDC,
        l1_amount: 1,
        scale: 12,
        fee: Fee::ZERO,
        to: Scenario::owner(USER),
    };
    let deposit = Deposit {
        chain: ChainId(1),
        account,
        sub_account: SubAccountId(0),
        token: USDC,
        amount: Amount(1),
        owner: Scenario::owner(USER),
        refused: false,
    };
    let (big, outside) = (Amount(1 << 126), SubAccountId(32));
    let refused = [
        (Op::Withdraw(Withdraw { scale: 19, ..withdraw }), Reject::AmountOverflow),
        (Op::Withdraw(Withdraw { l1_amount: u128::MAX, ..withdraw }), Reject::AmountOverflow),
        (
            Op::Withdraw(Withdraw { chain: ChainId(0), ..withdraw }),
            Reject::UnknownChain(ChainId(0)),
        ),
        (
            Op::Withdraw(Withdraw { sub_account: outside, ..withdraw }),
            Reject::BadSubAccount(outside),
        ),
        (Op::Deposit(Deposit { amount: big, ..deposit }), Reject::AmountOverflow),
        (Op::Deposit(Deposit { chain: ChainId(64), ..deposit }), Reject::UnknownChain(ChainId(64))),
        (Op::Deposit(Deposit { owner: Owner::NONE, ..deposit }), Reject::BadReceiver),
    ];
    for (op, wanted) in refused {
        let before = world.state.clone();
        assert_eq!(op.apply(&mut world.state), Err(wanted), "{op:?}");
        assert_eq!(world.state, before, "a rejection changes nothing: {op:?}");
    }
}

/// A payout that no contract on the chain can make: zkLink's EVM chains pay EVM addresses only.
#[test]
fn withdrawal_to_an_address_that_the_chain_cannot_pay_is_refused() {
    let mut world = world();
    let wide = Owner { home: ChainId(0), address: [0xab; 32] };
    for to in [Owner::NONE, wide, Owner::contract(ChainId(1), [0xab; 20])] {
        let mut tx = world.withdraw(USER, 1, USDC, ONE, 0);
        if let Tx::Withdraw(tx) = &mut tx {
            tx.to = to;
        }
        assert_eq!(world.send(USER, tx), Err(Reject::BadReceiver));
    }
}

/// December 2021: a block that overflowed was sealed in the wrong way. Here what does not fit is not put into a block.
#[test]
fn operations_that_do_not_fit_a_block_are_not_filled_in() {
    let mut world = world();
    let nano = shape(NANO).expect("a known shape");
    // Deposits of two chains are open; the smallest shape has room for one chain.
    assert!(!world.fits(nano));
    world.open.clear();
    let one = world.deposit(1, COIN, 2, ONE).expect("it is in order");
    assert_eq!(one.slot_kind(), SlotKind::Queue);
    assert!(world.fits(nano));
    world.deposit(3, COIN, 3, ONE).expect("it is in order");
    assert!(!world.fits(nano));
    // Whoever fills it in all the same has no block: neither its form nor its leaves are those of the shape.
    let mut block = world.seal(SMALL).block;
    assert_eq!(block.check_form(AccountId(0)), Ok(()));
    block.head.shape = NANO;
    assert_eq!(block.check_form(AccountId(0)), Err(BlockError::Full(NANO)));
    assert_eq!(block.working_set(world.before()), Err(BlockError::Full(NANO)));
}
