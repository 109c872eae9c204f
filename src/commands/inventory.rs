//! `inventory`: reserves stock for each order, exactly once.

use super::Context;
use super::topic_set::{self, Topic};
use crate::clock;
use crate::exit::{Code, Failure, Outcome};
use crate::inventory::{CommittedOffset, InventoryDocument, StockSettings};
use crate::kafka::{EndOffset, ErrorKind, Inspector, LARGEST_RECORD, Operation, TopicPartition};
use crate::processors::{DEAD_LETTERS, DeadLetterLimits, InventoryProcessor, LEDGER};
use crate::report::{self, Detail};
use crate::settings::ConsumerSettings;
use crate::state::PositionKey;
use crate::stream::{self, ErrorTexts, LoopEvent, LoopSettings, LoopSummary, Processor, changelog};
use crate::units::counted;

const ERROR_TEXTS: ErrorTexts = ErrorTexts {
    command: "inventory",
    resume_flag: "--resume-from-ledger",
    state_name: "ledger",
    state_missing_hint: "start with new topics under another --prefix, or delete the offsets with kafka-consumer-groups --delete-offsets",
    topic_recreated_hint: "`foodstream inventory --start-over` processes it from its first order, with new stock instead of the old ledger",
    state_incomplete_hint: "the stock cannot be restored: start with new topics under another --prefix, and keep cleanup.policy=compact on inventory-ledger",
    records_missing_hint: "the deleted orders cannot be processed: start with new topics under another --prefix",
};

/// Runs until stopped, or until the group reaches the current ends. Earlier commits remain valid after a failure.
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
    let topic_set = topic_set::ensure(context, &inspector, &uses, None)?;
    let orders = TopicPartition::all(&names.orders(), topic_set.partitions);
    let until = if settings.until_end {
        let ends = inspector.ends(&orders, EndOffset::HighWatermark)?;
        Some(orders.iter().cloned().zip(ends).collect())
    } else {
        None
    };
    let mut processor =
        InventoryProcessor::new(&group, &names.orders(), stock, dead_letter_limits(context, &inspector)?);
    check_ledger(context, &inspector, &processor, &group, &orders)?;

    let loop_settings = LoopSettings {
        group,
        instance_id: settings.instance_id.clone(),
        process_id: context.process_id.clone(),
        sources: vec![names.orders()],
        partitions: topic_set.partitions,
        outputs: vec![names.decisions(), names.ledger(), names.dead_letters()],
        changelog: LEDGER,
        sizes: topic_set::sizes(context, &inspector, &[Topic::Decisions, Topic::Ledger, Topic::DeadLetters])?,
        compressed: Some(DEAD_LETTERS),
        commit_interval: settings.commit_interval,
        throttle: settings.throttle,
        until,
        survives_outages: false,
        resume: settings.resume,
        start_over: settings.start_over,
        error_texts: ERROR_TEXTS,
    };
    let started = clock::now();
    let ended = {
        let mut progress = context.console.progress("orders decided", None);
        stream::run(connection, &loop_settings, &mut processor, &inspector, &context.shutdown, &mut |event| {
            match event {
                LoopEvent::Note(text) => context.console.note(text),
                LoopEvent::Aborted(reason) => context.console.detail(&format!("a transaction was aborted: {reason}")),
                LoopEvent::Progress(ended) => progress.set(ended.records),
                LoopEvent::Outage(_) => {}
            }
            Ok(true)
        })?
    };
    let document = document(&processor, &ended, started.elapsed());
    let ahead = processor.total().ahead;
    if ahead > 0 {
        context.console.warn(&format!(
            "{} more than a day ahead of the record timestamp; processed anyway",
            counted(ahead, "order")
        ));
    }
    let text = report::inventory_report(&document, Detail::of(settings.full), &context.files(&[]));
    context.print_document(&document, &text, report)?;
    // Without --until-end, being stopped is the goal.
    let code = context.end(ended.reached_end || !settings.until_end);
    if code == Code::Done
        && settings.until_end
        && document.orders > 0
        && context.wants_next(&inspector, &names.analytics_state())
    {
        context.show_next(&["analytics", "--from-beginning"]);
    }
    Ok(code)
}

/// The size limits of dead letters, as far as this principal may read them.
fn dead_letter_limits(context: &Context, inspector: &Inspector) -> Result<DeadLetterLimits, Failure> {
    let connection = &context.common.connection;
    let topic = match inspector.max_message_bytes(&context.common.names.dead_letters()) {
        Ok(limit) => limit,
        Err(error) if error.kind() == ErrorKind::Denied => DeadLetterLimits::DEFAULT.topic,
        Err(error) => return Err(error.into()),
    };
    let configured = connection.property("message.max.bytes").and_then(|value| value.parse().ok());
    Ok(DeadLetterLimits { topic, client: configured.unwrap_or(LARGEST_RECORD).min(LARGEST_RECORD) })
}

/// Checks all partitions for other settings or another group before joining.
fn check_ledger(
    context: &Context,
    inspector: &Inspector,
    processor: &InventoryProcessor,
    group: &str,
    orders: &[TopicPartition],
) -> Result<(), Failure> {
    let source = changelog::Changelog {
        connection: &context.common.connection,
        inspector,
        group,
        topic: &context.common.names.ledger(),
        shutdown: &context.shutdown,
    };
    let wanted: Vec<(i32, PositionKey)> = orders.iter().map(|place| (place.partition, PositionKey::Ledger)).collect();
    // Open transactions are checked later, when the partition is assigned. Waiting here would mean waiting for the
    // timeout of this instance's own predecessor, which its producer ends at once.
    let positions = changelog::committed_positions(source, &wanted)?;
    for (place, position) in orders.iter().zip(&positions) {
        if let Some(position) = position {
            processor.validate_position(place, position)?;
        }
    }
    Ok(())
}

fn document(processor: &InventoryProcessor, ended: &LoopSummary, elapsed: std::time::Duration) -> InventoryDocument {
    let total = processor.total();
    let mut document = InventoryDocument::of(total.orders, elapsed);
    document.dead_letters = total.dead_letters;
    document.dead_letters_by_reason = processor.dead_letters().rows();
    document.skipped = total.skipped;
    document.transactions_committed = ended.commits;
    document.transactions_aborted = ended.aborts;
    document.restored_records = ended.restored;
    document.committed = ended
        .committed
        .iter()
        .map(|standing| CommittedOffset { partition: standing.source.partition, offset: standing.offset })
        .collect();
    document.committed.sort_by_key(|committed| committed.partition);
    document
}
