//! Tests of `DescribeConfigs`. The expected responses are those of Apache Kafka 4.1.0.

use super::super::test_support::{broker, make, open, send, text};
use super::*;
use crate::broker::directory::Directory;

fn describe(core: &mut Core, resources: &[(i8, &str)], keys: Option<&[&str]>) -> Vec<DescribeConfigsResult> {
    let resources = resources.iter().map(|(kind, name)| {
        DescribeConfigsResource::default()
            .with_resource_type(*kind)
            .with_resource_name(text(name))
            .with_configuration_keys(keys.map(|keys| keys.iter().map(|key| text(key)).collect()))
    });
    let request = DescribeConfigsRequest::default().with_resources(resources.collect()).with_include_synonyms(true);
    send(4, |context| core.describe_configs(request, context)).results
}

/// Name, value, source and synonyms.
type Row = (String, String, i8, Vec<(String, String, i8)>);

fn rows(result: &DescribeConfigsResult) -> Vec<Row> {
    let synonyms = |config: &DescribeConfigsResourceResult| {
        let synonym = |synonym: &DescribeConfigsSynonym| {
            (synonym.name.to_string(), synonym.value.clone().unwrap().to_string(), synonym.source)
        };
        config.synonyms.iter().map(synonym).collect()
    };
    let row = |config: &DescribeConfigsResourceResult| {
        (config.name.to_string(), config.value.clone().unwrap().to_string(), config.config_source, synonyms(config))
    };
    result.configs.iter().map(row).collect()
}

fn row(name: &str, value: &str, source: i8, synonyms: &[(&str, &str, i8)]) -> Row {
    let synonym = |(name, value, source): &(&str, &str, i8)| ((*name).to_owned(), (*value).to_owned(), *source);
    (name.to_owned(), value.to_owned(), source, synonyms.iter().map(synonym).collect())
}

#[test]
fn describes_overrides_and_defaults_of_a_topic() {
    let mut core = broker();
    make(&mut core, "a", 1, &[("cleanup.policy", "compact"), ("retention.ms", "5000")]);
    let keys = ["cleanup.policy", "nope", "retention.ms", "segment.ms", "segment.bytes"];
    let result = describe(&mut core, &[(resource::TOPIC, "a")], Some(&keys)).remove(0);
    assert_eq!((result.error_code, result.error_message.as_ref().unwrap().as_str()), (0, ""));
    assert_eq!(
        rows(&result),
        [
            row(
                "cleanup.policy",
                "compact",
                1,
                &[("cleanup.policy", "compact", 1), ("log.cleanup.policy", "delete", 5)]
            ),
            row("retention.ms", "5000", 1, &[("retention.ms", "5000", 1)]),
            row("segment.bytes", "1073741824", 5, &[("log.segment.bytes", "1073741824", 5)]),
            row("segment.ms", "604800000", 5, &[]),
        ]
    );
    let types: Vec<i8> = result.configs.iter().map(|config| config.config_type).collect();
    assert_eq!(types, [7, 5, 3, 5]);
}

#[test]
fn describes_all_configs_without_a_filter() {
    let mut core = broker();
    make(&mut core, "a", 1, &[("internal.segment.bytes", "1000")]);
    for keys in [None, Some(&[][..])] {
        let result = describe(&mut core, &[(resource::TOPIC, "a")], keys).remove(0);
        assert_eq!(result.configs.len(), 33);
        assert!(result.configs.iter().all(|config| !config.read_only && config.documentation.is_none()));
    }
}

#[test]
fn describes_configs_in_every_version() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    for version in 1..=4 {
        let resource = DescribeConfigsResource::default()
            .with_resource_type(resource::TOPIC)
            .with_resource_name(text("a"))
            .with_configuration_keys(Some(vec![text("preallocate")]));
        let request =
            DescribeConfigsRequest::default().with_resources(vec![resource]).with_include_documentation(version >= 3);
        let result = send(version, |context| core.describe_configs(request, context)).results.remove(0);
        assert_eq!(result.configs.len(), 1);
        assert_eq!(result.configs[0].documentation.is_some(), version >= 3);
        assert_eq!(result.configs[0].synonyms, []);
    }
}

#[test]
fn refuses_unknown_resources_with_kafkas_message() {
    let mut core = broker();
    for (kind, name, error, message) in [
        (resource::TOPIC, "nope", 3, ""),
        (resource::TOPIC, "", 17, "Topic name is invalid: the empty string is not allowed"),
        (resource::BROKER, "2", 42, "Unexpected broker id, expected 1 or empty string, but received 2"),
        (resource::BROKER, "x", 42, "Broker id must be an integer, but it is: x"),
        (resource::BROKER, "", 0, ""),
        (resource::GROUP, "g", 0, ""),
    ] {
        let result = describe(&mut core, &[(kind, name)], None).remove(0);
        assert_eq!((result.error_code, result.error_message.unwrap().as_str()), (error, message), "{kind} {name}");
        assert_eq!(result.configs, []);
    }
}

#[test]
fn an_unknown_type_invalidates_the_request() {
    let mut core = broker();
    make(&mut core, "a", 1, &[]);
    let results = describe(&mut core, &[(resource::TOPIC, "a"), (3, "x")], None);
    assert!(results.iter().all(|result| result.error_code == 42 && result.configs.is_empty()));
}

#[test]
fn describes_read_only_broker_configs() {
    let folder = tempfile::tempdir().unwrap();
    let mut core = open(Storage::Directory(Directory::for_test(folder.path())));
    let keys = ["num.partitions", "auto.create.topics.enable", "node.id", "message.max.bytes", "log.dirs"];
    let result = describe(&mut core, &[(resource::BROKER, "1")], Some(&keys)).remove(0);
    let folder = folder.path().display().to_string();
    assert_eq!(
        rows(&result),
        [
            row(
                "auto.create.topics.enable",
                "false",
                4,
                &[("auto.create.topics.enable", "false", 4), ("auto.create.topics.enable", "true", 5)]
            ),
            row("log.dirs", &folder, 4, &[("log.dirs", &folder, 4)]),
            row("message.max.bytes", "1048588", 5, &[("message.max.bytes", "1048588", 5)]),
            row("node.id", "1", 4, &[("node.id", "1", 4)]),
            row("num.partitions", "1", 5, &[("num.partitions", "1", 5)]),
        ]
    );
    assert!(result.configs.iter().all(|config| config.read_only));
    let all = describe(&mut core, &[(resource::BROKER, "1")], None).remove(0);
    assert!(all.configs.is_sorted_by_key(|config| config.name.to_string()));
}
