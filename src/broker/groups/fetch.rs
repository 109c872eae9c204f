//! `OffsetFetch` and `OffsetDelete`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_delete_response::{OffsetDeleteResponsePartition, OffsetDeleteResponseTopic};
use kafka_protocol::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions, OffsetFetchResponseTopic,
    OffsetFetchResponseTopics,
};
use kafka_protocol::messages::{
    GroupId, OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName,
};

use super::group::{Group, GroupState};
use super::journal_entry::GroupEntry;
use super::offsets::Committed;
use super::{GroupContext, Groups, coordinator_error, str_bytes};
use crate::broker::response::RequestContext;

/// The first version with several groups per request (KIP-709).
const GROUPS_SINCE: i16 = 8;

type TopicOffsets = (TopicName, Vec<OffsetFetchResponsePartitions>);

impl Groups {
    pub(super) fn fetch(&self, request: &OffsetFetchRequest, context: &RequestContext<'_>) -> OffsetFetchResponse {
        let stable = request.require_stable;
        if context.version >= GROUPS_SINCE {
            let groups = request.groups.iter().map(|asked| {
                let topics = asked.topics.as_ref().map(|topics| {
                    topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())).collect::<Vec<_>>()
                });
                let topics = self.fetch_group(&asked.group_id, topics, stable).into_iter().map(|(name, partitions)| {
                    OffsetFetchResponseTopics::default().with_name(name).with_partitions(partitions)
                });
                OffsetFetchResponseGroup::default().with_group_id(asked.group_id.clone()).with_topics(topics.collect())
            });
            return OffsetFetchResponse::default().with_groups(groups.collect());
        }
        let topics = request.topics.as_ref().map(|topics| {
            topics.iter().map(|topic| (&topic.name, topic.partition_indexes.as_slice())).collect::<Vec<_>>()
        });
        let topics = self.fetch_group(&request.group_id, topics, stable).into_iter().map(|(name, partitions)| {
            let partitions = partitions.into_iter().map(|found| {
                OffsetFetchResponsePartition::default()
                    .with_partition_index(found.partition_index)
                    .with_committed_offset(found.committed_offset)
                    .with_committed_leader_epoch(found.committed_leader_epoch)
                    .with_metadata(found.metadata)
                    .with_error_code(found.error_code)
            });
            OffsetFetchResponseTopic::default().with_name(name).with_partitions(partitions.collect())
        });
        OffsetFetchResponse::default().with_topics(topics.collect())
    }

    /// The offsets of the requested partitions, or all offsets of the group if `topics` is `None`. The group may be
    /// unknown.
    fn fetch_group(
        &self,
        group: &GroupId,
        topics: Option<Vec<(&TopicName, &[i32])>>,
        stable: bool,
    ) -> Vec<TopicOffsets> {
        let group = self.by_id.get(group.as_str());
        let Some(topics) = topics else {
            let all = group.into_iter().flat_map(|group| {
                group.offsets.topics().map(move |(topic, partitions)| {
                    let found = partitions.iter().map(|(partition, known)| {
                        self.fetch_partition(Some(group), topic, *partition, Some(known), stable)
                    });
                    (str_bytes(topic).into(), found.collect())
                })
            });
            return all.collect();
        };
        let named = topics.into_iter().map(|(topic, partitions)| {
            let found = partitions.iter().map(|partition| {
                let known = group.and_then(|group| group.offsets.get(topic, *partition));
                self.fetch_partition(group, topic, *partition, known, stable)
            });
            (topic.clone(), found.collect())
        });
        named.collect()
    }

    fn fetch_partition(
        &self,
        group: Option<&Group>,
        topic: &str,
        partition: i32,
        known: Option<&Committed>,
        stable: bool,
    ) -> OffsetFetchResponsePartitions {
        let unstable = stable && group.is_some_and(|group| self.has_pending(group, topic, partition));
        let response = OffsetFetchResponsePartitions::default().with_partition_index(partition);
        match known.filter(|_| !unstable) {
            Some(known) => response
                .with_committed_offset(known.offset)
                .with_committed_leader_epoch(known.leader_epoch)
                .with_metadata(Some(str_bytes(&known.metadata))),
            None => response
                .with_committed_offset(-1)
                .with_committed_leader_epoch(-1)
                .with_metadata(Some(str_bytes("")))
                .with_error_code(if unstable { ResponseError::UnstableOffsetCommit.code() } else { 0 }),
        }
    }

    pub(super) fn delete_offsets(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &OffsetDeleteRequest,
    ) -> OffsetDeleteResponse {
        match self.try_delete_offsets(broker, request) {
            Ok(response) => response,
            Err(error) => OffsetDeleteResponse::default().with_error_code(error.code()),
        }
    }

    fn try_delete_offsets(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &OffsetDeleteRequest,
    ) -> Result<OffsetDeleteResponse, ResponseError> {
        if request.group_id.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let group = self.by_id.get(request.group_id.as_str()).ok_or(ResponseError::GroupIdNotFound)?;
        if group.state != GroupState::Empty && !group.is_consumer_group() {
            return Err(ResponseError::NonEmptyGroup);
        }
        // Partitions that do not exist come first, as in the response to a commit.
        let asked = request
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), partition.partition_index)));
        let (known, unknown): (Vec<_>, Vec<_>) =
            asked.partition(|(topic, partition)| broker.has_partition(topic, *partition));
        let mut responses: IndexMap<TopicName, Vec<(i32, Option<ResponseError>)>> = IndexMap::new();
        let mut deleted: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in unknown {
            responses.entry(topic).or_default().push((partition, Some(ResponseError::UnknownTopicOrPartition)));
        }
        for (topic, partition) in known {
            let subscribed = group.subscribes_to(&topic);
            let has_offset =
                group.offsets.get(&topic, partition).is_some() || self.has_pending(group, &topic, partition);
            if !subscribed && has_offset {
                deleted.entry(topic.to_string()).or_default().push(partition);
            }
            let error = subscribed.then_some(ResponseError::GroupSubscribedToTopic);
            responses.entry(topic).or_default().push((partition, error));
        }
        if !deleted.is_empty() {
            let entry = GroupEntry::OffsetsDeleted { group: request.group_id.to_string(), topics: deleted };
            broker.record(&[entry.clone().into()]).map_err(coordinator_error)?;
            self.apply(entry);
        }
        let topics = responses.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, error)| {
                OffsetDeleteResponsePartition::default()
                    .with_partition_index(partition)
                    .with_error_code(error.map_or(0, |error| error.code()))
            });
            OffsetDeleteResponseTopic::default().with_name(topic).with_partitions(partitions.collect())
        });
        Ok(OffsetDeleteResponse::default().with_topics(topics.collect()))
    }
}
