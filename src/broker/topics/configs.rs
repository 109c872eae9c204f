//! Owns the configs that a topic may have: Kafka 4.1's keys, types, ranges and defaults, and what they mean to its logs.
//!
//! Every key of Kafka's is taken, kept and shown. A single node without tiers that stores batches as they came has nothing to do for some
//! of them; their documentation says so, and describing a topic shows it.

use std::collections::BTreeMap;

use super::super::log::LogSettings;

/// What was set for a topic, by key.
pub type Overrides = BTreeMap<String, String>;

/// One config of the table.
#[derive(Debug)]
pub struct ConfigDef {
    /// The key.
    pub name: &'static str,
    /// What values it takes.
    pub kind: ConfigType,
    /// What holds when nothing was set.
    pub default: &'static str,
    /// The broker's property from which Kafka takes the default, where describing shows one.
    pub broker_name: Option<&'static str>,
    /// One sentence for whoever describes it.
    pub documentation: &'static str,
}

/// The values that a config takes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ConfigType {
    /// `true` or `false`.
    Boolean,
    /// A number of 32 bits in a range, and perhaps one number outside of it.
    Int(i32, i32, Option<i32>),
    /// A number of 64 bits that is at least this.
    Long(i64),
    /// A number in a range.
    Double(f64, f64),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any of these words.
    AnyOf(&'static [&'static str]),
    /// Replicas as `partition:broker`, or all of them.
    Replicas,
}

impl ConfigType {
    /// The type's number in `DescribeConfigs` (KIP-569).
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

    /// Whether values can be appended and subtracted.
    pub fn is_list(self) -> bool {
        matches!(self, ConfigType::AnyOf(_) | ConfigType::Replicas)
    }

