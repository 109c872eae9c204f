//! Owns reading frozen ranges at full speed: no group, batches, one thread per share of the partitions.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::TopicPartition;
use super::connection::Connection;
use super::error::{Cause, Error};
use super::scan_worker::ScanWorker;
use crate::clock::{self, Deadline};
use crate::shutdown::Shutdown;

/// The records of a partition from `start` to before `end`; both are positions, so markers count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    /// The partition.
    pub place: TopicPartition,
    /// First offset.
    pub start: i64,
    /// One past the last offset.
    pub end: i64,
}

impl OffsetRange {
    /// Offsets in the range, markers and gaps included.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        u64::try_from(self.end.saturating_sub(self.start)).unwrap_or(0)
    }
}

/// A record of a scan, borrowed from the client's buffer.
#[derive(Debug, Clone, Copy)]
pub struct ScanRecord<'a> {
    /// Place of its range in the list given to [`scan`].
    pub range: usize,
    /// Its offset.
    pub offset: i64,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: Option<&'a [u8]>,
}

/// What folds the records of one share. It is locked once per batch, so that others can look at it between batches.
pub trait Reader: Send {
    /// What a reader ends a scan with.
    type Error: From<Error> + Send;

    /// Takes the next record of a range; within a range they come in the order of their offsets.
    ///
    /// # Errors
    ///
    /// To end the scan.
    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Self::Error>;

    /// Everything of a range before `position` was given, markers behind the last record included.
    fn reached(&mut self, range: usize, position: i64);
}

/// Reads every range to its end, as a reader of committed records, on one thread per share.
///
/// Each range goes whole to one share, so that the shares' offsets are about even; `tick` is called on the calling
/// thread about every 50 ms with the number of records read so far. Wait for the ends to be stable first.
///
/// # Errors
///
/// With exit code 4 when nothing comes for the connection's timeout, 5 when an ACL refuses, 7 when the start of a range
/// is gone from the log or a batch cannot be read; what a reader or `tick` returns; the signal's code when a stop was asked for.
pub fn scan<R: Reader>(
    connection: &Connection,
    group: &str,
    ranges: &[OffsetRange],
    shares: &[Mutex<R>],
    shutdown: &Shutdown,
    mut tick: impl FnMut(u64) -> Result<(), R::Error>,
) -> Result<(), R::Error> {
    let (records, ended, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let dealt = deal(ranges, shares.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = dealt
            .iter()
            .zip(shares)
            .filter(|(own, _)| !own.is_empty())
            .map(|(own, share)| {
                let (records, ended, stop) = (&records, &ended, &stop);
                scope.spawn(move || {
                    let result = ScanWorker::new(connection, group, ranges, own)
                        .map_err(R::Error::from)
                        .and_then(|mut own| own.run(share, records, stop, shutdown));
                    if result.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    ended.fetch_add(1, Ordering::Release);
                    result
                })
            })
            .collect();
        let mut ticked = Ok(());
        let mut next_tick = Deadline::after(Duration::from_millis(50));
        while ended.load(Ordering::Acquire) < threads.len() as u64 {
            clock::pause(Duration::from_millis(2));
            if ticked.is_ok() && next_tick.has_passed() {
                next_tick.renew();
                ticked = tick(records.load(Ordering::Relaxed));
                if ticked.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
        let mut result = ticked;
        for thread in threads {
            let one =
                thread.join().unwrap_or_else(|_| Err(Error::new(Cause::Broken("a scanning thread panicked")).into()));
            result = result.and(one);
        }
        result.and_then(|()| tick(records.load(Ordering::Relaxed)))
    })
}

/// Reads the first record from each position on, all of which have something to read, and throws it away.
///
/// # Errors
///
/// As [`scan`]; the one of a batch that cannot be read names partition and offset.
pub fn check_readable(
    connection: &Connection,
    group: &str,
    positions: &[(TopicPartition, i64)],
    shutdown: &Shutdown,
) -> Result<(), Error> {
    struct Nothing;
    impl Reader for Nothing {
        type Error = Error;
        fn record(&mut self, _record: ScanRecord<'_>) -> Result<(), Error> {
            Ok(())
        }
        fn reached(&mut self, _range: usize, _position: i64) {}
    }
    let one = |(place, position): &(TopicPartition, i64)| OffsetRange {
        place: place.clone(),
        start: *position,
        end: position.saturating_add(1),
    };
    let ranges: Vec<OffsetRange> = positions.iter().map(one).collect();
    scan(connection, group, &ranges, &[Mutex::new(Nothing)], shutdown, |_| Ok(()))
}

/// Reads partitions from their starts on, and then whatever is committed to them, until `stop` is set.
///
/// # Errors
///
/// With exit code 5 when an ACL refuses, 7 when a start is gone from the log or a batch cannot be read; what the reader returns.
pub fn follow<R: Reader>(
    connection: &Connection,
    group: &str,
    starts: &[(TopicPartition, i64)],
    reader: &Mutex<R>,
    stop: &AtomicBool,
) -> Result<(), R::Error> {
    let ranges: Vec<OffsetRange> = starts
        .iter()
        .map(|(place, start)| OffsetRange { place: place.clone(), start: *start, end: i64::MAX })
        .collect();
    let all: Vec<usize> = (0..ranges.len()).collect();
    let mut share = ScanWorker::new(connection, group, &ranges, &all)?;
    let records = AtomicU64::new(0);
    while !stop.load(Ordering::Relaxed) {
        share.batch(reader, &records)?;
    }
    Ok(())
}

/// Deals ranges out to shares: the largest first, each to the share that has the least.
fn deal(ranges: &[OffsetRange], shares: usize) -> Vec<Vec<usize>> {
    let mut dealt = vec![Vec::new(); shares];
    let mut loads = vec![0u64; shares];
    let mut order: Vec<usize> = (0..ranges.len()).filter(|&index| ranges[index].offsets() > 0).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(ranges[index].offsets()));
    for index in order {
        if let Some(least) = (0..shares).min_by_key(|&share| loads[share]) {
            loads[least] += ranges[index].offsets();
            dealt[least].push(index);
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_dealt_evenly_and_empty_ones_not_at_all() {
        let range = |partition, offsets: i64| OffsetRange {
            place: TopicPartition::new("t", partition),
            start: 10,
            end: 10 + offsets,
        };
        let ranges = [range(0, 5), range(1, 0), range(2, 9), range(3, 4), range(4, 1)];
        let dealt = deal(&ranges, 2);
        let loads: Vec<u64> = dealt.iter().map(|own| own.iter().map(|&index| ranges[index].offsets()).sum()).collect();
        assert_eq!(loads.iter().sum::<u64>(), 19);
        assert!(loads.iter().all(|load| (9..=10).contains(load)), "{loads:?}");
        assert!(!dealt.iter().flatten().any(|&index| index == 1));
    }
}
