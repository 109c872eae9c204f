//! Tests of topic configs. The expected messages are those of Apache Kafka 4.1.0.

use super::*;

fn overrides(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[track_caller]
fn invalid(name: &str, value: &str, reason: &str) {
    assert_eq!(validate(&overrides(&[(name, value)])), Err(reason.to_owned()), "{name}={value}");
}

#[track_caller]
fn valid(name: &str, value: &str) {
    assert_eq!(validate(&overrides(&[(name, value)])), Ok(()), "{name}={value}");
}

#[test]
fn defaults_are_valid_and_sorted() {
    for config in &CONFIG_DEFS {
        valid(config.name, config.default);
        assert!(!config.documentation.is_empty());
    }
    assert!(CONFIG_DEFS.is_sorted_by_key(|config| config.name));
}

#[test]
fn refuses_unknown_keys() {
    invalid("nope", "1", "Unknown topic config name: nope");
    // Removed in Kafka 4.
    invalid("message.format.version", "3.0", "Unknown topic config name: message.format.version");
}

#[test]
fn refuses_wrong_types_with_kafkas_message() {
    invalid("retention.ms", "x", "Invalid value x for configuration retention.ms: Not a number of type LONG");
    invalid(
        "segment.bytes",
        "99999999999",
        "Invalid value 99999999999 for configuration segment.bytes: Not a number of type INT",
    );
    invalid(
        "min.cleanable.dirty.ratio",
        "x",
        "Invalid value x for configuration min.cleanable.dirty.ratio: Not a number of type DOUBLE",
    );
    invalid(
        "preallocate",
        "maybe",
        "Invalid value maybe for configuration preallocate: Expected value to be either true or false",
    );
}

#[test]
fn refuses_values_out_of_range_with_kafkas_message() {
    invalid("segment.bytes", "1", "Invalid value 1 for configuration segment.bytes: Value must be at least 1048576");
    invalid("segment.ms", "0", "Invalid value 0 for configuration segment.ms: Value must be at least 1");
    invalid(
        "min.cleanable.dirty.ratio",
        "2",
        "Invalid value 2.0 for configuration min.cleanable.dirty.ratio: Value must be no more than 1",
    );
    invalid(
        "compression.gzip.level",
        "0",
        "Invalid value 0 for configuration compression.gzip.level: Value must be between 1 and 9 or equal to -1",
    );
    invalid(
        "compression.lz4.level",
        "18",
        "Invalid value 18 for configuration compression.lz4.level: Value must be no more than 17",
    );
    invalid(
        "cleanup.policy",
        "foo",
        "Invalid value foo for configuration cleanup.policy: String must be one of: compact, delete",
    );
    invalid(
        "compression.type",
        "foo",
        "Invalid value foo for configuration compression.type: String must be one of: \
         uncompressed, zstd, lz4, snappy, gzip, producer",
    );
    invalid(
        "leader.replication.throttled.replicas",
        "abc",
        "Invalid value [abc] for configuration leader.replication.throttled.replicas: \
         leader.replication.throttled.replicas must be the literal '*' or a list of replicas in the following format: \
         [partitionId]:[brokerId],[partitionId]:[brokerId],...",
    );
}

#[test]
fn parses_values_as_leniently_as_kafka() {
    valid("retention.ms", " 1000 ");
    valid("segment.bytes", "+2000000");
    valid("preallocate", " TRUE ");
    valid("min.cleanable.dirty.ratio", "1e-1");
    valid("cleanup.policy", "compact, delete");
    valid("cleanup.policy", "");
    valid("retention.bytes", "-5");
    valid("compression.gzip.level", "-1");
    valid("follower.replication.throttled.replicas", "*");
    valid("follower.replication.throttled.replicas", "0:1, 1:2");
    valid("internal.segment.bytes", "1000");
}

#[test]
fn refuses_contradicting_configs() {
    assert_eq!(
        validate(&overrides(&[("min.compaction.lag.ms", "10"), ("max.compaction.lag.ms", "5")])),
        Err("conflict topic config setting min.compaction.lag.ms (10) > max.compaction.lag.ms (5)".to_owned())
    );
    assert!(validate(&overrides(&[("remote.storage.enable", "true")])).is_err());
}

#[test]
fn log_settings_have_kafkas_defaults() {
    assert_eq!(
        log_settings(&Overrides::new()),
        LogSettings {
            segment_bytes: 1 << 30,
            segment_ms: 604_800_000,
            retention_ms: Some(604_800_000),
            retention_bytes: None,
            delete: true,
            compact: false,
            delete_retention_ms: 86_400_000,
            min_cleanable_dirty_ratio: 0.5,
            min_compaction_lag_ms: 0,
            max_message_bytes: 1_048_588,
            log_append_time: false,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
        }
    );
}

#[test]
fn overrides_change_log_settings() {
    let settings = log_settings(&overrides(&[
        ("cleanup.policy", "compact , delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", " 500 "),
        ("segment.bytes", "2000000"),
        ("min.cleanable.dirty.ratio", "0.1"),
        ("message.timestamp.type", "LogAppendTime"),
        ("max.message.bytes", "10"),
    ]));
    assert!(settings.compact && settings.delete && settings.log_append_time);
    assert_eq!((settings.retention_ms, settings.retention_bytes), (None, Some(500)));
    assert_eq!((settings.segment_bytes, settings.max_message_bytes), (2_000_000, 10));
    assert!((settings.min_cleanable_dirty_ratio - 0.1).abs() < f64::EPSILON);
    let none = log_settings(&overrides(&[("cleanup.policy", ""), ("internal.segment.bytes", "99")]));
    assert_eq!((none.compact, none.delete, none.segment_bytes), (false, false, 99));
}
