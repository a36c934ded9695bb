//! What happens in the demonstration.

mod actor;

use std::time::Duration;

use actor::Actor;
use anyhow::{Context, Result, bail};
use tokio::time::Instant;
use zklink::amount::{Amount, Fee};
use zklink::id::{ChainId, Owner, SubAccountId, TokenId};
use zklink_chain::client::At;
use zklink_client::wallet::{Payment, Payout};
use zklink_client::{ClientError, ZkLinkClient};

use crate::chains::CHAINS;
use crate::local::books::is_settled;
use crate::local::{COIN, LocalNetwork, ONE, USDC};
use crate::people::{USERS, owner_of};
use crate::show::{Show, decimal};

/// Whoever has no account before somebody sends a token there.
const NEWCOMER: &str = "Newcomer";
/// zkLink's code for a withdrawal that the target chain cannot pay.
const RESERVE: i32 = 208;
/// How long a deposit may take to be credited, and a key to be final.
const FINALITY_PATIENCE: Duration = Duration::from_secs(300);
/// How long proofs and settlement of the whole story may take.
const SETTLEMENT_PATIENCE: Duration = Duration::from_secs(1_800);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(200);

/// How the story ended.
pub(super) struct Outcome {
    /// What was expected.
    pub(super) checks: Vec<Check>,
    /// The people before and after.
    pub(super) accounts: Vec<AccountStory>,
}

/// Something that was expected.
pub(super) struct Check {
    /// What.
    pub(super) what: String,
    /// Whether it came so.
    pub(super) met: bool,
    /// What was found.
    pub(super) found: String,
}

/// A person before and after the story.
pub(super) struct AccountStory {
    /// The name.
    pub(super) name: &'static str,
    /// The address.
    pub(super) owner: Owner,
    /// What the person had before the story.
    pub(super) before: Holdings,
    /// What the person has after it.
    pub(super) after: Holdings,
}

/// What a person has.
#[derive(Clone, Debug, Default)]
pub(super) struct Holdings {
    /// On chains: chain, token, decimals there, units.
    pub(super) l1: Vec<(ChainId, TokenId, u8, u128)>,
    /// On L2, in 18 decimals.
    pub(super) l2: Vec<(TokenId, u128)>,
}

struct Story<'a> {
    network: &'a LocalNetwork,
    show: &'a Show,
    checks: Vec<Check>,
}

/// Plays it.
pub(super) async fn play(network: &LocalNetwork, show: &Show) -> Result<Outcome> {
    let mut story = Story { network, show, checks: Vec::new() };
    story.mint().await?;
    let before = holdings(network).await?;
    story.deposits().await?;
    let (alice, bob, carol) = story.keys().await?;
    story.transfers(&alice).await?;
    let paid_before = network.l1_balance(CHAINS[0], USDC, bob.address()).await?;
    story.withdrawals(&bob, &carol).await?;
    story.settlement().await?;
    story.payout(&bob, paid_before).await?;
    let after = holdings(network).await?;
    let people = before.into_iter().zip(after).map(|((name, before), (_, after))| AccountStory {
        name,
        owner: owner_of(name),
        before,
        after,
    });
    let accounts = people.collect();
    Ok(Outcome { checks: story.checks, accounts })
}

