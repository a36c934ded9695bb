//! What a store stands on, in memory, with the faults of real disks. For tests only.

mod disk;
mod store;

pub use disk::{SimDisk, SimFault};
pub use store::SimStore;
