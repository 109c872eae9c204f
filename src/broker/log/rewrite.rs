//! Owns what compaction makes of one batch: the same batch, a smaller one, its header alone, or nothing.

use std::io;

use bytes::Bytes;

use super::compression::compress;
use super::header::Header;
use super::records::{BatchRecords, RecordView, put_varlong};

/// What is to be kept of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// The header stays even when no record does: the producer's last sequence or epoch stands nowhere else, or the last offset
    /// up to which the log is compact.
    pub header: bool,
    /// Give it this delete horizon if it has none and there is something in it that is to go one day.
    pub horizon: i64,
    /// It is a marker whose transaction has no records any more, so it is to go one day.
    pub idle_marker: bool,
}

/// Makes the batch that is left when only these records stay; `None` when nothing is.
///
/// # Errors
///
/// When its records cannot be read.
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

/// The record with another base for its timestamp.
fn dated_record(out: &mut Vec<u8>, record: &RecordView<'_>, timestamp_delta: i64) {
    let mut body = vec![record.attributes];
    put_varlong(&mut body, timestamp_delta);
    body.extend_from_slice(record.behind_timestamp);
    put_varlong(out, i64::try_from(body.len()).expect("a record lies within a bounded batch"));
    out.extend_from_slice(&body);
}

/// The header of a batch whose records are gone, as Kafka leaves it.
fn bare(header: &Header) -> Header {
    let mut bare = *header;
    bare.clear_records();
    bare
}

fn sized(mut header: Header, records: &[u8]) -> (Header, Bytes) {
    let bytes = header.write(records);
    header.size = bytes.len();
    // The CRC is counted while it is written.
    header = Header::read(&bytes).unwrap_or(header);
    (header, bytes.into())
}
