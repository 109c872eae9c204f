//! Owns `broker`: the embedded broker as a process, in the foreground or behind other commands, from its start to a clean end.

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

pub use control::{status, stop};

use super::Context;
use crate::broker::{
    BrokerConfig, BrokerEvent, DataDirError, Directory, NodeSettings, OpenError, Server, StartError, Untrusted,
};
use crate::clock::{self, Deadline};
use crate::domain::EventTime;
use crate::exit::{Code, Failure, Outcome};
use crate::local_broker::{
    AddressFile, BrokerDocument, ControlRequest, GroupRow, Leases, StartupMessage, TopicRow, distrusted,
    open_or_create, serve, unwritable,
};
use crate::output::OutputFile;
use crate::printable::{self, printable};
use crate::settings::BrokerSettings;

/// How often a broker looks whether its folder is still its own.
const LOOK: Duration = Duration::from_secs(2);

/// How long nothing is said again that was said.
const SAY_AGAIN: Duration = Duration::from_secs(10);

/// Runs a broker until it is stopped, or left alone for as long as it was told to wait.
///
/// # Errors
///
/// With exit code 2 when the address cannot be had, 7 when the data must not be touched, 8 when it cannot be written.
pub fn run(context: &Context, settings: &BrokerSettings) -> Outcome {
    let outcome = context.runtime.block_on(start_and_serve(context, settings));
    match outcome {
        // Another process is the broker then, and whoever started this one finds it.
        Err(StartFailure::Locked(holder, _)) if settings.background => {
            first_word(context, &StartupMessage::Locked { holder }).map(|()| Code::Done)
        }
        Err(StartFailure::Locked(_, failure) | StartFailure::Other(failure)) => {
            if settings.background {
                let Failure { code, message, hint, .. } = failure.clone();
                first_word(context, &StartupMessage::Failed { code: code.number(), message, hint })?;
            }
            Err(failure)
        }
        Ok(outcome) => outcome,
    }
}

enum StartFailure {
    /// By this process, if it is known.
    Locked(Option<u32>, Failure),
    Other(Failure),
}

impl From<Failure> for StartFailure {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

/// The failure of a start, or the outcome of what was started.
async fn start_and_serve(context: &Context, settings: &BrokerSettings) -> Result<Outcome, StartFailure> {
    let report = context.open_report()?;
    let folder = settings.folder.as_deref().map(open_or_create).transpose()?;
    let (notices, mut heard) = mpsc::unbounded_channel();
    let config = BrokerConfig {
        listen: settings.listen,
        advertise: settings.advertise.clone(),
        settings: NodeSettings { fsync: settings.fsync, ..NodeSettings::default() },
        // A host that no longer listens is ending.
        listener: Arc::new(move |notice| drop(notices.send(notice.clone()))),
        ..folder.as_ref().map_or_else(BrokerConfig::in_memory, |folder| BrokerConfig::in_directory(folder.path()))
    };
    let server = Server::start(config).await.map_err(|error| start_failure(error, settings))?;
    if !settings.listen.ip().is_loopback() {
        context.console.warn(&format!(
            "whoever reaches {} can read and write everything: there is no TLS and no authentication",
            server.address()
        ));
    }
    let mut process =
        BrokerProcess { context, settings, server, claim: None, leases: Leases::default(), said: RefCell::default() };
    let requests = process.open_control().await?;
    let outcome = match process.announce(&mut heard, report) {
        Ok(()) => process.serve(heard, requests).await,
        Err(failure) => Err(failure),
    };
    Ok(process.end(outcome).await)
}

/// The first line of a background broker: the only one that its parent reads.
fn first_word(context: &Context, word: &StartupMessage) -> Result<(), Failure> {
    let line = serde_json::to_string(word).map_err(|error| Failure::new(Code::Unexpected, error.to_string()))?;
    // A parent that is gone does not need it.
    context.console.print(&format!("{line}\n")).map(drop)
}

struct BrokerProcess<'a> {
    context: &'a Context,
    settings: &'a BrokerSettings,
    server: Server,
    /// The folder and what stands in its address file; none for memory.
    claim: Option<(Directory, AddressFile)>,
    leases: Leases,
    /// Why data could not be written, and until when that is not said again.
    said: RefCell<Vec<(String, Deadline)>>,
}

