//! Reader of changelogs: whole partitions to restore a state, and their tails for the last positions.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::error::StreamError;
use crate::exit::{Code, Failure};
use crate::kafka::{Connection, EndOffset, Inspector, OffsetRange, Reader, ScanRecord, TopicPartition, scan};
use crate::shutdown::Shutdown;
use crate::state::{Position, PositionKey};

/// What reading a changelog needs.
#[derive(Debug, Clone, Copy)]
pub struct Changelog<'a> {
    /// The broker.
    pub connection: &'a Connection,
    /// A client for offsets.
    pub inspector: &'a Inspector,
    /// The group in whose name is read.
    pub group: &'a str,
    /// The changelog topic.
    pub topic: &'a str,
    /// The wish to stop.
    pub shutdown: &'a Shutdown,
}

struct Each<'a, F> {
    ranges: &'a [OffsetRange],
    show: F,
    records: u64,
}

impl<F: FnMut(i32, &[u8], Option<&[u8]>) -> Result<(), Failure> + Send> Reader for Each<'_, F> {
    type Error = StreamError;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), StreamError> {
        self.records += 1;
        // A changelog record without a key is nobody's.
        let Some(key) = record.key else { return Ok(()) };
        Ok((self.show)(self.ranges[record.range].place.partition, key, record.value)?)
    }

    fn reached(&mut self, _range: usize, _position: i64) {}
}

/// Shows every committed record of the given partitions, from the log's start to the high watermark of now; returns
/// their number.
///
/// The high watermark is a `read_uncommitted` client's (KAFKA-10167): a transaction that is still open below it is waited
/// for, as it may hold the newest state.
///
/// # Errors
///
/// What the reading or `each` returns; exit code 4 when a hung transaction is not ended within 60 s.
pub fn read(
    source: Changelog<'_>,
    partitions: &[i32],
    tell: &mut dyn FnMut(&str),
    each: impl FnMut(i32, &[u8], Option<&[u8]>) -> Result<(), Failure> + Send,
) -> Result<u64, StreamError> {
    let places: Vec<TopicPartition> =
        partitions.iter().map(|&partition| TopicPartition::new(source.topic, partition)).collect();
    let ends = source.inspector.ends(&places, EndOffset::HighWatermark)?;
    let starts = source.inspector.starts(&places)?;
    source.inspector.wait_stable(&places, &ends, tell)?;
    let ranges: Vec<OffsetRange> = places
        .into_iter()
        .zip(starts)
        .zip(ends)
        .map(|((place, start), end)| OffsetRange { place, start, end })
        .collect();
    read_ranges(source, &ranges, each)
}

fn read_ranges(
    source: Changelog<'_>,
    ranges: &[OffsetRange],
    each: impl FnMut(i32, &[u8], Option<&[u8]>) -> Result<(), Failure> + Send,
) -> Result<u64, StreamError> {
    if ranges.iter().all(|range| range.offsets() == 0) {
        return Ok(0);
    }
    let share = [Mutex::new(Each { ranges, show: each, records: 0 })];
    scan(source.connection, source.group, ranges, &share, source.shutdown, |_| Ok(()))?;
    let [share] = share;
    Ok(share.into_inner().unwrap_or_else(PoisonError::into_inner).records)
}

/// The last position record of each wanted key, read from the tails of the partitions; absent where there is none.
///
/// A position is the last record of every transaction, so it stands near the end; a topic that several groups share may
/// need a longer look.
///
/// # Errors
///
/// As [`read`]; exit code 7 for a position record that does not parse.
pub fn positions(
    source: Changelog<'_>,
    wanted: &[(i32, PositionKey)],
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<Option<Position>>, StreamError> {
    positions_until(source, wanted, EndOffset::HighWatermark, tell)
}

/// As [`positions`], as far as they are committed already: a transaction that is open is not waited for. For a look before
/// the work, which may be the very work that ends what a predecessor left open.
///
/// # Errors
///
/// As [`positions`].
pub fn committed_positions(
    source: Changelog<'_>,
    wanted: &[(i32, PositionKey)],
) -> Result<Vec<Option<Position>>, StreamError> {
    positions_until(source, wanted, EndOffset::LastStable, &mut |_| {})
}

fn positions_until(
    source: Changelog<'_>,
    wanted: &[(i32, PositionKey)],
    until: EndOffset,
    tell: &mut dyn FnMut(&str),
) -> Result<Vec<Option<Position>>, StreamError> {
    let mut partitions: Vec<i32> = wanted.iter().map(|(partition, _)| *partition).collect();
    partitions.sort_unstable();
    partitions.dedup();
    let places: Vec<TopicPartition> =
        partitions.iter().map(|&partition| TopicPartition::new(source.topic, partition)).collect();
    let ends = source.inspector.ends(&places, until)?;
    let starts = source.inspector.starts(&places)?;
    source.inspector.wait_stable(&places, &ends, tell)?;
    let mut found: Vec<Option<Position>> = vec![None; wanted.len()];
    let keys: BTreeMap<(i32, Vec<u8>), usize> =
        wanted.iter().enumerate().map(|(index, (partition, key))| ((*partition, key.encode()), index)).collect();
    let mut look_back = 1_000;
    loop {
        let mut ranges = Vec::new();
        let mut shortened = false;
        for ((place, &start), &end) in places.iter().zip(&starts).zip(&ends) {
            let missing = wanted
                .iter()
                .zip(&found)
                .any(|((partition, _), found)| *partition == place.partition && found.is_none());
            if missing {
                let from = start.max(end.saturating_sub(look_back));
                shortened |= from > start;
                ranges.push(OffsetRange { place: place.clone(), start: from, end });
            }
        }
        let mut latest: BTreeMap<usize, Option<Vec<u8>>> = BTreeMap::new();
        read_ranges(source, &ranges, |partition, key, value| {
            if key.starts_with(b"[\"@position\"")
                && let Some(&index) = keys.get(&(partition, key.to_vec()))
            {
                latest.insert(index, value.map(<[u8]>::to_vec));
            }
            Ok(())
        })?;
        for (index, value) in latest {
            if let Some(value) = value {
                found[index] = Some(decode(source.topic, wanted[index].0, &value)?);
            }
        }
        if !shortened || found.iter().all(Option::is_some) {
            return Ok(found);
        }
        look_back = look_back.saturating_mul(8);
    }
}

fn decode(topic: &str, partition: i32, value: &[u8]) -> Result<Position, Failure> {
    Position::decode(value).map_err(|error| {
        Failure::new(
            Code::Refused,
            format!("{topic}/{partition} holds a position record that this version cannot read: {error}"),
        )
        .hint("another program wrote to this topic, or a newer foodstream did; use that one, or a fresh --prefix")
    })
}
