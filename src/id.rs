//! Identifiers. Each is a newtype without arithmetic, so that one cannot stand for another.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha3::{Digest, Keccak256};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, borsh::BorshSerialize,
            borsh::BorshDeserialize, Default,
        )]
        #[serde(transparent)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    };
}

id!(
    /// Place of an account in the accounts tree, below [`AccountId::COUNT`].
    AccountId(u32)
);
id!(
    /// A sub-account of an account, below [`SubAccountId::COUNT`]. A dApp gets one of its own.
    SubAccountId(u8)
);
id!(
    /// A unified token: the same asset of all chains. Zero is no token.
    TokenId(u16)
);
id!(
    /// A connected chain, 1 to [`ChainId::MAX`]. This is the protocol's own number, not the EVM chain id.
    ChainId(u8)
);
id!(
    /// Height of a block. Genesis is zero.
    BlockNumber(u32)
);
id!(
    /// Place of a priority request in the queue of its chain, from zero, without gaps.
    Serial(u64)
);
id!(
    /// Count of the signed operations that an account or a sub-account has made.
    Nonce(u32)
);
id!(
    /// How many keys an account has had. Every signature binds it, so that a key which is set again revives nothing.
    KeyVersion(u32)
);
id!(
    /// Place of an order among those of a sub-account, below [`SlotId::COUNT`].
    SlotId(u16)
);
id!(
    /// Number of a block shape in the registry of the hub.
    ShapeId(u16)
);

impl AccountId {
    /// Number of base-4 digits of an account id: the depth of the accounts tree.
    pub const DEPTH: usize = 12;
    /// Number of accounts that the tree has room for.
    pub const COUNT: u32 = 1 << (2 * Self::DEPTH);

    /// Whether the id is inside of the tree.
    pub fn is_valid(self) -> bool {
        self.0 < Self::COUNT
    }
}

impl SubAccountId {
    /// Depth of the tree of sub-accounts.
    pub const DEPTH: usize = 3;
    /// Number of sub-accounts that an account may use.
    pub const COUNT: u8 = 32;

    /// Whether the id may be used.
    pub fn is_valid(self) -> bool {
        self.0 < Self::COUNT
    }
}

impl TokenId {
    /// Depth of a tree of tokens.
    pub const DEPTH: usize = 8;
}

impl ChainId {
    /// Depth of the tree of chains.
    pub const DEPTH: usize = 3;
    /// The largest chain id.
    pub const MAX: u8 = 63;

    /// Whether the id may name a chain.
    pub fn is_valid(self) -> bool {
        self.0 >= 1 && self.0 <= Self::MAX
    }
}

impl SlotId {
    /// Depth of the tree of order slots.
    pub const DEPTH: usize = 5;
    /// Order slots of a sub-account.
    pub const COUNT: u16 = 1 << (2 * Self::DEPTH);
}

impl KeyVersion {
    /// The version after this one, or nothing at the end of the range.
    pub fn next(self) -> Option<KeyVersion> {
        self.0.checked_add(1).map(KeyVersion)
    }
}

impl Nonce {
    /// The nonce after this one, or nothing at the end of the range.
    pub fn next(self) -> Option<Nonce> {
        self.0.checked_add(1).map(Nonce)
    }
}

impl Serial {
    /// The serial after this one. The queue of a chain cannot reach 2^64 entries.
    pub fn next(self) -> Serial {
        Serial(self.0.checked_add(1).expect("a queue has fewer than 2^64 entries"))
    }
}

impl BlockNumber {
    /// The number after this one, or nothing at the end of the range.
    pub fn next(self) -> Option<BlockNumber> {
        self.0.checked_add(1).map(BlockNumber)
    }
}

/// Who owns an account: an address, and where it means somebody.
///
/// A key pair is the same owner on every EVM chain. A contract owns on one chain only, its home: whoever controls the
/// same address on another chain is somebody else.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    borsh::BorshSerialize,
    borsh::BorshDeserialize,
    Default,
)]
pub struct Owner {
    /// The chain of a contract; zero for a key pair.
    pub home: ChainId,
    /// 32 bytes, wide enough for a Starknet address. An EVM address is padded with zeros on the left.
    pub address: [u8; 32],
}

impl Owner {
    /// Nobody: the owner of an account that does not exist.
    pub const NONE: Owner = Owner { home: ChainId(0), address: [0; 32] };

    /// The key pair with this EVM address.
    pub fn from_evm(address: [u8; 20]) -> Owner {
        let mut bytes = [0; 32];
        bytes[12..].copy_from_slice(&address);
        Owner { home: ChainId(0), address: bytes }
    }

    /// The contract with this EVM address on a chain.
    pub fn contract(home: ChainId, address: [u8; 20]) -> Owner {
        Owner { home, ..Owner::from_evm(address) }
    }

    /// The EVM address, when the address has the form of one.
    pub fn to_evm(self) -> Option<[u8; 20]> {
        let (padding, address) = self.address.split_at(12);
        (padding == [0; 12]).then(|| address.try_into().expect("32 - 12 = 20"))
    }

    /// Whether this is nobody, wherever its home is.
    pub fn is_none(self) -> bool {
        self.address == [0; 32]
    }

    /// Whether an account may belong to it: it is somebody, and its home is a chain that can exist.
    pub fn is_valid(self) -> bool {
        !self.is_none() && self.home.0 <= ChainId::MAX
    }

