//! Arguments of `produce`.

use std::num::{NonZeroU32, NonZeroU64};

use clap::{Args, ValueEnum};
use humantime::Duration;

use super::value_parsers::{count, duration, event_time, names, partitions, seed, users};
use crate::domain::EventTime;
use crate::workload::{DEFAULT_FAILURE_RATE, DEFAULT_ITEMS, DEFAULT_RESTAURANTS, DEFAULT_USERS, Fraction, Rate};

#[derive(Debug, Clone, Args)]
pub struct Produce {
    /// Number of records, as in 10000, 10k or 1.5M [default: 10000, or as many as fit into --duration]
    #[arg(short = 'c', long, value_name = "N", allow_hyphen_values = true, value_parser = count)]
    pub count: Option<NonZeroU64>,
    /// Stop after this time
    #[arg(long, value_name = "DURATION", allow_hyphen_values = true, value_parser = duration)]
    pub duration: Option<Duration>,
    /// Send event i at start + i/RATE, whether or not earlier ones are acknowledged (open loop); its event time is that
    /// instant
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    pub rate: Option<Rate>,
    /// Seed of the workload; the same seed gives the same records [default: random, printed]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = seed)]
    pub seed: Option<u64>,
    /// Event time of the first order [default: the last full hour that keeps the run's event time in the past]
    #[arg(long, value_name = "TIME", value_parser = event_time)]
    pub start_time: Option<EventTime>,
    /// Orders per minute of event time, on average; not with --rate, unless --start-time is given
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = count)]
    pub orders_per_minute: Option<NonZeroU64>,
    /// How orders are spread over event time [default: lunch, or flat if event time follows --rate]
    #[arg(long, value_enum)]
    pub shape: Option<Shape>,
    /// Share of orders whose payment fails, as in `5%` or `0.05`
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_FAILURE_RATE, allow_hyphen_values = true)]
    pub failure_rate: Fraction,
    /// Number of restaurants
    #[arg(long, value_name = "N", default_value_t = DEFAULT_RESTAURANTS, allow_hyphen_values = true, value_parser = names)]
    pub restaurants: NonZeroU32,
    /// Number of items on each menu
    #[arg(long, value_name = "N", default_value_t = DEFAULT_ITEMS, allow_hyphen_values = true, value_parser = names)]
    pub items: NonZeroU32,
    /// Number of users
    #[arg(long, value_name = "N", default_value_t = DEFAULT_USERS, allow_hyphen_values = true, value_parser = users)]
    pub users: NonZeroU32,
    /// Partitions of created topics [default: 6]
    #[arg(long, value_name = "N", allow_hyphen_values = true, value_parser = partitions)]
    pub partitions: Option<i32>,
    /// Share of records that are made invalid
    #[arg(long, value_name = "SHARE", default_value_t = Fraction::NONE, allow_hyphen_values = true)]
    pub poison_rate: Fraction,
    /// Share of records that repeat an earlier one exactly
    #[arg(long, value_name = "SHARE", default_value_t = Fraction::NONE, allow_hyphen_values = true)]
    pub duplicate_rate: Fraction,
    /// Show the records and offsets of each partition
    #[arg(long)]
    pub full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// Waves of 10,000 orders with a lunch peak and a quiet afternoon; they vary with the seed
    Lunch,
    /// Always the same time between two orders
    Flat,
}
