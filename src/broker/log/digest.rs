//! Digests over the batch headers of a segment.
//!
//! A header holds the CRC of its batch, so the digest of all headers covers the segment's content, and also what the
//! CRC does not cover: offsets, lengths and the order of batches. Recovery reads all headers anyway.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::header::HEADER;
use super::segment::Segment;

/// Adds a header to a segment's digest.
#[must_use]
pub fn extend_digest(digest: u64, front: &[u8; HEADER]) -> u64 {
    xxh3_64_with_seed(front, digest)
}

impl Segment {
    /// Digest of a closed segment. A log records the sum over its closed segments, so that one of them can be removed
    /// or replaced.
    #[must_use]
    pub fn closed_digest(&self) -> u64 {
        let mut place = [0; 16];
        place[..8].copy_from_slice(&self.base_offset.to_be_bytes());
        place[8..].copy_from_slice(&self.size.to_be_bytes());
        xxh3_64_with_seed(&place, self.digest)
    }
}

#[must_use]
pub fn sum<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> u64 {
    segments.into_iter().fold(0, |sum, segment| sum.wrapping_add(segment.closed_digest()))
}
