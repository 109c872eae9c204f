//! Owns one client's connection: frames in, frames out, one request at a time, as Kafka serves them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout};

use super::answer::Client;
use super::bounds::Bounds;
use super::crowd::Seat;
use super::dispatch::{self, Reply, Served};
use super::incoming::{End, Incoming};
use super::notice::Notice;
use super::shared_core::SharedCore;

/// How long a client is given to read its last reply before its connection is closed.
const LINGER: Duration = Duration::from_millis(500);

/// Serves a connection until the client leaves, sends what cannot be understood, asks for nothing for too long, or the broker
/// stops. Every request that was read by then is answered in full first.
pub async fn serve(
    shared: Arc<SharedCore>,
    mut stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    mut stopping: watch::Receiver<bool>,
) {
    shared.notify(&Notice::Connected { peer });
    let mut client = Client { connection: seat.number, id: String::new(), host: format!("/{}", peer.ip()) };
    let rubbish = tokio::select! {
        rubbish = serve_requests(&shared, &mut stream, &mut client, &seat, &mut stopping) => rubbish,
        () = seat.is_taken() => Some("it gave up its place to another one".to_owned()),
    };
    if *stopping.borrow() {
        linger(&mut stream).await;
    }
    shared.notify(&Notice::Disconnected { peer, client_id: client.id, rubbish });
}

/// Returns why it ended, if that was not the client's wish.
async fn serve_requests(
    shared: &SharedCore,
    stream: &mut TcpStream,
    client: &mut Client,
    seat: &Seat,
    stopping: &mut watch::Receiver<bool>,
) -> Option<String> {
    let mut incoming = Incoming::default();
    loop {
        let frame = match next_frame(shared, stream, &mut incoming, stopping).await {
            Ok(Some(frame)) => frame,
            Ok(None) | Err(End::Left) => return None,
            Err(end) => return Some(end.to_string()),
        };
        match dispatch::serve(shared, client, frame).await {
            Served::Reply(reply) => {
                seat.has_asked();
                if !send(stream, reply, &shared.bounds).await {
                    return None;
                }
            }
            Served::Silence => seat.has_asked(),
            Served::Close(why) => return Some(why),
        }
    }
}

/// The next frame, or nothing when the broker stops and no frame is there yet.
async fn next_frame(
    shared: &SharedCore,
    stream: &mut TcpStream,
    incoming: &mut Incoming,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Option<Bytes>, End> {
    if let Some(frame) = incoming.arrived()? {
        return Ok(Some(frame));
    }
    tokio::select! {
        frame = incoming.next(stream, &shared.bounds, &shared.request_budget) => frame.map(Some),
        // Its sender is gone with a server that was dropped, and this task with it.
        _ = stopping.wait_for(|stopping| *stopping) => Ok(None),
    }
}

/// Whether the client has taken the reply. One that takes nothing of it for too long has not, nor one that takes it by drops.
async fn send(stream: &mut TcpStream, mut reply: Reply, bounds: &Bounds) -> bool {
    let begun = Instant::now();
    while !reply.frame.is_empty() && begun.elapsed() < bounds.whole_answer {
        match timeout(bounds.answer, stream.write_buf(&mut reply.frame)).await {
            Ok(Ok(written)) if written > 0 => {}
            _ => return false,
        }
    }
    reply.frame.is_empty()
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
