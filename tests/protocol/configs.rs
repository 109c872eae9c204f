//! Owns the cases about the configs of topics: what they are, where they come from, and how they change.

use kafka_protocol::messages::alter_configs_request::{AlterConfigsResource as Whole, AlterableConfig as Value};
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use kafka_protocol::messages::{AlterConfigsRequest, DescribeConfigsRequest, IncrementalAlterConfigsRequest};
use kafka_protocol::protocol::StrBytes;

use super::Case;
use super::lab::Lab;
use super::requests::{self, text};

pub const CASES: &[Case] = &[
    ("describe_configs_tells_values_and_sources", described),
    ("describe_configs_tells_synonyms_when_asked", synonyms),
    ("describe_configs_of_all_keys_has_the_usual_ones", all_keys),
    ("describe_configs_refuses_what_it_does_not_know", unknown),
    ("incremental_alter_configs_sets_and_deletes", set_and_delete),
    ("incremental_alter_configs_appends_and_subtracts", append_and_subtract),
    ("incremental_alter_configs_refuses_nonsense", refused),
    ("alter_configs_replaces_all", replaced),
];

/// The configs of topics that clients and people look at.
pub const USUAL: &[&str] = &[
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

/// The source of a config. Kafka repeats the default of one as the cluster's own, for its election of leaders (KIP-966).
pub fn untainted(name: &str, source: i8) -> i8 {
    if name == "min.insync.replicas" && source == CLUSTER { DEFAULT } else { source }
}

fn ask_for(kind: i8, name: &StrBytes, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(name.clone())
        .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()));
    DescribeConfigsRequest::default().with_resources(vec![resource])
}

fn tell(lab: &mut Lab, version: i16, request: &DescribeConfigsRequest) {
    let mut answer = lab.put(version, request);
    for config in answer.results.iter_mut().flat_map(|result| &mut result.configs) {
        config.config_source = untainted(&config.name, config.config_source);
    }
    lab.tell_answer::<DescribeConfigsRequest>(version, &answer);
}

fn described(lab: &mut Lab) {
    let configs = [("cleanup.policy", "compact"), ("segment.bytes", "1048576"), ("max.message.bytes", "2000000")];
    let target = lab.target_with("topic", 1, &configs);
    for version in [1, 2, 4] {
        tell(lab, version, &ask_for(TOPIC, &target.name, Some(USUAL)));
    }
    lab.note("no keys, and a key that no topic has");
    tell(lab, 4, &ask_for(TOPIC, &target.name, Some(&[])));
    tell(lab, 4, &ask_for(TOPIC, &target.name, Some(&["no.such.config", "retention.ms"])));
}

fn synonyms(lab: &mut Lab) {
    let target = lab.target_with("topic", 1, &[("cleanup.policy", "compact"), ("max.message.bytes", "2000000")]);
    let keys = ["cleanup.policy", "max.message.bytes", "retention.ms", "message.timestamp.type"];
    for version in [1, 4] {
        tell(lab, version, &ask_for(TOPIC, &target.name, Some(&keys)).with_include_synonyms(true));
    }
}

fn all_keys(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let answer = lab.put(4, &ask_for(TOPIC, &target.name, None));
    for usual in USUAL {
        let found = answer.results[0].configs.iter().any(|config| &*config.name == *usual);
        lab.note(&format!("{usual}: {}", if found { "told" } else { "not told" }));
    }
}

