//! Sends one transaction at a time and stays with it until the chain has it.

mod memory;
mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use zklink::token::Address;

use self::memory::{Memory, Offer, Sent};
use self::words::{Needed, Refusal};
use super::account::EthKey;
use super::client::{At, Call, ChainClient, ClientError, FeeMarket, Hash, Receipt, hex0x};
use super::contracts::revert_text;
use super::transaction::{Terms, sign};

/// After so many looks in a row that show a lower nonce, an earlier transaction is taken for lost. Fewer may be a
/// server that lags behind the one that gave the nonce.
const DISPLACED_POLLS: u32 = 12;
/// After so many looks without a receipt the transaction is handed in again.
const POLLS_BEFORE_REPEAT: u32 = 5;
/// So many looks in a row may fail before the chain is taken for out of reach.
const FAILED_LOOKS: u32 = 60;
/// So many looks a receipt may lag behind the nonce: servers learn of both at different times.
const RECEIPT_LOOKS: u32 = 60;

/// How transactions are sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SendPolicy {
    /// Percent of gas above the estimate.
    pub gas_margin_percent: u64,
    /// The most that a unit of gas may cost, wei.
    pub max_fee_per_gas: u128,
    /// The least that goes to the block's producer per unit of gas, wei: empty blocks say that
    /// nothing is needed, and many nodes then refuse nothing.
    pub min_priority_fee_per_gas: u128,
    /// How often receipts are looked for, milliseconds.
    pub poll_ms: u64,
    /// After so many looks without a receipt the fee is raised.
    pub polls_before_raise: u32,
    /// After so many raises the sender gives up; the next attempt with the same nonce goes on above them.
    pub raises: u32,
}

impl Default for SendPolicy {
    fn default() -> Self {
        Self {
            gas_margin_percent: 30,
            max_fee_per_gas: 500_000_000_000,
            min_priority_fee_per_gas: 10_000_000,
            poll_ms: 1_000,
            polls_before_raise: 60,
            raises: 8,
        }
    }
}

/// Why a transaction has no receipt of success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The contract refuses; nothing was sent, or what was sent failed.
    #[error("the contract refuses: {reason}")]
    Reverted {
        /// The error of the contract in words.
        reason: String,
        /// The failed transaction, if one was mined.
        tx_hash: Option<Hash>,
    },
    /// Gas costs more than the policy allows. Wait, or raise `max_fee_per_gas`.
    #[error("gas costs {needed} wei, above the limit of {limit}: wait or raise max_fee_per_gas")]
    TooExpensive {
        /// What would be needed, wei.
        needed: u128,
        /// The limit, wei.
        limit: u128,
    },
    /// The account has not the coins for the gas. Send some there.
    #[error("0x{} has too few coins{}: send some there", hex::encode(address), of_needed(*needed))]
    NoCoins {
        /// The account.
        address: Address,
        /// What the transaction may cost at most, wei, where that is known.
        needed: Option<u128>,
    },
    /// Another transaction took the nonce. Look at the chain again before deciding what to send.
    #[error("nonce {0} was used by another transaction: another sender has the same key")]
    Overtaken(u64),
    /// A reorganisation took an earlier transaction of the sender away, and this one cannot be mined
    /// before its nonce is used again. Look at the chain again before deciding what to send.
    #[error("nonce {nonce} waits for nonce {next}, which a reorganisation made free again")]
    Displaced {
        /// The nonce that was used here.
        nonce: u64,
        /// The nonce that the chain wants next.
        next: u64,
    },
    /// The transaction was not mined in time; it may still be.
    #[error("nothing was mined with nonce {nonce} in time, last sent as {}", hex0x(last))]
    Stuck {
        /// The nonce.
        nonce: u64,
        /// The last hash that was sent.
        last: Hash,
    },
    /// The chain does not answer.
    #[error(transparent)]
    Client(#[from] ClientError),
}

