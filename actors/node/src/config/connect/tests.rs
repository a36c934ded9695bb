//! Starts with endpoints that are out of order, over real sockets.

use std::time::Duration;

use figment::Figment;
use figment::providers::{Format, Toml};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use zklink_chain::client::At;
use zklink_chain::endpoint::EndpointError;
use zklink_chain::testing::dev_chain;

use super::super::NodeConfig;
use super::*;

const CHAIN: ChainId = ChainId(1);

/// A port on which nobody listens.
async fn dead_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// Lets a port lead to a server, from now on.
async fn forward(port: u16, to: &str) {
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let to = to.trim_start_matches("http://").trim_end_matches('/').to_owned();
    tokio::spawn(async move {
        while let Ok((mut near, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                let mut far = TcpStream::connect(to).await.unwrap();
                copy_bidirectional(&mut near, &mut far).await.ok();
            });
        }
    });
}

async fn connected(
    rpc: &[&str],
    tolerate_outage: bool,
    evm_chain_id: u64,
) -> Result<Arc<dyn ChainClient>, ConfigError> {
    let text = format!(
        "data = \"data\"\ndeployment = \"deployment.toml\"\nvalidator_key_file = \"key\"\n\
         [chains.1]\n\
         rpc = {rpc:?}\ntolerate_outage = {tolerate_outage}\nlimits = {{ timeout_ms = 2000 }}\n"
    );
    let figment = Figment::from(Toml::string(&text));
    let loaded: Loaded<NodeConfig> = Loaded::parse(Path::new("node.toml"), figment).unwrap();
    connect(&loaded, CHAIN, &loaded.config.chains["1"], evm_chain_id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_of_two_does_not_prevent_a_start() {
    let chain = dev_chain(9301, 1).await;
    chain.mine(3).unwrap();
    let dead = dead_port().await;
    let (live, gone) = (chain.http_url(), url(dead));
    for pair in [[&live[..], &gone], [&gone, &live]] {
        let client = connected(&pair, true, 9301).await.expect("an outage is no reason");
        let header = client.header(At::Number(2)).await.expect("the other one is believed");
        assert_eq!(header.map(|header| header.number), Some(2));
        let strict = connected(&pair, false, 9301).await.expect("here neither");
        let error = strict.header(At::Number(2)).await.unwrap_err();
        assert!(error.is_outage(), "but nothing is believed: {error}");
    }
    // It comes back, and counts from then on.
    let strict = connected(&[&gone, &live], false, 9301).await.unwrap();
    forward(dead, &live).await;
    assert_eq!(strict.header(At::Number(2)).await.unwrap().map(|header| header.number), Some(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_without_any_endpoint_can_be_started_and_is_reached_later() {
    let chain = dev_chain(9302, 1).await;
    let (first, second) = (dead_port().await, dead_port().await);
    let client = connected(&[&url(first), &url(second)], true, 9302).await.expect("it starts");
    assert!(client.header(At::Latest).await.unwrap_err().is_outage());
    forward(second, &chain.http_url()).await;
    tokio::time::sleep(Duration::from_millis(10)).await;
    assert!(client.header(At::Latest).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_chain_is_refused_at_the_start_and_for_ever_after() {
    let (right, wrong) = (dev_chain(9303, 1).await, dev_chain(9304, 1).await);
    let refused = connected(&[&right.http_url(), &wrong.http_url()], true, 9303).await;
    let Err(ConfigError::Endpoint { chain, source }) = refused else { panic!("it was taken") };
    let EndpointError::Client(ClientError::WrongChain { expected, found, .. }) = &source else {
        panic!("{source}")
    };
    assert_eq!((chain, *expected, *found), (CHAIN, 9303, 9304));

    // One that was silent at the start, beside a good one, and serves another chain when it comes back.
    let port = dead_port().await;
    let client = connected(&[&right.http_url(), &url(port)], true, 9303).await.unwrap();
    assert!(client.header(At::Number(0)).await.is_ok(), "the silent one is an outage so far");
    forward(port, &wrong.http_url()).await;
    for _ in 0..3 {
        let error = client.header(At::Number(0)).await.unwrap_err();
        assert!(matches!(error, ClientError::WrongChain { found: 9304, .. }), "{error}");
        assert!(error.to_string().contains("correct the configured address"), "{error}");
    }
    let alone = connected(&[&url(port)], false, 9304).await.expect("this is its chain");
    assert_eq!(alone.chain_id().await, Ok(9304));
}
