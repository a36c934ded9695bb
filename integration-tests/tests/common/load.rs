//! A user who sends transfers as fast as they are answered, to a node that comes and goes.

use std::time::Duration;

use tokio::sync::watch;
use zklink::amount::{Amount, Fee};
use zklink::id::{AccountId, BlockNumber, Nonce, Owner, SubAccountId};
use zklink::key::SecretKey;
use zklink::token::Network;
use zklink::tx::{SignedTx, TransferTx, Tx, TxHash};
use zklink_client::{Client, ClientError, Hash, ZkLinkClient, code};

use crate::dice::Dice;
use crate::world::{DEPLOYMENT, ONE, USDC};

/// How often one transaction may be tried: far more often than the node is killed.
const ATTEMPTS_MAX: u32 = 10_000;

/// Host and port of the node, while it serves.
pub type Address = watch::Receiver<Option<String>>;

/// A transaction that was acknowledged.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    pub hash: Hash,
    pub block: BlockNumber,
    pub index: u32,
}

/// What a user did.
#[derive(Debug, Default)]
pub struct Sent {
    pub acked: Vec<Acked>,
    /// Requests that were cut.
    pub cut: u32,
    /// Transactions of which the node knew when they were sent again.
    pub known: u32,
}

/// A user with an account and a key.
pub struct User {
    pub account: AccountId,
    pub key: SecretKey,
    pub network: Network,
    /// Whom it pays.
    pub others: Vec<Owner>,
    /// `http` or `ws`.
    pub scheme: &'static str,
    pub dice: Dice,
}

impl User {
    /// Sends until `stop` becomes true; the last transaction is acknowledged, too.
    pub async fn send(mut self, mut address: Address, stop: watch::Receiver<bool>) -> Sent {
        let (mut sent, mut nonce, mut client) = (Sent::default(), Nonce(0), None);
        while !*stop.borrow() {
            let tx = self.transfer(nonce);
            let hash = Hash::from(tx.tx.hash(DEPLOYMENT, &self.network).unwrap());
            let acked = self.deliver(&tx, hash, &mut client, &mut address, &mut sent).await;
            sent.acked.push(acked);
            nonce = Nonce(nonce.0 + 1);
        }
        sent
    }

    fn transfer(&mut self, nonce: Nonce) -> SignedTx {
        // Now and then somebody who has no account yet.
        let stranger = Owner::from_evm([u8::try_from(self.dice.below(200)).unwrap() + 1; 20]);
        let other = usize::try_from(self.dice.below(self.others.len() as u64)).unwrap();
        let to = if self.dice.below(16) == 0 { stranger } else { self.others[other] };
        let tx = TransferTx {
            account_id: self.account,
            from_sub_account_id: SubAccountId(0),
            to,
            to_sub_account_id: SubAccountId(0),
            token: USDC,
            amount: Amount(u128::from(self.dice.below(1_000) + 1) * ONE / 1_000_000),
            fee: Fee::closest(Amount(ONE / 1_000_000)),
            nonce,
            key_version: zklink::id::KeyVersion(1),
        };
        Tx::Transfer(tx).sign(&self.key, DEPLOYMENT, &self.network).unwrap()
    }

    /// Sends one transaction until it is acknowledged, and asks for its receipt.
    async fn deliver(
        &self,
        tx: &SignedTx,
        hash: Hash,
        client: &mut Option<Client>,
        address: &mut Address,
        sent: &mut Sent,
    ) -> Acked {
        let mut acknowledged = false;
        let mut last = None;
        for attempt in 0..ATTEMPTS_MAX {
            let Some(connected) = client.as_ref() else {
                *client = self.connect(address).await;
                continue;
            };
            // After a cut the node is asked first; that it knows the hash is no promise yet.
            if attempt > 0 && !acknowledged && known(connected, hash).await {
                sent.known += 1;
            }
            let answer = match acknowledged {
                false => connected.send(tx).await.map(|answered| assert_eq!(answered, hash)),
                true => Ok(()),
            };
            let answer = match answer {
                Ok(()) => {
                    acknowledged = true;
                    connected.transaction(hash, None).await.map_err(ClientError::from)
                }
                Err(error) => Err(error),
            };
            match answer {
                Ok(info) => {
                    let (block, index) = (info.receipt.block, info.receipt.index);
                    return Acked { hash, block, index };
                }
                Err(ClientError::Transport(_)) => {
                    sent.cut += 1;
                    *client = None;
                }
                Err(error) => {
                    let passing = [code::LIMIT, code::UNAVAILABLE, code::TX_NOT_FOUND];
                    let code = error.code().unwrap_or_default();
                    assert!(passing.contains(&code), "{hash}: {error}");
                    let lost = acknowledged && code == code::TX_NOT_FOUND;
                    assert!(!lost || attempt < 100, "{hash} was acknowledged and is gone");
                    last = Some(error);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        panic!("{hash} was never acknowledged; the last refusal: {last:?}");
    }

    async fn connect(&self, address: &mut Address) -> Option<Client> {
        let found = address.borrow_and_update().clone();
        if let Some(host) = found
            && let Ok(client) = Client::connect(&format!("{}://{host}", self.scheme)).await
        {
            return Some(client);
        }
        // The address changes when the next node serves.
        drop(tokio::time::timeout(Duration::from_millis(100), address.changed()).await);
        None
    }
}

async fn known(client: &Client, hash: Hash) -> bool {
    client.transaction(hash, None).await.is_ok()
}

/// The hash as the protocol has it.
pub fn tx_hash(acked: &Acked) -> TxHash {
    acked.hash.into()
}
