//! Owns the tests of altered configs; the expected answers are those of a real Kafka 4.1.0.

use kafka_protocol::messages::{alter_configs_request as whole, incremental_alter_configs_request as incremental};

use super::super::test_support::{ask, broker, make, text};
use super::*;

type Told = (i16, Option<String>);

fn no() -> Told {
    (0, None)
}

fn refused(code: i16, why: &str) -> Told {
    (code, Some(why.to_owned()))
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

fn alter_all(core: &mut Core, resources: Vec<incremental::AlterConfigsResource>, validate_only: bool) -> Vec<Told> {
    let request = IncrementalAlterConfigsRequest::default().with_resources(resources).with_validate_only(validate_only);
    let responses = ask(1, |context| core.incremental_alter_configs(request, context)).responses;
    responses.into_iter().map(|told| (told.error_code, told.error_message.map(|why| why.to_string()))).collect()
}

fn alter(core: &mut Core, changes: &[(&str, i8, Option<&str>)]) -> Told {
    alter_all(core, vec![resource_of(resource::TOPIC, "a", changes)], false).remove(0)
}

fn replace(core: &mut Core, configs: &[(&str, Option<&str>)]) -> Told {
    let configs = configs
        .iter()
        .map(|(key, value)| whole::AlterableConfig::default().with_name(text(key)).with_value(value.map(text)));
    let resource = whole::AlterConfigsResource::default()
        .with_resource_type(resource::TOPIC)
        .with_resource_name(text("a"))
        .with_configs(configs.collect());
    let request = AlterConfigsRequest::default().with_resources(vec![resource]);
    let told = ask(2, |context| core.alter_configs(request, context)).responses.remove(0);
    (told.error_code, told.error_message.map(|why| why.to_string()))
}

fn set(core: &Core, key: &str) -> Option<String> {
    core.topics.get("a").unwrap().overrides.get(key).cloned()
}

#[test]
fn a_config_is_set_and_deleted() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    assert_eq!(alter(&mut core, &[("retention.ms", SET, Some("5000")), ("segment.ms", SET, Some("7"))]), no());
    assert_eq!(set(&core, "retention.ms").as_deref(), Some("5000"));
    assert_eq!(alter(&mut core, &[("retention.ms", DELETE, None)]), no());
    assert_eq!((set(&core, "retention.ms"), set(&core, "segment.ms").as_deref()), (None, Some("7")));
    // Nothing is there to be deleted, nor known.
    assert_eq!(alter(&mut core, &[("nope", DELETE, None)]), no());
}

#[test]
fn values_are_appended_to_lists_and_subtracted_from_them() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    assert_eq!(alter(&mut core, &[("cleanup.policy", APPEND, Some("compact"))]), no());
    // What was in force was the default.
    assert_eq!(set(&core, "cleanup.policy").as_deref(), Some("delete,compact"));
    assert_eq!(alter(&mut core, &[("cleanup.policy", APPEND, Some("delete"))]), no());
    assert_eq!(set(&core, "cleanup.policy").as_deref(), Some("delete,compact"));
    assert_eq!(alter(&mut core, &[("cleanup.policy", SUBTRACT, Some("delete,compact"))]), no());
    assert_eq!(set(&core, "cleanup.policy").as_deref(), Some(""));
    let key = "leader.replication.throttled.replicas";
    assert_eq!(alter(&mut core, &[(key, APPEND, Some("0:1,1:1"))]), no());
    assert_eq!(alter(&mut core, &[(key, APPEND, Some("0:1,0:2"))]), no());
    assert_eq!(set(&core, key).as_deref(), Some("0:1,1:1,0:2"));
    let expected = "Can't APPEND to key retention.ms because its type is not LIST.";
    assert_eq!(alter(&mut core, &[("retention.ms", APPEND, Some("1"))]), refused(40, expected));
    let expected = "Can't SUBTRACT to key retention.ms because its type is not LIST.";
    assert_eq!(alter(&mut core, &[("retention.ms", SUBTRACT, Some("1"))]), refused(40, expected));
}

#[test]
fn what_is_refused_changes_nothing() {
    let mut core = broker();
    make(&mut core, "a", 1, &[("retention.ms", "9")]);
    for (changes, told) in [
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
        assert_eq!(alter(&mut core, changes), told);
        assert_eq!((set(&core, "retention.ms").as_deref(), set(&core, "segment.ms")), (Some("9"), None));
    }
}

#[test]
fn a_config_that_is_validated_is_not_set() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    let asked = resource_of(resource::TOPIC, "a", &[("retention.ms", SET, Some("5"))]);
    assert_eq!(alter_all(&mut core, vec![asked], true), [no()]);
    assert_eq!(set(&core, "retention.ms"), None);
}

#[test]
fn resources_are_refused_in_kafkas_words() {
    let mut core = broker();
    let asked = |kind, name| resource_of(kind, name, &[("retention.ms", SET, Some("5"))]);
    let resources = vec![
        asked(resource::TOPIC, "nope"),
        asked(resource::TOPIC, "bad name"),
        asked(resource::TOPIC, ""),
        asked(resource::BROKER, "2"),
        asked(resource::BROKER, "x"),
        asked(resource::BROKER, "1"),
        asked(3, "1"),
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
            no(),
        ]
    );
    let twice = vec![asked(resource::TOPIC, "a"), asked(resource::TOPIC, "a")];
    let once = refused(42, "Each resource must appear at most once.");
    assert_eq!(alter_all(&mut core, twice, false), [once.clone(), once]);
}

#[test]
fn the_older_request_replaces_everything() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    assert_eq!(replace(&mut core, &[("retention.ms", Some("7000")), ("segment.ms", Some("7000"))]), no());
    assert_eq!(replace(&mut core, &[("segment.ms", Some("8000"))]), no());
    assert_eq!((set(&core, "retention.ms"), set(&core, "segment.ms").as_deref()), (None, Some("8000")));
    let null = refused(42, "Null value not supported for : segment.ms");
    assert_eq!(replace(&mut core, &[("segment.ms", None), ("nope", Some("1"))]), null);
    let low = refused(40, "Invalid value 0 for configuration segment.ms: Value must be at least 1");
    assert_eq!(replace(&mut core, &[("segment.ms", Some("0"))]), low);
    assert_eq!(set(&core, "segment.ms").as_deref(), Some("8000"));
}
