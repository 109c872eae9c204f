//! Settings of `produce`: number of records, rate and workload.

use std::time::Duration;

use super::usage;
use crate::cli;
use crate::domain::EventTime;
use crate::exit::Failure;
use crate::workload::{self, Rate, Shape, WorkloadSettings};

#[derive(Debug, Clone)]
pub struct ProduceSettings {
    /// `None` for as many as fit into the duration.
    pub count: Option<u64>,
    pub duration: Option<Duration>,
    pub rate: Option<Rate>,
    /// Its start is replaced by the run's start if `follows_the_clock`.
    pub workload: WorkloadSettings,
    /// Event time is the due time of an event, so it starts with the run.
    pub follows_the_clock: bool,
    /// Partitions of a created topic.
    pub partitions: Option<i32>,
    /// Show the tables.
    pub full: bool,
}

/// Resolves the settings with the current time and a random seed. Fails with exit code 2 and a fix.
pub fn produce(arguments: &cli::Produce, now_millis: i64, any_seed: u64) -> Result<ProduceSettings, Failure> {
    let duration = arguments.duration.map(Duration::from);
    let mut count = match (arguments.count, duration) {
        (Some(count), _) => Some(count.get()),
        (None, Some(_)) => None,
        (None, None) => Some(workload::DEFAULT_COUNT.get()),
    };
    if let (Some(rate), Some(duration)) = (arguments.rate, duration) {
        // Computed in advance, so that it does not depend on the machine.
        let due = rate.due_before(duration);
        count = Some(count.map_or(due, |count| count.min(due)));
    }
    let follows_the_clock = arguments.rate.is_some() && arguments.start_time.is_none();
    let spacing = match (arguments.rate, arguments.orders_per_minute) {
        (Some(_), Some(_)) if follows_the_clock => {
            return Err(usage("--orders-per-minute has no effect with --rate: event time follows the rate")
                .hint("add --start-time to choose the event time, or omit --orders-per-minute"));
        }
        (Some(rate), _) if follows_the_clock => rate,
        (_, density) => Rate::per_minute(density.unwrap_or(workload::DEFAULT_ORDERS_PER_MINUTE)),
    };
    let shape = match arguments.shape {
        Some(cli::Shape::Lunch) if follows_the_clock => {
            return Err(usage("--shape lunch has no effect with --rate: event time follows the rate")
                .hint("add --start-time to choose the event time, or omit --shape"));
        }
        Some(cli::Shape::Flat) => Shape::Flat,
        None if follows_the_clock => Shape::Flat,
        Some(cli::Shape::Lunch) | None => Shape::Lunch,
    };
    let mut settings = WorkloadSettings {
        seed: arguments.seed.unwrap_or(any_seed),
        start: arguments.start_time.unwrap_or(EventTime::MAX),
        spacing,
        shape,
        failure_rate: arguments.failure_rate,
        poison_rate: arguments.poison_rate,
        duplicate_rate: arguments.duplicate_rate,
        restaurants: arguments.restaurants,
        items: arguments.items,
        users: arguments.users,
    };
    if arguments.start_time.is_none() {
        let start = if follows_the_clock {
            EventTime::from_millis(now_millis)
        } else {
            // Without a count the run's length is unknown, so event time starts at the last full hour.
            settings.default_start(now_millis, count.unwrap_or(1))
        };
        settings.start = start.ok_or_else(|| {
            usage("the run's event time does not fit between 1970 and now")
                .hint("use --start-time, fewer records or more --orders-per-minute")
        })?;
    }
    if let Some(count) = count
        && settings.event_time(count.saturating_sub(1)).is_none()
    {
        return Err(
            usage("the run's event time ends after the year 9999").hint("use an earlier --start-time or fewer records")
        );
    }
    Ok(ProduceSettings {
        count,
        duration,
        rate: arguments.rate,
        workload: settings,
        follows_the_clock,
        partitions: arguments.partitions,
        full: arguments.full,
    })
}
