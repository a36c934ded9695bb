//! Operations with signatures over exactly what they say, whether or not anybody would accept them.

// Every test file takes from here what it needs.
#![allow(dead_code)]

use zklink::amount::{Amount, Fee};
use zklink::commitment::amount_to_fr;
use zklink::fixtures::{Scenario, USDC};
use zklink::hash::{Domain, Fr, compress4};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId};
use zklink::key::{Signature, sign};
use zklink::layout::low_word;
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};
use zklink::state::DeploymentId;
use zklink::tx::header::HEADER;

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
        refused: false,
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

/// The owner of an account; nobody when there is none.
pub(crate) fn owner_of(world: &Scenario, account: u32) -> Owner {
    world.state.account(AccountId(account)).map(|account| account.owner).unwrap_or_default()
}

/// What a signature binds beside the operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// The deployment.
    pub deployment: DeploymentId,
    /// The receiver of a payment.
    pub to: Owner,
    /// The nonce of the sub-account, or of the account if its key changes.
    pub nonce: Nonce,
    /// The key version before the operation.
    pub version: KeyVersion,
    /// The most that may be taken as a fee, if that is not the fee of the operation.
    pub max_fee: Option<Fee>,
}

impl Said {
    /// What the next operation of the account has to say.
    pub(crate) fn next(world: &Scenario, op: &Op) -> Said {
        let (account, sub, to) = match op {
            Op::Deposit(_) => panic!("nobody signs this"),
            Op::Transfer(op) => {
                let known = owner_of(world, op.to_account.0);
                (op.account, op.sub_account, op.new_owner.unwrap_or(known))
            }
            Op::Withdraw(op) => (op.account, op.sub_account, op.to),
            Op::ChangePubKey(op) => (op.account, op.sub_account, Owner::NONE),
        };
        let nonce = match op {
            Op::ChangePubKey(op) => op.nonce,
            _ => world.state.sub_account(account, sub).map(|sub| sub.nonce).unwrap_or_default(),
        };
        let (deployment, version) = (world.state.system.deployment, world.key_version(account));
        Said { deployment, to, nonce, version, max_fee: None }
    }

    /// What is signed.
    pub(crate) fn message(&self, op: &Op) -> Fr {
        let pack =
            |code: u8, place: (AccountId, SubAccountId), token: u16, fee: Fee, more: [u128; 5]| {
                let [chain, scale, to_sub, to_home, to_top] = more;
                let fee = self.max_fee.unwrap_or(fee);
                HEADER.pack([
                    code.into(),
                    place.0.0.into(),
                    place.1.0.into(),
                    token.into(),
                    fee.0.into(),
                    self.nonce.0.into(),
                    self.version.0.into(),
                    chain,
                    scale,
                    to_sub,
                    to_home,
                    to_top,
                ])
            };
        let (home, top) = (self.to.home.0.into(), self.to.top().into());
        let (header, third, fourth) = match op {
            Op::Transfer(op) => {
                let more = [0, 0, op.to_sub_account.0.into(), home, top];
                let place = (op.account, op.sub_account);
                let header = pack(Transfer::CODE, place, op.token.0, op.fee, more);
                (header, amount_to_fr(op.amount), low_word(self.to.low()))
            }
            Op::Withdraw(op) => {
                let more = [op.chain.0.into(), op.scale.into(), 0, home, top];
                let place = (op.account, op.sub_account);
                let header = pack(Withdraw::CODE, place, op.token.0, op.fee, more);
                (header, amount_to_fr(Amount(op.l1_amount)), low_word(self.to.low()))
            }
            Op::ChangePubKey(op) => {
                let place = (op.account, op.sub_account);
                let more = [op.chain.0.into(), 0, 0, 0, 0];
                let header = pack(ChangePubKey::CODE, place, op.fee_token.0, op.fee, more);
                (header, op.key.x(), op.key.y())
            }
            Op::Deposit(_) => panic!("nobody signs this"),
        };
        compress4(Domain::Message, [low_word(self.deployment.0), header, third, fourth])
    }

    /// The signature of user `n`.
    pub(crate) fn by(&self, n: u8, op: &Op) -> Signature {
        sign(&Scenario::key(n), self.message(op))
    }
}
