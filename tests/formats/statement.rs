//! What a proof says of a block, and what the contract of a chain is given.

use zklink::amount::{Amount, Fee};
use zklink::block::{
    BLOB_ELEMENTS, Block, CHUNK, Content, Head, PublicData, blob_element, data_root, evaluate,
    evaluate_data, reduce, rolling_content,
};
use zklink::fixtures::{COIN, ONE, Scenario, USDC};
use zklink::hash::{Domain, Fr, compress8, fr_to_be_bytes};
use zklink::id::{AccountId, BlockNumber, ChainId, SubAccountId};
use zklink::op::{ChangePubKey, Deposit, Op, SlotKind, Transfer, Withdraw};
use zklink::shape::{Counts, Load, SMALL, shape};
use zklink::state::Cell;
use zklink::tx::keccak;

const SUB: SubAccountId = SubAccountId(0);

fn withdraw(chain: u8, l1_amount: u128) -> Op {
    Op::Withdraw(Withdraw {
        chain: ChainId(chain),
        account: AccountId(2),
        sub_account: SUB,
        token: USDC,
        l1_amount,
        scale: 0,
        fee: Fee::ZERO,
        to: Scenario::owner(1),
    })
}

fn deposit(chain: u8) -> Op {
    Op::Deposit(Deposit {
        chain: ChainId(chain),
        account: AccountId(2),
        sub_account: SUB,
        token: USDC,
        amount: Amount(5),
        owner: Scenario::owner(1),
        refused: false,
    })
}

fn transfer(to: u32, fee: Fee) -> Op {
    Op::Transfer(Transfer {
        account: AccountId(2),
        sub_account: SUB,
        to_account: AccountId(to),
        to_sub_account: SubAccountId(1),
        token: USDC,
        amount: Amount(1),
        fee,
        new_owner: None,
    })
}

fn change(chain: u8) -> Op {
    Op::ChangePubKey(ChangePubKey {
        chain: ChainId(chain),
        account: AccountId(2),
        sub_account: SUB,
        fee_token: COIN,
        fee: Fee::ZERO,
        nonce: Default::default(),
        owner: Scenario::owner(1),
        key: Scenario::key(1).public(),
    })
}

fn block(ops: Vec<Op>) -> Block {
    let (old_root, new_root) = (Fr::from(5), Fr::from(6));
    let head = Head { number: BlockNumber(7), timestamp: 8, shape: SMALL, old_root, new_root };
    Block { head, ops }
}

/// `7^((r-1)/4096)`, the exponent from the largest element.
fn root_of_unity() -> Fr {
    let mut limbs = [0u64; 4];
    for (limb, bytes) in limbs.iter_mut().zip((-Fr::one()).to_bytes().as_chunks::<8>().0) {
        *limb = u64::from_le_bytes(*bytes);
    }
    let shifted: [u64; 4] = std::array::from_fn(|at| {
        let above = limbs.get(at + 1).copied().unwrap_or(0);
        limbs[at] >> 12 | above << 52
    });
    Fr::from(7).pow_vartime(&shifted)
}

fn power(of: Fr, exponent: usize) -> Fr {
    of.pow_vartime(&[exponent as u64, 0, 0, 0])
}

#[test]
fn the_root_of_unity_is_that_of_blobs() {
    assert_eq!(data_root(), root_of_unity());
    assert_eq!(power(data_root(), BLOB_ELEMENTS), Fr::one());
    assert_eq!(power(data_root(), BLOB_ELEMENTS / 2), -Fr::one());
}

#[test]
fn on_chain_words_are_coefficients() {
    let words = [3, 5, 7].map(Fr::from);
    let z = Fr::from(11);
    assert_eq!(evaluate(&words, z), Fr::from(3 + 5 * 11 + 7 * 121));
    assert_eq!(evaluate(&[], z), Fr::zero());
}

#[test]
fn data_words_are_values_at_the_roots_of_unity_in_natural_order() {
    // The values of `3 + x + 2 x^2`, which is its own interpolation.
    let at = |x: Fr| Fr::from(3) + x + Fr::from(2) * x.square();
    let mut words = Vec::with_capacity(BLOB_ELEMENTS);
    let mut root = Fr::one();
    for _ in 0..BLOB_ELEMENTS {
        words.push(at(root));
        root *= data_root();
    }
    let z = Fr::from(12345);
    assert_eq!(evaluate_data(&words, z), at(z));
    let few = [3, 5, 7].map(Fr::from);
    for (place, word) in few.iter().enumerate() {
        assert_eq!(evaluate_data(&few, power(data_root(), place)), *word);
    }
    assert_eq!(evaluate_data(&few, power(data_root(), 3)), Fr::zero());
    assert_eq!(evaluate_data(&[], z), Fr::zero());
    // One word: `w (z^n - 1) / (n (z - 1))`.
    let (n, one) = (Fr::from(4096), Fr::one());
    let quotient = (power(z, BLOB_ELEMENTS) - one)
        * (n * (z - one)).invert().expect("the test gives a right value");
    assert_eq!(evaluate_data(&few[..1], z), few[0] * quotient);
}

