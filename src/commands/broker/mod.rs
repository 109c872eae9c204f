//! `broker`: the embedded broker as a process, in the foreground or in the background.

use std::cell::RefCell;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc::{self, UnboundedReceiver};

mod control;
mod messages;

pub use control::{status, stop};

use messages::{StartFailure, describe, is_warning, start_failure};

use super::Context;
use crate::broker::{BrokerConfig, BrokerEvent, Directory, NodeSettings, Server};
use crate::clock::{self, Deadline};
use crate::domain::EventTime;
use crate::exit::{Code, Failure, Outcome};
use crate::local_broker::{
    AddressFile, BrokerDocument, ControlRequest, GroupRow, Leases, StartupMessage, TopicRow, open_or_create, serve,
    unwritable,
};
use crate::output::OutputFile;
use crate::printable;
use crate::settings::BrokerSettings;

/// How often the broker checks that it still owns its data directory.
const OWNERSHIP_CHECK: Duration = Duration::from_secs(2);

/// A write error is not repeated within this time.
const REPEAT_AFTER: Duration = Duration::from_secs(10);

/// Runs a broker until it is stopped or idle for too long. Fails with exit code 2 if the address is not available, 7 if
/// the data must not be touched, 8 if it cannot be written.
pub fn run(context: &Context, settings: &BrokerSettings) -> Outcome {
    let outcome = context.runtime.block_on(start_and_serve(context, settings));
    match outcome {
        // Another process is the broker; the parent process will find it.
        Err(StartFailure::Locked(holder, _)) if settings.background => {
            report_to_parent(context, &StartupMessage::Locked { holder }).map(|()| Code::Done)
        }
        Err(StartFailure::Locked(_, failure) | StartFailure::Other(failure)) => {
            if settings.background {
                let Failure { code, message, hint, .. } = failure.clone();
                report_to_parent(context, &StartupMessage::Failed { code: code.number(), message, hint })?;
            }
            Err(failure)
        }
        Ok(outcome) => outcome,
    }
}

/// Returns the failure of the start, or the outcome of the running broker.
async fn start_and_serve(context: &Context, settings: &BrokerSettings) -> Result<Outcome, StartFailure> {
    let report = context.open_report()?;
    let folder = settings.folder.as_deref().map(open_or_create).transpose()?;
    let (sender, mut events) = mpsc::unbounded_channel();
    let config = BrokerConfig {
        listen: settings.listen,
        advertise: settings.advertise.clone(),
        settings: NodeSettings { fsync: settings.fsync, ..NodeSettings::default() },
        // The receiver is gone when the broker is ending.
        listener: Arc::new(move |event| drop(sender.send(event.clone()))),
        ..folder.as_ref().map_or_else(BrokerConfig::in_memory, |folder| BrokerConfig::in_directory(folder.path()))
    };
    let server = Server::start(config).await.map_err(|error| start_failure(error, settings))?;
    if !settings.listen.ip().is_loopback() {
        context.console.warn(&format!(
            "anyone who can connect to {} can read and write all data: the embedded broker has neither TLS nor authentication",
            server.address()
        ));
    }
    let mut process = BrokerProcess {
        context,
        settings,
        server,
        claim: None,
        leases: Leases::default(),
        reported: RefCell::default(),
    };
    let requests = process.open_control().await?;
    let outcome = match process.announce(&mut events, report) {
        Ok(()) => process.serve(events, requests).await,
        Err(failure) => Err(failure),
    };
    Ok(process.end(outcome).await)
}

/// The first line of a background broker, the only one that the parent process reads.
fn report_to_parent(context: &Context, word: &StartupMessage) -> Result<(), Failure> {
    let line = serde_json::to_string(word).map_err(|error| Failure::new(Code::Unexpected, error.to_string()))?;
    // The parent may have ended.
    context.console.print(&format!("{line}\n")).map(drop)
}

struct BrokerProcess<'a> {
    context: &'a Context,
    settings: &'a BrokerSettings,
    server: Server,
    /// The data directory and the content of its address file; `None` in memory.
    claim: Option<(Directory, AddressFile)>,
    leases: Leases,
    /// Recent write errors, each with the time until which it is not repeated.
    reported: RefCell<Vec<(String, Deadline)>>,
}

