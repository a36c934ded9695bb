//! A block of 128 mixed operations of 100 users, proven and paid on embedded chains.
//!
//! Too large for every run: its keys take a minute to make, the proofs of the blocks that fund its users several.
//! `cargo bench -p zklink-integration-tests --bench wide_block`

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "it stops at what it does not expect"
)]
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of what they share")]

#[path = "../tests/common/world.rs"]
mod world;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use tokio::sync::broadcast::{Receiver, error::RecvError};
use world::{DEPLOYMENT, ONE, USDC, World, embedded, funder, policy, until};
use zklink::amount::{Amount, Fee};
use zklink::id::{AccountId, BlockNumber, ChainId, KeyVersion, Nonce, Owner, SubAccountId};
use zklink::key::SecretKey;
use zklink::shape::{MEDIUM, NANO, WIDE};
use zklink::token::Network;
use zklink::tx::{ChangePubKeyTx, KeyAuth, SignedTx, TransferTx, Tx, WithdrawTx};
use zklink_chain::account::EthKey;
use zklink_chain::client::Call;
use zklink_chain::sender::Sender;
use zklink_chain::wallet::{Wallet, authorise};
use zklink_client::Client;
use zklink_node::events::Event;
use zklink_node::node::Node;

const USERS: usize = 100;
const CHAINS: u8 = 2;
/// As near to 60 % transfers, 5 % to new receivers, 15 % withdrawals, 15 % deposits, 5 % key
/// changes as 128 operations in one wide block can be: it has 104 signed slots and 24 of the queue.
const TRANSFERS: usize = 74;
const TO_NEW: usize = 6;
const WITHDRAWALS: usize = 18;
const DEPOSITS: usize = 24;
const KEY_CHANGES: usize = 6;

struct User {
    eth: EthKey,
    key: SecretKey,
    account: AccountId,
    nonce: u32,
    keys: u32,
}

struct Story {
    world: World,
    rpc: Client,
    network: Network,
    users: Vec<User>,
}

fn chain_of(user: usize) -> ChainId {
    ChainId(1 + (user % usize::from(CHAINS)) as u8)
}

impl Story {
    /// Deposits for everybody by one person, a few at a time, so that small blocks suffice.
    async fn fund(&mut self) {
        let mut wallets = Vec::new();
        for chain in 1..=CHAINS {
            let name = format!("patron {chain}");
            wallets.push(self.world.user(ChainId(chain), &name, 100_000).await.1);
        }
        for number in 0..USERS {
            let (eth, chain) = (EthKey::from_seed(&format!("user {number}")), chain_of(number));
            let owner = Owner::from_evm(eth.address());
            let amount = 100 * self.world.unit(chain);
            let wallet = &wallets[usize::from(chain.0) - 1];
            wallet.deposit_erc20(USDC, amount, owner, SubAccountId(0)).await.unwrap();
            let account = until("a deposit", async || world::account(&self.rpc, owner).await).await;
            let key = SecretKey::from_seed(format!("key {number}").as_bytes());
            self.users.push(User { eth, key, account, nonce: 0, keys: 0 });
            let change = self.change_key(number);
            self.submit(&change).await;
        }
    }

    fn sign(&self, user: usize, tx: Tx) -> SignedTx {
        tx.sign(&self.users[user].key, DEPLOYMENT, &self.network).unwrap()
    }

    fn change_key(&mut self, number: usize) -> SignedTx {
        let user = &mut self.users[number];
        let mut tx = ChangePubKeyTx {
            chain_id: chain_of(number),
            account_id: user.account,
            sub_account_id: SubAccountId(0),
            new_pub_key: user.key.public(),
            fee_token: USDC,
            fee: Fee::ZERO,
            nonce: Nonce(user.keys),
            key_version: KeyVersion(user.keys),
            eth_auth_data: KeyAuth::Onchain,
        };
        let chain = self.network.chain(tx.chain_id).unwrap();
        tx.eth_auth_data = authorise(&user.eth, &tx, chain);
        user.keys += 1;
        self.sign(number, Tx::ChangePubKey(tx))
    }

    fn transfer(&mut self, from: usize, to: Owner) -> SignedTx {
        let user = &mut self.users[from];
        let tx = TransferTx {
            account_id: user.account,
            from_sub_account_id: SubAccountId(0),
            to,
            to_sub_account_id: SubAccountId(0),
            token: USDC,
            amount: Amount(ONE / 10),
            fee: Fee::closest(Amount(ONE / 1_000)),
            nonce: Nonce(user.nonce),
            key_version: KeyVersion(user.keys),
        };
        user.nonce += 1;
        self.sign(from, Tx::Transfer(tx))
    }

    fn withdraw(&mut self, from: usize, chain: ChainId) -> SignedTx {
        let user = &mut self.users[from];
        let tx = WithdrawTx {
            to_chain_id: chain,
            account_id: user.account,
            sub_account_id: SubAccountId(0),
            to: Owner::from_evm(user.eth.address()),
            token: USDC,
            amount: Amount(3 * ONE),
            max_fee: Fee::closest(Amount(ONE / 1_000)),
            nonce: Nonce(user.nonce),
            key_version: KeyVersion(user.keys),
        };
        user.nonce += 1;
        self.sign(from, Tx::Withdraw(tx))
    }

