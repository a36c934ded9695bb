//! What a block publishes says which block it is, and nothing else is taken for a block: no words make a decoder panic,
//! and no two lists of words are the same block.

use proptest::prelude::*;
use zklink::amount::{Amount, Fee};
use zklink::block::{Block, BlockError, Head, PublicData};
use zklink::fixtures::{Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, BlockNumber, ChainId, Nonce, Owner, ShapeId, SubAccountId, TokenId};
use zklink::key::PublicKey;
use zklink::layout::{BadWord, HEAD_WORD, HEAD_WORDS, power_of_two};
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};
use zklink::shape::SMALL;

fn deposit() -> Deposit {
    Deposit {
        chain: ChainId(1),
        account: AccountId(2),
        sub_account: SubAccountId(3),
        token: USDC,
        amount: Amount(4),
        owner: Scenario::owner(5),
        refused: false,
    }
}

fn transfer() -> Transfer {
    Transfer {
        account: AccountId(2),
        sub_account: SubAccountId(3),
        to_account: AccountId(4),
        to_sub_account: SubAccountId(5),
        token: USDC,
        amount: Amount(6),
        fee: Fee(7 << 5),
        new_owner: None,
    }
}

fn withdraw() -> Withdraw {
    Withdraw {
        chain: ChainId(1),
        account: AccountId(2),
        sub_account: SubAccountId(3),
        token: USDC,
        l1_amount: 4,
        scale: 12,
        fee: Fee(7 << 5),
        to: Scenario::owner(8),
    }
}

fn change() -> ChangePubKey {
    ChangePubKey {
        chain: ChainId(1),
        account: AccountId(2),
        sub_account: SubAccountId(3),
        fee_token: USDC,
        fee: Fee(7 << 5),
        nonce: Nonce(9),
        owner: Scenario::owner(5),
        key: Scenario::key(1).public(),
    }
}

fn block(ops: Vec<Op>) -> Block {
    let head = Head {
        number: BlockNumber(7),
        timestamp: 8,
        shape: SMALL,
        old_root: Fr::from(9),
        new_root: Fr::from(10),
    };
    Block { head, ops }
}

/// Each kind of operation once, queue operations in between.
fn mixed() -> Block {
    let to_new = Transfer { new_owner: Some(Scenario::owner(6)), ..transfer() };
    block(vec![
        Op::Deposit(deposit()),
        Op::Transfer(transfer()),
        Op::Withdraw(withdraw()),
        Op::Deposit(Deposit { refused: true, ..deposit() }),
        Op::Transfer(to_new),
        Op::ChangePubKey(change()),
        Op::Deposit(deposit()),
    ])
}

fn refusal(public: &PublicData) -> BadWord {
    match Block::decode(public) {
        Err(BlockError::Word(why)) => why,
        other => panic!("words are refused as such: {other:?}"),
    }
}

/// What becomes of the words of a block with one operation when `weight` is added to a word of it.
fn changed(op: Op, word: usize, weight: Fr) -> Result<Block, BlockError> {
    let mut public = block(vec![op]).public_data();
    if public.onchain.len() > HEAD_WORDS {
        public.onchain[HEAD_WORDS + word] += weight;
    } else {
        public.data[word] += weight;
    }
    Block::decode(&public)
}

/// All operations, as they are alone in a block, and how many words each has.
fn each() -> [(Op, usize); 5] {
    let to_new = Transfer { new_owner: Some(Scenario::owner(6)), ..transfer() };
    [
        (Op::Deposit(deposit()), 2),
        (Op::Transfer(transfer()), 1),
        (Op::Transfer(to_new), 2),
        (Op::Withdraw(withdraw()), 2),
        (Op::ChangePubKey(change()), 4),
    ]
}

