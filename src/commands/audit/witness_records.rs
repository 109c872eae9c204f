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

/// The most ranges of a partition that are read one after another. Each needs a new consumer, which takes as long as
/// many records.
const MOST_RANGES: usize = 8;

/// The most ranges that are read again without what cannot be read.
const MOST_REFUSED: usize = 16;

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
    /// Indexes into the places, of each range, in the order of their offsets.
    wanted: Vec<Vec<usize>>,
    found: Vec<Option<Found>>,
}

impl Reader for Collector<'_> {
    type Error = Failure;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Failure> {
        let wanted = &self.wanted[record.range];
        let first = wanted.partition_point(|&index| self.places[index].offset < record.offset);
        let own = wanted[first..].iter().take_while(|index| self.places[**index].offset == record.offset);
        for &index in own {
            self.found[index] = Some(Found {
                timestamp: record.timestamp,
                key: record.key.map(<[u8]>::to_vec),
                value: record.value.map(<[u8]>::to_vec),
            });
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
    let mut rounds = rounds(clusters(places, wanted));
    let mut bar = context.console.progress("records of evidence read", None);
    let (mut before, mut refused) = (0, 0);
    while let Some(round) = rounds.pop()
        && context.shutdown.requested().is_none()
    {
        let ranges: Vec<OffsetRange> = round.iter().filter_map(|cluster| range(places, cluster)).collect();
        let collector = [Mutex::new(Collector { places, wanted: round.clone(), found })];
        let connection = &context.common.connection;
        let mut read = 0;
        let result = scan_isolated(isolation, connection, group, &ranges, &collector, &context.shutdown, |records| {
            read = records;
            bar.set(before + records);
            Ok(())
        });
        before += read;
        let [collector] = collector;
        found = collector.into_inner().unwrap_or_else(PoisonError::into_inner).found;
        match result {
            Err(failure) if failure.code.is_stop() => return Ok(found),
            Err(failure) if failure.code == Code::Refused => {
                refused += 1;
                if refused <= MOST_REFUSED {
                    rounds.extend(without_refused(round, |index| found[index].is_some()));
                }
            }
            other => other?,
        }
    }
    Ok(found)
}

/// From the first to the last place of a cluster.
fn range(places: &[RecordPlace], cluster: &[usize]) -> Option<OffsetRange> {
    let (first, last) = (&places[*cluster.first()?], &places[*cluster.last()?]);
    Some(OffsetRange { topic_partition: first.topic_partition.clone(), start: first.offset, end: last.offset + 1 })
}

/// The clusters that are read at the same time. A scan reads one range of a partition, so each round has one of each.
fn rounds(mut clusters: BTreeMap<&TopicPartition, Vec<Vec<usize>>>) -> Vec<Vec<Vec<usize>>> {
    let round = || {
        let round: Vec<Vec<usize>> = clusters.values_mut().filter_map(Vec::pop).collect();
        (!round.is_empty()).then_some(round)
    };
    std::iter::from_fn(round).collect()
}

/// What is left of a round in which something could not be read: a record, or a topic, is gone. Each partition is read
/// alone then; one that was read alone without its first place.
fn without_refused(round: Vec<Vec<usize>>, is_found: impl Fn(usize) -> bool) -> Vec<Vec<Vec<usize>>> {
    let was_alone = usize::from(round.len() == 1);
    let left = round.into_iter().map(|cluster| {
        let left: Vec<usize> = cluster.into_iter().filter(|index| !is_found(*index)).skip(was_alone).collect();
        vec![left]
    });
    left.filter(|round| !round[0].is_empty()).collect()
}

/// The indexes of the wanted places: of each partition, groups with neighbours at most [`NEAR`] offsets away, each in
/// the order of the log. Where that makes too many groups, those with the fewest offsets between them are joined.
fn clusters(places: &[RecordPlace], mut wanted: Vec<usize>) -> BTreeMap<&TopicPartition, Vec<Vec<usize>>> {
    wanted.sort_by_key(|&index| (&places[index].topic_partition, places[index].offset));
    let mut of_partitions: BTreeMap<&TopicPartition, Vec<usize>> = BTreeMap::new();
    for index in wanted {
        of_partitions.entry(&places[index].topic_partition).or_default().push(index);
    }
    let distance = |pair: &[usize]| places[pair[1]].offset - places[pair[0]].offset;
    let split = |indexes: Vec<usize>| {
        let mut distances: Vec<i64> = indexes.windows(2).map(distance).collect();
        distances.sort_unstable_by(|left, right| right.cmp(left));
        let near = distances.get(MOST_RANGES - 1).map_or(NEAR, |distance| NEAR.max(*distance));
        indexes.chunk_by(|left, right| distance(&[*left, *right]) <= near).map(<[usize]>::to_vec).collect()
    };
    of_partitions.into_iter().map(|(partition, indexes)| (partition, split(indexes))).collect()
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

    #[test]
    fn many_distant_places_are_read_in_few_ranges() {
        let offset = |number: i64| number * (NEAR + 1) + if number > 100 { NEAR } else { 0 };
        let place = |number: i64| RecordPlace {
            role: "input",
            topic_partition: TopicPartition::new("t", 0),
            offset: offset(number),
        };
        let places: Vec<RecordPlace> = (0..1_000).map(place).collect();
        let found = clusters(&places, (0..1_000).collect());
        let sizes: Vec<usize> = found.values().flatten().map(Vec::len).collect();
        assert_eq!(sizes, [101, 899], "the gap is the largest");
        let few = clusters(&places, (0..MOST_RANGES).collect());
        assert_eq!(few.values().flatten().count(), MOST_RANGES);
    }

    #[test]
    fn what_cannot_be_read_is_left_out() {
        let round = vec![vec![1, 2], vec![3, 4], vec![5]];
        let alone = without_refused(round, |index| [1, 5].contains(&index));
        assert_eq!(alone, [vec![vec![2]], vec![vec![3, 4]]], "each partition alone");
        assert_eq!(without_refused(vec![vec![3, 4]], |_| false), [vec![vec![4]]]);
        assert!(without_refused(vec![vec![4]], |_| false).is_empty());
    }
}
