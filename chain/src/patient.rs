//! A client that asks again: for work that must not end because one request failed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use zklink::token::Address;

use super::client::{
    Answer, At, Call, ChainClient, ClientError, Complaint, FeeMarket, Hash, Header, Log, LogQuery,
    Receipt,
};

/// How long a question is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The first pause; each further one is twice as long.
    pub first_pause: Duration,
    /// No pause is longer.
    pub longest_pause: Duration,
    /// After so long the last answer counts.
    pub bound: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
            bound: Duration::from_secs(60),
        }
    }
}

impl Patience {
    /// Tries until it succeeds, until it fails with an error that more tries do not mend, or until the bound is over.
    ///
    /// # Errors
    /// The last error.
    pub async fn wait<T, E: std::fmt::Display, F: Future<Output = Result<T, E>>>(
        self,
        passing: impl Fn(&E) -> bool,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, E> {
        let (begin, mut pause) = (Instant::now(), self.first_pause);
        loop {
            match attempt().await {
                Err(error) if passing(&error) && begin.elapsed() < self.bound => {
                    tracing::warn!(%error, "tried again");
                }
                answer => return answer,
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.longest_pause);
        }
    }
}

/// A client that asks again after an outage. Transactions it hands in once, and for receipts it asks once: whoever
/// sends a transaction looks for it again and again as it is.
pub struct Patient {
    client: Arc<dyn ChainClient>,
    patience: Patience,
}

impl Patient {
    /// The same chain, asked with patience.
    pub fn new(client: Arc<dyn ChainClient>, patience: Patience) -> Self {
        Self { client, patience }
    }
}

/// Asks until there is an answer.
macro_rules! patient {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        Box::pin(async move {
            let ask = || $self.client.$method($($argument.clone()),*);
            $self.patience.wait(ClientError::is_outage, ask).await
        })
    };
}

impl ChainClient for Patient {
    fn chain_id(&self) -> Answer<'_, u64> {
        patient!(self, chain_id())
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        patient!(self, header(at))
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>> {
        patient!(self, logs(query))
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        patient!(self, call(call, at))
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        patient!(self, code(address, at))
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        patient!(self, balance(address, at))
    }

    fn nonce(&self, address: Address) -> Answer<'_, u64> {
        patient!(self, nonce(address))
    }

    fn estimate_gas(&self, call: Call) -> Answer<'_, u64> {
        patient!(self, estimate_gas(call))
    }

    fn fee_market(&self) -> Answer<'_, FeeMarket> {
        patient!(self, fee_market())
    }

    fn blob_base_fee(&self) -> Answer<'_, Option<u128>> {
        patient!(self, blob_base_fee())
    }

    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash> {
        self.client.send_raw(raw)
    }

    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>> {
        self.client.receipt(tx_hash)
    }

    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        patient!(self, input(tx_hash))
    }

    fn strict(&self) -> Option<Arc<dyn ChainClient>> {
        self.client.strict()
    }

    fn name(&self) -> String {
        self.client.name()
    }

    fn complaints(&self) -> Vec<Complaint> {
        self.client.complaints()
    }
}
