//! Model of a log: a plain list of batches, compared with the log after every step.

use uuid::Uuid;

use super::header::{Header, sequence_after};
use super::test_support::*;
use super::*;
use crate::broker::ends::{EndsFile, JournalEnd};

const TOPIC: Uuid = Uuid::from_u128(1);
const JOURNAL: JournalEnd =
    JournalEnd { cluster_id: TOPIC, generation: 1, acknowledged: 0, digest: 0, intended: 0, boot_id: 0, clean: false };

pub const KEYS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// One operation on the log.
#[derive(Debug, Clone)]
pub enum Step {
    Append { who: usize, rows: Vec<(usize, Option<usize>, i64)>, again: usize },
    End { who: usize, commit: bool, next_epoch: bool },
    DeleteBefore(usize),
    Reopen { clean: bool },
    Cut(usize),
    Clean { later: i64 },
    Compact { later: i64 },
}

/// What to check after a step.
#[derive(Debug, Clone, Copy)]
pub struct Probe {
    pub at: i64,
    pub max_bytes: usize,
    pub at_least_one: bool,
    pub time: i64,
}

#[derive(Debug, Clone)]
pub struct ModelBatch {
    pub base_offset: i64,
    pub writer: Writer,
    /// `Err` for a marker: whether it commits.
    pub rows: Result<Vec<Row>, bool>,
    pub time: i64,
}

impl ModelBatch {
    pub fn last_offset(&self) -> i64 {
        self.base_offset + self.rows.as_ref().map_or(1, |rows| i64::try_from(rows.len()).unwrap()) - 1
    }

