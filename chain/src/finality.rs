//! When a block of a chain counts as final. There is one rule per chain, and no rule reads `latest`
//! for money.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::client::{At, ChainClient, ClientError, Header};

/// Where the final part of a chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Anchor {
    /// At the block that the chain itself calls final.
    Finalized,
    /// At the block that the chain calls safe: for rollups whose data are on their base chain then.
    Safe,
    /// So many blocks below the tip, which must be at least one.
    Confirmations(u64),
}

/// The finality rule of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finality {
    /// Where the final part ends.
    pub anchor: Anchor,
    /// How old a block must be besides, seconds. Zero asks for no age.
    #[serde(default)]
    pub min_age_seconds: u64,
}

impl Finality {
    /// The rule of a chain with a consensus that finalizes.
    pub const FINALIZED: Finality = Finality { anchor: Anchor::Finalized, min_age_seconds: 0 };

    /// The height up to which a chain is final now, by the anchor alone; nothing while it has no final block.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn reached(self, client: &dyn ChainClient) -> Result<Option<u64>, ClientError> {
        let tagged = client.header(self.tag()).await?;
        Ok(tagged.and_then(|tagged| self.height(&tagged)))
    }

    /// The block to ask for. For confirmations it is the tip, below which the anchor is counted.
    pub(crate) fn tag(self) -> At {
        match self.anchor {
            Anchor::Finalized => At::Finalized,
            Anchor::Safe => At::Safe,
            Anchor::Confirmations(_) => At::Latest,
        }
    }

    /// The height of the anchor, given the block of [`Finality::tag`]; nothing while the chain is
    /// shorter.
    pub(crate) fn height(self, tagged: &Header) -> Option<u64> {
        match self.anchor {
            Anchor::Finalized | Anchor::Safe => Some(tagged.number),
            // A tip of its own is no confirmation.
            Anchor::Confirmations(blocks) => tagged.number.checked_sub(blocks.max(1)),
        }
    }
}

/// How many anchors may wait for their age.
const WAITING_MAX: usize = 512;

/// Anchors that are not old enough yet.
#[derive(Debug, Default)]
pub(crate) struct Ageing {
    waiting: VecDeque<(u64, u64)>,
    reached: Option<u64>,
}

impl Ageing {
    /// Notes an anchor and returns the highest height that is final now.
    pub(crate) fn reach(&mut self, rule: Finality, anchor: &Header, now: u64) -> Option<u64> {
        if rule.min_age_seconds == 0 {
            return Some(anchor.number);
        }
        // Anchors above the present one are void: the chain, or the endpoint, has taken them back.
        while self.waiting.back().is_some_and(|(number, _)| *number > anchor.number) {
            self.waiting.pop_back();
        }
        let newest = self.waiting.back().map(|(number, _)| *number);
        // When the list is full, newer anchors wait outside: the old ones leave it first anyway.
        if newest.is_none_or(|newest| newest < anchor.number) && self.waiting.len() < WAITING_MAX {
            self.waiting.push_back((anchor.number, anchor.timestamp));
        }
        while let Some((number, timestamp)) = self.waiting.front().copied() {
            if timestamp.saturating_add(rule.min_age_seconds) > now / 1000 {
                break;
            }
            self.reached = self.reached.max(Some(number));
            self.waiting.pop_front();
        }
        self.reached = self.reached.map(|reached| reached.min(anchor.number));
        self.reached
    }

    /// Forgets everything: the chain was rewound.
    pub(crate) fn clear(&mut self) {
        *self = Ageing::default();
    }
}
