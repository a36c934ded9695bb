//! The simulated contracts behind their ABI: so the clients' own encoding is part of every test.

use alloy_primitives::{Address as AbiAddress, B256, U256};
use alloy_sol_types::{SolCall, SolEvent, SolInterface};
use zklink::id::{BlockNumber, ChainId, Owner, TokenId};
use zklink::token::Address;
use zklink::tx::keccak;
use zklink_actors::chain::client::Call;
use zklink_actors::chain::contracts::{BlockCommit, Erc20, Hub, LightOracle, Rollup};

use super::contracts::{Refused, SimulatedContracts, SimulatedEvent};
use super::hub::Committing;

fn units(value: U256) -> Result<u128, Refused> {
    u128::try_from(value).map_err(|_| "an amount above 128 bits".into())
}

fn words(words: &[B256]) -> Vec<[u8; 32]> {
    words.iter().map(|word| word.0).collect()
}

fn bytes(list: &[alloy_primitives::Bytes]) -> Vec<Vec<u8>> {
    list.iter().map(|bytes| bytes.to_vec()).collect()
}

fn committing(info: &BlockCommit) -> Committing {
    Committing {
        number: BlockNumber(info.number),
        timestamp: info.timestamp,
        new_root: info.newRoot.0,
        d: info.d.to_be_bytes(),
        onchain: words(&info.onchain),
        data: words(&info.data),
    }
}

/// Runs a transaction at `now`, the chain's own time in seconds. A refusal leaves a half-changed copy behind, which the
/// caller drops.
///
/// # Errors
/// [`Refused`].
pub fn execute(
    contracts: &mut SimulatedContracts,
    from: Address,
    call: &Call,
    now: u64,
) -> Result<(), Refused> {
    let to = call.to.ok_or("contracts cannot be created here")?;
    if to == contracts.registration.oracle {
        return execute_oracle(contracts, &call.data);
    }
    if to != contracts.registration.rollup() {
        return Err("there is no contract at this address".into());
    }
    if let Ok(call) = Hub::HubCalls::abi_decode(&call.data) {
        return execute_hub(contracts, from, call, now);
    }
    let decoded = Rollup::RollupCalls::abi_decode(&call.data);
    match decoded.map_err(|_| Refused::from("no such function"))? {
        Rollup::RollupCalls::depositNative(deposit) => {
            let token = contracts.registration.native().ok_or("UnknownToken(0)")?;
            let owner = Owner(deposit.owner.0);
            contracts.deposit(from, token, call.value, owner, deposit.subAccount)
        }
        Rollup::RollupCalls::depositERC20(deposit) => {
            let (token, owner) = (TokenId(deposit.token), Owner(deposit.owner.0));
            contracts.deposit(from, token, units(deposit.amount)?, owner, deposit.subAccount)
        }
        Rollup::RollupCalls::setAuthPubKey(key) => {
            let coordinates = [key.keyX.to_be_bytes(), key.keyY.to_be_bytes()];
            contracts.set_auth_pub_key(from, coordinates, key.nonce)
        }
        Rollup::RollupCalls::commit(commit) => {
            let witnesses = bytes(&commit.keyWitnesses);
            let number = BlockNumber(commit.number);
            let previous = commit.previousRolling.0;
            contracts.commit(from, number, previous, &words(&commit.words), &witnesses)
        }
        Rollup::RollupCalls::revertCommits(revert) => {
            contracts.revert_commits(from, BlockNumber(revert.downTo))
        }
        Rollup::RollupCalls::ack(ack) => contracts.ack(BlockNumber(ack.number), ack.rolling.0),
        Rollup::RollupCalls::pay(pay) => contracts.pay(BlockNumber(pay.number), &words(&pay.words)),
        Rollup::RollupCalls::claim(claim) => {
            contracts.claim(claim.owner.into_array(), TokenId(claim.token))
        }
        _ => Err("this function is not simulated".into()),
    }
}

