//! Record batches of format v2, encoded and decoded by hand, so that cases can send invalid ones.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::codec;

/// Positions of header fields.
pub const MAGIC: usize = 16;
pub const CRC: usize = 17;
const CHECKED: usize = 21;
const HEADER: usize = 61;

const CODEC: i16 = 7;
const LOG_APPEND_TIME: i16 = 1 << 3;
const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;

/// A batch: the fields of its header, and its records.
#[derive(Debug, Clone)]
pub struct Batch {
    pub base_offset: i64,
    pub leader_epoch: i32,
    pub attributes: i16,
    pub last_offset_delta: i32,
    pub first_timestamp: i64,
    pub max_timestamp: i64,
    pub producer_id: i64,
    pub producer_epoch: i16,
    pub base_sequence: i32,
    pub records: Vec<Record>,
}

/// A record, relative to its batch.
#[derive(Debug, Clone)]
pub struct Record {
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
}

impl Batch {
    /// A batch with one record per value, all with this timestamp.
    pub fn of(timestamp: i64, values: &[&str]) -> Self {
        let times: Vec<i64> = values.iter().map(|_| timestamp).collect();
        Self::timed(&times, values)
    }

    /// A batch with one record per timestamp and value.
    pub fn timed(timestamps: &[i64], values: &[&str]) -> Self {
        let first_timestamp = timestamps.first().copied().unwrap_or(-1);
        let records: Vec<Record> = (0..)
            .zip(timestamps.iter().zip(values))
            .map(|(offset_delta, (timestamp, value))| Record {
                timestamp_delta: timestamp - first_timestamp,
                offset_delta,
                key: None,
                value: Some(Bytes::copy_from_slice(value.as_bytes())),
            })
            .collect();
        Self {
            base_offset: 0,
            leader_epoch: -1,
            attributes: 0,
            last_offset_delta: i32::try_from(records.len()).expect("a count") - 1,
            first_timestamp,
            max_timestamp: timestamps.iter().copied().max().unwrap_or(-1),
            producer_id: -1,
            producer_epoch: -1,
            base_sequence: -1,
            records,
        }
    }

