//! Owns `inventory`: stock reserved for each order, exactly once.

use super::Context;
use super::topology::{self, Topic};
use crate::clock;
use crate::exit::{Failure, Outcome};
use crate::inventory::{CommittedOffset, InventoryDocument, StockSettings};
use crate::kafka::{Inspector, Isolation, Kind, LARGEST_RECORD, Operation, TopicPartition};
use crate::processors::{DEAD_LETTERS, LEDGER, LetterRoom, StockKeeper};
use crate::report;
use crate::settings::ConsumerSettings;
use crate::state::PositionKey;
use crate::stream::{self, Ended, Event, LoopSettings, Processor, Words, changelog};

const WORDS: Words = Words {
    command: "inventory",
    resume: "--resume-from-ledger",
    state: "ledger",
    state_gone: "begin a fresh topic set with --prefix, or give the offsets up with kafka-consumer-groups --delete-offsets",
    recreated: "`foodstream inventory --start-over` decides its orders from the first one on, with fresh stock in place of the old ledger's",
    state_lost: "the stock cannot be had back: begin a fresh topic set with --prefix, and keep cleanup.policy=compact on its inventory-ledger",
    records_gone: "what was not read cannot be decided any more: begin a fresh topic set with --prefix",
};

/// Runs the inventory until stopped, or until the group has reached the ends that stand now.
///
/// # Errors
///
/// With the exit code of whatever stopped it; every commit before stands.
pub fn run(context: &Context, settings: &ConsumerSettings, stock: StockSettings) -> Outcome {
    let report = context.open_report()?;
    let connection = &context.common.connection;
    let names = &context.common.names;
    let group = names.inventory_group(settings.group.as_deref());
    let inspector = Inspector::open(connection, &group, &context.shutdown)?;
    let uses = [
        Topic::Orders.to(&[Operation::Read]),
        Topic::Decisions.to(&[Operation::Write]),
        Topic::Ledger.to(&[Operation::Read, Operation::Write]),
        Topic::DeadLetters.to(&[Operation::Write]),
    ];
    let topology = topology::ensure(context, &inspector, &uses, None)?;
    let orders = TopicPartition::all(&names.orders(), topology.partitions);
    let until = if settings.until_end {
        let ends = inspector.ends(&orders, Isolation::Uncommitted)?;
        Some(orders.iter().cloned().zip(ends).collect())
    } else {
        None
    };
    let mut keeper = StockKeeper::new(&group, &names.orders(), stock, letter_room(context, &inspector)?);
    check_ledger(context, &inspector, &keeper, &group, &orders)?;

    let loop_settings = LoopSettings {
        group,
        instance_id: settings.instance_id.clone(),
        process_id: context.process_id.clone(),
        sources: vec![names.orders()],
        partitions: topology.partitions,
        outputs: vec![names.decisions(), names.ledger(), names.dead_letters()],
        changelog: LEDGER,
        sizes: topology::sizes(context, &inspector, &[Topic::Decisions, Topic::Ledger, Topic::DeadLetters])?,
        compressed: Some(DEAD_LETTERS),
        commit_interval: settings.commit_interval,
        throttle: settings.throttle,
        until,
        survives_outages: false,
        resume: settings.resume,
        start_over: settings.start_over,
        words: WORDS,
    };
    let started = clock::now();
    let ended = {
        let mut progress = context.console.progress("orders decided", None);
        stream::run(connection, &loop_settings, &mut keeper, &inspector, &context.shutdown, &mut |event| {
            match event {
                Event::Note(text) => context.console.note(text),
                Event::Aborted(reason) => context.console.detail(&format!("a transaction was aborted: {reason}")),
                Event::Progress(ended) => progress.set(ended.records),
                Event::Outage(_) => {}
            }
            Ok(true)
        })?
    };
    let document = document(&keeper, &ended, started.elapsed());
    let ahead = keeper.total().ahead;
    if ahead > 0 {
        context.console.warn(&format!(
            "{ahead} orders are more than a day ahead of their record's timestamp; they were decided all the same"
        ));
    }
    context.answer(&document, &report::inventory_report(&document), report)?;
    // Without --until-end to be stopped is the goal.
    Ok(context.end(ended.reached || !settings.until_end))
}

/// How large dead letters may be, as far as this principal may know.
fn letter_room(context: &Context, inspector: &Inspector) -> Result<LetterRoom, Failure> {
    let connection = &context.common.connection;
    let topic = match inspector.max_message_bytes(&context.common.names.dead_letters()) {
        Ok(limit) => limit,
        Err(error) if error.kind() == Kind::Denied => LetterRoom::DEFAULT.topic,
        Err(error) => return Err(error.into()),
    };
    let said = connection.property("message.max.bytes").and_then(|value| value.parse().ok());
    Ok(LetterRoom { topic, client: said.unwrap_or(LARGEST_RECORD).min(LARGEST_RECORD) })
}

/// Other settings or another group are told for all partitions before anything is joined.
fn check_ledger(
    context: &Context,
    inspector: &Inspector,
    keeper: &StockKeeper,
    group: &str,
    orders: &[TopicPartition],
) -> Result<(), Failure> {
    let source = changelog::Source {
        connection: &context.common.connection,
        inspector,
        group,
        topic: &context.common.names.ledger(),
        shutdown: &context.shutdown,
    };
    let wanted: Vec<(i32, PositionKey)> = orders.iter().map(|place| (place.partition, PositionKey::Ledger)).collect();
    // What is open is looked at when its partition is assigned. To wait for it here would be to wait for a predecessor's
    // time-out, which the producer of this very instance ends at once.
    let positions = changelog::committed_positions(source, &wanted)?;
    for (place, position) in orders.iter().zip(&positions) {
        if let Some(position) = position {
            keeper.accept(place, position)?;
        }
    }
    Ok(())
}

fn document(keeper: &StockKeeper, ended: &Ended, elapsed: std::time::Duration) -> InventoryDocument {
    let total = keeper.total();
    let mut document = InventoryDocument::of(total.orders, elapsed);
    document.dead_letters = total.dead_letters;
    document.skipped = total.skipped;
    document.transactions_committed = ended.commits;
    document.transactions_aborted = ended.aborts;
    document.restored_records = ended.restored;
    document.committed = ended
        .standing
        .iter()
        .map(|standing| CommittedOffset { partition: standing.source.partition, offset: standing.offset })
        .collect();
    document.committed.sort_by_key(|committed| committed.partition);
    document
}
