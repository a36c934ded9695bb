//! The node's side: a listener that lets in whoever has a token.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use jsonrpsee::core::{BoxError, RpcResult, async_trait};
use jsonrpsee::server::{
    BatchRequestConfig, HttpBody, HttpRequest, HttpResponse, Methods, PingConfig, ServerBuilder,
    ServerConfig, ServerHandle, StopHandle, serve_with_graceful_shutdown, stop_channel,
};
use jsonrpsee::types::{ErrorObject, ErrorObjectOwned};
use jsonrpsee::{Extensions, ResponsePayload};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tower::Service;
use zklink::id::BlockNumber;
use zklink::state::DeploymentId;
use zklink_mechanism::port::{Message, Port};
use zklink_prover::feed::{
    JobId, Lease, LeaseRefusal, Leased, ProverId, Submit, SubmitRefusal, Submitted,
};
use zklink_prover::prover::{Watching, Work};
use zklink_settlement::book::{Attestation, BadAttestation};
use zklink_store::journal::ReadRecords;

use crate::rpc::{Bytes, Records, WorkServer};
use crate::token::Token;
use crate::workers::{Role, Worker, Workers};
use crate::{
    DEPLOYMENT, FORBIDDEN, OTHER_DEPLOYMENT, PING, PROCESS, REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX,
    SILENCE, UNKNOWN_TOKEN,
};

/// Connections of workers.
const CONNECTIONS_MAX: u32 = 128;
/// Connections that have not shown a token yet.
const STRANGERS_MAX: usize = 64;
/// How long a stranger may take for it.
const STRANGER_PATIENCE: Duration = Duration::from_secs(10);
/// Answers of one connection that wait until it takes them.
const ANSWERS_MAX: u32 = 8;
/// How long a machine may take. The driver that asked waits a little longer.
const PATIENCE: Duration = Duration::from_secs(25);
/// Jobs whose begin is remembered, for people who want to know how long proofs take.
const BEGUN_MAX: usize = 256;

/// The machine behind did not answer, or the worker asks too much at once.
const BUSY: i32 = -32_002;

/// Where the words of workers go.
#[derive(Clone)]
pub struct Ports {
    /// Provers ask for work.
    pub lease: Port<Lease>,
    /// Provers hand in proofs.
    pub submit: Port<Submit>,
    /// Attesters hand in signatures.
    pub attest: Port<Attestation>,
    /// Replicas read the journal.
    pub records: Port<ReadRecords>,
    /// Is told of each proof that was taken.
    pub watching: Watching,
}

/// A listener for workers.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    handle: ServerHandle,
}

impl Listener {
    /// Binds `address` and serves workers of a deployment until [`Listener::stop`]. Must be called inside of a tokio
    /// runtime.
    ///
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(
        address: SocketAddr,
        deployment: DeploymentId,
        workers: Workers,
        ports: Ports,
    ) -> std::io::Result<Listener> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (stop, handle) = stop_channel();
        let service =
            WorkService { ports, begun: Mutex::default(), reading: tokio::sync::Mutex::default() };
        let methods: Methods = service.into_rpc().into();
        tokio::spawn(listen(listener, Arc::new(Admission { deployment, workers }), methods, stop));
        Ok(Listener { address, handle })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections; returns when they are closed or `limit` is over.
    pub async fn stop(self, limit: Duration) {
        if self.handle.stop().is_err() {
            tracing::debug!("the listener for workers was stopped before");
        }
        if tokio::time::timeout(limit, self.handle.stopped()).await.is_err() {
            tracing::warn!("workers were still connected when their listener stopped");
        }
    }
}

fn config() -> ServerConfig {
    let ping = PingConfig::new().ping_interval(PING).inactive_limit(SILENCE).max_failures(1);
    ServerConfig::builder()
        .max_request_body_size(REQUEST_BYTES_MAX)
        .max_response_body_size(RESPONSE_BYTES_MAX)
        .max_connections(CONNECTIONS_MAX)
        .max_subscriptions_per_connection(0)
        .set_batch_request_config(BatchRequestConfig::Disabled)
        .set_message_buffer_capacity(ANSWERS_MAX)
        .enable_ws_ping(ping)
        .ws_only()
        .build()
}

