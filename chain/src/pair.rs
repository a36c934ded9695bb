//! Two endpoints of one chain that must agree on everything that money depends on.

mod member;

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use zklink::token::Address;

use self::member::Members;
use super::client::{
    Answer, At, Call, ChainClient, ClientError, Complaint, FeeMarket, Hash, Header, Log, LogQuery,
    Receipt, shortened,
};

/// Asks one of the two.
macro_rules! ask {
    ($self:ident, $member:expr, $method:ident($($argument:expr),*)) => {
        $self.members.ask($member, stringify!($method), |client| {
            client.$method($($argument.clone()),*)
        })
    };
}

/// The answer of the endpoint that is in order; after an outage that of the other one, which is asked first from then
/// on.
macro_rules! either {
    ($self:ident, $method:ident($($argument:expr),*)) => {{
        let [first, second] = $self.members.in_order();
        match ask!($self, first, $method($($argument),*)).await {
            Err(error) if error.is_outage() => {
                let answer = ask!($self, second, $method($($argument),*)).await;
                if !answer.as_ref().is_err_and(ClientError::is_outage) {
                    $self.members.prefer(second);
                }
                answer
            }
            answer => answer,
        }
    }};
}

/// What one of the endpoints knows; the other one may not have it yet.
macro_rules! found_by_either {
    ($self:ident, $method:ident($($argument:expr),*)) => {{
        let [first, second] = $self.members.in_order();
        match ask!($self, first, $method($($argument),*)).await {
            Ok(Some(found)) => Ok(Some(found)),
            nothing => ask!($self, second, $method($($argument),*)).await.or(nothing),
        }
    }};
}

/// Both answers, which must be equal; one where the other endpoint stands still below the height.
macro_rules! both {
    ($self:ident, $height:expr, $what:expr, $method:ident($($argument:expr),*)) => {
        match $self.alone_at($height) {
            Some(member) => ask!($self, member, $method($($argument),*)).await,
            None => {
                let (first, second) = tokio::join!(
                    ask!($self, 0, $method($($argument),*)),
                    ask!($self, 1, $method($($argument),*))
                );
                $self.agreed(|| $what, first, second)
            }
        }
    };
}

/// When one endpoint of two stands too far behind the other one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagBounds {
    /// The other one is so many seconds ahead by the times of the two blocks,
    pub seconds: u64,
    /// and so many blocks,
    pub blocks: u64,
    /// and this one has not moved for so long. Only then, and only for what money depends on, is it out of order: the
    /// distance alone is something that the other endpoint says of itself, and one that invents blocks could say it.
    pub still: Duration,
}

impl Default for LagBounds {
    fn default() -> Self {
        Self { seconds: 120, blocks: 3, still: Duration::from_secs(120) }
    }
}

/// Two endpoints.
///
/// Reads of a fixed height must be equal. Of a moving tag (`finalized`, `safe`, `latest`) the lower
/// block is taken; for the first two both endpoints must have it with the same hash. Reads of the
/// tip that money does not depend on are answered by one endpoint, which is another one after an
/// outage or when it stands behind, and a transaction is handed to both.
pub struct Paired {
    members: Arc<Members>,
    tolerate_outage: bool,
    bounds: LagBounds,
    /// Whether one of them is believed alone now.
    alone: AtomicBool,
}

impl Paired {
    /// Joins two endpoints. With `tolerate_outage` one of them may be unreachable, or stand still, and the other is
    /// then believed alone; otherwise an outage of one stops the reads of both, which is slower and
    /// safer.
    pub fn new(
        first: Arc<dyn ChainClient>,
        second: Arc<dyn ChainClient>,
        tolerate_outage: bool,
    ) -> Self {
        Self::of(Arc::new(Members::new(first, second)), tolerate_outage, LagBounds::default())
    }

    /// With other bounds of standing behind.
    pub fn bounded(self, bounds: LagBounds) -> Self {
        Self { bounds, ..self }
    }

    fn of(members: Arc<Members>, tolerate_outage: bool, bounds: LagBounds) -> Self {
        Self { members, tolerate_outage, bounds, alone: AtomicBool::new(false) }
    }

