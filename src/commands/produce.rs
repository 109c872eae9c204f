//! `produce`: publishes the workload; each record is acknowledged or counted as failed.

use std::time::Duration;

use super::Context;
use super::topic_set::{self, Topic};
use crate::clock;
use crate::domain::EventTime;
use crate::exit::{Code, Failure, Outcome};
use crate::kafka::{self, Inspector, Operation, Publisher, partition_of_key};
use crate::report::{self, Detail};
use crate::settings::ProduceSettings;
use crate::units::{counted, grouped};
use crate::workload::{Buffers, Lateness, ProduceDocument, ProducedPartition, Rate, Workload};

/// Records between two checks of clock, signals and progress at full speed.
const CHECK_EVERY: u64 = 512;

/// Publishes the workload. Fails with exit code 4 if the broker does not acknowledge in time.
pub fn run(context: &Context, settings: &ProduceSettings) -> Outcome {
    let report = context.open_report()?;
    let names = &context.common.names;
    let inspector = Inspector::open(&context.common.connection, &names.inventory_group(None), &context.shutdown)?;
    let topic_set =
        topic_set::ensure(context, &inspector, &[Topic::Orders.to(&[Operation::Write])], settings.partitions)?;
    let sizes = topic_set::sizes(context, &inspector, &[Topic::Orders])?;
    let mut publisher = Publisher::open(&context.common.connection, &names.orders(), topic_set.partitions, sizes)?;

    let started = clock::now();
    let mut workload = settings.workload;
    if settings.follows_the_clock {
        workload.start = EventTime::from_millis(clock::wall_millis())
            .ok_or_else(|| Failure::new(Code::Usage, "the wall clock is outside the years 1970 to 9999"))?;
    }
    let workload = Workload::new(workload).map_err(|error| Failure::new(Code::Usage, error.to_string()))?;
    context.console.note(&format!(
        "producing to {} ({}), seed {}, event time from {}",
        names.orders(),
        counted(topic_set.partitions, "partition"),
        workload.settings().seed,
        workload.settings().start
    ));
    let partitions: Vec<i32> =
        workload.keys().map(|key| partition_of_key(key.as_bytes(), topic_set.partitions)).collect();
    let mut lateness = settings.rate.map(|_| Lateness::new());
    let sent = send(context, settings, &workload, &partitions, &mut publisher, lateness.as_mut());
    // Also after a failed send, so that the failure has the right count.
    let finished = publisher.finish();
    let elapsed = started.elapsed();

    let mut document = ProduceDocument::of(workload.settings(), publisher.sent(), publisher.acknowledged(), elapsed);
    document.failed = document.produced - document.acknowledged;
    document.partitions = publisher
        .delivered()
        .iter()
        .map(|delivered| ProducedPartition {
            partition: delivered.partition,
            records: delivered.records,
            first_offset: delivered.offsets.map(|(first, _)| first),
            last_offset: delivered.offsets.map(|(_, last)| last),
        })
        .collect();
    if let Some(lateness) = &lateness {
        document = document.with_lateness(lateness);
    }
    let text =
        report::produce_report(&document, settings.follows_the_clock, Detail::of(settings.full), &context.files(&[]));
    context.print_document(&document, &text, report)?;
    if let Some((failed, refusal)) = publisher.refusal() {
        let refusal = with_leaderless(refusal, &inspector, &names.orders());
        return Err(refusal
            .context(format!("{} of {} were not acknowledged", grouped(failed), counted(document.produced, "record")))
            .into());
    }
    sent.map_err(|error| with_leaderless(error, &inspector, &names.orders()))?;
    finished.map_err(|error| {
        error.context(format!(
            "{} of {} were not acknowledged",
            grouped(document.failed),
            counted(document.produced, "record")
        ))
    })?;
    publisher.leak();
    let reached = settings.count.is_none_or(|count| document.acknowledged == count);
    let code = context.end(reached && (settings.count.is_some() || context.shutdown.requested().is_none()));
    // Once a ledger exists, `inventory` may need other settings than the defaults.
    if code == Code::Done && document.acknowledged > 0 && context.wants_next(&inspector, &names.ledger()) {
        context.show_next(&["inventory", "--until-end"]);
    }
    Ok(code)
}

/// Adds the partition without a leader, which may be the cause.
fn with_leaderless(error: kafka::Error, inspector: &Inspector, topic: &str) -> kafka::Error {
    if error.kind().is_retriable() { inspector.name_leaderless(error, &[topic.to_owned()]) } else { error }
}

fn send(
    context: &Context,
    settings: &ProduceSettings,
    workload: &Workload,
    partitions: &[i32],
    publisher: &mut Publisher,
    lateness: Option<&mut Lateness>,
) -> Result<(), kafka::Error> {
    let mut progress = context.console.progress("produced", settings.count);
    match (settings.rate, lateness) {
        (Some(rate), Some(lateness)) => {
            paced(context, settings, workload, partitions, publisher, rate, lateness, &mut progress)
        }
        _ => unpaced(context, settings, workload, partitions, publisher, &mut progress),
    }
}

fn unpaced(
    context: &Context,
    settings: &ProduceSettings,
    workload: &Workload,
    partitions: &[i32],
    publisher: &mut Publisher,
    progress: &mut crate::console::Progress<'_>,
) -> Result<(), kafka::Error> {
    let (mut buffers, started) = (Buffers::new(), clock::now());
    for index in 0..settings.count.unwrap_or(u64::MAX) {
        if index % CHECK_EVERY == 0 {
            progress.set(publisher.acknowledged());
            let over = settings.duration.is_some_and(|duration| started.elapsed() >= duration);
            if over || context.shutdown.requested().is_some() || publisher.refusal().is_some() {
                break;
            }
        }
        let event = workload.event(index, &mut buffers);
        publisher.send(partitions[event.restaurant], Some(event.key), event.value)?;
    }
    Ok(())
}

/// Open loop: an event's due time does not depend on earlier events.
#[allow(clippy::too_many_arguments, reason = "only one caller")]
fn paced(
    context: &Context,
    settings: &ProduceSettings,
    workload: &Workload,
    partitions: &[i32],
    publisher: &mut Publisher,
    rate: Rate,
    lateness: &mut Lateness,
    progress: &mut crate::console::Progress<'_>,
) -> Result<(), kafka::Error> {
    let (mut buffers, started) = (Buffers::new(), clock::now());
    for index in 0..settings.count.unwrap_or(u64::MAX) {
        let due = rate.due(index);
        loop {
            if context.shutdown.requested().is_some() || publisher.refusal().is_some() {
                return Ok(());
            }
            let early = due.saturating_sub(started.elapsed());
            if early.is_zero() {
                break;
            }
            progress.set(publisher.acknowledged());
            clock::pause(early.min(Duration::from_millis(50)));
        }
        let event = workload.event(index, &mut buffers);
        publisher.send(partitions[event.restaurant], Some(event.key), event.value)?;
        lateness.record(started.elapsed().saturating_sub(due));
    }
    Ok(())
}
