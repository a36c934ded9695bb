//! Nothing happens.

use serde::{Deserialize, Serialize};

use crate::hash::Fr;
use crate::op::SlotKind;
use crate::reject::Reject;
use crate::state::State;

/// Fills a slot that no operation needs. Its words are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Noop {
    /// The kind of the slot that stays empty.
    pub slot: SlotKind,
}

impl Noop {
    /// zkLink's code of the operation.
    pub const CODE: u8 = 0;

    pub(super) fn apply(&self, _state: &mut State) -> Result<(), Reject> {
        Ok(())
    }

    pub(super) fn words(&self) -> Vec<Fr> {
        vec![Fr::zero(); self.slot.words()]
    }
}
