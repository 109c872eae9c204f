//! Error responses: the response to a request that is rejected as a whole, with one error code in every field that can
//! carry one.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use kafka_protocol::messages::create_topics_response::CreatableTopicResult;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::MetadataResponseTopic;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, AlterConfigsRequest, BrokerId, CreatePartitionsRequest,
    CreateTopicsRequest, DeleteGroupsRequest, DeleteRecordsRequest, DeleteTopicsRequest, DescribeClusterRequest,
    DescribeConfigsRequest, DescribeGroupsRequest, DescribeProducersRequest, DescribeTopicPartitionsRequest,
    DescribeTransactionsRequest, EndTxnRequest, FetchRequest, FindCoordinatorRequest, HeartbeatRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest,
    ListOffsetsRequest, ListTransactionsRequest, MetadataRequest, OffsetCommitRequest, OffsetDeleteRequest,
    OffsetFetchRequest, OffsetForLeaderEpochRequest, ProduceRequest, SyncGroupRequest, TxnOffsetCommitRequest,
    WriteTxnMarkersRequest,
};
use kafka_protocol::protocol::Request;

/// A request that can be rejected as a whole, like `AbstractRequest.getErrorResponse` in Apache Kafka.
pub trait ErrorResponse: Request {
    /// A response with the topics, partitions and groups of the request, and no results.
    fn empty_response(&self) -> Self::Response;
    /// Sets every error code of a response.
    fn set_error(response: &mut Self::Response, code: i16);
}

/// Responses with one error code at the top.
macro_rules! one_error {
    ($($request:ty),* $(,)?) => {$(
        impl ErrorResponse for $request {
            fn empty_response(&self) -> Self::Response {
                Self::Response::default()
            }

            fn set_error(response: &mut Self::Response, code: i16) {
                response.error_code = code;
            }
        }
    )*};
}

one_error!(
    AddOffsetsToTxnRequest,
    DescribeClusterRequest,
    EndTxnRequest,
    FetchRequest,
    HeartbeatRequest,
    InitProducerIdRequest,
    JoinGroupRequest,
    LeaveGroupRequest,
    ListGroupsRequest,
    ListTransactionsRequest,
    OffsetDeleteRequest,
    SyncGroupRequest,
);

/// Responses that never carry an injected error: they have one error code per item, and no test needs one.
macro_rules! no_error {
    ($($request:ty),* $(,)?) => {$(
        impl ErrorResponse for $request {
            fn empty_response(&self) -> Self::Response {
                Self::Response::default()
            }

            fn set_error(_: &mut Self::Response, _: i16) {}
        }
    )*};
}

no_error!(
    AlterConfigsRequest,
    CreatePartitionsRequest,
    DeleteGroupsRequest,
    DeleteRecordsRequest,
    DeleteTopicsRequest,
    DescribeConfigsRequest,
    DescribeGroupsRequest,
    DescribeProducersRequest,
    DescribeTopicPartitionsRequest,
    DescribeTransactionsRequest,
    IncrementalAlterConfigsRequest,
    OffsetForLeaderEpochRequest,
    WriteTxnMarkersRequest,
);

impl ErrorResponse for FindCoordinatorRequest {
    fn empty_response(&self) -> Self::Response {
        let coordinator = |key: &kafka_protocol::protocol::StrBytes| {
            Coordinator::default().with_key(key.clone()).with_node_id(BrokerId(-1)).with_port(-1)
        };
        Self::Response::default()
            .with_node_id(BrokerId(-1))
            .with_port(-1)
            .with_coordinators(self.coordinator_keys.iter().map(coordinator).collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        response.error_code = code;
        response.coordinators.iter_mut().for_each(|coordinator| coordinator.error_code = code);
    }
}

impl ErrorResponse for ProduceRequest {
    fn empty_response(&self) -> Self::Response {
        let topics = self.topic_data.iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|partition| {
                PartitionProduceResponse::default()
                    .with_index(partition.index)
                    .with_base_offset(-1)
                    .with_log_append_time_ms(-1)
                    .with_log_start_offset(-1)
            });
            TopicProduceResponse::default()
                .with_name(topic.name.clone())
                .with_topic_id(topic.topic_id)
                .with_partition_responses(partitions.collect())
        });
        Self::Response::default().with_responses(topics.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
            partition.error_code = code;
        }
    }
}

