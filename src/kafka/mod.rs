//! Kafka client layer over rdkafka and librdkafka: connection settings, admin, producers, consumer group members,
//! scans, offsets.
//!
//! Layer 20. It is the only module that uses rdkafka, and it knows nothing of orders. Its calls block, each with a
//! timeout, so they belong on plain threads.

mod acl;
mod admin;
mod background_drop;
mod blocking_call;
#[cfg(feature = "tls")]
mod certificate;
mod client_context;
mod client_properties;
mod connection;
mod connection_fault;
mod coordinator_probe;
mod delivery_reports;
mod error;
mod error_codes;
mod failure;
mod groups;
mod headers;
mod inspector;
mod lag_sampler;
mod librdkafka_info;
mod member;
mod native;
mod native_admin;
mod native_batch;
mod native_groups;
mod native_record;
#[cfg(feature = "tls")]
mod native_tls;
mod next_record;
mod offsets;
mod port_probe;
mod publisher;
mod rebalance;
mod retry;
mod scan;
mod scan_client;
mod scan_worker;
#[cfg(feature = "tls")]
mod tls_fault;
mod topic_ids;
mod transaction;
mod transaction_error;

pub use acl::{Operation, Permission, Resource};
pub use admin::{Admin, TopicSpec};
pub use background_drop::BackgroundDrop;
pub use client_properties::{
    OwnedProperty, PropertyError, canonical_name, check_property, is_credential, is_secret, matches_owned_value,
    owned_property, property_names,
};
pub use connection::{Connection, LogSink, check_timeouts};
pub use error::Error;
pub use error_codes::ErrorKind;
pub use groups::{GroupDeletion, GroupListing};
pub use headers::{Headers, RecordHeaders};
pub use inspector::{GroupMembers, Inspector, TopicSettings};
pub use lag_sampler::{LagSampler, TopicChoice};
pub use librdkafka_info::librdkafka_info;
pub use member::{CLOSE_TIMEOUT, CLOSE_TIMEOUT_IN_OUTAGE, ConsumerRecord, Member, MemberSettings, PollEvent};
pub use native_batch::BatchHeaders;
pub use offsets::{EndOffset, StableWait};
pub use publisher::{Delivered, Publisher};
pub use rebalance::GroupMetadata;
pub use scan::{OffsetRange, Reader, ScanRecord, check_readable, follow, scan, scan_isolated};
pub use scan_worker::LATE_WATERMARK;
pub use topic_ids::TopicIdLookup;
pub use transaction::{LARGEST_RECORD, Output, TransactionalId, TransactionalProducer};
pub use transaction_error::TransactionError;

/// Whether TLS is built in, and with it the logins that need OpenSSL: the cargo feature `tls`.
pub const HAS_TLS: bool = cfg!(feature = "tls");

/// What to do first if something needs TLS, in a build without it.
pub const BUILD_WITH_TLS: &str = "build with the cargo feature `tls`: cargo install --path . --features tls";

/// The hint to use TLS. In a build without it, the build comes first.
#[must_use]
pub fn tls_hint(hint: &str) -> String {
    if HAS_TLS { hint.to_owned() } else { format!("{BUILD_WITH_TLS}; then {hint}") }
}

/// Size limits of the topics that are written to, in bytes, where known.
///
/// A broker rejects a *batch* above a topic's `max.message.bytes`, and the client does not know that topic config.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sizes {
    /// The largest record that will be written.
    pub record: Option<u64>,
    /// The largest batch that all of the topics accept.
    pub batch: Option<u64>,
}

impl Sizes {
    /// The client's `batch.size`: 1 MB, or less where a topic accepts less.
    fn batch_size(self) -> String {
        self.batch.unwrap_or(u64::MAX).clamp(1, 1_000_000).to_string()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<String>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }

    /// Every partition of a topic.
    #[must_use]
    pub fn all(topic: &str, partitions: i32) -> Vec<Self> {
        (0..partitions).map(|partition| Self::new(topic, partition)).collect()
    }
}

impl std::fmt::Display for TopicPartition {
    /// `topic/partition`
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// The partition of a key, computed as in Java's default partitioner, so that JVM producers choose the same one.
///
/// Source: `org.apache.kafka.common.utils.Utils.murmur2` and `toPositive`, as described in Kafka's protocol guide.
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: i32) -> i32 {
    let positive = murmur2(key) & 0x7fff_ffff;
    // Neither conversion fails: the hash lost its sign bit, and a partition count is a positive i32.
    i32::try_from(positive % partitions.max(1).unsigned_abs()).unwrap_or(0)
}

/// `MurmurHash2`, 32 bits, with the seed of Kafka's Java client.
fn murmur2(data: &[u8]) -> u32 {
    const MULTIPLIER: u32 = 0x5bd1_e995;
    const SHIFT: u32 = 24;
    const SEED: u32 = 0x9747_b28c;
    // A key is at most as long as a record, far below 4 GiB.
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let mut hash = SEED ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]);
        k = k.wrapping_mul(MULTIPLIER);
        k ^= k >> SHIFT;
        k = k.wrapping_mul(MULTIPLIER);
        hash = hash.wrapping_mul(MULTIPLIER) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vectors of Kafka's `UtilsTest.testMurmur2`.
    #[test]
    fn hashes_as_the_java_client() {
        let signed = |text: &str| i32::from_ne_bytes(murmur2(text.as_bytes()).to_ne_bytes());
        assert_eq!(signed("21"), -973_932_308);
        assert_eq!(signed("foobar"), -790_332_482);
        assert_eq!(signed("a-little-bit-long-string"), -985_981_536);
        assert_eq!(signed("a-little-bit-longer-string"), -1_486_304_829);
        assert_eq!(signed("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8"), -58_897_971);
        assert_eq!(signed("abc"), 479_470_107);
    }

    #[test]
    fn partition_is_below_the_count() {
        for count in 1..20 {
            let partition = partition_of_key(b"restaurant_07", count);
            assert!((0..count).contains(&partition));
        }
    }
}