impl BrokerProcess<'_> {
    /// Says in the folder where the broker is, and listens to who asks for it there.
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

    /// Tells where it listens: to the parent, or on stdout.
    fn announce(&self, heard: &mut UnboundedReceiver<BrokerEvent>, report: Option<OutputFile>) -> Result<(), Failure> {
        let mut notes = Vec::new();
        while let Ok(notice) = heard.try_recv() {
            if is_trouble(&notice) {
                notes.push(sentence(&notice));
            }
            self.tell(&notice);
        }
        match &self.claim {
            Some((_, claim)) if self.settings.background => {
                self.log(&format!("listening on {}, process {}", claim.address, claim.pid));
                first_word(self.context, &StartupMessage::Ready { broker: claim.clone(), notes })
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
        mut heard: UnboundedReceiver<BrokerEvent>,
        mut requests: mpsc::Receiver<ControlRequest>,
    ) -> Outcome {
        let mut look = tokio::time::interval(LOOK);
        let mut blind = false;
        // Kept from turn to turn: what is heard between is no client, and does not begin the wait again.
        let mut deserted = pin!(deserted(&self.server, &self.leases, self.settings.idle));
        loop {
            tokio::select! {
                _ = self.context.shutdown.wait() => {
                    self.log("ended by a signal");
                    return Ok(Code::Done);
                }
                () = &mut deserted => {
                    self.log("nobody is left: leaving");
                    return Ok(Code::Done);
                }
                Some(notice) = heard.recv() => self.tell(&notice),
                Some(request) = requests.recv() => match request {
                    ControlRequest::Stop => {
                        self.log("asked to end");
                        return Ok(Code::Done);
                    }
                    // One who no longer waits needs no answer.
                    ControlRequest::Status(reply) => drop(reply.send(self.document())),
                },
                _ = look.tick() => {
                    match self.claim.as_ref().map(|(folder, claim)| claim.is_current_in(folder)) {
                        Some(Ok(false)) => return Err(self.evicted()),
                        // As when no file can be opened, which passes.
                        Some(Err(error)) if !blind => {
                            blind = true;
                            self.tell(&BrokerEvent::BackgroundError { what: format!("whether the folder is still there is not known: {error}") });
                        }
                        Some(Err(_)) => {}
                        None | Some(Ok(true)) => blind = false,
                    }
                }
            }
        }
    }

    /// The folder was deleted or replaced under the broker: what stands at its path now is not its own.
    fn evicted(&self) -> Failure {
        let folder = self.claim.as_ref().map_or_else(String::new, |(folder, _)| folder.path().display().to_string());
        Failure::new(
            Code::Output,
            format!("{folder} no longer names this broker: it was deleted, or another's took its place"),
        )
        .hint("end a broker with `foodstream broker --stop` before its folder is deleted")
    }

    async fn end(self, outcome: Outcome) -> Outcome {
        let mut folder_name = None;
        if let Some((folder, claim)) = &self.claim {
            if claim.is_current_in(folder).is_ok_and(|stands| !stands) {
                // Its files are gone with their names: there is nothing to close, and nothing of another's to touch.
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

    /// What the broker noticed.
    fn tell(&self, notice: &BrokerEvent) {
        let sentence = sentence(notice);
        if let BrokerEvent::WriteFailed { reason, .. } = notice {
            // Whoever waits hears of it on his lease, as Kafka's protocol has only a number for it.
            self.leases.send_write_error(reason);
            if self.was_said(reason) {
                return;
            }
        }
        match is_trouble(notice) {
            true if self.settings.background => self.log(&sentence),
            true => self.context.console.warn(&sentence),
            false => self.context.console.detail(&sentence),
        }
    }

    /// Whether this was said a moment ago: clients try again, some of them often.
    fn was_said(&self, reason: &str) -> bool {
        let mut said = self.said.borrow_mut();
        said.retain(|(_, until)| !until.has_passed());
        let was_said = said.iter().any(|(known, _)| known == reason);
        if !was_said {
            said.push((reason.to_owned(), Deadline::after(SAY_AGAIN)));
        }
        was_said
    }

    /// A line of the background broker's log, which has the time in it.
    fn log(&self, text: &str) {
        if self.settings.background {
            let now = EventTime::from_millis(clock::wall_millis()).map_or_else(String::new, |now| format!("{now} "));
            self.context.console.note(&format!("{now}{text}"));
        }
    }
}

/// Why the broker did not start, with the way on.
fn start_failure(error: StartError, settings: &BrokerSettings) -> StartFailure {
    let message = error.to_string();
    let data = settings.folder.clone().unwrap_or_default();
    if let StartError::Data(OpenError::Storage { source, .. }) = &error
        && let Some(untrusted) = Untrusted::of(source)
    {
        return StartFailure::Other(distrusted(&data, untrusted));
    }
    let refused = |hint: String| StartFailure::Other(Failure::new(Code::Refused, message.clone()).hint(hint));
    match error {
        StartError::Bind { .. } => StartFailure::Other(
            Failure::new(Code::Usage, message)
                .hint("--listen takes another address; port 0 is any that is free. A Kafka that is there already is named with -b"),
        ),
        StartError::DataDir(DataDirError::Locked { path: folder, holder }) => {
            let who = holder.map_or_else(String::new, |pid| format!(", process {pid}"));
            let data = settings.folder.as_deref().unwrap_or(&folder).display();
            StartFailure::Locked(holder, Failure::new(Code::Refused, format!("another broker works on {data}{who}")).hint(format!(
                "`foodstream broker --status --data {data}` says where it listens, --stop ends it; or take another folder with --data"
            )))
        }
        StartError::DataDir(DataDirError::Newer { .. }) => {
            refused("use the version of foodstream that wrote it or a newer one, or another folder".to_owned())
        }
        StartError::DataDir(DataDirError::Foreign { .. }) => {
            refused("it may not be a broker's folder: take another one with --data DIR or -b embedded:DIR".to_owned())
        }
        StartError::Data(OpenError::Corrupted(_)) => refused(
            "what was acknowledged cannot be served, and nothing in the folder was changed: put the file back, or a copy of the whole \
             folder; or begin with another folder: --data DIR, -b embedded:DIR"
                .to_owned(),
        ),
        StartError::DataDir(DataDirError::Untrusted(untrusted)) => StartFailure::Other(distrusted(&data, &untrusted)),
        StartError::DataDir(DataDirError::Storage { .. }) | StartError::Data(OpenError::Storage { .. }) => {
            StartFailure::Other(unwritable(&data, &message))
        }
    }
}

/// Whether everybody should know: damage, and what cannot be done; the rest is for the curious.
fn is_trouble(notice: &BrokerEvent) -> bool {
    match notice {
        BrokerEvent::TailTruncated { .. }
        | BrokerEvent::MarkersRestored { .. }
        | BrokerEvent::TransactionEnded { .. }
        | BrokerEvent::SetAside { .. }
        | BrokerEvent::WriteFailed { .. }
        | BrokerEvent::BackgroundError { .. } => true,
        BrokerEvent::TopicCreated { .. }
        | BrokerEvent::TopicDeleted { .. }
        | BrokerEvent::Connected { .. }
        | BrokerEvent::Disconnected { .. } => false,
    }
}

/// A notice in words.
fn sentence(notice: &BrokerEvent) -> String {
    match notice {
        BrokerEvent::TailTruncated { path, bytes, unacknowledged: true } => format!(
            "{}: the last {bytes} bytes were never acknowledged and are cut off: the broker before was killed while it wrote",
            path.display()
        ),
        BrokerEvent::TailTruncated { path, bytes, unacknowledged: false } => format!(
            "{}: the last {bytes} bytes are not whole and are cut off: the broker or the machine went down while they were written",
            path.display()
        ),
        BrokerEvent::MarkersRestored { path, count } => format!(
            "{} had lost its end: {count} markers of transactions, which are there again as the journal has decided them",
            path.display()
        ),
        BrokerEvent::TransactionEnded { topic, partition, committed } => {
            let ended = if *committed { "committed, as the journal says" } else { "aborted" };
            format!("{topic}-{partition}: a transaction without an end is {ended}")
        }
        BrokerEvent::SetAside { path, moved_to } => {
            format!("{} belongs to no topic, and is called {} now", path.display(), moved_to.display())
        }
        BrokerEvent::TopicCreated { name, partitions } => format!("topic {name} created, {partitions} partitions"),
        BrokerEvent::TopicDeleted { name } => format!("topic {name} deleted"),
        BrokerEvent::Connected { peer } => format!("{peer} connected"),
        BrokerEvent::Disconnected { peer, client_id, reason } => {
            let client = printable(client_id);
            match reason {
                Some(reason) => format!("{peer} ({client}) disconnected: {}", printable(reason)),
                None => format!("{peer} ({client}) disconnected"),
            }
        }
        BrokerEvent::WriteFailed { what, reason } => format!("{what} cannot be written: {reason}"),
        BrokerEvent::BackgroundError { what } => what.clone(),
    }
}

/// Resolves once no process holds the broker and no client is connected, for as long as it is to stay; then nobody can hold
/// it any more. Never without such a time.
async fn deserted(server: &Server, leases: &Leases, idle: Option<Duration>) {
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

/// Where a process of this machine reaches what listens there.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Bytes of the files below a folder; what goes away meanwhile counts nothing. `None` when it cannot be told, as when no file can
/// be opened.
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
