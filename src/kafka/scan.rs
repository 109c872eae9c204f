//! Scans: read fixed offset ranges at full speed, without a group: in batches, with one thread per share of the
//! partitions.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::TopicPartition;
use super::connection::Connection;
use super::error::{Cause, Error};
use super::native_batch::BatchHeaders;
use super::scan_worker::ScanWorker;
use crate::clock::{self, Deadline};
use crate::lag::Isolation;
use crate::shutdown::Shutdown;

/// The records of a partition from `start` to before `end`. Transaction markers have offsets, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRange {
    pub topic_partition: TopicPartition,
    /// The first offset.
    pub start: i64,
    /// The last offset + 1.
    pub end: i64,
}

impl OffsetRange {
    /// The ranges of partitions between these offsets, in their order. A range whose end is before its start is empty.
    #[must_use]
    pub fn between(partitions: Vec<TopicPartition>, starts: &[i64], ends: &[i64]) -> Vec<Self> {
        let bounds = starts.iter().zip(ends);
        let range = |(topic_partition, (&start, &end)): (_, (&i64, &i64))| {
            let end = end.max(start);
            Self { topic_partition, start, end }
        };
        partitions.into_iter().zip(bounds).map(range).collect()
    }

    /// The number of offsets, with markers and gaps.
    #[must_use]
    pub fn offsets(&self) -> u64 {
        u64::try_from(self.end.saturating_sub(self.start)).unwrap_or(0)
    }
}

/// A record of a scan, borrowed from the client's buffer.
#[derive(Debug, Clone, Copy)]
pub struct ScanRecord<'a> {
    /// Index of its range in the list given to [`scan`].
    pub range: usize,
    pub offset: i64,
    /// Milliseconds since the epoch; `None` for message formats without timestamps.
    pub timestamp: Option<i64>,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    pub headers: BatchHeaders<'a>,
}

/// Processes the records of one thread's ranges. It is locked once per batch, so that other threads can access it
/// between batches.
pub trait Reader: Send {
    /// The error that ends a scan.
    type Error: From<Error> + Send;

    /// Takes the next record of a range, in offset order within the range.
    ///
    /// # Errors
    ///
    /// Ends the scan.
    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Self::Error>;

    /// Everything of a range before `position` was read, including markers after the last record.
    fn reached(&mut self, range: usize, position: i64);
}

/// Reads every range to its end with `read_committed`, with one thread per reader.
///
/// Each range belongs to one reader, and the readers' offsets are about even. `tick` runs on the calling thread about
/// every 50 ms with the number of records read so far. Wait until the ends are stable first.
///
/// # Errors
///
/// With exit code 4 when no record arrives for the connection's timeout, 5 when an ACL refuses, 7 when the start of a
/// range is no longer in the log or a batch cannot be read; the error of a reader or of `tick`; the signal's code after
/// a signal.
pub fn scan<R: Reader>(
    connection: &Connection,
    group: &str,
    ranges: &[OffsetRange],
    shares: &[Mutex<R>],
    shutdown: &Shutdown,
    tick: impl FnMut(u64) -> Result<(), R::Error>,
) -> Result<(), R::Error> {
    scan_isolated(Isolation::ReadCommitted, connection, group, ranges, shares, shutdown, tick)
}

