//! The network of the tests: a hub and a spoke, a token of different decimals on them, a native coin, and users.

use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};

use alloy_primitives::{FixedBytes, U256};
use zklink::amount::{Amount, Fee};
use zklink::commitment::StateTree;
use zklink::hash::fr_to_be_bytes;
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId, TokenId};
use zklink::key::SecretKey;
use zklink::shape::{NANO, SMALL};
use zklink::state::{DeploymentId, State};
use zklink::token::{Address, Network};
use zklink::tx::{ChangePubKeyTx, KeyAuth, SignedTx, TransferTx, Tx, WithdrawTx};
use zklink_chain::account::EthKey;
use zklink_chain::client::Call;
use zklink_chain::contracts::{KeyRecorder, Rollup, transaction};
use zklink_chain::deploy::{
    DeployedChain, DeployedHub, DeployedShape, DeployedToken, Deployment, Genesis, HexAddress, Role,
};
use zklink_chain::wallet::authorise;

use crate::simulated::{Registration, SimulatedContracts, SimulatedHub, Verifier};

/// The hub.
pub const HUB: ChainId = ChainId(1);
/// The spoke.
pub const SPOKE: ChainId = ChainId(2);
/// Six decimals on the hub, eighteen on the spoke.
pub const USD: TokenId = TokenId(17);
/// The native coin of both chains.
pub const COIN: TokenId = TokenId(32);
/// One whole token.
pub const ONE: u128 = 10u128.pow(18);
/// Binds everything to this deployment.
pub const DEPLOYMENT: DeploymentId = DeploymentId([0xd1; 31]);
/// Attesters, of whom two must sign.
const ATTESTERS: usize = 3;

/// Chains and tokens.
pub fn network() -> Arc<Network> {
    static NETWORK: LazyLock<Arc<Network>> = LazyLock::new(|| Arc::new(deployment().network()));
    Arc::clone(&NETWORK)
}

/// The contracts, as the file of a deployment names them.
pub fn deployment() -> Deployment {
    let chain = |id: ChainId| DeployedChain {
        id,
        evm_chain_id: 9_000 + u64::from(id.0),
        role: if id == HUB { Role::Hub } else { Role::Spoke },
        rollup: [id.0; 20],
        key_recorder: recorder(id),
        oracle: oracle(id),
        hub: (id == HUB).then_some(DeployedHub { contract: HUB_CONTRACT, local_route: [0x31; 20] }),
        first_block: 1,
        tokens: vec![
            token(USD, "USD", [0x70 + id.0; 20], if id == HUB { 6 } else { 18 }),
            token(COIN, "COIN", [0; 20], 18),
        ],
    };
    let shapes = [NANO, SMALL].map(|id| {
        let shape = zklink::shape::shape(id).expect("both are known");
        let length = |words| u32::try_from(words).expect("a shape has thousands of words");
        DeployedShape {
            id,
            onchain_words: length(shape.onchain_words()),
            data_words: length(shape.data_words()),
            verifier: [0x32; 20],
            key_hash: [0; 32],
        }
    });
    Deployment {
        version: Deployment::VERSION,
        deployment_id: DEPLOYMENT,
        genesis_root: genesis_owners().root(DEPLOYMENT),
        genesis: genesis_owners(),
        hub: HUB,
        validator: validator().address(),
        threshold: THRESHOLD as u64,
        attesters: attesters().iter().map(|key| HexAddress(key.address())).collect(),
        chains: vec![chain(HUB), chain(SPOKE)],
        shapes: shapes.into(),
    }
}

fn token(id: TokenId, symbol: &str, address: Address, decimals: u8) -> DeployedToken {
    DeployedToken { id, symbol: symbol.to_owned(), address, decimals, least_deposit: 1 }
}

fn genesis_owners() -> Genesis {
    let [fee_owner, insurance_owner] = [0xfe, 0xfd].map(|byte| Owner::from_evm([byte; 20]));
    Genesis { fee_owner, insurance_owner }
}

/// The state before the first block.
pub fn genesis() -> State {
    genesis_owners().state(DEPLOYMENT)
}

/// The hub's contract.
pub const HUB_CONTRACT: Address = [0x30; 20];

/// The contract that records keys on a chain.
pub fn recorder(chain: ChainId) -> Address {
    [0x50 + chain.0; 20]
}

/// The light oracle of a chain.
pub fn oracle(chain: ChainId) -> Address {
    [0x40 + chain.0; 20]
}

/// Who sends settlement transactions.
pub fn validator() -> EthKey {
    EthKey::from_seed("validator")
}

/// The keys of the attesters.
pub fn attesters() -> Vec<EthKey> {
    (0..ATTESTERS).map(|number| EthKey::from_seed(&format!("attester {number}"))).collect()
}

/// So many attesters must sign.
pub const THRESHOLD: usize = 2;

