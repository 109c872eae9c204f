//! Owns what was meant by `inventory` and live `analytics`, the two commands on the loop.

use std::time::Duration;

use super::{check_group, check_name, usage};
use crate::cli;
use crate::exit::Failure;
use crate::inventory::StockSettings;
use crate::kafka::{Connection, check_timeouts};
use crate::workload::Rate;

/// What `inventory` and live `analytics` share.
#[derive(Debug, Clone)]
pub struct ConsumerSettings {
    /// Stop at the ends that the partitions have now.
    pub until_end: bool,
    /// Records a second, where the pace is limited.
    pub throttle: Option<f64>,
    /// How long records are collected before a commit.
    pub commit_interval: Duration,
    /// The static member's name.
    pub instance_id: Option<String>,
    /// Take the state's position as committed.
    pub resume: bool,
    /// Begin anew where a source topic was deleted and created again.
    pub start_over: bool,
    /// The user's own group name.
    pub group: Option<String>,
}

fn check_instance(instance: Option<&str>) -> Result<(), Failure> {
    match instance {
        Some("") => Err(usage("--instance-id is empty").hint("leave it out for a process of its own")),
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

/// Records a second of a rate.
fn per_second(rate: Rate) -> f64 {
    // The time of a million records keeps more than enough digits of the rate.
    1e6 / rate.due(1_000_000).as_secs_f64().max(1e-9)
}

/// The settings of `inventory`: of its loop and of its stock.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong.
pub fn inventory(
    typed: &cli::Inventory,
    connection: &Connection,
) -> Result<(ConsumerSettings, StockSettings), Failure> {
    let stock = StockSettings::new(typed.opening_stock, typed.restock_every.into())
        .map_err(|error| usage(format!("--restock-every: {error}")).hint("as in --restock-every 1h"))?;
    let settings = consumer(
        ConsumerSettings {
            until_end: typed.until_end,
            throttle: typed.throttle.map(per_second),
            commit_interval: typed.commit_interval.into(),
            instance_id: typed.instance_id.clone(),
            resume: typed.resume_from_ledger,
            start_over: typed.start_over,
            group: typed.group.clone(),
        },
        connection,
    )?;
    Ok((settings, stock))
}

/// The settings of live `analytics`.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong.
pub fn analytics(typed: &cli::Analytics, connection: &Connection) -> Result<(ConsumerSettings, Duration), Failure> {
    let every = typed.every.into();
    let settings = consumer(
        ConsumerSettings {
            until_end: typed.until_end,
            throttle: typed.throttle.map(per_second),
            commit_interval: typed.commit_interval.into(),
            instance_id: typed.instance_id.clone(),
            resume: typed.resume_from_state,
            start_over: typed.start_over,
            group: typed.group.clone(),
        },
        connection,
    )?;
    Ok((settings, every))
}
