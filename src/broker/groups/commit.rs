//! `OffsetCommit` and `TxnOffsetCommit`.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use kafka_protocol::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use kafka_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::group::{Group, GroupState};
use super::journal_entry::{CommittedOffsets, GroupEntry, PartitionOffset};
use super::{GroupContext, Groups, Operation, coordinator_error, str_bytes};
use crate::broker::response::RequestContext;
use crate::broker::transactions::{ProducerIdentity, TransactionSupport};

/// The first version that returns `GROUP_ID_NOT_FOUND` to a member's commit to an unknown group (KIP-848).
const GROUP_ID_NOT_FOUND_SINCE: i16 = 9;

struct OffsetToCommit<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a StrBytes>,
}

/// The group and member, or the producer, that commits.
struct Committer<'a> {
    group: &'a str,
    generation: i32,
    member: &'a str,
    instance: Option<&'a str>,
    /// Set for a commit in a transaction.
    producer_id: Option<i64>,
    expires: Option<i64>,
}

/// Error codes by topic and partition, in Kafka's order: unknown partitions come first.
#[derive(Default)]
struct CommitResults(IndexMap<String, Vec<(i32, i16)>>);

impl CommitResults {
    fn set(&mut self, offset: &OffsetToCommit<'_>, error: Option<ResponseError>) {
        let code = error.map_or(0, |error| error.code());
        match self.0.get_mut(offset.topic) {
            Some(partitions) => partitions.push((offset.partition, code)),
            None => drop(self.0.insert(offset.topic.to_owned(), vec![(offset.partition, code)])),
        }
    }

    fn set_all(&mut self, offsets: &[OffsetToCommit<'_>], error: ResponseError) {
        for offset in offsets {
            self.set(offset, Some(error));
        }
    }

    /// Separates the offsets of partitions that exist, and refuses the others.
    fn for_unknown<'a>(
        broker: &dyn GroupContext,
        offsets: impl Iterator<Item = OffsetToCommit<'a>>,
    ) -> (Self, Vec<OffsetToCommit<'a>>) {
        let mut results = Self::default();
        let (known, unknown): (Vec<_>, Vec<_>) =
            offsets.partition(|offset| broker.has_partition(offset.topic, offset.partition));
        results.set_all(&unknown, ResponseError::UnknownTopicOrPartition);
        (results, known)
    }
}

