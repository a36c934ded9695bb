//! A small network with users who can sign, for tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use k256::ecdsa::SigningKey;
use zklink::amount::{Amount, Fee};
use zklink::id::{
    AccountId, ChainId, KeyVersion, Nonce, Owner, Serial, ShapeId, SubAccountId, TokenId,
};
use zklink::key::SecretKey;
use zklink::shape::shapes;
use zklink::state::{DeploymentId, State};
use zklink::token::{Chain, L1Token, Network, Token};
use zklink::tx::{
    ChangePubKeyTx, CheckedTx, KeyAuth, SignedTx, TransferTx, Tx, WithdrawTx, evm_address,
};
use zklink_store::record::FinalDeposit;

use super::ledger::{Entry, Ledger};

pub(crate) const HUB: ChainId = ChainId(1);
pub(crate) const SPOKE: ChainId = ChainId(2);
/// Six decimals on the hub, eighteen on the spoke.
pub(crate) const USD: TokenId = TokenId(1);
/// Native on the hub, absent from the spoke.
pub(crate) const ETH: TokenId = TokenId(2);
pub(crate) const UNIT: u128 = 1_000_000_000_000_000_000;
pub(crate) const DEPLOYMENT: DeploymentId = DeploymentId([7; 31]);

pub(crate) fn network() -> Arc<Network> {
    let chain = |evm_chain_id| Chain {
        evm_chain_id,
        contract: [0x11; 20],
        reserved: [Owner::from_evm([0x12; 20])].into(),
    };
    let usd = |decimals| L1Token { address: [0x22; 20], decimals };
    let eth = L1Token { address: [0; 20], decimals: 18 };
    let token = |symbol: &str, chains: &[(ChainId, L1Token)]| Token {
        symbol: symbol.to_owned(),
        chains: chains.iter().copied().collect(),
    };
    Arc::new(Network {
        chains: BTreeMap::from([(HUB, chain(31_337)), (SPOKE, chain(31_338))]),
        tokens: BTreeMap::from([
            (USD, token("USD", &[(HUB, usd(6)), (SPOKE, usd(18))])),
            (ETH, token("ETH", &[(HUB, eth)])),
        ]),
    })
}

pub(crate) fn shape_ids() -> Vec<ShapeId> {
    shapes().iter().map(|shape| shape.id).collect()
}

pub(crate) fn genesis() -> State {
    State::genesis(DEPLOYMENT, Owner::from_evm([0xfe; 20]), Owner::from_evm([0xfd; 20]))
}

pub(crate) fn ledger() -> Ledger {
    Ledger::new(network(), &shape_ids(), genesis())
}

/// Somebody with a wallet and an L2 key.
pub(crate) struct User {
    wallet: SigningKey,
    pub(crate) key: SecretKey,
    pub(crate) owner: Owner,
    /// The version of the key that signs.
    pub(crate) version: KeyVersion,
}

impl User {
    pub(crate) fn new(number: u8) -> User {
        let wallet = SigningKey::from_slice(&[number.max(1); 32]).expect("a small scalar");
        let owner = Owner::from_evm(evm_address(wallet.verifying_key()));
        let key = SecretKey::from_seed(&[number; 32]);
        User { wallet, key, owner, version: KeyVersion(1) }
    }

    /// The 65-byte signature of the wallet.
    pub(crate) fn authorise(&self, digest: [u8; 32]) -> [u8; 65] {
        let (signature, id) = self.wallet.sign_prehash_recoverable(&digest).expect("a digest");
        let mut bytes = [0; 65];
        bytes[..64].copy_from_slice(&signature.to_bytes());
        bytes[64] = 27 + id.to_byte();
        bytes
    }

    pub(crate) fn sign(&self, tx: Tx) -> SignedTx {
        tx.sign(&self.key, DEPLOYMENT, &network()).expect("the fields are in range")
    }

    pub(crate) fn key_tx(&self, account: AccountId, nonce: u32, auth: Option<()>) -> SignedTx {
        let mut tx = ChangePubKeyTx {
            chain_id: HUB,
            account_id: account,
            sub_account_id: SubAccountId(0),
            new_pub_key: self.key.public(),
            fee_token: USD,
            fee: Fee::ZERO,
            nonce: Nonce(nonce),
            // Nothing but a new key raises the nonce of an account.
            key_version: KeyVersion(nonce),
            eth_auth_data: KeyAuth::Onchain,
        };
        if auth.is_some() {
            let digest = tx.eth_digest(&network().chains[&HUB]);
            tx.eth_auth_data = KeyAuth::EthEcdsa { signature: self.authorise(digest) };
        }
        self.sign(Tx::ChangePubKey(tx))
    }

    pub(crate) fn transfer(
        &self,
        account: AccountId,
        nonce: u32,
        to: Owner,
        amount: u128,
    ) -> SignedTx {
        self.sign(Tx::Transfer(TransferTx {
            account_id: account,
            from_sub_account_id: SubAccountId(0),
            to,
            to_sub_account_id: SubAccountId(0),
            token: USD,
            amount: Amount(amount),
            fee: Fee::exact(Amount(UNIT / 100)).expect("a round fee"),
            nonce: Nonce(nonce),
            key_version: self.version,
        }))
    }

    pub(crate) fn withdraw(
        &self,
        account: AccountId,
        nonce: u32,
        chain: ChainId,
        amount: u128,
    ) -> SignedTx {
        self.sign(Tx::Withdraw(WithdrawTx {
            to_chain_id: chain,
            account_id: account,
            sub_account_id: SubAccountId(0),
            to: self.owner,
            token: USD,
            amount: Amount(amount),
            max_fee: Fee::ZERO,
            nonce: Nonce(nonce),
            key_version: self.version,
        }))
    }
}

pub(crate) fn deposit(chain: ChainId, serial: u64, owner: Owner, amount: u128) -> FinalDeposit {
    FinalDeposit {
        chain,
        serial: Serial(serial),
        token: USD,
        payer: Owner::from_evm([0x99; 20]),
        owner,
        sub_account: SubAccountId(0),
        amount: Amount(amount),
        l1_tx: [u8::try_from(serial % 251).expect("below 251"); 32],
        l1_block: 100 + serial,
    }
}

pub(crate) fn entry(tx: SignedTx) -> Entry {
    Entry::Tx(checked(tx))
}

/// A transaction of which nothing but the hash was looked at.
pub(crate) fn checked(tx: SignedTx) -> Box<CheckedTx> {
    Box::new(CheckedTx::new(tx, DEPLOYMENT, &network()).expect("the fields are in range"))
}
