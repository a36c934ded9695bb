//! A transaction that is in order, and ways to break one rule of it.

use zklink::amount::{Amount, Fee};
use zklink::fees::{FeeTable, LeastFees};
use zklink::fixtures::{ONE, Scenario, USDC};
use zklink::hash::Fr;
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, SubAccountId};
use zklink::key::{PackedKey, sign};
use zklink::op::Op;
use zklink::reject::Reject;
use zklink::state::State;
use zklink::tx::{
    ChangePubKeyTx, CheckedTx, KeyAuth, SignedTx, TransferTx, Tx, TxSignature, WithdrawTx,
};

/// The user whose transactions are broken; his account has the id 2.
pub(crate) const USER: u8 = 1;

/// A rule: its name, how it is broken, and what is wanted then.
pub(crate) type Fault = (&'static str, fn(&mut Case), fn(&Case) -> Reject);

/// A network in which the user holds 1050 USDC, of which chain 1 owes 1000, and has a key.
pub(crate) fn world() -> Scenario {
    let mut world = Scenario::new();
    world.deposit(1, USDC, USER, 1_000_000_000).expect("the first deposit is in order");
    world.deposit(2, USDC, USER, 50 * ONE).expect("the second deposit is in order");
    world.set_key(USER).expect("the key is authorised");
    assert_eq!(world.account(USER), AccountId(2));
    world
}

/// The next key change of the user, authorised on chain 1.
pub(crate) fn next_key_change(world: &mut Scenario) -> Tx {
    let account_id = world.account(USER);
    let account = world.state.account(account_id).expect("it was just found");
    let (nonce, key_version) = (account.nonce, account.key_version);
    let key = Scenario::key(USER).public();
    world.authorised.insert(ChainId(1), Scenario::owner(USER), nonce, &key);
    Tx::ChangePubKey(ChangePubKeyTx {
        chain_id: ChainId(1),
        account_id,
        sub_account_id: SubAccountId(0),
        new_pub_key: key,
        fee_token: USDC,
        fee: Fee::ZERO,
        nonce,
        key_version,
        eth_auth_data: KeyAuth::Onchain,
    })
}

/// A transaction in its network, and who signs it.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) world: Scenario,
    pub(crate) signer: u8,
    /// The signature is over something else.
    pub(crate) tampered: bool,
    fees: FeeTable,
    tx: Tx,
}

impl Case {
    pub(crate) fn new(tx: fn(&mut Scenario) -> Tx) -> Case {
        let mut world = world();
        let tx = tx(&mut world);
        Case { world, signer: USER, tampered: false, fees: FeeTable::default(), tx }
    }

    pub(crate) fn transfer(&mut self) -> &mut TransferTx {
        match &mut self.tx {
            Tx::Transfer(tx) => tx,
            other => panic!("{other:?} is not a transfer"),
        }
    }

    pub(crate) fn withdraw(&mut self) -> &mut WithdrawTx {
        match &mut self.tx {
            Tx::Withdraw(tx) => tx,
            other => panic!("{other:?} is not a withdrawal"),
        }
    }

    pub(crate) fn change(&mut self) -> &mut ChangePubKeyTx {
        match &mut self.tx {
            Tx::ChangePubKey(tx) => tx,
            other => panic!("{other:?} is not a key change"),
        }
    }

    pub(crate) fn next_nonce(&self) -> Nonce {
        self.world.nonce(self.world.account(USER))
    }

    pub(crate) fn forget_key(&mut self) {
        edit_state(&mut self.world.state, |state| {
            state["accounts"]["2"]["key"] = serde_json::Value::Null;
        });
    }

