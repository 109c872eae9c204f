//! Owns the digests by which the batches of a log are known again: of a segment's headers, and of a segment that is closed.
//!
//! A header holds the checksum of its batch, so a digest of headers stands for all that is in a segment, and also for what that checksum
//! leaves out: offsets, lengths and the order of batches. Headers are read at each start anyway.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::header::HEADER;
use super::segment::Segment;

/// The digest of a segment's headers with one more.
#[must_use]
pub fn extend_digest(digest: u64, front: &[u8; HEADER]) -> u64 {
    xxh3_64_with_seed(front, digest)
}

impl Segment {
    /// What stands for it once it is closed. Those of all closed segments are added up, so one may go, or take the place of others.
    #[must_use]
    pub fn closed_digest(&self) -> u64 {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&self.base_offset.to_be_bytes());
        place[8..].copy_from_slice(&self.size.to_be_bytes());
        xxh3_64_with_seed(&place, self.digest)
    }
}

/// The sum of digests.
#[must_use]
pub fn sum<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> u64 {
    segments.into_iter().fold(0, |sum, segment| sum.wrapping_add(segment.closed_digest()))
}
