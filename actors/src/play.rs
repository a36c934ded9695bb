//! The development network: three embedded chains and a node, until Ctrl-C.

use std::sync::Arc;

use anyhow::{Result, bail};
use zklink_node::node::{Listens, can_listen};

use crate::chains::Chains;
use crate::cli::{KeysArgs, L1Kind, LocalArgs};
use crate::keys;
use crate::local::watch::{Log, follow};
use crate::local::{LocalNetwork, ONE, Options, USDC, shapes_up_to};
use crate::people::{USERS, key_of, secret_of};
use crate::show::{Show, hex0x};
use crate::stop;

/// Coins of each user on each chain.
const COINS: u128 = 100 * ONE;
/// A block is sealed when its first operation is this old, milliseconds.
const BLOCK_AGE_MS: u64 = 5_000;

/// Starts the network and keeps it up.
///
/// # Errors
/// What went wrong, in words.
pub(crate) async fn run(args: &LocalArgs, keys_args: &KeysArgs) -> Result<()> {
    let show = Show::new();
    show.line(format!("zkLink {}: a development network", env!("CARGO_PKG_VERSION")));
    can_listen(Listens::Rpc, args.rpc)?;
    // The chains come first: a program without them should say so before it makes keys for minutes.
    let chains = Chains::start(&L1Kind::Embedded, None, args.block_time()).await?;
    let shapes = shapes_up_to(args.shape.shape());
    let folder = keys::folder(keys_args.keys.as_deref());
    let options = Options {
        data: args.data.clone(),
        rpc: args.rpc,
        keys: Arc::new(keys::open_apart(folder, shapes, &show).await?),
        block_max_age_ms: BLOCK_AGE_MS,
        faucet: true,
        coins: COINS,
        outside: None,
    };
    let mut network = LocalNetwork::start(chains, options, &show).await?;
    tokio::spawn(follow(network.node.events().listen(), show.clone(), Log::default()));
    banner(&network, &show);
    let reason = tokio::select! {
        asked = stop::asked() => {
            asked?;
            None
        }
        reason = network.node.finished() => Some(reason),
    };
    show.line("\nStopping. Ctrl-C again stops at once.");
    network.stop("the user asked").await;
    match reason {
        None => Ok(()),
        Some(reason) => bail!("the node stopped by itself: {reason}"),
    }
}

/// What one needs to know to play.
fn banner(network: &LocalNetwork, show: &Show) {
    show.title("Chains");
    for chain in &network.deployment.chains {
        let l1 = network.chains.chain(chain.id);
        show.line(format!(
            "  chain {}  {:<5}  EIP-155 id {}  {}  {}",
            chain.id,
            if chain.id == network.deployment.hub { "hub" } else { "spoke" },
            chain.evm_chain_id,
            l1.url,
            l1.ws.as_deref().unwrap_or_default()
        ));
        show.line(format!(
            "           rollup {}  key recorder {}  oracle {}",
            hex0x(chain.rollup),
            hex0x(chain.key_recorder),
            hex0x(chain.oracle)
        ));
        if let Some(hub) = chain.hub {
            show.line(format!("           hub {}", hex0x(hub.contract)));
        }
        for token in &chain.tokens {
            show.line(format!(
                "           token {} {} with {} decimals at {}",
                token.id,
                token.symbol,
                token.decimals,
                hex0x(token.address)
            ));
        }
    }
    show.title("Accounts with coins on every chain (their keys are public knowledge)");
    for name in USERS {
        show.line(format!(
            "  {name:<6} {}  {}",
            hex0x(key_of(name).address()),
            hex0x(secret_of(name))
        ));
    }
    let rpc = network.node.rpc();
    let alice = hex0x(key_of(USERS[0]).address());
    show.title("Node");
    show.line(format!("  RPC    http://{rpc}  ws://{rpc}"));
    show.line(format!(
        "  Data   {} (the chains are gone when this stops; the journal is then of no use)",
        network.data.display()
    ));
    show.title("Try (a deposit of 25 USDC through chain 1, then the balance)");
    let call = |method: &str, params: String| {
        let body = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        format!("  curl -s http://{rpc} -H 'content-type: application/json' -d '{body}'")
    };
    let amount = 25 * ONE;
    show.line(call("devFaucet", format!(r#"["{alice}",1,{USDC},"{amount}"]"#)));
    show.line(call("getAccount", format!(r#"["{alice}"]"#)));
    show.line(call("getAccountBalances", "[2]".to_owned()));
    show.line("\nCtrl-C stops.");
}
