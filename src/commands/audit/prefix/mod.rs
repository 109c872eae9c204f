//! Audit of the topics of a prefix: reads them once, and again where they are not what they must be.

mod aborted;
mod evidence;
mod folds;
mod readings;
mod result;
mod topics;
mod witnesses;

use std::ops::Range;
use std::time::Duration;

use self::folds::{ChangelogFold, PrefixFold};
use self::readings::Readings;
use self::topics::{PrefixTopics, TopicOffsets};
use super::frozen_topic::uncommitted;
use super::scan_folds::{Scanned, scan_folds};
use super::watched_scan::{LOOK_AGAIN, Watch};
use crate::audit::{
    AuditDocument, DecisionFold, Findings, LedgerFold, LetterFold, OrderFold, PartitionFacts, PartitionPlan,
    PositionRecord, PrefixTopic, check_position,
};
use crate::clock::{self, Deadline};
use crate::commands::Context;
use crate::commands::scan_shares::threads;
use crate::exit::Failure;
use crate::external_sort::ExternalSorter;
use crate::inventory::StockSettings;
use crate::kafka::{EndOffset, Inspector, OffsetRange};
use crate::settings::AuditSettings;
use crate::state::{Position, is_another_topic};

/// Memory for the ids of orders, by which repeated ones are counted.
const ORDER_IDS: u64 = 32_000_000;

/// The topics that `inventory` writes to.
const OUTPUTS: [PrefixTopic; 3] = [PrefixTopic::Ledger, PrefixTopic::Decisions, PrefixTopic::DeadLetters];

/// How long the end of a log may be behind what was read of it. A follower fetches at least twice a second.
const LATE_END: Duration = Duration::from_secs(1);

/// What an analytics group has read of a partition.
struct Reader {
    pub group: String,
    pub topic: String,
    pub partition: i32,
    /// The partition of `analytics-state` with its position record.
    pub state_partition: i32,
    pub record: PositionRecord,
}

/// What is known before the orders and the outputs are read.
struct Frozen<'a> {
    pub context: &'a Context,
    pub settings: &'a AuditSettings,
    pub inspector: Inspector,
    pub topics: PrefixTopics,
    pub group: String,
    pub is_live: bool,
    /// The group's offsets before the outputs were frozen.
    pub committed: Vec<Option<i64>>,
    pub orders: TopicOffsets,
    pub decisions: TopicOffsets,
    pub dead_letters: TopicOffsets,
    pub ledger_offsets: TopicOffsets,
    pub state_offsets: TopicOffsets,
    pub ledgers: Vec<LedgerFold>,
    pub readers: Vec<Reader>,
    /// The settings that most ledgers have.
    pub stock: Option<StockSettings>,
}