fn unknown(lab: &mut Lab) {
    for version in [1, 4] {
        tell(lab, version, &ask_for(TOPIC, &lab.name("unknown"), None));
        tell(lab, version, &ask_for(TOPIC, &text("a/b"), None));
        lab.note("a broker that does not exist, and one without a number");
        tell(lab, version, &ask_for(BROKER, &text("7"), None));
        tell(lab, version, &ask_for(BROKER, &text("first"), None));
        lab.note("an unknown kind of resource");
        tell(lab, version, &ask_for(99, &text("1"), None));
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

/// Waits until a config has a value, then tells it with its source: a broker hears of a change after the one who made it.
fn await_value(lab: &mut Lab, name: &StrBytes, key: &str, value: &str) {
    let request = ask_for(TOPIC, name, Some(&[key]));
    lab.ask_until(4, &request, |answer| {
        let config = answer.results[0].configs.first();
        config.and_then(|config| config.value.as_deref()) == Some(value)
    });
}

fn set_and_delete(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let name = &target.name;
    for version in [0, 1] {
        lab.ask(version, &change(name, &[("retention.ms", SET, Some("7000")), ("segment.ms", SET, Some("9000"))]));
        await_value(lab, name, "retention.ms", "7000");
        await_value(lab, name, "segment.ms", "9000");
        lab.note("delete one");
        lab.ask(version, &change(name, &[("retention.ms", DELETE, None)]));
        await_value(lab, name, "retention.ms", "604800000");
        await_value(lab, name, "segment.ms", "9000");
        lab.note("delete one that is not set");
        lab.ask(version, &change(name, &[("retention.ms", DELETE, None)]));
    }
    lab.note("only to see");
    lab.ask(1, &change(name, &[("retention.ms", SET, Some("1"))]).with_validate_only(true));
    lab.note("nothing");
    lab.ask(1, &change(name, &[]));
    await_value(lab, name, "retention.ms", "604800000");
    lab.note("a limit holds at once");
    lab.ask(1, &change(name, &[("max.message.bytes", SET, Some("100"))]));
    await_value(lab, name, "max.message.bytes", "100");
    let batch = super::batch::Batch::of(lab.zero, &[&"x".repeat(200)]).bytes();
    lab.ask_until(9, &requests::produce(9, &target, &[(0, batch)]), |answer| {
        answer.responses[0].partition_responses[0].error_code != 0
    });
}

fn append_and_subtract(lab: &mut Lab) {
    let target = lab.target("topic", 1);
    let name = &target.name;
    for (operation, value, becomes) in [
        (APPEND, "compact", "delete,compact"),
        (APPEND, "compact", "delete,compact"),
        (SUBTRACT, "delete", "compact"),
        (SUBTRACT, "delete", "compact"),
        (APPEND, "delete", "compact,delete"),
    ] {
        lab.ask(1, &change(name, &[("cleanup.policy", operation, Some(value))]));
        await_value(lab, name, "cleanup.policy", becomes);
    }
    lab.note("a config that is no list");
    lab.ask(1, &change(name, &[("retention.ms", APPEND, Some("1"))]));
    lab.ask(1, &change(name, &[("retention.ms", SUBTRACT, Some("1"))]));
}

fn refused(lab: &mut Lab) {
    let target = lab.target("topic", 1);
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
            lab.note(&format!("{key} operation {operation} {value:?}"));
            lab.ask(version, &change(name, &[(key, operation, value)]));
        }
        lab.note("a good one beside a bad one");
        lab.ask(version, &change(name, &[("segment.ms", SET, Some("5000")), ("retention.ms", SET, Some("soon"))]));
        await_value(lab, name, "segment.ms", "604800000");
    }
    lab.note("a config twice");
    lab.ask(1, &change(name, &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))]));
    lab.note("a topic twice");
    let mut request = change(name, &[("retention.ms", SET, Some("1"))]);
    request.resources.push(request.resources[0].clone());
    lab.ask(1, &request);
    lab.note("an unknown topic");
    lab.ask(1, &change(&lab.name("unknown"), &[("retention.ms", SET, Some("1"))]));
    lab.note("an unknown kind of resource");
    let mut request = change(name, &[("retention.ms", SET, Some("1"))]);
    request.resources[0].resource_type = 99;
    lab.ask(1, &request);
}

fn replaced(lab: &mut Lab) {
    let target = lab.target_with("topic", 1, &[("segment.ms", "9000"), ("retention.ms", "5000")]);
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
        lab.ask(version, &whole(&[("retention.ms", Some("7000"))]));
        await_value(lab, name, "retention.ms", "7000");
        await_value(lab, name, "segment.ms", "604800000");
        lab.ask(version, &whole(&[("segment.ms", Some("9000"))]));
        await_value(lab, name, "segment.ms", "9000");
        await_value(lab, name, "retention.ms", "604800000");
    }
    lab.note("only to see");
    lab.ask(2, &whole(&[("retention.ms", Some("1"))]).with_validate_only(true));
    lab.note("nonsense");
    lab.ask(2, &whole(&[("retention.ms", Some("soon"))]));
    lab.ask(2, &whole(&[("no.such.config", Some("1"))]));
    lab.ask(2, &whole(&[("retention.ms", None)]));
    await_value(lab, name, "segment.ms", "9000");
    lab.note("an unknown topic");
    let mut request = whole(&[("retention.ms", Some("1"))]);
    request.resources[0].resource_name = lab.name("unknown");
    lab.ask(2, &request);
}
