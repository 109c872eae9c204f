//! Control connection of a running broker, client and server side: a command and the broker's id, answered by a line of
//! JSON.
//!
//! `lease` keeps the broker running while the connection is open, which is as long as the client process lives. On it
//! the broker sends a line of JSON when it cannot write data. `status` returns its document. `stop` asks it to end; the
//! connection ends with its process.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use super::address_file::AddressFile;
use super::status::BrokerDocument;
use crate::clock::Deadline;

/// The timeout for a client's request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// The same when many connections are without a request: a real client sends it in its first packet.
const CROWDED_REQUEST_TIMEOUT: Duration = Duration::from_millis(300);

/// The most connections without a request yet. Further ones wait in the system's backlog.
const MAX_PENDING: usize = 100;

/// The longest request.
const MAX_REQUEST_BYTES: u64 = 200;

/// The longest message on a lease.
const MAX_MESSAGE_BYTES: u64 = 4_096;

/// How long the same message is not repeated on a lease.
const REPEAT_AFTER: Duration = Duration::from_secs(10);

const GRANTED: &str = "{\"granted\":true}";

/// Keeps the broker running. The kernel closes the connection with the process, however it ends.
#[derive(Debug)]
pub struct Lease {
    line: TcpStream,
}

impl Drop for Lease {
    // The listening thread has a clone of the connection, so dropping it is not enough.
    fn drop(&mut self) {
        // An error means that it is closed already.
        self.line.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

/// A message on a lease.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseMessage {
    /// Why data could not be written.
    unwritten: String,
}

impl Lease {
    /// Requests a lease. `None` when the broker is not running, is another one, or is stopping.
    ///
    /// # Errors
    ///
    /// When this process has no free file descriptor.
    pub fn acquire(broker: &AddressFile, bound: Duration) -> io::Result<Option<Self>> {
        let Some((line, reply)) = ask(broker, "lease", bound)? else { return Ok(None) };
        Ok((reply == GRANTED).then_some(Self { line }))
    }

    /// Calls `report` with each write error of the broker, on another thread, until the connection ends.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn listen(&self, report: impl Fn(&str) + Send + 'static) -> io::Result<()> {
        let line = self.line.try_clone()?;
        line.set_read_timeout(None)?;
        std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
            let mut line = BufReader::new(line);
            let mut text = String::new();
            while let Ok(1..) = line.by_ref().take(MAX_MESSAGE_BYTES).read_line(&mut text) {
                if let Ok(LeaseMessage { unwritten }) = serde_json::from_str(&text) {
                    report(&unwritten);
                }
                text.clear();
            }
        })?;
        Ok(())
    }
}

/// The document of the running broker. `None` when the broker of the file is not running.
///
/// # Errors
///
/// When this process has no free file descriptor.
pub fn status(broker: &AddressFile, bound: Duration) -> io::Result<Option<BrokerDocument>> {
    let Some((_, reply)) = ask(broker, "status", bound)? else { return Ok(None) };
    Ok(serde_json::from_str(&reply).ok())
}

/// The result of a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopResult {
    /// The broker of the file was not running.
    NotRunning,
    Exited,
    /// It was still running after the timeout.
    StillRunning,
}

/// Asks the broker to stop and waits until its process has ended.
///
/// # Errors
///
/// When this process has no free file descriptor.
pub fn stop(broker: &AddressFile, bound: Duration) -> io::Result<StopResult> {
    let deadline = Deadline::after(bound);
    let Some((mut line, _)) = ask(broker, "stop", bound)? else { return Ok(StopResult::NotRunning) };
    loop {
        let remaining = deadline.remaining();
        if remaining.is_zero() || line.set_read_timeout(Some(remaining)).is_err() {
            return Ok(StopResult::StillRunning);
        }
        match line.read(&mut [0; 64]) {
            Ok(more) if more > 0 => {}
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(StopResult::StillRunning);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Closed or reset: the process has ended.
            _ => return Ok(StopResult::Exited),
        }
    }
}

/// Sends a request to the broker of the file; `None` when it is not running. Without a free file descriptor that is
/// unknown.
fn ask(broker: &AddressFile, command: &str, bound: Duration) -> io::Result<Option<(TcpStream, String)>> {
    match send_request(broker, command, bound) {
        Err(error) if [Some(Errno::MFILE), Some(Errno::NFILE)].contains(&Errno::from_io_error(&error)) => Err(error),
        answer => Ok(answer.ok()),
    }
}

