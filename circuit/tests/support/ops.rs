//! Operations with signatures over exactly what they say, whether or not anybody would accept them.

// Every test file takes from here what it needs.
#![allow(dead_code)]

use zklink::amount::{Amount, Fee};
use zklink::commitment::amount_to_fr;
use zklink::fixtures::{Scenario, USDC};
use zklink::hash::{Domain, Fr, compress4};
use zklink::id::{AccountId, ChainId, Nonce, Owner, SubAccountId};
use zklink::key::{Signature, sign};
use zklink::layout::low_word;
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};
use zklink::state::DeploymentId;
use zklink::tx::header;

use crate::blocks::FEE;

/// Sub-account 0 of every account here.
const SUB: SubAccountId = SubAccountId(0);

/// The fee of every operation here.
pub(crate) fn fee() -> Fee {
    Fee::closest(Amount(FEE))
}

/// A payment in USDC.
pub(crate) fn transfer(from: u32, to: u32, amount: u128) -> Transfer {
    Transfer {
        account: AccountId(from),
        sub_account: SUB,
        to_account: AccountId(to),
        to_sub_account: SUB,
        token: USDC,
        amount: Amount(amount),
        fee: fee(),
        new_owner: None,
    }
}

/// A payout in USDC on chain 1, where it has 6 decimals.
pub(crate) fn withdraw(from: u32, l1_amount: u128, to: Owner) -> Withdraw {
    Withdraw {
        chain: ChainId(1),
        account: AccountId(from),
        sub_account: SUB,
        token: USDC,
        l1_amount,
        scale: 12,
        fee: fee(),
        to,
    }
}

/// A deposit of USDC on chain 1.
pub(crate) fn deposit(account: u32, amount: u128, owner: Owner) -> Deposit {
    Deposit {
        chain: ChainId(1),
        account: AccountId(account),
        sub_account: SUB,
        token: USDC,
        amount: Amount(amount),
        owner,
    }
}

/// A change of the key of an account to that of user `key`, with the next nonce.
pub(crate) fn change_key(world: &Scenario, account: u32, key: u8) -> ChangePubKey {
    let id = AccountId(account);
    let found = world.state.account(id).cloned().unwrap_or_default();
    ChangePubKey {
        chain: ChainId(1),
        account: id,
        sub_account: SUB,
        fee_token: USDC,
        fee: fee(),
        nonce: found.nonce,
        owner: found.owner,
        key: Scenario::key(key).public(),
    }
}

/// What the signature of an operation binds. `to` is the receiver of a transfer, `nonce` that of the sub-account.
pub(crate) fn message(deployment: DeploymentId, op: &Op, to: Owner, nonce: u32) -> Fr {
    let (header, third, fourth) = match op {
        Op::Transfer(op) => (
            header::TRANSFER.pack([
                Transfer::CODE.into(),
                op.account.0.into(),
                op.sub_account.0.into(),
                op.to_sub_account.0.into(),
                op.token.0.into(),
                op.fee.0.into(),
                nonce.into(),
                to.top().into(),
            ]),
            amount_to_fr(op.amount),
            low_word(to.low()),
        ),
        Op::Withdraw(op) => (
            header::WITHDRAW.pack([
                Withdraw::CODE.into(),
                op.account.0.into(),
                op.sub_account.0.into(),
                op.chain.0.into(),
                op.token.0.into(),
                op.fee.0.into(),
                nonce.into(),
                op.scale.into(),
                op.to.top().into(),
            ]),
            amount_to_fr(Amount(op.l1_amount)),
            low_word(op.to.low()),
        ),
        Op::ChangePubKey(op) => (
            header::CHANGE_PUB_KEY.pack([
                ChangePubKey::CODE.into(),
                op.account.0.into(),
                op.sub_account.0.into(),
                op.chain.0.into(),
                op.fee_token.0.into(),
                op.fee.0.into(),
                op.nonce.0.into(),
            ]),
            op.key.x(),
            op.key.y(),
        ),
        Op::Noop(_) | Op::Deposit(_) => panic!("nobody signs this"),
    };
    compress4(Domain::Message, [low_word(deployment.0), header, third, fourth])
}

/// The signature of user `n` over what an operation says.
pub(crate) fn signed(
    world: &Scenario,
    n: u8,
    op: &Op,
    to: Owner,
    nonce: Nonce,
) -> Option<Signature> {
    let message = message(world.state.system.deployment, op, to, nonce.0);
    Some(sign(&Scenario::key(n), message))
}
