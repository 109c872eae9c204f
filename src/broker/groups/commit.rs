//! Owns `OffsetCommit` and `TxnOffsetCommit`: who may commit to a group, and which partitions are refused.

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

use super::entry::{CommittedOffsets, GroupEntry, PartitionOffset};
use super::group::{Group, State};
use super::{Groups, Surroundings, Turn, refusal_of, wire};
use crate::broker::answer::Call;
use crate::broker::transactions::{Entrance, Speaker};

/// From this version on a commit in the name of a member of an unknown group says so (KIP-848).
const GROUP_ID_NOT_FOUND_SINCE: i16 = 9;

/// An offset that is to be committed.
struct Wish<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    leader_epoch: i32,
    metadata: Option<&'a StrBytes>,
}

/// In whose name a commit is made.
struct Committer<'a> {
    group: &'a str,
    generation: i32,
    member: &'a str,
    instance: Option<&'a str>,
    /// The producer in whose transaction it is made.
    producer_id: Option<i64>,
    expires: Option<i64>,
}

/// Error codes by topic and partition, in the order in which Kafka tells them: unknown partitions first.
#[derive(Default)]
struct Verdicts(IndexMap<String, Vec<(i32, i16)>>);

impl Verdicts {
    fn give(&mut self, wish: &Wish<'_>, error: Option<ResponseError>) {
        let code = error.map_or(0, |error| error.code());
        match self.0.get_mut(wish.topic) {
            Some(partitions) => partitions.push((wish.partition, code)),
            None => drop(self.0.insert(wish.topic.to_owned(), vec![(wish.partition, code)])),
        }
    }

    fn refuse(&mut self, wishes: &[Wish<'_>], error: ResponseError) {
        for wish in wishes {
            self.give(wish, Some(error));
        }
    }

    /// Keeps the wishes for partitions that exist, and answers the others.
    fn known<'a>(around: &dyn Surroundings, wishes: impl Iterator<Item = Wish<'a>>) -> (Self, Vec<Wish<'a>>) {
        let mut verdicts = Self::default();
        let (known, unknown): (Vec<_>, Vec<_>) =
            wishes.partition(|wish| around.has_partition(wish.topic, wish.partition));
        verdicts.refuse(&unknown, ResponseError::UnknownTopicOrPartition);
        (verdicts, known)
    }
}

