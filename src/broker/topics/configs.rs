//! Topic configs: the keys, types, ranges and defaults of Kafka 4.1, and the log settings that they result in.
//!
//! The broker accepts, stores and describes every key of Kafka. Some have no effect on a single node without tiered
//! storage that does not recompress batches; their documentation says so, and `DescribeConfigs` returns it.

use std::collections::BTreeMap;

use super::super::log::LogSettings;

/// The configs that were set for a topic, by key.
pub type Overrides = BTreeMap<String, String>;

/// Definition of a topic config.
#[derive(Debug)]
pub struct ConfigDef {
    /// The key.
    pub name: &'static str,
    /// The type of its values.
    pub kind: ConfigType,
    /// The default value.
    pub default: &'static str,
    /// The broker config that provides the default in Kafka, if `DescribeConfigs` shows one as a synonym.
    pub broker_name: Option<&'static str>,
    /// The documentation that `DescribeConfigs` returns: one sentence.
    pub documentation: &'static str,
}

/// Type and range of a config.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// A 32-bit number in a range, or one special number outside of it.
    Int(i32, i32, Option<i32>),
    /// A 64-bit number with a minimum.
    Long(i64),
    /// A number in a range.
    Double(f64, f64),
    /// One of these values.
    OneOf(&'static [&'static str]),
    /// A list of these values.
    AnyOf(&'static [&'static str]),
    /// A list of replicas as `partition:broker`, or `*`.
    Replicas,
}

impl ConfigType {
    /// The type code in `DescribeConfigs` (KIP-569).
    pub fn code(self) -> i8 {
        match self {
            ConfigType::Boolean => 1,
            ConfigType::OneOf(_) => 2,
            ConfigType::Int(..) => 3,
            ConfigType::Long(_) => 5,
            ConfigType::Double(..) => 6,
            ConfigType::AnyOf(_) | ConfigType::Replicas => 7,
        }
    }

    /// Whether `IncrementalAlterConfigs` can append and subtract values.
    pub fn is_list(self) -> bool {
        matches!(self, ConfigType::AnyOf(_) | ConfigType::Replicas)
    }

    /// Kafka's message if a value is invalid.
    fn invalid_reason(self, name: &str, value: &str) -> Option<String> {
        let value = value.trim();
        let invalid =
            |shown: &str, reason: &str| Some(format!("Invalid value {shown} for configuration {name}: {reason}"));
        match self {
            ConfigType::Boolean if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => None,
            ConfigType::Boolean => invalid(value, "Expected value to be either true or false"),
            ConfigType::Int(min, max, or) => match value.parse::<i32>() {
                Err(_) => invalid(value, "Not a number of type INT"),
                Ok(number) if (min..=max).contains(&number) || or == Some(number) => None,
                Ok(number) => match or {
                    Some(or) => {
                        invalid(&number.to_string(), &format!("Value must be between {min} and {max} or equal to {or}"))
                    }
                    None => invalid(&number.to_string(), &out_of_range(number < min, &min, &max)),
                },
            },
            ConfigType::Long(min) => match value.parse::<i64>() {
                Err(_) => invalid(value, "Not a number of type LONG"),
                Ok(number) if number < min => invalid(&number.to_string(), &out_of_range(true, &min, &i64::MAX)),
                Ok(_) => None,
            },
            ConfigType::Double(min, max) => match value.parse::<f64>() {
                Err(_) => invalid(value, "Not a number of type DOUBLE"),
                Ok(number) if number < min || number > max => {
                    invalid(&format!("{number:?}"), &out_of_range(number < min, &min, &max))
                }
                Ok(_) => None,
            },
            ConfigType::OneOf(values) => {
                if values.contains(&value) {
                    None
                } else {
                    invalid(value, &format!("String must be one of: {}", values.join(", ")))
                }
            }
            ConfigType::AnyOf(values) => parts(value)
                .find(|part| !values.contains(part))
                .and_then(|part| invalid(part, &format!("String must be one of: {}", values.join(", ")))),
            ConfigType::Replicas => {
                let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let is_replica = |part: &str| part.split_once(':').is_some_and(|(a, b)| is_number(a) && is_number(b));
                if value == "*" || parts(value).all(is_replica) {
                    return None;
                }
                let shown = format!("[{}]", parts(value).collect::<Vec<_>>().join(", "));
                invalid(
                    &shown,
                    &format!(
                        "{name} must be the literal '*' or a list of replicas in the following format: \
                         [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                    ),
                )
            }
        }
    }
}

fn out_of_range(below: bool, min: &dyn std::fmt::Display, max: &dyn std::fmt::Display) -> String {
    if below { format!("Value must be at least {min}") } else { format!("Value must be no more than {max}") }
}

/// The values of a list.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(move |_| !value.trim().is_empty())
}

