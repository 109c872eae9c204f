//! Arguments of `audit`.

use std::num::NonZeroU64;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::lag::LagIsolation;
use super::value_parsers::{fan_out, match_field, size, witnesses};
use crate::audit::{FanOut, MatchField};

#[derive(Debug, Clone, Args)]
pub struct Audit {
    /// Consumer group whose committed offsets say what must be done [default: inventory-consumer-group]
    ///
    /// With `--decisions` and with `--in` it is used without adding --prefix.
    #[arg(long, value_name = "NAME")]
    pub group: Option<String>,
    /// Judge another inventory service: this topic has its decisions about our orders
    ///
    /// It has one `InventoryEvent` for each order line, in the form of docs/guide/audit.md. The name is used without
    /// adding --prefix.
    #[arg(long, value_name = "TOPIC", requires = "group", conflicts_with_all = ["input", "output_topic"])]
    pub decisions: Option<String>,
    /// With `--decisions`: the service claims that events have this field of the order as their key, and are in the
    /// order of the orders with the same one
    #[arg(long, value_name = "FIELD", value_enum, requires = "decisions")]
    pub ordered_by: Option<OrderField>,
    /// Judge any consumer that writes to another topic: this topic has its inputs
    #[arg(long = "in", value_name = "TOPIC", requires = "output_topic")]
    pub input: Option<String>,
    /// With `--in`: this topic has the outputs
    #[arg(long = "out", value_name = "TOPIC", requires = "input")]
    pub output_topic: Option<String>,
    /// The field that an input and its outputs have in common: `key`, `header:NAME`, or a JSON pointer into the value
    /// such as `/order_id`
    #[arg(long = "match", value_name = "FIELD", requires = "input", value_parser = match_field)]
    pub matched: Option<MatchField>,
    /// The field of the inputs, where it differs from `--match`
    #[arg(long, value_name = "FIELD", requires = "input", value_parser = match_field)]
    pub match_in: Option<MatchField>,
    /// The field of the outputs, where it differs from `--match`
    #[arg(long, value_name = "FIELD", requires = "input", value_parser = match_field)]
    pub match_out: Option<MatchField>,
    /// How many outputs an input has: a number, `one`, `at-least-one` or `at-most-one`
    #[arg(long, value_name = "NUMBER", requires = "input", default_value = "one", value_parser = fan_out)]
    pub fan_out: FanOut,
    /// Which outputs count; `read_uncommitted` shows what aborted transactions would have added
    #[arg(long, value_enum, requires = "input", default_value = "read_committed")]
    pub isolation: LagIsolation,
    /// Memory for records to compare, as in `256MB`; more of them are sorted in temporary files
    #[arg(long, value_name = "SIZE", default_value = "256MB", value_parser = size, hide_short_help = true)]
    pub memory: NonZeroU64,
    /// How much evidence to show of each violated check
    #[arg(long, value_name = "COUNT", default_value = "1", allow_hyphen_values = true, value_parser = witnesses)]
    pub witnesses: usize,
    /// Also write a report to one self-contained HTML file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also write `JUnit` XML to this file, with a test case for each check
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Show all partitions, and whole lines of evidence
    #[arg(long)]
    pub full: bool,
}

/// A field of an order that orders its decisions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum OrderField {
    /// The restaurant's id
    RestaurantId,
    /// The user's id
    UserId,
    /// The order's id
    OrderId,
}