#[test]
fn the_vectors_are_as_long_as_their_operations_and_in_their_order() {
    let public = mixed().public_data();
    assert_eq!(public.onchain.len(), HEAD_WORDS + 3 * 2 + 2 + 4);
    assert_eq!(public.data.len(), 1 + 2);
    assert_eq!(Block::decode(&public), Ok(mixed()));
    let codes = |words: &[Fr]| -> Vec<u8> {
        words.iter().map(|word| zklink::hash::fr_to_be_bytes(*word)[1]).collect()
    };
    let queue = [Deposit::CODE, 0, Deposit::CODE, 0, Deposit::CODE, 0];
    assert_eq!(codes(&public.onchain[HEAD_WORDS..])[..6], queue);
    assert_eq!(codes(&public.onchain[HEAD_WORDS..])[6], Withdraw::CODE);
    assert_eq!(codes(&public.onchain[HEAD_WORDS..])[8], ChangePubKey::CODE);
    assert_eq!(codes(&public.data)[..2], [Transfer::CODE, Transfer::CODE_NEW]);
    for (op, words) in each() {
        assert_eq!(op.words(3).len(), words, "{op:?}");
    }
}

#[test]
fn the_head_stands_in_front() {
    let public = block(Vec::new()).public_data();
    let packed = HEAD_WORD.pack([7, 8, SMALL.0.into()]);
    assert_eq!(public.onchain, [Fr::from(9), Fr::from(10), packed]);
    assert_eq!(public.data, []);
    for found in 0..HEAD_WORDS {
        let public = PublicData { onchain: public.onchain[..found].to_vec(), data: Vec::new() };
        assert_eq!(refusal(&public), BadWord::Length { expected: HEAD_WORDS, found });
    }
    for (weight, why) in [(248, BadWord::TooWide), (0, BadWord::Padding)] {
        let mut public = public.clone();
        public.onchain[2] += power_of_two(weight);
        assert_eq!(refusal(&public), why);
    }
}

#[test]
fn vectors_that_end_within_an_operation_are_refused() {
    for (op, words) in each() {
        let public = block(vec![op.clone()]).public_data();
        for found in 1..words {
            // What the data vector lacks at its end is zero: see below.
            if op.is_onchain() {
                let mut public = public.clone();
                public.onchain.truncate(HEAD_WORDS + found);
                assert_eq!(refusal(&public), BadWord::Length { expected: words, found }, "{op:?}");
            }
        }
    }
}

#[test]
fn zero_words_at_the_end_of_the_data_are_left_out_and_read() {
    let owner = Owner::join(ChainId(0), 9, [0; 31]);
    let to_new = Op::Transfer(Transfer { new_owner: Some(owner), ..transfer() });
    let last = block(vec![Op::Transfer(transfer()), to_new.clone()]);
    let public = last.public_data();
    assert_eq!(public.data.len(), 2, "the low part is missing");
    assert_eq!(Block::decode(&public), Ok(last));
    let within = block(vec![to_new, Op::Transfer(transfer())]);
    let public = within.public_data();
    assert_eq!((public.data.len(), public.data[1]), (3, Fr::zero()));
    assert_eq!(Block::decode(&public), Ok(within));
}

#[test]
fn zero_words_are_no_operation_wherever_they_stand() {
    let public = mixed().public_data();
    for at in HEAD_WORDS..=public.onchain.len() {
        let mut public = public.clone();
        public.onchain.insert(at, Fr::zero());
        assert!(Block::decode(&public).is_err(), "on-chain word {at}");
    }
    for at in 0..=public.data.len() {
        let mut public = public.clone();
        public.data.insert(at, Fr::zero());
        assert!(Block::decode(&public).is_err(), "data word {at}");
    }
    let mut behind = public.clone();
    behind.onchain.push(Fr::zero());
    assert_eq!(refusal(&behind), BadWord::Code(0));
    let mut behind = public;
    behind.data.push(Fr::zero());
    assert_eq!(refusal(&behind), BadWord::TrailingZero);
    behind.data.push(Fr::zero());
    assert_eq!(refusal(&behind), BadWord::TrailingZero);
}

