//! Events of the broker as text, and which of them are warnings.

use crate::broker::BrokerEvent;
use crate::printable::printable;
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
