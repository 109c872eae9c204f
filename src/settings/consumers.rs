//! Settings of the two commands on the transactional loop: `inventory` and live `analytics`.

use std::time::Duration;

use super::{check_group, check_name, usage};
use crate::cli;
use crate::exit::Failure;
use crate::inventory::StockSettings;
use crate::kafka::{Connection, check_timeouts};
use crate::workload::Rate;

#[derive(Debug, Clone)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
pub struct ConsumerSettings {
    /// Stop at the current ends of the partitions.
    pub until_end: bool,
    /// Limit in records per second.
    pub throttle: Option<f64>,
    /// How long to collect records before a commit.
    pub commit_interval: Duration,
    /// The name of the static member.
    pub instance_id: Option<String>,
    /// Commit the position of the state.
    pub resume: bool,
    /// Start again with empty state if a source topic was deleted and created again.
    pub start_over: bool,
    /// `--group`
    pub group: Option<String>,
    /// Show the tables.
    pub full: bool,
}

fn check_instance(instance: Option<&str>) -> Result<(), Failure> {
    match instance {
        Some("") => Err(usage("--instance-id is empty").hint("omit it for a process without a static member name")),
        Some(name) => check_name("--instance-id", name, 200),
        None => Ok(()),
    }
}

fn consumer(settings: ConsumerSettings, connection: &Connection) -> Result<ConsumerSettings, Failure> {
    check_group(settings.group.as_deref())?;
    check_instance(settings.instance_id.as_deref())?;
    check_timeouts(connection, settings.commit_interval)?;
    Ok(settings)
}

fn per_second(rate: Rate) -> f64 {
    // Over a million records the rate keeps enough digits.
    1e6 / rate.due(1_000_000).as_secs_f64().max(1e-9)
}

/// Settings of `inventory`. Fails with exit code 2 and a fix.
pub fn inventory(
    arguments: &cli::Inventory,
    connection: &Connection,
) -> Result<(ConsumerSettings, StockSettings), Failure> {
    let stock = StockSettings::new(arguments.opening_stock, arguments.restock_every.into())
        .map_err(|error| usage(format!("--restock-every: {error}")).hint("as in --restock-every 1h"))?;
    let settings = consumer(
        ConsumerSettings {
            until_end: arguments.until_end,
            throttle: arguments.throttle.map(per_second),
            commit_interval: arguments.commit_interval.into(),
            instance_id: arguments.instance_id.clone(),
            resume: arguments.resume_from_ledger,
            start_over: arguments.start_over,
            group: arguments.group.clone(),
            full: arguments.full,
        },
        connection,
    )?;
    Ok((settings, stock))
}

/// Settings of live `analytics`. Fails with exit code 2 and a fix.
pub fn analytics(arguments: &cli::Analytics, connection: &Connection) -> Result<(ConsumerSettings, Duration), Failure> {
    let every = arguments.every.into();
    let settings = consumer(
        ConsumerSettings {
            until_end: arguments.until_end,
            throttle: arguments.throttle.map(per_second),
            commit_interval: arguments.commit_interval.into(),
            instance_id: arguments.instance_id.clone(),
            resume: arguments.resume_from_state,
            start_over: arguments.start_over,
            group: arguments.group.clone(),
            full: arguments.full,
        },
        connection,
    )?;
    Ok((settings, every))
}