#[test]
fn more_operations_than_ranks_are_no_block() {
    let word = Op::Transfer(transfer()).words(0)[0];
    let with = |count: usize| {
        let public = block(Vec::new()).public_data();
        Block::decode(&PublicData { data: vec![word; count], ..public })
    };
    assert_eq!(with(65_536), Err(BlockError::Full(SMALL)));
    // What can be decoded can be asked for its digest, whatever it is.
    let most = with(65_535).expect("it has a rank for each");
    assert_eq!(most.digest(), Err(BlockError::Full(SMALL)));
}

#[test]
fn codes_that_the_vector_does_not_have_are_refused() {
    let with_code = |code: u128| {
        let word = Transfer::WORD.pack([code, 0, 0, 0, 0, 0, 0, 0]);
        let onchain = [block(Vec::new()).public_data().onchain, vec![word; 4]].concat();
        let onchain = PublicData { onchain, data: Vec::new() };
        let data = PublicData { data: vec![word; 4], ..block(Vec::new()).public_data() };
        (onchain, data)
    };
    for code in 0..=255u8 {
        let (onchain, data) = with_code(code.into());
        if ![Deposit::CODE, Withdraw::CODE, ChangePubKey::CODE].contains(&code) {
            assert_eq!(refusal(&onchain), BadWord::Code(code));
        }
        // A vector of zeros is refused for its end.
        if ![0, Transfer::CODE, Transfer::CODE_NEW].contains(&code) {
            assert_eq!(refusal(&data), BadWord::Code(code));
        }
    }
}

#[test]
fn words_above_31_bytes_are_refused() {
    for (op, words) in each() {
        // The coordinates of a key are elements of the field as they are.
        let packed = if matches!(op, Op::ChangePubKey(_)) { 2 } else { words };
        for word in 0..packed {
            let wide = changed(op.clone(), word, power_of_two(248));
            assert_eq!(wide, Err(BadWord::TooWide.into()), "word {word} of {op:?}");
        }
    }
}

#[test]
fn padding_of_packed_words_is_zero() {
    for (op, _) in each() {
        // The word of a transfer to a new receiver is full.
        let full = matches!(op, Op::Transfer(Transfer { new_owner: Some(_), .. }));
        if !full {
            assert_eq!(changed(op.clone(), 0, Fr::one()), Err(BadWord::Padding.into()), "{op:?}");
        }
    }
}

#[test]
fn homes_that_no_chain_has_are_refused() {
    let weight = |word: &[zklink::layout::Field], weights: &[Fr], name| {
        weights[word.iter().position(|field| field.name == name).expect("the layout has it")]
    };
    let to_new = Transfer { new_owner: Some(Scenario::owner(6)), ..transfer() };
    let cases = [
        (Op::Deposit(deposit()), weight(&Deposit::WORD.fields, &Deposit::WORD.weights(), "home")),
        (
            Op::Transfer(to_new),
            weight(&Transfer::WORD_NEW.fields, &Transfer::WORD_NEW.weights(), "to_home"),
        ),
        (
            Op::ChangePubKey(change()),
            weight(&ChangePubKey::WORD.fields, &ChangePubKey::WORD.weights(), "home"),
        ),
    ];
    for (op, weight) in cases {
        let most = changed(op.clone(), 0, weight * Fr::from(63)).expect("63 is the last chain");
        let owner = match &most.ops[0] {
            Op::Deposit(op) => op.owner,
            Op::Transfer(op) => op.new_owner.expect("it makes an account"),
            Op::ChangePubKey(op) => op.owner,
            Op::Withdraw(_) => unreachable!("a payee has no home"),
        };
        assert_eq!(owner.home, ChainId(63));
        let above = changed(op, 0, weight * Fr::from(64));
        assert_eq!(above, Err(BadWord::Range("home").into()));
    }
    // A refused deposit too: its words are those of an owner.
    let refused = Op::Deposit(Deposit { refused: true, ..deposit() });
    let weight = weight(&Deposit::WORD.fields, &Deposit::WORD.weights(), "home");
    let above = changed(refused, 0, weight * Fr::from(64));
    assert_eq!(above, Err(BadWord::Range("home").into()));
}

