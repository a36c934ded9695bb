//! The public words of each operation: an everyday example and one with every field at its widest.

use anyhow::Result;
use serde::Serialize;
use zklink::amount::{Amount, Fee};
use zklink::fixtures::{Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, Nonce, Owner, SubAccountId, TokenId};
use zklink::layout::HEAD_WORD;
use zklink::layout::{Field, Packed};
use zklink::op::{ChangePubKey, Deposit, Op, Published, Transfer, Withdraw};

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
    /// The address of the owner or receiver whose parts the words hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Its home.
    #[serde(skip_serializing_if = "Option::is_none")]
    home: Option<u8>,
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
    at: u16,
    refused: bool,
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
        at: 5,
        refused: false,
    };
    let widest = Values {
        chain: ChainId(ChainId::MAX),
        account: AccountId(AccountId::COUNT - 1),
        sub_account: SubAccountId(SubAccountId::COUNT - 1),
        token: TokenId(u16::MAX),
        amount: u128::MAX,
        fee: Fee(u16::MAX),
        owner: Owner { home: ChainId(ChainId::MAX), address: [0xff; 32] },
        nonce: Nonce(u32::MAX),
        at: u16::MAX,
        refused: true,
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
    let Values { chain, account, sub_account, token, fee, owner, nonce, .. } = *values;
    let Values { amount, at, refused, .. } = *values;
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
    let deposit = Deposit {
        chain,
        account: if refused { AccountId(0) } else { account },
        sub_account,
        token,
        amount: Amount(amount),
        owner,
        refused,
    };
    let withdraw = Withdraw {
        chain,
        account,
        sub_account,
        token,
        l1_amount: amount,
        scale: 12,
        fee,
        to: Owner { home: ChainId(0), ..owner },
    };
    let to = withdraw.to;
    let key = Scenario::key(1).public();
    let change =
        ChangePubKey { chain, account, sub_account, fee_token: token, fee, nonce, owner, key };
    let mut changed =
        operation("ChangePubKey", Op::ChangePubKey(change), at, &ChangePubKey::WORD, Some(owner))?;
    changed.key_x = Some(word(key.x()));
    changed.key_y = Some(word(key.y()));
    let new = Op::Transfer(transfer(Some(owner)));
    Ok(vec![
        operation("Deposit", Op::Deposit(deposit), at, &Deposit::WORD, Some(owner))?,
        operation("TransferToNew", new, at, &Transfer::WORD_NEW, Some(owner))?,
        operation("Withdraw", Op::Withdraw(withdraw), at, &Withdraw::WORD, Some(to))?,
        operation("Transfer", Op::Transfer(transfer(None)), at, &Transfer::WORD, None)?,
        changed,
    ])
}

fn operation<const N: usize>(
    name: &'static str,
    op: Op,
    at: u16,
    layout: &Packed<N>,
    owner: Option<Owner>,
) -> Result<Operation> {
    let published = op.words(at);
    let mut rest = &published[..];
    let same = if op.is_onchain() {
        Op::take_onchain(&mut rest)? == Published { op: op.clone(), at }
    } else {
        Op::take_data(&mut rest)? == op
    };
    anyhow::ensure!(same && rest.is_empty(), "{name} does not survive its own words");
    Ok(Operation {
        name,
        code: zklink::layout::code(&published[0])?,
        vector: if op.is_onchain() { "onchain" } else { "data" },
        words: words(&published),
        fields: fields(layout, &published[0])?,
        owner: owner.map(|owner| bytes(&owner.address)),
        home: owner.map(|owner| owner.home.0),
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