    /// Equal answers, or the only one where an outage is tolerated.
    ///
    /// Nonsense counts as an outage: whoever controls one endpoint and wants the other to be believed alone could as
    /// well be silent. What two endpoints say of the chain is never weighed that way, a difference stays a
    /// disagreement, nor
    /// is a question that was too much for one of them: the shorter one is asked of both.
    fn agreed<T: PartialEq + Debug>(
        &self,
        what: impl FnOnce() -> String,
        first: Result<T, ClientError>,
        second: Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        match (first, second) {
            (Ok(first), Ok(second)) if first == second => {
                if self.alone.swap(false, SeqCst) {
                    tracing::warn!("both endpoints answer again");
                }
                Ok(first)
            }
            (Ok(first), Ok(second)) => Err(disagreement(what(), &first, &second)),
            (Ok(only), Err(error)) | (Err(error), Ok(only)) => {
                if self.tolerate_outage && error.is_outage() {
                    self.believed_alone(&error.to_string());
                    return Ok(only);
                }
                Err(error)
            }
            (Err(error), Err(other)) if error.is_outage() && other.asks_too_much() => Err(other),
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// Said when it begins and when it ends: there are many questions in between.
    fn believed_alone(&self, error: &str) {
        if !self.alone.swap(true, SeqCst) {
            tracing::warn!(error, "one endpoint is believed alone");
        }
    }

    /// The endpoint that alone has this height, because the other one stands still below it. Up to where that one
    /// stands, both must agree as ever.
    fn alone_at(&self, height: u64) -> Option<usize> {
        let still = |member: usize| self.members.stands_below(member, height, self.bounds.still);
        match [still(0), still(1)] {
            [true, false] if self.tolerate_outage => Some(1),
            [false, true] if self.tolerate_outage => Some(0),
            _ => None,
        }
    }

    /// The lower block of a moving tag; the higher one when the endpoint of the lower one is out of order.
    async fn tagged(&self, at: At) -> Result<Option<Header>, ClientError> {
        let members = &self.members;
        let (first, second) = tokio::join!(ask!(self, 0, header(at)), ask!(self, 1, header(at)));
        let (first, second) = match (first, second) {
            (Ok(first), Ok(second)) => (first, second),
            (first, second) => return self.agreed(|| at.to_string(), first, second),
        };
        let height = |header: Option<Header>| header.map(|header| header.number);
        let (lower, upper, lagging) =
            if height(first) <= height(second) { (first, second, 0) } else { (second, first, 1) };
        let (leading, distance) = (1 - lagging, self.distance(lower, upper));
        members.keeps_up(leading, at);
        let stood = members.compared(lagging, at, height(lower).unwrap_or_default(), distance);
        let out_of_order = self.tolerate_outage
            && stood.is_some_and(|stood| at == At::Latest || stood >= self.bounds.still);
        if first == second || at == At::Latest && !out_of_order {
            return Ok(lower);
        }
        // A chain that one endpoint does not have yet has no such block.
        let Some(block) = lower else { return Ok(upper.filter(|_| out_of_order)) };
        if at == At::Latest {
            return Ok(upper);
        }
        let number = block.number;
        let other = ask!(self, leading, header(At::Number(number)));
        let other = other.await;
        if out_of_order {
            // It continues what both have: only what comes after is believed of one alone.
            if other? != lower {
                return Err(disagreement(format!("block {number}"), &lower, &upper));
            }
            self.believed_alone("the other one stands still");
            return Ok(upper);
        }
        self.agreed(|| format!("block {number}"), Ok(lower), other)
    }

    /// How many blocks lie between the two, if that is too many.
    fn distance(&self, lower: Option<Header>, upper: Option<Header>) -> Option<u64> {
        let upper = upper?;
        let (number, timestamp) = lower.map_or((0, 0), |header| (header.number, header.timestamp));
        let blocks = upper.number.saturating_sub(number);
        let seconds = upper.timestamp.saturating_sub(timestamp);
        (blocks >= self.bounds.blocks.max(1) && seconds > self.bounds.seconds).then_some(blocks)
    }

    /// The block of a height close to the tip, which one of them may not have yet.
    async fn near(&self, at: At) -> Result<Option<Header>, ClientError> {
        found_by_either!(self, header(at))
    }

    /// The block of a height. One that only the endpoint ahead has is no disagreement: the other one will have it.
    async fn numbered(&self, number: u64) -> Result<Option<Header>, ClientError> {
        let at = At::Number(number);
        if let Some(member) = self.alone_at(number) {
            return ask!(self, member, header(at)).await;
        }
        let (first, second) = tokio::join!(ask!(self, 0, header(at)), ask!(self, 1, header(at)));
        let missing = match (&first, &second) {
            (Ok(None), Ok(Some(_))) => Some(0),
            (Ok(Some(_)), Ok(None)) => Some(1),
            _ => None,
        };
        if let Some(member) = missing.filter(|member| self.members.is_behind(*member)) {
            let reason = format!("block {number} is not there yet, it stands behind");
            return Err(ClientError::Unavailable { endpoint: self.members.name(member), reason });
        }
        self.agreed(|| format!("block {number}"), first, second)
    }
}

fn disagreement(what: String, first: &impl Debug, second: &impl Debug) -> ClientError {
    let short = |value: &dyn Debug| shortened(&format!("{value:?}"));
    ClientError::Disagreement { what, first: short(first), second: short(second) }
}

impl ChainClient for Paired {
    fn chain_id(&self) -> Answer<'_, u64> {
        Box::pin(async move { both!(self, 0, "the chain id".to_owned(), chain_id()) })
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        Box::pin(async move {
            match at {
                At::Number(number) => self.numbered(number).await,
                At::Near(_) => self.near(at).await,
                At::Latest | At::Safe | At::Finalized => self.tagged(at).await,
            }
        })
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>> {
        Box::pin(async move {
            let what = format!("events of {} to {}", query.from, query.to);
            both!(self, query.to, what, logs(query))
        })
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            match at {
                At::Number(number) => {
                    both!(self, number, format!("a call at {number}"), call(call, at))
                }
                At::Latest | At::Near(_) | At::Safe | At::Finalized => {
                    either!(self, call(call, at))
                }
            }
        })
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            match at {
                At::Number(number) => {
                    both!(self, number, format!("code at {number}"), code(address, at))
                }
                At::Latest | At::Near(_) | At::Safe | At::Finalized => {
                    either!(self, code(address, at))
                }
            }
        })
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        Box::pin(async move {
            match at {
                At::Number(number) => {
                    both!(self, number, format!("a balance at {number}"), balance(address, at))
                }
                At::Latest | At::Near(_) | At::Safe | At::Finalized => {
                    either!(self, balance(address, at))
                }
            }
        })
    }

    fn nonce(&self, address: Address) -> Answer<'_, u64> {
        Box::pin(async move { either!(self, nonce(address)) })
    }

    fn estimate_gas(&self, call: Call) -> Answer<'_, u64> {
        Box::pin(async move { either!(self, estimate_gas(call)) })
    }

    fn fee_market(&self) -> Answer<'_, FeeMarket> {
        Box::pin(async move { either!(self, fee_market()) })
    }

    fn blob_base_fee(&self) -> Answer<'_, Option<u128>> {
        Box::pin(async move { either!(self, blob_base_fee()) })
    }

    /// One endpoint that takes the transaction is enough: the chain spreads it.
    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash> {
        Box::pin(async move {
            let (first, second) =
                tokio::join!(ask!(self, 0, send_raw(raw)), ask!(self, 1, send_raw(raw)));
            match (first, second) {
                // A refusal says more than an outage.
                (Err(refusal), Err(error)) if error.is_outage() => Err(refusal),
                (first, second) => first.or(second),
            }
        })
    }

    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>> {
        Box::pin(async move { found_by_either!(self, receipt(tx_hash)) })
    }

    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move { found_by_either!(self, input(tx_hash)) })
    }

    fn strict(&self) -> Option<Arc<dyn ChainClient>> {
        let strict = || Paired::of(Arc::clone(&self.members), false, self.bounds);
        self.tolerate_outage.then(|| -> Arc<dyn ChainClient> { Arc::new(strict()) })
    }

    fn name(&self) -> String {
        format!("{} and {}", self.members.name(0), self.members.name(1))
    }

    fn complaints(&self) -> Vec<Complaint> {
        self.members.complaints()
    }
}

#[cfg(test)]
mod tests;
