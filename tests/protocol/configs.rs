//! Cases of topic configs: values, sources and changes.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource as Whole, AlterableConfig as Value};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::requests::{self, text};
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("describe_configs_returns_values_and_sources", described),
    ("describe_configs_returns_synonyms", synonyms),
    ("describe_configs_returns_the_common_keys", all_keys),
    ("describe_configs_refuses_unknown_resources", unknown),
    ("incremental_alter_configs_sets_and_deletes", set_and_delete),
    ("incremental_alter_configs_appends_and_subtracts", append_and_subtract),
    ("incremental_alter_configs_refuses_invalid_changes", refused),
    ("alter_configs_replaces_all", replaced),
];

/// Common topic configs.
pub const COMMON: &[&str] = &[
    "cleanup.policy",
    "compression.type",
    "delete.retention.ms",
    "max.message.bytes",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
    "segment.bytes",
    "segment.ms",
    "unclean.leader.election.enable",
];

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const DEFAULT: i8 = 5;
const CLUSTER: i8 = 3;

const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

/// The source of a config. Kafka reports the default of `min.insync.replicas` as a cluster config (KIP-966).
pub fn normalize_source(name: &str, source: i8) -> i8 {
    if name == "min.insync.replicas" && source == CLUSTER { DEFAULT } else { source }
}

fn describe(kind: i8, name: &StrBytes, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.clone())
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

fn record(recorder: &mut Recorder, version: i16, request: &DescribeConfigsRequest) {
    let mut response = recorder.request(version, request);
    for config in response.results.iter_mut().flat_map(|result| &mut result.configs) {
        config.config_source = normalize_source(&config.name, config.config_source);
    }
    recorder.record_response::<DescribeConfigsRequest>(version, &response);
}

fn described(recorder: &mut Recorder) {
    let configs = [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("max.message.bytes", "2000000")];
    let target = recorder.target_with("topic", 1, &configs);
    for version in [1, 2, 4] {
        record(recorder, version, &describe(TOPIC, &target.name, Some(COMMON)));
    }
    recorder.note("no keys, and a key that no topic has");
    record(recorder, 4, &describe(TOPIC, &target.name, Some(&[])));
    record(recorder, 4, &describe(TOPIC, &target.name, Some(&["no.such.config", "retention.ms"])));
}

fn synonyms(recorder: &mut Recorder) {
    let target = recorder.target_with("topic", 1, &[("cleanup.policy", "compact"), ("max.message.bytes", "2000000")]);
    let keys = ["cleanup.policy", "max.message.bytes", "retention.ms", "message.timestamp.type"];
    for version in [1, 4] {
        record(recorder, version, &describe(TOPIC, &target.name, Some(&keys)).with_include_synonyms(true));
    }
}

fn all_keys(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let response = recorder.request(4, &describe(TOPIC, &target.name, None));
    for common in COMMON {
        let found = response.results[0].configs.iter().any(|config| &*config.name == *common);
        recorder.note(&format!("{common}: {}", if found { "returned" } else { "not returned" }));
    }
}

fn unknown(recorder: &mut Recorder) {
    for version in [1, 4] {
        record(recorder, version, &describe(TOPIC, &recorder.name("unknown"), None));
        record(recorder, version, &describe(TOPIC, &text("a/b"), None));
        recorder.note("a broker that does not exist, and one without a number");
        record(recorder, version, &describe(BROKER, &text("7"), None));
        record(recorder, version, &describe(BROKER, &text("first"), None));
        recorder.note("an unknown kind of resource");
        record(recorder, version, &describe(99, &text("1"), None));
    }
}

fn change(name: &StrBytes, changes: &[(&str, i8, Option<&str>)]) -> IncrementalAlterConfigsRequest {
    let configs = changes
        .iter()
        .map(|(name, operation, value)| {
            AlterableConfig::default()
                .with_name(text(name))
                .with_config_operation(*operation)
                .with_value(value.map(text))
        })
        .collect();
    let resource = AlterConfigsResource::default()
        .with_resource_type(TOPIC)
        .with_resource_name(name.clone())
        .with_configs(configs);
    IncrementalAlterConfigsRequest::default().with_resources(vec![resource])
}

/// Waits until a config has a value and records it with its source: Kafka applies changes after the response.
fn await_value(recorder: &mut Recorder, name: &StrBytes, key: &str, value: &str) {
    let request = describe(TOPIC, name, Some(&[key]));
    recorder.record_until(4, &request, |response| {
        let config = response.results[0].configs.first();
        config.and_then(|config| config.value.as_deref()) == Some(value)
    });
}

