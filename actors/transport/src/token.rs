//! What a worker shows to be let in.

use std::fmt;

use sha2::{Digest, Sha256};

/// Fewer bytes could be guessed.
const BYTES_MIN: usize = 32;
/// No token is longer.
const BYTES_MAX: usize = 256;
/// What stands before a token in the header.
const SCHEME: &str = "Bearer ";

/// A secret that one worker and its node share. Never shown.
#[derive(Clone)]
pub struct Token(Vec<u8>);

/// A text is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a token has {BYTES_MIN} to {BYTES_MAX} random bytes in hex: make one with openssl rand -hex 32"
)]
pub struct BadToken;

impl Token {
    /// Reads a token.
    ///
    /// # Errors
    /// [`BadToken`].
    pub fn from_hex(text: &str) -> Result<Token, BadToken> {
        let bytes = hex::decode(text).map_err(|_| BadToken)?;
        if (BYTES_MIN..=BYTES_MAX).contains(&bytes.len()) {
            Ok(Token(bytes))
        } else {
            Err(BadToken)
        }
    }

    /// By what a node knows the token. Digests are looked up, so that the time of a comparison tells nothing of
    /// a token.
    pub(crate) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// The header in which it is shown.
    pub(crate) fn header(&self) -> String {
        format!("{SCHEME}{}", hex::encode(&self.0))
    }

    /// The token that a header shows.
    pub(crate) fn from_header(text: &str) -> Option<Token> {
        Token::from_hex(text.strip_prefix(SCHEME)?).ok()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}
