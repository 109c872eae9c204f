//! What holds for any history of a log, against a list of batches that does everything the slow way.

use proptest::prelude::*;

use super::header::{Header, sequence_after};
use super::testing::*;
use super::*;

const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

#[derive(Debug, Clone)]
enum Step {
    Append { who: usize, rows: Vec<(usize, Option<usize>, i64)>, again: usize },
    End { who: usize, commit: bool, next_epoch: bool },
    DeleteBefore(usize),
    Reopen { clean: bool },
    Cut(usize),
    Clean { later: i64 },
    Compact { later: i64 },
}

fn append() -> impl Strategy<Value = Step> {
    let value = prop_oneof![2 => Just(None), 6 => (0..20_usize).prop_map(Some), 1 => (0..2_900_usize).prop_map(Some)];
    let rows = prop::collection::vec((0..KEYS.len(), value, -50..50_i64), 1..5);
    (0..4_usize, rows, prop_oneof![4 => Just(0), 1 => 1..8_usize]).prop_map(|(who, rows, again)| Step::Append {
        who,
        rows,
        again,
    })
}

fn end() -> impl Strategy<Value = Step> {
    (2..4_usize, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(who, commit, next_epoch)| Step::End {
        who,
        commit,
        next_epoch,
    })
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => append(),
        4 => end(),
        1 => (0..=100_usize).prop_map(Step::DeleteBefore),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
        1 => (0..=1000_usize).prop_map(Step::Cut),
        1 => (0..200_i64).prop_map(|later| Step::Clean { later }),
    ];
    prop::collection::vec(step, 1..60)
}

fn compacted_histories() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => append(),
        4 => end(),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
        3 => (0..200_i64).prop_map(|later| Step::Compact { later }),
    ];
    prop::collection::vec(step, 1..60)
}

/// A batch as the model keeps it.
#[derive(Debug, Clone)]
struct Stored {
    base_offset: i64,
    writer: Writer,
    /// `Err` for a marker: whether it commits.
    rows: Result<Vec<Row>, bool>,
    time: i64,
}

impl Stored {
    fn last_offset(&self) -> i64 {
        self.base_offset + self.rows.as_ref().map_or(1, |rows| i64::try_from(rows.len()).unwrap()) - 1
    }

    fn seen(&self) -> Vec<Seen> {
        let seen = |offset, key: Option<&str>, value: Option<String>, timestamp| Seen {
            offset,
            key: key.map(str::to_owned),
            value,
            timestamp,
            producer_id: self.writer.id,
            control: self.rows.is_err(),
        };
        match &self.rows {
            Err(_) => vec![seen(self.base_offset, None, None, self.time)],
            Ok(rows) => (self.base_offset..)
                .zip(rows)
                .map(|(offset, (key, value, timestamp))| seen(offset, *key, value.clone(), *timestamp))
                .collect(),
        }
    }
}

/// What follows from the batches.
#[derive(Debug, Clone, Default)]
struct Derived {
    epochs: [Option<i16>; 4],
    next_sequences: [i32; 4],
    open: [Option<i64>; 4],
    /// First offset, marker, producer.
    aborted: Vec<(i64, i64, i64)>,
}

struct World {
    storage: LogStorage,
    _folder: Option<tempfile::TempDir>,
    settings: LogSettings,
    log: Log,
    stored: Vec<Stored>,
    now: i64,
    epochs: [i16; 4],
}

impl World {
    fn new(settings: LogSettings, files: bool) -> Self {
        let folder = files.then(|| tempfile::tempdir().unwrap());
        let storage = folder.as_ref().map_or(LogStorage::Memory, |folder| in_folder(folder.path()));
        let (log, _) = open(&storage, settings.clone());
        Self { storage, _folder: folder, settings, log, stored: Vec::new(), now: NOW, epochs: [0; 4] }
    }

    fn derived(&self) -> Derived {
        let mut derived = Derived::default();
        for stored in &self.stored {
            let Ok(who) = usize::try_from(stored.writer.id) else { continue };
            if derived.epochs[who] != Some(stored.writer.epoch) {
                derived.epochs[who] = Some(stored.writer.epoch);
                derived.next_sequences[who] = 0;
            }
            match &stored.rows {
                Err(commit) => {
                    if let Some(first) = derived.open[who].take().filter(|_| !commit) {
                        derived.aborted.push((first, stored.base_offset, stored.writer.id));
                    }
                }
                Ok(rows) => {
                    let last = i32::try_from(rows.len()).unwrap() - 1;
                    derived.next_sequences[who] = sequence_after(sequence_after(stored.writer.sequence, last), 1);
                    if stored.writer.transactional && derived.open[who].is_none() {
                        derived.open[who] = Some(stored.base_offset);
                    }
                }
            }
        }
        derived
    }

