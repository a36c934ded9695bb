//! A simulated RPC server of a simulated chain, with the ways in which such servers fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use zklink::token::Address;
use zklink_chain::client::{
    Answer, At, Call, ChainClient, ClientError, FeeMarket, Hash, Header, Log, LogQuery, Receipt,
};

use super::abi;
use super::chain::SimulatedChainHandle;
use super::contracts::SimulatedContracts;

/// What is wrong with an endpoint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EndpointFault {
    /// Nothing.
    #[default]
    None,
    /// It does not answer.
    Dead,
    /// It is so many blocks behind.
    Lagging(u64),
    /// It knows all blocks and no event.
    NoLogs,
}

/// An endpoint. Clones are the same one.
#[derive(Clone, Debug)]
pub struct SimulatedEndpoint {
    name: String,
    chain: SimulatedChainHandle,
    evm_chain_id: u64,
    fault: Arc<Mutex<EndpointFault>>,
}

impl SimulatedEndpoint {
    /// A healthy endpoint.
    pub fn new(name: &str, chain: SimulatedChainHandle, evm_chain_id: u64) -> Self {
        Self { name: name.to_owned(), chain, evm_chain_id, fault: Arc::default() }
    }

    /// Breaks or mends it.
    pub fn set_fault(&self, fault: EndpointFault) {
        *self.fault() = fault;
    }

    fn fault(&self) -> MutexGuard<'_, EndpointFault> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far behind it is, or that it is dead.
    fn behind(&self) -> Result<u64, ClientError> {
        match *self.fault() {
            EndpointFault::Dead => Err(ClientError::Unreachable {
                endpoint: self.name.clone(),
                reason: "simulated outage".to_owned(),
            }),
            EndpointFault::Lagging(blocks) => Ok(blocks),
            EndpointFault::None | EndpointFault::NoLogs => Ok(0),
        }
    }

    fn refused(&self, message: String) -> ClientError {
        let (endpoint, data) = (self.name.clone(), Vec::new());
        ClientError::Refused { endpoint, code: 3, message, data }
    }

    fn contracts(&self, at: At) -> Result<Arc<SimulatedContracts>, ClientError> {
        let behind = self.behind()?;
        let chain = self.chain.lock();
        let header = chain.header(at, behind);
        let found = header.and_then(|header| chain.contracts_at(header.number));
        found.ok_or_else(|| self.refused(format!("no state at {at}")))
    }
}

/// An answer that is there at once.
fn now<T: Send + 'static>(answer: Result<T, ClientError>) -> Answer<'static, T> {
    Box::pin(std::future::ready(answer))
}

impl ChainClient for SimulatedEndpoint {
    fn chain_id(&self) -> Answer<'_, u64> {
        now(self.behind().map(|_| self.evm_chain_id))
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        now(self.behind().map(|behind| self.chain.lock().header(at, behind)))
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>> {
        let logs = self.behind().map(|behind| {
            let chain = self.chain.lock();
            let empty = *self.fault() == EndpointFault::NoLogs;
            let to = query.to.min(chain.tip().saturating_sub(behind));
            if empty { Vec::new() } else { chain.logs(&LogQuery { to, ..query }) }
        });
        now(logs)
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        let answer = self.contracts(at).and_then(|contracts| {
            abi::view(&contracts, &call).map_err(|refused| self.refused(refused.to_string()))
        });
        now(answer)
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        let code = self.contracts(at).map(|contracts| {
            let registration = &contracts.registration;
            let known = [registration.rollup(), registration.oracle, registration.recorder];
            if known.contains(&address) { vec![0xfe] } else { Vec::new() }
        });
        now(code)
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        let balance = self.contracts(at).map(|contracts| {
            let native = contracts.registration.native();
            native.map(|token| contracts.balance(address, token)).unwrap_or_default()
        });
        now(balance)
    }

    fn nonce(&self, _: Address) -> Answer<'_, u64> {
        now(self.behind().map(|_| 0))
    }

    fn estimate_gas(&self, _: Call) -> Answer<'_, u64> {
        now(self.behind().map(|_| 100_000))
    }

    fn fee_market(&self) -> Answer<'_, FeeMarket> {
        now(self.behind().map(|_| FeeMarket { base_fee: 1, priority_fee: 1 }))
    }

    fn send_raw(&self, _: Vec<u8>) -> Answer<'_, Hash> {
        now(Err(self.refused("a simulated chain takes calls, not signed bytes".to_owned())))
    }

    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>> {
        let receipt = self.behind().map(|_| {
            let (header, done) = self.chain.lock().outcome(tx_hash)?;
            Some(Receipt {
                tx_hash,
                block: header.number,
                block_hash: header.hash,
                success: done.is_ok(),
                gas_used: 100_000,
                gas_price: 1,
                created: None,
            })
        });
        now(receipt)
    }

    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        now(self.behind().map(|_| self.chain.lock().input(tx_hash)))
    }
}
