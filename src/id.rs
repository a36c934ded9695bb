//! Identifiers. Each is a newtype without arithmetic, so that one cannot stand for another.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
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

/// Who owns an account: 32 bytes, wide enough for a Starknet address. An EVM address is padded with zeros on the left.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Owner(pub [u8; 32]);

impl Owner {
    /// Nobody: the owner of an account that does not exist.
    pub const NONE: Owner = Owner([0; 32]);

    /// The owner with this EVM address.
    pub fn from_evm(address: [u8; 20]) -> Owner {
        let mut bytes = [0; 32];
        bytes[12..].copy_from_slice(&address);
        Owner(bytes)
    }

    /// The EVM address, when the owner has the form of one.
    pub fn to_evm(self) -> Option<[u8; 20]> {
        let (padding, address) = self.0.split_at(12);
        (padding == [0; 12]).then(|| address.try_into().expect("32 - 12 = 20"))
    }

    /// Whether this is nobody.
    pub fn is_none(self) -> bool {
        self == Owner::NONE
    }

    /// The first byte.
    pub fn top(self) -> u8 {
        self.0[0]
    }

    /// The other 31 bytes.
    pub fn low(self) -> [u8; 31] {
        self.0[1..].try_into().expect("32 - 1 = 31")
    }

    /// Joins what [`Owner::top`] and [`Owner::low`] gave.
    pub fn join(top: u8, low: [u8; 31]) -> Owner {
        let mut bytes = [0; 32];
        bytes[0] = top;
        bytes[1..].copy_from_slice(&low);
        Owner(bytes)
    }
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Owner({self})")
    }
}

/// Shows an EVM address as 20 bytes and anything else as 32.
impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to_evm() {
            Some(address) => write!(f, "0x{}", hex::encode(address)),
            None => write!(f, "0x{}", hex::encode(self.0)),
        }
    }
}

/// An owner was given as text that is not 20 or 32 bytes of hex.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an address is 0x and 40 or 64 hex digits")]
pub struct BadOwner;

impl std::str::FromStr for Owner {
    type Err = BadOwner;

    fn from_str(text: &str) -> Result<Owner, BadOwner> {
        let digits = text.strip_prefix("0x").ok_or(BadOwner)?;
        match digits.len() {
            40 => {
                let mut address = [0; 20];
                hex::decode_to_slice(digits, &mut address).map_err(|_| BadOwner)?;
                Ok(Owner::from_evm(address))
            }
            64 => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(digits, &mut bytes).map_err(|_| BadOwner)?;
                Ok(Owner(bytes))
            }
            _ => Err(BadOwner),
        }
    }
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
        assert_eq!(evm.to_string().parse(), Ok(evm));
        let felt = Owner([3; 32]);
        assert_eq!(felt.to_evm(), None);
        assert_eq!(felt.to_string().parse(), Ok(felt));
        assert_eq!(Owner::join(felt.top(), felt.low()), felt);
    }

    #[test]
    fn owner_of_another_length_is_refused() {
        assert_eq!("0x1234".parse::<Owner>(), Err(BadOwner));
        assert_eq!("1234".parse::<Owner>(), Err(BadOwner));
        assert_eq!(format!("0x{}", "g".repeat(40)).parse::<Owner>(), Err(BadOwner));
    }
}