const FOREVER: &str = "9223372036854775807";
const NO_EFFECT_TIERS: &str = "Tiered storage; without effect here.";
const NO_EFFECT_THROTTLE: &str = "Throttles replication; without effect on a single node.";
const NO_EFFECT_FLUSH: &str = "Without effect: whether appends are flushed to the disk is a setting of the broker.";
const NO_EFFECT_RECOMPRESSION: &str = "Without effect: batches are kept as the producer compressed them.";

const fn define(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    broker_name: Option<&'static str>,
    documentation: &'static str,
) -> ConfigDef {
    ConfigDef { name, kind, default, broker_name, documentation }
}

/// All topic configs, sorted by name.
#[rustfmt::skip]
pub static CONFIG_DEFS: [ConfigDef; 33] = [
    define("cleanup.policy", ConfigType::AnyOf(&["compact", "delete"]), "delete", Some("log.cleanup.policy"),
        "What becomes of old segments: delete drops them by age and size, compact keeps the last record of each key; both may be given."),
    define("compression.gzip.level", ConfigType::Int(1, 9, Some(-1)), "-1", Some("compression.gzip.level"), NO_EFFECT_RECOMPRESSION),
    define("compression.lz4.level", ConfigType::Int(1, 17, None), "9", Some("compression.lz4.level"), NO_EFFECT_RECOMPRESSION),
    define("compression.type", ConfigType::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "producer", Some("compression.type"), NO_EFFECT_RECOMPRESSION),
    define("compression.zstd.level", ConfigType::Int(-131_072, 22, None), "3", Some("compression.zstd.level"), NO_EFFECT_RECOMPRESSION),
    define("delete.retention.ms", ConfigType::Long(0), "86400000", Some("log.cleaner.delete.retention.ms"),
        "How long compaction keeps the tombstone of a deleted key."),
    define("file.delete.delay.ms", ConfigType::Long(0), "60000", Some("log.segment.delete.delay.ms"), "Without effect: files are removed at once, and readers keep what they have opened."),
    define("flush.messages", ConfigType::Long(1), FOREVER, Some("log.flush.interval.messages"), NO_EFFECT_FLUSH),
    define("flush.ms", ConfigType::Long(0), FOREVER, None, NO_EFFECT_FLUSH),
    define("follower.replication.throttled.replicas", ConfigType::Replicas, "", None, NO_EFFECT_THROTTLE),
    define("index.interval.bytes", ConfigType::Int(0, i32::MAX, None), "4096", Some("log.index.interval.bytes"), "Without effect: the density of the indexes is not configurable."),
    define("leader.replication.throttled.replicas", ConfigType::Replicas, "", None, NO_EFFECT_THROTTLE),
    define("local.retention.bytes", ConfigType::Long(-2), "-2", Some("log.local.retention.bytes"), NO_EFFECT_TIERS),
    define("local.retention.ms", ConfigType::Long(-2), "-2", Some("log.local.retention.ms"), NO_EFFECT_TIERS),
    define("max.compaction.lag.ms", ConfigType::Long(1), FOREVER, Some("log.cleaner.max.compaction.lag.ms"), "Without effect: compaction goes by the share of dirty bytes."),
    define("max.message.bytes", ConfigType::Int(0, i32::MAX, None), "1048588", Some("message.max.bytes"), "The largest batch that is taken, as compressed."),
    define("message.timestamp.after.max.ms", ConfigType::Long(0), "3600000", Some("log.message.timestamp.after.max.ms"),
        "How far a record's timestamp may lie ahead of the broker's clock."),
    define("message.timestamp.before.max.ms", ConfigType::Long(0), FOREVER, Some("log.message.timestamp.before.max.ms"),
        "How far a record's timestamp may lie behind the broker's clock."),
    define("message.timestamp.type", ConfigType::OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime", Some("log.message.timestamp.type"),
        "Whether a record's timestamp is the producer's or the time of the append."),
    define("min.cleanable.dirty.ratio", ConfigType::Double(0.0, 1.0), "0.5", Some("log.cleaner.min.cleanable.ratio"),
        "The share of the log that must be dirty before it is compacted."),
    define("min.compaction.lag.ms", ConfigType::Long(0), "0", Some("log.cleaner.min.compaction.lag.ms"), "How long a record is safe from compaction."),
    define("min.insync.replicas", ConfigType::Int(1, i32::MAX, None), "1", Some("min.insync.replicas"), "Without effect: there is one replica, and Kafka asks for no more than there are."),
    define("preallocate", ConfigType::Boolean, "false", Some("log.preallocate"), "Without effect: files grow as they are written."),
    define("remote.log.copy.disable", ConfigType::Boolean, "false", None, NO_EFFECT_TIERS),
    define("remote.log.delete.on.disable", ConfigType::Boolean, "false", None, NO_EFFECT_TIERS),
    define("remote.storage.enable", ConfigType::Boolean, "false", None, NO_EFFECT_TIERS),
    define("retention.bytes", ConfigType::Long(i64::MIN), "-1", Some("log.retention.bytes"), "The size of a partition above which its oldest segments are dropped; -1 for no limit."),
    define("retention.ms", ConfigType::Long(-1), "604800000", None, "The age at which segments are dropped; -1 for no limit."),
    define("segment.bytes", ConfigType::Int(1_048_576, i32::MAX, None), "1073741824", Some("log.segment.bytes"), "The size at which a segment is closed and the next one begun."),
    define("segment.index.bytes", ConfigType::Int(4, i32::MAX, None), "10485760", Some("log.index.size.max.bytes"), "Without effect: the indexes grow as needed."),
    define("segment.jitter.ms", ConfigType::Long(0), "0", None, "Without effect: segments are closed when they are due."),
    define("segment.ms", ConfigType::Long(1), "604800000", None, "The age at which a segment is closed and the next one begun."),
    define("unclean.leader.election.enable", ConfigType::Boolean, "false", Some("unclean.leader.election.enable"), "Without effect on a single node."),
];

