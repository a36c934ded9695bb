//! Users, the state in which they have money and keys, and what they sign.

use std::time::Instant;

use zklink::amount::{Amount, Fee};
use zklink::id::{AccountId, ChainId, KeyVersion, Nonce, Owner, SubAccountId, TokenId};
use zklink::key::{PublicKey, SecretKey};
use zklink::op::{ChangePubKey, Deposit, Op};
use zklink::shape::shapes;
use zklink::state::{DeploymentId, State};
use zklink::token::Network;
use zklink::tx::{SignedTx, TransferTx, Tx, TxHash, keccak};
use zklink_chain::deploy::{
    DeployedChain, DeployedHub, DeployedShape, DeployedToken, Deployment, Genesis, HexAddress, Role,
};

/// The token that is sent.
pub(crate) const USD: TokenId = TokenId(17);
const HUB: ChainId = ChainId(1);
const DEPLOYMENT: DeploymentId = DeploymentId([0x1d; 31]);
/// What everybody has at the start: enough for all that is sent.
const FUNDS: Amount = Amount(1_000_000 * 10u128.pow(18));
/// The first account of a user; those before belong to the operator.
const FIRST: u32 = 2;
/// Accounts that are in two thirds of the transfers.
const BUSY: u32 = 100;

/// A deployment of one chain that nobody reaches.
pub(crate) fn deployment() -> Deployment {
    let genesis = Genesis {
        fee_owner: Owner::from_evm([0xfe; 20]),
        insurance_owner: Owner::from_evm([0xfd; 20]),
    };
    let chain = DeployedChain {
        id: HUB,
        evm_chain_id: 31_337,
        role: Role::Hub,
        rollup: [1; 20],
        key_recorder: [2; 20],
        oracle: [3; 20],
        hub: Some(DeployedHub { contract: [4; 20], local_route: [5; 20] }),
        first_block: 1,
        tokens: vec![DeployedToken {
            id: USD,
            symbol: "USD".to_owned(),
            address: [6; 20],
            decimals: 18,
            least_deposit: 1,
        }],
    };
    let shapes = shapes().iter().map(|shape| {
        let length = |words| u32::try_from(words).expect("a shape has thousands of words");
        DeployedShape {
            id: shape.id,
            onchain_words: length(shape.onchain_words()),
            data_words: length(shape.data_words()),
            verifier: [7; 20],
            key_hash: [0; 32],
        }
    });
    Deployment {
        version: Deployment::VERSION,
        deployment_id: DEPLOYMENT,
        genesis_root: genesis.root(DEPLOYMENT),
        genesis,
        hub: HUB,
        validator: [8; 20],
        threshold: 1,
        attesters: vec![HexAddress([9; 20])],
        chains: vec![chain],
        shapes: shapes.collect(),
    }
}

/// Users who send and receive.
pub(crate) struct Crowd {
    keys: Vec<SecretKey>,
    network: Network,
}

impl Crowd {
    /// So many of them.
    pub(crate) fn of(active: u32) -> Crowd {
        Crowd { keys: (0..active).map(key).collect(), network: deployment().network() }
    }

    /// All of them, from their first transactions on.
    pub(crate) fn all(&self) -> Senders {
        Senders { first: 0, users: self.active(), nonce: 0 }
    }

    /// How many there are.
    fn active(&self) -> u32 {
        u32::try_from(self.keys.len()).expect("as many as were asked for")
    }
}

fn key(user: u32) -> SecretKey {
    SecretKey::from_seed(&keccak(&[b"load", &user.to_be_bytes()]))
}

fn owner(user: u32) -> Owner {
    let digest = keccak(&[b"owner", &user.to_be_bytes()]);
    Owner::from_evm(std::array::from_fn(|at| digest[at]))
}

fn account(user: u32) -> AccountId {
    AccountId(FIRST + user)
}

/// A state in which so many users have money and a key. Those that are not active share one key.
pub(crate) fn state(accounts: u32, active: u32) -> State {
    let mut state = deployment().genesis.state(DEPLOYMENT);
    let still = key(u32::MAX).public();
    for user in 0..accounts {
        let key = if user < active { key(user).public() } else { still };
        for op in [deposit(user), first_key(user, key)] {
            op.apply(&mut state).expect("the account is new and the chain owes nothing yet");
        }
    }
    state
}

