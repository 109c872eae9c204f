//! Owns the list of requests that the broker answers, and the versions it claims for each.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::api_versions_response::{
    ApiVersion, ApiVersionsResponse, FinalizedFeatureKey, SupportedFeatureKey,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, ApiKey, ApiVersionsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest,
    DescribeTransactionsRequest, EndTxnRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    ListOffsetsRequest, ListTransactionsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, SyncGroupRequest, TxnOffsetCommitRequest,
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
    ListTransactions: ListTransactionsRequest,
}

/// Whether this version of a request is answered.
#[must_use]
pub fn is_answered(api: ApiKey, version: i16) -> bool {
    APIS.iter().any(|(key, versions)| *key == api && (versions.min..=versions.max).contains(&version))
}

/// The answer to `ApiVersions`; with an error for a version that is not known, which is then answered as version 0.
#[must_use]
pub fn api_versions(known: bool) -> ApiVersionsResponse {
    let keys = APIS.iter().map(|(api, versions)| {
        // librdkafka takes the range's start as a sign of what compression a broker knows, so Apache claims 0 and refuses it (KAFKA-18659).
        let min = if *api == ApiKey::Produce { 0 } else { versions.min };
        ApiVersion::default().with_api_key(*api as i16).with_min_version(min).with_max_version(versions.max)
    });
    let transactions = StrBytes::from_static_str("transaction.version");
    let response = ApiVersionsResponse::default().with_api_keys(keys.collect());
    if !known {
        return response.with_error_code(ResponseError::UnsupportedVersion.code());
    }
    // Version 2 of transactions (KIP-890) is how clients learn that Produce 12 and EndTxn 5 mean what they mean here.
    response
        .with_supported_features(vec![
            SupportedFeatureKey::default().with_name(transactions.clone()).with_min_version(0).with_max_version(2),
        ])
        .with_finalized_features_epoch(0)
        .with_finalized_features(vec![
            FinalizedFeatureKey::default().with_name(transactions).with_min_version_level(2).with_max_version_level(2),
        ])
}
