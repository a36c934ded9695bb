//! On what terms an operator takes transactions.

use zklink::fees::FeeTable;

use super::pace::PaceLimits;

/// The operator's choice. The default is that of a development network: no fees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// The least fees.
    pub fees: FeeTable,
    /// How far the node may run ahead of the hub.
    pub pace: PaceLimits,
}
