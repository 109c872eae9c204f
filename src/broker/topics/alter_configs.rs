//! Config changes: `AlterConfigs`, which replaces all configs of a topic, and `IncrementalAlterConfigs` (KIP-339).

use std::collections::{BTreeMap, BTreeSet};

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
    alter_configs_response, incremental_alter_configs_response,
};
use kafka_protocol::protocol::StrBytes;

use super::super::core::{Core, NODE_ID};
use super::super::response::RequestContext;
use super::describe_configs::resource;
use super::{ApiError, Overrides, configs, names};

/// A change of one config.
struct ConfigChange<'a> {
    name: &'a StrBytes,
    value: Option<&'a StrBytes>,
    operation: i8,
}

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The configs that the changes apply to: the present ones, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Base {
    Present,
    Empty,
}

impl Core {
    /// `IncrementalAlterConfigs`, versions 0 and 1.
    pub fn incremental_alter_configs(
        &mut self,
        request: IncrementalAlterConfigsRequest,
        context: &RequestContext<'_>,
    ) -> IncrementalAlterConfigsResponse {
        let duplicates = duplicate_resources(
            request.resources.iter().map(|resource| (resource.resource_type, &resource.resource_name)),
        );
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let changes: Vec<ConfigChange<'_>> = resource
                .configs
                .iter()
                .map(|config| ConfigChange {
                    name: &config.name,
                    value: config.value.as_ref(),
                    operation: config.config_operation,
                })
                .collect();
            let key = (resource.resource_type, &resource.resource_name);
            let result = self.alter_once(&duplicates, key, &changes, Base::Present, request.validate_only, context.now);
            let (error_code, error_message) = code_and_message(result);
            responses.push(
                incremental_alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_error_code(error_code)
                    .with_error_message(error_message)
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name),
            );
        }
        IncrementalAlterConfigsResponse::default().with_responses(responses)
    }

    /// `AlterConfigs`, versions 0 to 2.
    pub fn alter_configs(
        &mut self,
        request: AlterConfigsRequest,
        context: &RequestContext<'_>,
    ) -> AlterConfigsResponse {
        let duplicates = duplicate_resources(
            request.resources.iter().map(|resource| (resource.resource_type, &resource.resource_name)),
        );
        let mut responses = Vec::with_capacity(request.resources.len());
        for resource in request.resources {
            let changes: Vec<ConfigChange<'_>> = resource
                .configs
                .iter()
                .map(|config| ConfigChange { name: &config.name, value: config.value.as_ref(), operation: SET })
                .collect();
            let key = (resource.resource_type, &resource.resource_name);
            let result = self.alter_once(&duplicates, key, &changes, Base::Empty, request.validate_only, context.now);
            let (error_code, error_message) = code_and_message(result);
            responses.push(
                alter_configs_response::AlterConfigsResourceResponse::default()
                    .with_error_code(error_code)
                    .with_error_message(error_message)
                    .with_resource_type(resource.resource_type)
                    .with_resource_name(resource.resource_name),
            );
        }
        AlterConfigsResponse::default().with_responses(responses)
    }

    fn alter_once(
        &mut self,
        duplicates: &BTreeSet<(i8, StrBytes)>,
        (kind, name): (i8, &StrBytes),
        changes: &[ConfigChange<'_>],
        base: Base,
        validate_only: bool,
        now: i64,
    ) -> Result<(), ApiError> {
        if duplicates.contains(&(kind, name.clone())) {
            return Err(ApiError::new(ResponseError::InvalidRequest, "Each resource must appear at most once."));
        }
        self.alter((kind, name), changes, base, validate_only, now)
    }

    fn alter(
        &mut self,
        (kind, name): (i8, &str),
        changes: &[ConfigChange<'_>],
        base: Base,
        validate_only: bool,
        now: i64,
    ) -> Result<(), ApiError> {
        check_changes(changes)?;
        match kind {
            resource::TOPIC => {}
            resource::BROKER => return alter_broker(name, changes),
            _ if resource::is_known(kind) => {
                return Err(ApiError::new(ResponseError::InvalidRequest, "This broker has no such configs."));
            }
            _ => return Err(ApiError::new(ResponseError::InvalidRequest, format!("Unknown resource type {kind}"))),
        }
        if name.is_empty() {
            return Err(ApiError::new(ResponseError::InvalidRequest, "Default topic resources are not allowed."));
        }
        if let Some(reason) = names::invalid_reason(name) {
            return Err(ApiError::new(ResponseError::InvalidTopicException, reason));
        }
        let topic = self.topics.get(name);
        let present = topic.filter(|_| base == Base::Present).map(|topic| topic.overrides.clone()).unwrap_or_default();
        let overrides = changed(present, changes)?;
        configs::validate(&overrides).map_err(|reason| ApiError::new(ResponseError::InvalidConfig, reason))?;
        // Kafka validates the configs first.
        let Some(topic) = topic else {
            let message = format!("The topic '{name}' does not exist.");
            return Err(ApiError::new(ResponseError::UnknownTopicOrPartition, message));
        };
        let id = topic.id;
        if validate_only || topic.overrides == overrides {
            return Ok(());
        }
        Ok(self.configure_topic(id, overrides, now)?)
    }
}

/// Checks the changes without regard to the resource.
fn check_changes(changes: &[ConfigChange<'_>]) -> Result<(), ApiError> {
    let nulls: Vec<&str> = changes
        .iter()
        .filter(|change| change.operation != DELETE && change.value.is_none())
        .map(|change| change.name.as_str())
        .collect();
    if !nulls.is_empty() {
        let message = format!("Null value not supported for : {}", nulls.join(","));
        return Err(ApiError::new(ResponseError::InvalidRequest, message));
    }
    let mut names = BTreeSet::new();
    if changes.iter().all(|change| names.insert(change.name)) {
        Ok(())
    } else {
        Err(ApiError::new(ResponseError::InvalidRequest, "Error due to duplicate config keys"))
    }
}

/// Rejects all changes: the broker's configs are read-only.
fn alter_broker(name: &str, changes: &[ConfigChange<'_>]) -> Result<(), ApiError> {
    let invalid = |message| Err(ApiError::new(ResponseError::InvalidRequest, message));
    match name.parse::<i32>() {
        Err(_) if !name.is_empty() => return invalid(format!("Node id must be an integer, but it is: {name}")),
        Ok(id) if id != NODE_ID => {
            return invalid(format!("Unexpected broker id, expected {NODE_ID}, but received {id}"));
        }
        _ => {}
    }
    if changes.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = changes.iter().map(|change| change.name.as_str()).collect();
    invalid(format!("Cannot update these configs dynamically: Set({})", names.join(", ")))
}

/// The overrides after the changes.
fn changed(mut overrides: Overrides, changes: &[ConfigChange<'_>]) -> Result<Overrides, ApiError> {
    for ConfigChange { name, value, operation } in changes {
        let name = name.as_str();
        let value = value.map(StrBytes::as_str).unwrap_or_default();
        match *operation {
            SET => {
                overrides.insert(name.to_owned(), value.to_owned());
            }
            DELETE => {
                overrides.remove(name);
            }
            operation @ (APPEND | SUBTRACT) => {
                let config = configs::find(name);
                let Some(config) = config.filter(|config| config.kind.is_list()) else {
                    let what = if operation == APPEND { "APPEND" } else { "SUBTRACT" };
                    let message = format!("Can't {what} to key {name} because its type is not LIST.");
                    return Err(ApiError::new(ResponseError::InvalidConfig, message));
                };
                let present = overrides.get(name).map_or(config.default, String::as_str);
                let mut parts: Vec<&str> = present.split(',').filter(|part| !part.is_empty()).collect();
                for part in value.split(',') {
                    if operation == SUBTRACT {
                        parts.retain(|present| *present != part);
                    } else if !parts.contains(&part) {
                        parts.push(part);
                    }
                }
                let joined = parts.join(",");
                overrides.insert(name.to_owned(), joined);
            }
            // Kafka fails with an exception here.
            _ => return Err(ResponseError::UnknownServerError.into()),
        }
    }
    Ok(overrides)
}

/// The resources that a request names more than once.
fn duplicate_resources<'a>(resources: impl Iterator<Item = (i8, &'a StrBytes)>) -> BTreeSet<(i8, StrBytes)> {
    let mut seen = BTreeMap::new();
    for (kind, name) in resources {
        *seen.entry((kind, name.clone())).or_insert(0) += 1;
    }
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(resource, _)| resource).collect()
}

fn code_and_message(result: Result<(), ApiError>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(()) => (0, None),
        Err(error) => (error.error.code(), error.into_message()),
    }
}

#[cfg(test)]
#[path = "alter_configs_tests.rs"]
mod tests;
