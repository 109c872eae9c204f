//! Test support: batches by an independent encoder, and a reader that filters like a client.

use std::collections::BTreeSet;
use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

use super::header::Header;
use super::segment::Segment;
use super::{Batch, IsolationLevel, Log, LogFilesState, LogSettings, LogSlice, LogStorage, OpenFiles, SegmentData};
use crate::broker::directory::Directory;
use crate::broker::events::BrokerEvent;

/// Producer id, epoch, first sequence, and whether in a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    pub id: i64,
    pub epoch: i16,
    pub sequence: i32,
    pub transactional: bool,
}

pub const NO_PRODUCER: Writer = Writer { id: -1, epoch: -1, sequence: -1, transactional: false };

pub type Row = (Option<&'static str>, Option<String>, i64);

pub fn row(key: &'static str, value: &str, timestamp: i64) -> Row {
    (Some(key), Some(value.to_owned()), timestamp)
}

pub fn producer(id: i64, epoch: i16, sequence: i32) -> Writer {
    Writer { id, epoch, sequence, transactional: false }
}

pub fn in_transaction(id: i64, epoch: i16, sequence: i32) -> Writer {
    Writer { id, epoch, sequence, transactional: true }
}

pub fn encode(writer: Writer, rows: &[Row], compression: Compression) -> Bytes {
    let records: Vec<Record> = (0..)
        .zip(rows)
        .map(|(number, (key, value, timestamp))| Record {
            transactional: writer.transactional,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: writer.id,
            producer_epoch: writer.epoch,
            timestamp_type: TimestampType::Creation,
            offset: i64::from(number),
            sequence: writer.sequence.wrapping_add(number),
            timestamp: *timestamp,
            key: key.map(|key| Bytes::from_static(key.as_bytes())),
            value: value.clone().map(Bytes::from),
            headers: [("h".to_owned().into(), Some(Bytes::from_static(b"1")))].into_iter().collect(),
        })
        .collect();
    let mut bytes = BytesMut::new();
    let compress = |records: &mut BytesMut, out: &mut BytesMut, codec: Compression| {
        out.extend_from_slice(&super::compression::compress(codec as i16, records)?);
        Ok(())
    };
    let options = RecordEncodeOptions { version: 2, compression };
    RecordBatchEncoder::encode_with_custom_compression(&mut bytes, &records, &options, Some(compress)).unwrap();
    bytes.freeze()
}

pub fn batch(writer: Writer, rows: &[Row]) -> Batch {
    Batch::parse(encode(writer, rows, Compression::None)).unwrap()
}

pub fn settings() -> LogSettings {
    LogSettings {
        segment_bytes: 1 << 30,
        segment_ms: 604_800_000,
        retention_ms: None,
        retention_bytes: None,
        delete: true,
        compact: false,
        delete_retention_ms: 86_400_000,
        min_cleanable_dirty_ratio: 0.5,
        min_compaction_lag_ms: 0,
        max_message_bytes: 1_048_588,
        log_append_time: false,
        timestamp_before_max_ms: i64::MAX,
        timestamp_after_max_ms: 3_600_000,
    }
}

pub fn in_directory(dir: &std::path::Path) -> LogStorage {
    // Only one file is open at a time, so that files are reopened often.
    LogStorage::Directory { dir: Directory::for_test(dir), fsync: false, files: OpenFiles::with_limit(1) }
}

pub fn path_of(segment: &Segment) -> PathBuf {
    let SegmentData::File(file) = &segment.data else { panic!("a file") };
    file.path()
}

pub fn open(storage: &LogStorage, settings: LogSettings) -> (Log, Vec<BrokerEvent>) {
    let mut events = Vec::new();
    let mut log = Log::open(storage, settings, 0, NOW, &LogFilesState::Unrecorded).unwrap();
    log.apply_repairs(None, &mut events).unwrap();
    (log, events)
}

pub const NOW: i64 = 1_700_000_000_000;

/// A record as a consumer gets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumedRecord {
    pub offset: i64,
    pub key: Option<String>,
    pub value: Option<String>,
    pub timestamp: i64,
    pub producer_id: i64,
    pub control: bool,
}