fn execute_hub(
    contracts: &mut SimulatedContracts,
    from: Address,
    call: Hub::HubCalls,
    now: u64,
) -> Result<(), Refused> {
    let validator = contracts.registration.validator;
    let hub = contracts.hub.as_mut().ok_or("not the hub")?;
    match call {
        Hub::HubCalls::commitBlock(_) if from != validator => Err("Forbidden".into()),
        Hub::HubCalls::commitBlock(commit) => hub.commit_block(&committing(&commit.info), now),
        Hub::HubCalls::proveBlock(prove) => {
            let inputs = prove.inputs.map(|input| input.to_be_bytes());
            hub.prove(BlockNumber(prove.number), &inputs, &prove.proof)
        }
        Hub::HubCalls::releaseBlock(release) => {
            contracts.release_block(BlockNumber(release.number))
        }
        _ => Err("this function is not simulated".into()),
    }
}

fn execute_oracle(contracts: &mut SimulatedContracts, data: &[u8]) -> Result<(), Refused> {
    match LightOracle::LightOracleCalls::abi_decode(data) {
        Ok(LightOracle::LightOracleCalls::deliver(deliver)) => contracts.deliver(
            ChainId(deliver.source),
            deliver.sequence,
            &deliver.payload,
            &bytes(&deliver.signatures),
        ),
        _ => Err("this function is not simulated".into()),
    }
}

/// Answers a question to a contract.
///
/// # Errors
/// [`Refused`].
pub fn view(contracts: &SimulatedContracts, call: &Call) -> Result<Vec<u8>, Refused> {
    let to = call.to.ok_or("no contract is named")?;
    let registration = &contracts.registration;
    if to == registration.oracle {
        return view_oracle(contracts, &call.data);
    }
    if to == registration.rollup() {
        if let Ok(call) = Hub::HubCalls::abi_decode(&call.data) {
            return view_hub(contracts, call);
        }
        return view_rollup(contracts, &call.data);
    }
    let token = registration.tokens.iter().find(|(_, token)| token.address == to);
    let (token, _) = token.ok_or("there is no contract at this address")?;
    let call = Erc20::balanceOfCall::abi_decode(&call.data);
    let call = call.map_err(|_| Refused::from("this function is not simulated"))?;
    let balance = contracts.balance(call.owner.into_array(), *token);
    Ok(Erc20::balanceOfCall::abi_encode_returns(&U256::from(balance)))
}

fn view_oracle(contracts: &SimulatedContracts, data: &[u8]) -> Result<Vec<u8>, Refused> {
    use LightOracle::LightOracleCalls as View;
    let sent =
        |destination| contracts.sent.get(&ChainId(destination)).map_or(&[][..], Vec::as_slice);
    let call = View::abi_decode(data).map_err(|_| Refused::from("no such function"))?;
    Ok(match call {
        View::deliveredCount(of) => {
            let count = contracts.delivered.get(&ChainId(of.source)).copied().unwrap_or_default();
            LightOracle::deliveredCountCall::abi_encode_returns(&count)
        }
        View::sentCount(to) => {
            LightOracle::sentCountCall::abi_encode_returns(&(sent(to.destination).len() as u64))
        }
        View::sentHash(of) => {
            let index = usize::try_from(of.sequence).unwrap_or(usize::MAX);
            let payload = sent(of.destination).get(index);
            let hash = payload.map(|payload| keccak(&[payload])).unwrap_or_default();
            LightOracle::sentHashCall::abi_encode_returns(&B256::from(hash))
        }
        _ => return Err("this view is not simulated".into()),
    })
}