#[test]
fn a_deposit_has_two_outcomes() {
    let at = Deposit::WORD.fields.iter().position(|field| field.name == "outcome");
    let weight = Deposit::WORD.weights()[at.expect("the layout has it")];
    let refused = changed(Op::Deposit(deposit()), 0, weight).expect("one is refused");
    assert_eq!(refused.ops, [Op::Deposit(Deposit { refused: true, ..deposit() })]);
    for outcome in [2, 255] {
        let other = changed(Op::Deposit(deposit()), 0, weight * Fr::from(outcome));
        assert_eq!(other, Err(BadWord::Range("outcome").into()));
    }
}

#[test]
fn coordinates_that_are_no_key_are_refused() {
    for word in [2, 3] {
        let other = changed(Op::ChangePubKey(change()), word, Fr::one());
        assert_eq!(other, Err(BadWord::Key.into()));
    }
}

/// The words of a block with an `at` of its own for each operation that has one, in the order of the vector.
fn with_places(queue: &[u16], onchain: &[u16], data: usize) -> PublicData {
    let mut words = block(Vec::new()).public_data().onchain;
    words.extend(queue.iter().flat_map(|at| Op::Deposit(deposit()).words(*at)));
    words.extend(onchain.iter().flat_map(|at| Op::Withdraw(withdraw()).words(*at)));
    let data = vec![Op::Transfer(transfer()).words(0); data].concat();
    PublicData { onchain: words, data }
}

#[test]
fn operations_stand_where_the_order_of_execution_has_them() {
    let order = |queue: &[u16], onchain: &[u16], data| -> Result<String, BlockError> {
        let block = Block::decode(&with_places(queue, onchain, data))?;
        Ok(block.ops.iter().map(|op| op.name().chars().next().expect("a name")).collect())
    };
    let place = |at| Err(BlockError::from(BadWord::Place(at)));
    assert_eq!(order(&[0, 2, 2, 3], &[1, 2], 1), Ok("DTWDDWD".into()));
    assert_eq!(order(&[], &[], 2), Ok("TT".into()));
    assert_eq!(order(&[0, 0], &[], 0), Ok("DD".into()));
    // `at` of the queue is above the number of signed operations, or falls.
    assert_eq!(order(&[0, 3], &[1], 1), place(3));
    assert_eq!(order(&[1], &[], 0), place(1));
    assert_eq!(order(&[u16::MAX], &[], 0), place(u16::MAX));
    assert_eq!(order(&[1, 0], &[], 1), place(0));
    // Ranks of on-chain operations: out of range, twice, falling, or with a gap that no operation fills.
    assert_eq!(order(&[], &[2], 1), place(2));
    assert_eq!(order(&[], &[0, 0], 1), place(0));
    assert_eq!(order(&[], &[1, 0], 0), place(1));
    assert_eq!(order(&[], &[1, 0], 1), place(0));
    assert_eq!(order(&[], &[0, 2], 0), place(2));
    assert_eq!(order(&[], &[u16::MAX], 3), place(u16::MAX));
}

#[test]
fn a_queue_operation_behind_a_signed_one_is_refused() {
    let mut public = with_places(&[0], &[0], 0);
    public.onchain.extend(Op::Deposit(deposit()).words(1));
    assert_eq!(refusal(&public), BadWord::Place(1));
}

#[test]
fn a_block_has_one_place_for_each_operation() {
    let slots = mixed();
    let slots = slots.slots();
    let places = |ops: &[zklink::op::Published<&Op>]| -> Vec<u16> {
        ops.iter().map(|published| published.at).collect()
    };
    assert_eq!(places(&slots.queue), [0, 2, 4]);
    assert_eq!(places(&slots.signed), [0, 1, 2, 3]);
}

fn owners() -> impl Strategy<Value = Owner> {
    let address = prop_oneof![any::<[u8; 32]>(), Just([0; 32]), Just([0xff; 32])];
    (0..=63u8, address).prop_map(|(home, address)| Owner { home: ChainId(home), address })
}

fn keys() -> impl Strategy<Value = PublicKey> {
    (0..4u8).prop_map(|n| Scenario::key(n).public())
}

