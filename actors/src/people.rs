//! The people and the roles of a local network. Their keys come from their names, so everybody knows them.

use zklink::id::Owner;
use zklink::token::Address;
use zklink::tx::keccak;
use zklink_chain::account::EthKey;

/// The people.
pub(crate) const USERS: [&str; 4] = ["Alice", "Bob", "Carol", "Dora"];
/// Whose signatures the light oracle takes.
pub(crate) const ATTESTERS: [&str; 3] = ["attester 1", "attester 2", "attester 3"];

/// The private key of a person or of a role of a local network. It is public knowledge.
pub(crate) fn secret_of(name: &str) -> [u8; 32] {
    keccak(&[b"zkLink development key", name.as_bytes()])
}

/// [`secret_of`] as a key.
pub(crate) fn key_of(name: &str) -> EthKey {
    EthKey::from_bytes(&secret_of(name)).expect("all but one in 2^128 hashes are a key")
}

/// The person as an owner of an L2 account.
pub(crate) fn owner_of(name: &str) -> Owner {
    Owner::from_evm(key_of(name).address())
}

/// The addresses whose private keys everybody can compute: no deployment with real money may use them.
pub(crate) fn public_addresses() -> Vec<Address> {
    let names =
        USERS.into_iter().chain(ATTESTERS).chain(["validator", "fees", "insurance", "funder"]);
    names.map(|name| key_of(name).address()).collect()
}