pub fn headers(mut bytes: &[u8]) -> Vec<Header> {
    let mut headers = Vec::new();
    while !bytes.is_empty() {
        let header = Header::read(bytes).unwrap();
        bytes = &bytes[header.size..];
        headers.push(header);
    }
    headers
}

/// The records of whole batches, by an independent decoder.
pub fn decode(bytes: &Bytes) -> Vec<ConsumedRecord> {
    let text = |bytes: Option<Bytes>| bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut seen = Vec::new();
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let header = Header::read(&rest).unwrap();
        let mut one = rest.split_to(header.size);
        if header.count == 0 {
            continue;
        }
        let expand = |bytes: &mut Bytes, codec: Compression| {
            Ok(Bytes::from(super::compression::decompress(codec as i16, bytes)?.into_owned()))
        };
        let set = RecordBatchDecoder::decode_with_custom_compression(&mut one, Some(expand)).unwrap();
        seen.extend(set.records.into_iter().map(|record| ConsumedRecord {
            offset: record.offset,
            key: if record.control { None } else { text(record.key) },
            value: if record.control { None } else { text(record.value) },
            timestamp: record.timestamp,
            producer_id: record.producer_id,
            control: record.control,
        }));
    }
    seen
}

fn bytes_of(slice: &LogSlice) -> Bytes {
    let bytes = slice.read().unwrap();
    assert!(bytes.len() <= slice.size(), "{} bytes in a slice of {}", bytes.len(), slice.size());
    bytes
}

/// All records from an offset on, without markers and aborted records, as a client filters them.
pub fn consume(log: &Log, from: i64, isolation: IsolationLevel) -> Vec<ConsumedRecord> {
    let mut seen = Vec::new();
    let mut position = from;
    while position < log.end_offset(isolation) {
        let bytes = bytes_of(&log.read(position, 300, isolation, true));
        let Some(last) = headers(&bytes).last().copied() else { break };
        let mut aborted = log.aborted(position, last.last_offset() + 1);
        aborted.sort_by_key(|aborted| aborted.first_offset);
        let mut open = BTreeSet::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let header = Header::read(&rest).unwrap();
            let one = rest.split_to(header.size);
            for aborted in aborted.iter().filter(|it| it.first_offset <= header.last_offset()) {
                open.insert((aborted.producer_id, aborted.first_offset));
            }
            aborted.retain(|it| it.first_offset > header.last_offset());
            let records = decode(&one);
            if header.is_control() {
                let abort = super::records::Marker::parse(&header, &one).is_some_and(|marker| !marker.commit);
                if abort && let Some(ended) = open.iter().find(|(id, _)| *id == header.producer_id).copied() {
                    open.remove(&ended);
                }
                continue;
            }
            let dropped = isolation == IsolationLevel::ReadCommitted
                && header.is_transactional()
                && open.iter().any(|(id, _)| *id == header.producer_id);
            if !dropped {
                seen.extend(records.into_iter().filter(|record| record.offset >= position));
            }
        }
        position = last.last_offset() + 1;
    }
    seen
}

/// All stored batches up to the high watermark.
pub fn batches(log: &Log) -> Vec<(Header, Bytes)> {
    let mut all = Vec::new();
    let mut position = log.start_offset();
    while position < log.high_watermark() {
        let mut bytes = bytes_of(&log.read(position, 1 << 20, IsolationLevel::ReadUncommitted, true));
        if bytes.is_empty() {
            break;
        }
        while !bytes.is_empty() {
            let header = Header::read(&bytes).unwrap();
            position = header.last_offset() + 1;
            all.push((header, bytes.split_to(header.size)));
        }
    }
    all
}
