//! Owns `OffsetFetch` and `OffsetDelete`: what a group has committed, and how it is taken back.

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

/// From this version on one request asks for several groups (KIP-709).
const GROUPS_SINCE: i16 = 8;

/// What is found for one topic.
type TopicOffsets = (TopicName, Vec<OffsetFetchResponsePartitions>);

impl Groups {
    /// Answers `OffsetFetch`.
    #[must_use]
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

    /// Offsets of a group, or of a group that is not there; all that it has if no topics are named.
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
        let answer = OffsetFetchResponsePartitions::default().with_partition_index(partition);
        match known.filter(|_| !unstable) {
            Some(known) => answer
                .with_committed_offset(known.offset)
                .with_committed_leader_epoch(known.leader_epoch)
                .with_metadata(Some(str_bytes(&known.metadata))),
            None => answer
                .with_committed_offset(-1)
                .with_committed_leader_epoch(-1)
                .with_metadata(Some(str_bytes("")))
                .with_error_code(if unstable { ResponseError::UnstableOffsetCommit.code() } else { 0 }),
        }
    }

    /// Answers `OffsetDelete`.
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
        // Partitions that do not exist come first, as in a commit's answer.
        let asked = request
            .topics
            .iter()
            .flat_map(|topic| topic.partitions.iter().map(|partition| (topic.name.clone(), partition.partition_index)));
        let (known, unknown): (Vec<_>, Vec<_>) =
            asked.partition(|(topic, partition)| broker.has_partition(topic, *partition));
        let mut answers: IndexMap<TopicName, Vec<(i32, Option<ResponseError>)>> = IndexMap::new();
        let mut gone: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        for (topic, partition) in unknown {
            answers.entry(topic).or_default().push((partition, Some(ResponseError::UnknownTopicOrPartition)));
        }
        for (topic, partition) in known {
            let subscribed = group.subscribes_to(&topic);
            let has_offset =
                group.offsets.get(&topic, partition).is_some() || self.has_pending(group, &topic, partition);
            if !subscribed && has_offset {
                gone.entry(topic.to_string()).or_default().push(partition);
            }
            let error = subscribed.then_some(ResponseError::GroupSubscribedToTopic);
            answers.entry(topic).or_default().push((partition, error));
        }
        if !gone.is_empty() {
            let entry = GroupEntry::OffsetsDeleted { group: request.group_id.to_string(), topics: gone };
            broker.record(&[entry.clone().into()]).map_err(coordinator_error)?;
            self.apply(entry);
        }
        let topics = answers.into_iter().map(|(topic, partitions)| {
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