fn places() -> impl Strategy<Value = (AccountId, SubAccountId)> {
    (0..1u32 << 24, any::<u8>()).prop_map(|(id, sub)| (AccountId(id), SubAccountId(sub)))
}

fn tokens() -> impl Strategy<Value = TokenId> {
    any::<u16>().prop_map(TokenId)
}

fn fees() -> impl Strategy<Value = Fee> {
    any::<u16>().prop_map(Fee)
}

/// Any operation that can be published, whether or not a state admits it.
fn ops() -> impl Strategy<Value = Op> {
    let chains = || (1..=2u8).prop_map(ChainId);
    let deposits = (chains(), places(), tokens(), any::<u128>(), owners(), any::<bool>());
    let deposits =
        deposits.prop_map(|(chain, (account, sub_account), token, amount, owner, refused)| {
            let amount = Amount(amount);
            Op::Deposit(Deposit { chain, account, sub_account, token, amount, owner, refused })
        });
    let new_owners = proptest::option::of(owners());
    let transfers = (places(), places(), tokens(), any::<u128>(), fees(), new_owners);
    let transfers = transfers.prop_map(|(from, to, token, amount, fee, new_owner)| {
        let ((account, sub_account), (to_account, to_sub_account)) = (from, to);
        let amount = Amount(amount);
        let op = Transfer {
            account,
            sub_account,
            to_account,
            to_sub_account,
            token,
            amount,
            fee,
            new_owner,
        };
        Op::Transfer(op)
    });
    let withdraws = (chains(), places(), tokens(), any::<u128>(), any::<u8>(), fees(), owners());
    let withdraws = withdraws.prop_map(|(chain, from, token, l1_amount, scale, fee, to)| {
        let ((account, sub_account), to) = (from, Owner { home: ChainId(0), ..to });
        Op::Withdraw(Withdraw { chain, account, sub_account, token, l1_amount, scale, fee, to })
    });
    let changes = (chains(), places(), tokens(), fees(), any::<u32>(), owners(), keys());
    let changes = changes.prop_map(|(chain, from, fee_token, fee, nonce, owner, key)| {
        let ((account, sub_account), nonce) = (from, Nonce(nonce));
        let op = ChangePubKey { chain, account, sub_account, fee_token, fee, nonce, owner, key };
        Op::ChangePubKey(op)
    });
    prop_oneof![deposits, transfers, withdraws, changes]
}

fn heads() -> impl Strategy<Value = Head> {
    (any::<(u32, u64, u16)>(), any::<[u64; 4]>(), any::<[u64; 4]>()).prop_map(
        |((number, timestamp, shape), old, new)| Head {
            number: BlockNumber(number),
            timestamp,
            shape: ShapeId(shape),
            old_root: Fr::from_raw(old),
            new_root: Fr::from_raw(new),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_block_is_what_it_publishes(head in heads(), ops in prop::collection::vec(ops(), 0..24)) {
        let block = Block { head, ops };
        let public = block.public_data();
        prop_assert_eq!(Block::decode(&public), Ok(block.clone()));
        let stored = serde_json::to_string(&(&block, &public)).expect("it can be stored");
        let stored: (Block, PublicData) = serde_json::from_str(&stored).expect("it was just stored");
        prop_assert_eq!(stored, (block, public));
    }

    /// Words of a block in another order, twice or left out: whatever is read has exactly these words.
    #[test]
    fn what_is_read_has_one_form(
        ops in prop::collection::vec(ops(), 0..8),
        edits in prop::collection::vec((any::<bool>(), any::<usize>(), any::<usize>(), 0..3u8), 1..4),
    ) {
        let mut public = block(ops).public_data();
        for (onchain, from, to, kind) in edits {
            let words = if onchain { &mut public.onchain } else { &mut public.data };
            if words.is_empty() {
                continue;
            }
            let (from, to) = (from % words.len(), to % words.len());
            match kind {
                0 => words.swap(from, to),
                1 => words.insert(to, words[from]),
                _ => drop(words.remove(from)),
            }
        }
        if let Ok(read) = Block::decode(&public) {
            prop_assert_eq!(read.public_data(), public);
        }
    }
}
