//! Connection through a proxy: its requests, its replies, and delayed replies.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::{Buf, Bytes};
use kafka_protocol::messages::ApiKey;

use super::corruption;
use super::rule::Action;
use super::state::{Connection, Direction, Passage, Shared};

/// Maximum length of a frame; the same as Kafka's.
const LONGEST_FRAME: usize = 100 << 20;
/// Maximum number of delayed replies. After that no more are read from the broker.
const MOST_WAITING: usize = 1_000;

/// API key and version of the requests without a reply, by correlation id.
#[derive(Clone, Default)]
struct Unanswered(Arc<Mutex<BTreeMap<i32, (ApiKey, i16)>>>);

impl Unanswered {
    fn insert(&self, request: &[u8]) -> io::Result<()> {
        let mut header = request;
        if header.remaining() < 8 {
            return Err(invalid("a frame without a header"));
        }
        let (api, version, correlation) = (header.get_i16(), header.get_i16(), header.get_i32());
        let api = ApiKey::try_from(api).map_err(|()| invalid(&format!("API key {api}")))?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(correlation, (api, version));
        Ok(())
    }

    fn take(&self, mut reply: &[u8]) -> io::Result<(ApiKey, i16)> {
        let correlation = reply.try_get_i32().map_err(|_| invalid("a reply without a correlation id"))?;
        let found = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&correlation);
        found.ok_or_else(|| invalid(&format!("a reply without a request: correlation id {correlation}")))
    }
}

/// A reply that is forwarded to the client when it is due.
struct Reply {
    due: Instant,
    action: Option<Action>,
    frame: Bytes,
}

/// Connects a client to the broker. If the broker cannot be reached, the client's connection is closed.
pub fn connect(shared: &Arc<Shared>, client: TcpStream) {
    shared.change(|state| state.counts.connections += 1);
    let Ok(broker) = TcpStream::connect(&shared.broker) else { return };
    let joined = || -> io::Result<_> {
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        Ok((Connection::new(client.try_clone()?, broker.try_clone()?), client.try_clone()?, broker.try_clone()?))
    };
    let (connect, client_again, broker_again) = match joined() {
        Ok(joined) => joined,
        Err(error) => return shared.change(|state| state.problems.push(format!("a connection: {error}"))),
    };
    let (id, closed) = shared.change(|state| {
        state.connections.insert(state.counts.connections, connect);
        (state.counts.connections, state.closed)
    });
    if closed {
        return shared.cut(id);
    }
    let unanswered = Unanswered::default();
    let (sender, receiver) = sync_channel(MOST_WAITING);
    run(shared, {
        let unanswered = unanswered.clone();
        move |shared| {
            requests(shared, id, client, broker, &unanswered)?;
            // The client has disconnected.
            shared.cut(id);
            Ok(())
        }
    });
    // If the broker closes the connection, the last thread still delivers the earlier replies.
    run(shared, move |shared| replies(shared, broker_again, &unanswered, &sender));
    run(shared, move |shared| {
        let result = deliver(shared, id, client_again, &receiver);
        shared.cut(id);
        result
    });
}

/// Runs a thread of a connection. An error that does not come from a closed connection is a problem.
fn run(shared: &Arc<Shared>, work: impl FnOnce(&Shared) -> io::Result<()> + Send + 'static) {
    let shared = Arc::clone(shared);
    std::thread::spawn(move || {
        if let Err(error) = work(&shared)
            && error.kind() == ErrorKind::InvalidData
        {
            shared.change(|state| state.problems.push(error.to_string()));
        }
    });
}

fn requests(
    shared: &Shared,
    id: u64,
    mut client: TcpStream,
    mut broker: TcpStream,
    unanswered: &Unanswered,
) -> io::Result<()> {
    loop {
        let request = match next_frame(&mut client)? {
            Next::Frame(request) => request,
            Next::Other(bytes) => {
                // Probably a TLS probe: it is passed to the broker.
                return match shared.gate(id, Direction::Request) {
                    Passage::Forward => {
                        broker.write_all(&bytes)?;
                        io::copy(&mut client, &mut broker).map(drop)
                    }
                    Passage::Drop => io::copy(&mut client, &mut io::sink()).map(drop),
                    Passage::Closed => Ok(()),
                };
            }
            Next::End => return Ok(()),
        };
        shared.change(|state| state.counts.requests += 1);
        unanswered.insert(&request)?;
        match shared.gate(id, Direction::Request) {
            Passage::Forward => send(&mut broker, &request, usize::MAX)?,
            Passage::Drop => {}
            Passage::Closed => return Ok(()),
        }
    }
}