#[test]
fn a_blob_counts_in_bit_reversed_order() {
    let mut seen = vec![false; BLOB_ELEMENTS];
    for index in 0..BLOB_ELEMENTS {
        let naive: usize =
            (0..12).filter(|bit| index >> bit & 1 == 1).map(|bit| 1 << (11 - bit)).sum();
        assert_eq!(blob_element(index), naive);
        seen[blob_element(index)] = true;
    }
    assert!(seen.into_iter().all(|seen| seen));
    assert_eq!((blob_element(1), blob_element(2)), (2048, 1024));
}

#[test]
fn hashes_are_reduced_to_the_field() {
    let two_to_256 = power(Fr::from(2), 256);
    assert_eq!(reduce([0xff; 32]), two_to_256 - Fr::one());
    let mut small = [0; 32];
    (small[31], small[30]) = (5, 1);
    assert_eq!(reduce(small), Fr::from(261));
}

/// Seven words a step after the length, over every slot of the shape.
fn naive_digest(block: &Block) -> Fr {
    let room = shape(block.head.shape).expect("the test gives a right value").room;
    let mut words = block.public_data().onchain[..3].to_vec();
    for (kind, slots, width) in
        [(SlotKind::Queue, room.queue, 2), (SlotKind::Signed, room.signed, 4)]
    {
        let mut signed = 0;
        let mut of_kind = Vec::new();
        for op in &block.ops {
            if op.slot_kind() == kind {
                let mut slot = op.words(signed);
                slot.resize(width, Fr::zero());
                of_kind.extend(slot);
            }
            signed += u16::from(op.slot_kind() == SlotKind::Signed);
        }
        of_kind.resize(slots * width, Fr::zero());
        words.extend(of_kind);
    }
    let mut state = Fr::from(words.len() as u64);
    while !words.is_empty() {
        let rest = words.split_off(words.len().min(7));
        words.resize(7, Fr::zero());
        let [a, b, c, d, e, f, g] = words.try_into().expect("the test gives a right value");
        state = compress8(Domain::PublicData, [state, a, b, c, d, e, f, g]);
        words = rest;
    }
    state
}

#[test]
fn the_statement_is_digest_point_and_two_values() {
    let fee = Fee(3 << 5);
    let mixed = vec![deposit(1), transfer(3, fee), withdraw(1, 9), deposit(2), change(1)];
    let words = |words: &[Fr]| {
        let bytes: Vec<u8> = words.iter().flat_map(|word| fr_to_be_bytes(*word)).collect();
        keccak(&[&bytes])
    };
    for block in [block(Vec::new()), block(mixed)] {
        let PublicData { onchain, data } = block.public_data();
        let digest = naive_digest(&block);
        assert_eq!(block.digest(), Ok(digest));
        let z = reduce(keccak(&[&fr_to_be_bytes(digest), &words(&onchain), &words(&data)]));
        assert_eq!(block.public_data().point(digest), z);
        let inputs = [digest, z, evaluate_data(&data, z), evaluate(&onchain, z)];
        assert_eq!(block.public_data().inputs(digest), inputs);
        assert_eq!(block.public_inputs(), Ok(inputs));
    }
}

fn bytes(op: &Op, at: u16) -> Vec<[u8; 32]> {
    op.words(at).into_iter().map(fr_to_be_bytes).collect()
}

#[test]
fn a_chain_is_given_its_own_operations_with_withdrawals_in_chunks() {
    let paid = 2 * CHUNK + 1;
    let mut ops: Vec<Op> = (0..paid).map(|amount| withdraw(1, amount as u128)).collect();
    ops.insert(1, deposit(1));
    ops.insert(4, transfer(3, Fee::ZERO));
    ops.push(change(1));
    ops.push(deposit(2));
    let block = block(ops.clone());
    let contents = block.contents();
    assert_eq!(contents.keys().copied().collect::<Vec<_>>(), [ChainId(1), ChainId(2)]);
    let one = &contents[&ChainId(1)];
    let ranks = |at: u16| if at < 3 { at } else { at + 1 };
    let payouts: Vec<_> =
        (0..paid as u16).flat_map(|at| bytes(&withdraw(1, at.into()), ranks(at))).collect();
    // The transfer stands at rank 3, behind three withdrawals and the deposit.
    let change_words = bytes(&change(1), paid as u16 + 1);
    assert_eq!(one.rest, [bytes(&deposit(1), 1), change_words.clone()].concat());
    assert_eq!(one.chunks, payouts.chunks(2 * CHUNK).map(<[_]>::to_vec).collect::<Vec<_>>());
    assert_eq!(one.chunks.len(), 3);
    assert_eq!(contents[&ChainId(2)].rest, bytes(&deposit(2), paid as u16 + 2));
    assert_eq!(contents[&ChainId(2)].chunks.len(), 0);
    let words = block.chain_words();
    assert_eq!(words[&ChainId(1)], [bytes(&deposit(1), 1), payouts, change_words].concat());
    assert_eq!(words[&ChainId(2)], contents[&ChainId(2)].rest);
    assert_eq!(words.len(), 2);
}

