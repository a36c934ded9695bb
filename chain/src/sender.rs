//! Sends one transaction at a time and stays with it until the chain has it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::EthKey;
use super::client::{At, Call, ChainClient, ClientError, FeeMarket, Hash, Receipt, hex0x};
use super::contracts::revert_text;
use super::transaction::{SignedTransaction, Terms, sign};

/// After so many looks in a row that show a lower nonce, an earlier transaction is taken for lost.
const DISPLACED_POLLS: u32 = 3;
/// After so many looks without a receipt the transaction is handed in again.
const POLLS_BEFORE_REPEAT: u32 = 5;

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
    /// After so many raises the sender gives up, and the next attempt begins anew.
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

/// Sends transactions of one key on one chain. Two senders with one key get into each other's way.
pub struct Sender {
    client: Arc<dyn ChainClient>,
    key: EthKey,
    chain_id: u64,
    policy: SendPolicy,
}

impl Sender {
    /// A sender on the chain with this EIP-155 id.
    pub fn new(
        client: Arc<dyn ChainClient>,
        key: EthKey,
        chain_id: u64,
        policy: SendPolicy,
    ) -> Self {
        Self { client, key, chain_id, policy }
    }

    /// The address that sends.
    pub fn address(&self) -> zklink::token::Address {
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

    /// Sends a call and waits until it is mined with success.
    ///
    /// # Errors
    /// [`SendError`]; a refusal by the contract is found before anything is sent, and costs nothing then.
    pub async fn send(&self, mut call: Call) -> Result<Receipt, SendError> {
        call.from = self.key.address();
        let gas = self.gas(&call).await.map_err(|error| refusal(error, None))?;
        let nonce = self.client.nonce(call.from).await?;
        let mut sent: Vec<SignedTransaction> = Vec::new();
        for raise in 0..=self.policy.raises {
            let (max_fee, priority_fee) = self.fees(self.client.fee_market().await?, raise)?;
            let terms = Terms { chain_id: self.chain_id, nonce, gas, max_fee, priority_fee };
            let transaction = sign(&call, terms, &self.key);
            self.hand_in(&transaction).await?;
            sent.push(transaction);
            if let Some(receipt) = self.wait(&sent, nonce).await? {
                return self.judge(&call, receipt).await;
            }
        }
        let last = sent.last().map(|transaction| transaction.hash).unwrap_or_default();
        Err(SendError::Stuck { nonce, last })
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

    /// Twice the base fee keeps a transaction valid for six full blocks; each raise adds a quarter,
    /// where nodes ask for a tenth to replace a transaction.
    fn fees(&self, market: FeeMarket, raise: u32) -> Result<(u128, u128), SendError> {
        let limit = self.policy.max_fee_per_gas;
        let raised = |fee: u128| (0..raise).fold(fee, |fee, _| fee.saturating_add(fee / 4 + 1));
        let offered = market.priority_fee.max(self.policy.min_priority_fee_per_gas).max(1);
        let priority = raised(offered);
        let max = raised(market.base_fee.saturating_mul(2)).saturating_add(priority);
        let needed = market.base_fee.saturating_add(offered);
        if needed > limit {
            return Err(SendError::TooExpensive { needed, limit });
        }
        Ok((max.min(limit), priority.min(limit)))
    }

    /// An endpoint may refuse because it has this transaction, or another one with its nonce,
    /// already: then the receipt or a higher fee decides.
    async fn hand_in(&self, transaction: &SignedTransaction) -> Result<(), SendError> {
        match self.client.send_raw(transaction.raw.clone()).await {
            Ok(hash) if hash != transaction.hash => Err(ClientError::Malformed {
                endpoint: "the endpoint".to_owned(),
                what: "the hash of the transaction that was sent".to_owned(),
            }
            .into()),
            Ok(_) => Ok(()),
            Err(ClientError::Refused { message, .. }) if may_be_known(&message) => {
                tracing::warn!(message, hash = hex0x(&transaction.hash), "not taken at once");
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Looks for a receipt of any transaction with this nonce; nothing when the fee should be
    /// raised. Reorganisations take transactions out of blocks, and endpoints do not always put
    /// them back into their pools: so the last one is handed in again and again.
    async fn wait(
        &self,
        sent: &[SignedTransaction],
        nonce: u64,
    ) -> Result<Option<Receipt>, SendError> {
        let mut displaced = 0;
        for poll in 1..=self.policy.polls_before_raise.max(1) {
            tokio::time::sleep(Duration::from_millis(self.policy.poll_ms.max(1))).await;
            if let Some(receipt) = self.find(sent).await? {
                return Ok(Some(receipt));
            }
            let next = self.client.nonce(self.key.address()).await?;
            if next > nonce {
                // It may have been mined between the two questions.
                let found = self.find(sent).await?;
                return found.map_or(Err(SendError::Overtaken(nonce)), |receipt| Ok(Some(receipt)));
            }
            // Once may be an endpoint that lags behind the one that gave the nonce.
            displaced = if next < nonce { displaced + 1 } else { 0 };
            if displaced >= DISPLACED_POLLS {
                return Err(SendError::Displaced { nonce, next });
            }
            if poll % POLLS_BEFORE_REPEAT == 0
                && let Some(last) = sent.last()
            {
                // Whatever is answered: most often that it is known. The receipt decides.
                drop(self.client.send_raw(last.raw.clone()).await);
            }
        }
        Ok(None)
    }

    async fn find(&self, sent: &[SignedTransaction]) -> Result<Option<Receipt>, ClientError> {
        for transaction in sent.iter().rev() {
            if let Some(receipt) = self.client.receipt(transaction.hash).await? {
                return Ok(Some(receipt));
            }
        }
        Ok(None)
    }

    /// A failed transaction is called again at its block, to learn the contract's words.
    async fn judge(&self, call: &Call, receipt: Receipt) -> Result<Receipt, SendError> {
        if receipt.success {
            return Ok(receipt);
        }
        let again = self.client.call(call.clone(), At::Number(receipt.block)).await;
        let tx_hash = Some(receipt.tx_hash);
        match again {
            Err(error) => Err(refusal(error, tx_hash)),
            Ok(_) => {
                let reason = "the transaction failed, and the same call succeeds now".to_owned();
                Err(SendError::Reverted { reason, tx_hash })
            }
        }
    }
}

/// Whether the endpoint's words mean that a transaction with this nonce is there already. Servers
/// have no common codes for it.
fn may_be_known(message: &str) -> bool {
    let message = message.to_lowercase();
    ["already", "known", "nonce too low", "underpriced", "replacement"]
        .iter()
        .any(|word| message.contains(word))
}

/// A client's refusal of a call is the contract's when it carries data or says so.
fn refusal(error: ClientError, tx_hash: Option<Hash>) -> SendError {
    match error {
        ClientError::Refused { message, data, .. } => {
            let reason = if data.is_empty() { message } else { revert_text(&data) };
            SendError::Reverted { reason, tx_hash }
        }
        other => SendError::Client(other),
    }
}
