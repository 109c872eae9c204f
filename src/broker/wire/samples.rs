//! Generated requests for tests, built by the same schemas that validation uses.
//!
//! The tests do not trust the schemas: the protocol crate decodes every sample to its last byte and encodes it to the
//! same bytes again, so a field too many, missing or in the wrong version is detected.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::{self, ApiKey};
use kafka_protocol::protocol::{Decodable, Encodable};

use super::request_schemas;
use super::schema::{Field, FieldType};

/// Every supported request, and how the protocol crate decodes and encodes it.
macro_rules! requests {
    ($($api:ident $request:ident),* $(,)?) => {
        /// Whether the protocol crate decodes it.
        pub(super) fn is_decoded(api: ApiKey, version: i16, body: &mut Bytes) -> bool {
            match api {
                $(ApiKey::$api => messages::$request::decode(body, version).is_ok(),)*
                _ => false,
            }
        }

        /// Decodes a request and encodes it again.
        pub(super) fn understood(api: ApiKey, version: i16, body: &mut Bytes) -> Option<Vec<u8>> {
            let mut bytes = Vec::new();
            match api {
                $(ApiKey::$api => {
                    let request = messages::$request::decode(body, version).ok()?;
                    request.encode(&mut bytes, version).expect("a decoded request can be encoded");
                })*
                _ => return None,
            }
            Some(bytes)
        }
    };
}

requests! {
    Produce ProduceRequest, Fetch FetchRequest, ListOffsets ListOffsetsRequest, Metadata MetadataRequest,
    OffsetCommit OffsetCommitRequest, OffsetFetch OffsetFetchRequest, FindCoordinator FindCoordinatorRequest,
    JoinGroup JoinGroupRequest, Heartbeat HeartbeatRequest, LeaveGroup LeaveGroupRequest, SyncGroup SyncGroupRequest,
    DescribeGroups DescribeGroupsRequest, ListGroups ListGroupsRequest, ApiVersions ApiVersionsRequest,
    CreateTopics CreateTopicsRequest, DeleteTopics DeleteTopicsRequest, DeleteRecords DeleteRecordsRequest,
    InitProducerId InitProducerIdRequest, OffsetForLeaderEpoch OffsetForLeaderEpochRequest,
    AddPartitionsToTxn AddPartitionsToTxnRequest, AddOffsetsToTxn AddOffsetsToTxnRequest, EndTxn EndTxnRequest,
    TxnOffsetCommit TxnOffsetCommitRequest, DescribeConfigs DescribeConfigsRequest, AlterConfigs AlterConfigsRequest,
    CreatePartitions CreatePartitionsRequest, DeleteGroups DeleteGroupsRequest,
    IncrementalAlterConfigs IncrementalAlterConfigsRequest, OffsetDelete OffsetDeleteRequest,
    DescribeCluster DescribeClusterRequest, DescribeProducers DescribeProducersRequest,
    DescribeTransactions DescribeTransactionsRequest, ListTransactions ListTransactionsRequest,
    DescribeTopicPartitions DescribeTopicPartitionsRequest, WriteTxnMarkers WriteTxnMarkersRequest,
}

/// Every request in every version that the protocol crate decodes.
pub(super) fn versions() -> impl Iterator<Item = (ApiKey, i16)> {
    request_schemas::APIS.iter().flat_map(|&api| {
        let versions = request_schemas::of(api).expect("a request with a schema").versions;
        (versions.min..=versions.max).map(move |version| (api, version))
    })
}

/// A request's body, with the positions of its lengths and counts.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    pub(super) bytes: Vec<u8>,
    pub(super) lengths: Vec<Length>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Length {
    pub(super) at: usize,
    /// Bytes that it takes.
    pub(super) width: usize,
    /// Whether it is a varint (KIP-482).
    pub(super) compact: bool,
}

impl Sample {
    /// The bytes with one length or count replaced by the maximum of its type.
    pub(super) fn blown_up(&self, length: Length) -> Vec<u8> {
        let greatest: &[u8] = match (length.compact, length.width) {
            (true, _) => &[0xff, 0xff, 0xff, 0xff, 0x0f],
            (false, 2) => &[0x7f, 0xff],
            (false, _) => &[0x7f, 0xff, 0xff, 0xff],
        };
        let (before, after) = (&self.bytes[..length.at], &self.bytes[length.at + length.width..]);
        [before, greatest, after].concat()
    }
}

/// Builds the sample that the choices describe. When they run out, every choice is the first one: empty, or 0.
///
/// A full sample has every field of the version, elements in every array, and no null.
pub(super) fn sample(api: ApiKey, version: i16, choices: &[u8], full: bool) -> Sample {
    make(api, version, choices, full, None).sample
}

/// A full sample with a null value at this place, whether it is nullable or not. `None` if there are fewer values.
pub(super) fn with_null(api: ApiKey, version: i16, choices: &[u8], place: usize) -> Option<Sample> {
    let maker = make(api, version, choices, true, Some(place));
    maker.null.is_none().then_some(maker.sample)
}

fn make(api: ApiKey, version: i16, choices: &[u8], full: bool, null: Option<usize>) -> Maker<'_> {
    let schema = request_schemas::of(api).expect("a request with a schema");
    let sample = Sample { bytes: Vec::new(), lengths: Vec::new() };
    let mut maker = Maker { choices, full, null, version, flexible: version >= schema.flexible, sample };
    maker.structure(schema.fields);
    maker
}