/// As [`scan`], with an isolation level: `read_uncommitted` also reads what aborted and open transactions wrote.
///
/// # Errors
///
/// As [`scan`].
pub fn scan_isolated<R: Reader>(
    isolation: Isolation,
    connection: &Connection,
    group: &str,
    ranges: &[OffsetRange],
    shares: &[Mutex<R>],
    shutdown: &Shutdown,
    mut tick: impl FnMut(u64) -> Result<(), R::Error>,
) -> Result<(), R::Error> {
    let (records, finished, stop) = (AtomicU64::new(0), AtomicU64::new(0), AtomicBool::new(false));
    let assigned = distribute(ranges, shares.len());
    std::thread::scope(|scope| {
        let threads: Vec<_> = assigned
            .iter()
            .zip(shares)
            .filter(|(own, _)| !own.is_empty())
            .map(|(own, share)| {
                let (records, finished, stop) = (&records, &finished, &stop);
                scope.spawn(move || {
                    let result = ScanWorker::new(isolation, connection, group, ranges, own)
                        .map_err(R::Error::from)
                        .and_then(|mut own| own.run(share, records, stop, shutdown));
                    if result.is_err() {
                        stop.store(true, Ordering::Relaxed);
                    }
                    finished.fetch_add(1, Ordering::Release);
                    result
                })
            })
            .collect();
        let mut ticked = Ok(());
        let mut next_tick = Deadline::after(Duration::from_millis(50));
        while finished.load(Ordering::Acquire) < threads.len() as u64 {
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
            let one = thread.join().unwrap_or_else(|_| Err(Error::new(Cause::Broken("a scan thread panicked")).into()));
            result = result.and(one);
        }
        result.and_then(|()| tick(records.load(Ordering::Relaxed)))
    })
}

/// Checks that the next record at each position can be read. All of them must have one.
///
/// # Errors
///
/// As [`scan`]; the error of an unreadable batch has partition and offset.
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
    let one = |(topic_partition, position): &(TopicPartition, i64)| OffsetRange {
        topic_partition: topic_partition.clone(),
        start: *position,
        end: position.saturating_add(1),
    };
    let ranges: Vec<OffsetRange> = positions.iter().map(one).collect();
    scan(connection, group, &ranges, &[Mutex::new(Nothing)], shutdown, |_| Ok(()))
}

/// Reads partitions from `starts` and follows new committed records until `stop` is set.
///
/// # Errors
///
/// With exit code 5 when an ACL refuses, 7 when a start is no longer in the log or a batch cannot be read; the reader's
/// error.
pub fn follow<R: Reader>(
    connection: &Connection,
    group: &str,
    starts: &[(TopicPartition, i64)],
    reader: &Mutex<R>,
    stop: &AtomicBool,
) -> Result<(), R::Error> {
    let ranges: Vec<OffsetRange> = starts
        .iter()
        .map(|(topic_partition, start)| OffsetRange {
            topic_partition: topic_partition.clone(),
            start: *start,
            end: i64::MAX,
        })
        .collect();
    let all: Vec<usize> = (0..ranges.len()).collect();
    let mut share = ScanWorker::new(Isolation::ReadCommitted, connection, group, &ranges, &all)?;
    let records = AtomicU64::new(0);
    while !stop.load(Ordering::Relaxed) {
        share.batch(reader, &records)?;
    }
    Ok(())
}

/// Distributes ranges: the largest first, each to the share with the fewest offsets.
fn distribute(ranges: &[OffsetRange], shares: usize) -> Vec<Vec<usize>> {
    let mut assigned = vec![Vec::new(); shares];
    let mut loads = vec![0u64; shares];
    let mut order: Vec<usize> = (0..ranges.len()).filter(|&index| ranges[index].offsets() > 0).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(ranges[index].offsets()));
    for index in order {
        if let Some(least) = (0..shares).min_by_key(|&share| loads[share]) {
            loads[least] += ranges[index].offsets();
            assigned[least].push(index);
        }
    }
    assigned
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distributes_ranges_evenly_without_empty_ones() {
        let range = |partition, offsets: i64| OffsetRange {
            topic_partition: TopicPartition::new("t", partition),
            start: 10,
            end: 10 + offsets,
        };
        let ranges = [range(0, 5), range(1, 0), range(2, 9), range(3, 4), range(4, 1)];
        let assigned = distribute(&ranges, 2);
        let loads: Vec<u64> =
            assigned.iter().map(|own| own.iter().map(|&index| ranges[index].offsets()).sum()).collect();
        assert_eq!(loads.iter().sum::<u64>(), 19);
        assert!(loads.iter().all(|load| (9..=10).contains(load)), "{loads:?}");
        assert!(!assigned.iter().flatten().any(|&index| index == 1));
    }
}
