//! The mix of operations of a retail rollup: 60 % transfers, 5 % to new receivers, 15 % withdrawals, 15 % deposits, 5 %
//! key changes, over 4 tokens and 3 chains.

use zklink::amount::{Amount, Fee};
use zklink::fixtures::{Dice, ONE};
use zklink::id::{AccountId, ChainId, Owner, SubAccountId, TokenId};
use zklink::key::{PublicKey, SecretKey};
use zklink::op::{ChangePubKey, Deposit, Op, Transfer, Withdraw};
use zklink::shape::{Counts, Load, Shape};
use zklink::state::{DeploymentId, State};

const TOKENS: [TokenId; 4] = [TokenId(1), TokenId(17), TokenId(18), TokenId(32)];
const CHAINS: u8 = 3;

/// A state with users who do what such users do.
pub(crate) struct Mix {
    state: State,
    users: Vec<AccountId>,
    key: PublicKey,
    dice: Dice,
    newcomers: u32,
}

impl Mix {
    /// A state of `2^accounts` accounts, of which so many, evenly spread, are active.
    pub(crate) fn new(users: u32, accounts: u32) -> Mix {
        let owner = |number| Owner::from_evm([number; 20]);
        let state = State::genesis(DeploymentId([7; 31]), owner(1), owner(2));
        let key = SecretKey::from_seed(b"the users of a figure").public();
        let mut mix = Mix { state, users: Vec::new(), key, dice: Dice::new(1), newcomers: 0 };
        let count = 1u32 << accounts;
        let step = count / (users + 1);
        for id in 2..count {
            let active = id % step == 0 && mix.users.len() < users as usize;
            // Those who are not active hold something, too.
            let tokens = if active { &TOKENS[..] } else { &TOKENS[..1] };
            let chains = if active { CHAINS } else { 1 };
            for token in tokens {
                for chain in 1..=chains {
                    mix.apply(&deposit(ChainId(chain), AccountId(id), *token, 1_000_000 * ONE));
                }
            }
            if active {
                mix.users.push(AccountId(id));
                let op = mix.change_key(AccountId(id), TOKENS[0], Fee::ZERO);
                mix.apply(&op);
            }
        }
        mix
    }

    /// Packs operations into blocks of the shape as the builder does: what does not fit begins the next block. Gives
    /// what each block holds.
    pub(crate) fn pack(mut self, shape: &Shape, blocks: usize) -> Vec<Counts> {
        let mut packed = Vec::with_capacity(blocks);
        let mut load = Load::default();
        while packed.len() < blocks {
            let op = self.next();
            let fee_account = self.state.system.fee_account;
            if !load.counts_with(&op, fee_account).fit(&shape.room) {
                packed.push(std::mem::take(&mut load).counts());
                let number = self.state.system.number.next().expect("few blocks");
                self.state.end_block(number, self.state.system.timestamp + 1);
            }
            let alone = Load::default().counts_with(&op, fee_account);
            assert!(alone.fit(&shape.room), "an operation fits a block of its own");
            load.add(&op, fee_account);
            self.apply(&op);
        }
        packed
    }

    fn apply(&mut self, op: &Op) {
        op.apply(&mut self.state).expect("users do what they can");
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.dice.below(bound as u64)).expect("it is below a usize")
    }

    fn next(&mut self) -> Op {
        let at = self.below(self.users.len());
        let user = self.users[at];
        let token = TOKENS[self.below(TOKENS.len())];
        let chain = ChainId(1 + self.below(CHAINS.into()) as u8);
        let fee = Fee::closest(Amount(ONE / 1_000 * (1 + self.below(999) as u128)));
        let amount = ONE / 100 * (1 + self.below(999) as u128);
        match self.below(100) {
            0..60 => {
                let to = self.below(self.users.len());
                transfer(user, self.users[to], None, token, amount, fee)
            }
            60..65 => {
                self.newcomers += 1;
                let owner = owner_of(AccountId(0x8000_0000 + self.newcomers));
                let to = self.state.next_account().expect("the tree has room");
                transfer(user, to, Some(owner), token, amount, fee)
            }
            65..80 => withdraw(chain, user, token, amount, fee),
            80..95 => deposit(chain, user, token, amount),
            _ => self.change_key(user, token, fee),
        }
    }

    fn change_key(&self, account: AccountId, fee_token: TokenId, fee: Fee) -> Op {
        let nonce = self.state.account(account).map(|account| account.nonce).unwrap_or_default();
        Op::ChangePubKey(ChangePubKey {
            chain: ChainId(1),
            account,
            sub_account: SubAccountId(0),
            fee_token,
            fee,
            nonce,
            owner: owner_of(account),
            key: self.key,
        })
    }
}

fn owner_of(account: AccountId) -> Owner {
    let mut address = [0xaa; 20];
    address[..4].copy_from_slice(&account.0.to_be_bytes());
    Owner::from_evm(address)
}

fn deposit(chain: ChainId, account: AccountId, token: TokenId, amount: u128) -> Op {
    Op::Deposit(Deposit {
        chain,
        account,
        sub_account: SubAccountId(0),
        token,
        amount: Amount(amount),
        owner: owner_of(account),
        refused: false,
    })
}

fn transfer(
    account: AccountId,
    to_account: AccountId,
    new_owner: Option<Owner>,
    token: TokenId,
    amount: u128,
    fee: Fee,
) -> Op {
    Op::Transfer(Transfer {
        account,
        sub_account: SubAccountId(0),
        to_account,
        to_sub_account: SubAccountId(0),
        token,
        amount: Amount(amount),
        fee,
        new_owner,
    })
}

fn withdraw(chain: ChainId, account: AccountId, token: TokenId, amount: u128, fee: Fee) -> Op {
    Op::Withdraw(Withdraw {
        chain,
        account,
        sub_account: SubAccountId(0),
        token,
        l1_amount: amount,
        scale: 0,
        fee,
        to: owner_of(account),
    })
}
