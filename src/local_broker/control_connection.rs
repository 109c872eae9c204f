//! Owns the control line of a running broker, both ends of it: one word and the broker's id, one line of JSON back.
//!
//! `lease` keeps the broker as long as the connection stands, which is as long as the process that asked lives; on it the broker
//! says, a line of JSON each time, why it cannot write what that process waits for.
//! `status` asks for its document. `stop` asks it to end, and the connection ends with its process.

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

/// One who says nothing for so long wants nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// The same where many say nothing: whoever wants something has said it with his first packet.
const LITTLE_PATIENCE: Duration = Duration::from_millis(300);

/// Connections that have not said yet what they want; more wait in the system's queue until one of these has, or its time is up.
const MOST_STRANGERS: usize = 100;

/// Longer than any request, and short enough for anybody's.
const LONGEST_REQUEST: u64 = 200;

/// Longer than anything that is said on a lease.
const LONGEST_WORDS: u64 = 4_096;

/// How long nothing is said again on a lease that was said on it.
const SAY_AGAIN: Duration = Duration::from_secs(10);

const GRANTED: &str = "{\"granted\":true}";

/// The broker stays while this is held. The kernel lets go of it with the process, however that ends.
#[derive(Debug)]
pub struct Lease {
    line: TcpStream,
}

impl Drop for Lease {
    /// Also for the thread that listens, which holds the connection too.
    fn drop(&mut self) {
        // An error means that it has ended already.
        self.line.shutdown(Shutdown::Both).unwrap_or_default();
    }
}

/// What a broker says on a lease.
#[derive(Debug, Serialize, Deserialize)]
struct LeaseMessage {
    /// Why data could not be written.
    unwritten: String,
}

impl Lease {
    /// Asks for the broker to stay. `None` when it is not there, is another, or is leaving already.
    ///
    /// # Errors
    ///
    /// When this process cannot ask.
    pub fn acquire(broker: &AddressFile, bound: Duration) -> io::Result<Option<Self>> {
        let Some((line, reply)) = ask(broker, "lease", bound)? else { return Ok(None) };
        Ok((reply == GRANTED).then_some(Self { line }))
    }

    /// Hears what the broker has to say, until one of the two ends.
    ///
    /// # Errors
    ///
    /// When there is no thread for it.
    pub fn listen(&self, tell: impl Fn(&str) + Send + 'static) -> io::Result<()> {
        let line = self.line.try_clone()?;
        line.set_read_timeout(None)?;
        std::thread::Builder::new().name("lease".to_owned()).spawn(move || {
            let mut line = BufReader::new(line);
            let mut said = String::new();
            while let Ok(1..) = line.by_ref().take(LONGEST_WORDS).read_line(&mut said) {
                if let Ok(LeaseMessage { unwritten }) = serde_json::from_str(&said) {
                    tell(&unwritten);
                }
                said.clear();
            }
        })?;
        Ok(())
    }
}

/// The document of the running broker. `None` when the one that the file names is not there.
///
/// # Errors
///
/// When this process cannot ask.
pub fn status(broker: &AddressFile, bound: Duration) -> io::Result<Option<BrokerDocument>> {
    let Some((_, reply)) = ask(broker, "status", bound)? else { return Ok(None) };
    Ok(serde_json::from_str(&reply).ok())
}

/// How the wish that a broker ends turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StopResult {
    /// The one that the file names is not there.
    NotRunning,
    /// Its process has ended.
    Exited,
    /// It heard, and was still there when the bound had passed.
    StillRunning,
}

/// Asks the broker to end and waits until its process has.
///
/// # Errors
///
/// When this process cannot ask.
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
            // Closed or reset: the process is gone.
            _ => return Ok(StopResult::Exited),
        }
    }
}

/// Asks the broker that the file names; `None` when it is not there. A process that cannot open one more file does not know.
fn ask(broker: &AddressFile, word: &str, bound: Duration) -> io::Result<Option<(TcpStream, String)>> {
    match converse_with(broker, word, bound) {
        Err(error) if [Some(Errno::MFILE), Some(Errno::NFILE)].contains(&Errno::from_io_error(&error)) => Err(error),
        answer => Ok(answer.ok()),
    }
}