impl Story<'_> {
    fn expect(&mut self, what: impl Into<String>, met: bool, found: impl Into<String>) {
        let check = Check { what: what.into(), met, found: found.into() };
        let mark = if met { "as expected" } else { "NOT AS EXPECTED" };
        self.show.line(format!("  {mark}: {} ({})", check.what, check.found));
        self.checks.push(check);
    }

    async fn mint(&self) -> Result<()> {
        self.show.title(
            "Alice, Bob and Carol get 1,000 USDC each; it has 6 decimals on chain 1, 18 on chain 2",
        );
        for (name, chain) in [("Alice", CHAINS[0]), ("Bob", CHAINS[1]), ("Carol", CHAINS[0])] {
            let token = self.network.token(chain, USDC).context("USDC is deployed there")?;
            let wallet = self.network.wallet(name, chain);
            let amount = 1_000 * 10u128.pow(u32::from(token.decimals));
            wallet.mint(token.address, wallet.address(), amount).await?;
        }
        Ok(())
    }

    async fn deposits(&mut self) -> Result<()> {
        self.show.title("Deposits");
        let started = Instant::now();
        tokio::try_join!(
            self.deposit("Alice", CHAINS[0], USDC, 500 * ONE),
            self.deposit("Bob", CHAINS[1], USDC, 300 * ONE),
            self.deposit("Dora", CHAINS[2], COIN, ONE / 4),
        )?;
        self.deposit("Carol", CHAINS[0], USDC, 600 * ONE).await?;
        let wanted = [
            ("Alice", USDC, 500 * ONE),
            ("Bob", USDC, 300 * ONE),
            ("Dora", COIN, ONE / 4),
            ("Carol", USDC, 600 * ONE),
        ];
        let work = self.show.spinner("waiting until the chains call the deposits final");
        for (name, token, amount) in wanted {
            self.until_balance(name, token, amount).await?;
            let after = started.elapsed().as_secs_f64();
            let amount = decimal(amount, 18);
            self.show.line(format!(
                "  {name} has {amount} of token {token} on L2, {after:.1} s after the first deposit"
            ));
        }
        drop(work);
        self.expect("deposits are credited once they are final", true, "four of four");
        Ok(())
    }

    /// Locks tokens in the contract of a chain; `amount` has 18 decimals.
    async fn deposit(
        &self,
        name: &str,
        chain: ChainId,
        token: TokenId,
        amount: u128,
    ) -> Result<()> {
        let found = self.network.token(chain, token).context("the token is deployed there")?;
        let units = amount / 10u128.pow(u32::from(zklink::amount::DECIMALS - found.decimals));
        let wallet = self.network.wallet(name, chain);
        let sub_account = SubAccountId(0);
        let receipt = if found.address == [0; 20] {
            wallet.deposit_native(units, wallet.owner(), sub_account).await?
        } else {
            wallet.approve(found.address, units).await?;
            wallet.deposit_erc20(token, units, wallet.owner(), sub_account).await?
        };
        let client = &self.network.chains.chain(chain).client;
        let last =
            client.header(At::Finalized).await.ok().flatten().map_or(0, |block| block.number);
        let (amount, symbol) = (decimal(units, found.decimals), &found.symbol);
        self.show.line(format!(
            "  {name} deposits {amount} {symbol} on chain {chain}: in block {}, final up to block {last}",
            receipt.block
        ));
        Ok(())
    }

    async fn until_balance(&self, name: &str, token: TokenId, amount: u128) -> Result<()> {
        let started = Instant::now();
        loop {
            let balance = l2_balance(self.network, owner_of(name), token);
            if balance >= amount {
                return Ok(());
            }
            if started.elapsed() > FINALITY_PATIENCE {
                bail!(
                    "the deposit of {name} is not credited after {} s: RUST_LOG=info shows what the node does",
                    FINALITY_PATIENCE.as_secs()
                );
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn keys(&mut self) -> Result<(Actor, Actor, Actor)> {
        self.show
            .title("Keys for L2: Alice and Carol sign an EIP-712 message, Bob sends a transaction");
        let alice = Actor::connect(self.network, "Alice").await?;
        let bob = Actor::connect(self.network, "Bob").await?;
        let carol = Actor::connect(self.network, "Carol").await?;
        let fee = (USDC, fee(10));
        alice.set_key_by_signature(self.network, CHAINS[0], fee).await?;
        carol.set_key_by_signature(self.network, CHAINS[0], fee).await?;
        self.expect("Alice and Carol set their keys by a signature", true, "two executed");
        let took = bob.set_key_on_chain(self.network, CHAINS[1], fee, FINALITY_PATIENCE).await?;
        let found =
            format!("executed {:.1} s after it was mined, when it was final", took.as_secs_f64());
        self.expect("Bob sets his key by a transaction", true, found);
        Ok((alice, bob, carol))
    }

    async fn transfers(&mut self, alice: &Actor) -> Result<()> {
        self.show.title("Alice pays Bob 120 USDC, and 10 USDC to an address without an account");
        for (receiver, amount) in [("Bob", 120 * ONE), (NEWCOMER, 10 * ONE)] {
            let payment = Payment {
                from: SubAccountId(0),
                to: owner_of(receiver),
                to_sub_account: SubAccountId(0),
                token: USDC,
                amount: Amount(amount),
                fee: fee(100),
            };
            let started = Instant::now();
            let tx = alice.wallet.transfer(&self.network.client, payment).await?;
            let hash = self.network.client.send(&tx).await?;
            let took = started.elapsed().as_millis();
            self.show.line(format!("  {receiver}: {hash}, acknowledged after {took} ms"));
        }
        let newcomer = l2_balance(self.network, owner_of(NEWCOMER), USDC);
        let found = format!("{} USDC", decimal(newcomer, 18));
        self.expect("the newcomer has an account with 10 USDC", newcomer == 10 * ONE, found);
        Ok(())
    }

    async fn withdrawals(&mut self, bob: &Actor, carol: &Actor) -> Result<()> {
        self.show.title("Carol asks chain 2 for more than it has; Bob withdraws on chain 1 what came in on chain 2");
        let payout = |chain, to, amount| Payout {
            chain,
            from: SubAccountId(0),
            to,
            token: USDC,
            amount: Amount(amount),
            max_fee: fee(100),
        };
        let client = &self.network.client;
        let asked = payout(CHAINS[1], carol.wallet.owner(), 400 * ONE);
        let tx = carol.wallet.withdraw(client, asked).await?;
        let answer = client.send(&tx).await;
        let found = match &answer {
            Ok(hash) => format!("it was executed: {hash}"),
            Err(ClientError::Rpc { code, message, hint, .. }) => {
                format!("code {code}: {message}; {hint}")
            }
            Err(error) => error.to_string(),
        };
        let refused = answer.err().and_then(|error| error.code()) == Some(RESERVE);
        self.expect(format!("Carol's withdrawal is refused with code {RESERVE}"), refused, found);
        let reserve = client.token_reserve(USDC, None).await?;
        for (chain, amount) in &reserve {
            self.show.line(format!("  chain {chain} can pay {} USDC", decimal(amount.0, 18)));
        }
        let tx =
            bob.wallet.withdraw(client, payout(CHAINS[0], bob.wallet.owner(), 250 * ONE)).await?;
        let hash = client.send(&tx).await?;
        self.show.line(format!("  Bob withdraws 250 USDC to chain 1: {hash}"));
        Ok(())
    }

    async fn settlement(&self) -> Result<()> {
        self.show.title("Proofs and settlement: commit, prove, ack, release, pay");
        let started = Instant::now();
        while !is_settled(self.network).await? {
            if started.elapsed() > SETTLEMENT_PATIENCE {
                bail!("settlement is not through: RUST_LOG=info shows what the node does");
            }
            tokio::time::sleep(PAUSE).await;
        }
        let seconds = started.elapsed().as_secs_f64();
        // The last events are on their way to the record.
        tokio::time::sleep(PAUSE).await;
        self.show.line(format!("  Everything is paid, {seconds:.1} s after the last transaction"));
        Ok(())
    }

    async fn payout(&mut self, bob: &Actor, before: u128) -> Result<()> {
        self.show.title("The payout");
        let after = self.network.l1_balance(CHAINS[0], USDC, bob.address()).await?;
        let got = after.checked_sub(before);
        let found = format!("{before} units before, {after} after");
        let what =
            "Bob has 250,000,000 units of USDC more on chain 1, without a transaction of his";
        self.expect(what, got == Some(250_000_000), found);
        let left = l2_balance(self.network, owner_of("Bob"), USDC);
        // 300 came in, 120 from Alice, 250 went out, and two fees.
        let wanted = (300 + 120 - 250) * ONE - fee(10).amount().0 - fee(100).amount().0;
        self.expect("Bob's balance on L2 is what is left", left == wanted, decimal(left, 18));
        Ok(())
    }
}

/// Thousandths of a token as a fee.
fn fee(thousandths: u128) -> Fee {
    Fee::closest(Amount(thousandths * ONE / 1_000))
}

/// What an owner has on L2, in 18 decimals.
fn l2_balance(network: &LocalNetwork, owner: Owner, token: TokenId) -> u128 {
    let view = network.node.view().read();
    let account = view.state.account_of(owner);
    account.map_or(0, |account| view.state.balance(account, SubAccountId(0), token).0)
}

/// What everybody has.
async fn holdings(network: &LocalNetwork) -> Result<Vec<(&'static str, Holdings)>> {
    let mut all = Vec::new();
    for name in USERS.into_iter().chain([NEWCOMER]) {
        let owner = owner_of(name);
        let mut holdings = Holdings::default();
        for chain in &network.deployment.chains {
            for token in &chain.tokens {
                let address = owner.to_evm().context("people here have EVM addresses")?;
                let units = network.l1_balance(chain.id, token.id, address).await?;
                holdings.l1.push((chain.id, token.id, token.decimals, units));
            }
        }
        holdings.l2 = [USDC, COIN].map(|token| (token, l2_balance(network, owner, token))).into();
        all.push((name, holdings));
    }
    Ok(all)
}
