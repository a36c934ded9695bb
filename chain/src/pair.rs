//! Two endpoints of one chain that must agree on everything that money depends on.

use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use zklink::token::Address;

use super::client::{
    Answer, At, Call, ChainClient, ClientError, FeeMarket, Hash, Header, Log, LogQuery, Receipt,
    shortened,
};

/// Two endpoints.
///
/// Reads of a fixed height must be equal. Of a moving tag (`finalized`, `safe`, `latest`) the lower
/// block is taken; for the first two both endpoints must have it with the same hash. Reads of the
/// tip that money does not depend on are answered by the first endpoint that answers, and a
/// transaction is handed to both.
pub struct Paired {
    first: Arc<dyn ChainClient>,
    second: Arc<dyn ChainClient>,
    tolerate_outage: bool,
    /// Whether one of them is believed alone now.
    alone: AtomicBool,
}

impl Paired {
    /// Joins two endpoints. With `tolerate_outage` one of them may be unreachable and the other is
    /// then believed alone; otherwise an outage of one stops the reads of both, which is slower and
    /// safer.
    pub fn new(
        first: Arc<dyn ChainClient>,
        second: Arc<dyn ChainClient>,
        tolerate_outage: bool,
    ) -> Self {
        Self { first, second, tolerate_outage, alone: AtomicBool::new(false) }
    }

    /// Equal answers, or the only one where an outage is tolerated.
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
                    // Said when it begins and when it ends: there are many questions in between.
                    if !self.alone.swap(true, SeqCst) {
                        tracing::warn!(%error, "one endpoint is believed alone");
                    }
                    return Ok(only);
                }
                Err(error)
            }
            (Err(error), Err(_)) => Err(error),
        }
    }

    /// The lower block of a moving tag.
    async fn tagged(&self, at: At) -> Result<Option<Header>, ClientError> {
        let (first, second) = tokio::join!(self.first.header(at), self.second.header(at));
        let (first, second) = match (first, second) {
            // A chain that one endpoint does not have yet has no such block.
            (Ok(None), Ok(_)) | (Ok(_), Ok(None)) => return Ok(None),
            (Ok(Some(first)), Ok(Some(second))) => (first, second),
            (first, second) => return self.agreed(|| at.to_string(), first, second),
        };
        let (lower, behind) = if first.number <= second.number {
            (first, &self.second)
        } else {
            (second, &self.first)
        };
        if at == At::Latest || first == second {
            return Ok(Some(lower));
        }
        let other = behind.header(At::Number(lower.number)).await;
        self.agreed(|| format!("block {}", lower.number), Ok(Some(lower)), other)
    }
}

fn disagreement(what: String, first: &impl Debug, second: &impl Debug) -> ClientError {
    let short = |value: &dyn Debug| shortened(&format!("{value:?}"));
    ClientError::Disagreement { what, first: short(first), second: short(second) }
}

/// The first answer that is no outage.
macro_rules! either {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        match $self.first.$method($($argument.clone()),*).await {
            Err(error) if error.is_outage() => $self.second.$method($($argument),*).await,
            answer => answer,
        }
    };
}

/// Both answers, which must be equal.
macro_rules! both {
    ($self:ident, $what:expr, $method:ident($($argument:expr),*)) => {{
        let (first, second) = tokio::join!(
            $self.first.$method($($argument.clone()),*),
            $self.second.$method($($argument.clone()),*)
        );
        $self.agreed(|| $what, first, second)
    }};
}

impl ChainClient for Paired {
    fn chain_id(&self) -> Answer<'_, u64> {
        Box::pin(async move { both!(self, "the chain id".to_owned(), chain_id()) })
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        Box::pin(async move {
            match at {
                At::Number(number) => both!(self, format!("block {number}"), header(at)),
                At::Near(_) => either!(self, header(at)),
                At::Latest | At::Safe | At::Finalized => self.tagged(at).await,
            }
        })
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>> {
        Box::pin(async move {
            both!(self, format!("events of {} to {}", query.from, query.to), logs(query))
        })
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            match at {
                At::Number(number) => both!(self, format!("a call at {number}"), call(call, at)),
                At::Latest | At::Near(_) | At::Safe | At::Finalized => {
                    either!(self, call(call, at))
                }
            }
        })
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        Box::pin(async move {
            match at {
                At::Number(number) => both!(self, format!("code at {number}"), code(address, at)),
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
                    both!(self, format!("a balance at {number}"), balance(address, at))
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

    /// One endpoint that takes the transaction is enough: the chain spreads it.
    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash> {
        Box::pin(async move {
            let (first, second) =
                tokio::join!(self.first.send_raw(raw.clone()), self.second.send_raw(raw));
            first.or(second)
        })
    }

    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>> {
        Box::pin(async move {
            match self.first.receipt(tx_hash).await {
                Ok(Some(receipt)) => Ok(Some(receipt)),
                first => self.second.receipt(tx_hash).await.or(first),
            }
        })
    }

    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        Box::pin(async move {
            match self.first.input(tx_hash).await {
                Ok(Some(input)) => Ok(Some(input)),
                first => self.second.input(tx_hash).await.or(first),
            }
        })
    }

    fn strict(&self) -> Option<Arc<dyn ChainClient>> {
        let (first, second) = (Arc::clone(&self.first), Arc::clone(&self.second));
        self.tolerate_outage
            .then(|| -> Arc<dyn ChainClient> { Arc::new(Paired::new(first, second, false)) })
    }
}