    async fn submit(&self, tx: &SignedTx) {
        let hash = self.rpc.send(tx).await.unwrap();
        self.rpc.wait_executed(hash, Duration::from_secs(30)).await.unwrap();
    }

    /// The signed operations of the block, mixed.
    fn mix(&mut self) -> Vec<SignedTx> {
        let mut mix = Vec::new();
        for number in 0..TRANSFERS {
            let to = self.users[(number * 37 + 11) % USERS].eth.address();
            mix.push(self.transfer(number, Owner::from_evm(to)));
            if number < TO_NEW {
                mix.push(self.transfer(99 - number, Owner::from_evm([0x40 + number as u8; 20])));
            }
            if number < WITHDRAWALS {
                // To the other chain than the one of the deposit.
                mix.push(self.withdraw(80 + number, chain_of(number)));
            }
            if number < KEY_CHANGES {
                mix.push(self.change_key(50 + number));
            }
        }
        mix
    }

    /// Users with coins and tokens on their chains, who deposit for themselves.
    async fn depositors(&self) -> Vec<(Wallet, ChainId)> {
        let mut wallets = Vec::new();
        for number in 0..DEPOSITS {
            let (user, chain) = (&self.users[number], chain_of(number));
            let (evm_chain_id, client) = &self.world.clients[&chain];
            let giver = Sender::new(client.clone(), funder(), *evm_chain_id, policy());
            let gift = Call { to: Some(user.eth.address()), value: ONE, ..Call::default() };
            giver.send(gift).await.unwrap();
            let (wallet, token) = (self.world.wallet(chain, &user.eth), self.world.token(chain));
            let amount = self.world.unit(chain);
            wallet.mint(token, user.eth.address(), amount).await.unwrap();
            wallet.approve(token, amount).await.unwrap();
            wallets.push((wallet, chain));
        }
        wallets
    }
}

/// A sealed block of the wide shape with all operations of the mix.
async fn wide_block(events: &mut Receiver<Event>, ops: usize) -> BlockNumber {
    loop {
        match events.recv().await {
            Ok(Event::BlockSealed { number, shape, ops: held }) if shape == WIDE => {
                assert_eq!(held, ops, "the whole mix is in one block");
                return number;
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(closed) => panic!("the node has stopped: {closed}"),
        }
    }
}

/// Until the block is proven and both chains paid it; prints what is worth knowing.
async fn paid(events: &mut Receiver<Event>, block: BlockNumber) {
    let (mut proven, mut chains) = (false, BTreeSet::new());
    while !proven || chains.len() < usize::from(CHAINS) {
        match events.recv().await {
            Ok(Event::Proven { number, millis }) => {
                println!("block {number} is proven in {millis} ms");
                proven |= number == block;
            }
            Ok(Event::Settled { chain, step, blocks: Some((from, to)), gas, success, .. })
                if from <= block && block <= to =>
            {
                println!("chain {chain}: {step} of blocks {from} to {to}, {gas} gas");
                assert!(success, "{step} on chain {chain}");
                if step == "pay" {
                    chains.insert(chain);
                }
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(closed) => panic!("the node has stopped: {closed}"),
        }
    }
}

async fn story() {
    let (_chains, urls) = embedded(CHAINS, Duration::from_millis(500), 2).await;
    let began = Instant::now();
    let world = World::deploy_shapes(&urls, &[NANO, MEDIUM, WIDE]).await;
    println!("keys and contracts after {:?}", began.elapsed());
    let data = tempfile::tempdir().unwrap();
    let mut setup = world.setup(data.path(), 1);
    setup.block_max_age_ms = 6_000;
    let node = Node::start(setup).await.unwrap();
    let rpc = Client::connect(&format!("http://{}", node.rpc())).await.unwrap();
    let network = world.deployment.network();
    let mut story = Story { world, rpc, network, users: Vec::new() };
    story.fund().await;
    println!("{USERS} users with keys after {:?}", began.elapsed());
    let wallets = story.depositors().await;
    // What is open is sealed, so that the mix begins a block.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let mix = story.mix();
    let mut events = node.events().listen();
    println!("the mix begins after {:?}", began.elapsed());

    let mut deposits = tokio::task::JoinSet::new();
    for (wallet, chain) in wallets {
        let amount = story.world.unit(chain);
        deposits.spawn_local(async move {
            wallet.deposit_erc20(USDC, amount, wallet.owner(), SubAccountId(0)).await.unwrap();
        });
    }
    for tx in &mix {
        story.rpc.send(tx).await.unwrap();
    }
    let block = wide_block(&mut events, mix.len() + DEPOSITS).await;
    println!("block {block} is sealed after {:?}", began.elapsed());
    paid(&mut events, block).await;
    println!("paid after {:?}", began.elapsed());
    while let Some(deposit) = deposits.join_next().await {
        deposit.unwrap();
    }
    for number in 0..WITHDRAWALS {
        let (user, chain) = (&story.users[80 + number], chain_of(number));
        let wallet = story.world.wallet(chain, &user.eth);
        let held = wallet.balance(story.world.token(chain), user.eth.address()).await.unwrap();
        assert_eq!(held, 3 * story.world.unit(chain), "user {}", 80 + number);
    }
    node.stop("the story is over").await;
}

fn main() {
    zklink_mechanism::shell::run(story());
}