    /// What is wrong with a value, in Kafka's words.
    fn complaint(self, name: &str, value: &str) -> Option<String> {
        let value = value.trim();
        let about = |shown: &str, why: &str| Some(format!("Invalid value {shown} for configuration {name}: {why}"));
        match self {
            ConfigType::Boolean if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") => None,
            ConfigType::Boolean => about(value, "Expected value to be either true or false"),
            ConfigType::Int(min, max, or) => match value.parse::<i32>() {
                Err(_) => about(value, "Not a number of type INT"),
                Ok(number) if (min..=max).contains(&number) || or == Some(number) => None,
                Ok(number) => match or {
                    Some(or) => {
                        about(&number.to_string(), &format!("Value must be between {min} and {max} or equal to {or}"))
                    }
                    None => about(&number.to_string(), &outside(number < min, &min, &max)),
                },
            },
            ConfigType::Long(min) => match value.parse::<i64>() {
                Err(_) => about(value, "Not a number of type LONG"),
                Ok(number) if number < min => about(&number.to_string(), &outside(true, &min, &i64::MAX)),
                Ok(_) => None,
            },
            ConfigType::Double(min, max) => match value.parse::<f64>() {
                Err(_) => about(value, "Not a number of type DOUBLE"),
                Ok(number) if number < min || number > max => {
                    about(&format!("{number:?}"), &outside(number < min, &min, &max))
                }
                Ok(_) => None,
            },
            ConfigType::OneOf(words) => {
                if words.contains(&value) {
                    None
                } else {
                    about(value, &format!("String must be one of: {}", words.join(", ")))
                }
            }
            ConfigType::AnyOf(words) => parts(value)
                .find(|part| !words.contains(part))
                .and_then(|part| about(part, &format!("String must be one of: {}", words.join(", ")))),
            ConfigType::Replicas => {
                let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
                let is_replica = |part: &str| part.split_once(':').is_some_and(|(a, b)| is_number(a) && is_number(b));
                if value == "*" || parts(value).all(is_replica) {
                    return None;
                }
                let shown = format!("[{}]", parts(value).collect::<Vec<_>>().join(", "));
                about(
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

fn outside(below: bool, min: &dyn std::fmt::Display, max: &dyn std::fmt::Display) -> String {
    if below { format!("Value must be at least {min}") } else { format!("Value must be no more than {max}") }
}

/// A list's parts; an empty list has none.
fn parts(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(move |_| !value.trim().is_empty())
}

const FOREVER: &str = "9223372036854775807";
const NO_EFFECT_TIERS: &str = "Tiered storage; without effect here.";
const NO_EFFECT_THROTTLE: &str = "Throttles replication; without effect on a single node.";
const NO_EFFECT_FLUSH: &str = "Without effect: whether appends are flushed to the disk is a setting of the broker.";
const NO_EFFECT_RECOMPRESSION: &str = "Without effect: batches are kept as the producer compressed them.";

const fn config(
    name: &'static str,
    kind: ConfigType,
    default: &'static str,
    broker_name: Option<&'static str>,
    documentation: &'static str,
) -> ConfigDef {
    ConfigDef { name, kind, default, broker_name, documentation }
}

/// All of them, by name.
#[rustfmt::skip]
pub static CONFIG_DEFS: [ConfigDef; 33] = [
    config("cleanup.policy", ConfigType::AnyOf(&["compact", "delete"]), "delete", Some("log.cleanup.policy"),
        "What becomes of old segments: delete drops them by age and size, compact keeps the last record of each key; both may be given."),
    config("compression.gzip.level", ConfigType::Int(1, 9, Some(-1)), "-1", Some("compression.gzip.level"), NO_EFFECT_RECOMPRESSION),
    config("compression.lz4.level", ConfigType::Int(1, 17, None), "9", Some("compression.lz4.level"), NO_EFFECT_RECOMPRESSION),
    config("compression.type", ConfigType::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), "producer", Some("compression.type"), NO_EFFECT_RECOMPRESSION),
    config("compression.zstd.level", ConfigType::Int(-131_072, 22, None), "3", Some("compression.zstd.level"), NO_EFFECT_RECOMPRESSION),
    config("delete.retention.ms", ConfigType::Long(0), "86400000", Some("log.cleaner.delete.retention.ms"),
        "How long compaction keeps the tombstone of a deleted key."),
    config("file.delete.delay.ms", ConfigType::Long(0), "60000", Some("log.segment.delete.delay.ms"), "Without effect: files are removed at once, and readers keep what they have opened."),
    config("flush.messages", ConfigType::Long(1), FOREVER, Some("log.flush.interval.messages"), NO_EFFECT_FLUSH),
    config("flush.ms", ConfigType::Long(0), FOREVER, None, NO_EFFECT_FLUSH),
    config("follower.replication.throttled.replicas", ConfigType::Replicas, "", None, NO_EFFECT_THROTTLE),
    config("index.interval.bytes", ConfigType::Int(0, i32::MAX, None), "4096", Some("log.index.interval.bytes"), "Without effect: the density of the indexes is not configurable."),
    config("leader.replication.throttled.replicas", ConfigType::Replicas, "", None, NO_EFFECT_THROTTLE),
    config("local.retention.bytes", ConfigType::Long(-2), "-2", Some("log.local.retention.bytes"), NO_EFFECT_TIERS),
    config("local.retention.ms", ConfigType::Long(-2), "-2", Some("log.local.retention.ms"), NO_EFFECT_TIERS),
    config("max.compaction.lag.ms", ConfigType::Long(1), FOREVER, Some("log.cleaner.max.compaction.lag.ms"), "Without effect: compaction goes by the share of dirty bytes."),
    config("max.message.bytes", ConfigType::Int(0, i32::MAX, None), "1048588", Some("message.max.bytes"), "The largest batch that is taken, as compressed."),
    config("message.timestamp.after.max.ms", ConfigType::Long(0), "3600000", Some("log.message.timestamp.after.max.ms"),
        "How far a record's timestamp may lie ahead of the broker's clock."),
    config("message.timestamp.before.max.ms", ConfigType::Long(0), FOREVER, Some("log.message.timestamp.before.max.ms"),
        "How far a record's timestamp may lie behind the broker's clock."),
    config("message.timestamp.type", ConfigType::OneOf(&["CreateTime", "LogAppendTime"]), "CreateTime", Some("log.message.timestamp.type"),
        "Whether a record's timestamp is the producer's or the time of the append."),
    config("min.cleanable.dirty.ratio", ConfigType::Double(0.0, 1.0), "0.5", Some("log.cleaner.min.cleanable.ratio"),
        "The share of the log that must be dirty before it is compacted."),
    config("min.compaction.lag.ms", ConfigType::Long(0), "0", Some("log.cleaner.min.compaction.lag.ms"), "How long a record is safe from compaction."),
    config("min.insync.replicas", ConfigType::Int(1, i32::MAX, None), "1", Some("min.insync.replicas"), "Without effect: there is one replica, and Kafka asks for no more than there are."),
    config("preallocate", ConfigType::Boolean, "false", Some("log.preallocate"), "Without effect: files grow as they are written."),
    config("remote.log.copy.disable", ConfigType::Boolean, "false", None, NO_EFFECT_TIERS),
    config("remote.log.delete.on.disable", ConfigType::Boolean, "false", None, NO_EFFECT_TIERS),
    config("remote.storage.enable", ConfigType::Boolean, "false", None, NO_EFFECT_TIERS),
    config("retention.bytes", ConfigType::Long(i64::MIN), "-1", Some("log.retention.bytes"), "The size of a partition above which its oldest segments are dropped; -1 for no limit."),
    config("retention.ms", ConfigType::Long(-1), "604800000", None, "The age at which segments are dropped; -1 for no limit."),
    config("segment.bytes", ConfigType::Int(1_048_576, i32::MAX, None), "1073741824", Some("log.segment.bytes"), "The size at which a segment is closed and the next one begun."),
    config("segment.index.bytes", ConfigType::Int(4, i32::MAX, None), "10485760", Some("log.index.size.max.bytes"), "Without effect: the indexes grow as needed."),
    config("segment.jitter.ms", ConfigType::Long(0), "0", None, "Without effect: segments are closed when they are due."),
    config("segment.ms", ConfigType::Long(1), "604800000", None, "The age at which a segment is closed and the next one begun."),
    config("unclean.leader.election.enable", ConfigType::Boolean, "false", Some("unclean.leader.election.enable"), "Without effect on a single node."),
];

/// A key that Kafka takes and does not show: `segment.bytes` without its lower bound, for tests.
static INTERNAL_SEGMENT_BYTES: ConfigDef =
    config("internal.segment.bytes", ConfigType::Int(1, i32::MAX, None), "1073741824", None, "For tests.");

/// The config of this key.
pub fn find(name: &str) -> Option<&'static ConfigDef> {
    CONFIG_DEFS.iter().chain([&INTERNAL_SEGMENT_BYTES]).find(|config| config.name == name)
}

/// Whether a topic can have these, taken together.
///
/// # Errors
///
/// Kafka's words for `INVALID_CONFIG`.
pub fn validate(overrides: &Overrides) -> Result<(), String> {
    if let Some(name) = overrides.keys().find(|name| find(name).is_none()) {
        return Err(format!("Unknown topic config name: {name}"));
    }
    for (name, value) in overrides {
        if let Some(complaint) = find(name).and_then(|config| config.kind.complaint(name, value)) {
            return Err(complaint);
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

/// What holds for a topic with these overrides.
fn value<'a>(overrides: &'a Overrides, name: &str) -> &'a str {
    overrides.get(name).map_or_else(|| find(name).map_or("", |config| config.default), |value| value.trim())
}

fn number(overrides: &Overrides, name: &str) -> i64 {
    value(overrides, name)
        .parse()
        .or_else(|_| find(name).map_or("", |config| config.default).parse())
        .expect("a number's default is a number")
}

/// Whether the policy has this word.
pub fn has_policy(overrides: &Overrides, word: &str) -> bool {
    parts(value(overrides, "cleanup.policy")).any(|part| part == word)
}

/// What overrides mean to the topic's logs.
pub fn log_settings(overrides: &Overrides) -> LogSettings {
    let number = |name| number(overrides, name);
    // `internal.segment.bytes` rules where it is set, as in Kafka.
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