impl Frozen<'_> {
    pub fn facts(&self, partition: usize) -> PartitionFacts<'_> {
        PartitionFacts {
            partition: i32::try_from(partition).unwrap_or(i32::MAX),
            topic: self.topics.name(PrefixTopic::Orders),
            group: &self.group,
            committed: self.committed[partition],
            orders: self.orders.starts[partition]..self.orders.ends[partition],
            decisions_start: self.decisions.starts[partition],
            is_stuck: [&self.decisions, &self.ledger_offsets, &self.dead_letters]
                .iter()
                .any(|offsets| offsets.stuck.contains(&partition)),
            is_compacted: self.topics.compacted().next().is_some(),
            topic_id: self.topics.id(PrefixTopic::Orders),
            ledger: &self.ledgers[partition],
            settings: self.stock,
        }
    }

    /// The orders or the decisions, if it is the name of one of them.
    pub fn source(&self, name: &str) -> Option<PrefixTopic> {
        [PrefixTopic::Orders, PrefixTopic::Decisions].into_iter().find(|topic| self.topics.name(*topic) == name)
    }

    /// The offsets of the partition that a group has read; `None` without such a partition.
    pub fn log_of(&self, reader: &Reader) -> Option<Range<i64>> {
        let log = match self.source(&reader.topic)? {
            PrefixTopic::Orders => &self.orders,
            _ => &self.decisions,
        };
        let index = usize::try_from(reader.partition).ok()?;
        Some(*log.starts.get(index)?..*log.ends.get(index)?)
    }

    /// Whether records that a group has read are gone, or the whole topic, which was created again since.
    pub fn is_gone(&self, reader: &Reader, position: &Position) -> bool {
        self.source(&reader.topic).is_some_and(|topic| self.is_recreated(topic, position))
            || self.log_of(reader).is_some_and(|log| position.log_start < log.start)
    }

    /// Whether a position is one in a topic that was deleted and created again since.
    fn is_recreated(&self, topic: PrefixTopic, position: &Position) -> bool {
        is_another_topic(position.topic_id.as_ref(), self.topics.id(topic).as_ref())
    }

    /// The topics that are read.
    pub fn watch(&self) -> Watch<'_> {
        let topics = [
            self.topics.watched(PrefixTopic::Orders, &self.orders),
            self.topics.watched(PrefixTopic::Decisions, &self.decisions),
            self.topics.watched(PrefixTopic::DeadLetters, &self.dead_letters),
            // Their records were read before, but perhaps not those of the topics that were found.
            self.topics.watched(PrefixTopic::Ledger, &self.ledger_offsets),
            self.topics.watched(PrefixTopic::State, &self.state_offsets),
        ];
        Watch::new(self.context, &self.inspector, topics.into_iter().flatten().collect())
    }

    /// Reads the ends of the orders and the decisions again while one is below an offset that a group has reached: a new
    /// leader may not know the end of its log yet. If it stays below, records are gone.
    fn wait_for_ends(&mut self) -> Result<(), Failure> {
        let late = Deadline::after(LATE_END);
        while self.has_late_end() && !late.has_passed() {
            self.context.shutdown.check()?;
            clock::pause(LOOK_AGAIN);
            // Each is frozen before what its records refer to.
            let decisions = self.topics.offsets(&self.inspector, PrefixTopic::Decisions, EndOffset::LastStable)?;
            self.decisions.extend(&decisions);
            let orders = self.topics.offsets(&self.inspector, PrefixTopic::Orders, EndOffset::LastStable)?;
            self.orders.extend(&orders);
        }
        Ok(())
    }

    fn has_late_end(&self) -> bool {
        let orders = &self.orders.ends;
        let reached = |(ledger, committed): (&LedgerFold, &Option<i64>)| {
            let position = ledger.position().filter(|position| !self.is_recreated(PrefixTopic::Orders, position));
            position.map(|position| position.next_offset).max(*committed)
        };
        let reached = self.ledgers.iter().zip(&self.committed).map(reached);
        let of_group = reached.zip(orders).any(|(reached, end)| reached > Some(*end));
        let is_behind = |reader: &Reader| {
            let (log, position) = (self.log_of(reader), reader.record.position());
            let behind = log.zip(position).filter(|(log, position)| position.next_offset > log.end);
            behind.is_some_and(|(_, position)| !self.is_gone(reader, position))
        };
        of_group || self.readers.iter().any(is_behind)
    }

    pub fn partitions(&self) -> Range<usize> {
        0..self.committed.len()
    }

    /// The offsets of a topic's partition at which digests are compared.
    fn marks(&self, topic: PrefixTopic, partition: usize) -> Vec<i64> {
        let name = self.topics.name(topic);
        let is_own = |of: &i32| usize::try_from(*of).is_ok_and(|of| of == partition);
        let readers = self.readers.iter().filter(|reader| reader.topic == name && is_own(&reader.partition));
        let mut positions: Vec<&Position> = readers.filter_map(|reader| reader.record.position()).collect();
        let (mut ends, mut older) = (&self.decisions, None);
        if topic == PrefixTopic::Orders {
            let ledger = &self.ledgers[partition];
            positions.extend(ledger.position());
            (ends, older) = (&self.orders, Some(ledger.older_offsets()));
        }
        let range = ends.starts[partition]..=ends.ends[partition];
        let offsets = positions.into_iter().flat_map(|position| [position.log_start, position.next_offset]);
        let offsets = offsets.chain(older.into_iter().flatten());
        offsets.filter(|offset| range.contains(offset)).collect()
    }
}

