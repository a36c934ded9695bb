//! The network that a deployment spans: its chains, and the unified tokens on them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::amount::{Amount, DECIMALS};
use crate::id::{ChainId, Owner, TokenId};
use crate::reject::Reject;

/// An EVM address.
pub type Address = [u8; 20];

/// A unified token: one asset, whatever chains it lives on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// What people call it.
    pub symbol: String,
    /// The token on each chain that has it.
    pub chains: BTreeMap<ChainId, L1Token>,
}

/// A token as one chain knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct L1Token {
    /// The ERC-20 contract; the zero address stands for the native coin.
    #[serde(with = "hex::serde")]
    pub address: Address,
    /// Decimals of the token there, at most 18.
    #[serde(deserialize_with = "decimals")]
    pub decimals: u8,
}

impl L1Token {
    /// Powers of ten between the chain's unit and ours.
    pub fn scale(&self) -> u8 {
        DECIMALS.checked_sub(self.decimals).expect("a registered token has at most 18 decimals")
    }
}

fn decimals<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let decimals = u8::deserialize(from)?;
    if decimals > DECIMALS {
        let text = format!("a token with {decimals} decimals cannot be unified: 18 are the most");
        return Err(serde::de::Error::custom(text));
    }
    Ok(decimals)
}

/// A chain of the deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chain {
    /// The EVM chain id, which L1 signatures bind.
    pub evm_chain_id: u64,
    /// The address of our contract there: the vault.
    #[serde(with = "hex::serde")]
    pub contract: Address,
    /// The other contracts of the deployment there (hub, routes, recorder): what they are given nobody can use.
    #[serde(default)]
    pub reserved: BTreeSet<Owner>,
}

/// Chains and tokens of a deployment. Ids are never reused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Network {
    /// The connected chains.
    pub chains: BTreeMap<ChainId, Chain>,
    /// The unified tokens.
    pub tokens: BTreeMap<TokenId, Token>,
}

impl Network {
    /// The chain with this id.
    ///
    /// # Errors
    /// [`Reject::UnknownChain`].
    pub fn chain(&self, id: ChainId) -> Result<&Chain, Reject> {
        self.chains.get(&id).ok_or(Reject::UnknownChain(id))
    }

    /// The token with this id.
    ///
    /// # Errors
    /// [`Reject::UnknownToken`].
    pub fn token(&self, id: TokenId) -> Result<&Token, Reject> {
        self.tokens.get(&id).ok_or(Reject::UnknownToken(id))
    }

    /// Checks that an owner can use what it is given: it is somebody, has the form of an address, lives on a chain that
    /// is connected if it is a contract, and is none of the deployment's own contracts or tokens where it lives.
    ///
    /// # Errors
    /// [`Reject::BadReceiver`].
    pub fn check_owner(&self, owner: Owner) -> Result<(), Reject> {
        let lives = |id: &ChainId| !owner.is_contract() || owner.home == *id;
        let known = !owner.is_contract() || self.chains.contains_key(&owner.home);
        let taken = self.chains.keys().filter(|id| lives(id)).any(|id| self.is_ours(*id, owner));
        if owner.is_none() || owner.to_evm().is_none() || !known || taken {
            return Err(Reject::BadReceiver);
        }
        Ok(())
    }

    /// Checks that an address can be paid on a chain: it is an EVM address and none of the deployment's own contracts
    /// or tokens there.
    ///
    /// # Errors
    /// [`Reject::BadReceiver`].
    pub fn check_payee(&self, chain: ChainId, to: Owner) -> Result<(), Reject> {
        let form = !to.is_none() && !to.is_contract() && to.to_evm().is_some();
        if !form || self.is_ours(chain, to) {
            return Err(Reject::BadReceiver);
        }
        Ok(())
    }

    /// Whether the address is the vault, another contract of the deployment, or a token on this chain.
    fn is_ours(&self, id: ChainId, owner: Owner) -> bool {
        let address = owner.to_evm();
        let chain = self.chains.get(&id);
        let of_chain = chain.is_some_and(|chain| {
            let reserved = chain.reserved.iter().any(|reserved| reserved.to_evm() == address);
            address == Some(chain.contract) || reserved
        });
        let mut tokens = self.tokens.values().filter_map(|token| token.chains.get(&id));
        of_chain || tokens.any(|token| Some(token.address) == address)
    }

    /// The token as one chain knows it.
    ///
    /// # Errors
    /// [`Reject::UnknownChain`], [`Reject::UnknownToken`].
    pub fn l1_token(&self, chain: ChainId, token: TokenId) -> Result<&L1Token, Reject> {
        self.chain(chain)?;
        let found = self.token(token)?.chains.get(&chain);
        found.ok_or(Reject::UnknownToken(token))
    }
}

/// `amount * 10^scale`: an amount of a chain's units in 18 decimals.
///
/// Nothing when it does not fit 128 bits, or when the scale is above 18.
pub fn scale_up(amount: u128, scale: u8) -> Option<Amount> {
    if scale > DECIMALS {
        return None;
    }
    amount.checked_mul(10u128.pow(u32::from(scale))).map(Amount)
}

/// The amount in a chain's units, or nothing when it has dust below them.
pub fn scale_down(amount: Amount, scale: u8) -> Option<u128> {
    let unit = 10u128.checked_pow(u32::from(scale))?;
    amount.0.is_multiple_of(unit).then(|| amount.0 / unit)
}
