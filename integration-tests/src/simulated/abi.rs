//! The simulated contracts behind their ABI: so the clients' own encoding is part of every test.

use alloy_primitives::{Address as AbiAddress, B256, U256};
use alloy_sol_types::{SolCall, SolEvent, SolInterface};
use zklink::id::{BlockNumber, ChainId, Owner, TokenId};
use zklink::token::Address;
use zklink::tx::keccak;
use zklink_chain::client::Call;
use zklink_chain::contracts::{
    BlockCommit, Erc20, Hub, KeyRecorder, LightOracle, OperationsCommit, Portion, Rollup,
};

use super::contracts::{
    Paying, Recording, Refused, Registration, SimulatedContracts, SimulatedEvent,
};
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
    Committing { d: info.d.to_be_bytes(), onchain: words(&info.onchain), data: words(&info.data) }
}

fn recording(block: &OperationsCommit) -> Recording {
    Recording {
        number: BlockNumber(block.number),
        words: words(&block.words),
        witnesses: bytes(&block.keyWitnesses),
        payers: block.payers.iter().map(|payer| payer.into_array()).collect(),
    }
}

fn paying(portion: &Portion) -> Paying {
    Paying {
        number: BlockNumber(portion.number),
        rest: portion.rest.0,
        before: words(&portion.before),
        words: words(&portion.words),
        behind: words(&portion.behind),
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
    let registration = &contracts.registration;
    if to == registration.oracle {
        execute_oracle(contracts, &call.data)
    } else if to == registration.recorder {
        execute_recorder(contracts, from, &call.data)
    } else if Some(to) == registration.hub_contract {
        execute_hub(contracts, from, &call.data, now)
    } else if to == registration.rollup() {
        execute_rollup(contracts, from, call)
    } else {
        Err("there is no contract at this address".into())
    }
}

fn execute_rollup(
    contracts: &mut SimulatedContracts,
    from: Address,
    call: &Call,
) -> Result<(), Refused> {
    let decoded = Rollup::RollupCalls::abi_decode(&call.data);
    match decoded.map_err(|_| Refused::from("no such function"))? {
        Rollup::RollupCalls::depositNative(deposit) => {
            let token = contracts.registration.native().ok_or("UnknownToken(0)")?;
            let owner = Owner { home: ChainId(deposit.home), address: deposit.owner.0 };
            contracts.deposit(from, token, call.value, owner, deposit.subAccount)
        }
        Rollup::RollupCalls::depositERC20(deposit) => {
            let owner = Owner { home: ChainId(deposit.home), address: deposit.owner.0 };
            let (token, amount) = (TokenId(deposit.token), units(deposit.amount)?);
            contracts.deposit(from, token, amount, owner, deposit.subAccount)
        }
        Rollup::RollupCalls::commit(commit) => {
            let blocks: Vec<Recording> = commit.blocks.iter().map(recording).collect();
            contracts.commit(from, commit.previousRolling.0, &blocks)
        }
        Rollup::RollupCalls::revertCommits(revert) => {
            let gone: Vec<_> = revert.words.iter().map(|of_block| words(of_block)).collect();
            contracts.revert_commits(from, BlockNumber(revert.downTo), &gone)
        }
        Rollup::RollupCalls::ack(ack) => contracts.ack(BlockNumber(ack.number), ack.rolling.0),
        Rollup::RollupCalls::pay(pay) => {
            let portions: Vec<Paying> = pay.portions.iter().map(paying).collect();
            contracts.pay(&portions)
        }
        Rollup::RollupCalls::refund(refund) => {
            let payers: Vec<Address> = refund.payers.iter().map(|by| by.into_array()).collect();
            let first = usize::try_from(refund.first).unwrap_or(usize::MAX);
            let (own, chunks) = (words(&refund.words), words(&refund.chunks));
            contracts.refund(BlockNumber(refund.number), &own, &chunks, first, &payers)
        }
        Rollup::RollupCalls::claim(claim) => {
            contracts.claim(claim.owner.into_array(), TokenId(claim.token))
        }
        _ => Err("this function is not simulated".into()),
    }
}

fn execute_recorder(
    contracts: &mut SimulatedContracts,
    from: Address,
    data: &[u8],
) -> Result<(), Refused> {
    match KeyRecorder::KeyRecorderCalls::abi_decode(data) {
        Ok(KeyRecorder::KeyRecorderCalls::setAuthPubKey(key)) if key.home == 0 => {
            let coordinates = [key.keyX.to_be_bytes(), key.keyY.to_be_bytes()];
            contracts.set_auth_pub_key(from, coordinates, key.nonce)
        }
        _ => Err("this function is not simulated".into()),
    }
}

fn execute_hub(
    contracts: &mut SimulatedContracts,
    from: Address,
    data: &[u8],
    now: u64,
) -> Result<(), Refused> {
    let validator = contracts.registration.validator;
    let hub = contracts.hub.as_mut().ok_or("not the hub")?;
    let call = Hub::HubCalls::abi_decode(data).map_err(|_| Refused::from("no such function"))?;
    match call {
        Hub::HubCalls::commitBlocks(_) if from != validator => Err("Forbidden".into()),
        Hub::HubCalls::commitBlocks(commit) => {
            let mut blocks = commit.blocks.iter();
            blocks.try_for_each(|block| hub.commit_block(&committing(block), now))
        }
        Hub::HubCalls::proveBlocks(prove) => {
            (prove.first..).zip(&prove.proofs).try_for_each(|(number, given)| {
                let inputs = given.inputs.map(|input| input.to_be_bytes());
                hub.prove(BlockNumber(number), &inputs, &given.proof)
            })
        }
        Hub::HubCalls::releaseBlocks(release) => hub.release(BlockNumber(release.number)),
        Hub::HubCalls::sendRelease(send) => contracts.send_release(ChainId(send.chain)),
        _ => Err("this function is not simulated".into()),
    }
}

fn execute_oracle(contracts: &mut SimulatedContracts, data: &[u8]) -> Result<(), Refused> {
    match LightOracle::LightOracleCalls::abi_decode(data) {
        Ok(LightOracle::LightOracleCalls::deliver(deliver)) => {
            let payloads = deliver.payloads.iter().map(|payload| payload.to_vec());
            let signatures = deliver.signatures.iter().map(|by| bytes(by));
            let messages: Vec<_> = payloads.zip(signatures).collect();
            contracts.deliver(ChainId(deliver.source), deliver.first, &messages)
        }
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
    if Some(to) == registration.hub_contract {
        let call = Hub::HubCalls::abi_decode(&call.data);
        return view_hub(contracts, call.map_err(|_| Refused::from("no such function"))?);
    }
    if to == registration.rollup() {
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
        View::chunksPaid(_) => {
            let chunks = u32::try_from(contracts.chunks).map_err(|_| "too many chunks")?;
            Rollup::chunksPaidCall::abi_encode_returns(&chunks)
        }
        View::payGas(of) => {
            let gas = U256::from(100_000) + of.portions * U256::from(120_000);
            let gas = gas + of.withdrawals * U256::from(300_000);
            Rollup::payGasCall::abi_encode_returns(&gas)
        }
        View::queued(of) => {
            let known = of.serial < contracts.queue.len() as u64;
            let refunded = contracts.refunded.contains(&of.serial);
            Rollup::queuedCall::abi_encode_returns(&Rollup::queuedReturn {
                hash: Default::default(),
                timestamp: 0,
                // 0 none, 1 deposit, 3 refunded.
                state: u8::from(known) + 2 * u8::from(refunded),
            })
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
            let (released, sent) = hub.releases.get(&chain).copied().unwrap_or_default();
            Hub::chainInfoCall::abi_encode_returns(&Hub::chainInfoReturn {
                last: last.0,
                lastRolling: B256::from(rolling),
                ackedThrough: through.0,
                released: released.0,
                sent: sent.0,
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
    registration: &Registration,
) -> (Address, Vec<[u8; 32]>, Vec<u8>) {
    let (rollup, oracle) = (registration.rollup(), registration.oracle);
    let (address, data) = match event {
        SimulatedEvent::Queued(serial, queued) => {
            let event = Rollup::DepositQueued {
                serial: *serial,
                token: queued.token.0,
                owner: B256::from(queued.owner.address),
                home: queued.owner.home.0,
                subAccount: queued.sub_account,
                amount: queued.amount,
                payer: AbiAddress::from(queued.payer),
            };
            (rollup, event.encode_log_data())
        }
        SimulatedEvent::Committed(record) => {
            let event = Rollup::OperationsCommitted {
                number: record.number.0,
                rolling: B256::from(record.rolling),
                cursor: record.cursor,
            };
            (rollup, event.encode_log_data())
        }
        SimulatedEvent::Key(owner, nonce, [x, y]) => {
            let event = KeyRecorder::AuthPubKeySet {
                owner: AbiAddress::from(*owner),
                nonce: *nonce,
                home: 0,
                keyX: U256::from_be_bytes(*x),
                keyY: U256::from_be_bytes(*y),
            };
            (registration.recorder, event.encode_log_data())
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