#[test]
fn contents_are_bound_by_hashes_of_their_parts() {
    let content =
        Content { rest: vec![[1; 32], [2; 32]], chunks: vec![vec![[3; 32]], vec![[4; 32]]] };
    let parts = [keccak(&[&[1; 32], &[2; 32]]), keccak(&[&[3; 32]]), keccak(&[&[4; 32]])];
    assert_eq!(content.hashes(), parts);
    assert_eq!(content.hash(), keccak(&[&parts[0], &parts[1], &parts[2]]));
    assert_eq!(Content::default().hash(), keccak(&[&keccak(&[])]));
    let mut number = [0; 32];
    number[28..].copy_from_slice(&[1, 2, 3, 4]);
    let rolling = rolling_content([7; 32], BlockNumber(0x0102_0304), [8; 32]);
    assert_eq!(rolling, keccak(&[&[7; 32], &number, &[8; 32]]));
}

#[test]
fn a_shape_counts_its_words() {
    let small = shape(SMALL).expect("the test gives a right value");
    assert_eq!(small.onchain_words(), 3 + 2 * 8 + 4 * 8);
    assert_eq!(small.data_words(), 2 * 8);
    assert_eq!((SlotKind::Queue.words(), SlotKind::Signed.words()), (2, 4));
}

#[test]
fn operations_need_what_they_touch() {
    let fee = Fee(3 << 5);
    let ops = [
        deposit(1),
        transfer(3, fee),
        withdraw(2, 9),
        deposit(2),
        change(1),
        transfer(2, Fee::ZERO),
    ];
    let mut load = Load::default();
    for op in &ops {
        let with = load.counts_with(op, AccountId(0));
        load.add(op, AccountId(0));
        assert_eq!(with, load.counts());
        assert_eq!(load.counts_with(op, AccountId(0)).accounts, load.counts().accounts);
    }
    assert_eq!(load, Load::of(&ops, AccountId(0)));
    // Accounts 0 (fees), 2 and 3; sub-accounts 0/0, 2/0, 2/1, 3/1; the coin of the key change is a balance of its own.
    let wanted = Counts {
        queue: 2,
        signed: 4,
        accounts: 3,
        account_pages: 1,
        sub_accounts: 4,
        balances: 5,
        balance_pages: 4,
        fee_tokens: 1,
        chains: 2,
        pools: 2,
        pool_pages: 2,
    };
    assert_eq!(load.counts(), wanted);
    let state = Scenario::new().state;
    let block = block(ops.to_vec());
    let cells = block.cells(&state);
    let balance = |account, sub, token| Cell::Balance(AccountId(account), SubAccountId(sub), token);
    let mut all = vec![
        balance(0, 0, USDC),
        balance(2, 0, USDC),
        balance(2, 0, COIN),
        balance(2, 1, USDC),
        balance(3, 1, USDC),
    ];
    for chain in [1, 2].map(ChainId) {
        all.extend([Cell::Pool(chain, USDC), Cell::Cursor(chain)]);
    }
    assert_eq!(cells, all.into_iter().collect());
    let set = block.working_set(&state).expect("it fits");
    assert!(set.accounts.contains(&AccountId(3)) && set.chains.contains(&ChainId(2)));
}

#[test]
fn operations_have_names_and_chains() {
    let of = |op: Op| (op.name(), op.chain().map(|chain| chain.0), op.is_onchain());
    assert_eq!(of(deposit(2)), ("Deposit", Some(2), true));
    assert_eq!(of(transfer(3, Fee::ZERO)), ("Transfer", None, false));
    assert_eq!(of(withdraw(3, 1)), ("Withdraw", Some(3), true));
    assert_eq!(of(change(1)), ("ChangePubKey", Some(1), true));
    assert_eq!(transfer(3, Fee(5)).fee_token(), None, "the mantissa is zero");
    assert_eq!(transfer(3, Fee::closest(Amount(ONE))).fee_token(), Some(USDC));
}
