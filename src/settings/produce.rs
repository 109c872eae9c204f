//! Owns what was meant by `produce`: how many records, how fast, and which ones.

use std::time::Duration;

use super::usage;
use crate::cli;
use crate::domain::EventTime;
use crate::exit::Failure;
use crate::workload::{self, Rate, WorkloadSettings};

/// What `produce` is to do.
#[derive(Debug, Clone)]
pub struct ProduceSettings {
    /// Number of records; `None` for as many as fit into the duration.
    pub count: Option<u64>,
    /// Stop after this time.
    pub duration: Option<Duration>,
    /// The pace, where there is one.
    pub rate: Option<Rate>,
    /// The workload; its start is the run's own when `follows_the_clock`.
    pub workload: WorkloadSettings,
    /// Event time is the instant at which an event is due, so its start is when the run starts.
    pub follows_the_clock: bool,
    /// Partitions of a topic that is created.
    pub partitions: Option<i32>,
}

/// The settings of `produce`, for a clock and a seed to fall back on.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong.
pub fn produce(typed: &cli::Produce, now_millis: i64, any_seed: u64) -> Result<ProduceSettings, Failure> {
    let duration = typed.duration.map(Duration::from);
    let mut count = match (typed.count, duration) {
        (Some(count), _) => Some(count.get()),
        (None, Some(_)) => None,
        (None, None) => Some(workload::DEFAULT_COUNT.get()),
    };
    if let (Some(rate), Some(duration)) = (typed.rate, duration) {
        // Known beforehand, and then the same whatever the machine does.
        let due = rate.due_before(duration);
        count = Some(count.map_or(due, |count| count.min(due)));
    }
    let follows_the_clock = typed.rate.is_some() && typed.start_time.is_none();
    let spacing = match (typed.rate, typed.orders_per_minute) {
        (Some(_), Some(_)) if follows_the_clock => {
            return Err(usage("--orders-per-minute has no effect with --rate: event time follows the rate")
                .hint("add --start-time for an event time of its own, or leave --orders-per-minute out"));
        }
        (Some(rate), _) if follows_the_clock => rate,
        (_, density) => Rate::per_minute(density.unwrap_or(workload::DEFAULT_ORDERS_PER_MINUTE)),
    };
    let start = match typed.start_time {
        Some(start) => Some(start),
        None if follows_the_clock => EventTime::from_millis(now_millis),
        // How many will fit into a duration is not known: its event time starts at the last full hour.
        None => workload::default_start(now_millis, count.unwrap_or(1), spacing),
    };
    let start = start.ok_or_else(|| {
        usage("the run's event time does not fit between 1970 and now")
            .hint("give --start-time, fewer records or more --orders-per-minute")
    })?;
    let settings = WorkloadSettings {
        seed: typed.seed.unwrap_or(any_seed),
        start,
        spacing,
        failure_rate: typed.failure_rate,
        poison_rate: typed.poison_rate,
        duplicate_rate: typed.duplicate_rate,
        restaurants: typed.restaurants,
        items: typed.items,
        users: typed.users,
    };
    if let Some(count) = count
        && settings.event_time(count.saturating_sub(1)).is_none()
    {
        return Err(usage("the run's event time ends after the year 9999")
            .hint("give an earlier --start-time or fewer records"));
    }
    Ok(ProduceSettings {
        count,
        duration,
        rate: typed.rate,
        workload: settings,
        follows_the_clock,
        partitions: typed.partitions,
    })
}