/// Judges the topics of the prefix.
pub(super) fn audit(
    context: &Context,
    settings: &AuditSettings,
    group: Option<&str>,
) -> Result<AuditDocument, Failure> {
    let mut findings = Findings::new(settings.witnesses);
    let frozen = freeze(context, settings, group, &mut findings)?;
    let plans: Vec<PartitionPlan> =
        frozen.partitions().map(|partition| PartitionPlan::of(&frozen.facts(partition))).collect();
    let (ranges, folds) = first_reading(&frozen, &plans);
    let share = ORDER_IDS / threads(ranges.len()) as u64;
    let Scanned { folds, of_threads, result } =
        scan_folds(&frozen.watch(), &frozen.group, &ranges, folds, || ExternalSorter::new(share), "records read");
    let later = match result.and_then(|()| offsets_afterwards(&frozen)) {
        Err(failure) if failure.code.is_stop() => None,
        later => Some(later?),
    };
    let was_stopped = later.is_none();
    let later = later.unwrap_or_else(|| frozen.committed.clone());
    let has_offsets = frozen.committed.iter().chain(&later).any(Option::is_some);
    let is_live = frozen.is_live || later != frozen.committed;
    for partition in frozen.partitions() {
        let facts = frozen.facts(partition);
        // Later position records may be behind the open transaction, and a stopped audit does not know the later offsets.
        // A group without any offset claims nothing.
        if !facts.is_stuck && !was_stopped && has_offsets {
            check_position(&facts, later[partition], &mut findings);
        }
    }
    let mut readings = Readings::of(folds);
    result::compare(&frozen, &plans, &mut readings, was_stopped, &mut findings);
    let repeated_orders = match evidence::repeated(of_threads, &context.shutdown) {
        Err(failure) if failure.code.is_stop() => 0,
        repeated => repeated?,
    };
    let evidence = evidence::collect(&frozen, &plans, &readings, &later, was_stopped)?;
    let document = result::document(&frozen, &plans, &readings, findings, evidence, was_stopped)?;
    let uncommitted = uncommitted(&frozen.orders.starts, &frozen.orders.ends, &frozen.committed);
    Ok(AuditDocument { live: is_live, repeated_orders, uncommitted, ..document })
}

/// The group's offsets after the outputs were read, if these are still the same topics.
fn offsets_afterwards(frozen: &Frozen<'_>) -> Result<Vec<Option<i64>>, Failure> {
    frozen.watch().check()?;
    let orders = frozen.topics.all(PrefixTopic::Orders);
    Ok(frozen.inspector.committed(&orders, &mut |text| frozen.context.console.note(text))?)
}

/// Whether a scan was stopped by a signal; its other errors are returned.
fn was_stopped(result: Result<(), Failure>) -> Result<bool, Failure> {
    match result {
        Ok(()) => Ok(false),
        Err(failure) if failure.code.is_stop() => Ok(true),
        Err(failure) => Err(failure),
    }
}

/// The topics, and the group's offsets after they were found.
struct GroupOffsets {
    topics: PrefixTopics,
    is_live: bool,
    committed: Vec<Option<i64>>,
}

impl GroupOffsets {
    fn find(context: &Context, inspector: &Inspector, group: &str) -> Result<Self, Failure> {
        let topics = PrefixTopics::find(context, inspector)?;
        let is_live = !inspector.group_members(group)?.members.is_empty();
        let orders = topics.all(PrefixTopic::Orders);
        let committed = inspector.committed(&orders, &mut |text| context.console.note(text))?;
        Ok(Self { topics, is_live, committed })
    }
}