fn of_needed(needed: Option<u128>) -> String {
    needed.map(|wei| format!(" for what may cost {wei} wei")).unwrap_or_default()
}

/// Sends transactions of one key on one chain. Two senders with one key get into each other's way.
pub struct Sender {
    client: Arc<dyn ChainClient>,
    key: EthKey,
    chain_id: u64,
    policy: SendPolicy,
    memory: Mutex<Memory>,
}

/// What a look at the chain showed.
enum Look {
    /// A transaction with this nonce is in a block.
    Mined(Receipt),
    /// The next nonce, and no receipt.
    Next(u64),
}

impl Sender {
    /// A sender on the chain with this EIP-155 id.
    pub fn new(
        client: Arc<dyn ChainClient>,
        key: EthKey,
        chain_id: u64,
        policy: SendPolicy,
    ) -> Self {
        Self { client, key, chain_id, policy, memory: Mutex::default() }
    }

    /// A sender with the same key and policy that speaks to the chain through another client.
    pub fn through(&self, client: Arc<dyn ChainClient>) -> Self {
        Self::new(client, self.key.clone(), self.chain_id, self.policy.clone())
    }

    /// The address that sends.
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// The key that signs.
    pub fn key(&self) -> &EthKey {
        &self.key
    }

    /// The chain that it sends to.
    pub fn client(&self) -> &Arc<dyn ChainClient> {
        &self.client
    }

