//! The commands, one file or directory each: they connect the pure core with Kafka and the console.
//!
//! A command gets resolved settings and returns an outcome.

pub mod analytics;
pub mod audit;
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
mod scan_shares;
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
use crate::kafka::{Inspector, librdkafka_info};
use crate::local_broker::{Lease, SelectionMessage, Starter, select_broker};
use crate::output::OutputFile;
use crate::printable;
use crate::report::html::CommandFacts;
use crate::report::printable;
use crate::settings::{Common, NextCommand};
use crate::shutdown::Shutdown;
use crate::units::{counted, grouped};

/// How often a wait for stdin checks for a stop.
const STDIN_POLL: Duration = Duration::from_millis(20);

/// Reads stdin to its end, at most `most` bytes, until a stop is requested.
pub fn stdin(context: &Context, most: u64) -> Result<Vec<u8>, Failure> {
    let reading = Console::stdin(most);
    loop {
        match reading.recv_timeout(STDIN_POLL) {
            Ok(read) => {
                return read.map_err(|error| Failure::new(Code::Usage, format!("cannot read stdin: {error}")));
            }
            Err(RecvTimeoutError::Timeout) => context.shutdown.check()?,
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(Code::Unexpected, "the thread that reads stdin ended without a result"));
            }
        }
    }
}

#[derive(Debug)]
pub struct Context {
    /// The settings of all commands.
    pub common: Common,
    pub console: Console,
    pub shutdown: Shutdown,
    /// The runtime for signals, timers and administration.
    pub runtime: tokio::runtime::Handle,
    /// A random id of this process.
    pub process_id: String,
    /// Writes the line about the next command; `None` if it must not be shown.
    pub next_command: Option<NextCommand>,
}

impl Context {
    fn open_report(&self) -> Result<Option<OutputFile>, Failure> {
        self.common.report.as_deref().map(OutputFile::open).transpose()
    }

    /// What a page shows about a command in addition to its document.
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

    /// Prints a document, as JSON or as `text`, and writes it to the `--report` file.
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
        // A closed reader is not an error.
        self.console.print(answer).map(drop)
    }

    /// Prints metrics, in JSON with a limited number of rows unless `full`.
    fn print_metrics(
        &self,
        metrics: MetricsDocument,
        full: bool,
        report: Option<OutputFile>,
        text: impl FnOnce(&MetricsDocument) -> String,
    ) -> Result<(), Failure> {
        self.note_row_limit(&metrics, full);
        let text = if self.common.json { String::new() } else { text(&metrics) };
        let metrics = if full { metrics } else { metrics.limited(DEFAULT_ROWS, |_| false) };
        self.print_document(&metrics, &text, report)
    }

    /// The files that have all rows, as a text names them. `--report` has all rows of the commands without metrics.
    fn files(&self, files: &[&Path]) -> Vec<String> {
        let report = self.common.report.as_deref().filter(|_| files.is_empty());
        // A device is not a file to look into.
        let kept = files.iter().copied().chain(report).filter(|file| !file.starts_with("/dev"));
        kept.map(|file| file.display().to_string()).collect()
    }

    /// Whether the next command is shown: to a person, and only until the topic that it will create exists.
    fn wants_next(&self, inspector: &Inspector, topic: &str) -> bool {
        // Without an answer nothing is proposed: this command has already succeeded.
        self.next_command.is_some()
            && inspector.topics().is_ok_and(|topics| !topics.iter().any(|(found, _)| found == topic))
    }

    /// Shows the next command of a first run, with the options that select this broker and these topics.
    fn show_next(&self, arguments: &[&str]) {
        if let Some(line) = self.next_command.as_ref().and_then(|next| next.on_this_broker(arguments)) {
            self.console.note(&format!("next: {line}"));
        }
    }

    /// Shows the scenario that follows the first run. It uses a broker of its own.
    fn show_next_scenario(&self) {
        if let Some(line) = self.next_command.as_ref().and_then(|next| next.anywhere(&["scenario", "run", "crash"])) {
            self.console.note(&format!("next: {line}"));
        }
    }

    /// Says that a document or a full text has tables with many rows.
    fn note_row_limit(&self, metrics: &MetricsDocument, full: bool) {
        let [minutes, restaurants] = metrics.counted();
        if minutes.max(restaurants) <= DEFAULT_ROWS as u64 || !(full || self.common.json) {
            return;
        }
        let shown = if full {
            "all are shown".to_owned()
        } else {
            format!("{} of each are shown; --full shows all", grouped(DEFAULT_ROWS as u64))
        };
        self.console.note(&format!(
            "{} and {} counted: {shown}",
            counted(minutes, "minute"),
            counted(restaurants, "restaurant")
        ));
    }

    /// The outcome of a command that runs until it is stopped: a stop before the first result is a success too.
    /// `outputs` are the files that it would have written.
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

    /// The exit code of a finite command that has printed its result: success, or a stop before the work was done.
    fn end(&self, reached: bool) -> Code {
        match self.shutdown.requested() {
            Some(signal) if !reached => signal.code(),
            _ => Code::Done,
        }
    }
}

/// A document as printed and written to files.
fn json<D: Serialize>(document: &D) -> Result<String, Failure> {
    let mut json = serde_json::to_string_pretty(document)
        .map_err(|error| Failure::new(Code::Unexpected, format!("cannot write the document as JSON: {error}")))?;
    json.push('\n');
    Ok(printable::json(json))
}

/// Chooses the broker of a command, prints which one, and keeps it running while the lease is held.
pub fn acquire_broker(context: &mut Context, home: &Path, starter: &Starter) -> Result<Option<Lease>, Failure> {
    let Some(chosen) = select_broker(&context.common.wanted, home, starter)? else { return Ok(None) };
    for message in &chosen.messages {
        match message {
            SelectionMessage::Note(text) => context.console.note(text),
            SelectionMessage::Warning(text) => context.console.warn(text),
        }
    }
    if let Some(lease) = &chosen.lease {
        let name = chosen.name.clone().unwrap_or_else(|| chosen.address.clone());
        let warn =
            move |reason: &str| log_line(&format!("warning: {name} cannot write its data: {}", printable(reason)));
        // Without this thread, the broker's warnings are only in its log.
        drop(lease.listen(warn));
    }
    context.common.connection.use_broker(chosen.address, chosen.name);
    Ok(chosen.lease)
}
