//! Records of a witness: read again by their offsets, with timestamp, key, value and the state of their transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use crate::audit::{RecordState, WitnessRecord, shown_bytes};
use crate::commands::Context;
use crate::domain::EventTime;
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector, OffsetRange, Reader, ScanRecord, TopicPartition, scan_isolated};
use crate::lag::Isolation;

/// How many offsets are between places that are read at once.
const NEAR: i64 = 500;

/// Where a record is, and what it is in the witness.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordPlace {
    pub role: &'static str,
    pub topic_partition: TopicPartition,
    pub offset: i64,
}

/// A record as it was read.
#[derive(Debug, Clone, Default)]
pub(super) struct Found {
    timestamp: Option<i64>,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
}

/// Reads the places of a round: the wanted offsets of each range, and what was found at them.
struct Collector<'p> {
    places: &'p [RecordPlace],
    /// Indexes into the places, of each range.
    wanted: Vec<Vec<usize>>,
    found: Vec<Option<Found>>,
}

impl Reader for Collector<'_> {
    type Error = Failure;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Failure> {
        for &index in &self.wanted[record.range] {
            if self.places[index].offset == record.offset {
                self.found[index] = Some(Found {
                    timestamp: record.timestamp,
                    key: record.key.map(<[u8]>::to_vec),
                    value: record.value.map(<[u8]>::to_vec),
                });
            }
        }
        Ok(())
    }

    fn reached(&mut self, _range: usize, _position: i64) {}
}

/// Reads the records at these places again, in their order. What is gone in the meantime has the state `unknown`.
///
/// With `Isolation::ReadUncommitted`, records of aborted and of open transactions are found, too. A record after the
/// start of an open transaction counts as open: readers of committed records do not see it. A stop ends the reading, and
/// the records that are left are unknown.
pub(super) fn read(
    context: &Context,
    group: &str,
    isolation: Isolation,
    places: &[RecordPlace],
) -> Result<Vec<WitnessRecord>, Failure> {
    Ok(read_whole(context, group, isolation, places)?.into_iter().map(|(record, _)| record).collect())
}

/// As [`read`], with the bytes of each record.
pub(super) fn read_whole(
    context: &Context,
    group: &str,
    isolation: Isolation,
    places: &[RecordPlace],
) -> Result<Vec<(WitnessRecord, Found)>, Failure> {
    let unknown = || places.iter().map(|place| shown(place, RecordState::Unknown, Found::default())).collect();
    if places.is_empty() || context.shutdown.requested().is_some() {
        return Ok(unknown());
    }
    let open = match isolation {
        Isolation::ReadCommitted => vec![false; places.len()],
        Isolation::ReadUncommitted => match after_open_transactions(context, group, places) {
            Err(failure) if failure.code.is_stop() => return Ok(unknown()),
            open => open?,
        },
    };
    // A reader of committed records would wait for the open ones.
    let stable = (0..places.len()).filter(|&index| !open[index]).collect();
    let committed = fetch(context, group, Isolation::ReadCommitted, places, stable)?;
    let uncommitted = match isolation {
        Isolation::ReadCommitted => vec![None; places.len()],
        Isolation::ReadUncommitted => {
            let others = (0..places.len()).filter(|&index| committed[index].is_none()).collect();
            fetch(context, group, isolation, places, others)?
        }
    };
    let records = places.iter().zip(open).zip(committed.into_iter().zip(uncommitted));
    let record = |((place, is_open), found): ((&RecordPlace, bool), _)| match found {
        (Some(found), _) => shown(place, RecordState::Committed, found),
        (None, Some(found)) if is_open => shown(place, RecordState::Open, found),
        (None, Some(found)) => shown(place, RecordState::Aborted, found),
        (None, None) => shown(place, RecordState::Unknown, Found::default()),
    };
    Ok(records.map(record).collect())
}

fn shown(place: &RecordPlace, state: RecordState, found: Found) -> (WitnessRecord, Found) {
    let TopicPartition { topic, partition } = place.topic_partition.clone();
    let time = |millis| EventTime::from_millis(millis).map(|time| time.to_string());
    let record = WitnessRecord {
        role: place.role.to_owned(),
        topic,
        partition,
        offset: place.offset,
        timestamp: found.timestamp.and_then(time),
        state,
        key: found.key.as_deref().map(shown_bytes),
        value: found.value.as_deref().map(shown_bytes),
    };
    (record, found)
}

