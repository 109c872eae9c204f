//! Text reports and HTML pages of the documents: pure functions, without I/O and colour; one file per document.
//!
//! Text from records and from the cluster is untrusted: [`printable`] escapes it before it becomes part of a line.

mod clean;
pub mod html;
mod inventory;
mod lag;
mod metrics;
mod produce;
mod replay;
mod scenario;
mod scenario_live;
mod text_table;

use std::time::Duration;

use crate::units;

pub use crate::printable::printable;
pub use clean::{clean_listing, clean_outcome, clean_question};
pub use inventory::inventory_report;
pub use lag::{lag_line, lag_live_text, lag_report, lag_total};
pub use metrics::{metrics_line, metrics_live_text, metrics_report};
pub use produce::produce_report;
pub use replay::{plan_report, replay_report};
pub use scenario::scenario_report;
pub use scenario_live::scenario_live_text;

/// The note next to values that are shown while the cluster does not respond.
#[must_use]
pub fn stale_note(age: Duration) -> String {
    format!("stale: no answer from the cluster for {}", units::duration(age))
}
