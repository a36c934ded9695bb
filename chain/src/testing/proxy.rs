//! A server between a client and a chain that does what a script says: whatever real servers do.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A request, as a script sees it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The method of JSON-RPC.
    pub method: String,
    /// Its parameters.
    pub params: Value,
    /// How many requests there were with this method, this one with them.
    pub count: u64,
}

impl Asked {
    /// Whether the method is this one.
    pub fn is(&self, method: &str) -> bool {
        self.method == method
    }
}

/// What a script does with a request.
pub enum Reply {
    /// The chain answers.
    Pass,
    /// The chain answers, after a while.
    Late(Duration),
    /// An HTTP status with a body. The chain is not asked.
    Status(u16, String),
    /// A result. The chain is not asked.
    Result(Value),
    /// An error of JSON-RPC with its code, its words and its data. The chain is not asked.
    Error(i64, String, Value),
    /// The chain is asked, and its result changed.
    Changed(Box<dyn Fn(Value) -> Value + Send>),
    /// The chain is asked, and text of its answer replaced.
    Replaced(Vec<(String, String)>),
    /// The chain is asked, and its answer lost: the connection ends.
    Lost,
}

impl Reply {
    /// An error without data.
    pub fn error(code: i64, words: &str) -> Reply {
        Reply::Error(code, words.to_owned(), Value::Null)
    }
}

/// A server that replaces text in the answers.
pub async fn lying_proxy(behind: String, lies: Vec<(String, String)>) -> String {
    scripted_proxy(behind, move |_| Reply::Replaced(lies.clone())).await
}

/// A server that asks the script about every request.
pub async fn scripted_proxy(
    behind: String,
    script: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let script = Arc::new(script);
    let counts: Arc<Mutex<BTreeMap<String, u64>>> = Arc::default();
    let client = reqwest::Client::new();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (behind, client) = (behind.clone(), client.clone());
            let (script, counts) = (Arc::clone(&script), Arc::clone(&counts));
            tokio::spawn(async move {
                let Some(body) = read_body(&mut stream).await else { return };
                let request: Value = serde_json::from_slice(&body).unwrap();
                let method = request["method"].as_str().unwrap().to_owned();
                let count = {
                    let mut counts = counts.lock().unwrap();
                    let count = counts.entry(method.clone()).or_default();
                    *count += 1;
                    *count
                };
                let reply = script(&Asked { method, params: request["params"].clone(), count });
                let behind = Behind { client, url: behind, body };
                if let Some((status, text)) = answer(reply, &request["id"], &behind).await {
                    respond(&mut stream, status, &text).await;
                }
            });
        }
    });
    url
}

/// The chain behind the server, and what it may be asked.
struct Behind {
    client: reqwest::Client,
    url: String,
    body: Vec<u8>,
}

impl Behind {
    async fn ask(&self) -> String {
        let post = self.client.post(&self.url).header("content-type", "application/json");
        post.body(self.body.clone()).send().await.unwrap().text().await.unwrap()
    }
}

/// Status and body of an answer; nothing when it gets lost.
async fn answer(reply: Reply, id: &Value, behind: &Behind) -> Option<(u16, String)> {
    let text = match reply {
        Reply::Pass => behind.ask().await,
        Reply::Late(pause) => {
            tokio::time::sleep(pause).await;
            behind.ask().await
        }
        Reply::Status(status, text) => return Some((status, text)),
        Reply::Result(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}).to_string(),
        Reply::Error(code, message, data) => {
            let error = json!({"code": code, "message": message, "data": data});
            json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
        }
        Reply::Changed(change) => {
            let mut answer: Value = serde_json::from_str(&behind.ask().await).unwrap();
            answer["result"] = change(answer["result"].take());
            answer.to_string()
        }
        Reply::Replaced(lies) => {
            lies.iter().fold(behind.ask().await, |text, (truth, lie)| text.replace(truth, lie))
        }
        Reply::Lost => {
            behind.ask().await;
            return None;
        }
    };
    Some((200, text))
}

async fn respond(stream: &mut TcpStream, status: u16, text: &str) {
    let answer = format!(
        "HTTP/1.1 {status} OK\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    );
    // Who asked may have gone away.
    let _gone = stream.write_all(answer.as_bytes()).await;
}

async fn read_body(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).to_lowercase();
        let Some(end) = text.find("\r\n\r\n") else { continue };
        let length = text.split("content-length: ").nth(1)?.split("\r\n").next()?.parse().ok()?;
        let length: usize = length;
        if bytes.len() >= end + 4 + length {
            return Some(bytes[end + 4..].to_vec());
        }
    }
}
