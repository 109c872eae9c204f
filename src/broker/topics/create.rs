//! Owns how topics and partitions come to be asked for: `CreateTopics` and `CreatePartitions`.

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

/// The only replication factor that one node can give.
const REPLICATION_FACTOR: i16 = 1;

impl Core {
    /// `CreateTopics`, versions 2 to 7.
    pub fn create_topics(
        &mut self,
        request: CreateTopicsRequest,
        context: &RequestContext<'_>,
    ) -> CreateTopicsResponse {
        let mut topics = Vec::new();
        if self.too_many_at_once(&request.topics) {
            let refusal =
                ApiError::new(ResponseError::PolicyViolation, "Excessively large number of partitions per request.");
            let refused = request.topics.into_iter().map(|topic| not_created(topic.name, refusal.clone()));
            return CreateTopicsResponse::default().with_topics(refused.collect());
        }
        let twice = named_twice(request.topics.iter().map(|topic| &topic.name));
        let mut batch = Batch::default();
        for topic in request.topics {
            if twice.contains(&topic.name) {
                continue;
            }
            let name = topic.name.clone();
            let result = self.create_topic(&topic, request.validate_only, &mut batch, context.now);
            topics.push(match result {
                Ok(created) => created_result(name, &created, context.version),
                Err(refusal) => not_created(name, refusal),
            });
        }
        topics.extend(
            twice
                .into_iter()
                .map(|name| not_created(name, ApiError::new(ResponseError::InvalidRequest, "Duplicate topic name."))),
        );
        CreateTopicsResponse::default().with_topics(topics)
    }

    fn too_many_at_once(&self, topics: &[CreatableTopic]) -> bool {
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
        batch: &mut Batch,
        now: i64,
    ) -> Result<Created, ApiError> {
        let name = topic.name.as_str();
        self.may_be_named(name, batch)?;
        let overrides = overrides_of(topic)?;
        configs::validate(&overrides).map_err(|why| ApiError::new(ResponseError::InvalidConfig, why))?;
        let partitions = self.partitions_of(topic)?;
        self.room_for(partitions + batch.only_validated)?;
        let id = if validate_only {
            batch.only_validated += partitions;
            // Kafka tells one, too.
            new_id()
        } else {
            self.make_topic(name, partitions, overrides.clone(), now)?
        };
        batch.names.insert(name.to_owned());
        Ok(Created { id, partitions, overrides })
    }

