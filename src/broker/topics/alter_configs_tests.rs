//! Tests of `AlterConfigs` and `IncrementalAlterConfigs`. The expected responses are those of Apache Kafka 4.1.0.

use kafka_protocol::messages::{alter_configs_request as whole, incremental_alter_configs_request as incremental};

use super::super::test_support::{broker, make, send, text};
use super::*;

/// Error code and message.
type AlterResult = (i16, Option<String>);

fn ok() -> AlterResult {
    (0, None)
}

fn refused(code: i16, message: &str) -> AlterResult {
    (code, Some(message.to_owned()))
}

fn resource_of(kind: i8, name: &str, changes: &[(&str, i8, Option<&str>)]) -> incremental::AlterConfigsResource {
    let configs = changes.iter().map(|(key, operation, value)| {
        incremental::AlterableConfig::default()
            .with_name(text(key))
            .with_config_operation(*operation)
            .with_value(value.map(text))
    });
    incremental::AlterConfigsResource::default()
        .with_resource_type(kind)
        .with_resource_name(text(name))
        .with_configs(configs.collect())
}

fn alter_all(
    core: &mut Core,
    resources: Vec<incremental::AlterConfigsResource>,
    validate_only: bool,
) -> Vec<AlterResult> {
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources).with_validate_only(validate_only);
    let responses = send(1, |context| core.incremental_alter_configs(request, context)).responses;
    responses
        .into_iter()
        .map(|response| (response.error_code, response.error_message.map(|message| message.to_string())))
        .collect()
}

fn alter(core: &mut Core, changes: &[(&str, i8, Option<&str>)]) -> AlterResult {
    alter_all(core, vec![resource_of(resource::TOPIC, "a", changes)], false).remove(0)
}

fn replace(core: &mut Core, configs: &[(&str, Option<&str>)]) -> AlterResult {
    let configs = configs
        .iter()
        .map(|(key, value)| whole::AlterableConfig::default().with_name(text(key)).with_value(value.map(text)));
    let resource = whole::AlterConfigsResource::default()
        .with_resource_type(resource::TOPIC)
        .with_resource_name(text("a"))
        .with_configs(configs.collect());
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let response = send(2, |context| core.alter_configs(request, context)).responses.remove(0);
    (response.error_code, response.error_message.map(|message| message.to_string()))
}

fn set(core: &Core, key: &str) -> Option<String> {
    core.topics.get("a").unwrap().overrides.get(key).cloned()
}

#[test]
fn sets_and_deletes_a_config() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    assert_eq!(alter(&mut core, &[("retention.ms", SET, Some("5000")), ("segment.ms", SET, Some("7"))]), ok());
    assert_eq!(set(&core, "retention.ms").as_deref(), Some("5000"));
    assert_eq!(alter(&mut core, &[("retention.ms", DELETE, None)]), ok());
    assert_eq!((set(&core, "retention.ms"), set(&core, "segment.ms").as_deref()), (None, Some("7")));
    // Deleting an unknown config succeeds.
    assert_eq!(alter(&mut core, &[("nope", DELETE, None)]), ok());
}

#[test]
fn appends_to_and_subtracts_from_lists() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    assert_eq!(alter(&mut core, &[("cleanup.policy", APPEND, Some("compact"))]), ok());
    // Appending starts from the default.
    assert_eq!(set(&core, "cleanup.policy").as_deref(), Some("delete,compact"));
    assert_eq!(alter(&mut core, &[("cleanup.policy", APPEND, Some("delete"))]), ok());
    assert_eq!(set(&core, "cleanup.policy").as_deref(), Some("delete,compact"));
    assert_eq!(alter(&mut core, &[("cleanup.policy", SUBTRACT, Some("delete,compact"))]), ok());
    assert_eq!(set(&core, "cleanup.policy").as_deref(), Some(""));
    let key = "leader.replication.throttled.replicas";
    assert_eq!(alter(&mut core, &[(key, APPEND, Some("0:1,1:1"))]), ok());
    assert_eq!(alter(&mut core, &[(key, APPEND, Some("0:1,0:2"))]), ok());
    assert_eq!(set(&core, key).as_deref(), Some("0:1,1:1,0:2"));
    let expected = "Can't APPEND to key retention.ms because its type is not LIST.";
    assert_eq!(alter(&mut core, &[("retention.ms", APPEND, Some("1"))]), refused(40, expected));
    let expected = "Can't SUBTRACT to key retention.ms because its type is not LIST.";
    assert_eq!(alter(&mut core, &[("retention.ms", SUBTRACT, Some("1"))]), refused(40, expected));
}