fn converse_with(broker: &AddressFile, word: &str, bound: Duration) -> io::Result<(TcpStream, String)> {
    let deadline = Deadline::after(bound);
    let remaining = || deadline.remaining().max(Duration::from_millis(1));
    let mut line = TcpStream::connect_timeout(&broker.control, remaining())?;
    line.set_nodelay(true)?;
    line.set_write_timeout(Some(remaining()))?;
    line.set_read_timeout(Some(remaining()))?;
    line.write_all(format!("{word} {}\n", broker.id).as_bytes())?;
    let mut reply = String::new();
    // One byte at a time where more may follow, which is another's to read.
    let ahead = if word == "lease" { 1 } else { 8 << 10 };
    BufReader::with_capacity(ahead, &line).read_line(&mut reply)?;
    match reply.strip_suffix('\n') {
        Some(reply) => Ok((line, reply.to_owned())),
        None => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Who holds the broker, and what is said to them. Once it is closed nobody can.
#[derive(Debug, Clone, Default)]
pub struct Leases {
    held: watch::Sender<LeaseState>,
    words: watch::Sender<String>,
}

#[derive(Debug, Clone, Copy, Default)]
struct LeaseState {
    count: usize,
    closed: bool,
}

impl Leases {
    /// How many are held now.
    #[must_use]
    pub fn count(&self) -> usize {
        self.held.borrow().count
    }

    /// Grants no more, if none is held: in one step, so that nobody is granted one by a broker that leaves.
    #[must_use]
    pub fn close_if_none(&self) -> bool {
        self.held.send_if_modified(|held| {
            held.closed |= held.count == 0;
            held.closed
        })
    }

    /// Resolves once none is held.
    pub async fn wait_none(&self) {
        // The sender is this one's own: it cannot be gone.
        drop(self.held.subscribe().wait_for(|held| held.count == 0).await);
    }

    /// Resolves once one is held.
    pub async fn wait_any(&self) {
        drop(self.held.subscribe().wait_for(|held| held.count > 0).await);
    }

    /// Says to all who hold it why data cannot be written.
    pub fn send_write_error(&self, unwritten: &str) {
        self.words.send_replace(unwritten.to_owned());
    }

    fn grant(&self) -> Option<GrantedLease> {
        let granted = self.held.send_if_modified(|held| {
            held.count += usize::from(!held.closed);
            !held.closed
        });
        granted.then(|| GrantedLease(self.clone()))
    }
}

/// One granted lease, given back when dropped.
struct GrantedLease(Leases);

impl Drop for GrantedLease {
    fn drop(&mut self) {
        self.0.held.send_modify(|held| held.count -= 1);
    }
}

/// What is asked of the broker's host over the control line.
#[derive(Debug)]
pub enum ControlRequest {
    /// To tell how the broker stands.
    Status(oneshot::Sender<BrokerDocument>),
    /// To end.
    Stop,
}

/// Serves the control line until dropped.
pub async fn serve(listener: TcpListener, id: String, leases: Leases, requests: mpsc::Sender<ControlRequest>) {
    let strangers = Arc::new(Semaphore::new(MOST_STRANGERS));
    loop {
        // It is never closed.
        let Ok(stranger) = Arc::clone(&strangers).acquire_owned().await else { return };
        let is_crowded = strangers.available_permits() < MOST_STRANGERS / 2;
        let patience = if is_crowded { LITTLE_PATIENCE } else { PATIENCE };
        match listener.accept().await {
            Ok((line, _)) => {
                let (id, leases, requests) = (id.clone(), leases.clone(), requests.clone());
                // One who breaks off has taken everything with him.
                tokio::spawn(async move { drop(converse(line, (stranger, patience), &id, &leases, &requests).await) });
            }
            // No file descriptor is free: some come back with the next connection that ends.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

async fn converse(
    line: tokio::net::TcpStream,
    (stranger, patience): (OwnedSemaphorePermit, Duration),
    id: &str,
    leases: &Leases,
    requests: &mpsc::Sender<ControlRequest>,
) -> io::Result<()> {
    line.set_nodelay(true)?;
    let (reader, mut writer) = line.into_split();
    let mut reader = tokio::io::BufReader::new(reader.take(LONGEST_REQUEST));
    let mut request = String::new();
    tokio::time::timeout(patience, reader.read_line(&mut request)).await??;
    let Some((word, told)) = request.trim_end().split_once(' ') else { return Ok(()) };
    if told != id {
        return Ok(());
    }
    drop(stranger);
    let mut reader = reader.into_inner().into_inner();
    let mut rest = [0; 64];
    match word {
        "lease" => {
            let Some(_granted) = leases.grant() else { return Ok(()) };
            let mut words = leases.words.subscribe();
            writer.write_all(format!("{GRANTED}\n").as_bytes()).await?;
            let mut said = (String::new(), tokio::time::Instant::now());
            loop {
                tokio::select! {
                    read = reader.read(&mut rest) => if read? == 0 { break },
                    Ok(()) = words.changed() => {
                        let unwritten = words.borrow_and_update().clone();
                        if unwritten == said.0 && said.1.elapsed() < SAY_AGAIN {
                            continue;
                        }
                        let line = serde_json::to_string(&LeaseMessage { unwritten: unwritten.clone() })? + "\n";
                        // One who does not read keeps his lease, and hears no more.
                        let write = writer.write_all(line.as_bytes());
                        tokio::time::timeout(PATIENCE, write).await.unwrap_or(Ok(()))?;
                        said = (unwritten, tokio::time::Instant::now());
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
            // A host that no longer listens is ending already.
            drop(requests.send(ControlRequest::Stop).await);
            // The other side waits for the process to be gone, so nothing less may close this: not the end of this task, nor
            // that of the runtime.
            std::mem::forget((reader, writer));
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
#[path = "control_connection_tests.rs"]
pub(super) mod tests;