fn view_rollup(contracts: &SimulatedContracts, data: &[u8]) -> Result<Vec<u8>, Refused> {
    use Rollup::RollupCalls as View;
    let record = |index: usize| contracts.records.get(index).copied().unwrap_or_default();
    let book = |token| contracts.books.get(&TokenId(token)).copied().unwrap_or_default();
    let last = contracts.last();
    let call = View::abi_decode(data).map_err(|_| Refused::from("no such function"))?;
    Ok(match call {
        View::recordOf(of) => {
            let index = contracts.record_of(BlockNumber(of.number)).ok_or("WrongRecord")?;
            let found = record(index);
            Rollup::recordOfCall::abi_encode_returns(&Rollup::recordOfReturn {
                index: u32::try_from(index).map_err(|_| "too many records")?,
                rolling: B256::from(found.rolling),
                cursor: found.cursor,
            })
        }
        View::lastCommitted(_) => Rollup::lastCommittedCall::abi_encode_returns(&last.number.0),
        View::lastAcked(_) => {
            Rollup::lastAckedCall::abi_encode_returns(&record(contracts.acked).number.0)
        }
        View::lastReleased(_) => {
            Rollup::lastReleasedCall::abi_encode_returns(&record(contracts.released).number.0)
        }
        View::lastPaid(_) => {
            Rollup::lastPaidCall::abi_encode_returns(&record(contracts.paid).number.0)
        }
        View::rolling(_) => Rollup::rollingCall::abi_encode_returns(&B256::from(last.rolling)),
        View::queueHead(_) => Rollup::queueHeadCall::abi_encode_returns(&last.cursor),
        View::queueTail(_) => {
            Rollup::queueTailCall::abi_encode_returns(&(contracts.queue.len() as u64))
        }
        View::locked(of) => {
            Rollup::lockedCall::abi_encode_returns(&U256::from(book(of.token).locked))
        }
        View::pendingTotal(of) => {
            Rollup::pendingTotalCall::abi_encode_returns(&U256::from(book(of.token).pending))
        }
        View::unconsumed(of) => {
            Rollup::unconsumedCall::abi_encode_returns(&U256::from(book(of.token).unconsumed))
        }
        _ => return Err("this view is not simulated".into()),
    })
}

fn view_hub(contracts: &SimulatedContracts, call: Hub::HubCalls) -> Result<Vec<u8>, Refused> {
    use Hub::HubCalls as View;
    let hub = contracts.hub.as_ref().ok_or("not the hub")?;
    let root = |number| hub.block(number).map(|block| block.root).unwrap_or_default();
    Ok(match call {
        View::root(_) => Hub::rootCall::abi_encode_returns(&B256::from(root(hub.committed()))),
        View::rootOf(of) => {
            Hub::rootOfCall::abi_encode_returns(&B256::from(root(BlockNumber(of.number))))
        }
        View::rollingOf(of) => {
            let rolling = hub.rolling(BlockNumber(of.number), ChainId(of.chain));
            Hub::rollingOfCall::abi_encode_returns(&B256::from(rolling))
        }
        View::chainInfo(of) => {
            let chain = ChainId(of.chain);
            let (last, rolling) = hub.content(chain);
            let through = hub.acked.get(&chain).copied().unwrap_or_default();
            Hub::chainInfoCall::abi_encode_returns(&Hub::chainInfoReturn {
                last: last.0,
                lastRolling: B256::from(rolling),
                ackedThrough: through.0,
            })
        }
        View::blocksCommitted(_) => {
            Hub::blocksCommittedCall::abi_encode_returns(&hub.committed().0)
        }
        View::blocksProven(_) => Hub::blocksProvenCall::abi_encode_returns(&hub.proven.0),
        View::blocksReleased(_) => Hub::blocksReleasedCall::abi_encode_returns(&hub.released.0),
        _ => return Err("this view is not simulated".into()),
    })
}

/// Contract, topics and data of an event.
pub fn encode(
    event: &SimulatedEvent,
    rollup: Address,
    oracle: Address,
) -> (Address, Vec<[u8; 32]>, Vec<u8>) {
    let (address, data) = match event {
        SimulatedEvent::Queued(serial, queued, from) => {
            let event = Rollup::DepositQueued {
                serial: *serial,
                token: queued.token.0,
                owner: B256::from(queued.owner.0),
                subAccount: queued.sub_account,
                amount: queued.amount,
                from: AbiAddress::from(*from),
            };
            (rollup, event.encode_log_data())
        }
        SimulatedEvent::Key(owner, nonce, [x, y]) => {
            let event = Rollup::AuthPubKeySet {
                owner: AbiAddress::from(*owner),
                nonce: *nonce,
                keyX: U256::from_be_bytes(*x),
                keyY: U256::from_be_bytes(*y),
            };
            (rollup, event.encode_log_data())
        }
        SimulatedEvent::Sent(destination, sequence, payload) => {
            let (destination, sequence) = (destination.0, *sequence);
            let event =
                LightOracle::MessageSent { destination, sequence, payload: payload.clone().into() };
            (oracle, event.encode_log_data())
        }
    };
    let topics = data.topics().iter().map(|topic| topic.0).collect();
    (address, topics, data.data.to_vec())
}
