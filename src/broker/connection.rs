//! Owns one client's connection: frames in, frames out, one request at a time, as Kafka serves them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Duration, timeout};

use super::answer::Client;
use super::dispatch::{self, Served};
use super::hall::Hall;
use super::notice::Notice;
use super::wire::{Frames, Rubbish};

/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BUFFER: usize = 1 << 20;

/// How long a client is given to read its last reply before its connection is closed.
const LINGER: Duration = Duration::from_millis(500);

/// Serves a connection until the client leaves, sends what cannot be understood, or the broker stops. Every request that
/// was read by then is answered in full first.
pub async fn serve(
    hall: Arc<Hall>,
    mut stream: TcpStream,
    peer: SocketAddr,
    number: u64,
    mut stopping: watch::Receiver<bool>,
) {
    hall.notice(&Notice::Connected { peer });
    let mut client = Client { connection: number, id: String::new(), host: format!("/{}", peer.ip()) };
    let rubbish = converse(&hall, &mut stream, &mut client, &mut stopping).await;
    if *stopping.borrow() {
        linger(&mut stream).await;
    }
    hall.notice(&Notice::Disconnected { peer, client_id: client.id, rubbish });
}

/// Returns what was wrong with what the client sent, if that ended it.
async fn converse(
    hall: &Hall,
    stream: &mut TcpStream,
    client: &mut Client,
    stopping: &mut watch::Receiver<bool>,
) -> Option<String> {
    let mut buffer = BytesMut::new();
    loop {
        let frame = match next_frame(stream, &mut buffer, stopping).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return None,
            Err(rubbish) => return Some(rubbish.to_string()),
        };
        match dispatch::serve(hall, client, frame).await {
            Served::Reply(reply) => {
                if stream.write_all(&reply).await.is_err() {
                    return None;
                }
            }
            Served::Silence => {}
            Served::Close(why) => return Some(why),
        }
        if buffer.is_empty() && buffer.capacity() > KEPT_BUFFER {
            buffer = BytesMut::new();
        }
    }
}

/// The next frame, or nothing when the client has left or the broker stops and no frame is there yet.
async fn next_frame(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Option<Bytes>, Rubbish> {
    loop {
        if let Some(frame) = Frames::default().next(buffer)? {
            return Ok(Some(frame));
        }
        tokio::select! {
            read = stream.read_buf(buffer) => match read {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            },
            // Its sender is gone with a server that was dropped, and this task with it.
            _ = stopping.wait_for(|stopping| *stopping) => return Ok(None),
        }
    }
}

/// Says that nothing follows, and waits for the client to close. A socket that is closed with unread requests in it resets the
/// connection, and a reset may take away a reply that the client has not read yet.
async fn linger(stream: &mut TcpStream) {
    let closed = async {
        stream.shutdown().await?;
        let mut unread = [0; 4096];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // Neither a client that is gone nor one that stays matters any more.
    timeout(LINGER, closed).await.ok();
}
