//! Text reports and HTML pages of the documents: pure functions, without I/O and colour; one file per document.
//!
//! Text from records and from the cluster is untrusted: [`printable`] escapes it before it becomes part of a line.

mod audit;
mod audit_junit;
#[cfg(test)]
mod audit_tests;
mod audit_words;
mod clean;
pub mod html;
mod inventory;
mod lag;
mod lag_groups;
mod lag_live;
mod lag_partitions;
mod metrics;
mod metrics_live;
mod metrics_summary;
mod produce;
mod replay;
mod replay_parts;
mod replay_summary;
mod scenario;
mod scenario_live;
mod text_table;

use std::fmt::{self, Write};
use std::time::Duration;

use crate::units;

pub use crate::printable::printable;
pub use audit::audit_report;
pub use audit_junit::audit_junit;
pub use clean::{clean_listing, clean_outcome, clean_question};
pub use inventory::inventory_report;
pub use lag::{lag_group_name, lag_line, lag_report, lag_total};
pub(crate) use lag_groups::sort_by_lag;
pub use lag_groups::{lag_groups_lines, lag_groups_report};
pub(crate) use lag_live::lag_frame;
pub use metrics::{metrics_line, metrics_report};
pub(crate) use metrics_live::metrics_frame;
pub use metrics_summary::{metrics_summary, undo_report};
pub use produce::produce_report;
pub use replay::{GroupEffect, plan_report, replay_report};
pub use scenario::scenario_report;
pub(crate) use scenario_live::scenario_frame;

/// How much of a document its text shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Totals and the result, on about 20 lines, and the names of the files that have the tables.
    Summary,
    /// All tables (`--full`); the result is still last.
    Full,
}

impl Detail {
    /// By the flag `--full`.
    #[must_use]
    pub const fn of(full: bool) -> Self {
        if full { Self::Full } else { Self::Summary }
    }
}

/// The line that says where the tables are: `Minutes (40): metrics_output.txt, or --full`.
fn tables_line(tables: &str, files: &[String]) -> String {
    if files.is_empty() {
        return format!("{tables}: --full");
    }
    let files: Vec<_> = files.iter().map(|file| printable(file)).collect();
    format!("{tables}: {}, or --full", files.join(", "))
}

/// The line that says which files have the tables: `Minutes (40): report.json`. Nothing without a file: where another
/// run with `--full` would do something else, only the files have the tables of this run.
fn write_tables_in_files(out: &mut String, tables: &str, files: &[String]) -> fmt::Result {
    if files.is_empty() {
        return Ok(());
    }
    let files: Vec<_> = files.iter().map(|file| printable(file)).collect();
    writeln!(out, "{tables}: {}", files.join(", "))
}

/// The note next to values that are shown while the cluster does not respond.
#[must_use]
pub fn stale_note(age: Duration) -> String {
    crate::frame::stale_note(&units::duration(age))
}