    /// The batch with the fields of an idempotent producer.
    pub fn by(mut self, producer: (i64, i16), sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch) = producer;
        self.base_sequence = sequence;
        self
    }

    /// The batch with the transactional attribute.
    pub fn in_transaction(mut self) -> Self {
        self.attributes |= TRANSACTIONAL;
        self
    }

    /// The batch with compressed records.
    pub fn compressed(mut self, codec: i16) -> Self {
        self.attributes = self.attributes & !CODEC | codec;
        self
    }

    pub fn codec(&self) -> i16 {
        self.attributes & CODEC
    }

    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub fn is_log_append_time(&self) -> bool {
        self.attributes & LOG_APPEND_TIME != 0
    }

    pub fn bytes(&self) -> Bytes {
        self.raw().freeze()
    }

    /// The encoded batch, mutable.
    pub fn raw(&self) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.put_i64(self.base_offset);
        bytes.put_i32(0);
        bytes.put_i32(self.leader_epoch);
        bytes.put_i8(2);
        bytes.put_u32(0);
        bytes.put_i16(self.attributes);
        bytes.put_i32(self.last_offset_delta);
        bytes.put_i64(self.first_timestamp);
        bytes.put_i64(self.max_timestamp);
        bytes.put_i64(self.producer_id);
        bytes.put_i16(self.producer_epoch);
        bytes.put_i32(self.base_sequence);
        bytes.put_i32(i32::try_from(self.records.len()).expect("a count"));
        let mut records = BytesMut::new();
        for record in &self.records {
            let mut body = BytesMut::new();
            body.put_i8(0);
            put_varint(&mut body, record.timestamp_delta);
            put_varint(&mut body, i64::from(record.offset_delta));
            put_field(&mut body, record.key.as_ref());
            put_field(&mut body, record.value.as_ref());
            put_varint(&mut body, 0);
            put_varint(&mut records, i64::try_from(body.len()).expect("a length"));
            records.put(body);
        }
        bytes.put_slice(&codec::compress(self.codec(), &records));
        seal(&mut bytes);
        bytes
    }

    /// Decodes the batches of a fetched partition, without an incomplete one at the end.
    pub fn read(mut bytes: Bytes) -> Vec<Self> {
        let mut batches = Vec::new();
        while bytes.len() >= HEADER {
            let length = i32::from_be_bytes(bytes[8..12].try_into().expect("four bytes"));
            let whole = 12 + usize::try_from(length).expect("a length");
            if bytes.len() < whole {
                break;
            }
            batches.push(Self::read_one(bytes.split_to(whole)));
        }
        batches
    }

    fn read_one(mut bytes: Bytes) -> Self {
        let checksum = u32::from_be_bytes(bytes[CRC..CHECKED].try_into().expect("four bytes"));
        assert_eq!(checksum, crc32c(&bytes[CHECKED..]), "the checksum of a fetched batch");
        assert_eq!(bytes[MAGIC], 2, "the format of a fetched batch");
        let base_offset = bytes.get_i64();
        bytes.advance(4);
        let leader_epoch = bytes.get_i32();
        bytes.advance(5);
        let mut batch = Self {
            base_offset,
            leader_epoch,
            attributes: bytes.get_i16(),
            last_offset_delta: bytes.get_i32(),
            first_timestamp: bytes.get_i64(),
            max_timestamp: bytes.get_i64(),
            producer_id: bytes.get_i64(),
            producer_epoch: bytes.get_i16(),
            base_sequence: bytes.get_i32(),
            records: Vec::new(),
        };
        let count = bytes.get_i32();
        let mut bytes = Bytes::from(codec::decompress(batch.codec(), &bytes));
        for _ in 0..count {
            let length = usize::try_from(get_varint(&mut bytes)).expect("a length");
            let mut record = bytes.split_to(length);
            record.advance(1);
            batch.records.push(Record {
                timestamp_delta: get_varint(&mut record),
                offset_delta: i32::try_from(get_varint(&mut record)).expect("a delta"),
                key: get_field(&mut record),
                value: get_field(&mut record),
            });
        }
        assert!(bytes.is_empty(), "no bytes after the last record of a batch");
        batch
    }
}

/// Corrects length and checksum of an encoded batch.
pub fn seal(bytes: &mut BytesMut) {
    let length = i32::try_from(bytes.len() - 12).expect("a length");
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c(&bytes[CHECKED..]);
    bytes[CRC..CHECKED].copy_from_slice(&checksum.to_be_bytes());
}

/// CRC-32C, bit by bit. It is slow but independent of the broker's implementation.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |checksum, byte| {
        (0..8).fold(checksum ^ u32::from(*byte), |bits, _| (bits >> 1) ^ (0x82F6_3B78 & (bits & 1).wrapping_neg()))
    })
}

fn put_field(bytes: &mut BytesMut, field: Option<&Bytes>) {
    put_varint(bytes, field.map_or(-1, |field| i64::try_from(field.len()).expect("a length")));
    bytes.put_slice(field.map_or(&[], |field| field));
}

fn get_field(bytes: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(get_varint(bytes)).ok()?;
    Some(bytes.split_to(length))
}

fn put_varint(bytes: &mut BytesMut, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.put_u8(u8::try_from(rest & 0x7F).expect("seven bits") | 0x80);
        rest >>= 7;
    }
    bytes.put_u8(u8::try_from(rest).expect("seven bits"));
}

fn get_varint(bytes: &mut Bytes) -> i64 {
    let (mut value, mut shift) = (0u64, 0);
    loop {
        let byte = bytes.get_u8();
        value |= u64::from(byte & 0x7F) << shift;
        if byte & 0x80 == 0 {
            return (value >> 1).cast_signed() ^ -((value & 1).cast_signed());
        }
        shift += 7;
    }
}