impl ErrorResponse for ListOffsetsRequest {
    fn empty_response(&self) -> Self::Response {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                ListOffsetsPartitionResponse::default().with_partition_index(partition.partition_index)
            });
            ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        Self::Response::default().with_topics(topics.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_code = code;
        }
    }
}

impl ErrorResponse for MetadataRequest {
    fn empty_response(&self) -> Self::Response {
        let topics =
            self.topics.iter().flatten().map(|topic| {
                MetadataResponseTopic::default().with_name(topic.name.clone()).with_topic_id(topic.topic_id)
            });
        Self::Response::default().with_topics(topics.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        response.error_code = code;
        response.topics.iter_mut().for_each(|topic| topic.error_code = code);
    }
}

impl ErrorResponse for OffsetCommitRequest {
    fn empty_response(&self) -> Self::Response {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                OffsetCommitResponsePartition::default().with_partition_index(partition.partition_index)
            });
            OffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        Self::Response::default().with_topics(topics.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_code = code;
        }
    }
}

impl ErrorResponse for TxnOffsetCommitRequest {
    fn empty_response(&self) -> Self::Response {
        let topics = self.topics.iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|partition| {
                TxnOffsetCommitResponsePartition::default().with_partition_index(partition.partition_index)
            });
            TxnOffsetCommitResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        Self::Response::default().with_topics(topics.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_code = code;
        }
    }
}

impl ErrorResponse for OffsetFetchRequest {
    fn empty_response(&self) -> Self::Response {
        let topics = self.topics.iter().flatten().map(|topic| {
            let partitions = topic.partition_indexes.iter().map(|partition| {
                OffsetFetchResponsePartition::default().with_partition_index(*partition).with_committed_offset(-1)
            });
            OffsetFetchResponseTopic::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
        });
        let groups = self.groups.iter().map(|group| {
            let topics = group.topics.iter().flatten().map(|topic| {
                let partitions = topic.partition_indexes.iter().map(|partition| {
                    OffsetFetchResponsePartitions::default().with_partition_index(*partition).with_committed_offset(-1)
                });
                OffsetFetchResponseTopics::default().with_name(topic.name.clone()).with_partitions(partitions.collect())
            });
            OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone()).with_topics(topics.collect())
        });
        Self::Response::default().with_topics(topics.collect()).with_groups(groups.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        // UNSTABLE_OFFSET_COMMIT is an error of partitions only.
        if code != ResponseError::UnstableOffsetCommit.code() {
            response.error_code = code;
            response.groups.iter_mut().for_each(|group| group.error_code = code);
        }
        for partition in response.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.error_code = code;
        }
        for partition in
            response.groups.iter_mut().flat_map(|group| &mut group.topics).flat_map(|topic| &mut topic.partitions)
        {
            partition.error_code = code;
        }
    }
}

impl ErrorResponse for AddPartitionsToTxnRequest {
    fn empty_response(&self) -> Self::Response {
        let topics = self.v3_and_below_topics.iter().map(|topic| {
            let partitions = topic
                .partitions
                .iter()
                .map(|partition| AddPartitionsToTxnPartitionResult::default().with_partition_index(*partition));
            AddPartitionsToTxnTopicResult::default()
                .with_name(topic.name.clone())
                .with_results_by_partition(partitions.collect())
        });
        Self::Response::default().with_results_by_topic_v3_and_below(topics.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        response.error_code = code;
        for partition in
            response.results_by_topic_v3_and_below.iter_mut().flat_map(|topic| &mut topic.results_by_partition)
        {
            partition.partition_error_code = code;
        }
    }
}

impl ErrorResponse for CreateTopicsRequest {
    fn empty_response(&self) -> Self::Response {
        let topics = self.topics.iter().map(|topic| CreatableTopicResult::default().with_name(topic.name.clone()));
        Self::Response::default().with_topics(topics.collect())
    }

    fn set_error(response: &mut Self::Response, code: i16) {
        response.topics.iter_mut().for_each(|topic| topic.error_code = code);
    }
}
