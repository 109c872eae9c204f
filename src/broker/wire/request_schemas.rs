//! Schemas of all supported requests: their fields in every version.
//!
//! Fields and their order are those of Kafka's message definitions, in the versions that the protocol crate decodes. A
//! field without versions is in all of them.

use kafka_protocol::messages::{self, ApiKey};
use kafka_protocol::protocol::Message;

use super::schema::{
    BOOL, BYTES, Field, INT8, INT16, INT32, INT64, NEVER, RequestSchema, STRING, UUID, array, array_of, fields,
    structure,
};

macro_rules! schemas {
    ($($api:ident $request:ident, flexible since $flexible:tt { $($fields:tt)* })*) => {
        /// The schema of a request that the broker supports.
        pub(super) fn of(api: ApiKey) -> Option<&'static RequestSchema> {
            Some(match api {
                $(ApiKey::$api => {
                    static SCHEMA: RequestSchema = RequestSchema {
                        versions: messages::$request::VERSIONS,
                        flexible: $flexible,
                        fields: fields![$($fields)*],
                    };
                    &SCHEMA
                })*
                _ => return None,
            })
        }

        #[cfg(test)]
        pub(super) const APIS: &[ApiKey] = &[$(ApiKey::$api),*];
    };
}

schemas! {
    Produce ProduceRequest, flexible since 9 {
        transactional_id: STRING.nullable(), acks: INT16, timeout_ms: INT32,
        topic_data: array(fields![
            name: STRING.until(12), topic_id: UUID.since(13),
            partition_data: array(fields![index: INT32, records: BYTES.nullable()]),
        ]),
    }

    Fetch FetchRequest, flexible since 12 {
        cluster_id: STRING.since(12).nullable().tagged(0), replica_id: INT32.until(14),
        replica_state: structure(fields![
            replica_id: INT32, replica_epoch: INT64,
        ]).since(15).tagged(1),
        max_wait_ms: INT32, min_bytes: INT32, max_bytes: INT32, isolation_level: INT8,
        session_id: INT32.since(7), session_epoch: INT32.since(7),
        topics: array(fields![
            topic: STRING.until(12), topic_id: UUID.since(13),
            partitions: array(fields![
                partition: INT32, current_leader_epoch: INT32.since(9), fetch_offset: INT64,
                last_fetched_epoch: INT32.since(12), log_start_offset: INT64.since(5),
                partition_max_bytes: INT32, replica_directory_id: UUID.since(17).tagged(0),
                high_watermark: INT64.since(18).tagged(1),
            ]),
        ]),
        forgotten_topics_data: array(fields![
            topic: STRING.until(12), topic_id: UUID.since(13), partitions: array_of(&INT32),
        ]).since(7),
        rack_id: STRING.since(11),
    }

    ListOffsets ListOffsetsRequest, flexible since 6 {
        replica_id: INT32, isolation_level: INT8.since(2),
        topics: array(fields![
            name: STRING,
            partitions: array(fields![
                partition_index: INT32, current_leader_epoch: INT32.since(4), timestamp: INT64,
            ]),
        ]),
        timeout_ms: INT32.since(10),
    }

    Metadata MetadataRequest, flexible since 9 {
        topics: array(fields![topic_id: UUID.since(10), name: STRING.nullable_since(10)]).nullable_since(1),
        allow_auto_topic_creation: BOOL.since(4),
        include_cluster_authorized_operations: BOOL.since(8).until(10),
        include_topic_authorized_operations: BOOL.since(8),
    }

    OffsetCommit OffsetCommitRequest, flexible since 8 {
        group_id: STRING, generation_id_or_member_epoch: INT32, member_id: STRING,
        group_instance_id: STRING.since(7).nullable(), retention_time_ms: INT64.until(4),
        topics: array(fields![
            name: STRING,
            partitions: array(fields![
                partition_index: INT32, committed_offset: INT64, committed_leader_epoch: INT32.since(6),
                committed_metadata: STRING.nullable(),
            ]),
        ]),
    }

    OffsetFetch OffsetFetchRequest, flexible since 6 {
        group_id: STRING.until(7),
        topics: array(fields![
            name: STRING, partition_indexes: array_of(&INT32),
        ]).until(7).nullable_since(2),
        groups: array(fields![
            group_id: STRING, member_id: STRING.since(9).nullable(), member_epoch: INT32.since(9),
            topics: array(fields![
                name: STRING, partition_indexes: array_of(&INT32),
            ]).nullable(),
        ]).since(8),
        require_stable: BOOL.since(7),
    }

    FindCoordinator FindCoordinatorRequest, flexible since 3 {
        key: STRING.until(3), key_type: INT8.since(1), coordinator_keys: array_of(&STRING).since(4),
    }

    JoinGroup JoinGroupRequest, flexible since 6 {
        group_id: STRING, session_timeout_ms: INT32, rebalance_timeout_ms: INT32.since(1),
        member_id: STRING, group_instance_id: STRING.since(5).nullable(), protocol_type: STRING,
        protocols: array(fields![name: STRING, metadata: BYTES]),
        reason: STRING.since(8).nullable(),
    }

    Heartbeat HeartbeatRequest, flexible since 4 {
        group_id: STRING, generation_id: INT32, member_id: STRING,
        group_instance_id: STRING.since(3).nullable(),
    }

    LeaveGroup LeaveGroupRequest, flexible since 4 {
        group_id: STRING, member_id: STRING.until(2),
        members: array(fields![
            member_id: STRING, group_instance_id: STRING.nullable(), reason: STRING.since(5).nullable(),
        ]).since(3),
    }

    SyncGroup SyncGroupRequest, flexible since 4 {
        group_id: STRING, generation_id: INT32, member_id: STRING,
        group_instance_id: STRING.since(3).nullable(), protocol_type: STRING.since(5).nullable(),
        protocol_name: STRING.since(5).nullable(),
        assignments: array(fields![member_id: STRING, assignment: BYTES]),
    }

    DescribeGroups DescribeGroupsRequest, flexible since 5 {
        groups: array_of(&STRING), include_authorized_operations: BOOL.since(3),
    }

    ListGroups ListGroupsRequest, flexible since 3 {
        states_filter: array_of(&STRING).since(4), types_filter: array_of(&STRING).since(5),
    }

    ApiVersions ApiVersionsRequest, flexible since 3 {
        client_software_name: STRING.since(3), client_software_version: STRING.since(3),
    }

    CreateTopics CreateTopicsRequest, flexible since 5 {
        topics: array(fields![
            name: STRING, num_partitions: INT32, replication_factor: INT16,
            assignments: array(fields![partition_index: INT32, broker_ids: array_of(&INT32)]),
            configs: array(fields![name: STRING, value: STRING.nullable()]),
        ]),
        timeout_ms: INT32, validate_only: BOOL,
    }

    DeleteTopics DeleteTopicsRequest, flexible since 4 {
        topics: array(fields![name: STRING.nullable(), topic_id: UUID]).since(6),
        topic_names: array_of(&STRING).until(5), timeout_ms: INT32,
    }

    DeleteRecords DeleteRecordsRequest, flexible since 2 {
        topics: array(fields![
            name: STRING,
            partitions: array(fields![partition_index: INT32, offset: INT64]),
        ]),
        timeout_ms: INT32,
    }

    InitProducerId InitProducerIdRequest, flexible since 2 {
        transactional_id: STRING.nullable(), transaction_timeout_ms: INT32, producer_id: INT64.since(3),
        producer_epoch: INT16.since(3),
    }

    OffsetForLeaderEpoch OffsetForLeaderEpochRequest, flexible since 4 {
        replica_id: INT32.since(3),
        topics: array(fields![
            topic: STRING,
            partitions: array(fields![partition: INT32, current_leader_epoch: INT32, leader_epoch: INT32]),
        ]),
    }

    AddPartitionsToTxn AddPartitionsToTxnRequest, flexible since 3 {
        transactions: array(fields![
            transactional_id: STRING, producer_id: INT64, producer_epoch: INT16, verify_only: BOOL,
            topics: array(fields![name: STRING, partitions: array_of(&INT32)]),
        ]).since(4),
        v3_and_below_transactional_id: STRING.until(3), v3_and_below_producer_id: INT64.until(3),
        v3_and_below_producer_epoch: INT16.until(3),
        v3_and_below_topics: array(fields![name: STRING, partitions: array_of(&INT32)]).until(3),
    }

    WriteTxnMarkers WriteTxnMarkersRequest, flexible since 1 {
        markers: array(fields![
            producer_id: INT64, producer_epoch: INT16, transaction_result: BOOL,
            topics: array(fields![name: STRING, partition_indexes: array_of(&INT32)]), coordinator_epoch: INT32,
        ]),
    }

    AddOffsetsToTxn AddOffsetsToTxnRequest, flexible since 3 {
        transactional_id: STRING, producer_id: INT64, producer_epoch: INT16, group_id: STRING,
    }

    EndTxn EndTxnRequest, flexible since 3 {
        transactional_id: STRING, producer_id: INT64, producer_epoch: INT16, committed: BOOL,
    }

    TxnOffsetCommit TxnOffsetCommitRequest, flexible since 3 {
        transactional_id: STRING, group_id: STRING, producer_id: INT64, producer_epoch: INT16,
        generation_id: INT32.since(3), member_id: STRING.since(3),
        group_instance_id: STRING.since(3).nullable(),
        topics: array(fields![
            name: STRING,
            partitions: array(fields![
                partition_index: INT32, committed_offset: INT64, committed_leader_epoch: INT32.since(2),
                committed_metadata: STRING.nullable(),
            ]),
        ]),
    }

    DescribeConfigs DescribeConfigsRequest, flexible since 4 {
        resources: array(fields![
            resource_type: INT8, resource_name: STRING, configuration_keys: array_of(&STRING).nullable(),
        ]),
        include_synonyms: BOOL, include_documentation: BOOL.since(3),
    }

    AlterConfigs AlterConfigsRequest, flexible since 2 {
        resources: array(fields![
            resource_type: INT8, resource_name: STRING,
            configs: array(fields![name: STRING, value: STRING.nullable()]),
        ]),
        validate_only: BOOL,
    }

    CreatePartitions CreatePartitionsRequest, flexible since 2 {
        topics: array(fields![
            name: STRING, count: INT32,
            assignments: array(fields![broker_ids: array_of(&INT32)]).nullable(),
        ]),
        timeout_ms: INT32, validate_only: BOOL,
    }

    DeleteGroups DeleteGroupsRequest, flexible since 2 {
        groups_names: array_of(&STRING),
    }

    IncrementalAlterConfigs IncrementalAlterConfigsRequest, flexible since 1 {
        resources: array(fields![
            resource_type: INT8, resource_name: STRING,
            configs: array(fields![name: STRING, config_operation: INT8, value: STRING.nullable()]),
        ]),
        validate_only: BOOL,
    }

    OffsetDelete OffsetDeleteRequest, flexible since NEVER {
        group_id: STRING,
        topics: array(fields![name: STRING, partitions: array(fields![partition_index: INT32])]),
    }

    DescribeCluster DescribeClusterRequest, flexible since 0 {
        include_cluster_authorized_operations: BOOL, endpoint_type: INT8.since(1),
        include_fenced_brokers: BOOL.since(2),
    }

    DescribeProducers DescribeProducersRequest, flexible since 0 {
        topics: array(fields![name: STRING, partition_indexes: array_of(&INT32)]),
    }

    DescribeTopicPartitions DescribeTopicPartitionsRequest, flexible since 0 {
        topics: array(fields![name: STRING]), response_partition_limit: INT32,
        cursor: structure(fields![topic_name: STRING, partition_index: INT32]).nullable(),
    }

    DescribeTransactions DescribeTransactionsRequest, flexible since 0 {
        transactional_ids: array_of(&STRING),
    }

    ListTransactions ListTransactionsRequest, flexible since 0 {
        state_filters: array_of(&STRING), producer_id_filters: array_of(&INT64),
        duration_filter: INT64.since(1), transactional_id_pattern: STRING.since(2).nullable(),
    }
}
