//! Owns one client's connection: frames in, frames out, one request at a time, as Kafka serves them.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::answer::Client;
use super::dispatch::{self, Served};
use super::hall::Hall;
use super::notice::Notice;
use super::wire::{Frames, Rubbish};

/// A buffer that grew beyond this is given back once it is empty.
const KEPT_BUFFER: usize = 1 << 20;

/// Serves a connection until the client leaves or sends what cannot be understood.
pub async fn serve(hall: Arc<Hall>, mut stream: TcpStream, peer: SocketAddr, number: u64) {
    hall.notice(&Notice::Connected { peer });
    let mut client = Client { connection: number, id: String::new(), host: format!("/{}", peer.ip()) };
    let rubbish = converse(&hall, &mut stream, &mut client).await;
    hall.notice(&Notice::Disconnected { peer, client_id: client.id, rubbish });
}

/// Returns what was wrong with what the client sent, if that ended it.
async fn converse(hall: &Hall, stream: &mut TcpStream, client: &mut Client) -> Option<String> {
    let mut buffer = BytesMut::new();
    loop {
        let frame = match next_frame(stream, &mut buffer).await {
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

/// The next frame, or nothing when the client has left.
async fn next_frame(stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Option<Bytes>, Rubbish> {
    loop {
        if let Some(frame) = Frames::default().next(buffer)? {
            return Ok(Some(frame));
        }
        match stream.read_buf(buffer).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}