    pub fn records(&self) -> Vec<ConsumedRecord> {
        let seen = |offset, key: Option<&str>, value: Option<String>, timestamp| ConsumedRecord {
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

/// State derived from the batches.
#[derive(Debug, Clone, Default)]
pub struct ModelState {
    pub epochs: [Option<i16>; 4],
    pub next_sequences: [i32; 4],
    pub open: [Option<i64>; 4],
    /// First offset, offset of the marker, producer.
    pub aborted: Vec<(i64, i64, i64)>,
}

pub struct LogAndModel {
    pub storage: LogStorage,
    pub dir: Option<tempfile::TempDir>,
    pub settings: LogSettings,
    pub log: Log,
    pub stored: Vec<ModelBatch>,
    pub now: i64,
    pub epochs: [i16; 4],
}

impl LogAndModel {
    pub fn new(settings: LogSettings, files: bool) -> Self {
        let dir = files.then(|| tempfile::tempdir().unwrap());
        let storage = dir.as_ref().map_or(LogStorage::Memory, |dir| in_directory(&dir.path().join("0")));
        let mut log = Log::open(&storage, settings.clone(), 0, NOW, &LogFilesState::New).unwrap();
        if let Some(dir) = &dir {
            let dir = Directory::for_test(dir.path());
            let ends = EndsFile::create(&dir, false, &JOURNAL).unwrap();
            log.apply_repairs(Some(ends.slot(TOPIC, 0)), &mut Vec::new()).unwrap();
            ends.publish(&dir).unwrap();
        }
        Self { storage, dir, settings, log, stored: Vec::new(), now: NOW, epochs: [0; 4] }
    }

    pub fn model_state(&self) -> ModelState {
        let mut model_state = ModelState::default();
        for stored in &self.stored {
            let Ok(who) = usize::try_from(stored.writer.id) else { continue };
            if model_state.epochs[who] != Some(stored.writer.epoch) {
                model_state.epochs[who] = Some(stored.writer.epoch);
                model_state.next_sequences[who] = 0;
            }
            match &stored.rows {
                Err(commit) => {
                    if let Some(first) = model_state.open[who].take().filter(|_| !commit) {
                        model_state.aborted.push((first, stored.base_offset, stored.writer.id));
                    }
                }
                Ok(rows) => {
                    let last = i32::try_from(rows.len()).unwrap() - 1;
                    model_state.next_sequences[who] = sequence_after(sequence_after(stored.writer.sequence, last), 1);
                    if stored.writer.transactional && model_state.open[who].is_none() {
                        model_state.open[who] = Some(stored.base_offset);
                    }
                }
            }
        }
        model_state
    }

    pub fn end(&self) -> i64 {
        self.log.high_watermark()
    }

    pub fn last_stable_offset(&self) -> i64 {
        let first = self.model_state().open.into_iter().flatten().min();
        first.map_or(self.end(), |first| first.max(self.log.start_offset()))
    }

    pub fn writer(&self, who: usize) -> Writer {
        if who == 0 {
            return NO_PRODUCER;
        }
        let model_state = self.model_state();
        let known = model_state.epochs[who] == Some(self.epochs[who]);
        let sequence = if known { model_state.next_sequences[who] } else { 0 };
        Writer { id: i64::try_from(who).unwrap(), epoch: self.epochs[who], sequence, transactional: who > 1 }
    }

    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Append { who, rows, again } => self.append(*who, rows, *again),
            Step::End { who, commit, next_epoch } => {
                self.epochs[*who] += i16::from(*next_epoch);
                let (id, epoch) = (i64::try_from(*who).unwrap(), self.epochs[*who]);
                let base_offset = self.end();
                assert_eq!(self.log.end_transaction(id, epoch, *commit, 1, self.now).unwrap(), Some(base_offset));
                let writer = Writer { id, epoch, sequence: -1, transactional: true };
                self.stored.push(ModelBatch { base_offset, writer, rows: Err(*commit), time: self.now });
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
                self.reopen(*clean);
            }
            Step::Cut(per_mille) => self.cut(*per_mille),
            Step::Clean { later } => {
                self.now += later;
                let before = self.log.start_offset();
                let moved = self.log.apply_retention(self.now).unwrap();
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

    pub fn append(&mut self, who: usize, rows: &[(usize, Option<usize>, i64)], again: usize) {
        let marked = self.stored.len();
        let row = |(key, size, late): &(usize, Option<usize>, i64)| {
            (Some(KEYS[*key]), size.map(|size| format!("{marked}{}", "v".repeat(size))), self.now + late)
        };
        let rows: Vec<Row> = rows.iter().map(row).collect();
        let writer = self.writer(who);
        let base_offset = self.end();
        if who > 0 && self.model_state().epochs[who] == Some(writer.epoch) {
            let gap = Writer { sequence: writer.sequence + 1, ..writer };
            assert!(matches!(self.log.append(&batch(gap, &rows), self.now), Err(AppendError::OutOfOrderSequence)));
            let old = Writer { epoch: writer.epoch - 1, sequence: 0, ..writer };
            if old.epoch >= 0 {
                let old = self.log.append(&batch(old, &rows), self.now);
                assert!(matches!(old, Err(AppendError::InvalidProducerEpoch)));
            }
        }
        let appended = self.log.append(&batch(writer, &rows), self.now).unwrap();
        let stored = ModelBatch { base_offset, writer, rows: Ok(rows), time: 0 };
        let last_offset = stored.last_offset();
        assert_eq!(appended, Appended { base_offset, last_offset, log_append_time: -1, duplicate: false });
        self.stored.push(stored);
        if again > 0 && who > 0 {
            // Only the last batch of a producer survives compaction and a restart, as in Kafka's snapshots.
            self.again(who, if self.settings.compact { 1 } else { again });
        }
    }

    /// Repeats an earlier batch of the producer.
    pub fn again(&mut self, who: usize, back: usize) {
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

    fn recorded(&self, clean: bool) -> (LogFilesState, EndsSlot) {
        let found = EndsFile::read(&Directory::for_test(self.dir.as_ref().unwrap().path()), false).unwrap().unwrap();
        let (slot, end) = found.logs[&(TOPIC, 0)].clone();
        (LogFilesState::Recorded(Box::new(RecordedEnd { end, clean, rebooted: false, decided: Vec::new() })), slot)
    }

    pub fn reopen(&mut self, clean: bool) {
        if matches!(self.storage, LogStorage::Memory) {
            return;
        }
        let (start, end, first) = (self.log.start_offset(), self.end(), self.log.segments[0].base_offset);
        let mut events = Vec::new();
        let (known, slot) = self.recorded(clean);
        self.log = Log::open(&self.storage, self.settings.clone(), start, self.now, &known).unwrap();
        self.log.apply_repairs(Some(slot), &mut events).unwrap();
        assert_eq!((self.log.start_offset(), self.end()), (start, end));
        assert_eq!(events, []);
        // Producers without any batch left in the files are forgotten.
        self.stored.retain(|stored| stored.base_offset >= first);
    }

    pub fn cut(&mut self, per_mille: usize) {
        let LogStorage::Directory { .. } = &self.storage else { return };
        let last = self.log.segments.last().unwrap();
        let (base_offset, path) = (last.base_offset, path_of(last));
        let length = usize::try_from(last.size).unwrap() * per_mille / 1000;
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.set_len(length as u64).unwrap();
        let first = self.log.segments[0].base_offset;
        let mut whole = 0;
        let mut stays = |stored: &ModelBatch| {
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
        let (known, slot) = self.recorded(false);
        let opened = Log::open(&self.storage, self.settings.clone(), start, self.now, &known);
        assert_eq!(opened.is_ok(), length as u64 == last.size, "a loss is detected");
        // Without a recorded end, recovery trusts the file.
        self.log =
            Log::open(&self.storage, self.settings.clone(), start, self.now, &LogFilesState::Unrecorded).unwrap();
        self.log.apply_repairs(Some(slot), &mut Vec::new()).unwrap();
        let end = self.stored.last().map_or(base_offset, |stored| stored.last_offset() + 1).max(base_offset);
        assert_eq!(self.log.high_watermark(), end.max(start));
        self.stored.retain(|stored| stored.base_offset >= first);
        if end < start {
            self.stored.clear();
        }
        self.epochs = self.model_state().epochs.map(|epoch| epoch.unwrap_or(0));
    }

    /// The batches that a read must return: whole ones, within `max_bytes`.
    pub fn expected(
        &self,
        offset: i64,
        max_bytes: usize,
        isolation: IsolationLevel,
        at_least_one: bool,
    ) -> Vec<ModelBatch> {
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

    pub fn check_reads(&self, probe: Probe) {
        let (start, end) = (self.log.start_offset(), self.end());
        let offset = start + (end - start) * probe.at / 1000;
        for isolation in [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted] {
            let slice = self.log.read(offset, probe.max_bytes, isolation, probe.at_least_one);
            let read = slice.read().unwrap();
            assert!(read.len() <= slice.size());
            let mut expected = self.expected(offset, probe.max_bytes, isolation, probe.at_least_one);
            let got = headers(&read).len();
            if got < expected.len() {
                assert!(got > 0, "{offset} {probe:?}");
                let next = expected[got].base_offset;
                assert!(self.log.segments.iter().any(|segment| segment.base_offset == next), "ends before {next}");
                expected.truncate(got);
            }
            assert_eq!(decode(&read), expected.iter().flat_map(ModelBatch::records).collect::<Vec<_>>());
            let all = self.expected(offset, usize::MAX, isolation, false);
            let size = |stored: &ModelBatch| stored.rows.as_ref().map_or(78, |rows| batch(stored.writer, rows).size());
            let available: usize = all.iter().map(size).sum();
            assert_eq!(self.log.available(offset, isolation, probe.max_bytes), available.min(probe.max_bytes));
            self.check_times(isolation, NOW - 60 + probe.time);
        }
        let to = offset + probe.at % 7;
        let mut aborted = self.model_state().aborted;
        aborted.retain(|(first, last, _)| *last >= offset && *last >= start && *first < to);
        let aborted: Vec<_> = aborted.iter().map(|(first_offset, _, id)| (*first_offset, *id)).collect();
        let got = self.log.aborted(offset, to);
        assert_eq!(got.iter().map(|it| (it.first_offset, it.producer_id)).collect::<Vec<_>>(), aborted);
    }

    pub fn check_times(&self, isolation: IsolationLevel, time: i64) {
        let (start, limit) = (self.log.start_offset(), self.log.end_offset(isolation));
        let there = |seen: &ConsumedRecord| seen.offset >= start;
        let all: Vec<ConsumedRecord> = self.stored.iter().flat_map(ModelBatch::records).filter(there).collect();
        let found = all.iter().find(|seen| seen.timestamp >= time).filter(|seen| seen.offset < limit);
        let got = self.log.offset_for_time(time, isolation).unwrap().map(|it| (it.offset, it.timestamp));
        assert_eq!(got, found.map(|seen| (seen.offset, seen.timestamp)));
    }

    pub fn check(&self, probe: Probe) {
        assert_eq!(self.log.last_stable_offset(), self.last_stable_offset());
        let model_state = self.model_state();
        for state in self.log.producers() {
            let who = usize::try_from(state.producer_id).unwrap();
            assert_eq!(Some(state.epoch), model_state.epochs[who]);
            assert_eq!(state.transaction_start, model_state.open[who]);
            assert_eq!(state.last_sequence, model_state.next_sequences[who].wrapping_sub(1));
        }
        self.check_reads(probe);
    }

    /// The newest committed value of each key, with its offset.
    pub fn table(records: impl Iterator<Item = ConsumedRecord>) -> std::collections::BTreeMap<String, (i64, String)> {
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

    pub fn check_table(&self) {
        let limit = self.log.last_stable_offset();
        let aborted = self.model_state().aborted;
        let committed = |it: &&ModelBatch| {
            it.rows.is_ok()
                && !aborted
                    .iter()
                    .any(|(first, last, id)| *id == it.writer.id && (*first..=*last).contains(&it.base_offset))
                && it.last_offset() < limit
        };
        let expected: Vec<ConsumedRecord> =
            self.stored.iter().filter(committed).flat_map(ModelBatch::records).collect();
        let seen = consume(&self.log, 0, IsolationLevel::ReadCommitted);
        assert!(seen.iter().all(|record| expected.contains(record)), "{seen:?}");
        assert_eq!(Self::table(seen.into_iter()), Self::table(expected.into_iter()));
        assert_eq!(self.log.last_stable_offset(), self.last_stable_offset());
    }

    /// A read from any offset, also in a gap, returns the batches from there on.
    pub fn check_holes(&self, probe: Probe) {
        let mut all = Vec::new();
        for segment in &self.log.segments {
            let mut batches = segment.data.read_batches(segment.size);
            while let Some((header, _)) = batches.next().unwrap() {
                all.push(header);
            }
        }
        let offset = self.end() * probe.at / 1000;
        for isolation in [IsolationLevel::ReadUncommitted, IsolationLevel::ReadCommitted] {
            let limit = self.log.end_offset(isolation);
            let there = |header: &&Header| header.last_offset() >= offset && header.last_offset() < limit;
            let expected: Vec<Header> = all.iter().filter(there).copied().collect();
            let got = headers(&self.log.read(offset, probe.max_bytes, isolation, true).read().unwrap());
            assert_eq!(got, expected[..got.len()]);
            assert_eq!(got.is_empty(), expected.is_empty(), "at {offset}");
            let available: usize = expected.iter().map(|header| header.size).sum();
            assert_eq!(self.log.available(offset, isolation, probe.max_bytes), available.min(probe.max_bytes));
        }
    }
}
