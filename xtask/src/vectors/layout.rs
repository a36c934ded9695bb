//! The public words of each operation: an everyday example and one with every field at its widest.

use anyhow::Result;
use serde::Serialize;
use zklink::amount::{Amount, Fee};
use zklink::fixtures::{Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, Nonce, Owner, SubAccountId, TokenId};
use zklink::layout::HEAD_WORD;
use zklink::layout::{Field, Packed};
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};

use super::{bytes, word, words};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Vectors {
    head: PackedWord,
    operations: Vec<Operation>,
    fees: Vec<FeeExample>,
}

#[derive(Serialize)]
struct PackedWord {
    word: String,
    fields: Vec<FieldValue>,
}

#[derive(Serialize)]
struct FieldValue {
    name: &'static str,
    /// The place in the 32 bytes of the word, from the most significant.
    at: usize,
    bytes: usize,
    /// Decimal, because 128 bits do not fit the numbers of JSON readers.
    value: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Operation {
    name: &'static str,
    code: u8,
    /// Which vector of the block the words stand in.
    vector: &'static str,
    words: Vec<String>,
    /// The fields of the first word.
    fields: Vec<FieldValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_x: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_y: Option<String>,
}

#[derive(Serialize)]
struct FeeExample {
    packed: u16,
    amount: String,
}

/// Values of the fields that several operations share.
struct Values {
    chain: ChainId,
    account: AccountId,
    sub_account: SubAccountId,
    token: TokenId,
    amount: u128,
    fee: Fee,
    owner: Owner,
    nonce: Nonce,
}

pub(super) fn vectors() -> Result<Vectors> {
    let everyday = Values {
        chain: ChainId(2),
        account: AccountId(0x010203),
        sub_account: SubAccountId(4),
        token: USDC,
        amount: 1_234_567_000_000_000_000_000,
        fee: Fee(0x0b85),
        owner: Owner::from_evm(*b"zkLink--owner--of--a"),
        nonce: Nonce(7),
    };
    let widest = Values {
        chain: ChainId(ChainId::MAX),
        account: AccountId(AccountId::COUNT - 1),
        sub_account: SubAccountId(SubAccountId::COUNT - 1),
        token: TokenId(u16::MAX),
        amount: u128::MAX,
        fee: Fee(u16::MAX),
        owner: Owner([0xff; 32]),
        nonce: Nonce(u32::MAX),
    };
    let mut operations = Vec::new();
    for values in [everyday, widest] {
        operations.extend(examples(&values)?);
    }
    let fees = [0, 1 << 5, 2047 << 5, 3 << 5 | 18, 1 << 5 | 31, u16::MAX];
    let fees = fees.map(|packed| FeeExample { packed, amount: Fee(packed).amount().to_string() });
    let head = HEAD_WORD.pack([7, 1_700_000_000, 2]);
    let head = PackedWord { word: word(head), fields: fields(&HEAD_WORD, &head)? };
    Ok(Vectors { head, operations, fees: fees.into() })
}

fn examples(values: &Values) -> Result<Vec<Operation>> {
    let Values { chain, account, sub_account, token, amount, fee, owner, nonce } = *values;
    let transfer = |new_owner| Transfer {
        account,
        sub_account,
        to_account: AccountId(account.0 / 2),
        to_sub_account: SubAccountId(sub_account.0 / 2),
        token,
        amount: Amount(amount),
        fee,
        new_owner,
    };
    let deposit = Deposit { chain, account, sub_account, token, amount: Amount(amount), owner };
    let withdraw = Withdraw {
        chain,
        account,
        sub_account,
        token,
        l1_amount: amount,
        scale: 12,
        fee,
        to: owner,
    };
    let key = Scenario::key(1).public();
    let change =
        ChangePubKey { chain, account, sub_account, fee_token: token, fee, nonce, owner, key };
    let mut changed =
        operation("ChangePubKey", Op::ChangePubKey(change), &ChangePubKey::WORD, Some(owner))?;
    changed.key_x = Some(word(key.x()));
    changed.key_y = Some(word(key.y()));
    let new = Op::Transfer(transfer(Some(owner)));
    Ok(vec![
        operation("Deposit", Op::Deposit(deposit), &Deposit::WORD, Some(owner))?,
        operation("TransferToNew", new, &Transfer::WORD_NEW, Some(owner))?,
        operation("Withdraw", Op::Withdraw(withdraw), &Withdraw::WORD, Some(owner))?,
        operation("Transfer", Op::Transfer(transfer(None)), &Transfer::WORD, None)?,
        changed,
    ])
}

fn operation<const N: usize>(
    name: &'static str,
    op: Op,
    layout: &Packed<N>,
    owner: Option<Owner>,
) -> Result<Operation> {
    let kind = op.slot_kind().expect("only a noop has no kind");
    let published = op.words();
    anyhow::ensure!(Op::decode(kind, &published)? == op, "{name} does not survive its own words");
    Ok(Operation {
        name,
        code: kind.code(),
        vector: if kind.is_onchain() { "onchain" } else { "data" },
        words: words(&published),
        fields: fields(layout, &published[0])?,
        owner: owner.map(|owner| bytes(&owner.0)),
        key_x: None,
        key_y: None,
    })
}

fn fields<const N: usize>(layout: &Packed<N>, word: &Fr) -> Result<Vec<FieldValue>> {
    let mut at = 1;
    let values = layout.unpack(word)?;
    let value = |(field, value): (&Field, u128)| {
        let value =
            FieldValue { name: field.name, at, bytes: field.bytes, value: value.to_string() };
        at += field.bytes;
        value
    };
    Ok(layout.fields.iter().zip(values).map(value).collect())
}
