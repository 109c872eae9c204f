//! Compaction of one batch: unchanged, smaller, its header alone, or nothing.

use std::io;

use bytes::Bytes;

use super::compression::compress;
use super::header::Header;
use super::records::{BatchRecords, RecordView, put_varlong};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Keep the header without records: it is the only source of the producer's last sequence or epoch, or it holds the
    /// last offset of the compacted range.
    pub header: bool,
    /// Delete horizon, for a batch that has none and holds a tombstone or an idle marker.
    pub horizon: i64,
    /// The batch holds a marker whose transaction has no records in the log any more.
    pub idle_marker: bool,
}

/// Rebuilds a batch with only the records for which `stays` is true. `None` if nothing is left.
pub fn rewrite(
    header: &Header,
    batch: &Bytes,
    keep: Keep,
    mut stays: impl FnMut(&RecordView<'_>, i64) -> bool,
) -> io::Result<Option<(Header, Bytes)>> {
    let records = BatchRecords::decode(header, batch)?;
    let (mut kept, mut all, mut tombstones) = (Vec::new(), true, false);
    for record in records.iter() {
        let record = record?;
        if stays(&record, records.offset(&record)) {
            tombstones |= !record.has_value && !header.is_control();
            kept.push(record);
        } else {
            all = false;
        }
    }
    if kept.is_empty() {
        let bare = keep.header.then(|| bare(header));
        return Ok(bare.map(|header| sized(header, &[])));
    }
    let dated = header.delete_horizon().is_none() && (tombstones || keep.idle_marker);
    if all && !dated {
        return Ok(Some((*header, batch.clone())));
    }
    let mut new = *header;
    new.count = i32::try_from(kept.len()).map_err(io::Error::other)?;
    if !header.is_log_append_time() {
        new.max_timestamp = kept.iter().map(|record| records.timestamp(record)).max().unwrap_or(-1);
    }
    let mut bytes = Vec::new();
    if dated {
        new.set_delete_horizon(keep.horizon);
        for record in &kept {
            dated_record(&mut bytes, record, records.timestamp(record) - keep.horizon);
        }
    } else {
        for record in &kept {
            bytes.extend_from_slice(record.raw);
        }
    }
    Ok(Some(sized(new, &compress(header.codec(), &bytes)?)))
}

/// Encodes a record with another timestamp delta.
fn dated_record(out: &mut Vec<u8>, record: &RecordView<'_>, timestamp_delta: i64) {
    let mut body = vec![record.attributes];
    put_varlong(&mut body, timestamp_delta);
    body.extend_from_slice(record.after_timestamp);
    put_varlong(out, i64::try_from(body.len()).expect("a record lies within a bounded batch"));
    out.extend_from_slice(&body);
}

/// Header of a batch without records, as Kafka keeps it.
fn bare(header: &Header) -> Header {
    let mut bare = *header;
    bare.clear_records();
    bare
}

fn sized(mut header: Header, records: &[u8]) -> (Header, Bytes) {
    let bytes = header.write(records);
    header.size = bytes.len();
    // Read the CRC that was computed by the encoder.
    header = Header::read(&bytes).unwrap_or(header);
    (header, bytes.into())
}
