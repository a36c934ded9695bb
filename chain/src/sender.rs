//! Sends one transaction at a time and stays with it until the chain has it.

mod memory;
mod words;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use zklink::token::Address;

use self::memory::{Market, Memory, Offer, Sent};
use self::words::{Needed, Refusal};
use super::account::EthKey;
use super::blob::{BLOBS_MAX, BlobError, BlobProofs};
use super::client::{At, Call, ChainClient, ClientError, Hash, Receipt, hex0x};
use super::contracts::revert_text;
use super::transaction::{SignedTransaction, Terms, sign};

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
    #[serde(deserialize_with = "wei")]
    pub max_fee_per_gas: u128,
    /// The most that a unit of blob gas may cost, wei; a blob takes 131,072 of them.
    #[serde(deserialize_with = "wei")]
    pub max_fee_per_blob_gas: u128,
    /// The most blobs of one transaction. Ethereum takes 6 since Osaka; never more than [`BLOBS_MAX`].
    pub max_blobs: usize,
    /// The form in which blobs are proven first: `cell` since Osaka, `blob` for chains without it. Where an endpoint
    /// refuses the form, the other one is tried, and kept if it is taken.
    pub blob_proofs: BlobProofs,
    /// The least that goes to the block's producer per unit of gas, wei: empty blocks say that
    /// nothing is needed, and many nodes then refuse nothing.
    #[serde(deserialize_with = "wei")]
    pub min_priority_fee_per_gas: u128,
    /// How often receipts are looked for, milliseconds.
    pub poll_ms: u64,
    /// After so many looks without a receipt the fee is raised.
    pub polls_before_raise: u32,
    /// After so many raises the sender gives up; the next attempt with the same nonce goes on above them.
    pub raises: u32,
}

/// Wei in a configuration: its formats have no numbers of 128 bits, and no gas costs 18 coins.
fn wei<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
    u64::deserialize(from).map(u128::from)
}

impl Default for SendPolicy {
    fn default() -> Self {
        Self {
            gas_margin_percent: 30,
            max_fee_per_gas: 500_000_000_000,
            max_fee_per_blob_gas: 100_000_000_000,
            max_blobs: 6,
            blob_proofs: BlobProofs::Cell,
            min_priority_fee_per_gas: 10_000_000,
            poll_ms: 1_000,
            polls_before_raise: 60,
            raises: 8,
        }
    }
}

/// A price that [`SendPolicy`] limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Price {
    /// Of a unit of gas, by `max_fee_per_gas`.
    Gas,
    /// Of a unit of blob gas, by `max_fee_per_blob_gas`.
    BlobGas,
}