impl Groups {
    /// Answers `OffsetCommit`.
    pub(super) fn commit(
        &mut self,
        around: &mut dyn Surroundings,
        request: &OffsetCommitRequest,
        call: &Call<'_>,
    ) -> OffsetCommitResponse {
        let wishes = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| Wish {
                topic: &topic.name,
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref(),
            })
        });
        let (mut verdicts, known) = Verdicts::known(around, wishes);
        let committer = Committer {
            group: &request.group_id,
            generation: request.generation_id_or_member_epoch,
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            producer_id: None,
            expires: (request.retention_time_ms != -1).then(|| call.now.saturating_add(request.retention_time_ms)),
        };
        if !known.is_empty() {
            match self.may_commit(&committer, call.version) {
                Ok(()) => {
                    self.heard_of_committer(&committer, call.now);
                    self.store(around, &committer, &known, call.now, &mut verdicts);
                }
                Err(error) => verdicts.refuse(&known, error),
            }
        }
        let topics = verdicts.0.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, code)| {
                OffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(code)
            });
            OffsetCommitResponseTopic::default().with_name(wire(&topic).into()).with_partitions(partitions.collect())
        });
        OffsetCommitResponse::default().with_topics(topics.collect())
    }

    /// Answers `TxnOffsetCommit`.
    pub(super) fn commit_in_transaction(
        &mut self,
        around: &mut dyn Surroundings,
        request: &TxnOffsetCommitRequest,
        call: &Call<'_>,
    ) -> TxnOffsetCommitResponse {
        let wishes = request.topics.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| Wish {
                topic: &topic.name,
                partition: partition.partition_index,
                offset: partition.committed_offset,
                leader_epoch: partition.committed_leader_epoch,
                metadata: partition.committed_metadata.as_ref(),
            })
        });
        let (mut verdicts, known) = Verdicts::known(around, wishes);
        let producer_id = request.producer_id.0;
        let speaker =
            Speaker { transactional_id: &request.transactional_id, producer_id, epoch: request.producer_epoch };
        let committer = Committer {
            group: &request.group_id,
            generation: request.generation_id,
            member: &request.member_id,
            instance: request.group_instance_id.as_deref(),
            producer_id: Some(producer_id),
            expires: None,
        };
        if !known.is_empty() {
            self.store_in_transaction(around, speaker, &committer, &known, call, &mut verdicts);
        }
        let topics = verdicts.0.into_iter().map(|(topic, partitions)| {
            let partitions = partitions.into_iter().map(|(partition, code)| {
                TxnOffsetCommitResponsePartition::default().with_partition_index(partition).with_error_code(code)
            });
            TxnOffsetCommitResponseTopic::default().with_name(wire(&topic).into()).with_partitions(partitions.collect())
        });
        TxnOffsetCommitResponse::default().with_topics(topics.collect())
    }

    fn store_in_transaction(
        &mut self,
        around: &mut dyn Surroundings,
        speaker: Speaker<'_>,
        committer: &Committer<'_>,
        known: &[Wish<'_>],
        call: &Call<'_>,
        verdicts: &mut Verdicts,
    ) {
        if committer.group.is_empty() {
            return verdicts.refuse(known, ResponseError::InvalidGroupId);
        }
        // The transaction has the group then, whether or not its offsets are taken.
        let entrance = Entrance::of_offset_commit(call.version);
        let entered = around.enter_transaction(speaker, committer.group, entrance, call.now);
        match entered.and_then(|()| self.may_commit(committer, call.version)) {
            Ok(()) => self.store(around, committer, known, call.now, verdicts),
            Err(error) => verdicts.refuse(known, error),
        }
    }

    fn may_commit(&self, committer: &Committer<'_>, version: i16) -> Result<(), ResponseError> {
        match self.by_id.get(committer.group) {
            Some(group) => group.may_commit(committer),
            // Offsets without membership: the group comes to be.
            None if committer.generation < 0 => Ok(()),
            None if committer.producer_id.is_none() && version >= GROUP_ID_NOT_FOUND_SINCE => {
                Err(ResponseError::GroupIdNotFound)
            }
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    /// A commit is as good as a heartbeat.
    fn heard_of_committer(&mut self, committer: &Committer<'_>, now: i64) {
        let Self { by_id: groups, timers, .. } = self;
        if let Some(group) = groups.get(committer.group)
            && matches!(group.state, State::Stable | State::PreparingRebalance)
        {
            group.heard_of(committer.member, &mut Turn::new(now, timers));
        }
    }

    fn store(
        &mut self,
        around: &mut dyn Surroundings,
        committer: &Committer<'_>,
        wishes: &[Wish<'_>],
        now: i64,
        verdicts: &mut Verdicts,
    ) {
        let limit = around.settings().offset_metadata_max_bytes;
        let mut topics: BTreeMap<String, Vec<PartitionOffset>> = BTreeMap::new();
        for wish in wishes.iter().filter(|wish| !is_too_large(wish.metadata, limit)) {
            let partitions = match topics.get_mut(wish.topic) {
                Some(partitions) => partitions,
                None => topics.entry(wish.topic.to_owned()).or_default(),
            };
            partitions.push(PartitionOffset {
                partition: wish.partition,
                offset: wish.offset,
                leader_epoch: wish.leader_epoch.max(-1),
                metadata: wish.metadata.map(ToString::to_string).unwrap_or_default(),
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
            if let Err(error) = around.record(&[GroupEntry::Offsets(commit.clone()).into()]) {
                return verdicts.refuse(wishes, refusal_of(error));
            }
            self.take_offsets(commit);
        }
        for wish in wishes {
            let error = is_too_large(wish.metadata, limit).then_some(ResponseError::OffsetMetadataTooLarge);
            verdicts.give(wish, error);
        }
    }
}

/// Kafka counts UTF-16 units, whatever the setting's name says.
fn is_too_large(metadata: Option<&StrBytes>, limit: usize) -> bool {
    metadata.is_some_and(|metadata| metadata.len() > limit && metadata.encode_utf16().count() > limit)
}

impl Group {
    fn may_commit(&self, committer: &Committer<'_>) -> Result<(), ResponseError> {
        let Committer { generation, member, instance, producer_id, .. } = *committer;
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        // Older transactional producers do not say who they are; others must where there are members.
        let in_transaction = producer_id.is_some();
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.check_member(member, instance)?;
            if generation != self.generation {
                return Err(ResponseError::IllegalGeneration);
            }
        } else if !in_transaction && self.state != State::Empty {
            return Err(ResponseError::UnknownMemberId);
        }
        if !in_transaction && self.state == State::CompletingRebalance {
            return Err(ResponseError::RebalanceInProgress);
        }
        Ok(())
    }
}