#[test]
fn a_refused_change_changes_nothing() {
    let mut core = broker();
    make(&mut core, "a", 1, &[("retention.ms", "9")]);
    for (changes, expected) in [
        (
            &[("segment.ms", SET, Some("1")), ("retention.ms", SET, Some("x"))][..],
            refused(40, "Invalid value x for configuration retention.ms: Not a number of type LONG"),
        ),
        (&[("retention.ms", SET, None)], refused(42, "Null value not supported for : retention.ms")),
        (&[("nope", SET, Some("1"))], refused(40, "Unknown topic config name: nope")),
        (
            &[("retention.ms", SET, Some("1")), ("retention.ms", SET, Some("2"))],
            refused(42, "Error due to duplicate config keys"),
        ),
        (&[("retention.ms", 9, Some("1"))], (-1, None)),
    ] {
        assert_eq!(alter(&mut core, changes), expected);
        assert_eq!((set(&core, "retention.ms").as_deref(), set(&core, "segment.ms")), (Some("9"), None));
    }
}

#[test]
fn validate_only_sets_nothing() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    let change = resource_of(resource::TOPIC, "a", &[("retention.ms", SET, Some("5"))]);
    assert_eq!(alter_all(&mut core, vec![change], true), [ok()]);
    assert_eq!(set(&core, "retention.ms"), None);
}

#[test]
fn refuses_resources_with_kafkas_message() {
    let mut core = broker();
    let change = |kind, name| resource_of(kind, name, &[("retention.ms", SET, Some("5"))]);
    let resources = vec![
        change(resource::TOPIC, "nope"),
        change(resource::TOPIC, "bad name"),
        change(resource::TOPIC, ""),
        change(resource::BROKER, "2"),
        change(resource::BROKER, "x"),
        change(resource::BROKER, "1"),
        change(3, "1"),
        resource_of(resource::BROKER, "1", &[]).with_resource_name(text("")),
    ];
    let bad = "Topic name is invalid: 'bad name' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    assert_eq!(
        alter_all(&mut core, resources, false),
        [
            refused(3, "The topic 'nope' does not exist."),
            refused(17, bad),
            refused(42, "Default topic resources are not allowed."),
            refused(42, "Unexpected broker id, expected 1, but received 2"),
            refused(42, "Node id must be an integer, but it is: x"),
            refused(42, "Cannot update these configs dynamically: Set(retention.ms)"),
            refused(42, "Unknown resource type 3"),
            ok(),
        ]
    );
    let duplicate = vec![change(resource::TOPIC, "a"), change(resource::TOPIC, "a")];
    let once = refused(42, "Each resource must appear at most once.");
    assert_eq!(alter_all(&mut core, duplicate, false), [once.clone(), once]);
}

#[test]
fn alter_configs_replaces_all_configs() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    assert_eq!(replace(&mut core, &[("retention.ms", Some("7000")), ("segment.ms", Some("7000"))]), ok());
    assert_eq!(replace(&mut core, &[("segment.ms", Some("8000"))]), ok());
    assert_eq!((set(&core, "retention.ms"), set(&core, "segment.ms").as_deref()), (None, Some("8000")));
    let null = refused(42, "Null value not supported for : segment.ms");
    assert_eq!(replace(&mut core, &[("segment.ms", None), ("nope", Some("1"))]), null);
    let low = refused(40, "Invalid value 0 for configuration segment.ms: Value must be at least 1");
    assert_eq!(replace(&mut core, &[("segment.ms", Some("0"))]), low);
    assert_eq!(set(&core, "segment.ms").as_deref(), Some("8000"));
}