async fn listen(
    listener: TcpListener,
    admission: Arc<Admission>,
    methods: Methods,
    stop: StopHandle,
) {
    let service = ServerBuilder::with_config(config()).to_service_builder();
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.clone().shutdown() => return,
        };
        let socket = match accepted {
            Ok((socket, _)) => quick(socket),
            // Out of file descriptors, mostly: the next one is tried after a rest.
            Err(error) => {
                tracing::warn!(%error, "a connection of a worker was not accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        // Over the limit the socket is closed without a word: a worker comes again.
        let Ok(permit) = Arc::clone(&strangers).try_acquire_owned() else { continue };
        let inner = service.clone().build(methods.clone(), stop.clone());
        let service = Admitting { inner, admission: Arc::clone(&admission) };
        let serving = serve_with_graceful_shutdown(socket, service, stop.clone().shutdown());
        // It ends with the upgrade to a WebSocket, which the library counts and pings.
        tokio::spawn(async move {
            match tokio::time::timeout(STRANGER_PATIENCE, serving).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection of a worker ended"),
                Err(_) => tracing::debug!("a connection showed no token in time"),
            }
            drop(permit);
        });
    }
}

/// Who may connect.
struct Admission {
    deployment: DeploymentId,
    workers: Workers,
}

/// A process of a worker that was let in.
struct Visitor {
    worker: Arc<Worker>,
    process: u64,
}

/// Why a connection is refused: the status of the response, and its text.
type NotAdmitted = (u16, &'static str);

impl Admission {
    /// Who asks to be let in. Of a deployment only those with a token are told.
    fn admit<B>(&self, request: &HttpRequest<B>) -> Result<Visitor, NotAdmitted> {
        let header = |name| request.headers().get(name)?.to_str().ok();
        let token = header("authorization").and_then(Token::from_header);
        let worker = token.and_then(|token| self.workers.by_token(&token)).ok_or((
            UNKNOWN_TOKEN,
            "this node does not know the token: compare token_file with the node's [workers]\n",
        ))?;
        if header(DEPLOYMENT) != Some(hex::encode(self.deployment.0).as_str()) {
            let text = "this node is of another deployment: compare the deployment files\n";
            return Err((OTHER_DEPLOYMENT, text));
        }
        let process = header(PROCESS).and_then(|text| u64::from_str_radix(text, 16).ok());
        let text =
            "a worker says which of its processes it is: use a zklink of the node's version\n";
        Ok(Visitor { worker, process: process.ok_or((400, text))? })
    }
}

/// Stands before the library's service: whoever is not admitted does not reach it.
#[derive(Clone)]
struct Admitting<S> {
    inner: S,
    admission: Arc<Admission>,
}

impl<S, B> Service<HttpRequest<B>> for Admitting<S>
where
    S: Service<HttpRequest<B>, Response = HttpResponse, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = HttpResponse;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: HttpRequest<B>) -> Self::Future {
        match self.admission.admit(&request) {
            Ok(visitor) => {
                request.extensions_mut().insert(Arc::new(visitor));
                Box::pin(self.inner.call(request))
            }
            Err(refused) => Box::pin(std::future::ready(Ok(not_admitted(refused)))),
        }
    }
}

/// Small answers go out at once. Where the option cannot be set they only go out later.
fn quick(socket: TcpStream) -> TcpStream {
    drop(socket.set_nodelay(true));
    socket
}

fn not_admitted((status, text): NotAdmitted) -> HttpResponse {
    let mut response = HttpResponse::new(HttpBody::from(text));
    *response.status_mut() = status.try_into().expect("it is a status");
    response
}

/// Takes what workers say to the machines.
struct WorkService {
    ports: Ports,
    /// When a job was first given to a worker.
    begun: Mutex<BTreeMap<JobId, (BlockNumber, Instant)>>,
    /// Held by whoever reads the journal.
    reading: tokio::sync::Mutex<()>,
}

impl WorkService {
    fn begins(&self, leased: &Leased) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if begun.len() >= BEGUN_MAX {
            begun.pop_first();
        }
        begun.entry(leased.job.id).or_insert_with(|| (leased.job.block, Instant::now()));
    }

    fn proven(&self, job: JobId) {
        let begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
        if let Some((block, at)) = begun {
            let millis = u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
            (self.ports.watching)(Work::Proven { block, millis });
        }
    }
}

#[async_trait]
impl WorkServer for WorkService {
    async fn hello(&self, extensions: &Extensions, role: Role) -> RpcResult<()> {
        let worker = worker_of(extensions, role)?;
        // A replica is there when it reads, and not when only its process is.
        if role != Role::Replica {
            worker.is_heard(visitor_of(extensions)?.process);
        }
        Ok(())
    }