impl BrokerProcess<'_> {
    /// Writes the address file and listens on the control port that it names.
    async fn open_control(&mut self) -> Result<mpsc::Receiver<ControlRequest>, Failure> {
        let (sender, requests) = mpsc::channel(8);
        let Some(folder) = self.server.directory().cloned() else { return Ok(requests) };
        let unwritable = |error: std::io::Error| unwritable(&folder.path(), &error);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unwritable)?;
        let claim = AddressFile {
            id: self.context.process_id.clone(),
            pid: std::process::id(),
            address: reachable(self.server.address()),
            control: listener.local_addr().map_err(unwritable)?,
            since_millis: clock::wall_millis(),
            inode: folder.inode().map_err(unwritable)?,
        };
        tokio::spawn(serve(listener, claim.id.clone(), self.leases.clone(), sender));
        claim.write(&folder).map_err(unwritable)?;
        self.claim = Some((folder, claim));
        Ok(requests)
    }

    /// Reports the address: to the parent process, or on stdout.
    fn announce(&self, events: &mut UnboundedReceiver<BrokerEvent>, report: Option<OutputFile>) -> Result<(), Failure> {
        let mut notes = Vec::new();
        while let Ok(event) = events.try_recv() {
            if is_warning(&event) {
                notes.push(describe(&event));
            }
            self.report(&event);
        }
        match &self.claim {
            Some((_, claim)) if self.settings.background => {
                self.log(&format!("listening on {}, process {}", claim.address, claim.pid));
                report_to_parent(self.context, &StartupMessage::Ready { broker: claim.clone(), notes })
            }
            _ => {
                let data = self
                    .settings
                    .folder
                    .as_ref()
                    .map_or_else(|| "in memory".to_owned(), |folder| format!("in {}", printable::path(folder)));
                let text = format!("listening on {}, data {data}\n", self.server.address());
                self.context.print_document(&self.document(), &text, report)
            }
        }
    }

    async fn serve(
        &self,
        mut events: UnboundedReceiver<BrokerEvent>,
        mut requests: mpsc::Receiver<ControlRequest>,
    ) -> Outcome {
        let mut ownership_check = tokio::time::interval(OWNERSHIP_CHECK);
        let mut check_failed = false;
        // Pinned outside of the loop, so that other events do not restart the idle time.
        let mut idle_exit = pin!(idle_exit(&self.server, &self.leases, self.settings.idle));
        loop {
            tokio::select! {
                _ = self.context.shutdown.wait() => {
                    self.log("stopped by a signal");
                    return Ok(Code::Done);
                }
                () = &mut idle_exit => {
                    self.log("idle: stopping");
                    return Ok(Code::Done);
                }
                Some(event) = events.recv() => self.report(&event),
                Some(request) = requests.recv() => match request {
                    ControlRequest::Stop => {
                        self.log("stopped by a request");
                        return Ok(Code::Done);
                    }
                    // The client may have stopped waiting.
                    ControlRequest::Status(reply) => drop(reply.send(self.document())),
                },
                _ = ownership_check.tick() => {
                    match self.claim.as_ref().map(|(folder, claim)| claim.is_current_in(folder)) {
                        Some(Ok(false)) => return Err(self.directory_lost()),
                        // Transient, as when no file can be opened.
                        Some(Err(error)) if !check_failed => {
                            check_failed = true;
                            self.report(&BrokerEvent::BackgroundError { what: format!("cannot check the data directory: {error}") });
                        }
                        Some(Err(_)) => {}
                        None | Some(Ok(true)) => check_failed = false,
                    }
                }
            }
        }
    }

    /// The data directory was deleted or replaced, so its path names files of another broker.
    fn directory_lost(&self) -> Failure {
        let folder = self.claim.as_ref().map_or_else(String::new, |(folder, _)| folder.path().display().to_string());
        Failure::new(
            Code::Output,
            format!("{folder} is no longer the data directory of this broker: it was deleted or replaced"),
        )
        .hint("stop a broker with `foodstream broker --stop` before deleting its data directory")
    }

    async fn end(self, outcome: Outcome) -> Outcome {
        let mut folder_name = None;
        if let Some((folder, claim)) = &self.claim {
            if claim.is_current_in(folder).is_ok_and(|stands| !stands) {
                // The files are deleted, and those at the path belong to another broker.
                return outcome;
            }
            claim.remove(folder);
            folder_name = Some(folder.path());
        }
        let stopped = self.server.stop().await;
        match (stopped, folder_name) {
            (Err(error), Some(folder)) => outcome.and(Err(unwritable(&folder, &error))),
            _ => outcome,
        }
    }

    fn document(&self) -> BrokerDocument {
        let status = self.server.status();
        let since = self.claim.as_ref().and_then(|(_, claim)| EventTime::from_millis(claim.since_millis));
        BrokerDocument {
            running: true,
            data: self.settings.folder.as_ref().map(|folder| folder.display().to_string()),
            address: Some(status.address.to_string()),
            pid: Some(std::process::id()),
            since: since.map(|since| since.to_string()),
            cluster_id: Some(status.cluster_id.to_string()),
            clients: Some(self.leases.count()),
            connections: Some(self.server.connections()),
            bytes: self.claim.as_ref().and_then(|(folder, _)| size(&folder.path())),
            topics: status
                .topics
                .into_iter()
                .map(|topic| TopicRow { name: topic.name, partitions: topic.partitions, records: topic.records })
                .collect(),
            groups: status
                .groups
                .into_iter()
                .map(|group| GroupRow { name: group.name, state: group.state.to_owned(), members: group.members })
                .collect(),
            ..BrokerDocument::default()
        }
    }

    fn report(&self, event: &BrokerEvent) {
        let text = describe(event);
        if let BrokerEvent::WriteFailed { reason, .. } = event {
            // Waiting clients get the reason on their lease, because Kafka's protocol only has an error code.
            self.leases.send_write_error(reason);
            if self.was_reported(reason) {
                return;
            }
        }
        match is_warning(event) {
            true if self.settings.background => self.log(&text),
            true => self.context.console.warn(&text),
            false => self.context.console.detail(&text),
        }
    }

    /// Whether this was reported recently: clients retry, some of them often.
    fn was_reported(&self, reason: &str) -> bool {
        let mut reported = self.reported.borrow_mut();
        reported.retain(|(_, until)| !until.has_passed());
        let was_reported = reported.iter().any(|(known, _)| known == reason);
        if !was_reported {
            reported.push((reason.to_owned(), Deadline::after(REPEAT_AFTER)));
        }
        was_reported
    }

    /// A line of the background broker's log, with a timestamp.
    fn log(&self, text: &str) {
        if self.settings.background {
            let now = EventTime::from_millis(clock::wall_millis()).map_or_else(String::new, |now| format!("{now} "));
            self.context.console.note(&format!("{now}{text}"));
        }
    }
}

/// Waits until no process has held a lease and no client was connected for the idle time, then refuses new leases.
/// Never returns without an idle time.
async fn idle_exit(server: &Server, leases: &Leases, idle: Option<Duration>) {
    let Some(idle) = idle else { return std::future::pending().await };
    loop {
        leases.wait_none().await;
        let alone = async { tokio::join!(server.wait_until_idle(idle), tokio::time::sleep(idle)) };
        tokio::select! {
            _ = alone => if leases.close_if_none() { return },
            () = leases.wait_any() => {}
        }
    }
}

/// The address by which a process on this machine reaches `address`.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// The size of all files in a directory; deleted ones count zero. `None` on an error, such as too many open files.
fn size(folder: &Path) -> Option<u64> {
    let gone = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return gone(&error).then_some(0),
    };
    let mut bytes = 0;
    for entry in entries {
        let entry = entry.ok()?;
        bytes += match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path())?,
            Ok(metadata) => metadata.len(),
            Err(error) if gone(&error) => 0,
            Err(_) => return None,
        };
    }
    Some(bytes)
}