/// The contracts of a chain after their setup, with wallets for the users.
pub fn contracts(chain: ChainId, verifier: &Verifier, users: &[User]) -> SimulatedContracts {
    let network = network();
    let tokens = network.tokens.iter();
    let tokens = tokens.filter_map(|(id, token)| Some((*id, *token.chains.get(&chain)?)));
    let registration = Registration {
        chain,
        hub: HUB,
        deployment: DEPLOYMENT,
        domain: network.chains[&chain].clone(),
        hub_contract: (chain == HUB).then_some(HUB_CONTRACT),
        recorder: recorder(chain),
        oracle: oracle(chain),
        validator: validator().address(),
        tokens: tokens.collect(),
        chains: BTreeSet::from([HUB, SPOKE]),
        attesters: attesters().iter().map(EthKey::address).collect(),
        threshold: THRESHOLD,
    };
    let root = fr_to_be_bytes(StateTree::of(&genesis()).root());
    let hub = (chain == HUB).then(|| SimulatedHub::new(root, verifier.clone()));
    let mut contracts = SimulatedContracts::new(registration, hub);
    for user in users {
        for (token, l1) in &contracts.registration.tokens.clone() {
            contracts.mint(user.address(), *token, 1_000_000 * 10u128.pow(l1.decimals.into()));
        }
    }
    contracts
}

/// Somebody with a wallet and an L2 key.
#[derive(Clone, Debug)]
pub struct User {
    wallet: EthKey,
    key: SecretKey,
}

impl User {
    /// The user of this name.
    pub fn new(name: &str) -> User {
        let seed = zklink::tx::keccak(&[name.as_bytes()]);
        User { wallet: EthKey::from_seed(name), key: SecretKey::from_seed(&seed) }
    }

    /// The wallet's address.
    pub fn address(&self) -> Address {
        self.wallet.address()
    }

    /// The owner of the user's account.
    pub fn owner(&self) -> Owner {
        Owner::from_evm(self.address())
    }

    /// The transaction that deposits so many units.
    pub fn deposit(&self, chain: ChainId, token: TokenId, units: u128) -> Call {
        let contract = network().chains[&chain].contract;
        let owner = FixedBytes(self.owner().address);
        if token == COIN {
            let call = Rollup::depositNativeCall { owner, home: 0, subAccount: 0 };
            let mut call = transaction(contract, &call);
            call.value = units;
            return call;
        }
        let amount = U256::from(units);
        let (token, home) = (token.0, 0);
        let call = Rollup::depositERC20Call { token, amount, owner, home, subAccount: 0 };
        transaction(contract, &call)
    }

    /// The transaction that authorises the user's key on a chain.
    pub fn authorise_on_chain(&self, chain: ChainId, nonce: u32) -> Call {
        let key = self.key.public();
        let [x, y] = [key.x(), key.y()].map(fr_to_be_bytes).map(U256::from_be_bytes);
        let call = KeyRecorder::setAuthPubKeyCall { home: 0, keyX: x, keyY: y, nonce };
        transaction(recorder(chain), &call)
    }

    fn sign(&self, tx: Tx) -> SignedTx {
        tx.sign(&self.key, DEPLOYMENT, &network()).expect("the fields are in range")
    }

    /// Sets the user's key, authorised by the wallet's signature, or on chain before.
    pub fn set_key(&self, account: AccountId, nonce: u32, token: TokenId, sign: bool) -> SignedTx {
        let mut tx = ChangePubKeyTx {
            chain_id: HUB,
            account_id: account,
            sub_account_id: SubAccountId(0),
            new_pub_key: self.key.public(),
            fee_token: token,
            fee: Fee::ZERO,
            nonce: Nonce(nonce),
            // Nothing but a new key raises the nonce of an account.
            key_version: KeyVersion(nonce),
            eth_auth_data: KeyAuth::Onchain,
        };
        if sign {
            tx.eth_auth_data = authorise(&self.wallet, &tx, &network().chains[&HUB]);
        }
        self.sign(Tx::ChangePubKey(tx))
    }

    /// A payment with a fee of a hundredth.
    pub fn transfer(
        &self,
        account: AccountId,
        nonce: u32,
        to: Owner,
        token: TokenId,
        amount: u128,
    ) -> SignedTx {
        self.sign(Tx::Transfer(TransferTx {
            account_id: account,
            from_sub_account_id: SubAccountId(0),
            to,
            to_sub_account_id: SubAccountId(0),
            token,
            amount: Amount(amount),
            fee: Fee::exact(Amount(ONE / 100)).expect("a round fee"),
            nonce: Nonce(nonce),
            key_version: KeyVersion(1),
        }))
    }

    /// A payout to the user's own wallet.
    pub fn withdraw(
        &self,
        account: AccountId,
        nonce: u32,
        chain: ChainId,
        token: TokenId,
        amount: u128,
    ) -> SignedTx {
        self.sign(Tx::Withdraw(WithdrawTx {
            to_chain_id: chain,
            account_id: account,
            sub_account_id: SubAccountId(0),
            to: self.owner(),
            token,
            amount: Amount(amount),
            max_fee: Fee::ZERO,
            nonce: Nonce(nonce),
            key_version: KeyVersion(1),
        }))
    }
}