/// Whether each place is at or above the last stable offset.
fn after_open_transactions(context: &Context, group: &str, places: &[RecordPlace]) -> Result<Vec<bool>, Failure> {
    let inspector = Inspector::open(&context.common.connection, group, &context.shutdown)?;
    let partitions: Vec<TopicPartition> =
        places.iter().map(|place| place.topic_partition.clone()).collect::<BTreeSet<_>>().into_iter().collect();
    let ends = inspector.ends(&partitions, EndOffset::LastStable)?;
    let ends: BTreeMap<&TopicPartition, i64> = partitions.iter().zip(ends).collect();
    Ok(places.iter().map(|place| ends.get(&place.topic_partition).is_some_and(|end| place.offset >= *end)).collect())
}

/// Reads the wanted places, those in a partition that are close to each other at once.
fn fetch(
    context: &Context,
    group: &str,
    isolation: Isolation,
    places: &[RecordPlace],
    wanted: Vec<usize>,
) -> Result<Vec<Option<Found>>, Failure> {
    let mut found: Vec<Option<Found>> = vec![None; places.len()];
    let mut clusters = clusters(places, wanted);
    // A scan reads one range of a partition, so each round has one cluster of each.
    loop {
        let round: Vec<Vec<usize>> = clusters.values_mut().filter_map(Vec::pop).collect();
        if round.is_empty() || context.shutdown.requested().is_some() {
            return Ok(found);
        }
        let offset = |index: &usize| places[*index].offset;
        let ranges: Vec<OffsetRange> = round
            .iter()
            .filter_map(|cluster| {
                Some(OffsetRange {
                    topic_partition: places[*cluster.first()?].topic_partition.clone(),
                    start: cluster.first().map(offset)?,
                    end: cluster.last().map(offset)? + 1,
                })
            })
            .collect();
        let collector = [Mutex::new(Collector { places, wanted: round, found })];
        let connection = &context.common.connection;
        let read = scan_isolated(isolation, connection, group, &ranges, &collector, &context.shutdown, |_| Ok(()));
        let [collector] = collector;
        found = collector.into_inner().unwrap_or_else(PoisonError::into_inner).found;
        match read {
            Err(failure) if failure.code.is_stop() => return Ok(found),
            // A record, or its topic, is gone.
            Err(failure) if failure.code == Code::Refused => {}
            other => other?,
        }
    }
}

/// The indexes of the wanted places: of each partition, groups with neighbours at most [`NEAR`] offsets away, each in
/// the order of the log.
fn clusters(places: &[RecordPlace], mut wanted: Vec<usize>) -> BTreeMap<&TopicPartition, Vec<Vec<usize>>> {
    wanted.sort_by_key(|&index| (&places[index].topic_partition, places[index].offset));
    let mut clusters: BTreeMap<&TopicPartition, Vec<Vec<usize>>> = BTreeMap::new();
    for index in wanted {
        let of_partition = clusters.entry(&places[index].topic_partition).or_default();
        match of_partition.last_mut() {
            Some(cluster) if cluster.last().is_some_and(|&last| places[index].offset - places[last].offset <= NEAR) => {
                cluster.push(index);
            }
            _ => of_partition.push(vec![index]),
        }
    }
    clusters
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_places_of_a_partition_are_read_at_once() {
        let place = |partition, offset| RecordPlace {
            role: "input",
            topic_partition: TopicPartition::new("t", partition),
            offset,
        };
        let places = [place(0, 6 + 2 * NEAR), place(1, 5), place(0, 5), place(0, 5 + NEAR), place(0, 6)];
        let found: Vec<Vec<Vec<usize>>> = clusters(&places, vec![0, 1, 2, 3, 4]).into_values().collect();
        assert_eq!(found, [vec![vec![2, 4, 3], vec![0]], vec![vec![1]]]);
        assert_eq!(clusters(&places, vec![0]).len(), 1);
    }
}
