//! Owns what clients delete: `DeleteTopics` and `DeleteRecords`.

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::super::answer::Call;
use super::super::core::Core;
use super::super::entry::Entry;
use super::super::notice::Notice;
use super::{Refusal, TopicEntry, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID, configs, names};

/// In place of an offset: everything that there is.
const TO_THE_HIGH_WATERMARK: i64 = -1;

impl Core {
    /// `DeleteTopics`, versions 1 to 6; by id from version 6 on (KIP-516).
    pub fn delete_topics(&mut self, request: DeleteTopicsRequest, call: &Call<'_>) -> DeleteTopicsResponse {
        let asked: Vec<DeleteTopicState> = if call.version >= 6 {
            request.topics
        } else {
            request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name))).collect()
        };
        let (mut once, mut twice) = (BTreeSet::new(), BTreeSet::new());
        for topic in &asked {
            let key = (topic.name.clone(), topic.topic_id);
            if !once.insert(key.clone()) {
                twice.insert(key);
            }
        }
        // One topic by its name and by its id is asked twice as well, and told with both.
        let mut by_name_and_id: BTreeMap<Uuid, usize> = BTreeMap::new();
        for (name, id) in &once {
            if let Some(topic) = name.as_ref().map_or_else(|| self.topics.by_id(*id), |name| self.topics.get(name)) {
                *by_name_and_id.entry(topic.id).or_default() += 1;
            }
        }
        by_name_and_id.retain(|_, times| *times > 1);
        let mut responses = Vec::new();
        for DeleteTopicState { name, topic_id, .. } in asked {
            let topic = name.as_ref().map_or_else(|| self.topics.by_id(topic_id), |name| self.topics.get(name));
            if let Some(topic) = topic.filter(|topic| by_name_and_id.contains_key(&topic.id)) {
                if by_name_and_id.insert(topic.id, 0) != Some(0) {
                    let twice =
                        Refusal::new(ResponseError::InvalidRequest, "The topic is named by its name and its id.");
                    let name = TopicName(StrBytes::from_string(topic.name.clone()));
                    responses.push(deleted(Some(name), topic.id, Err(twice), call.version));
                }
                continue;
            }
            let key = (name.clone(), topic_id);
            let told_before = twice.contains(&key) && !once.remove(&key);
            if told_before {
                continue;
            }
            let done = if twice.contains(&key) && (name.is_some() || !topic_id.is_nil()) {
                let what = if name.is_some() { "name" } else { "id" };
                Err(Refusal::new(ResponseError::InvalidRequest, format!("Duplicate topic {what}.")))
            } else {
                self.delete_topic(name.as_ref(), topic_id)
            };
            responses.push(deleted(name, topic_id, done, call.version));
        }
        DeleteTopicsResponse::default().with_responses(responses)
    }

    /// Returns name and id of what was deleted.
    fn delete_topic(&mut self, name: Option<&TopicName>, id: Uuid) -> Result<(String, Uuid), Refusal> {
        let invalid = |why| Err(Refusal::new(ResponseError::InvalidRequest, why));
        let topic = match name {
            Some(_) if !id.is_nil() => return invalid("You may not specify both topic name and topic id."),
            None if id.is_nil() => return invalid("Neither topic name nor id were specified."),
            Some(name) => self
                .topics
                .get(name)
                .ok_or_else(|| Refusal::new(ResponseError::UnknownTopicOrPartition, UNKNOWN_TOPIC))?,
            None => {
                self.topics.by_id(id).ok_or_else(|| Refusal::new(ResponseError::UnknownTopicId, UNKNOWN_TOPIC_ID))?
            }
        };
        let (name, id) = (topic.name.clone(), topic.id);
        self.remove_topic(id)?;
        Ok((name, id))
    }

    /// `DeleteRecords`, versions 0 to 2.
    pub fn delete_records(&mut self, request: DeleteRecordsRequest, _call: &Call<'_>) -> DeleteRecordsResponse {
        let mut topics = Vec::with_capacity(request.topics.len());
        for topic in request.topics {
            let partitions = topic.partitions.iter().map(|asked| {
                let result = DeleteRecordsPartitionResult::default().with_partition_index(asked.partition_index);
                match self.delete_records_of(&topic.name, asked.partition_index, asked.offset) {
                    Ok(start) => result.with_low_watermark(start),
                    Err(error) => result.with_low_watermark(-1).with_error_code(error.code()),
                }
            });
            let partitions = partitions.collect();
            topics.push(DeleteRecordsTopicResult::default().with_name(topic.name).with_partitions(partitions));
        }
        DeleteRecordsResponse::default().with_topics(topics)
    }

    /// Returns where the log begins afterwards.
    fn delete_records_of(&mut self, topic: &str, partition: i32, offset: i64) -> Result<i64, ResponseError> {
        let unknown = ResponseError::UnknownTopicOrPartition;
        let index = usize::try_from(partition).map_err(|_| unknown)?;
        let topic = self.topics.get(topic).ok_or(unknown)?;
        let log = topic.logs.get(index).ok_or(unknown)?;
        if names::is_internal(&topic.name) {
            return Err(ResponseError::InvalidTopicException);
        }
        if !configs::has_policy(&topic.overrides, "delete") {
            return Err(ResponseError::PolicyViolation);
        }
        let end = log.high_watermark();
        let offset = if offset == TO_THE_HIGH_WATERMARK { end } else { offset };
        if offset < 0 || offset > end {
            return Err(ResponseError::OffsetOutOfRange);
        }
        let (id, start) = (topic.id, log.start_offset());
        if offset <= start {
            return Ok(start);
        }
        self.record(&[Entry::Topic(TopicEntry::LogStart { id, partition: index, offset })])?;
        let log = self.topics.by_id_mut(id).and_then(|topic| topic.logs.get_mut(index)).ok_or(unknown)?;
        if let Err(error) = log.delete_records_before(offset) {
            // The start has moved; only a file is left that should not be.
            self.notices.push(Notice::Trouble { what: format!("a segment cannot be removed: {error}") });
        }
        Ok(offset)
    }
}

fn deleted(
    name: Option<TopicName>,
    id: Uuid,
    done: Result<(String, Uuid), Refusal>,
    version: i16,
) -> DeletableTopicResult {
    let mut result = DeletableTopicResult::default();
    let id = match done {
        Ok((name, id)) => {
            result.name = Some(TopicName(StrBytes::from_string(name)));
            id
        }
        Err(refusal) => {
            result.name = name;
            result.error_code = refusal.error.code();
            if version >= 5 {
                result.error_message = refusal.text();
            }
            id
        }
    };
    if version >= 6 {
        result.topic_id = id;
    }
    result
}

#[cfg(test)]
#[path = "delete_tests.rs"]
mod tests;
