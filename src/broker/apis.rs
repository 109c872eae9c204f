//! Owns the list of requests that the broker answers, and the versions it claims for each.

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
        /// Every request that is answered, with the versions that are.
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

/// Whether this version of a request is answered.
#[must_use]
pub fn is_answered(api: ApiKey, version: i16) -> bool {
    APIS.iter().any(|(key, versions)| *key == api && (versions.min..=versions.max).contains(&version))
}

/// The answer to `ApiVersions` in a version that is not known: as version 0, with an error and the versions that are (KIP-511).
#[must_use]
pub fn unknown_version() -> ApiVersionsResponse {
    ApiVersionsResponse::default().with_api_keys(keys()).with_error_code(ResponseError::UnsupportedVersion.code())
}

fn keys() -> Vec<ApiVersion> {
    let key = |(api, versions): &(ApiKey, VersionRange)| {
        // librdkafka takes the range's start as a sign of what compression a broker knows, so Apache claims 0 and refuses it (KAFKA-18659).
        let min = if *api == ApiKey::Produce { 0 } else { versions.min };
        ApiVersion::default().with_api_key(*api as i16).with_min_version(min).with_max_version(versions.max)
    };
    APIS.iter().map(key).collect()
}

/// The answer to `ApiVersions`.
#[must_use]
pub fn api_versions(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let named = |text: &StrBytes| {
        let alphanumeric = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
        let bytes = text.as_bytes();
        alphanumeric(bytes.first())
            && alphanumeric(bytes.last())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
    };
    if version >= 3 && !(named(&request.client_software_name) && named(&request.client_software_version)) {
        return ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code());
    }
    // Version 2 of transactions (KIP-890) is how clients learn that Produce 12 and EndTxn 5 mean what they mean here.
    let transactions = StrBytes::from_static_str("transaction.version");
    let supported =
        SupportedFeatureKey::default().with_name(transactions.clone()).with_min_version(0).with_max_version(2);
    let finalized =
        FinalizedFeatureKey::default().with_name(transactions).with_min_version_level(2).with_max_version_level(2);
    ApiVersionsResponse::default()
        .with_api_keys(keys())
        // Clients of version 3 cannot read a feature whose range begins at 0 (KIP-1022).
        .with_supported_features(if version >= 4 { vec![supported] } else { Vec::new() })
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![finalized])
}