    /// The EIP-155 chain id.
    pub fn chain_id(&self) -> u64 {
        self.chain_id
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a call and waits until it is mined with success.
    ///
    /// # Errors
    /// [`SendError`]; a refusal by the contract is found before anything is sent, and costs nothing then.
    pub async fn send(&self, mut call: Call) -> Result<Receipt, SendError> {
        call.from = self.key.address();
        let gas = self.gas(&call).await.map_err(|error| self.refusal(error, None))?;
        let nonce = self.client.nonce(call.from).await?;
        let mut market = self.client.fee_market().await?;
        for raise in 0..=self.policy.raises {
            if raise > 0 {
                // A price that is not told now is no reason to give up what was sent.
                market = self.client.fee_market().await.unwrap_or(market);
            }
            let raised = self.offer_more(&call, gas, nonce, market).await?;
            if let Some(receipt) = self.wait(&call, nonce).await? {
                return self.judge(&call, receipt).await;
            }
            if !raised {
                let (needed, limit) = (self.memory().above(nonce), self.policy.max_fee_per_gas);
                return Err(SendError::TooExpensive { needed, limit });
            }
        }
        let last = self.memory().sent(nonce).last().map(|sent| sent.transaction.hash);
        Err(SendError::Stuck { nonce, last: last.unwrap_or_default() })
    }

    /// The gas limit: what the call was given, or an estimate with a margin. In both cases the call is tried first.
    async fn gas(&self, call: &Call) -> Result<u64, ClientError> {
        if let Some(gas) = call.gas {
            self.client.call(call.clone(), At::Latest).await?;
            return Ok(gas);
        }
        let estimate = self.client.estimate_gas(call.clone()).await?;
        Ok(estimate.saturating_mul(100 + self.policy.gas_margin_percent) / 100)
    }

    /// Hands in the call at a price above what was sent with the nonce before, as often as the price is refused. False
    /// when the limit leaves no room above it: then what was sent is all that can be.
    async fn offer_more(
        &self,
        call: &Call,
        gas: u64,
        nonce: u64,
        mut market: FeeMarket,
    ) -> Result<bool, SendError> {
        let mut refused = false;
        loop {
            let offer = self.memory().offer(&self.policy, market, nonce)?;
            let Some(offer) = offer else { return Ok(false) };
            let Offer { max_fee, tip: priority_fee } = offer;
            let terms = Terms { chain_id: self.chain_id, nonce, gas, max_fee, priority_fee };
            let transaction = sign(call, terms, &self.key);
            let sent = Sent { call: call.clone(), transaction, offer };
            self.memory().note(nonce, sent.clone());
            let Some(needed) = self.hand_in(&sent, gas, nonce).await? else {
                if refused {
                    self.memory().learn(offer.tip);
                }
                return Ok(true);
            };
            tracing::warn!(?offer, ?needed, "the offer is too low for the endpoint");
            refused |= matches!(needed, Needed::Tip(_));
            market = self.after(offer, needed, market)?;
            // An endpoint that refuses every price shall not be asked without a pause.
            tokio::time::sleep(Duration::from_millis(self.policy.poll_ms.max(1))).await;
        }
    }

    /// The market as an endpoint sees it that refused an offer: what it says is needed, or twice what was offered.
    fn after(
        &self,
        offer: Offer,
        needed: Needed,
        market: FeeMarket,
    ) -> Result<FeeMarket, SendError> {
        let FeeMarket { mut base_fee, mut priority_fee } = market;
        // A number that does not explain the refusal is none.
        match needed {
            Needed::BaseFee(fee) => {
                let fee = fee.filter(|fee| *fee > base_fee);
                base_fee = fee.unwrap_or(base_fee.saturating_mul(2)).max(1);
            }
            Needed::Tip(tip) => {
                let tip = tip.filter(|tip| *tip > offer.tip);
                priority_fee = tip.unwrap_or(offer.tip.saturating_mul(2));
            }
        }
        let (needed, limit) = (base_fee.saturating_add(priority_fee), self.policy.max_fee_per_gas);
        if needed > limit {
            return Err(SendError::TooExpensive { needed, limit });
        }
        Ok(FeeMarket { base_fee, priority_fee })
    }

    /// Hands a transaction in. An endpoint may refuse because it has this transaction, or another one with its nonce,
    /// already, or answer not at all and have it all the same: then the receipt or a higher fee decides. Gives what is
    /// needed when the offer is too low.
    async fn hand_in(
        &self,
        sent: &Sent,
        gas: u64,
        nonce: u64,
    ) -> Result<Option<Needed>, SendError> {
        let (hash, offer) = (sent.transaction.hash, sent.offer);
        let error = match self.client.send_raw(sent.transaction.raw.clone()).await {
            Ok(answered) if answered == hash => return Ok(None),
            Ok(_) => ClientError::Malformed {
                endpoint: self.client.name(),
                what: "the hash of the transaction that was sent".to_owned(),
            },
            Err(error) => error,
        };
        if error.is_outage() {
            tracing::warn!(%error, hash = hex0x(&hash), "not known to be taken");
            return Ok(None);
        }
        let meaning = match &error {
            ClientError::Refused { message, .. } => words::refusal(message),
            _ => Refusal::Other,
        };
        match meaning {
            Refusal::Known => {
                tracing::warn!(%error, hash = hex0x(&hash), "not taken at once");
                Ok(None)
            }
            Refusal::TooCheap(needed) => {
                self.memory().refused(nonce);
                Ok(Some(needed))
            }
            // What was sent before at a lower price is still there.
            Refusal::NoCoins | Refusal::Other if self.is_replacement(sent, nonce) => {
                self.memory().refused(nonce);
                tracing::warn!(%error, hash = hex0x(&hash), "not replaced");
                Ok(None)
            }
            Refusal::NoCoins => {
                self.memory().refused(nonce);
                let cost = u128::from(gas).saturating_mul(offer.max_fee);
                let needed = Some(cost.saturating_add(sent.call.value));
                Err(SendError::NoCoins { address: self.address(), needed })
            }
            Refusal::Other => {
                self.memory().refused(nonce);
                Err(error.into())
            }
        }
    }

    /// Whether the same call was sent with the nonce before.
    fn is_replacement(&self, sent: &Sent, nonce: u64) -> bool {
        self.memory().sent(nonce).iter().filter(|earlier| earlier.call == sent.call).count() > 1
    }

    /// Looks for a receipt of any transaction with this nonce; nothing when the fee should be
    /// raised. Reorganisations take transactions out of blocks, and endpoints do not always put
    /// them back into their pools: so the last one is handed in again and again.
    async fn wait(&self, call: &Call, nonce: u64) -> Result<Option<Receipt>, SendError> {
        let (mut displaced, mut failed, mut used) = (0, 0, 0);
        let mut poll = 0;
        while poll < self.policy.polls_before_raise.max(1) {
            tokio::time::sleep(Duration::from_millis(self.policy.poll_ms.max(1))).await;
            let next = match self.look(call, nonce).await {
                Ok(Look::Mined(receipt)) => return Ok(Some(receipt)),
                Ok(Look::Next(next)) => next,
                // One answer that does not come says nothing of the transaction.
                Err(SendError::Client(error)) if failed < FAILED_LOOKS => {
                    failed += 1;
                    tracing::warn!(%error, nonce, "a look at the chain failed");
                    continue;
                }
                Err(error) => return Err(error),
            };
            failed = 0;
            if next > nonce {
                used += 1;
                if used >= RECEIPT_LOOKS {
                    return Err(SendError::Overtaken(nonce));
                }
                continue;
            }
            poll += 1;
            displaced = if next < nonce { displaced + 1 } else { 0 };
            if displaced >= DISPLACED_POLLS {
                return Err(SendError::Displaced { nonce, next });
            }
            if poll % POLLS_BEFORE_REPEAT == 0 {
                let last =
                    self.memory().sent(nonce).last().map(|sent| sent.transaction.raw.clone());
                // Whatever is answered: most often that it is known. The receipt decides.
                drop(self.client.send_raw(last.unwrap_or_default()).await);
            }
        }
        Ok(None)
    }

    /// Asks for the receipt of everything that was sent with this nonce, and for the next nonce.
    async fn look(&self, call: &Call, nonce: u64) -> Result<Look, SendError> {
        let sent = self.memory().sent(nonce).to_vec();
        let mut failed = None;
        for sent in sent.iter().rev() {
            match self.client.receipt(sent.transaction.hash).await {
                Ok(Some(receipt)) if sent.call == *call => return Ok(Look::Mined(receipt)),
                // It was ours, and did something else.
                Ok(Some(_)) => return Err(SendError::Overtaken(nonce)),
                Ok(None) => {}
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(Look::Next(self.client.nonce(self.address()).await?)),
        }
    }

    /// A failed transaction is called again at its block, to learn the contract's words.
    async fn judge(&self, call: &Call, receipt: Receipt) -> Result<Receipt, SendError> {
        if receipt.success {
            return Ok(receipt);
        }
        let again = self.client.call(call.clone(), At::Number(receipt.block)).await;
        let tx_hash = Some(receipt.tx_hash);
        let reason = match again {
            Err(error @ ClientError::Refused { .. }) => return Err(self.refusal(error, tx_hash)),
            Err(error) => format!("the transaction failed, and why could not be asked: {error}"),
            Ok(_) => "the transaction failed, and the same call succeeds now".to_owned(),
        };
        Err(SendError::Reverted { reason, tx_hash })
    }

    /// A client's refusal of a call is the contract's, unless it is about the coins of the account.
    fn refusal(&self, error: ClientError, tx_hash: Option<Hash>) -> SendError {
        match error {
            ClientError::Refused { message, data, .. }
                if data.is_empty()
                    && !message.to_lowercase().contains("revert")
                    && words::refusal(&message) == Refusal::NoCoins =>
            {
                SendError::NoCoins { address: self.address(), needed: None }
            }
            ClientError::Refused { message, data, .. } => {
                let reason = if data.is_empty() { message } else { revert_text(&data) };
                SendError::Reverted { reason, tx_hash }
            }
            other => SendError::Client(other),
        }
    }
}