fn send_request(broker: &AddressFile, command: &str, bound: Duration) -> io::Result<(TcpStream, String)> {
    let deadline = Deadline::after(bound);
    let remaining = || deadline.remaining().max(Duration::from_millis(1));
    let mut line = TcpStream::connect_timeout(&broker.control, remaining())?;
    line.set_nodelay(true)?;
    line.set_write_timeout(Some(remaining()))?;
    line.set_read_timeout(Some(remaining()))?;
    line.write_all(format!("{command} {}\n", broker.id).as_bytes())?;
    let mut reply = String::new();
    // The bytes after the reply to a lease belong to `listen`, so read one at a time.
    let ahead = if command == "lease" { 1 } else { 8 << 10 };
    BufReader::with_capacity(ahead, &line).read_line(&mut reply)?;
    match reply.strip_suffix('\n') {
        Some(reply) => Ok((line, reply.to_owned())),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// The leases of a broker. Once they are closed, none is granted.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    held: watch::Sender<LeaseState>,
    messages: watch::Sender<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct LeaseState {
    count: usize,
    closed: bool,
}

impl Leases {
    /// How many leases are held.
    #[must_use]
    pub fn count(&self) -> usize {
        self.held.borrow().count
    }

    /// Closes the leases if none is held, in one step, so that a stopping broker grants none.
    #[must_use]
    pub fn close_if_none(&self) -> bool {
        self.held.send_if_modified(|held| {
            held.closed |= held.count == 0;
            held.closed
        })
    }

    /// Waits until no lease is held.
    pub async fn wait_none(&self) {
        // Never closed: the sender is in `self`.
        drop(self.held.subscribe().wait_for(|held| held.count == 0).await);
    }

    /// Waits until a lease is held.
    pub async fn wait_any(&self) {
        drop(self.held.subscribe().wait_for(|held| held.count > 0).await);
    }

    /// Sends a write error to every holder of a lease.
    pub fn send_write_error(&self, unwritten: &str) {
        self.messages.send_replace(unwritten.to_owned());
    }

    fn grant(&self) -> Option<GrantedLease> {
        let granted = self.held.send_if_modified(|held| {
            held.count += usize::from(!held.closed);
            !held.closed
        });
        granted.then(|| GrantedLease(self.clone()))
    }
}

/// A granted lease; dropping it returns it.
struct GrantedLease(Leases);

impl Drop for GrantedLease {
    fn drop(&mut self) {
        self.0.held.send_modify(|held| held.count -= 1);
    }
}

/// A request for the broker process.
#[derive(Debug)]
pub enum ControlRequest {
    /// Return the document.
    Status(oneshot::Sender<BrokerDocument>),
    /// Stop.
    Stop,
}

/// Serves control connections until dropped.
pub async fn serve(listener: TcpListener, id: String, leases: Leases, requests: mpsc::Sender<ControlRequest>) {
    let pending = Arc::new(Semaphore::new(MAX_PENDING));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&pending).acquire_owned().await else { return };
        let is_crowded = pending.available_permits() < MAX_PENDING / 2;
        let timeout = if is_crowded { CROWDED_REQUEST_TIMEOUT } else { REQUEST_TIMEOUT };
        match listener.accept().await {
            Ok((line, _)) => {
                let (id, leases, requests) = (id.clone(), leases.clone(), requests.clone());
                // An error ends the connection.
                tokio::spawn(
                    async move { drop(serve_connection(line, (permit, timeout), &id, &leases, &requests).await) },
                );
            }
            // No file descriptor is free: wait for a connection that ends.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn serve_connection(
    line: tokio::net::TcpStream,
    (permit, timeout): (OwnedSemaphorePermit, Duration),
    id: &str,
    leases: &Leases,
    requests: &mpsc::Sender<ControlRequest>,
) -> io::Result<()> {
    line.set_nodelay(true)?;
    let (reader, mut writer) = line.into_split();
    let mut reader = tokio::io::BufReader::new(reader.take(MAX_REQUEST_BYTES));
    let mut request = String::new();
    tokio::time::timeout(timeout, reader.read_line(&mut request)).await??;
    let Some((command, client_id)) = request.trim_end().split_once(' ') else { return Ok(()) };
    if client_id != id {
        return Ok(());
    }
    drop(permit);
    let mut reader = reader.into_inner().into_inner();
    let mut rest = [0; 64];
    match command {
        "lease" => {
            let Some(_granted) = leases.grant() else { return Ok(()) };
            let mut messages = leases.messages.subscribe();
            writer.write_all(format!("{GRANTED}\n").as_bytes()).await?;
            let mut last = (String::new(), tokio::time::Instant::now());
            loop {
                tokio::select! {
                    read = reader.read(&mut rest) => if read? == 0 { break },
                    Ok(()) = messages.changed() => {
                        let unwritten = messages.borrow_and_update().clone();
                        if unwritten == last.0 && last.1.elapsed() < REPEAT_AFTER {
                            continue;
                        }
                        let line = serde_json::to_string(&LeaseMessage { unwritten: unwritten.clone() })? + "\n";
                        // A client that does not read keeps its lease and misses messages.
                        let write = writer.write_all(line.as_bytes());
                        tokio::time::timeout(REQUEST_TIMEOUT, write).await.unwrap_or(Ok(()))?;
                        last = (unwritten, tokio::time::Instant::now());
                    }
                }
            }
        }
        "status" => {
            let (sender, receiver) = oneshot::channel();
            if requests.send(ControlRequest::Status(sender)).await.is_ok()
                && let Ok(document) = receiver.await
            {
                let document = serde_json::to_string(&document)?;
                writer.write_all(format!("{document}\n").as_bytes()).await?;
            }
        }
        "stop" => {
            writer.write_all(format!("{GRANTED}\n").as_bytes()).await?;
            // If the receiver is gone, the process is stopping already.
            drop(requests.send(ControlRequest::Stop).await);
            // The client waits for the end of the process, so neither this task nor the runtime may close the
            // connection earlier.
            std::mem::forget((reader, writer));
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
#[path = "control_connection_tests.rs"]
pub(super) mod tests;