/// Reads the group's offsets, then freezes the ends of the outputs, then reads the changelogs.
fn freeze<'a>(
    context: &'a Context,
    settings: &'a AuditSettings,
    group: Option<&str>,
    findings: &mut Findings,
) -> Result<Frozen<'a>, Failure> {
    let group = context.common.names.inventory_group(group);
    let inspector = Inspector::open(&context.common.connection, &group, &context.shutdown)?.describe_only();
    let mut found = GroupOffsets::find(context, &inspector, &group)?;
    if found.committed.iter().any(Option::is_some) && OUTPUTS.iter().any(|topic| !found.topics.exists(*topic)) {
        // The first members of the group may have created the outputs between the two requests. They do so before they
        // commit.
        found = GroupOffsets::find(context, &inspector, &group)?;
    }
    let GroupOffsets { topics, is_live, committed } = found;
    // Each is frozen before what its records refer to, so that a position never exceeds the records that are read.
    let state_offsets = topics.offsets(&inspector, PrefixTopic::State, EndOffset::LastStable)?;
    let [ledger_offsets, decisions, dead_letters] =
        topics.output_offsets(context, &inspector, OUTPUTS, is_live, findings)?;
    let orders = topics.offsets(&inspector, PrefixTopic::Orders, EndOffset::LastStable)?;

    let mut ranges = topics.ranges(PrefixTopic::Ledger, &ledger_offsets);
    let mut folds: Vec<ChangelogFold> = ranges.iter().map(|_| ChangelogFold::Ledger(Box::default())).collect();
    ranges.extend(topics.ranges(PrefixTopic::State, &state_offsets));
    folds.resize_with(ranges.len(), || ChangelogFold::State(std::collections::BTreeMap::new()));
    let watched = [(PrefixTopic::Ledger, &ledger_offsets), (PrefixTopic::State, &state_offsets)];
    let watched = watched.into_iter().filter_map(|(topic, offsets)| topics.watched(topic, offsets));
    let watch = Watch::new(context, &inspector, watched.collect());
    let Scanned { folds, result, .. } = scan_folds(&watch, &group, &ranges, folds, || (), "changelog records read");
    result?;
    let (mut ledgers, mut readers) = (Vec::new(), Vec::new());
    for (fold, range) in folds.into_iter().zip(ranges) {
        match fold {
            ChangelogFold::Ledger(ledger) => ledgers.push(*ledger),
            ChangelogFold::State(positions) => {
                let state_partition = range.topic_partition.partition;
                let reader =
                    |((group, topic, partition), record)| Reader { group, topic, partition, state_partition, record };
                readers.extend(positions.into_iter().map(reader));
            }
        }
    }
    let stock = most_common(&ledgers);
    let mut frozen = Frozen {
        context,
        settings,
        inspector,
        topics,
        group,
        is_live,
        committed,
        orders,
        decisions,
        dead_letters,
        ledger_offsets,
        state_offsets,
        ledgers,
        readers,
        stock,
    };
    frozen.wait_for_ends()?;
    Ok(frozen)
}

/// The settings that most ledgers have; of two that are equally common, the one of the lower partition.
fn most_common(ledgers: &[LedgerFold]) -> Option<StockSettings> {
    let kept: Vec<StockSettings> = ledgers
        .iter()
        .filter_map(|ledger| StockSettings::from_value(ledger.position()?.settings.as_ref()?).ok())
        .collect();
    let count = |settings: &StockSettings| kept.iter().filter(|other| *other == settings).count();
    // Of several maxima, `max_by_key` returns the last one.
    kept.iter().rev().max_by_key(|settings| count(settings)).copied()
}

/// The ranges of the first reading and a fold for each: orders, decisions and dead letters, in the order of partitions.
fn first_reading(frozen: &Frozen<'_>, plans: &[PartitionPlan]) -> (Vec<OffsetRange>, Vec<PrefixFold>) {
    let topics = &frozen.topics;
    let (mut ranges, mut folds) = (Vec::new(), Vec::new());
    let orders = topics.ranges(PrefixTopic::Orders, &frozen.orders);
    for ((partition, plan), mut range) in plans.iter().enumerate().zip(orders) {
        let marks = frozen.marks(PrefixTopic::Orders, partition);
        range.end = marks.iter().copied().fold(plan.orders.fold_end, i64::max).max(range.start);
        let mut fold = OrderFold::new(plan.orders.clone(), marks);
        fold.reached(range.start);
        folds.push(PrefixFold::Orders(Box::new(fold), None));
        ranges.push(range);
    }
    let decisions = topics.ranges(PrefixTopic::Decisions, &frozen.decisions);
    for ((partition, plan), range) in plans.iter().enumerate().zip(decisions) {
        let marks = frozen.marks(PrefixTopic::Decisions, partition);
        let mut fold = DecisionFold::new(plan.decisions.clone(), range.start, marks, frozen.settings.witnesses);
        fold.reached(range.start);
        folds.push(PrefixFold::Decisions(Box::new(fold), None));
        ranges.push(range);
    }
    let name = topics.name(PrefixTopic::Orders);
    for (plan, range) in plans.iter().zip(topics.ranges(PrefixTopic::DeadLetters, &frozen.dead_letters)) {
        let fold = LetterFold::new(name, plan.orders.partition, &plan.orders.required, range.start);
        folds.push(PrefixFold::DeadLetters(Box::new(fold), None));
        ranges.push(range);
    }
    (ranges, folds)
}
