//! Owns what a replay freezes before anything moves: the group's offsets and state, the log's bounds, and the plan.

use crate::analytics::{GroupState, MetricsDocument, View};
use crate::commands::Context;
use crate::commands::epoch::{EpochWriter, Switched};
use crate::commands::group::{self, Place};
use crate::commands::metrics_scan::Fold;
use crate::commands::topology::{self, Topology};
use crate::exit::Failure;
use crate::kafka::{Inspector, Isolation, TopicPartition};
use crate::replay::{PartitionFacts, PlanRow, StateFacts, Target};
use crate::state::{Checkpoint, Position};

/// Everything that is frozen before anything moves.
pub(super) struct Frozen {
    pub places: Vec<Place>,
    pub partitions: Vec<Partition>,
    pub before: MetricsDocument,
}

/// One source partition, frozen.
pub(super) struct Partition {
    /// `committed` is the frozen end: the group's offset, or the one before a replay that was killed.
    pub facts: PartitionFacts,
    pub row: PlanRow,
    pub state: Option<StateFacts>,
    /// What an undo of this replay goes back to.
    pub previous: Option<Checkpoint>,
    /// Where the state stands now.
    pub position: Option<Position>,
    /// The group's offset and its state's position are equal.
    pub agrees: bool,
}

impl Partition {
    /// Whether the range can be read at all, and rewound: state and offset agree, and the log reaches that far.
    pub fn is_sound(&self) -> bool {
        self.agrees && self.row.end <= self.facts.high_watermark
    }

    /// The end as far as there is a log.
    pub fn readable_end(&self) -> i64 {
        self.row.end.min(self.facts.high_watermark)
    }

    /// Where the range begins: at the log's start, unless that lies behind the end already.
    pub fn begin(&self) -> i64 {
        self.facts.log_start.min(self.readable_end())
    }

    /// The same partition in the epoch that is written, or `None` where the group has no offset.
    pub fn switched(&self, writer: &EpochWriter<'_>, fold: &Fold) -> Option<Switched> {
        self.facts.committed?;
        let position = writer.position(fold, self.begin(), self.row.end, self.previous.clone());
        Some(Switched { source: TopicPartition::new(&self.facts.topic, self.facts.partition), position })
    }
}

pub(super) fn freeze(context: &Context, inspector: &Inspector, stands: &Stands, target: Target) -> Result<Frozen, Failure> {
    let names = &context.common.names;
    let state = &stands.state;
    let places = group::places(context, &stands.topology);
    let later = group::offsets(context, inspector, &places)?;
    let sources: Vec<TopicPartition> = places.iter().map(|place| place.source.clone()).collect();
    let starts = inspector.starts(&sources)?;
    let ends = inspector.ends(&sources, Isolation::Uncommitted)?;
    let interrupted = interrupted_epoch(state);
    let view = |_: &str, _: i32, position: &Position| {
        if interrupted.is_some() && position.epoch == interrupted { View::BeforeSwitch } else { View::Current }
    };
    let before = state.metrics([&names.orders(), &names.decisions()], view).document();
    let mut partitions = Vec::with_capacity(places.len());
    for (index, TopicPartition { topic, partition }) in sources.into_iter().enumerate() {
        let position = state.position(&topic, partition);
        let stands_at = position.map(|position| position.next_offset);
        let offset = group::offset_beside(stands_at, stands.offsets[index], later[index]);
        let agrees = stands_at == offset;
        let before = position.and_then(|position| match view(&topic, partition, position) {
            View::BeforeSwitch => position.previous.clone(),
            View::Current => position.checkpoint(),
        });
        // After a replay that was killed, the end is where the group stood before it.
        let frozen = if agrees { before.as_ref().map(|before| before.next_offset) } else { offset };
        let facts = PartitionFacts {
            topic,
            partition,
            log_start: starts[index],
            high_watermark: ends[index],
            committed: frozen,
        };
        let mut row = PlanRow::new(target, &facts);
        row.from = offset;
        partitions.push(Partition {
            row,
            state: before.as_ref().map(StateFacts::from),
            previous: before,
            position: position.cloned(),
            facts,
            agrees,
        });
    }
    Ok(Frozen { places, partitions, before })
}

/// The epoch of a replay that was killed before it reached its end; its positions still say how far it was to go.
fn interrupted_epoch(state: &GroupState) -> Option<String> {
    state
        .positions()
        .find(|(_, _, position)| position.until.is_some())
        .and_then(|(_, _, position)| position.epoch.clone())
}

/// What the group has.
pub(super) struct Stands {
    pub topology: Topology,
    /// Its offsets, read before the state.
    pub offsets: Vec<Option<i64>>,
    pub state: GroupState,
}

impl Stands {
    /// Neither offsets nor state; what a killed first pass has written names no position and is none.
    pub fn has_nothing(&self) -> bool {
        !self.has_offsets() && !self.state.has_positions()
    }

    pub fn has_offsets(&self) -> bool {
        self.offsets.iter().any(Option::is_some)
    }
}

/// Looks at a group for a replay: refused for one that is none of analytics.
pub(super) fn look(context: &Context, inspector: &Inspector, group_name: &str) -> Result<Stands, Failure> {
    let topology = topology::require(context, inspector)?;
    let offsets = group::offsets(context, inspector, &group::places(context, &topology))?;
    let state = group::read_state(context, inspector, &topology, group_name)?;
    let stands = Stands { topology, offsets, state };
    if stands.has_offsets() && !stands.state.has_positions() {
        return Err(group::refuse_foreign(group_name));
    }
    Ok(stands)
}