    fn end(&self) -> i64 {
        self.log.high_watermark()
    }

    fn last_stable_offset(&self) -> i64 {
        let first = self.derived().open.into_iter().flatten().min();
        first.map_or(self.end(), |first| first.max(self.log.start_offset()))
    }

    fn writer(&self, who: usize) -> Writer {
        if who == 0 {
            return NOBODY;
        }
        let derived = self.derived();
        let known = derived.epochs[who] == Some(self.epochs[who]);
        let sequence = if known { derived.next_sequences[who] } else { 0 };
        Writer { id: i64::try_from(who).unwrap(), epoch: self.epochs[who], sequence, transactional: who > 1 }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Append { who, rows, again } => self.append(*who, rows, *again),
            Step::End { who, commit, next_epoch } => {
                self.epochs[*who] += i16::from(*next_epoch);
                let (id, epoch) = (i64::try_from(*who).unwrap(), self.epochs[*who]);
                let base_offset = self.end();
                assert_eq!(self.log.end_transaction(id, epoch, *commit, 1, self.now).unwrap(), Some(base_offset));
                let writer = Writer { id, epoch, sequence: -1, transactional: true };
                self.stored.push(Stored { base_offset, writer, rows: Err(*commit), time: self.now });
                assert_eq!(self.log.end_transaction(id, epoch - 1, *commit, 1, self.now).unwrap(), None);
            }
            Step::DeleteBefore(percent) => {
                let (start, end) = (self.log.start_offset(), self.end());
                let before = start + (end - start) * i64::try_from(*percent).unwrap() / 100;
                self.log.delete_records_before(before).unwrap();
                assert_eq!(self.log.start_offset(), before);
            }
            Step::Reopen { clean } => {
                if *clean {
                    self.log.close().unwrap();
                }
                self.reopen();
            }
            Step::Cut(per_mille) => self.cut(*per_mille),
            Step::Clean { later } => {
                self.now += later;
                let before = self.log.start_offset();
                let moved = self.log.clean(self.now).unwrap();
                assert_eq!(moved, self.log.start_offset() > before);
                let total = self.log.size();
                assert!(self.log.segments.len() == 1 || total - self.log.segments[0].size < 3_000);
            }
            Step::Compact { later } => {
                self.now += later;
                if let Some(compaction) = self.log.compaction(self.now) {
                    let compacted = compaction.run().unwrap();
                    drop(self.log.finish(compacted).unwrap());
                }
            }
        }
    }

    fn append(&mut self, who: usize, rows: &[(usize, Option<usize>, i64)], again: usize) {
        let marked = self.stored.len();
        let row = |(key, size, late): &(usize, Option<usize>, i64)| {
            (Some(KEYS[*key]), size.map(|size| format!("{marked}{}", "v".repeat(size))), self.now + late)
        };
        let rows: Vec<Row> = rows.iter().map(row).collect();
        let writer = self.writer(who);
        let base_offset = self.end();
        if who > 0 && self.derived().epochs[who] == Some(writer.epoch) {
            let gap = Writer { sequence: writer.sequence + 1, ..writer };
            assert!(matches!(self.log.append(&batch(gap, &rows), self.now), Err(AppendError::OutOfOrderSequence)));
            let old = Writer { epoch: writer.epoch - 1, sequence: 0, ..writer };
            if old.epoch >= 0 {
                let old = self.log.append(&batch(old, &rows), self.now);
                assert!(matches!(old, Err(AppendError::InvalidProducerEpoch)));
            }
        }
        let appended = self.log.append(&batch(writer, &rows), self.now).unwrap();
        let stored = Stored { base_offset, writer, rows: Ok(rows), time: 0 };
        let last_offset = stored.last_offset();
        assert_eq!(appended, Appended { base_offset, last_offset, log_append_time: -1, duplicate: false });
        self.stored.push(stored);
        if again > 0 && who > 0 {
            // Only the last batch of a producer outlives compaction and a restart, as Kafka's snapshots hold only that one.
            self.again(who, if self.settings.compact { 1 } else { again });
        }
    }

    /// Sends the batch again that was the producer's last one this many batches ago.
    fn again(&mut self, who: usize, back: usize) {
        let theirs = self.stored.iter().rev().filter(|it| it.writer.id == i64::try_from(who).unwrap());
        let same_epoch = theirs.take_while(|it| it.writer.epoch == self.epochs[who]);
        let Some(earlier) = same_epoch.filter(|it| it.rows.is_ok()).nth(back - 1).cloned() else { return };
        let again = self.log.append(&batch(earlier.writer, &earlier.rows.clone().unwrap()), self.now);
        if back > 5 {
            assert!(matches!(again, Err(AppendError::OutOfOrderSequence)), "{again:?}");
        } else {
            let again = again.unwrap();
            assert!(again.duplicate);
            assert_eq!((again.base_offset, again.last_offset), (earlier.base_offset, earlier.last_offset()));
        }
    }

    fn reopen(&mut self) {
        if self.storage == LogStorage::Memory {
            return;
        }
        let (start, end, first) = (self.log.start_offset(), self.end(), self.log.segments[0].base_offset);
        let mut notices = Vec::new();
        self.log = Log::open(&self.storage, self.settings.clone(), start, self.now, &mut notices).unwrap();
        assert_eq!((self.log.start_offset(), self.end()), (start, end));
        assert_eq!(notices, []);
        // Who wrote only what is gone by now is forgotten.
        self.stored.retain(|stored| stored.base_offset >= first);
    }

    fn cut(&mut self, per_mille: usize) {
        let LogStorage::Folder { .. } = &self.storage else { return };
        let last = self.log.segments.last().unwrap();
        let (base_offset, path) = (last.base_offset, last.path.clone().unwrap());
        let length = usize::try_from(last.size).unwrap() * per_mille / 1000;
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length as u64).unwrap();
        let first = self.log.segments[0].base_offset;
        let mut whole = 0;
        let mut stays = |stored: &Stored| {
            let size = match &stored.rows {
                Ok(rows) => batch(stored.writer, rows).size(),
                Err(_) => 78,
            };
            let fits = stored.base_offset < base_offset || whole + size <= length;
            whole += if stored.base_offset < base_offset { 0 } else { size };
            fits
        };
        self.stored.retain(|stored| stays(stored));
        let start = self.log.start_offset();
        let mut notices = Vec::new();
        self.log = Log::open(&self.storage, self.settings.clone(), start, self.now, &mut notices).unwrap();
        let end = self.stored.last().map_or(base_offset, |stored| stored.last_offset() + 1).max(base_offset);
        assert_eq!(self.log.high_watermark(), end.max(start));
        self.stored.retain(|stored| stored.base_offset >= first);
        if end < start {
            self.stored.clear();
        }
        self.epochs = self.derived().epochs.map(|epoch| epoch.unwrap_or(0));
    }

    /// What a read must give: whole batches, as many as the bytes allow.
    fn expected(&self, offset: i64, max_bytes: usize, isolation: Isolation, at_least_one: bool) -> Vec<Stored> {
        let limit = self.log.end_offset(isolation);
        let mut size = 0;
        let mut expected = Vec::new();
        for stored in self.stored.iter().filter(|it| it.last_offset() >= offset && it.last_offset() < limit) {
            size += match &stored.rows {
                Ok(rows) => batch(stored.writer, rows).size(),
                Err(_) => 78,
            };
            if size > max_bytes && !(expected.is_empty() && at_least_one) {
                break;
            }
            expected.push(stored.clone());
        }
        expected
    }

    fn check_reads(&self, probe: Probe) {
        let (start, end) = (self.log.start_offset(), self.end());
        let offset = start + (end - start) * probe.at / 1000;
        for isolation in [Isolation::ReadUncommitted, Isolation::ReadCommitted] {
            let slice = self.log.read(offset, probe.max_bytes, isolation, probe.at_least_one);
            let read = slice.read().unwrap();
            assert!(read.len() <= slice.size());
            let mut expected = self.expected(offset, probe.max_bytes, isolation, probe.at_least_one);
            let got = headers(&read).len();
            if got < expected.len() {
                assert!(got > 0, "{offset} {probe:?}");
                let next = expected[got].base_offset;
                assert!(self.log.segments.iter().any(|segment| segment.base_offset == next), "cut short at {next}");
                expected.truncate(got);
            }
            assert_eq!(decode(&read), expected.iter().flat_map(Stored::seen).collect::<Vec<_>>());
            let all = self.expected(offset, usize::MAX, isolation, false);
            let size = |stored: &Stored| stored.rows.as_ref().map_or(78, |rows| batch(stored.writer, rows).size());
            let available: usize = all.iter().map(size).sum();
            assert_eq!(self.log.available(offset, isolation, probe.max_bytes), available.min(probe.max_bytes));
            self.check_times(isolation, NOW - 60 + probe.time);
        }
        let to = offset + probe.at % 7;
        let mut aborted = self.derived().aborted;
        aborted.retain(|(first, last, _)| *last >= offset && *last >= start && *first < to);
        let aborted: Vec<_> = aborted.iter().map(|(first_offset, _, id)| (*first_offset, *id)).collect();
        let got = self.log.aborted(offset, to);
        assert_eq!(got.iter().map(|it| (it.first_offset, it.producer_id)).collect::<Vec<_>>(), aborted);
    }

    fn check_times(&self, isolation: Isolation, time: i64) {
        let (start, limit) = (self.log.start_offset(), self.log.end_offset(isolation));
        let there = |seen: &Seen| seen.offset >= start;
        let all: Vec<Seen> = self.stored.iter().flat_map(Stored::seen).filter(there).collect();
        let found = all.iter().find(|seen| seen.timestamp >= time).filter(|seen| seen.offset < limit);
        let got = self.log.offset_for_time(time, isolation).unwrap().map(|it| (it.offset, it.timestamp));
        assert_eq!(got, found.map(|seen| (seen.offset, seen.timestamp)));
    }

    fn check(&self, probe: Probe) {
        assert_eq!(self.log.last_stable_offset(), self.last_stable_offset());
        let derived = self.derived();
        for state in self.log.producers() {
            let who = usize::try_from(state.producer_id).unwrap();
            assert_eq!(Some(state.epoch), derived.epochs[who]);
            assert_eq!(state.transaction_start, derived.open[who]);
            assert_eq!(state.last_sequence, derived.next_sequences[who].wrapping_sub(1));
        }
        self.check_reads(probe);
    }

    /// The newest committed value of each key with its offset; tombstones with none.
    fn table(records: impl Iterator<Item = Seen>) -> std::collections::BTreeMap<String, (i64, String)> {
        let mut table = std::collections::BTreeMap::new();
        for record in records {
            let key = record.key.unwrap();
            match record.value {
                Some(value) => table.insert(key, (record.offset, value)),
                None => table.remove(&key),
            };
        }
        table
    }

    fn check_table(&self) {
        let limit = self.log.last_stable_offset();
        let aborted = self.derived().aborted;
        let committed = |it: &&Stored| {
            it.rows.is_ok()
                && !aborted
                    .iter()
                    .any(|(first, last, id)| *id == it.writer.id && (*first..=*last).contains(&it.base_offset))
                && it.last_offset() < limit
        };
        let expected: Vec<Seen> = self.stored.iter().filter(committed).flat_map(Stored::seen).collect();
        let seen = consume(&self.log, 0, Isolation::ReadCommitted);
        assert!(seen.iter().all(|record| expected.contains(record)), "{seen:?}");
        assert_eq!(Self::table(seen.into_iter()), Self::table(expected.into_iter()));
        assert_eq!(self.log.last_stable_offset(), self.last_stable_offset());
    }
}