impl Price {
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Price::Gas => ("gas", "max_fee_per_gas"),
            Price::BlobGas => ("blob gas", "max_fee_per_blob_gas"),
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
    /// Gas, or blob gas, costs more than the policy allows. Wait, or raise the limit that the text names.
    #[error(
        "{} costs {needed} wei, above the limit of {limit}: wait or raise {}",
        of.words().0,
        of.words().1
    )]
    TooExpensive {
        /// Which of them.
        of: Price,
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
    /// The chain does not answer, or the call cannot be sent to it.
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

/// What became of a transaction that was handed in.
enum Taken {
    /// It may be mined: it was taken, or is not known to be refused, or an earlier one is still there.
    Yes,
    /// It offers too little.
    TooCheap(Needed),
    /// Its blobs are not proven in the form that is wanted.
    Proofs,
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
        let blob_base_fee = self.blob_base_fee(&call).await?;
        let gas = self.gas(&call).await.map_err(|error| self.refusal(error, None))?;
        let nonce = self.client.nonce(call.from).await?;
        let mut market = Market { gas: self.client.fee_market().await?, blob_base_fee };
        for raise in 0..=self.policy.raises {
            if raise > 0 {
                // A price that is not told now is no reason to give up what was sent.
                let blob_base_fee = self.blob_base_fee(&call).await;
                market.gas = self.client.fee_market().await.unwrap_or(market.gas);
                market.blob_base_fee = blob_base_fee.unwrap_or(market.blob_base_fee);
            }
            let raised = self.offer_more(&call, gas, nonce, market).await?;
            if let Some(receipt) = self.wait(&call, nonce).await? {
                return self.judge(&call, receipt).await;
            }
            if !raised {
                self.memory().room_above(&self.policy, nonce)?;
            }
        }
        let last = self.memory().sent(nonce).last().map(|sent| sent.hash);
        Err(SendError::Stuck { nonce, last: last.unwrap_or_default() })
    }

    /// What a unit of blob gas costs, if the call has blobs; then they must be as many as the policy allows.
    async fn blob_base_fee(&self, call: &Call) -> Result<Option<u128>, ClientError> {
        let Some(blobs) = &call.blobs else { return Ok(None) };
        let (count, limit) = (blobs.count(), self.policy.max_blobs.min(BLOBS_MAX));
        if count > limit {
            return Err(self.of_blobs(BlobError::TooMany { count, limit }));
        }
        let fee = self.client.blob_base_fee().await?;
        Ok(Some(fee.ok_or_else(|| self.of_blobs(BlobError::Unknown))?))
    }

    fn of_blobs(&self, reason: BlobError) -> ClientError {
        ClientError::Blobs { endpoint: self.client.name(), reason }
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
        mut market: Market,
    ) -> Result<bool, SendError> {
        let (mut refused, mut unproven) = (false, false);
        loop {
            let offer = self.memory().offer(&self.policy, market, nonce)?;
            let Some(offer) = offer else { return Ok(false) };
            let Offer { max_fee, tip: priority_fee, blob_fee } = offer;
            let (chain_id, blob_proofs) = (self.chain_id, self.memory().proofs(&self.policy));
            let terms =
                Terms { chain_id, nonce, gas, max_fee, priority_fee, blob_fee, blob_proofs };
            let SignedTransaction { hash, raw } = self.sign(call, terms)?;
            let sent = Sent { call: call.clone(), terms, hash };
            self.memory().note(nonce, sent.clone());
            match self.hand_in(&sent, raw).await? {
                Taken::Yes if refused => self.memory().learn(offer.tip),
                Taken::Yes => {}
                Taken::Proofs if unproven => return Err(self.of_blobs(BlobError::Proofs).into()),
                Taken::Proofs => {
                    tracing::warn!(?blob_proofs, "the endpoint wants another form of blob proofs");
                    unproven = true;
                    self.memory().prove_by(blob_proofs.other());
                    continue;
                }
                Taken::TooCheap(needed) => {
                    tracing::warn!(?offer, ?needed, "the offer is too low for the endpoint");
                    refused |= matches!(needed, Needed::Tip(_));
                    market = self.after(offer, needed, market)?;
                    // An endpoint that refuses every price shall not be asked without a pause.
                    self.pause().await;
                    continue;
                }
            }
            return Ok(true);
        }
    }

    fn sign(&self, call: &Call, terms: Terms) -> Result<SignedTransaction, ClientError> {
        sign(call, terms, &self.key).map_err(|reason| self.of_blobs(reason))
    }

    async fn pause(&self) {
        tokio::time::sleep(Duration::from_millis(self.policy.poll_ms.max(1))).await;
    }

    /// The market as an endpoint sees it that refused an offer: what it says is needed, or twice what was offered.
    fn after(&self, offer: Offer, needed: Needed, mut market: Market) -> Result<Market, SendError> {
        let above = |told: Option<u128>, base_fee: u128| {
            let told = told.filter(|fee| *fee > base_fee);
            told.unwrap_or(base_fee.saturating_mul(2)).max(1)
        };
        // A number that does not explain the refusal is none.
        match needed {
            Needed::BaseFee(fee) => market.gas.base_fee = above(fee, market.gas.base_fee),
            Needed::Tip(tip) => market.gas.priority_fee = above(tip, offer.tip),
            Needed::BlobFee(fee) => {
                market.blob_base_fee = market.blob_base_fee.map(|known| above(fee, known));
            }
        }
        self.policy.allows(market.least())?;
        Ok(market)
    }

    /// Hands a transaction in. An endpoint may refuse because it has this transaction, or another one with its nonce,
    /// already, or answer not at all and have it all the same: then the receipt or a higher fee decides.
    async fn hand_in(&self, sent: &Sent, raw: Vec<u8>) -> Result<Taken, SendError> {
        let (hash, nonce) = (sent.hash, sent.terms.nonce);
        let error = match self.client.send_raw(raw).await {
            Ok(answered) if answered == hash => return Ok(Taken::Yes),
            Ok(_) => ClientError::Malformed {
                endpoint: self.client.name(),
                what: "the hash of the transaction that was sent".to_owned(),
            },
            Err(error) => error,
        };
        if error.is_outage() {
            tracing::warn!(%error, hash = hex0x(&hash), "not known to be taken");
            return Ok(Taken::Yes);
        }
        let meaning = match &error {
            ClientError::Refused { message, .. } => words::refusal(message),
            _ => Refusal::Other,
        };
        let taken = match meaning {
            Refusal::Known => {
                tracing::warn!(%error, hash = hex0x(&hash), "not taken at once");
                return Ok(Taken::Yes);
            }
            Refusal::TooCheap(needed) => Ok(Taken::TooCheap(needed)),
            Refusal::Proofs if sent.call.blobs.is_some() => Ok(Taken::Proofs),
            // What was sent before at a lower price is still there.
            _ if self.is_replacement(sent, nonce) => {
                tracing::warn!(%error, hash = hex0x(&hash), "not replaced");
                Ok(Taken::Yes)
            }
            Refusal::NoCoins => {
                Err(SendError::NoCoins { address: self.address(), needed: Some(sent.cost()) })
            }
            Refusal::Type if sent.call.blobs.is_some() => {
                Err(self.of_blobs(BlobError::Unknown).into())
            }
            Refusal::Type | Refusal::Proofs | Refusal::Other => Err(error.into()),
        };
        // Nothing of it waits in the pool.
        self.memory().refused(nonce);
        taken
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
            self.pause().await;
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
                let last = self.memory().sent(nonce).last().cloned();
                if let Some(again) = last.and_then(|last| self.sign(&last.call, last.terms).ok()) {
                    // Whatever is answered: most often that it is known. The receipt decides.
                    drop(self.client.send_raw(again.raw).await);
                }
            }
        }
        Ok(None)
    }

    /// Asks for the receipt of everything that was sent with this nonce, and for the next nonce.
    async fn look(&self, call: &Call, nonce: u64) -> Result<Look, SendError> {
        let sent = self.memory().sent(nonce).to_vec();
        let mut failed = None;
        for sent in sent.iter().rev() {
            match self.client.receipt(sent.hash).await {
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

    /// A client's refusal of a call is the contract's, unless it is about the coins of the account or about blobs where
    /// there are none.
    fn refusal(&self, error: ClientError, tx_hash: Option<Hash>) -> SendError {
        match error {
            ClientError::Refused { message, data, .. }
                if data.is_empty() && !message.to_lowercase().contains("revert") =>
            {
                match words::refusal(&message) {
                    Refusal::NoCoins => {
                        SendError::NoCoins { address: self.address(), needed: None }
                    }
                    Refusal::Type => self.of_blobs(BlobError::Unknown).into(),
                    _ => SendError::Reverted { reason: message, tx_hash },
                }
            }
            ClientError::Refused { message, data, .. } => {
                let reason = if data.is_empty() { message } else { revert_text(&data) };
                SendError::Reverted { reason, tx_hash }
            }
            other => SendError::Client(other),
        }
    }
}