    /// Whether it is a contract: the owner on its home chain only.
    pub fn is_contract(self) -> bool {
        self.home != ChainId(0)
    }

    /// The first byte of the address.
    pub fn top(self) -> u8 {
        self.address[0]
    }

    /// The other 31 bytes.
    pub fn low(self) -> [u8; 31] {
        self.address[1..].try_into().expect("32 - 1 = 31")
    }

    /// Joins the home with what [`Owner::top`] and [`Owner::low`] gave.
    pub fn join(home: ChainId, top: u8, low: [u8; 31]) -> Owner {
        let mut address = [0; 32];
        address[0] = top;
        address[1..].copy_from_slice(&low);
        Owner { home, address }
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({self})")
    }
}

/// Shows an EVM address as 20 bytes and anything else as 32; after a contract stands `@` and its home.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_evm() {
            Some(address) => write!(f, "0x{}", hex::encode(address))?,
            None => write!(f, "0x{}", hex::encode(self.address))?,
        }
        if self.is_contract() { write!(f, "@{}", self.home) } else { Ok(()) }
    }
}

/// Text is not an owner.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BadOwner {
    /// Not 20 or 32 bytes of hex.
    #[error("an address is 0x and 40 or 64 hex digits; `@` and a chain id follow for a contract")]
    Form,
    /// Upper and lower case are mixed, and not as EIP-55 has it: a digit is wrong.
    #[error("the checksum of the address (EIP-55) is wrong: a digit differs from what was meant")]
    Checksum,
    /// No such chain can exist.
    #[error("after `@` stands the id of the chain on which the contract lives, 1 to 63")]
    Home,
}

impl std::str::FromStr for Owner {
    type Err = BadOwner;

    fn from_str(text: &str) -> Result<Owner, BadOwner> {
        let (text, home) = match text.split_once('@') {
            None => (text, ChainId(0)),
            Some((text, home)) => {
                // `+5` and `05` are Rust's idea of a number, not ours.
                let home = home.parse().ok().filter(|id: &u8| id.to_string() == home);
                let home = home.map(ChainId).filter(|home| home.is_valid());
                (text, home.ok_or(BadOwner::Home)?)
            }
        };
        let digits = text.strip_prefix("0x").ok_or(BadOwner::Form)?;
        match digits.len() {
            40 => {
                let mut address = [0; 20];
                hex::decode_to_slice(digits, &mut address).map_err(|_| BadOwner::Form)?;
                check_eip55(digits)?;
                Ok(Owner::contract(home, address))
            }
            64 => {
                let mut address = [0; 32];
                hex::decode_to_slice(digits, &mut address).map_err(|_| BadOwner::Form)?;
                Ok(Owner { home, address })
            }
            _ => Err(BadOwner::Form),
        }
    }
}

/// EIP-55: a letter is a capital where the digit of the hash at its place is above seven. Text in one case has no
/// checksum.
fn check_eip55(digits: &str) -> Result<(), BadOwner> {
    let lower = digits.to_ascii_lowercase();
    if digits == lower || digits == digits.to_ascii_uppercase() {
        return Ok(());
    }
    let hash = hex::encode(Keccak256::digest(lower.as_bytes()));
    let right = digits.bytes().zip(hash.bytes()).all(|(digit, hash)| {
        !digit.is_ascii_alphabetic() || digit.is_ascii_uppercase() == (hash > b'7')
    });
    right.then_some(()).ok_or(BadOwner::Checksum)
}

impl Serialize for Owner {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Owner, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_round_trips_through_text_and_parts() {
        let evm = Owner::from_evm([7; 20]);
        let contract = Owner::contract(ChainId(63), [7; 20]);
        let felt = Owner { home: ChainId(4), address: [3; 32] };
        assert_eq!((felt.to_evm(), evm.is_contract(), felt.is_contract()), (None, false, true));
        assert!(contract.to_string().ends_with("07@63"));
        for owner in [evm, contract, felt] {
            assert_eq!(owner.to_string().parse(), Ok(owner));
            assert_eq!(Owner::join(owner.home, owner.top(), owner.low()), owner);
        }
    }

    #[test]
    fn text_that_is_no_owner_is_refused() {
        let good = Owner::from_evm([7; 20]).to_string();
        for form in ["0x1234", "1234", &format!("0x{}", "g".repeat(40)), &good[2..]] {
            assert_eq!(form.parse::<Owner>(), Err(BadOwner::Form), "{form}");
        }
        for home in ["0", "64", "+5", "05", "", "1@1"] {
            let text = format!("{good}@{home}");
            assert_eq!(text.parse::<Owner>(), Err(BadOwner::Home), "{text}");
        }
    }

    #[test]
    fn the_checksum_of_an_address_counts_when_it_has_one() {
        // From EIP-55.
        let right = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let owner = right.parse::<Owner>().expect("its checksum is right");
        assert_eq!(right.to_lowercase().parse(), Ok(owner));
        assert_eq!(format!("0x{}", right[2..].to_uppercase()).parse(), Ok(owner));
        let wrong = right.replace("5aAeb", "5aAeB");
        assert_eq!(wrong.parse::<Owner>(), Err(BadOwner::Checksum));
        let digit = right.replace("6053", "6153");
        assert_eq!(digit.parse::<Owner>(), Err(BadOwner::Checksum));
    }
}