/// Kafka accepts this key but does not describe it: `segment.bytes` without its minimum, for tests.
static INTERNAL_SEGMENT_BYTES: ConfigDef =
    define("internal.segment.bytes", ConfigType::Int(1, i32::MAX, None), "1073741824", None, "For tests.");

/// The definition of a key.
pub fn find(name: &str) -> Option<&'static ConfigDef> {
    CONFIG_DEFS.iter().chain([&INTERNAL_SEGMENT_BYTES]).find(|config| config.name == name)
}

/// Validates the overrides of a topic.
///
/// # Errors
///
/// Kafka's message for `INVALID_CONFIG`.
pub fn validate(overrides: &Overrides) -> Result<(), String> {
    if let Some(name) = overrides.keys().find(|name| find(name).is_none()) {
        return Err(format!("Unknown topic config name: {name}"));
    }
    for (name, value) in overrides {
        if let Some(reason) = find(name).and_then(|config| config.kind.invalid_reason(name, value)) {
            return Err(reason);
        }
    }
    let (min, max) = (number(overrides, "min.compaction.lag.ms"), number(overrides, "max.compaction.lag.ms"));
    if min > max {
        return Err(format!(
            "conflict topic config setting min.compaction.lag.ms ({min}) > max.compaction.lag.ms ({max})"
        ));
    }
    if value(overrides, "remote.storage.enable").eq_ignore_ascii_case("true") {
        return Err("Tiered Storage functionality is disabled in the broker. \
                    Topic cannot be configured with remote log storage."
            .to_owned());
    }
    Ok(())
}

/// The value of a config with these overrides.
fn value<'a>(overrides: &'a Overrides, name: &str) -> &'a str {
    overrides.get(name).map_or_else(|| find(name).map_or("", |config| config.default), |value| value.trim())
}

fn number(overrides: &Overrides, name: &str) -> i64 {
    value(overrides, name)
        .parse()
        .or_else(|_| find(name).map_or("", |config| config.default).parse())
        .expect("defaults are valid")
}

/// Whether `cleanup.policy` contains this policy.
pub fn has_policy(overrides: &Overrides, policy: &str) -> bool {
    parts(value(overrides, "cleanup.policy")).any(|part| part == policy)
}

/// The log settings of a topic with these overrides.
pub fn log_settings(overrides: &Overrides) -> LogSettings {
    let number = |name| number(overrides, name);
    // `internal.segment.bytes` takes precedence, as in Kafka.
    let segment_bytes = if overrides.contains_key(INTERNAL_SEGMENT_BYTES.name) {
        number(INTERNAL_SEGMENT_BYTES.name)
    } else {
        number("segment.bytes")
    };
    LogSettings {
        segment_bytes: segment_bytes.unsigned_abs(),
        segment_ms: number("segment.ms"),
        retention_ms: Some(number("retention.ms")).filter(|limit| *limit >= 0),
        retention_bytes: u64::try_from(number("retention.bytes")).ok(),
        delete: has_policy(overrides, "delete"),
        compact: has_policy(overrides, "compact"),
        delete_retention_ms: number("delete.retention.ms"),
        min_cleanable_dirty_ratio: value(overrides, "min.cleanable.dirty.ratio").parse().unwrap_or(0.5),
        min_compaction_lag_ms: number("min.compaction.lag.ms"),
        max_message_bytes: u32::try_from(number("max.message.bytes")).unwrap_or(u32::MAX),
        log_append_time: value(overrides, "message.timestamp.type") == "LogAppendTime",
        timestamp_before_max_ms: number("message.timestamp.before.max.ms"),
        timestamp_after_max_ms: number("message.timestamp.after.max.ms"),
    }
}

#[cfg(test)]
#[path = "configs_tests.rs"]
mod tests;
