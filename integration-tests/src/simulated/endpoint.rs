//! A simulated RPC server of a simulated chain, with the ways in which such servers fail.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alloy_consensus::transaction::SignerRecoverable;
use alloy_consensus::{Transaction, TxEnvelope};
use alloy_eips::eip2718::Decodable2718;
use zklink::token::Address;
use zklink_chain::client::{
    Answer, At, Call, ChainClient, ClientError, FeeMarket, Hash, Header, Log, LogQuery, Receipt,
};
use zklink_mechanism::world::Seed;

use super::abi;
use super::chain::{SimulatedChainHandle, SimulatedTx};
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
    delays: Arc<Mutex<Seed>>,
}

impl SimulatedEndpoint {
    /// A healthy endpoint, whose answers take times that follow from the seed.
    pub fn new(name: &str, chain: SimulatedChainHandle, evm_chain_id: u64, seed: Seed) -> Self {
        let delays = Arc::new(Mutex::new(seed));
        Self { name: name.to_owned(), chain, evm_chain_id, fault: Arc::default(), delays }
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

/// Longest time that an answer takes, virtual milliseconds.
const ANSWER_MAX_MS: u64 = 20;

impl SimulatedEndpoint {
    /// An answer that takes its time, and says what is so at its end.
    fn answer<T: Send + 'static>(
        &self,
        answer: impl FnOnce(&SimulatedEndpoint) -> Result<T, ClientError> + Send + 'static,
    ) -> Answer<'static, T> {
        let (endpoint, ms) = (self.clone(), self.delays().below(ANSWER_MAX_MS + 1));
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            answer(&endpoint)
        })
    }

    fn delays(&self) -> MutexGuard<'_, Seed> {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a transaction would succeed.
    fn would_succeed(&self, call: &Call, at: At) -> Result<(), ClientError> {
        let behind = self.behind()?;
        let chain = self.chain.lock();
        let header =
            chain.header(at, behind).ok_or_else(|| self.refused("no such block".into()))?;
        chain.estimate(call, header.number).map_err(|refused| self.refused(refused.to_string()))
    }

    fn take(&self, raw: &[u8]) -> Result<Hash, ClientError> {
        self.behind()?;
        let tx = signed(raw, self.evm_chain_id).map_err(|text| self.refused(text))?;
        let hash = tx.hash;
        let taken = self.chain.lock().submit_signed(tx);
        taken.map_err(|refused| self.refused(refused.to_string())).map(|()| hash)
    }
}

/// Reads a signed transaction in its network form.
fn signed(raw: &[u8], chain_id: u64) -> Result<SimulatedTx, String> {
    let envelope = TxEnvelope::decode_2718_exact(raw).map_err(|error| error.to_string())?;
    let tx = envelope.try_into_recovered().map_err(|error| error.to_string())?;
    if tx.chain_id() != Some(chain_id) {
        return Err("invalid sender: another chain".to_owned());
    }
    let call = Call {
        from: tx.signer().into_array(),
        to: tx.to().map(|to| to.into_array()),
        value: u128::try_from(tx.value()).map_err(|error| error.to_string())?,
        data: tx.input().to_vec(),
        gas: Some(tx.gas_limit()),
        ..Call::default()
    };
    Ok(SimulatedTx { hash: tx.tx_hash().0, from: call.from, nonce: tx.nonce(), call })
}

impl ChainClient for SimulatedEndpoint {
    fn chain_id(&self) -> Answer<'_, u64> {
        self.answer(|own| own.behind().map(|_| own.evm_chain_id))
    }

    fn header(&self, at: At) -> Answer<'_, Option<Header>> {
        self.answer(move |own| Ok(own.chain.lock().header(at, own.behind()?)))
    }

    fn logs(&self, query: LogQuery) -> Answer<'_, Vec<Log>> {
        self.answer(move |own| {
            let (behind, chain) = (own.behind()?, own.chain.lock());
            let empty = *own.fault() == EndpointFault::NoLogs;
            let to = query.to.min(chain.tip().saturating_sub(behind));
            Ok(if empty { Vec::new() } else { chain.logs(&LogQuery { to, ..query }) })
        })
    }

    fn call(&self, call: Call, at: At) -> Answer<'_, Vec<u8>> {
        self.answer(move |own| {
            // Only whoever tries a transaction says who calls.
            if call.from != [0; 20] {
                return own.would_succeed(&call, at).map(|()| Vec::new());
            }
            let contracts = own.contracts(at)?;
            abi::view(&contracts, &call).map_err(|refused| own.refused(refused.to_string()))
        })
    }

    fn code(&self, address: Address, at: At) -> Answer<'_, Vec<u8>> {
        self.answer(move |own| {
            let contracts = own.contracts(at)?;
            let registration = &contracts.registration;
            let known = [registration.rollup(), registration.oracle, registration.recorder];
            Ok(if known.contains(&address) { vec![0xfe] } else { Vec::new() })
        })
    }

    fn balance(&self, address: Address, at: At) -> Answer<'_, u128> {
        self.answer(move |own| {
            let contracts = own.contracts(at)?;
            let native = contracts.registration.native();
            Ok(native.map(|token| contracts.balance(address, token)).unwrap_or_default())
        })
    }

    fn nonce(&self, address: Address) -> Answer<'_, u64> {
        self.answer(move |own| {
            let behind = own.behind()?;
            Ok(own.chain.lock().mined_as_of(address, behind))
        })
    }

    fn estimate_gas(&self, call: Call) -> Answer<'_, u64> {
        self.answer(move |own| own.would_succeed(&call, At::Latest).map(|()| 100_000))
    }

    fn fee_market(&self) -> Answer<'_, FeeMarket> {
        self.answer(|own| own.behind().map(|_| FeeMarket { base_fee: 1, priority_fee: 1 }))
    }

    fn send_raw(&self, raw: Vec<u8>) -> Answer<'_, Hash> {
        self.answer(move |own| own.take(&raw))
    }

    fn receipt(&self, tx_hash: Hash) -> Answer<'_, Option<Receipt>> {
        self.answer(move |own| {
            let (behind, chain) = (own.behind()?, own.chain.lock());
            let seen = chain.tip().saturating_sub(behind);
            let outcome = chain.outcome(tx_hash).filter(|(header, _)| header.number <= seen);
            Ok(outcome.map(|(header, done)| Receipt {
                tx_hash,
                block: header.number,
                block_hash: header.hash,
                success: done.is_ok(),
                gas_used: 100_000,
                gas_price: 1,
                created: None,
            }))
        })
    }

    fn input(&self, tx_hash: Hash) -> Answer<'_, Option<Vec<u8>>> {
        self.answer(move |own| {
            own.behind()?;
            Ok(own.chain.lock().input(tx_hash))
        })
    }
}
