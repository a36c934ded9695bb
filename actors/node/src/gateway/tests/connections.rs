//! Connections, by raw sockets: who is counted, who is closed, and that nobody shuts others out.

use tokio::net::{TcpSocket, TcpStream};

use super::*;

/// What a browser asks for before a WebSocket.
const UPGRADE: &[u8] =
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// A ping and a pong without content, masked by zero.
const PING: &[u8] = &[0x89, 0x80, 0, 0, 0, 0];
const PONG: &[u8] = &[0x8a, 0x80, 0, 0, 0, 0];

fn limits(idle: Duration) -> Setup {
    let limits = Limits {
        connections_max: 8,
        connections_per_address_max: 4,
        calls_per_second: 0,
        idle,
        ..Limits::default()
    };
    Setup { limits, ..Setup::default() }
}

/// A WebSocket from an address of this machine; nothing where no connection is taken.
async fn websocket(served: &Served, from: &str) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{from}:0").parse().expect("an address")).expect("a port");
    let mut socket = socket.connect(served.gateway.address()).await.ok()?;
    socket.write_all(UPGRADE).await.ok()?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.ok()?);
    }
    assert!(head.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&head));
    Some(socket)
}

/// Reads until the server closes; false when it has not after some seconds.
async fn is_closed(socket: &mut (impl AsyncReadExt + Unpin)) -> bool {
    let mut bytes = [0; 64];
    let read = async { while matches!(socket.read(&mut bytes).await, Ok(1..)) {} };
    tokio::time::timeout(WAIT, read).await.is_ok()
}

#[test]
fn websockets_count_as_long_as_they_are_open_and_shut_nobody_else_out() {
    served(limits(Duration::from_secs(60)), async |_, served| {
        let mut open = Vec::new();
        for _ in 0..4 {
            open.push(websocket(&served, "127.0.0.1").await.expect("below the limit"));
        }
        assert!(websocket(&served, "127.0.0.1").await.is_none(), "a fifth one of this address");
        let other = websocket(&served, "127.0.0.2").await;
        assert!(other.is_some(), "another address has its own");
        // Half of those that are left: a place is free as soon as its socket is closed, and not before.
        open.truncate(2);
        tokio::time::sleep(Duration::from_millis(100)).await;
        for _ in 0..2 {
            open.push(websocket(&served, "127.0.0.1").await.expect("a place was given back"));
        }
        assert!(websocket(&served, "127.0.0.1").await.is_none());
    });
}

#[test]
fn a_websocket_that_only_pings_is_closed_and_one_that_calls_is_not() {
    served(limits(Duration::from_millis(300)), async |_, served| {
        let address = format!("ws://{}", served.gateway.address());
        let client = Client::connect(&address).await.expect("it serves");
        let pinging = websocket(&served, "127.0.0.1").await.expect("it serves");
        let (mut answers, mut questions) = pinging.into_split();
        let pings = tokio::spawn(async move {
            // Writing fails once the other end is closed.
            while questions.write_all(&[PING, PONG].concat()).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(100)).await;
            client.change_pub_key_chain().await.expect("it is in use");
        }
        assert!(is_closed(&mut answers).await, "nothing was called");
        pings.await.expect("no panic");
        for _ in 0..3 {
            websocket(&served, "127.0.0.1").await.expect("its place is free again");
        }
    });
}

#[test]
fn a_websocket_that_is_never_read_is_closed_too() {
    served(limits(Duration::from_millis(300)), async |_, served| {
        let mut deaf = websocket(&served, "127.0.0.1").await.expect("it serves");
        let call = br#"{"jsonrpc":"2.0","id":1,"method":"getNetwork","params":[]}"#;
        let mut frame = vec![0x81, 0x80 | u8::try_from(call.len()).expect("short"), 0, 0, 0, 0];
        frame.extend_from_slice(call);
        // Until the answers, which nobody takes, have filled every buffer on the way.
        let calls = async { while deaf.write_all(&frame).await.is_ok() {} };
        drop(tokio::time::timeout(Duration::from_millis(500), calls).await);
        let freed = async {
            let mut open = Vec::new();
            while open.len() < 4 {
                match websocket(&served, "127.0.0.1").await {
                    Some(socket) => open.push(socket),
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(WAIT, freed).await.expect("its place is free again");
        drop(deaf);
    });
}

/// Requests over one HTTP/2 connection that never send their bodies.
async fn half_requests(served: &Served, count: u32) -> TcpStream {
    let mut socket = TcpStream::connect(served.gateway.address()).await.expect("it listens");
    let mut bytes = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec();
    // POST, http, /, and the type of the content: three indexed fields and a literal.
    let head = [&[0x83, 0x86, 0x84, 0x0f, 0x10, 16][..], b"application/json"].concat();
    for number in 0..count {
        let length = u8::try_from(head.len()).expect("short");
        // A frame of headers that are whole, of a stream that goes on.
        bytes.extend([0, 0, length, 0x01, 0x04]);
        bytes.extend((2 * number + 1).to_be_bytes());
        bytes.extend(&head);
    }
    socket.write_all(&bytes).await.expect("it reads");
    socket
}

#[test]
fn requests_without_end_shut_nobody_else_out() {
    served(limits(Duration::from_secs(60)), async |_, served| {
        let half = half_requests(&served, 100).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        let client = served.client().await;
        client.change_pub_key_chain().await.expect("another connection is served");
        drop(half);
    });
}

#[test]
fn connections_are_bounded_and_freed() {
    let limits = Limits {
        connections_max: 8,
        connections_per_address_max: 8,
        calls_per_second: 0,
        idle: Duration::from_secs(60),
        ..Limits::default()
    };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let mut sockets = Vec::new();
        for _ in 0..8 {
            sockets.push(TcpStream::connect(served.gateway.address()).await.expect("it listens"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        let mut late = TcpStream::connect(served.gateway.address()).await.expect("a backlog");
        let mut byte = [0];
        let closed = tokio::time::timeout(WAIT, late.read(&mut byte)).await.expect("closed");
        assert!(matches!(closed, Ok(0) | Err(_)), "over the limit nothing is served");
        drop(sockets);
        tokio::time::sleep(Duration::from_millis(100)).await;
        served.client().await.change_pub_key_chain().await.expect("room again");
    });
}

#[test]
fn an_idle_connection_is_closed() {
    let idle = Duration::from_millis(200);
    let limits = Limits { idle, calls_per_second: 0, ..Limits::default() };
    served(Setup { limits, ..Setup::default() }, async |_, served| {
        let mut socket = TcpStream::connect(served.gateway.address()).await.expect("it listens");
        let mut byte = [0];
        let closed = tokio::time::timeout(WAIT, socket.read(&mut byte)).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "{closed:?}");
    });
}