impl Groups {
    pub(super) fn commit(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &OffsetCommitRequest,
        context: &RequestContext<'_>,
    ) -> OffsetCommitResponse {
        let offsets = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| OffsetToCommit {
                topic: &topic.name,
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref(),
            })
        });
        let (mut results, known) = CommitResults::for_unknown(broker, offsets);
        let committer = Committer {
            group: &request.group_id,
            generation: request.generation_id_or_member_epoch,
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            producer_id: None,
            expires: (request.retention_time_ms != -1).then(|| context.now.saturating_add(request.retention_time_ms)),
        };
        if !known.is_empty() {
            match self.may_commit(&committer, context.version) {
                Ok(()) => {
                    self.restart_committer_session(&committer, context.now);
                    self.store(broker, &committer, &known, context.now, &mut results);
                }
                Err(error) => results.set_all(&known, error),
            }
        }
        let topics = results.0.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, code)| {
                OffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(code)
            });
            OffsetCommitResponseTopic::default()
                .with_name(str_bytes(&topic).into())
                .with_partitions(partitions.collect())
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }

    pub(super) fn commit_in_transaction(
        &mut self,
        broker: &mut dyn GroupContext,
        request: &TxnOffsetCommitRequest,
        context: &RequestContext<'_>,
    ) -> TxnOffsetCommitResponse {
        let offsets = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| OffsetToCommit {
                topic: &topic.name,
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref(),
            })
        });
        let (mut results, known) = CommitResults::for_unknown(broker, offsets);
        let producer_id = request.producer_id.0;
        let identity = ProducerIdentity {
            transactional_id: &request.transactional_id,
            producer_id,
            epoch: request.producer_epoch,
        };
        let committer = Committer {
            group: &request.group_id,
            generation: request.generation_id,
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            producer_id: Some(producer_id),
            expires: None,
        };
        if !known.is_empty() {
            self.store_in_transaction(broker, identity, &committer, &known, context, &mut results);
        }
        let topics = results.0.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, code)| {
                TxnOffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(code)
            });
            TxnOffsetCommitResponseTopic::default()
                .with_name(str_bytes(&topic).into())
                .with_partitions(partitions.collect())
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    fn store_in_transaction(
        &mut self,
        broker: &mut dyn GroupContext,
        identity: ProducerIdentity<'_>,
        committer: &Committer<'_>,
        known: &[OffsetToCommit<'_>],
        context: &RequestContext<'_>,
        results: &mut CommitResults,
    ) {
        if committer.group.is_empty() {
            return results.set_all(known, ResponseError::InvalidGroupId);
        }
        // The group is part of the transaction from here on, even if its offsets are refused below.
        let support = TransactionSupport::of_offset_commit(context.version);
        let added = broker.add_group_to_transaction(identity, committer.group, support, context.now);
        match added.and_then(|()| self.may_commit(committer, context.version)) {
            Ok(()) => self.store(broker, committer, known, context.now, results),
            Err(error) => results.set_all(known, error),
        }
    }

    fn may_commit(&self, committer: &Committer<'_>, version: i16) -> Result<(), ResponseError> {
        match self.by_id.get(committer.group) {
            Some(group) => group.may_commit(committer),
            // Commits without a member id create the group.
            None if committer.generation < 0 => Ok(()),
            None if committer.producer_id.is_none() && version >= GROUP_ID_NOT_FOUND_SINCE => {
                Err(ResponseError::GroupIdNotFound)
            }
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    /// A commit counts as a heartbeat.
    fn restart_committer_session(&mut self, committer: &Committer<'_>, now: i64) {
        let Self { by_id: groups, timers, .. } = self;
        if let Some(group) = groups.get(committer.group)
            && matches!(group.state, GroupState::Stable | GroupState::PreparingRebalance)
        {
            group.restart_session(committer.member, &mut Operation::new(now, timers));
        }
    }

    fn store(
        &mut self,
        broker: &mut dyn GroupContext,
        committer: &Committer<'_>,
        offsets: &[OffsetToCommit<'_>],
        now: i64,
        results: &mut CommitResults,
    ) {
        let limit = broker.settings().offset_metadata_max_bytes;
        let mut topics: BTreeMap<String, Vec<PartitionOffset>> = BTreeMap::new();
        for offset in offsets.iter().filter(|offset| !is_too_large(offset.metadata, limit)) {
            let partitions = match topics.get_mut(offset.topic) {
                Some(partitions) => partitions,
                None => topics.entry(offset.topic.to_owned()).or_default(),
            };
            partitions.push(PartitionOffset {
                partition: offset.partition,
                offset: offset.offset,
                leader_epoch: offset.leader_epoch.max(-1),
                metadata: offset.metadata.map(ToString::to_string).unwrap_or_default(),
            });
        }
        if !topics.is_empty() {
            let commit = CommittedOffsets {
                group: committer.group.to_owned(),
                producer_id: committer.producer_id,
                position: self.position + 1,
                time: now,
                expires: committer.expires,
                topics,
            };
            if let Err(error) = broker.record(&[GroupEntry::Offsets(commit.clone()).into()]) {
                return results.set_all(offsets, coordinator_error(error));
            }
            self.apply_commit(commit);
        }
        for offset in offsets {
            let error = is_too_large(offset.metadata, limit).then_some(ResponseError::OffsetMetadataTooLarge);
            results.set(offset, error);
        }
    }
}

/// Kafka compares `offset.metadata.max.bytes` with the number of UTF-16 units.
fn is_too_large(metadata: Option<&StrBytes>, limit: usize) -> bool {
    metadata.is_some_and(|metadata| metadata.len() > limit && metadata.encode_utf16().count() > limit)
}

impl Group {
    fn may_commit(&self, committer: &Committer<'_>) -> Result<(), ResponseError> {
        let Committer { generation, member, instance, producer_id, .. } = *committer;
        if generation < 0 && self.state == GroupState::Empty {
            return Ok(());
        }
        // Transactional producers before KIP-447 do not send a member id. Other committers must if the group has
        // members.
        let in_transaction = producer_id.is_some();
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.check_member(member, instance)?;
            if generation != self.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else if !in_transaction && self.state != GroupState::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        if !in_transaction && self.state == GroupState::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }
}
