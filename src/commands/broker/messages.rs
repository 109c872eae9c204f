//! Messages of the broker command: events as text, which of them are warnings, and failures of a start with their hints.

use crate::broker::{BrokerEvent, DataDirError, OpenError, StartError, Untrusted};
use crate::exit::{Code, Failure};
use crate::local_broker::{distrusted, unwritable};
use crate::printable::printable;
use crate::settings::BrokerSettings;
use crate::units::counted;

/// Whether an event is a warning: damage, or something that cannot be done. Others are shown with -v only.
pub(super) fn is_warning(event: &BrokerEvent) -> bool {
    match event {
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

pub(super) fn describe(event: &BrokerEvent) -> String {
    match event {
        BrokerEvent::TailTruncated { path, bytes, unacknowledged: true } => format!(
            "{}: the last {} were never acknowledged and are removed: the previous broker was killed while writing",
            path.display(),
            counted(*bytes, "byte")
        ),
        BrokerEvent::TailTruncated { path, bytes, unacknowledged: false } => format!(
            "{}: the last {} are incomplete and are removed: the broker or the machine stopped while writing",
            path.display(),
            counted(*bytes, "byte")
        ),
        BrokerEvent::MarkersRestored { path, count } => format!(
            "{}: {} lost from the end and restored from the journal",
            path.display(),
            counted(*count as u64, "transaction marker")
        ),
        BrokerEvent::TransactionEnded { topic, partition, committed } => {
            let ended = if *committed { "committed, as in the journal" } else { "aborted" };
            format!("{topic}-{partition}: a transaction without an end marker is {ended}")
        }
        BrokerEvent::SetAside { path, moved_to } => {
            format!("{} belongs to no topic and is renamed to {}", path.display(), moved_to.display())
        }
        BrokerEvent::TopicCreated { name, partitions } => {
            format!("topic {name} created with {}", counted(*partitions as u64, "partition"))
        }
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

pub(super) enum StartFailure {
    /// By this process, if known.
    Locked(Option<u32>, Failure),
    Other(Failure),
}

impl From<Failure> for StartFailure {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

pub(super) fn start_failure(error: StartError, settings: &BrokerSettings) -> StartFailure {
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
                .hint("choose another address with --listen (port 0 picks a free one), or use the running Kafka with -b"),
        ),
        StartError::DataDir(DataDirError::Locked { path: folder, holder }) => {
            let who = holder.map_or_else(String::new, |pid| format!(", process {pid}"));
            let data = settings.folder.as_deref().unwrap_or(&folder).display();
            StartFailure::Locked(holder, Failure::new(Code::Refused, format!("another broker uses {data}{who}")).hint(format!(
                "`foodstream broker --status --data {data}` shows its address and --stop stops it; or choose another directory with --data"
            )))
        }
        StartError::DataDir(DataDirError::Newer { .. }) => {
            refused("use the foodstream version that wrote it, a newer one, or another directory".to_owned())
        }
        StartError::DataDir(DataDirError::Foreign { .. }) => {
            refused("it may not be a data directory of a broker: choose another one with --data DIR or -b embedded:DIR".to_owned())
        }
        StartError::Data(OpenError::Corrupted(_)) => refused(
            "acknowledged records cannot be read; nothing in the directory was changed: restore the file or the whole directory from a copy, \
             or start with another directory: --data DIR, -b embedded:DIR"
                .to_owned(),
        ),
        StartError::DataDir(DataDirError::Untrusted(untrusted)) => StartFailure::Other(distrusted(&data, &untrusted)),
        StartError::DataDir(DataDirError::Storage { .. }) | StartError::Data(OpenError::Storage { .. }) => {
            StartFailure::Other(unwritable(&data, &message))
        }
    }
}
