//! What asks a chain for its watcher.

use std::collections::BTreeMap;
use std::sync::Arc;

use zklink::id::{BlockNumber, Serial, TokenId};
use zklink::token::Address;
use zklink_chain::client::{At, ChainClient};
use zklink_chain::contracts::{Erc20, ReadError, Rollup, narrow, read, to_abi};
use zklink_chain::scan::tell;
use zklink_mechanism::driver::Asking;

use super::{Books, ChainStatus, NextRequest, Outcome, Request, Response};

/// Where the contract is and which tokens it has there; the zero address is the native coin.
#[derive(Clone, Debug)]
pub struct Contract {
    /// Our contract.
    pub rollup: Address,
    /// Its tokens.
    pub tokens: BTreeMap<TokenId, Address>,
}

/// A chain as its watcher reads it.
pub struct ChainReader {
    /// Reads the chain.
    pub client: Arc<dyn ChainClient>,
    /// The contract there.
    pub contract: Contract,
}

impl Asking for ChainReader {
    type Next = NextRequest;
    type Request = Request;
    type Outcome = Outcome;
    type Status = ChainStatus;

    fn next(&self) -> NextRequest {
        NextRequest
    }

    async fn answer(&self, request: &Request) -> (Outcome, bool) {
        let response = answer(&*self.client, &self.contract, request).await;
        if let Response::Failed(error) = &response {
            tracing::warn!(%error, "the chain could not be read");
        }
        let failed = matches!(response, Response::Failed(_));
        (Outcome(response), failed)
    }

    fn failures(status: &ChainStatus) -> u32 {
        status.failures
    }
}

/// Does what a watcher asked for.
pub async fn answer(client: &dyn ChainClient, contract: &Contract, request: &Request) -> Response {
    match request {
        Request::Scan(question) => match tell(client, question).await {
            Ok(told) => Response::Scan(told),
            Err(error) if error.asks_too_much() => Response::TooMuch(error.to_string()),
            Err(error) => Response::Failed(error.to_string()),
        },
        Request::Books(at) => told(books(client, contract, *at).await),
        Request::BooksAtTip => match client.header(At::Latest).await {
            Ok(Some(tip)) => told(books(client, contract, tip.number).await),
            Ok(None) => Response::Failed("the chain has no block yet".to_owned()),
            Err(error) => Response::Failed(error.to_string()),
        },
    }
}

fn told(books: Result<Books, ReadError>) -> Response {
    match books {
        Ok(books) => Response::Books(books),
        Err(error) => Response::Failed(error.to_string()),
    }
}

async fn books(
    client: &dyn ChainClient,
    contract: &Contract,
    height: u64,
) -> Result<Books, ReadError> {
    let (rollup, at) = (contract.rollup, At::Number(height));
    let mut tokens = BTreeMap::new();
    for (id, address) in &contract.tokens {
        let token = id.0;
        let balance = if *address == [0; 20] {
            client.balance(rollup, at).await?
        } else {
            let owner = to_abi(rollup);
            narrow(read(client, *address, &Erc20::balanceOfCall { owner }, at).await?)
        };
        let locked = read(client, rollup, &Rollup::lockedCall { token }, at).await?;
        let pending = read(client, rollup, &Rollup::pendingTotalCall { token }, at).await?;
        let unconsumed = read(client, rollup, &Rollup::unconsumedCall { token }, at).await?;
        tokens.insert(*id, [balance, narrow(locked), narrow(pending), narrow(unconsumed)]);
    }
    let queue_head = Serial(read(client, rollup, &Rollup::queueHeadCall {}, at).await?);
    let queue_tail = Serial(read(client, rollup, &Rollup::queueTailCall {}, at).await?);
    let committed = BlockNumber(read(client, rollup, &Rollup::lastCommittedCall {}, at).await?);
    Ok(Books { at: height, queue_head, queue_tail, committed, tokens })
}
