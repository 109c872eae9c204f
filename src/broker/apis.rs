//! Supported APIs and their versions, and the response to `ApiVersions`.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiKey, ApiVersionsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest,
    DescribeTopicPartitionsRequest, DescribeTransactionsRequest, EndTxnRequest, FetchRequest, FindCoordinatorRequest,
    HeartbeatRequest, IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest,
    ListGroupsRequest, ListOffsetsRequest, ListTransactionsRequest, MetadataRequest, OffsetCommitRequest,
    OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, SyncGroupRequest,
    TxnOffsetCommitRequest, WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::{Message, StrBytes, VersionRange};

macro_rules! table {
    ($($api:ident: $request:ty),* $(,)?) => {
        /// The APIs that the broker implements, with their versions.
        pub const APIS: &[(ApiKey, VersionRange)] = &[$((ApiKey::$api, <$request>::VERSIONS)),*];
    };
}

table! {
    Produce: ProduceRequest,
    Fetch: FetchRequest,
    ListOffsets: ListOffsetsRequest,
    Metadata: MetadataRequest,
    OffsetCommit: OffsetCommitRequest,
    OffsetFetch: OffsetFetchRequest,
    FindCoordinator: FindCoordinatorRequest,
    JoinGroup: JoinGroupRequest,
    Heartbeat: HeartbeatRequest,
    LeaveGroup: LeaveGroupRequest,
    SyncGroup: SyncGroupRequest,
    DescribeGroups: DescribeGroupsRequest,
    ListGroups: ListGroupsRequest,
    ApiVersions: ApiVersionsRequest,
    CreateTopics: CreateTopicsRequest,
    DeleteTopics: DeleteTopicsRequest,
    DeleteRecords: DeleteRecordsRequest,
    InitProducerId: InitProducerIdRequest,
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest,
    AddPartitionsToTxn: AddPartitionsToTxnRequest,
    AddOffsetsToTxn: AddOffsetsToTxnRequest,
    EndTxn: EndTxnRequest,
    WriteTxnMarkers: WriteTxnMarkersRequest,
    TxnOffsetCommit: TxnOffsetCommitRequest,
    DescribeConfigs: DescribeConfigsRequest,
    AlterConfigs: AlterConfigsRequest,
    CreatePartitions: CreatePartitionsRequest,
    DeleteGroups: DeleteGroupsRequest,
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest,
    OffsetDelete: OffsetDeleteRequest,
    DescribeCluster: DescribeClusterRequest,
    DescribeProducers: DescribeProducersRequest,
    DescribeTransactions: DescribeTransactionsRequest,
    DescribeTopicPartitions: DescribeTopicPartitionsRequest,
    ListTransactions: ListTransactionsRequest,
}

/// Whether the broker implements this version of an API.
#[must_use]
pub fn is_supported(api: ApiKey, version: i16) -> bool {
    APIS.iter().any(|(key, versions)| *key == api && (versions.min..=versions.max).contains(&version))
}

/// The response to an unknown version of `ApiVersions`: version 0 with `UNSUPPORTED_VERSION` and the supported versions
/// (KIP-511).
#[must_use]
pub fn unknown_version() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(keys()).with_error_code(ResponseError::UnsupportedVersion.code())
}

fn keys() -> Vec<ApiVersion> {
    let key = |(api, versions): &(ApiKey, VersionRange)| {
        // librdkafka derives the broker's compression codecs from the lowest version of Produce, so Apache Kafka
        // advertises 0 although it rejects versions below 3 (KAFKA-18659).
        let min = if *api == ApiKey::Produce { 0 } else { versions.min };
        ApiVersion::default().with_api_key(*api as i16).with_min_version(min).with_max_version(versions.max)
    };
    APIS.iter().map(key).collect()
}

/// The response to `ApiVersions`.
#[must_use]
pub fn api_versions(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let is_valid = |text: &StrBytes| {
        let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    if version >= 3 && !(is_valid(&request.client_software_name) && is_valid(&request.client_software_version)) {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    // Clients use Produce 12 and EndTxn 5 with the semantics of KIP-890 only if transaction.version 2 is finalized.
    let transactions = StrBytes::from_static_str("transaction.version");
    let supported =
        SupportedFeatureKey::default().with_name(transactions.clone()).with_min_version(0).with_max_version(2);
    let finalized =
        FinalizedFeatureKey::default().with_name(transactions).with_min_version_level(2).with_max_version_level(2);
    ApiVersionsResponse::default()
        .with_api_keys(keys())
        // Version 3 cannot encode a feature whose range starts at 0 (KIP-1022).
        .with_supported_features(if version >= 4 { vec![supported] } else { Vec::new() })
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![finalized])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table in the documentation of `foodstream::broker`, made from [`APIS`].
    fn table() -> Vec<String> {
        let row = |(api, versions): &(ApiKey, VersionRange)| match (versions.min, versions.max) {
            (min, max) if min == max => format!("//! | `{api:?}` | {min} |"),
            (min, max) => format!("//! | `{api:?}` | {min} to {max} |"),
        };
        let head = ["//! | API | versions |", "//! | --- | --- |"].map(str::to_owned);
        head.into_iter().chain(APIS.iter().map(row)).collect()
    }

    #[test]
    fn the_documentation_lists_every_api() {
        let documented: Vec<_> = include_str!("mod.rs").lines().filter(|line| line.starts_with("//! |")).collect();
        let table = table();
        assert_eq!(documented, table, "the table in src/broker/mod.rs must be:\n{}", table.join("\n"));
    }
}
