//! The worker's side: ports whose machine is in another process.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jsonrpsee::core::ClientError;
use jsonrpsee::core::client::async_client::PingConfig;
use jsonrpsee::types::ErrorObjectOwned;
use jsonrpsee::types::error::METHOD_NOT_FOUND_CODE;
use jsonrpsee::ws_client::{HeaderMap, HeaderValue, WsClient, WsClientBuilder};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, Semaphore, watch};
use tokio::time::Instant;
use zklink::state::DeploymentId;
use zklink_mechanism::driver::pause;
use zklink_mechanism::port::{Deliver, Envelope, Message, Refused};
use zklink_prover::feed::{Lease, Submit};
use zklink_settlement::book::{Attestation, BadAttestation};
use zklink_store::journal::{ReadRecords, Stretch};

use crate::rpc::{Bytes, WorkClient};
use crate::token::Token;
use crate::workers::Role;
use crate::{
    DEPLOYMENT, FORBIDDEN, HELLO, IN_FLIGHT, OTHER_DEPLOYMENT, PING, PROCESS, REQUEST_BYTES_MAX,
    RESPONSE_BYTES_MAX, SILENCE, UNKNOWN_TOKEN,
};

/// How long an answer may take, a large witness on a slow line included.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take to connect.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// The first pause between two attempts to connect; it doubles up to half a minute.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// Messages under way at the same time: fewer than the node takes, so that it has not to refuse any.
const UNDER_WAY: usize = IN_FLIGHT / 2;

/// How the connection is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Link {
    /// Nothing was said yet.
    Idle,
    /// It stands.
    Connected,
    /// It stands, and the node refuses what is said: another role, another method.
    Refused(String),
    /// It does not, and why.
    Down(String),
}

/// The address of a node cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address of a node: write ws://HOST:PORT, the port being that of [workers] listen"
)]
pub struct BadNode(String);

/// A node in another process. It stands behind the ports of provers and attesters; what it cannot deliver it drops, and
/// whoever waits for the answer is told so and asks again. Clones share one connection.
#[derive(Clone, Debug)]
pub struct Remote {
    shared: Arc<Shared>,
    /// Which of the provers under its token speaks.
    place: u8,
}

#[derive(Debug)]
struct Shared {
    url: String,
    headers: HeaderMap,
    /// Machines deliver from threads of their own; the connection belongs to this runtime.
    runtime: Handle,
    under_way: Arc<Semaphore>,
    connection: Mutex<Connection>,
    link: watch::Sender<Link>,
}

#[derive(Debug, Default)]
struct Connection {
    client: Option<Arc<WsClient>>,
    failures: u32,
    /// Before then nobody connects.
    rests_until: Option<Instant>,
}

impl Remote {
    /// A node of a deployment at `url`, which knows the token. Nothing connects before something is said, or
    /// [`Remote::stay`] runs. Must be called inside of a tokio runtime.
    ///
    /// # Errors
    /// [`BadNode`].
    pub fn new(url: &str, token: &Token, deployment: DeploymentId) -> Result<Remote, BadNode> {
        let sound = ["ws://", "wss://"].iter().any(|scheme| url.starts_with(scheme));
        if !sound || url.contains('@') {
            return Err(BadNode(url.to_owned()));
        }
        let value = |text: String| HeaderValue::from_str(&text).expect("hex fits into a header");
        let mut shown = value(token.header());
        shown.set_sensitive(true);
        let headers = [
            ("authorization", shown),
            (DEPLOYMENT, value(hex::encode(deployment.0))),
            (PROCESS, value(format!("{:x}", rand::random::<u64>()))),
        ];
        let headers =
            headers.map(|(name, value)| (name.parse().expect("a name of a header"), value));
        let shared = Shared {
            url: url.to_owned(),
            headers: HeaderMap::from_iter(headers),
            runtime: Handle::current(),
            under_way: Arc::new(Semaphore::new(UNDER_WAY)),
            connection: Mutex::default(),
            link: watch::Sender::new(Link::Idle),
        };
        Ok(Remote { shared: Arc::new(shared), place: 0 })
    }

    /// The same node for another prover under the same token.
    #[must_use]
    pub fn at(&self, place: u8) -> Remote {
        Remote { place, ..self.clone() }
    }

    /// How the connection is, for people who watch.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.shared.link.subscribe()
    }

    /// Says again and again that this worker is there, so that its node knows, and connects when the connection is
    /// gone.
    pub async fn stay(self, role: Role) {
        loop {
            let hello = |node: Arc<WsClient>| async move { node.hello(role).await };
            let _heard: Option<()> = self.shared.answer(hello).await;
            tokio::time::sleep(HELLO).await;
        }
    }

    /// Sends a message and gives its answer to whoever waits for it.
    fn send<M: Message, F>(
        &self,
        envelope: Envelope<M>,
        call: impl FnOnce(Arc<WsClient>, M) -> F + Send + 'static,
    ) -> Result<(), Refused<M>>
    where
        F: Future<Output = Result<M::Reply, ClientError>> + Send,
    {
        let Ok(permit) = Arc::clone(&self.shared.under_way).try_acquire_owned() else {
            return Err(Refused::Full(envelope.message));
        };
        let Envelope { message, reply } = envelope;
        let shared = Arc::clone(&self.shared);
        self.shared.runtime.spawn(async move {
            let answer = shared.answer(|node| call(node, message)).await;
            drop(permit);
            if let (Some(reply), Some(answer)) = (reply, answer) {
                reply.answer(answer);
            }
        });
        Ok(())
    }
}

