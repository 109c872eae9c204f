//! Owns what clients delete: `DeleteTopics` and `DeleteRecords`.

use indexmap::IndexMap;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DeleteTopicsRequest, DeleteTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::super::core::Core;
use super::super::events::BrokerEvent;
use super::super::journal_entry::JournalEntry;
use super::super::response::RequestContext;
use super::{ApiError, TopicEntry, UNKNOWN_TOPIC, UNKNOWN_TOPIC_ID, configs, names};

/// In place of an offset: everything that there is.
const TO_THE_HIGH_WATERMARK: i64 = -1;

/// What an element of `DeleteTopics` is about.
#[derive(PartialEq, Eq, Hash)]
enum DeletionTarget {
    /// The topic of this id, whichever it was named by.
    Topic(Uuid),
    /// A name or an id, or neither, that is no topic's.
    Nothing(Option<TopicName>, Uuid),
}

impl Core {
    /// `DeleteTopics`, versions 1 to 6; by id from version 6 on (KIP-516).
    pub fn delete_topics(
        &mut self,
        request: DeleteTopicsRequest,
        context: &RequestContext<'_>,
    ) -> DeleteTopicsResponse {
        let asked: Vec<DeleteTopicState> = if context.version >= 6 {
            request.topics
        } else {
            request.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name))).collect()
        };
        // A topic that is named more than once is told once, where it stands first.
        let mut topics: IndexMap<DeletionTarget, Vec<DeleteTopicState>> = IndexMap::with_capacity(asked.len());
        for state in asked {
            topics.entry(self.meant(&state)).or_default().push(state);
        }
        let responses = topics.into_iter().filter_map(|(meant, asked)| {
            let mut asked = asked.into_iter();
            let first = asked.next()?;
            Some(self.delete_once(&meant, first, asked.as_slice(), context.version))
        });
        DeleteTopicsResponse::default().with_responses(responses.collect())
    }

    fn meant(&self, asked: &DeleteTopicState) -> DeletionTarget {
        let DeleteTopicState { name, topic_id, .. } = asked;
        let topic = name.as_ref().map_or_else(|| self.topics.by_id(*topic_id), |name| self.topics.get(name));
        topic.map_or_else(|| DeletionTarget::Nothing(name.clone(), *topic_id), |topic| DeletionTarget::Topic(topic.id))
    }

    /// Deletes what is asked for once; what is asked for `again` is refused.
    fn delete_once(
        &mut self,
        meant: &DeletionTarget,
        asked: DeleteTopicState,
        again: &[DeleteTopicState],
        version: i16,
    ) -> DeletableTopicResult {
        let DeleteTopicState { name, topic_id, .. } = asked;
        let twice = |why: String| Err(ApiError::new(ResponseError::InvalidRequest, why));
        if let DeletionTarget::Topic(id) = meant
            && again.iter().any(|other| (&other.name, other.topic_id) != (&name, topic_id))
        {
            // Told with both, whichever it was asked for by.
            let name = self.topics.by_id(*id).map(|topic| TopicName(StrBytes::from_string(topic.name.clone())));
            return deleted(name, *id, twice("The topic is named by its name and its id.".to_owned()), version);
        }
        let done = if again.is_empty() || (name.is_none() && topic_id.is_nil()) {
            self.delete_topic(name.as_ref(), topic_id)
        } else {
            twice(format!("Duplicate topic {}.", if name.is_some() { "name" } else { "id" }))
        };
        deleted(name, topic_id, done, version)
    }

    /// Returns name and id of what was deleted.
    fn delete_topic(&mut self, name: Option<&TopicName>, id: Uuid) -> Result<(String, Uuid), ApiError> {
        let invalid = |why| Err(ApiError::new(ResponseError::InvalidRequest, why));
        let topic = match name {
            Some(_) if !id.is_nil() => return invalid("You may not specify both topic name and topic id."),
            None if id.is_nil() => return invalid("Neither topic name nor id were specified."),
            Some(name) => self
                .topics
                .get(name)
                .ok_or_else(|| ApiError::new(ResponseError::UnknownTopicOrPartition, UNKNOWN_TOPIC))?,
            None => {
                self.topics.by_id(id).ok_or_else(|| ApiError::new(ResponseError::UnknownTopicId, UNKNOWN_TOPIC_ID))?
            }
        };
        let (name, id) = (topic.name.clone(), topic.id);
        self.remove_topic(id)?;
        Ok((name, id))
    }

    /// `DeleteRecords`, versions 0 to 2.
    pub fn delete_records(
        &mut self,
        request: DeleteRecordsRequest,
        _call: &RequestContext<'_>,
    ) -> DeleteRecordsResponse {
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
        let (id, name, start) = (topic.id, topic.name.clone(), log.start_offset());
        if offset <= start {
            return Ok(start);
        }
        self.record(&[JournalEntry::Topic(TopicEntry::LogStart { id, partition: index, offset })])?;
        let log = self.topics.by_id_mut(id).and_then(|topic| topic.logs.get_mut(index)).ok_or(unknown)?;
        if let Err(error) = log.delete_records_before(offset) {
            // The start has moved; only a file is left that should not be.
            self.events.push(BrokerEvent::BackgroundError { what: format!("a segment cannot be removed: {error}") });
        }
        self.wake(&name, partition);
        Ok(offset)
    }
}

fn deleted(
    name: Option<TopicName>,
    id: Uuid,
    done: Result<(String, Uuid), ApiError>,
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
