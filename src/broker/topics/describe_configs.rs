//! Config descriptions: `DescribeConfigs` for topics and for the broker.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use kafka_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use kafka_protocol::protocol::StrBytes;

use super::super::core::{Core, NODE_ID, Storage};
use super::super::response::RequestContext;
use super::configs::{CONFIG_DEFS, ConfigType};
use super::{ApiError, INVALID_REQUEST, Overrides, names};

/// Types of config resources, by their code in the protocol.
pub(super) mod resource {
    /// A topic.
    pub const TOPIC: i8 = 2;
    /// A broker, or all brokers if the name is empty.
    pub const BROKER: i8 = 4;
    /// A broker's log levels.
    pub const BROKER_LOGGER: i8 = 8;
    /// Client metrics subscriptions (KIP-714).
    pub const CLIENT_METRICS: i8 = 16;
    /// A consumer group (KIP-848).
    pub const GROUP: i8 = 32;

    /// Whether Kafka has this resource type.
    pub fn is_known(kind: i8) -> bool {
        matches!(kind, TOPIC | BROKER | BROKER_LOGGER | CLIENT_METRICS | GROUP)
    }
}

/// Where the value of a config comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigSource {
    /// Set for the topic.
    Topic,
    /// Set for the broker at its start.
    StaticBroker,
    /// The default.
    Default,
}

impl ConfigSource {
    /// The code in the protocol.
    pub fn code(self) -> i8 {
        match self {
            ConfigSource::Topic => 1,
            ConfigSource::StaticBroker => 4,
            ConfigSource::Default => 5,
        }
    }
}

/// A config as `DescribeConfigs` returns it.
pub(super) struct ConfigEntry {
    /// The key.
    pub name: &'static str,
    /// The effective value.
    pub value: String,
    /// The source of the value.
    pub source: ConfigSource,
    /// It cannot be changed.
    read_only: bool,
    kind: ConfigType,
    documentation: &'static str,
    /// All values of the config, the effective one first.
    synonyms: Vec<(&'static str, String, ConfigSource)>,
}

/// All configs of a topic with these overrides.
pub(super) fn topic_configs(overrides: &Overrides) -> impl Iterator<Item = ConfigEntry> {
    CONFIG_DEFS.iter().map(|config| {
        let set = overrides.get(config.name);
        let own = set.map(|value| (config.name, value.clone(), ConfigSource::Topic));
        let default = config.broker_name.map(|name| (name, config.default.to_owned(), ConfigSource::Default));
        ConfigEntry {
            name: config.name,
            value: set.map_or(config.default, String::as_str).to_owned(),
            source: if set.is_some() { ConfigSource::Topic } else { ConfigSource::Default },
            read_only: false,
            kind: config.kind,
            documentation: config.documentation,
            synonyms: own.into_iter().chain(default).collect(),
        }
    })
}

const ANY_INT: ConfigType = ConfigType::Int(i32::MIN, i32::MAX, None);
const ANY_LONG: ConfigType = ConfigType::Long(i64::MIN);
/// The list of values is used for validation only, and nothing validates these.
const ANY_STRING: ConfigType = ConfigType::OneOf(&[]);

impl Core {
    /// `DescribeConfigs`, versions 1 to 4.
    pub fn describe_configs(
        &mut self,
        request: DescribeConfigsRequest,
        _call: &RequestContext<'_>,
    ) -> DescribeConfigsResponse {
        let DescribeConfigsRequest { resources, include_synonyms, include_documentation, .. } = request;
        // As in Kafka, one resource of an unknown type invalidates the request.
        let is_invalid = resources.iter().any(|resource| !resource::is_known(resource.resource_type));
        let results = resources.iter().map(|resource| {
            let configs = if is_invalid {
                Err(ApiError::new(ResponseError::InvalidRequest, INVALID_REQUEST))
            } else {
                self.configs_of(resource)
            };
            let result = DescribeConfigsResult::default()
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name.clone());
            let configs = match configs {
                Ok(configs) => configs,
                Err(error) => {
                    // Kafka sends an empty message here where other APIs send none.
                    return result
                        .with_error_code(error.error.code())
                        .with_error_message(Some(error.into_message().unwrap_or_default()));
                }
            };
            let is_requested = |config: &ConfigEntry| match resource.configuration_keys.as_deref() {
                None | Some([]) => true,
                Some(keys) => keys.iter().any(|key| key.as_str() == config.name),
            };
            let shown = configs
                .into_iter()
                .filter(is_requested)
                .map(|config| describe_config(config, include_synonyms, include_documentation));
            result.with_configs(shown.collect())
        });
        let results = results.collect();
        DescribeConfigsResponse::default().with_results(results)
    }

