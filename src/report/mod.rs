//! Owns the text that people read: pure functions of the documents, one file a document; no I/O and no colour.
//!
//! Text from records and from the cluster is data: it goes through [`printable`] before it becomes a part of a line.

mod clean;
pub mod html;
mod inventory;
mod lag;
mod metrics;
mod produce;
mod replay;
mod scenario;
mod scenario_live;
mod stale;
mod text_table;

pub use crate::printable::printable;
pub use clean::{clean_listing, clean_outcome, clean_question};
pub use inventory::inventory_report;
pub use lag::{lag_line, lag_live_text, lag_report, lag_total};
pub use metrics::{metrics_line, metrics_live_text, metrics_report};
pub use produce::produce_report;
pub use replay::{plan_report, replay_report};
pub use scenario::scenario_report;
pub use scenario_live::scenario_live_text;
pub use stale::stale_note;