#[derive(Debug, Clone, Copy)]
struct Probe {
    at: i64,
    max_bytes: usize,
    at_least_one: bool,
    time: i64,
}

fn probes() -> impl Strategy<Value = Vec<Probe>> {
    let max_bytes = prop_oneof![0..400_usize, 400..20_000_usize];
    let probe = (0..1000_i64, max_bytes, any::<bool>(), 0..400_i64)
        .prop_map(|(at, max_bytes, at_least_one, time)| Probe { at, max_bytes, at_least_one, time });
    prop::collection::vec(probe, 60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn a_log_gives_what_a_list_of_batches_gives(
        steps in histories(), probes in probes(), files in any::<bool>(), large in any::<bool>(),
    ) {
        let segment_bytes = if large { 30_000 } else { 12_500 };
        // Kafka's active segment goes when it is expired as a whole; here only sizes let segments go.
        let settings = LogSettings { segment_bytes, retention_bytes: Some(3_000), ..settings() };
        let mut world = World::new(settings, files);
        for (step, probe) in steps.iter().zip(probes) {
            world.step(step);
            world.check(probe);
        }
    }

    #[test]
    fn a_compacted_log_tells_the_same_table(steps in compacted_histories(), files in any::<bool>(), small in any::<bool>()) {
        let segment_bytes = if small { 1 } else { 9_000 };
        let settings = LogSettings {
            compact: true,
            delete: false,
            segment_bytes: 25_000.min(segment_bytes * 25_000),
            segment_ms: if small { 20 } else { i64::MAX },
            delete_retention_ms: 100,
            min_cleanable_dirty_ratio: 0.1,
            ..settings()
        };
        let mut world = World::new(settings, files);
        for step in &steps {
            world.step(step);
            world.check_table();
        }
        // What the next open knows of producers must not have been compacted away.
        let before = world.log.producers();
        world.reopen();
        world.check_table();
        for (old, new) in before.iter().zip(world.log.producers()) {
            assert_eq!((old.producer_id, old.epoch, old.last_sequence), (new.producer_id, new.epoch, new.last_sequence));
            assert_eq!(old.transaction_start, new.transaction_start);
        }
        assert_eq!(before.len(), world.log.producers().len());
        for who in 1..4 {
            world.again(who, 1);
        }
    }
}

/// The offsets of a header are what a reader steps by.
#[test]
fn sequences_begin_again_at_zero() {
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
    let header = Header::read(&encode(
        producer(1, 0, i32::MAX),
        &[row("a", "", 1), row("b", "", 1)],
        kafka_protocol::records::Compression::None,
    ));
    assert_eq!(header.unwrap().last_sequence(), 0);
}