    fn configs_of(&self, resource: &DescribeConfigsResource) -> Result<Vec<ConfigEntry>, ApiError> {
        let name = resource.resource_name.as_str();
        match resource.resource_type {
            resource::TOPIC => {
                if let Some(reason) = names::invalid_reason(name) {
                    return Err(ApiError::new(ResponseError::InvalidTopicException, reason));
                }
                let topic = self.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
                Ok(topic_configs(&topic.overrides).collect())
            }
            // Defaults for all brokers do not exist here.
            resource::BROKER if name.is_empty() => Ok(Vec::new()),
            resource::BROKER => match name.parse() {
                Ok(NODE_ID) => Ok(self.broker_configs()),
                Ok(other) => Err(ApiError::new(
                    ResponseError::InvalidRequest,
                    format!("Unexpected broker id, expected {NODE_ID} or empty string, but received {other}"),
                )),
                Err(_) => Err(ApiError::new(
                    ResponseError::InvalidRequest,
                    format!("Broker id must be an integer, but it is: {name}"),
                )),
            },
            // The other resource types have no configs here.
            _ => Ok(Vec::new()),
        }
    }

    /// The broker configs of Kafka that have a meaning here.
    fn broker_configs(&self) -> Vec<ConfigEntry> {
        let settings = &self.settings;
        let (host, port) = &settings.advertised;
        let listener = format!("PLAINTEXT://{host}:{port}");
        let node = NODE_ID.to_string();
        let flush = if settings.fsync { 1 } else { i64::MAX };
        let retention = settings.log_retention_check_interval_ms;
        let mut shown = vec![
            property("advertised.listeners", ANY_STRING, &listener, None),
            property("auto.create.topics.enable", ConfigType::Boolean, &settings.auto_create_topics, Some("true")),
            property("broker.id", ANY_INT, &node, Some("-1")),
            property("default.replication.factor", ANY_INT, &1, Some("1")),
            property("delete.topic.enable", ConfigType::Boolean, &true, Some("true")),
            property(
                "group.initial.rebalance.delay.ms",
                ANY_INT,
                &settings.group_initial_rebalance_delay_ms,
                Some("3000"),
            ),
            property("group.max.session.timeout.ms", ANY_INT, &settings.group_max_session_timeout_ms, Some("1800000")),
            property("group.min.session.timeout.ms", ANY_INT, &settings.group_min_session_timeout_ms, Some("6000")),
            property("log.cleaner.backoff.ms", ANY_LONG, &settings.log_cleaner_backoff_ms, Some("15000")),
            property("log.flush.interval.messages", ANY_LONG, &flush, Some("9223372036854775807")),
            property("log.retention.check.interval.ms", ANY_LONG, &retention, Some("300000")),
            property("node.id", ANY_INT, &node, None),
            property("num.partitions", ANY_INT, &settings.num_partitions, Some("1")),
            property("offset.metadata.max.bytes", ANY_INT, &settings.offset_metadata_max_bytes, Some("4096")),
            property("transaction.max.timeout.ms", ANY_INT, &settings.transaction_max_timeout_ms, Some("900000")),
        ];
        if let Storage::Directory(folder) = &self.storage {
            shown.push(property("log.dirs", ANY_STRING, &folder.path().display(), None));
        }
        // The defaults of topic configs, under their names as broker configs.
        let defaults = CONFIG_DEFS.iter().filter_map(|config| Some((config.broker_name?, config)));
        shown.extend(defaults.map(|(name, config)| ConfigEntry {
            documentation: config.documentation,
            ..property(name, config.kind, &config.default, Some(config.default))
        }));
        shown.sort_by_key(|config| config.name);
        shown.dedup_by_key(|config| config.name);
        shown
    }
}

/// A broker config with its value and its default, if it has one. Broker configs are read-only.
fn property(name: &'static str, kind: ConfigType, value: &dyn ToString, default: Option<&str>) -> ConfigEntry {
    let value = value.to_string();
    let default = default.map(|default| (name, default.to_owned(), ConfigSource::Default));
    let is_default = default.as_ref().is_some_and(|(_, default, _)| *default == value);
    let source = if is_default { ConfigSource::Default } else { ConfigSource::StaticBroker };
    let own = (!is_default).then(|| (name, value.clone(), ConfigSource::StaticBroker));
    ConfigEntry {
        name,
        value,
        source,
        read_only: true,
        kind,
        documentation: "",
        synonyms: own.into_iter().chain(default).collect(),
    }
}

fn describe_config(config: ConfigEntry, synonyms: bool, documentation: bool) -> DescribeConfigsResourceResult {
    let synonyms = config.synonyms.into_iter().filter(|_| synonyms).map(|(name, value, source)| {
        DescribeConfigsSynonym::default()
            .with_name(StrBytes::from_static_str(name))
            .with_value(Some(StrBytes::from_string(value)))
            .with_source(source.code())
    });
    DescribeConfigsResourceResult::default()
        .with_name(StrBytes::from_static_str(config.name))
        .with_value(Some(StrBytes::from_string(config.value)))
        .with_read_only(config.read_only)
        .with_config_source(config.source.code())
        .with_synonyms(synonyms.collect())
        .with_config_type(config.kind.code())
        .with_documentation(documentation.then(|| StrBytes::from_static_str(config.documentation)))
}

#[cfg(test)]
#[path = "describe_configs_tests.rs"]
mod tests;