/// When this thread ends, its channel closes and `deliver` ends too.
fn replies(
    shared: &Shared,
    mut broker: TcpStream,
    unanswered: &Unanswered,
    sender: &SyncSender<Reply>,
) -> io::Result<()> {
    loop {
        let frame = match next_frame(&mut broker)? {
            Next::Frame(frame) => frame,
            Next::Other(_) => return Err(invalid("a reply with an invalid length")),
            Next::End => return Ok(()),
        };
        let (api, version) = unanswered.take(&frame)?;
        let action = shared.change(|state| state.on_reply(api));
        let now = Instant::now();
        let due = if let Some(Action::Delay(by)) = action { now + by } else { now };
        let frame = match action {
            Some(Action::Truncate) => shared.routes.truncate(api, version, frame),
            Some(Action::Corrupt(corruption)) => corruption::apply(shared, corruption, version, frame),
            _ => shared.routes.rewrite(api, version, frame),
        };
        if api == ApiKey::Metadata {
            corruption::learn(shared, version, frame.as_ref().unwrap_or(&Bytes::new()));
        }
        let frame = frame.map_err(|error| invalid(&error))?;
        if sender.send(Reply { due, action, frame }).is_err() {
            return Ok(());
        }
    }
}

fn deliver(shared: &Shared, id: u64, mut client: TcpStream, receiver: &Receiver<Reply>) -> io::Result<()> {
    for reply in receiver {
        shared.wait_for(id, reply.due);
        match shared.gate(id, Direction::Reply) {
            Passage::Forward => {}
            Passage::Drop => continue,
            Passage::Closed => return Ok(()),
        }
        let forced_cut =
            shared.change(|state| state.connections.get_mut(&id).and_then(|connect| connect.cut_after.take()));
        match forced_cut.map(Action::CutAfter).or(reply.action) {
            None | Some(Action::Delay(_) | Action::BlackHole(_) | Action::Corrupt(_)) => {
                send(&mut client, &reply.frame, usize::MAX)?;
            }
            Some(Action::Truncate) => {
                shared.change(|state| state.counts.truncated += 1);
                send(&mut client, &reply.frame, usize::MAX)?;
            }
            Some(Action::Lose) => shared.change(|state| state.counts.lost += 1),
            Some(Action::LoseWithConnection) => {
                shared.change(|state| state.counts.lost += 1);
                return Ok(());
            }
            Some(Action::CutAfter(bytes)) => {
                send(&mut client, &reply.frame, bytes)?;
                shared.change(|state| state.counts.cut += 1);
                return Ok(());
            }
        }
    }
    // The broker has closed. The client learns this like a reply, after stalls and black holes.
    shared.wait_to_close(id);
    Ok(())
}

/// Sends a frame with its length prefix: all of it, or the first `bytes` and never the last byte.
fn send(stream: &mut TcpStream, frame: &[u8], bytes: usize) -> io::Result<()> {
    let length = u32::try_from(frame.len()).map_err(|_| invalid("a frame that is too long"))?;
    let whole = [&length.to_be_bytes(), frame].concat();
    stream.write_all(if bytes == usize::MAX { &whole } else { &whole[..bytes.min(whole.len() - 1)] })
}

enum Next {
    /// A frame without its length prefix.
    Frame(Bytes),
    /// Bytes that cannot be a length.
    Other([u8; 4]),
    /// End of the stream, including one within a frame.
    End,
}

fn next_frame(stream: &mut TcpStream) -> io::Result<Next> {
    let mut length = [0; 4];
    let ended = |error: io::Error| if error.kind() == ErrorKind::UnexpectedEof { Ok(Next::End) } else { Err(error) };
    if let Err(error) = stream.read_exact(&mut length) {
        return ended(error);
    }
    let bytes = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if bytes > LONGEST_FRAME {
        return Ok(Next::Other(length));
    }
    let mut frame = vec![0; bytes];
    match stream.read_exact(&mut frame) {
        Ok(()) => Ok(Next::Frame(frame.into())),
        Err(error) => ended(error),
    }
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what.to_owned())
}
