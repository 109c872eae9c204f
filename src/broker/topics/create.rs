//! Creation of topics and partitions: `CreateTopics` and `CreatePartitions`.

use std::collections::BTreeSet;

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::{CreatableReplicaAssignment, CreatableTopic};
use kafka_protocol::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use kafka_protocol::messages::{
    BrokerId, CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::super::core::{Core, NODE_ID};
use super::super::response::RequestContext;
use super::lifecycle::new_id;
use super::metadata::index;
use super::{ApiError, MAX_PARTITIONS, Overrides, Topic, configs, describe_configs, names};

/// The only possible replication factor on one node.
const REPLICATION_FACTOR: i16 = 1;

impl Core {
    /// `CreateTopics`, versions 2 to 7.
    pub fn create_topics(
        &mut self,
        request: CreateTopicsRequest,
        context: &RequestContext<'_>,
    ) -> CreateTopicsResponse {
        let mut topics = Vec::new();
        if self.has_too_many_partitions(&request.topics) {
            let error =
                ApiError::new(ResponseError::PolicyViolation, "Excessively large number of partitions per request.");
            let refused = request.topics.into_iter().map(|topic| not_created(topic.name, error.clone()));
            return CreateTopicsResponse::default().with_topics(refused.collect());
        }
        let duplicates = duplicate_names(request.topics.iter().map(|topic| &topic.name));
        let mut progress = Progress::default();
        for topic in request.topics {
            if duplicates.contains(&topic.name) {
                continue;
            }
            let name = topic.name.clone();
            let result = self.create_topic(&topic, request.validate_only, &mut progress, context.now);
            topics.push(match result {
                Ok(created) => created_result(name, &created, context.version),
                Err(error) => not_created(name, error),
            });
        }
        topics.extend(
            duplicates
                .into_iter()
                .map(|name| not_created(name, ApiError::new(ResponseError::InvalidRequest, "Duplicate topic name."))),
        );
        CreateTopicsResponse::default().with_topics(topics)
    }

    fn has_too_many_partitions(&self, topics: &[CreatableTopic]) -> bool {
        let partitions = topics.iter().map(|topic| match topic.num_partitions {
            _ if !topic.assignments.is_empty() => topic.assignments.len(),
            -1 => usize::try_from(self.settings.num_partitions).unwrap_or_default(),
            count => usize::try_from(count).unwrap_or_default(),
        });
        partitions.fold(0, usize::saturating_add) > MAX_PARTITIONS
    }

    fn create_topic(
        &mut self,
        topic: &CreatableTopic,
        validate_only: bool,
        progress: &mut Progress,
        now: i64,
    ) -> Result<Created, ApiError> {
        let name = topic.name.as_str();
        self.check_name(name, progress)?;
        let overrides = overrides_of(topic)?;
        configs::validate(&overrides).map_err(|message| ApiError::new(ResponseError::InvalidConfig, message))?;
        let partitions = self.partitions_of(topic)?;
        self.check_partition_limit(partitions + progress.validated_partitions)?;
        let id = if validate_only {
            progress.validated_partitions += partitions;
            // Kafka returns a new id here, too.
            new_id()
        } else {
            self.make_topic(name, partitions, overrides.clone(), now)?
        };
        progress.names.insert(name.to_owned());
        Ok(Created { id, partitions, overrides })
    }

    fn check_name(&self, name: &str, progress: &Progress) -> Result<(), ApiError> {
        if let Some(message) = names::invalid_reason(name) {
            return Err(ApiError::new(ResponseError::InvalidTopicException, message));
        }
        if name == names::METADATA_TOPIC {
            let message = format!("Creation of internal topic {name} is prohibited.");
            return Err(ApiError::new(ResponseError::InvalidRequest, message));
        }
        if self.topics.get(name).is_some() {
            return Err(ApiError::new(ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
        }
        // Kafka compares only with topics that existed before the request.
        let collides = |other: &&Topic| names::collide(&other.name, name) && !progress.names.contains(&other.name);
        match self.topics.iter().find(collides) {
            None => Ok(()),
            Some(other) => {
                let message = format!("Topic '{name}' collides with existing topic: {}", other.name);
                Err(ApiError::new(ResponseError::InvalidTopicException, message))
            }
        }
    }

    /// The number of partitions of a new topic, from the count or from the replica assignments of its request.
    fn partitions_of(&self, topic: &CreatableTopic) -> Result<usize, ApiError> {
        if !topic.assignments.is_empty() {
            return assigned_partitions(topic);
        }
        if topic.replication_factor < -1 || topic.replication_factor == 0 {
            return Err(ApiError::new(
                ResponseError::InvalidReplicationFactor,
                "Replication factor must be larger than 0, or -1 to use the default value.",
            ));
        }
        let count = if topic.num_partitions == -1 { self.settings.num_partitions } else { topic.num_partitions };
        let partitions = usize::try_from(count).ok().filter(|count| *count > 0).ok_or_else(|| {
            ApiError::new(
                ResponseError::InvalidPartitions,
                "Number of partitions was set to an invalid non-positive value.",
            )
        })?;
        if topic.replication_factor > REPLICATION_FACTOR {
            let factor = topic.replication_factor;
            return Err(ApiError::new(
                ResponseError::InvalidReplicationFactor,
                format!(
                    "Unable to replicate the partition {factor} time(s): The target replication factor of {factor} \
                     cannot be reached because only 1 broker(s) are registered."
                ),
            ));
        }
        Ok(partitions)
    }

    fn check_partition_limit(&self, partitions: usize) -> Result<(), ApiError> {
        let present = self.topics.partition_count();
        if present + partitions <= MAX_PARTITIONS {
            return Ok(());
        }
        Err(ApiError::new(
            ResponseError::PolicyViolation,
            format!("This broker holds at most {MAX_PARTITIONS} partitions, and has {present} of them."),
        ))
    }

    /// `CreatePartitions`, versions 0 to 3.
    pub fn create_partitions(
        &mut self,
        request: CreatePartitionsRequest,
        context: &RequestContext<'_>,
    ) -> CreatePartitionsResponse {
        let duplicates = duplicate_names(request.topics.iter().map(|topic| &topic.name));
        let mut results = Vec::new();
        for topic in request.topics {
            if !duplicates.contains(&topic.name) {
                let result = self.grow(&topic, request.validate_only, context.now);
                results.push(grow_result(topic.name, result));
            }
        }
        let duplicate = ApiError::new(ResponseError::InvalidRequest, "Duplicate topic name.");
        results.extend(duplicates.into_iter().map(|name| grow_result(name, Err(duplicate.clone()))));
        CreatePartitionsResponse::default().with_results(results)
    }

    fn grow(&mut self, request: &CreatePartitionsTopic, validate_only: bool, now: i64) -> Result<(), ApiError> {
        let topic = self.topics.get(&request.name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let (id, had) = (topic.id, topic.logs.len());
        let invalid = |message| Err(ApiError::new(ResponseError::InvalidPartitions, message));
        let count = usize::try_from(request.count).unwrap_or_default();
        if count == had {
            return invalid(format!("Topic already has {had} partition(s)."));
        }
        if count < had {
            let name = request.name.as_str();
            return invalid(format!(
                "The topic {name} currently has {had} partition(s); {} would not be an increase.",
                request.count
            ));
        }
        let more = count - had;
        if let Some(assignments) = &request.assignments {
            if assignments.len() != more {
                return Err(ApiError::new(
                    ResponseError::InvalidReplicaAssignment,
                    format!(
                        "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
                        assignments.len()
                    ),
                ));
            }
            assignments.iter().try_for_each(|assignment| check_assignment(&assignment.broker_ids))?;
        }
        self.check_partition_limit(more)?;
        if validate_only { Ok(()) } else { Ok(self.grow_topic(id, count, now)?) }
    }
}

/// What a `CreateTopics` request has created so far.
#[derive(Debug, Default)]
struct Progress {
    names: BTreeSet<String>,
    /// Partitions of topics that were only validated.
    validated_partitions: usize,
}

struct Created {
    id: Uuid,
    partitions: usize,
    overrides: Overrides,
}

/// The names that a request has more than once.
fn duplicate_names<'a>(names: impl Iterator<Item = &'a TopicName>) -> BTreeSet<TopicName> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).cloned().collect()
}

/// The configs of a new topic. The last value of a key wins, as in Kafka.
fn overrides_of(topic: &CreatableTopic) -> Result<Overrides, ApiError> {
    let nulls: Vec<&str> =
        topic.configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str()).collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(ApiError::new(ResponseError::InvalidConfig, message));
    }
    let pairs = topic.configs.iter().filter_map(|config| Some((&config.name, config.value.as_ref()?)));
    Ok(pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

/// The number of partitions in a manual replica assignment.
fn assigned_partitions(topic: &CreatableTopic) -> Result<usize, ApiError> {
    let invalid_request = |what| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(ApiError::new(ResponseError::InvalidRequest, message))
    };
    if topic.replication_factor != -1 {
        return invalid_request("replication factor");
    }
    if topic.num_partitions != -1 {
        return invalid_request("numPartitions");
    }
    let invalid = |message: String| Err(ApiError::new(ResponseError::InvalidReplicaAssignment, message));
    let mut seen = BTreeSet::new();
    for CreatableReplicaAssignment { partition_index, broker_ids, .. } in &topic.assignments {
        if !seen.insert(*partition_index) {
            return invalid(format!("Found multiple manual partition assignments for partition {partition_index}"));
        }
        check_assignment(broker_ids)?;
    }
    let consecutive = seen.iter().copied().eq(0..index(seen.len()));
    if consecutive {
        Ok(seen.len())
    } else {
        invalid("partitions should be a consecutive 0-based integer sequence".to_owned())
    }
}

