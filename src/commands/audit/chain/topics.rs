//! The two topics of a chain: which offsets of them are read, and which inputs must have outputs.

use std::time::Duration;

use crate::audit::Place;
use crate::clock::Deadline;
use crate::commands::Context;
use crate::commands::audit::watched_scan::WatchedTopic;
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector, Operation, StableWait, TopicPartition};
use crate::lag::Isolation;
use crate::settings::ChainSettings;
use crate::state::TopicId;
use crate::units::counted;

/// The longest wait for open transactions. Shorter than that of [`StableWait`], which ends with an error.
const MAX_WAIT: Duration = Duration::from_secs(55);

/// The most topics that an error lists.
const MAX_LISTED: usize = 10;

/// Both topics as they are read.
#[derive(Debug)]
pub(super) struct Frozen {
    pub inputs: ChainSide,
    pub outputs: ChainSide,
    /// Whether the group had members.
    pub live: bool,
    /// Partitions whose committed offset is above their end.
    pub ahead: Vec<TopicPartition>,
}

/// The inputs or the outputs. The lists are in the order of the partitions, which is that of their numbers.
#[derive(Debug)]
pub(super) struct ChainSide {
    pub partitions: Vec<TopicPartition>,
    /// The first offsets.
    pub starts: Vec<i64>,
    /// The positions after the last offsets to read.
    pub ends: Vec<i64>,
    /// What is below this offset is judged; `None` for a partition of which the group has no committed offset.
    pub required: Vec<Option<i64>>,
    /// The partitions with an open transaction. What comes after its start is not read.
    pub open: Vec<TopicPartition>,
    /// Whether records may be removed from the middle of the log.
    pub is_compacted: bool,
    id: Option<TopicId>,
}

impl ChainSide {
    fn find(context: &Context, inspector: &Inspector, topic: &str) -> Result<Self, Failure> {
        let Some(partitions) = inspector.partitions(topic, &[Operation::Read])? else {
            return Err(missing(inspector, topic));
        };
        if partitions > Place::MAX_PARTITION + 1 {
            let found = counted(partitions, "partition");
            return Err(Failure::new(Code::Refused, format!("topic {topic} has {found}, too many for an audit")));
        }
        let is_compacted = inspector.topic_settings(topic)?.is_compacted();
        let id = inspector.topic_ids(&[topic.to_owned()], context.common.connection.timeout)?.pop().flatten();
        let partitions = TopicPartition::all(topic, partitions);
        let starts = inspector.starts(&partitions)?;
        Ok(Self {
            ends: starts.clone(),
            required: vec![None; starts.len()],
            open: Vec::new(),
            partitions,
            starts,
            is_compacted,
            id,
        })
    }

    /// Sets the ends to the current ones. With `read_committed` it waits until the transactions below them have ended,
    /// at most for `--timeout`; where one is still open then, its start is the end.
    fn end_now(&mut self, context: &Context, inspector: &Inspector, isolation: Isolation) -> Result<(), Failure> {
        self.ends = inspector.ends(&self.partitions, EndOffset::HighWatermark)?;
        if isolation == Isolation::ReadCommitted {
            let deadline = Deadline::after(context.common.connection.timeout.min(MAX_WAIT));
            let mut wait = StableWait::default();
            while !wait.check(inspector, &self.partitions, &self.ends, &mut |text| context.console.note(text))? {
                if deadline.has_passed() {
                    self.end_at_open_transactions(inspector)?;
                    break;
                }
                context.shutdown.check()?;
                context.shutdown.pause(Duration::from_millis(5));
            }
        }
        for (end, start) in self.ends.iter_mut().zip(&self.starts) {
            *end = (*end).max(*start);
        }
        Ok(())
    }

    fn end_at_open_transactions(&mut self, inspector: &Inspector) -> Result<(), Failure> {
        let stable = inspector.ends(&self.partitions, EndOffset::LastStable)?;
        for ((source, end), stable) in self.partitions.iter().zip(&mut self.ends).zip(stable) {
            if stable < *end {
                *end = stable;
                self.open.push(source.clone());
            }
        }
        Ok(())
    }

