//! Owns the commands, one file each: where the pure core meets Kafka and the console.
//!
//! Rank 40. A command gets resolved settings and returns an outcome; only `main` ends the process.

pub mod analytics;
pub mod broker;
pub mod clean;
pub mod completions;
pub mod inventory;
pub mod lag;
pub mod man;
pub mod produce;
pub mod replay;
pub mod scenario;
pub mod undo;

mod epoch;
mod full_pass;
mod group;
mod metrics_scan;
mod sole_member;
mod state_follower;
mod topic_set;
mod topic_settings;

use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use serde::Serialize;

use crate::analytics::{DEFAULT_ROWS, MetricsDocument};
use crate::console::{Console, log_line};
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::librdkafka_info;
use crate::local_broker::{Lease, SelectionMessage, Starter, select_broker};
use crate::output::OutputFile;
use crate::printable;
use crate::report;
use crate::report::html::CommandFacts;
use crate::report::printable;
use crate::settings::Common;
use crate::shutdown::Shutdown;

/// How often a wait for stdin looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(20);

/// What comes in at stdin, as far as that many bytes. It takes as long as whoever writes there does, or until this is stopped.
///
/// # Errors
///
/// With exit code 2 when it cannot be read, and the signal's when a stop was asked for.
pub fn stdin(context: &Context, most: u64) -> Result<Vec<u8>, Failure> {
    let reading = Console::stdin(most);
    loop {
        match reading.recv_timeout(LOOK) {
            Ok(read) => {
                return read.map_err(|error| Failure::new(Code::Usage, format!("stdin cannot be read: {error}")));
            }
            Err(RecvTimeoutError::Timeout) => context.shutdown.check()?,
            Err(RecvTimeoutError::Disconnected) => return Err(Failure::new(Code::Unexpected, "stdin was not read")),
        }
    }
}

/// What a command works with.
#[derive(Debug)]
pub struct Context {
    /// The settings that all commands share.
    pub common: Common,
    /// The two streams.
    pub console: Console,
    /// The wish to stop.
    pub shutdown: Shutdown,
    /// The runtime of signals, timers and administration.
    pub runtime: tokio::runtime::Handle,
    /// A number that no other process has.
    pub process_id: String,
}

impl Context {
    /// Opens the `--report` file before the work, if one was asked for.
    fn open_report(&self) -> Result<Option<OutputFile>, Failure> {
        self.common.report.as_deref().map(OutputFile::open).transpose()
    }

    /// What a page says of a command beside its document.
    fn page_facts(&self, mut command: String, group: String) -> CommandFacts {
        let prefix = self.common.names.prefix();
        if !prefix.is_empty() {
            command.extend([" --prefix ", prefix]);
        }
        let broker = self.common.connection.bootstrap().to_owned();
        CommandFacts {
            command: format!("{command} -b {broker}"),
            group,
            broker,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            librdkafka: librdkafka_info().0,
            started: String::new(),
        }
    }

    /// Answers with a document: as JSON or as `text`, and to the `--report` file.
    fn print_document<D: Serialize>(
        &self,
        document: &D,
        text: &str,
        report: Option<OutputFile>,
    ) -> Result<(), Failure> {
        let json = if self.common.json || report.is_some() { Some(json(document)?) } else { None };
        if let (Some(report), Some(json)) = (report, &json) {
            report.finish(json)?;
        }
        let answer = json.as_deref().filter(|_| self.common.json).unwrap_or(text);
        // Nobody reading any more is no failure.
        self.console.print(answer).map(drop)
    }

    /// Answers with metrics: of many minutes or restaurants with some, unless all are wanted.
    fn print_metrics(&self, metrics: MetricsDocument, full: bool, report: Option<OutputFile>) -> Result<(), Failure> {
        self.note_row_limit(&metrics, full);
        let metrics = if full { metrics } else { metrics.limited(DEFAULT_ROWS, |_| false) };
        let text = if self.common.json { String::new() } else { report::metrics_report(&metrics) };
        self.print_document(&metrics, &text, report)
    }

    /// Says that there are more minutes or restaurants than anybody reads.
    fn note_row_limit(&self, metrics: &MetricsDocument, full: bool) {
        let [minutes, restaurants] = metrics.counted();
        if minutes.max(restaurants) <= DEFAULT_ROWS as u64 {
            return;
        }
        let shown = if full {
            "the answer has them all".to_owned()
        } else {
            format!("the answer has {DEFAULT_ROWS} of each; --full for all")
        };
        self.console.note(&format!("{minutes} minutes and {restaurants} restaurants are counted: {shown}"));
    }

    /// The outcome of a command that runs until it is stopped: one that was stopped before it had anything to tell has
    /// reached its goal too. `outputs` are the files that it would have left.
    ///
    /// # Errors
    ///
    /// As before, unless it was a signal that stopped the command.
    pub fn end_live(&self, outcome: Outcome, outputs: &[PathBuf]) -> Outcome {
        if !outcome.as_ref().is_err_and(|failure| failure.code.is_stop()) {
            return outcome;
        }
        if outputs.is_empty() {
            self.console.note("stopped before there was a result");
        } else {
            let files: Vec<String> = outputs.iter().map(|path| path.display().to_string()).collect();
            self.console.warn(&format!("stopped before there was a result; not written: {}", files.join(", ")));
        }
        Ok(Code::Done)
    }

    /// The code of a finite command that has told its result: done, or stopped before its goal.
    fn end(&self, reached: bool) -> Code {
        match self.shutdown.requested() {
            Some(signal) if !reached => signal.code(),
            _ => Code::Done,
        }
    }
}

/// A document as it is printed and written to files.
fn json<D: Serialize>(document: &D) -> Result<String, Failure> {
    let mut json = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(Code::Unexpected, format!("the document cannot be written as JSON: {error}")))?;
    json.push('\n');
    Ok(printable::json(json))
}

/// Chooses the broker of a command, says which it is, and holds it: for as long as the lease is kept.
///
/// # Errors
///
/// When the embedded broker is to be used and cannot be had.
pub fn reach(context: &mut Context, home: &Path, starter: &Starter) -> Result<Option<Lease>, Failure> {
    let Some(chosen) = select_broker(&context.common.wanted, home, starter)? else { return Ok(None) };
    for message in &chosen.messages {
        match message {
            SelectionMessage::Note(text) => context.console.note(text),
            SelectionMessage::Warning(text) => context.console.warn(text),
        }
    }
    if let Some(lease) = &chosen.lease {
        let name = chosen.name.clone().unwrap_or_else(|| chosen.address.clone());
        let tell = move |reason: &str| {
            log_line(&format!("warning: {name} cannot write what it is sent: {}", printable(reason)))
        };
        // Without a thread for it the broker's words are in its log only.
        lease.listen(tell).unwrap_or_default();
    }
    context.common.connection.use_broker(chosen.address, chosen.name);
    Ok(chosen.lease)
}
