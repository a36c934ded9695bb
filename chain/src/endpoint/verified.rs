//! An endpoint that is believed once it has said which chain it serves.

use std::sync::OnceLock;

use zklink::token::Address;

use super::{Endpoint, EndpointError, EndpointLimits};
use crate::client::{
    Answer, At, Call, ChainClient, ClientError, Complaint, FeeMarket, Hash, Header, Log, LogQuery,
    Receipt,
};

/// An endpoint that need not answer when the node starts. Its first answer tells its chain; until then it is
/// as good as out of order, and with the wrong chain it is refused for ever.
pub struct VerifiedEndpoint {
    endpoint: Endpoint,
    expected: u64,
    found: OnceLock<u64>,
}

impl VerifiedEndpoint {
    /// An endpoint that must serve the chain with this EIP-155 id. Nothing is asked yet.
    ///
    /// # Errors
    /// As [`Endpoint::new`].
    pub fn new(url: &str, chain_id: u64, limits: EndpointLimits) -> Result<Self, EndpointError> {
        let endpoint = Endpoint::new(url, limits)?;
        Ok(Self { endpoint, expected: chain_id, found: OnceLock::new() })
    }

    async fn check(&self) -> Result<u64, ClientError> {
        let found = match self.found.get() {
            Some(found) => *found,
            // Several may ask at the same time: none of them waits for the patience of another.
            None => {
                let found = self.endpoint.chain_id().await?;
                *self.found.get_or_init(|| found)
            }
        };
        self.endpoint.of_chain(self.expected, found)
    }
}

/// Asks the endpoint, if it serves the right chain.
macro_rules! verified {
    ($self:ident, $method:ident($($argument:expr),*)) => {
        Box::pin(async move {
            $self.check().await?;
            $self.endpoint.$method($($argument),*).await
        })
    };
}

impl ChainClient for VerifiedEndpoint {
    fn chain_id(&self) -> Answer<'_, u64> {
        Box::pin(self.check())
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        verified!(self, header(at))
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>> {
        verified!(self, logs(query))
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        verified!(self, call(call, at))
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        verified!(self, code(address, at))
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        verified!(self, balance(address, at))
    }

    fn nonce(&self, address: Address) -> Answer<'_, u64> {
        verified!(self, nonce(address))
    }

    fn estimate_gas(&self, call: Call) -> Answer<'_, u64> {
        verified!(self, estimate_gas(call))
    }

    fn fee_market(&self) -> Answer<'_, FeeMarket> {
        verified!(self, fee_market())
    }

    fn blob_base_fee(&self) -> Answer<'_, Option<u128>> {
        verified!(self, blob_base_fee())
    }

    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash> {
        verified!(self, send_raw(raw))
    }

    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>> {
        verified!(self, receipt(tx_hash))
    }

    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        verified!(self, input(tx_hash))
    }

    fn name(&self) -> String {
        self.endpoint.name()
    }

    fn complaints(&self) -> Vec<Complaint> {
        let found = self.found.get().copied().unwrap_or(self.expected);
        // Nothing else is asked of an endpoint of another chain.
        match self.endpoint.of_chain(self.expected, found) {
            Ok(_) => self.endpoint.complaints(),
            Err(error) => {
                let fault = crate::health::words("eth_chainId", &error);
                vec![Complaint { endpoint: self.endpoint.name(), fault }]
            }
        }
    }
}