    /// A side that was found like this.
    #[cfg(test)]
    pub fn of(topic: &str, bounds: &[(i64, i64)], is_compacted: bool) -> Self {
        let partitions = TopicPartition::all(topic, i32::try_from(bounds.len()).unwrap_or(0));
        let [starts, ends] = [|bound: &(i64, i64)| bound.0, |bound: &(i64, i64)| bound.1]
            .map(|part| bounds.iter().map(part).collect::<Vec<i64>>());
        let required = ends.iter().copied().map(Some).collect();
        Self { partitions, starts, ends, required, open: Vec::new(), is_compacted, id: None }
    }

    pub fn topic(&self) -> &str {
        self.partitions.first().map_or("", |source| &source.topic)
    }

    /// The topic as it was found.
    pub fn watched(&self) -> WatchedTopic {
        WatchedTopic {
            partitions: self.partitions.clone(),
            id: self.id.clone(),
            starts: self.starts.clone(),
            ends: self.ends.clone(),
        }
    }
}

/// Finds the topics and decides what is read of them.
///
/// Inputs that must have outputs come first: those below the group's committed offsets, or without a group all that are
/// there. Then the ends of the outputs are read, and then those of the inputs. So each of these inputs has its outputs
/// below the ends, if it has them, and each output its input.
pub(super) fn freeze(context: &Context, inspector: &Inspector, chain: &ChainSettings) -> Result<Frozen, Failure> {
    let mut inputs = ChainSide::find(context, inspector, &chain.input)?;
    let mut outputs = ChainSide::find(context, inspector, &chain.output)?;
    let mut live = false;
    inputs.required = match &chain.group {
        Some(group) => {
            live = !inspector.group_members(group)?.members.is_empty();
            inspector.committed(&inputs.partitions, &mut |text| context.console.note(text))?
        }
        None => inspector.ends(&inputs.partitions, EndOffset::LastStable)?.into_iter().map(Some).collect(),
    };
    outputs.end_now(context, inspector, chain.isolation)?;
    outputs.required = vec![Some(i64::MAX); outputs.partitions.len()];
    // A consumer may read uncommitted inputs, but what it makes of them is not judged as an output of an input.
    inputs.end_now(context, inspector, Isolation::ReadCommitted)?;
    let is_ahead = |(required, end): (&Option<i64>, &i64)| required.is_some_and(|required| required > *end);
    let bounds = inputs.required.iter().zip(&inputs.ends).map(is_ahead);
    let ahead = inputs.partitions.iter().zip(bounds).filter(|(_, ahead)| *ahead).map(|(source, _)| source.clone());
    // The offset may be above the start of an open transaction.
    let ahead = ahead.filter(|source| !inputs.open.contains(source)).collect();
    Ok(Frozen { inputs, outputs, live, ahead })
}

fn missing(inspector: &Inspector, topic: &str) -> Failure {
    let failure = Failure::new(Code::Refused, format!("topic {topic} does not exist"));
    // Without an answer, the hint has no names.
    let topics = inspector.topics().unwrap_or_default();
    let names = topics.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with("__"));
    let mut names: Vec<&str> = names.collect();
    names.sort_by_cached_key(|name| (strsim::damerau_levenshtein(topic, name), (*name).to_owned()));
    let more = names.len().saturating_sub(MAX_LISTED);
    names.truncate(MAX_LISTED);
    failure.hint(match (names.is_empty(), more) {
        (true, _) => "--in and --out take full names of topics; the broker has no topic that you may see".to_owned(),
        (false, 0) => format!("--in and --out take full names of topics; there are {}", names.join(", ")),
        (false, more) => {
            format!("--in and --out take full names of topics, such as {}, or {more} more", names.join(", "))
        }
    })
}