fn deposit(user: u32) -> Op {
    Op::Deposit(Deposit {
        chain: HUB,
        account: account(user),
        sub_account: SubAccountId(0),
        token: USD,
        amount: FUNDS,
        owner: owner(user),
        refused: false,
    })
}

fn first_key(user: u32, key: PublicKey) -> Op {
    Op::ChangePubKey(ChangePubKey {
        chain: HUB,
        account: account(user),
        sub_account: SubAccountId(0),
        fee_token: USD,
        fee: Fee::ZERO,
        nonce: Nonce(0),
        owner: owner(user),
        key,
    })
}

/// A request that is ready to be sent.
pub(crate) struct Request {
    /// Who signs: its requests must go the same way, in order.
    pub(crate) sender: u32,
    pub(crate) hash: TxHash,
    pub(crate) text: String,
    signed: SignedTx,
}

/// Who sends: each of so many users in turn, the first of them with this nonce.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Senders {
    pub(crate) first: u32,
    pub(crate) users: u32,
    pub(crate) nonce: u32,
}

/// Transfers, in the order in which they are sent.
pub(crate) fn signed_transfers(crowd: &Crowd, senders: Senders, count: usize) -> Vec<Request> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let size = count.div_ceil(threads).max(1);
    let parts: Vec<Vec<Request>> = std::thread::scope(|scope| {
        let part = |begin: usize| {
            scope.spawn(move || {
                (begin..count.min(begin + size)).map(|at| request(crowd, senders, at)).collect()
            })
        };
        let running: Vec<_> = (0..count).step_by(size).map(part).collect();
        running.into_iter().map(|part| part.join().expect("signing does not panic")).collect()
    });
    parts.into_iter().flatten().collect()
}

/// The transfer at a place: what it is follows from the place alone.
fn request(crowd: &Crowd, senders: Senders, at: usize) -> Request {
    let number = u64::try_from(at).expect("it fits");
    let (active, users) = (crowd.active(), u64::from(senders.users));
    let sender = senders.first + u32::try_from(number % users).expect("below 2^32");
    let turn = senders.nonce + u32::try_from(number / users).expect("fewer turns than that");
    // Which receiver follows from the place, as if it was drawn.
    let drawn = keccak(&[b"receiver", &number.to_be_bytes()]);
    let [first, second, ..] = drawn.as_chunks::<4>().0 else {
        unreachable!("a digest has 32 bytes")
    };
    let among = if u32::from_be_bytes(*first) % 3 < 2 { BUSY.min(active) } else { active };
    let receiver = u32::from_be_bytes(*second) % among;
    let tx = Tx::Transfer(TransferTx {
        account_id: account(sender),
        from_sub_account_id: SubAccountId(0),
        to: owner(receiver),
        to_sub_account_id: SubAccountId(0),
        token: USD,
        amount: Amount(1_000_000),
        fee: Fee::ZERO,
        // Its key change was the first operation of the account, and of its sub-account none.
        nonce: Nonce(turn),
        key_version: KeyVersion(1),
    });
    let hash = tx.hash(DEPLOYMENT, &crowd.network).expect("all of it is in range");
    let key = &crowd.keys[sender as usize];
    let signed = tx.sign(key, DEPLOYMENT, &crowd.network).expect("all of it is in range");
    let body = serde_json::to_string(&signed).expect("a transaction has a form");
    let text = format!(
        r#"{{"jsonrpc":"2.0","id":{number},"method":"sendTransaction","params":[{body}]}}"#
    );
    Request { sender, hash, text, signed }
}

/// What checking one transaction costs by itself, signature and rules, microseconds of one core.
#[expect(clippy::disallowed_methods, reason = "a measurement of time")]
pub(crate) fn verification_us(crowd: &Crowd, requests: &[Request]) -> f64 {
    let active = crowd.active().min(1_000);
    let state = state(active, active);
    let some: Vec<&Request> =
        requests.iter().filter(|request| request.sender < active).take(1_000).collect();
    let begun = Instant::now();
    for request in &some {
        let checked = request.signed.verify(&state, &crowd.network, &Default::default());
        // Later nonces are refused after the signature was checked, which costs the same.
        drop(std::hint::black_box(checked));
    }
    begun.elapsed().as_secs_f64() * 1e6 / some.len().max(1) as f64
}