    /// The sub-account has made all transactions that it can count, and this is one more.
    pub(crate) fn use_up_nonce(&mut self) {
        edit_state(&mut self.world.state, |state| {
            state["accounts"]["2"]["sub_accounts"]["0"]["nonce"] = u32::MAX.into();
        });
        match &mut self.tx {
            Tx::Transfer(tx) => tx.nonce = Nonce(u32::MAX),
            Tx::Withdraw(tx) => tx.nonce = Nonce(u32::MAX),
            Tx::ChangePubKey(_) => panic!("key changes count on the account"),
        }
    }

    /// The account has made all key changes that it can count, and this is one more.
    pub(crate) fn use_up_account_nonce(&mut self) {
        edit_state(&mut self.world.state, |state| {
            state["accounts"]["2"]["nonce"] = u32::MAX.into();
        });
        let nonce = Nonce(u32::MAX);
        let key = Scenario::key(USER).public();
        self.world.authorised.insert(ChainId(1), Scenario::owner(USER), nonce, &key);
        self.change().nonce = nonce;
    }

    /// The account has had all keys that it can count, and this is one more.
    pub(crate) fn use_up_key_version(&mut self) {
        edit_state(&mut self.world.state, |state| {
            state["accounts"]["2"]["key_version"] = u32::MAX.into();
        });
        self.change().key_version = KeyVersion(u32::MAX);
    }

    /// The operator asks for a fee that the transaction does not pay.
    pub(crate) fn raise_fees(&mut self) {
        let least = Fee::closest(Amount(9000 * ONE));
        let fees = LeastFees {
            transfer: least,
            transfer_to_new: least,
            withdraw: least,
            change_pub_key: least,
        };
        self.fees.0.insert(USDC, fees);
    }

    /// What is said then.
    pub(crate) fn fee_too_low(&self) -> Reject {
        let (token, paid) = self.tx.fee();
        Reject::FeeTooLow { token, paid: paid.amount(), least: Amount(9000 * ONE) }
    }

    fn submit(&mut self) -> Result<Op, Reject> {
        let key = Scenario::key(self.signer);
        let deployment = self.world.state.system.deployment;
        let signed = match self.tx.clone().sign(&key, deployment, &self.world.network) {
            Ok(signed) if !self.tampered => signed,
            // What has no message cannot be signed, but anybody can send it.
            _ => unsigned(self.tx.clone(), self.signer),
        };
        let Scenario { state, network, authorised, .. } = &self.world;
        if let Ok(checked) = CheckedTx::new(signed.clone(), deployment, network) {
            self.fees.admit(&checked, state, network, authorised)?;
        }
        self.world.submit(&signed)
    }
}

/// The transaction with a signature of the user over something else.
pub(crate) fn unsigned(tx: Tx, n: u8) -> SignedTx {
    let key = Scenario::key(n);
    let pub_key = PackedKey::from(&key.public());
    let signature = TxSignature { pub_key, signature: sign(&key, Fr::one()) };
    SignedTx { tx, signature }
}

/// Breaks each rule alone and with each later one, and sees that rule named and nothing changed.
pub(crate) fn check_rules(base: &Case, rules: &[Fault]) {
    assert!(base.clone().submit().is_ok(), "the unbroken transaction is accepted");
    for (at, (first, break_first, wanted)) in rules.iter().enumerate() {
        for (second, break_second, _) in &rules[at..] {
            let mut case = base.clone();
            // The later rule is broken first, so that it never mends the earlier one.
            break_second(&mut case);
            break_first(&mut case);
            let before = case.world.state.clone();
            let wanted = wanted(&case);
            assert_eq!(case.submit(), Err(wanted), "{first} comes before {second}");
            assert_eq!(case.world.state, before, "a rejection changes nothing: {first}, {second}");
        }
    }
}

/// Changes the stored form of a state: the way to one that no short history leads to.
pub(crate) fn edit_state(state: &mut State, edit: impl Fn(&mut serde_json::Value)) {
    let mut stored = serde_json::to_value(&*state).expect("a state can be stored");
    edit(&mut stored);
    *state = serde_json::from_value(stored).expect("the edited state can be read");
    state.rebuild_index();
}