fn set_and_delete(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let name = &target.name;
    for version in [0, 1] {
        recorder
            .record(version, &change(name, &[("retention.ms", SET, Some("7000")), ("segment.ms", SET, Some("9000"))]));
        await_value(recorder, name, "retention.ms", "7000");
        await_value(recorder, name, "segment.ms", "9000");
        recorder.note("delete one");
        recorder.record(version, &change(name, &[("retention.ms", DELETE, None)]));
        await_value(recorder, name, "retention.ms", "604800000");
        await_value(recorder, name, "segment.ms", "9000");
        recorder.note("delete one that is not set");
        recorder.record(version, &change(name, &[("retention.ms", DELETE, None)]));
    }
    recorder.note("only to see");
    recorder.record(1, &change(name, &[("retention.ms", SET, Some("1"))]).with_validate_only(true));
    recorder.note("nothing");
    recorder.record(1, &change(name, &[]));
    await_value(recorder, name, "retention.ms", "604800000");
    recorder.note("a limit holds at once");
    recorder.record(1, &change(name, &[("max.message.bytes", SET, Some("100"))]));
    await_value(recorder, name, "max.message.bytes", "100");
    let batch = super::batch::Batch::of(recorder.zero, &[&"x".repeat(200)]).bytes();
    recorder.record_until(9, &requests::produce(9, &target, &[(0, batch)]), |response| {
        response.responses[0].partition_responses[0].error_code != 0
    });
}

fn append_and_subtract(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let name = &target.name;
    for (operation, value, becomes) in [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "delete", "compact"),
        (APPEND, "delete", "compact,delete"),
    ] {
        recorder.record(1, &change(name, &[("cleanup.policy", operation, Some(value))]));
        await_value(recorder, name, "cleanup.policy", becomes);
    }
    recorder.note("a config that is not a list");
    recorder.record(1, &change(name, &[("retention.ms", APPEND, Some("1"))]));
    recorder.record(1, &change(name, &[("retention.ms", SUBTRACT, Some("1"))]));
}

fn refused(recorder: &mut Recorder) {
    let target = recorder.target("topic", 1);
    let name = &target.name;
    for version in [0, 1] {
        for (key, operation, value) in [
            ("no.such.config", SET, Some("1")),
            ("no.such.config", DELETE, None),
            ("retention.ms", SET, Some("soon")),
            ("retention.ms", SET, None),
            ("retention.ms", APPEND, None),
            ("cleanup.policy", SET, Some("keep")),
            ("cleanup.policy", APPEND, Some("keep")),
            ("segment.bytes", SET, Some("1")),
        ] {
            recorder.note(&format!("{key} operation {operation} {value:?}"));
            recorder.record(version, &change(name, &[(key, operation, value)]));
        }
        recorder.note("a good one with a bad one");
        recorder
            .record(version, &change(name, &[("segment.ms", SET, Some("5000")), ("retention.ms", SET, Some("soon"))]));
        await_value(recorder, name, "segment.ms", "604800000");
    }
    recorder.note("a config twice");
    recorder.record(1, &change(name, &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))]));
    recorder.note("a topic twice");
    let mut request = change(name, &[("retention.ms", SET, Some("1"))]);
    request.resources.push(request.resources[0].clone());
    recorder.record(1, &request);
    recorder.note("an unknown topic");
    recorder.record(1, &change(&recorder.name("unknown"), &[("retention.ms", SET, Some("1"))]));
    recorder.note("an unknown kind of resource");
    let mut request = change(name, &[("retention.ms", SET, Some("1"))]);
    request.resources[0].resource_type = 99;
    recorder.record(1, &request);
}

fn replaced(recorder: &mut Recorder) {
    let target = recorder.target_with("topic", 1, &[("segment.ms", "9000"), ("retention.ms", "5000")]);
    let name = &target.name;
    let whole = |configs: &[(&str, Option<&str>)]| {
        let configs = configs
            .iter()
            .map(|(name, value)| Value::default().with_name(text(name)).with_value(value.map(text)))
            .collect();
        let resource =
            Whole::default().with_resource_type(TOPIC).with_resource_name(name.clone()).with_configs(configs);
        AlterConfigsRequest::default().with_resources(vec![resource])
    };
    for version in [0, 2] {
        recorder.record(version, &whole(&[("retention.ms", Some("7000"))]));
        await_value(recorder, name, "retention.ms", "7000");
        await_value(recorder, name, "segment.ms", "604800000");
        recorder.record(version, &whole(&[("segment.ms", Some("9000"))]));
        await_value(recorder, name, "segment.ms", "9000");
        await_value(recorder, name, "retention.ms", "604800000");
    }
    recorder.note("only to see");
    recorder.record(2, &whole(&[("retention.ms", Some("1"))]).with_validate_only(true));
    recorder.note("nonsense");
    recorder.record(2, &whole(&[("retention.ms", Some("soon"))]));
    recorder.record(2, &whole(&[("no.such.config", Some("1"))]));
    recorder.record(2, &whole(&[("retention.ms", None)]));
    await_value(recorder, name, "segment.ms", "9000");
    recorder.note("an unknown topic");
    let mut request = whole(&[("retention.ms", Some("1"))]);
    request.resources[0].resource_name = recorder.name("unknown");
    recorder.record(2, &request);
}