    fn may_be_named(&self, name: &str, batch: &Batch) -> Result<(), ApiError> {
        if let Some(why) = names::refusal(name) {
            return Err(ApiError::new(ResponseError::InvalidTopicException, why));
        }
        if name == names::METADATA_TOPIC {
            let why = format!("Creation of internal topic {name} is prohibited.");
            return Err(ApiError::new(ResponseError::InvalidRequest, why));
        }
        if self.topics.get(name).is_some() {
            return Err(ApiError::new(ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists.")));
        }
        // Kafka compares with the topics that were there before the request only.
        let collides = |other: &&Topic| names::collide(&other.name, name) && !batch.names.contains(&other.name);
        match self.topics.iter().find(collides) {
            None => Ok(()),
            Some(other) => {
                let why = format!("Topic '{name}' collides with existing topic: {}", other.name);
                Err(ApiError::new(ResponseError::InvalidTopicException, why))
            }
        }
    }

    /// How many partitions a topic gets, as its request is about numbers or about replicas.
    fn partitions_of(&self, topic: &CreatableTopic) -> Result<usize, ApiError> {
        if !topic.assignments.is_empty() {
            return assigned(topic);
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

    fn room_for(&self, partitions: usize) -> Result<(), ApiError> {
        let there = self.topics.partitions();
        if there + partitions <= MAX_PARTITIONS {
            return Ok(());
        }
        Err(ApiError::new(
            ResponseError::PolicyViolation,
            format!("This broker holds at most {MAX_PARTITIONS} partitions, and has {there} of them."),
        ))
    }

    /// `CreatePartitions`, versions 0 to 3.
    pub fn create_partitions(
        &mut self,
        request: CreatePartitionsRequest,
        context: &RequestContext<'_>,
    ) -> CreatePartitionsResponse {
        let twice = named_twice(request.topics.iter().map(|topic| &topic.name));
        let mut results = Vec::new();
        for topic in request.topics {
            if !twice.contains(&topic.name) {
                let done = self.grow(&topic, request.validate_only, context.now);
                results.push(grown(topic.name, done));
            }
        }
        let duplicate = ApiError::new(ResponseError::InvalidRequest, "Duplicate topic name.");
        results.extend(twice.into_iter().map(|name| grown(name, Err(duplicate.clone()))));
        CreatePartitionsResponse::default().with_results(results)
    }

    fn grow(&mut self, asked: &CreatePartitionsTopic, validate_only: bool, now: i64) -> Result<(), ApiError> {
        let topic = self.topics.get(&asked.name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let (id, had) = (topic.id, topic.logs.len());
        let invalid = |why| Err(ApiError::new(ResponseError::InvalidPartitions, why));
        let count = usize::try_from(asked.count).unwrap_or_default();
        if count == had {
            return invalid(format!("Topic already has {had} partition(s)."));
        }
        if count < had {
            let name = asked.name.as_str();
            return invalid(format!(
                "The topic {name} currently has {had} partition(s); {} would not be an increase.",
                asked.count
            ));
        }
        let more = count - had;
        if let Some(assignments) = &asked.assignments {
            if assignments.len() != more {
                return Err(ApiError::new(
                    ResponseError::InvalidReplicaAssignment,
                    format!(
                        "Attempted to add {more} additional partition(s), but only {} assignment(s) were specified.",
                        assignments.len()
                    ),
                ));
            }
            assignments.iter().try_for_each(|assignment| can_be_assigned(&assignment.broker_ids))?;
        }
        self.room_for(more)?;
        if validate_only { Ok(()) } else { Ok(self.grow_topic(id, count, now)?) }
    }
}

/// What a request has made so far.
#[derive(Debug, Default)]
struct Batch {
    names: BTreeSet<String>,
    /// Partitions that it would have made if it did not only ask.
    only_validated: usize,
}

struct Created {
    id: Uuid,
    partitions: usize,
    overrides: Overrides,
}

/// Names that a request has more than once.
fn named_twice<'a>(names: impl Iterator<Item = &'a TopicName>) -> BTreeSet<TopicName> {
    let mut once = BTreeSet::new();
    names.filter(|name| !once.insert(*name)).cloned().collect()
}

/// The last value of a key holds, as in Kafka.
fn overrides_of(topic: &CreatableTopic) -> Result<Overrides, ApiError> {
    let nulls: Vec<&str> =
        topic.configs.iter().filter(|config| config.value.is_none()).map(|config| config.name.as_str()).collect();
    if !nulls.is_empty() {
        let why = format!("Null value not supported for topic configs: {}", nulls.join(","));
        return Err(ApiError::new(ResponseError::InvalidConfig, why));
    }
    let pairs = topic.configs.iter().filter_map(|config| Some((&config.name, config.value.as_ref()?)));
    Ok(pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect())
}

/// The partitions of a request that says itself where they go.
fn assigned(topic: &CreatableTopic) -> Result<usize, ApiError> {
    let request = |what| {
        let why = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(ApiError::new(ResponseError::InvalidRequest, why))
    };
    if topic.replication_factor != -1 {
        return request("replication factor");
    }
    if topic.num_partitions != -1 {
        return request("numPartitions");
    }
    let invalid = |why: String| Err(ApiError::new(ResponseError::InvalidReplicaAssignment, why));
    let mut seen = BTreeSet::new();
    for CreatableReplicaAssignment { partition_index, broker_ids, .. } in &topic.assignments {
        if !seen.insert(*partition_index) {
            return invalid(format!("Found multiple manual partition assignments for partition {partition_index}"));
        }
        can_be_assigned(broker_ids)?;
    }
    let consecutive = seen.iter().copied().eq(0..index(seen.len()));
    if consecutive {
        Ok(seen.len())
    } else {
        invalid("partitions should be a consecutive 0-based integer sequence".to_owned())
    }
}

fn can_be_assigned(brokers: &[BrokerId]) -> Result<(), ApiError> {
    let why = match brokers {
        [only] if **only == NODE_ID => return Ok(()),
        [] => "an empty replica list.".to_owned(),
        _ => match brokers.iter().find(|broker| ***broker != NODE_ID) {
            Some(stranger) => format!("broker {}, but no such broker is registered.", **stranger),
            None => format!("the broker {NODE_ID} more than once."),
        },
    };
    let why = format!("The manual partition assignment includes {why}");
    Err(ApiError::new(ResponseError::InvalidReplicaAssignment, why))
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

fn not_created(name: TopicName, refusal: ApiError) -> CreatableTopicResult {
    CreatableTopicResult::default()
        .with_name(name)
        .with_error_code(refusal.error.code())
        .with_error_message(refusal.text())
}

fn grown(name: TopicName, done: Result<(), ApiError>) -> CreatePartitionsTopicResult {
    let result = CreatePartitionsTopicResult::default().with_name(name);
    match done {
        Ok(()) => result,
        Err(refusal) => result.with_error_code(refusal.error.code()).with_error_message(refusal.text()),
    }
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
