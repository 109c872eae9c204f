//! Restores transaction markers that are missing at the end of a log: the journal has the decisions, and the recorded
//! digest of the log proves which markers they were.

use super::Log;
use super::digest::extend_digest;
use super::header::{Header, marker_header};
use super::recorded_end::RecordedEnd;
use super::records::Marker;
use super::segment::Segment;

/// Markers that are restored at most.
const MAX_MARKERS: usize = 8;

/// Decided end of a transaction in one partition, from the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecidedMarker {
    pub producer_id: i64,
    pub epoch: i16,
    /// Commit, otherwise abort.
    pub commit: bool,
    pub coordinator_epoch: i32,
    /// When it was decided.
    pub at: i64,
}

pub type MarkerBatch = (Header, Vec<u8>);

impl Log {
    /// The markers after the end of a truncated segment. `None` unless they reproduce the recorded end byte for byte.
    pub(super) fn missing_markers(&self, active: &Segment, recorded: &RecordedEnd) -> Option<Vec<MarkerBatch>> {
        let most = recorded.decided.len().min(MAX_MARKERS);
        (1..=most).find_map(|count| {
            let (mut markers, mut digest, mut size) = (Vec::new(), active.digest, active.size);
            let mut offset = active.last_offset + 1;
            for decided in &recorded.decided[recorded.decided.len() - count..] {
                let (header, bytes) = self.marker(offset, decided);
                digest = extend_digest(digest, bytes.first_chunk()?);
                size += bytes.len() as u64;
                offset += 1;
                markers.push((header, bytes));
            }
            (digest == recorded.end.digest && size == recorded.end.size && offset == recorded.end.end)
                .then_some(markers)
        })
    }

    fn marker(&self, offset: i64, decided: &DecidedMarker) -> MarkerBatch {
        let DecidedMarker { producer_id, epoch, commit, coordinator_epoch, at } = *decided;
        let mut header = marker_header(offset, producer_id, epoch, at);
        if self.settings.log_append_time {
            header.set_log_append_time(at);
        }
        let bytes = header.write(&Marker { commit, coordinator_epoch }.record());
        (Header::read(&bytes).unwrap_or(header), bytes)
    }
}