impl Shared {
    /// What the node answers to a call; nothing when it does not.
    async fn answer<R, F>(&self, call: impl FnOnce(Arc<WsClient>) -> F + Send) -> Option<R>
    where
        F: Future<Output = Result<R, ClientError>> + Send,
    {
        let client = self.connected().await?;
        match call(Arc::clone(&client)).await {
            Ok(answer) => {
                self.becomes(Link::Connected);
                Some(answer)
            }
            Err(ClientError::Call(refused)) => {
                self.refused(&refused);
                None
            }
            Err(error) => {
                tracing::debug!(%error, "the node did not answer");
                if !client.is_connected() {
                    self.lost(&client, &error).await;
                }
                None
            }
        }
    }

    /// The connection; a new one if the last one is gone and has rested. Whoever finds it resting is not made to wait.
    async fn connected(&self) -> Option<Arc<WsClient>> {
        let mut connection = self.connection.lock().await;
        if let Some(client) = &connection.client {
            if client.is_connected() {
                return Some(Arc::clone(client));
            }
            connection.client = None;
        }
        if connection.rests_until.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let ping = PingConfig::new().ping_interval(PING).inactive_limit(SILENCE).max_failures(1);
        let connecting = WsClientBuilder::new()
            .set_headers(self.headers.clone())
            .max_request_size(REQUEST_BYTES_MAX)
            .max_response_size(RESPONSE_BYTES_MAX)
            .max_concurrent_requests(UNDER_WAY)
            .request_timeout(PATIENCE)
            .connection_timeout(CONNECT_PATIENCE)
            // A redirection would show the token to somebody else.
            .max_redirections(1)
            .enable_ws_ping(ping)
            .build(&self.url);
        let connected = tokio::time::timeout(2 * CONNECT_PATIENCE, connecting).await;
        let failed = match connected {
            Ok(Ok(client)) => {
                let client = Arc::new(client);
                *connection =
                    Connection { client: Some(Arc::clone(&client)), ..Connection::default() };
                self.link.send_replace(Link::Connected);
                return Some(client);
            }
            Ok(Err(error)) => in_words(&error),
            Err(_) => "it does not answer".to_owned(),
        };
        self.rests(&mut connection, failed);
        None
    }

    /// Notes that a connection is gone, unless somebody has a new one already.
    async fn lost(&self, client: &Arc<WsClient>, error: &ClientError) {
        let mut connection = self.connection.lock().await;
        if connection.client.as_ref().is_some_and(|current| Arc::ptr_eq(current, client)) {
            connection.client = None;
            self.rests(&mut connection, in_words(error));
        }
    }

    fn rests(&self, connection: &mut Connection, why: String) {
        let rest = pause(FIRST_PAUSE, connection.failures);
        connection.failures = connection.failures.saturating_add(1);
        connection.rests_until = Some(Instant::now() + rest);
        self.becomes(Link::Down(why));
    }

    /// A refusal that lasts is one of the configuration; a node that has too much to do says so only in the log.
    fn refused(&self, refused: &ErrorObjectOwned) {
        match refused.code() {
            FORBIDDEN => self.becomes(Link::Refused(format!(
                "{}: compare token_file with the role in the node's [workers]",
                refused.message()
            ))),
            METHOD_NOT_FOUND_CODE => self.becomes(Link::Refused(
                "it does not know the method: the port must be that of [workers] listen, and node and worker of one \
                 version"
                    .to_owned(),
            )),
            _ => tracing::debug!(reason = refused.message(), "the node does not take a message"),
        }
    }

    /// Tells how the connection is, when that is something else than before.
    fn becomes(&self, now: Link) {
        self.link.send_if_modified(|link| {
            let other = *link != now;
            if other {
                if now != Link::Connected {
                    tracing::warn!(?now, "nothing comes to the node");
                }
                *link = now;
            }
            other
        });
    }
}

/// What a failure means for whoever runs the worker.
fn in_words(error: &ClientError) -> String {
    let text = error.to_string();
    let refused = |status: u16| text.contains(&format!("status code: {status}"));
    if refused(UNKNOWN_TOKEN) {
        "it does not know the token: compare token_file with the node's [workers]".to_owned()
    } else if refused(OTHER_DEPLOYMENT) {
        "it is of another deployment: compare the deployment file with the node's".to_owned()
    } else {
        text
    }
}

impl Deliver<Lease> for Remote {
    fn deliver(&self, envelope: Envelope<Lease>) -> Result<(), Refused<Lease>> {
        let place = self.place;
        self.send(envelope, move |node, _| async move { node.lease(place).await })
    }
}

impl Deliver<Submit> for Remote {
    fn deliver(&self, envelope: Envelope<Submit>) -> Result<(), Refused<Submit>> {
        let place = self.place;
        self.send(envelope, move |node, Submit { job, proof, .. }| async move {
            node.submit(place, job, Bytes(proof)).await
        })
    }
}

impl Deliver<Attestation> for Remote {
    fn deliver(&self, envelope: Envelope<Attestation>) -> Result<(), Refused<Attestation>> {
        self.send(envelope, move |node, attestation| async move {
            let answer = node.attest(attestation).await?;
            match answer {
                // What was delivered meanwhile, or comes too early: it is offered again by itself.
                Ok(()) | Err(BadAttestation::Window) => {}
                Err(bad) => tracing::warn!(%bad, "the node refused a signature"),
            }
            Ok(answer)
        })
    }
}

impl Deliver<ReadRecords> for Remote {
    fn deliver(&self, envelope: Envelope<ReadRecords>) -> Result<(), Refused<ReadRecords>> {
        self.send(envelope, |node, ReadRecords { from }| async move {
            Ok(node.records(from).await?.map(Stretch::from))
        })
    }
}