fn check_assignment(brokers: &[BrokerId]) -> Result<(), ApiError> {
    let message = match brokers {
        [only] if **only == NODE_ID => return Ok(()),
        [] => "an empty replica list.".to_owned(),
        _ => match brokers.iter().find(|broker| ***broker != NODE_ID) {
            Some(unknown) => format!("broker {}, but no such broker is registered.", **unknown),
            None => format!("the broker {NODE_ID} more than once."),
        },
    };
    let message = format!("The manual partition assignment includes {message}");
    Err(ApiError::new(ResponseError::InvalidReplicaAssignment, message))
}

fn created_result(name: TopicName, created: &Created, version: i16) -> CreatableTopicResult {
    let mut result = CreatableTopicResult::default().with_name(name).with_error_message(None);
    if version >= 5 {
        let configs = describe_configs::topic_configs(&created.overrides).map(|config| {
            CreatableTopicConfigs::default()
                .with_name(StrBytes::from_static_str(config.name))
                .with_value(Some(StrBytes::from_string(config.value)))
                .with_config_source(config.source.code())
        });
        result.num_partitions = index(created.partitions);
        result.replication_factor = REPLICATION_FACTOR;
        result.configs = Some(configs.collect());
    }
    if version >= 7 {
        result.topic_id = created.id;
    }
    result
}

fn not_created(name: TopicName, error: ApiError) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(error.error.code())
        .with_error_message(error.into_message())
}

fn grow_result(name: TopicName, result: Result<(), ApiError>) -> CreatePartitionsTopicResult {
    let response = CreatePartitionsTopicResult::default().with_name(name);
    match result {
        Ok(()) => response,
        Err(error) => response.with_error_code(error.error.code()).with_error_message(error.into_message()),
    }
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
