//! A client connection: reads frames and writes responses, one request at a time, as Kafka does.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Duration, Instant, timeout};

use super::connection_limits::ConnectionLimits;
use super::connection_registry::Registration;
use super::dispatch::{self, RequestOutcome, ResponseFrame};
use super::events::BrokerEvent;
use super::request_reader::{ReadError, RequestReader};
use super::response::Client;
use super::shared_core::SharedCore;

/// How long a stop waits for a client to read its last response before the connection is closed.
const LINGER: Duration = Duration::from_millis(500);

/// Serves a connection until the client disconnects, sends an invalid request, exceeds a timeout, or the broker stops.
/// Requests that were read before a stop are answered in full first.
pub async fn serve(
    shared: Arc<SharedCore>,
    mut stream: TcpStream,
    peer: SocketAddr,
    registration: Registration,
    mut stopping: watch::Receiver<bool>,
) {
    shared.notify(&BrokerEvent::Connected { peer });
    let mut client = Client { connection: registration.number, id: String::new(), host: format!("/{}", peer.ip()) };
    let reason = tokio::select! {
        reason = serve_requests(&shared, &mut stream, &mut client, &registration, &mut stopping) => reason,
        () = registration.evicted() => Some("it was idle and was closed for a new connection".to_owned()),
    };
    if *stopping.borrow() {
        linger(&mut stream).await;
    }
    shared.notify(&BrokerEvent::Disconnected { peer, client_id: client.id, reason });
}

/// Returns the reason for closing the connection, or `None` if the client closed it or the broker stops.
async fn serve_requests(
    shared: &SharedCore,
    stream: &mut TcpStream,
    client: &mut Client,
    registration: &Registration,
    stopping: &mut watch::Receiver<bool>,
) -> Option<String> {
    let mut reader = RequestReader::default();
    loop {
        let frame = match next_frame(shared, stream, &mut reader, stopping).await {
            Ok(Some(frame)) => frame,
            Ok(None) | Err(ReadError::Closed) => return None,
            Err(end) => return Some(end.to_string()),
        };
        match dispatch::serve(shared, client, frame).await {
            RequestOutcome::Respond(reply) => {
                registration.served_request();
                if !send(stream, reply, &shared.limits).await {
                    return None;
                }
            }
            RequestOutcome::NoResponse => registration.served_request(),
            RequestOutcome::Close(why) => return Some(why),
        }
    }
}

/// Reads the next frame. Returns `None` if the broker stops and no frame has arrived.
async fn next_frame(
    shared: &SharedCore,
    stream: &mut TcpStream,
    reader: &mut RequestReader,
    stopping: &mut watch::Receiver<bool>,
) -> Result<Option<Bytes>, ReadError> {
    if let Some(frame) = reader.buffered()? {
        return Ok(Some(frame));
    }
    tokio::select! {
        frame = reader.next(stream, &shared.limits, &shared.request_budget) => frame.map(Some),
        // An error means that the server was dropped, and this task with it.
        _ = stopping.wait_for(|stopping| *stopping) => Ok(None),
    }
}

/// Sends a response. Returns whether all of it was sent: `limits.response_stall_timeout` limits each write,
/// `limits.response_timeout` all of them, so that a client that reads a few bytes at a time does not hold the connection.
async fn send(stream: &mut TcpStream, mut reply: ResponseFrame, limits: &ConnectionLimits) -> bool {
    let begun = Instant::now();
    while !reply.frame.is_empty() && begun.elapsed() < limits.response_timeout {
        match timeout(limits.response_stall_timeout, stream.write_buf(&mut reply.frame)).await {
            Ok(Ok(written)) if written > 0 => {}
            _ => return false,
        }
    }
    reply.frame.is_empty()
}

/// Shuts down the sending side and waits for the client to close. Closing a socket with unread requests resets the
/// connection, and a reset may discard a response that the client has not read yet.
async fn linger(stream: &mut TcpStream) {
    let closed = async {
        stream.shutdown().await?;
        let mut unread = [0; 4096];
        while stream.read(&mut unread).await? > 0 {}
        std::io::Result::Ok(())
    };
    // An error or a timeout changes nothing: the connection is closed next.
    timeout(LINGER, closed).await.ok();
}
