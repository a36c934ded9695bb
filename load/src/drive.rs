//! Sends requests over WebSockets by a schedule, and notes the answers.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::io::{BufReader, BufWriter};
use serde::Deserialize;
use serde::de::IgnoredAny;
use soketto::handshake::{Client, ServerResponse};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_util::compat::{Compat, TokioAsyncReadCompatExt};

use crate::crowd::Request;
use crate::process::{NodeProcess, Usage};

/// How long answers are waited for after the last request.
const PATIENCE: Duration = Duration::from_secs(20);

type Socket = BufReader<BufWriter<Compat<TcpStream>>>;

/// What became of the requests.
#[derive(Debug, Default)]
pub(crate) struct Driven {
    /// Places of requests that were acknowledged, each with the time from when it was due, microseconds.
    pub(crate) acknowledged: Vec<(usize, u32)>,
    /// Refusals by their codes, each with the text of one.
    pub(crate) refused: BTreeMap<i64, (u64, String)>,
    /// Requests that were sent.
    pub(crate) sent: usize,
    /// From the first request to the last acknowledgement.
    pub(crate) took: Duration,
    /// What the node had used when all was answered, or right before it was killed.
    pub(crate) usage: Usage,
}

#[derive(Deserialize)]
struct Response {
    id: usize,
    #[serde(default)]
    result: Option<IgnoredAny>,
    #[serde(default)]
    error: Option<ErrorBody>,
}

#[derive(Deserialize)]
struct ErrorBody {
    code: i64,
    message: String,
}

/// When a request is due.
#[derive(Clone, Copy)]
struct Schedule {
    begin: Instant,
    rate: u32,
}

impl Schedule {
    fn due(&self, place: usize) -> Instant {
        let seconds = place as f64 / f64::from(self.rate);
        self.begin + Duration::from_secs_f64(seconds)
    }
}

/// Sends all requests at a rate. What a sender signs goes over one WebSocket, in order.
pub(crate) async fn drive(
    node: &NodeProcess,
    requests: &[Request],
    rate: u32,
    websockets: usize,
    kill_after: Option<Duration>,
) -> Result<Driven> {
    let driven = Rc::new(RefCell::new(Driven::default()));
    let mut lists: Vec<Vec<(usize, &str)>> = vec![Vec::new(); websockets];
    for (place, request) in requests.iter().enumerate() {
        lists[request.sender as usize % websockets].push((place, &request.text));
    }
    let mut sockets = Vec::new();
    for _ in 0..websockets {
        sockets.push(connect(node).await?);
    }
    let schedule = Schedule { begin: Instant::now() + Duration::from_millis(100), rate };
    let killing = async {
        let Some(after) = kill_after else { return std::future::pending().await };
        sleep_until(schedule.begin + after).await;
        driven.borrow_mut().usage = node.usage()?;
        node.kill()
    };
    let all = async {
        let exchanges = sockets
            .into_iter()
            .zip(lists)
            .map(|(socket, list)| exchange(socket, list, schedule, &driven));
        futures_util::future::join_all(exchanges).await;
        driven.borrow_mut().usage = node.usage()?;
        Ok(())
    };
    let ended: Result<()> = tokio::select! {
        ended = all => ended,
        killed = killing => killed,
    };
    ended?;
    let mut driven = driven.take();
    let last = driven
        .acknowledged
        .iter()
        .map(|(place, micros)| schedule.due(*place) + Duration::from_micros(u64::from(*micros)));
    driven.took = last.max().map_or(Duration::ZERO, |last| last - schedule.begin);
    Ok(driven)
}

async fn connect(node: &NodeProcess) -> Result<soketto::connection::Builder<Socket>> {
    let socket = TcpStream::connect(node.address).await.context("connecting to the node")?;
    socket.set_nodelay(true)?;
    let socket = BufReader::new(BufWriter::new(socket.compat()));
    let host = node.address.to_string();
    let mut client = Client::new(socket, &host, "/");
    match client.handshake().await.context("opening a WebSocket")? {
        ServerResponse::Accepted { .. } => Ok(client.into_builder()),
        other => anyhow::bail!("the node opens no WebSocket: {other:?}"),
    }
}

/// Sends a list over one WebSocket and notes its answers.
async fn exchange(
    socket: soketto::connection::Builder<Socket>,
    list: Vec<(usize, &str)>,
    schedule: Schedule,
    driven: &RefCell<Driven>,
) {
    let (mut sender, mut receiver) = socket.finish();
    let count = list.len();
    let last = list.last().map_or(schedule.begin, |(place, _)| schedule.due(*place));
    let sending = async move {
        let mut list = list.into_iter().peekable();
        while let Some((place, _)) = list.peek() {
            sleep_until(schedule.due(*place)).await;
            // What is due by now goes together.
            let now = Instant::now();
            while let Some((_, text)) = list.next_if(|(place, _)| schedule.due(*place) <= now) {
                driven.borrow_mut().sent += 1;
                sender.send_text(text).await?;
            }
            sender.flush().await?;
        }
        Ok::<_, soketto::connection::Error>(sender)
    };
    let receiving = async {
        let mut bytes = Vec::new();
        for _ in 0..count {
            bytes.clear();
            if receiver.receive_data(&mut bytes).await.is_err() {
                return;
            }
            note(&bytes, schedule, &mut driven.borrow_mut());
        }
    };
    let both = async { tokio::join!(sending, receiving) };
    // A connection that breaks has no more answers, and the report says so.
    drop(timeout_at(last + PATIENCE, both).await);
}

fn note(bytes: &[u8], schedule: Schedule, driven: &mut Driven) {
    let Ok(response) = serde_json::from_slice::<Response>(bytes) else {
        let unreadable = driven.refused.entry(0).or_default();
        unreadable.0 += 1;
        unreadable.1 = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        return;
    };
    match response {
        Response { id, result: Some(_), .. } => {
            let late = Instant::now().saturating_duration_since(schedule.due(id));
            let micros = u32::try_from(late.as_micros()).unwrap_or(u32::MAX);
            driven.acknowledged.push((id, micros));
        }
        Response { error, .. } => {
            let ErrorBody { code, message } = error
                .unwrap_or(ErrorBody { code: 0, message: "neither result nor error".to_owned() });
            let refused = driven.refused.entry(code).or_default();
            refused.0 += 1;
            refused.1 = message;
        }
    }
}