    async fn lease(
        &self,
        extensions: &Extensions,
        place: u8,
    ) -> ResponsePayload<'static, Result<Option<Leased>, LeaseRefusal>> {
        let called = begin_as(extensions, Role::Prover);
        delivered(called, async |worker| {
            let prover = prover_of(worker, place)?;
            let answer = ask(&self.ports.lease, Lease { prover }).await?;
            if let Ok(Some(leased)) = &answer {
                self.begins(leased);
            }
            Ok(answer)
        })
        .await
    }

    async fn submit(
        &self,
        extensions: &Extensions,
        place: u8,
        job: JobId,
        proof: Bytes,
    ) -> RpcResult<Result<Submitted, SubmitRefusal>> {
        let (worker, _call) = begin_as(extensions, Role::Prover)?;
        let prover = prover_of(&worker, place)?;
        let answer = ask(&self.ports.submit, Submit { prover, job, proof: proof.0 }).await?;
        if answer == Ok(Submitted::Accepted) {
            self.proven(job);
        }
        Ok(answer)
    }

    async fn records(
        &self,
        extensions: &Extensions,
        from: u64,
    ) -> ResponsePayload<'static, Result<Records, String>> {
        let called = begin_as(extensions, Role::Replica);
        delivered(called, async |_| {
            if let Ok(Visitor { worker, process }) =
                visitor_of(extensions).map(|visitor| &**visitor)
            {
                worker.is_heard(*process);
            }
            // One at a time: the journal has other work.
            let _turn = self.reading.lock().await;
            let answer = ask(&self.ports.records, ReadRecords { from }).await?;
            Ok(answer.map(Records::from))
        })
        .await
    }

    async fn attest(
        &self,
        extensions: &Extensions,
        attestation: Attestation,
    ) -> RpcResult<Result<(), BadAttestation>> {
        let (_worker, _call) = begin_as(extensions, Role::Attester)?;
        ask(&self.ports.attest, attestation).await
    }
}

impl fmt::Debug for WorkService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkService")
    }
}

/// Who calls over a connection.
fn visitor_of(extensions: &Extensions) -> RpcResult<&Arc<Visitor>> {
    let visitor = extensions.get::<Arc<Visitor>>();
    visitor.ok_or_else(|| error(FORBIDDEN, "nobody was let in over this connection"))
}

/// The worker of a connection, if it may call this.
fn worker_of(extensions: &Extensions, role: Role) -> RpcResult<Arc<Worker>> {
    let worker = &visitor_of(extensions)?.worker;
    if worker.role == role {
        return Ok(Arc::clone(worker));
    }
    let (name, own, wanted) = (&worker.name, worker.role.name(), role.name());
    let text = format!("{name} has the role {own}: this method is for the role {wanted}");
    Err(error(FORBIDDEN, &text))
}

fn prover_of(worker: &Worker, place: u8) -> RpcResult<ProverId> {
    worker.prover(place).ok_or_else(|| error(FORBIDDEN, "there is no such place: lower provers"))
}

/// The worker of a connection with one of its calls, if it may call this.
fn begin_as(extensions: &Extensions, role: Role) -> RpcResult<(Arc<Worker>, OwnedSemaphorePermit)> {
    let worker = worker_of(extensions, role)?;
    let call = Arc::clone(&worker.calls).try_acquire_owned();
    let call = call.map_err(|_| error(BUSY, "too many calls of this worker at once"))?;
    Ok((worker, call))
}

/// A large answer, which counts as a call until it is sent: a worker that asks and does not read fills no memory.
async fn delivered<T: Clone + 'static>(
    called: RpcResult<(Arc<Worker>, OwnedSemaphorePermit)>,
    answer: impl AsyncFnOnce(&Worker) -> RpcResult<T>,
) -> ResponsePayload<'static, T> {
    let (worker, call) = match called {
        Ok(called) => called,
        Err(refused) => return ResponsePayload::error(refused),
    };
    match answer(&worker).await {
        Err(error) => ResponsePayload::error(error),
        Ok(answer) => {
            let (payload, sent) = ResponsePayload::success(answer).notify_on_completion();
            tokio::spawn(async move {
                // Sent, or the connection is gone: in both cases it is here no more.
                let _sent = sent.await;
                drop(call);
            });
            payload
        }
    }
}

async fn ask<M: Message>(port: &Port<M>, message: M) -> RpcResult<M::Reply> {
    let pending = port.ask(message).map_err(|_| error(BUSY, "the node has too much to do"))?;
    pending.wait(PATIENCE).await.map_err(|unanswered| error(BUSY, &unanswered.to_string()))
}

fn error(code: i32, text: &str) -> ErrorObjectOwned {
    ErrorObject::owned(code, text.to_owned(), None::<()>)
}
