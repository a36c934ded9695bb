//! What must never meet real money: private keys that everybody knows, and proving keys that
//! somebody can cheat with.

use std::collections::BTreeMap;

use zklink::id::ChainId;
use zklink::token::Address;

use super::Plan;
use crate::sender::Sender;

/// EIP-155 ids of chains with real money. A chain that is missing here is protected by nothing: add
/// it before using it.
pub const PUBLIC_CHAINS: &[u64] = &[
    1,      // Ethereum
    10,     // OP Mainnet
    56,     // BNB Smart Chain
    100,    // Gnosis
    137,    // Polygon PoS
    146,    // Sonic
    169,    // Manta Pacific
    204,    // opBNB
    250,    // Fantom
    324,    // ZKsync Era
    480,    // World Chain
    1101,   // Polygon zkEVM
    5000,   // Mantle
    8453,   // Base
    42161,  // Arbitrum One
    42220,  // Celo
    43114,  // Avalanche C
    59144,  // Linea
    81457,  // Blast
    130,    // Unichain
    167000, // Taiko
    534352, // Scroll
    810180, // zkLink Nova
];

/// The accounts of the mnemonic that most development chains share ("test test ... junk").
const WELL_KNOWN: [&str; 10] = [
    "f39fd6e51aad88f6f4ce6ab8827279cfffb92266",
    "70997970c51812dc3a010c7d01b50e0d17dc79c8",
    "3c44cdddb6a900fa2b585dd299e03d12fa4293bc",
    "90f79bf6eb2c4f870365e785982e1f101e93b906",
    "15d34aaf54267db7d7c367839aaf71a00a2c6a65",
    "9965507d1a55bcc2695c58ba16fb37d819b0a4dc",
    "976ea74026e726554db657fa54763abd0c3a0aa9",
    "14dc79964da2c08b23698b3d3cc7ca32193d9955",
    "23618e81e3f5cdf7f54c3d65f7fbc0abf5b21e8f",
    "a0ee7a142d267c1f36714e4a8f75612f20a79720",
];

/// A plan that would put real money at the mercy of everybody.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    /// A private key that everybody knows has a role.
    #[error(
        "the key of 0x{} is public knowledge; it must not be {role} where chain {evm_chain_id} \
         takes part",
        hex::encode(address)
    )]
    KnownKey {
        /// The address.
        address: Address,
        /// What it would be.
        role: &'static str,
        /// The chain with real money.
        evm_chain_id: u64,
    },
    /// Proving keys for development.
    #[error("development proving keys let their maker forge proofs: chain {0} has real money")]
    DevProvingKeys(u64),
    /// A token that anybody may mint.
    #[error("development tokens can be minted by anybody: chain {0} has real money")]
    DevToken(u64),
}

/// Refuses a plan that touches a chain with real money while something in it is for development
/// only.
pub(super) fn check(
    plan: &Plan,
    senders: &BTreeMap<ChainId, Sender>,
    public: &[u64],
) -> Result<(), Unsafe> {
    let ids = plan.chains.values().map(|chain| chain.evm_chain_id);
    let Some(evm_chain_id) = ids.clone().find(|id| public.contains(id)) else { return Ok(()) };
    if plan.dev_proving_keys {
        return Err(Unsafe::DevProvingKeys(evm_chain_id));
    }
    let mut tokens = plan.chains.values().flat_map(|chain| chain.tokens.values());
    if tokens.any(|token| token.source == super::TokenSource::Development) {
        return Err(Unsafe::DevToken(evm_chain_id));
    }
    let deployers = senders.values().map(|sender| (sender.address(), "the deployer"));
    let attesters = plan.attesters.iter().map(|address| (*address, "an attester"));
    let roles = deployers.chain(attesters).chain([(plan.validator, "the validator")]);
    for (address, role) in roles {
        let known = WELL_KNOWN.contains(&hex::encode(address).as_str());
        if known || plan.dev_addresses.contains(&address) {
            return Err(Unsafe::KnownKey { address, role, evm_chain_id });
        }
    }
    Ok(())
}
