//! Keeps, for each chain, up to where its events are in the journal, so that the next start need not read
//! them again. A watcher says up to where it handed everything on; the builder says when that is on disk.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::watch;
use zklink::id::{ChainId, Serial};
use zklink_mechanism::driver::rest;
use zklink_mechanism::port::{Port, ReplyTo};
use zklink_store::archive::{Keep, Made, Watched};

use super::ChainStatus;
use crate::builder::DurableCursor;

/// How long the builder may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How each watcher is doing.
pub type Health = BTreeMap<ChainId, watch::Receiver<Option<ChainStatus>>>;

/// Looks at the watchers every `period` until `stop` becomes true.
pub async fn drive(
    health: Health,
    builder: Port<DurableCursor>,
    keep: Port<Keep>,
    period: Duration,
    mut stop: watch::Receiver<bool>,
) {
    let mut kept = BTreeMap::new();
    while !rest(period, &mut stop).await {
        tokio::select! {
            biased;
            stopped = stop.wait_for(|stop| *stop) => return drop(stopped),
            () = look(&health, &mut kept, &builder, &keep) => {}
        }
    }
}

async fn look(
    health: &Health,
    kept: &mut BTreeMap<ChainId, Watched>,
    builder: &Port<DurableCursor>,
    keep: &Port<Keep>,
) {
    for (chain, status) in health {
        let handed = status.borrow().as_ref().and_then(|status| status.handed);
        let Some(handed) = handed.filter(|handed| kept.get(chain) != Some(handed)) else {
            continue;
        };
        // The builder was told of every key before this question, and with a cursor at `next` it has
        // executed every deposit before. One that a merge ledger still holds keeps the cursor below.
        if durable(*chain, builder).await.is_none_or(|cursor| cursor < handed.next) {
            continue;
        }
        let made = vec![Made::Watched { chain: *chain, to: handed }];
        if keep.tell(Keep { made }).is_ok() {
            kept.insert(*chain, handed);
        }
    }
}

/// The next deposit of a chain once everything until now is on disk; nothing when the builder is busy.
async fn durable(chain: ChainId, builder: &Port<DurableCursor>) -> Option<Serial> {
    let (reply, pending) = ReplyTo::new();
    builder.tell(DurableCursor { chain, reply }).ok()?;
    pending.wait(PATIENCE).await.ok()
}
