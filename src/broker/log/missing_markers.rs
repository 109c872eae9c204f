//! Owns writing the markers again that a log has lost from its end: what the journal has decided and what the log ended with say together
//! which bytes they were.

use super::Log;
use super::header::{Header, marker_header};
use super::proof::Proof;
use super::records::Marker;
use super::seal::chained;
use super::segment::Segment;

/// Markers that are looked for, at most.
const MOST: usize = 8;

/// The end of a transaction in one partition, as the journal has decided it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// Whose transaction.
    pub producer_id: i64,
    /// The epoch of its marker.
    pub epoch: i16,
    /// Commit, otherwise abort.
    pub commit: bool,
    /// The epoch of the coordinator.
    pub coordinator_epoch: i32,
    /// When.
    pub at: i64,
}

/// A marker and its batch.
pub type Written = (Header, Vec<u8>);

impl Log {
    /// The markers that stood at the end of a segment of which only a part is left. None unless they are, byte for byte, what was there.
    pub(super) fn missing_markers(&self, active: &Segment, proof: &Proof) -> Option<Vec<Written>> {
        let most = proof.decided.len().min(MOST);
        (1..=most).find_map(|count| {
            let (mut markers, mut digest, mut size) = (Vec::new(), active.digest, active.size);
            let mut offset = active.last_offset + 1;
            for decided in &proof.decided[proof.decided.len() - count..] {
                let (header, bytes) = self.marker(offset, decided);
                digest = chained(digest, bytes.first_chunk()?);
                size += bytes.len() as u64;
                offset += 1;
                markers.push((header, bytes));
            }
            (digest == proof.end.digest && size == proof.end.size && offset == proof.end.end).then_some(markers)
        })
    }

    fn marker(&self, offset: i64, decided: &Decided) -> Written {
        let Decided { producer_id, epoch, commit, coordinator_epoch, at } = *decided;
        let mut header = marker_header(offset, producer_id, epoch, at);
        if self.settings.log_append_time {
            header.set_log_append_time(at);
        }
        let bytes = header.write(&Marker { commit, coordinator_epoch }.record());
        (Header::read(&bytes).unwrap_or(header), bytes)
    }
}
