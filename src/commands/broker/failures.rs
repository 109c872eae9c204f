//! Failures of a broker's start, with their hints.

use crate::broker::{DataDirError, OpenError, StartError, Untrusted};
use crate::exit::{Code, Failure};
use crate::local_broker::{distrusted, unwritable};
use crate::settings::BrokerSettings;

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
