//! Changelog reader: restores state from whole partitions, and finds the last position records at their ends.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::error::StreamError;
use crate::exit::{Code, Failure};
use crate::kafka::{Connection, EndOffset, Inspector, OffsetRange, Reader, ScanRecord, TopicPartition, scan};
use crate::shutdown::Shutdown;
use crate::state::{Position, PositionKey};

/// How many offsets at the end of a partition are searched for position records at first.
const FIRST_SEARCH: i64 = 1_000;

/// A changelog topic and the clients to read it with.
#[derive(Debug, Clone, Copy)]
pub struct Changelog<'a> {
    /// The connection of the scan.
    pub connection: &'a Connection,
    /// A client for offset queries.
    pub inspector: &'a Inspector,
    /// The group on whose behalf the topic is read.
    pub group: &'a str,
    /// The topic.
    pub topic: &'a str,
    /// Interrupts the reading when a stop is requested.
    pub shutdown: &'a Shutdown,
}

struct RecordVisitor<'a, F> {
    ranges: &'a [OffsetRange],
    visit: F,
    records: u64,
}

impl<F: FnMut(i32, &[u8], Option<&[u8]>) -> Result<(), Failure> + Send> Reader for RecordVisitor<'_, F> {
    type Error = StreamError;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), StreamError> {
        self.records += 1;
        // Every record of foodstream has a key: skip those of other programs.
        let Some(key) = record.key else { return Ok(()) };
        Ok((self.visit)(self.ranges[record.range].topic_partition.partition, key, record.value)?)
    }

    fn reached(&mut self, _range: usize, _position: i64) {}
}

/// Visits every committed record of the given partitions, from the log start to the current high watermark, and returns
/// the number of records.
///
/// The high watermark is that of a `read_uncommitted` client (KAFKA-10167): a transaction below it that is still open
/// may hold the newest state, so the reader waits for its end.
///
/// # Errors
///
/// Those of the reading and of `visit`; exit code 4 when an open transaction does not end within 60 s.
pub fn read(
    changelog: Changelog<'_>,
    partitions: &[i32],
    note: &mut dyn FnMut(&str),
    visit: impl FnMut(i32, &[u8], Option<&[u8]>) -> Result<(), Failure> + Send,
) -> Result<u64, StreamError> {
    let partitions: Vec<TopicPartition> =
        partitions.iter().map(|&partition| TopicPartition::new(changelog.topic, partition)).collect();
    let ends = changelog.inspector.ends(&partitions, EndOffset::HighWatermark)?;
    let starts = changelog.inspector.starts(&partitions)?;
    changelog.inspector.wait_stable(&partitions, &ends, note)?;
    let ranges: Vec<OffsetRange> = partitions
        .into_iter()
        .zip(starts)
        .zip(ends)
        .map(|((place, start), end)| OffsetRange { topic_partition: place, start, end })
        .collect();
    read_ranges(changelog, &ranges, visit)
}

fn read_ranges(
    changelog: Changelog<'_>,
    ranges: &[OffsetRange],
    visit: impl FnMut(i32, &[u8], Option<&[u8]>) -> Result<(), Failure> + Send,
) -> Result<u64, StreamError> {
    if ranges.iter().all(|range| range.offsets() == 0) {
        return Ok(0);
    }
    let visitor = [Mutex::new(RecordVisitor { ranges, visit, records: 0 })];
    scan(changelog.connection, changelog.group, ranges, &visitor, changelog.shutdown, |_| Ok(()))?;
    let [visitor] = visitor;
    Ok(visitor.into_inner().unwrap_or_else(PoisonError::into_inner).records)
}

/// The last position record of each key, in the order of `keys`; `None` for a key without one.
///
/// Every transaction ends with position records, so the search starts at the end of the partition. It goes further back
/// in a topic that several groups share.
///
/// # Errors
///
/// As [`read`]; exit code 7 for a position record that does not parse.
pub fn positions(
    changelog: Changelog<'_>,
    keys: &[(i32, PositionKey)],
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Option<Position>>, StreamError> {
    positions_until(changelog, keys, EndOffset::HighWatermark, note)
}

/// As [`positions`], without waiting for open transactions: for a check at the start of a command, which itself ends
/// the transaction that its predecessor left open.
///
/// # Errors
///
/// As [`positions`].
pub fn committed_positions(
    changelog: Changelog<'_>,
    keys: &[(i32, PositionKey)],
) -> Result<Vec<Option<Position>>, StreamError> {
    positions_until(changelog, keys, EndOffset::LastStable, &mut |_| {})
}

fn positions_until(
    changelog: Changelog<'_>,
    keys: &[(i32, PositionKey)],
    until: EndOffset,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<Option<Position>>, StreamError> {
    let mut partitions: Vec<i32> = keys.iter().map(|(partition, _)| *partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let partitions: Vec<TopicPartition> =
        partitions.iter().map(|&partition| TopicPartition::new(changelog.topic, partition)).collect();
    let ends = changelog.inspector.ends(&partitions, until)?;
    let starts = changelog.inspector.starts(&partitions)?;
    changelog.inspector.wait_stable(&partitions, &ends, note)?;
    let mut found: Vec<Option<Position>> = vec![None; keys.len()];
    let index_of: BTreeMap<(i32, Vec<u8>), usize> =
        keys.iter().enumerate().map(|(index, (partition, key))| ((*partition, key.encode()), index)).collect();
    let mut search = FIRST_SEARCH;
    loop {
        let mut ranges = Vec::new();
        let mut may_search_further = false;
        for ((place, &start), &end) in partitions.iter().zip(&starts).zip(&ends) {
            let missing =
                keys.iter().zip(&found).any(|((partition, _), found)| *partition == place.partition && found.is_none());
            if missing {
                let from = start.max(end.saturating_sub(search));
                may_search_further |= from > start;
                ranges.push(OffsetRange { topic_partition: place.clone(), start: from, end });
            }
        }
        let mut latest: BTreeMap<usize, Option<Vec<u8>>> = BTreeMap::new();
        read_ranges(changelog, &ranges, |partition, key, value| {
            if key.starts_with(b"[\"@position\"")
                && let Some(&index) = index_of.get(&(partition, key.to_vec()))
            {
                latest.insert(index, value.map(<[u8]>::to_vec));
            }
            Ok(())
        })?;
        for (index, value) in latest {
            if let Some(value) = value {
                found[index] = Some(decode(changelog.topic, keys[index].0, &value)?);
            }
        }
        if !may_search_further || found.iter().all(Option::is_some) {
            return Ok(found);
        }
        search = search.saturating_mul(8);
    }
}

fn decode(topic: &str, partition: i32, value: &[u8]) -> Result<Position, Failure> {
    Position::decode(value).map_err(|error| {
        Failure::new(
            Code::Refused,
            format!("{topic}/{partition} holds a position record that this version cannot read: {error}"),
        )
        .hint("another program or a newer foodstream wrote to this topic; use that version, or a new --prefix")
    })
}