struct Maker<'a> {
    choices: &'a [u8],
    full: bool,
    /// Number of values before the one that is null.
    null: Option<usize>,
    version: i16,
    flexible: bool,
    sample: Sample,
}

impl Maker<'_> {
    fn choose(&mut self) -> u8 {
        self.choices.try_get_u8().unwrap_or(0)
    }

    /// A small number of elements.
    fn few(&mut self) -> u8 {
        self.choose() % 3 + u8::from(self.full)
    }

    fn structure(&mut self, fields: &[Field]) {
        let version = self.version;
        for field in fields.iter().filter(|field| field.tag.is_none() && field.is_in(version)) {
            self.value(field);
        }
        if self.flexible {
            self.tagged(fields);
        }
    }

    fn tagged(&mut self, fields: &[Field]) {
        let version = self.version;
        let mut tagged = Vec::new();
        for field in fields.iter().filter(|field| field.is_in(version)) {
            if let Some(tag) = field.tag
                && self.few() > 0
            {
                let value = self.aside(|maker| maker.value(field));
                tagged.push((tag, true, value));
            }
        }
        // Unknown tags only: known fields would be decoded, or rejected in an older version.
        let unknown = (0..).filter(|tag| fields.iter().all(|field| field.tag != Some(*tag)));
        for tag in unknown.take(usize::from(self.few())) {
            let value = self.aside(Self::letters);
            tagged.push((tag, false, value));
        }
        self.number(u32::try_from(tagged.len()).expect("few"), true);
        for (tag, known, value) in tagged {
            self.number(tag, false);
            // The size of a known tagged field is not validated.
            self.number(u32::try_from(value.bytes.len()).expect("short"), !known);
            let base = self.sample.bytes.len();
            self.sample.lengths.extend(value.lengths.iter().map(|length| Length { at: base + length.at, ..*length }));
            self.sample.bytes.extend(value.bytes);
        }
    }

    fn aside(&mut self, make: impl FnOnce(&mut Self)) -> Sample {
        let outer = std::mem::replace(&mut self.sample, Sample { bytes: Vec::new(), lengths: Vec::new() });
        make(self);
        std::mem::replace(&mut self.sample, outer)
    }

    fn value(&mut self, field: &Field) {
        if let FieldType::Fixed(width) = field.kind {
            let value = match width {
                1 => self.choose() % 2,
                // A tagged field with its default value, which is mostly 0, is not encoded.
                _ if field.tag.is_some() => self.choose() | 1,
                _ => self.choose(),
            };
            self.sample.bytes.extend(std::iter::repeat_n(0, width - 1));
            return self.sample.bytes.push(value);
        }
        if let FieldType::Structure(fields) = field.kind {
            if field.may_be_null(self.version) {
                let absent = !self.full && self.choose() % 4 == 1;
                self.sample.bytes.push(if absent { 0xff } else { 1 });
                if absent {
                    return;
                }
            }
            return self.structure(fields);
        }
        let wide = !matches!(field.kind, FieldType::String);
        let is_next = self.null == Some(0);
        self.null = self.null.and_then(|before| before.checked_sub(1));
        if is_next {
            return self.length(None, wide);
        }
        if !self.full && field.tag.is_none() && field.may_be_null(self.version) && self.choose() % 4 == 1 {
            return self.length(None, wide);
        }
        match field.kind {
            FieldType::Fixed(_) | FieldType::Structure(_) => {}
            FieldType::String | FieldType::Bytes => {
                let letters = self.aside(Self::letters).bytes;
                self.length(Some(letters.len()), wide);
                self.sample.bytes.extend(letters);
            }
            FieldType::Values(value) => {
                let count = self.few();
                self.length(Some(usize::from(count)), wide);
                (0..count).for_each(|_| self.value(value));
            }
            FieldType::Structures(fields) => {
                let count = self.few();
                self.length(Some(usize::from(count)), wide);
                (0..count).for_each(|_| self.structure(fields));
            }
        }
    }

    fn letters(&mut self) {
        for _ in 0..self.few() {
            let letter = b'a' + self.choose() % 26;
            self.sample.bytes.push(letter);
        }
    }

    fn length(&mut self, length: Option<usize>, wide: bool) {
        if self.flexible {
            return self.number(length.map_or(0, |length| u32::try_from(length).expect("short") + 1), true);
        }
        let length = length.map_or(-1, |length| i16::try_from(length).expect("short"));
        let at = self.sample.bytes.len();
        let width = if wide { 4 } else { 2 };
        self.sample.lengths.push(Length { at, width, compact: false });
        if wide {
            self.sample.bytes.extend(i32::from(length).to_be_bytes());
        } else {
            self.sample.bytes.extend(length.to_be_bytes());
        }
    }

    /// Writes a varint. All varints of a sample need one byte.
    fn number(&mut self, number: u32, length: bool) {
        if length {
            self.sample.lengths.push(Length { at: self.sample.bytes.len(), width: 1, compact: true });
        }
        self.sample.bytes.push(u8::try_from(number).ok().filter(|byte| *byte < 0x80).expect("small"));
    }
}
