//! Checks of `docker-compose.yml`: pinned images, health checks of dependencies, loopback ports, and settings that
//! Kafka documents. Broken copies of the file test the checks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde::de::IgnoredAny;

const COMPOSE: &str = include_str!("../docker-compose.yml");

/// The documented broker settings by image, as printed by `tests/compose/BrokerSettings.java` from the jars of that
/// Kafka.
///
/// Confluent's 7.9 images contain Apache Kafka 3.9.
const BROKER_IMAGES: [(&str, &str); 2] = [
    ("apache/kafka:4.1.0", include_str!("compose/broker-settings-4.1.0.txt")),
    ("confluentinc/cp-kafka:7.9.6", include_str!("compose/broker-settings-3.9.1.txt")),
];

/// Settings that a single node needs for transactions, and that foodstream expects of a clean cluster.
const SINGLE_NODE: [(&str, &str); 7] = [
    ("default.replication.factor", "1"),
    ("min.insync.replicas", "1"),
    ("offsets.topic.replication.factor", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("auto.create.topics.enable", "false"),
];

/// Settings of a cluster node: three replicas, two of them required for a write.
const CLUSTER_NODE: [(&str, &str); 8] = [
    ("default.replication.factor", "3"),
    ("min.insync.replicas", "2"),
    ("offsets.topic.replication.factor", "3"),
    ("transaction.state.log.replication.factor", "3"),
    ("transaction.state.log.min.isr", "2"),
    ("unclean.leader.election.enable", "false"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("auto.create.topics.enable", "false"),
];

/// The profile of the cluster's services, with their node ids.
const CLUSTER: &str = "cluster";
const NODES: [(&str, &str); 3] = [("kafka-1", "1"), ("kafka-2", "2"), ("kafka-3", "3")];

/// Variables with the prefix `KAFKA_` that configure the JVM.
const JVM: [&str; 1] = ["KAFKA_HEAP_OPTS"];

/// Settings that a combined broker and controller needs, because the image's defaults do not apply.
const KRAFT: [&str; 7] = [
    "node.id",
    "process.roles",
    "listeners",
    "advertised.listeners",
    "listener.security.protocol.map",
    "controller.listener.names",
    "controller.quorum.voters",
];

/// Each service and its profile; `None` means that it always starts.
const PROFILES: [(&str, Option<&str>); 7] = [
    ("kafka", None),
    ("kafka-1", Some(CLUSTER)),
    ("kafka-2", Some(CLUSTER)),
    ("kafka-3", Some(CLUSTER)),
    ("kafka-zookeeper", Some("zookeeper")),
    ("ui", Some("ui")),
    ("zookeeper", Some("zookeeper")),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Compose {
    #[serde(rename = "name")]
    _name: String,
    services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Option<IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Service {
    image: String,
    #[serde(default, rename = "hostname")]
    _hostname: Option<String>,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    ports: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    #[serde(default)]
    depends_on: BTreeMap<String, Dependency>,
    #[serde(default)]
    volumes: Vec<String>,
    #[serde(default)]
    healthcheck: Option<HealthCheck>,
    #[serde(default, rename = "stop_grace_period")]
    _stop_grace_period: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Dependency {
    condition: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HealthCheck {
    test: Vec<String>,
    #[serde(rename = "interval")]
    _interval: String,
    #[serde(rename = "timeout")]
    _timeout: String,
    #[serde(rename = "retries")]
    _retries: u32,
}

/// The problems of the compose file, one sentence each.
fn problems(yaml: &str) -> Vec<String> {
    let compose: Compose = match serde_saphyr::from_str(yaml) {
        Ok(compose) => compose,
        Err(error) => return vec![format!("it does not parse: {error}")],
    };
    let mut problems = Vec::new();
    for (name, service) in &compose.services {
        let found = [
            image_problem(service),
            health_problem(service),
            service.ports.iter().find_map(|port| port_problem(port)),
            service.depends_on.iter().find_map(|(target, dependency)| dependency_problem(&compose, target, dependency)),
            service.volumes.iter().find_map(|volume| volume_problem(&compose, volume)),
        ];
        problems.extend(found.into_iter().flatten().map(|problem| format!("{name}: {problem}")));
        problems.extend(setting_problems(service).into_iter().map(|problem| format!("{name}: {problem}")));
    }
    problems.extend(host_port_problems(&compose));
    problems.extend(unused_volumes(&compose));
    problems.extend(profile_problems(&compose));
    problems.extend(cluster_problems(&compose));
    problems
}

/// An image is pinned if its tag is an exact version.
fn image_problem(service: &Service) -> Option<String> {
    let image = &service.image;
    let Some((_, tag)) = image.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) else {
        return Some(format!("image {image} has no tag"));
    };
    let numbers = tag.trim_start_matches('v').split('.').filter(|part| part.parse::<u32>().is_ok()).count();
    (numbers < 3).then(|| format!("image {image} is not pinned to an exact version"))
}

fn health_problem(service: &Service) -> Option<String> {
    match &service.healthcheck {
        None => Some("it has no healthcheck".to_owned()),
        Some(check) if check.test.first().is_none_or(|kind| kind != "CMD") || check.test.len() < 2 => {
            Some("its healthcheck runs no command".to_owned())
        }
        Some(_) => None,
    }
}

fn port_problem(port: &str) -> Option<String> {
    (!port.starts_with("127.0.0.1:")).then(|| format!("port {port} is not bound to loopback"))
}

fn dependency_problem(compose: &Compose, target: &str, dependency: &Dependency) -> Option<String> {
    if dependency.condition != "service_healthy" {
        return Some(format!("it does not wait until {target} is healthy"));
    }
    match compose.services.get(target) {
        None => Some(format!("it depends on {target}, which does not exist")),
        Some(service) if service.healthcheck.is_none() => {
            Some(format!("it waits for {target}, which has no healthcheck"))
        }
        Some(_) => None,
    }
}

fn volume_problem(compose: &Compose, volume: &str) -> Option<String> {
    let name = volume.split(':').next().unwrap_or(volume);
    (!compose.volumes.contains_key(name)).then(|| format!("volume {name} is not declared"))
}

fn host_port_problems(compose: &Compose) -> Vec<String> {
    let mut taken = BTreeSet::new();
    let ports = compose.services.values().flat_map(|service| &service.ports);
    let host = |port: &String| port.rsplit_once(':').map_or(port.clone(), |(host, _)| host.to_owned());
    ports
        .map(host)
        .filter(|host| !taken.insert(host.clone()))
        .map(|host| format!("two services share {host}"))
        .collect()
}

fn unused_volumes(compose: &Compose) -> Vec<String> {
    let is_used = |name: &str| {
        let mut mounts = compose.services.values().flat_map(|service| &service.volumes);
        mounts.any(|mount| mount.split(':').next() == Some(name))
    };
    compose
        .volumes
        .keys()
        .filter(|name| !is_used(name))
        .map(|name| format!("volume {name} is mounted nowhere"))
        .collect()
}

fn profile_problems(compose: &Compose) -> Vec<String> {
    let found: Vec<_> = compose
        .services
        .iter()
        .map(|(name, service)| (name.as_str(), service.profiles.first().map(String::as_str)))
        .collect();
    let several = compose.services.iter().filter(|(_, service)| service.profiles.len() > 1);
    let mut problems: Vec<_> = several.map(|(name, _)| format!("{name}: it has several profiles")).collect();
    if found != PROFILES {
        problems.push(format!("services and their profiles are {found:?}"));
    }
    problems
}

/// Problems that prevent the nodes from forming one cluster.
fn cluster_problems(compose: &Compose) -> Vec<String> {
    let voters: Vec<_> = NODES.iter().map(|(name, id)| format!("{id}@{name}:29093")).collect();
    let first = compose.services.get(NODES[0].0).map(|service| &service.environment);
    let mut problems = Vec::new();
    for (name, id) in NODES {
        let Some(service) = compose.services.get(name) else { continue };
        let variable = |name: &str| service.environment.get(name).map(String::as_str);
        if variable("KAFKA_NODE_ID") != Some(id) {
            problems.push(format!("{name}: its node id is not {id}"));
        }
        if variable("KAFKA_CONTROLLER_QUORUM_VOTERS") != Some(&voters.join(",")) {
            problems.push(format!("{name}: its quorum is not the three nodes"));
        }
        if variable("CLUSTER_ID").is_none()
            || first.and_then(|first| first.get("CLUSTER_ID")).map(String::as_str) != variable("CLUSTER_ID")
        {
            problems.push(format!("{name}: its cluster id is not the first node's"));
        }
    }
    problems
}

/// The broker setting of a variable, by the rule of the images: `KAFKA_A_B` is `a.b`, `__` is `_`, `___` is `-`.
fn setting_of(variable: &str) -> Option<String> {
    if JVM.contains(&variable) {
        return None;
    }
    let name = variable.strip_prefix("KAFKA_")?.to_lowercase();
    Some(name.replace("___", "-").replace("__", "\0").replace('_', ".").replace('\0', "_"))
}

/// Problems of a broker's environment.
fn setting_problems(service: &Service) -> Vec<String> {
    let variables = service.environment.keys();
    let Some((_, documented)) = BROKER_IMAGES.iter().find(|(image, _)| *image == service.image) else {
        // Other images have other variables; only in a broker image is `KAFKA_` the prefix of a broker setting.
        let foreign = service.image.contains("kafka") && !service.image.contains("kafka-ui");
        return if foreign { vec![format!("the settings of {} are not known", service.image)] } else { Vec::new() };
    };
    let documented: BTreeSet<_> = documented.lines().filter(|line| !line.starts_with('#')).collect();
    let settings: BTreeMap<_, _> = service
        .environment
        .iter()
        .filter_map(|(variable, value)| Some((setting_of(variable)?, value.as_str())))
        .collect();

    let unknown =
        variables.filter(|variable| setting_of(variable).is_some_and(|name| !documented.contains(name.as_str())));
    let mut problems: Vec<_> =
        unknown.map(|variable| format!("{variable} is not a documented setting of this Kafka")).collect();
    let of_cluster = service.profiles.iter().any(|profile| profile == CLUSTER);
    let wanted = if of_cluster { &CLUSTER_NODE[..] } else { &SINGLE_NODE[..] };
    for (name, value) in wanted {
        if settings.get(*name) != Some(value) {
            problems.push(format!("{name} is not {value}"));
        }
    }
    if settings.contains_key("process.roles") {
        let missing = KRAFT.iter().filter(|name| !settings.contains_key(**name));
        problems.extend(missing.map(|name| format!("KRaft needs {name}")));
    } else if !settings.contains_key("zookeeper.connect") {
        problems.push("neither KRaft nor ZooKeeper is set up".to_owned());
    }
    let logs = settings.get("log.dirs").copied().unwrap_or_default();
    if !service.volumes.iter().any(|volume| volume.split(':').nth(1) == Some(logs)) {
        problems.push(format!("log.dirs, {logs:?}, is on no volume"));
    }
    problems
}

#[test]
fn compose_file_has_no_problems() {
    assert_eq!(problems(COMPOSE), Vec::<String>::new());
}

#[test]
fn each_broken_copy_is_caught() {
    let cases = [
        (
            "apache/kafka:4.1.0",
            "apache/kafka:latest",
            "kafka: image apache/kafka:latest is not pinned to an exact version",
        ),
        ("apache/kafka:4.1.0", "apache/kafka", "kafka: image apache/kafka has no tag"),
        ("apache/kafka:4.1.0", "apache/kafka:4.1.1", "kafka: the settings of apache/kafka:4.1.1 are not known"),
        ("kafka-ui:v1.5.0", "kafka-ui:v1.5", "ui: image kafbat/kafka-ui:v1.5 is not pinned to an exact version"),
        ("127.0.0.1:9092:9092", "9092:9092", "kafka: port 9092:9092 is not bound to loopback"),
        ("127.0.0.1:9093:9093", "127.0.0.1:9092:9093", "two services share 127.0.0.1:9092"),
        ("service_healthy", "service_started", "ui: it does not wait until kafka is healthy"),
        ("[\"CMD\", \"bash\"", "[\"NONE\", \"bash\"", "zookeeper: its healthcheck runs no command"),
        (
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: \"1\"",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: \"2\"",
            "kafka: transaction.state.log.min.isr is not 1",
        ),
        (
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: \"1\"",
            "",
            "kafka-zookeeper: offsets.topic.replication.factor is not 1",
        ),
        (
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE",
            "KAFKA_AUTO_CREATE_TOPIC_ENABLE",
            "kafka: KAFKA_AUTO_CREATE_TOPIC_ENABLE is not a documented setting of this Kafka",
        ),
        ("KAFKA_ZOOKEEPER_CONNECT: \"zookeeper:2181\"", "", "kafka-zookeeper: neither KRaft nor ZooKeeper is set up"),
        (
            "KAFKA_NODE_ID",
            "KAFKA_ZOOKEEPER_CONNECT",
            "kafka: KAFKA_ZOOKEEPER_CONNECT is not a documented setting of this Kafka",
        ),
        ("KAFKA_CONTROLLER_LISTENER_NAMES: \"CONTROLLER\"", "", "kafka: KRaft needs controller.listener.names"),
        ("      - kafka-data:/var", "      - kafka-dato:/var", "kafka: volume kafka-dato is not declared"),
        ("      - kafka-data:/var", "      - zookeeper-log:/var", "volume kafka-data is mounted nowhere"),
        (
            "KAFKA_LOG_DIRS: \"/var/lib",
            "KAFKA_LOG_DIRS: \"/tmp",
            "kafka: log.dirs, \"/tmp/kafka/data\", is on no volume",
        ),
        (
            "KAFKA_MIN_INSYNC_REPLICAS: \"2\"",
            "KAFKA_MIN_INSYNC_REPLICAS: \"1\"",
            "kafka-2: min.insync.replicas is not 2",
        ),
        ("KAFKA_NODE_ID: \"3\"", "KAFKA_NODE_ID: \"2\"", "kafka-3: its node id is not 3"),
        ("1@kafka-1:29093,2@kafka-2:29093,", "", "kafka-1: its quorum is not the three nodes"),
        ("127.0.0.1:9192:9192", "127.0.0.1:9191:9192", "two services share 127.0.0.1:9191"),
        ("kafka-3-data:/var", "kafka-2-data:/var", "volume kafka-3-data is mounted nowhere"),
        ("profiles: [ui]", "profiles: []", "services and their profiles are"),
        ("profiles: [ui]", "profiles: [ui, all]", "ui: it has several profiles"),
        ("    hostname: kafka\n", "    hostnaem: kafka\n", "it does not parse:"),
        ("      KAFKA_NODE_ID: \"1\"", "      CLUSTER_ID: \"1\"", "it does not parse:"),
    ];
    for (sound, broken, problem) in cases {
        let copy = COMPOSE.replace(sound, broken);
        assert_ne!(copy, COMPOSE, "{sound:?} is no longer in the compose file");
        let found = problems(&copy);
        assert!(
            found.iter().any(|found| found.starts_with(problem)),
            "{sound:?} became {broken:?}; found only {found:#?}"
        );
    }
}

#[test]
fn missing_healthcheck_is_caught() {
    let start = COMPOSE.find("    healthcheck:").expect("kafka has a healthcheck");
    let end = COMPOSE.find("    stop_grace_period").expect("kafka has a grace period");
    let copy = format!("{}{}", &COMPOSE[..start], &COMPOSE[end..]);
    let found = problems(&copy);
    assert_eq!(found, ["kafka: it has no healthcheck", "ui: it waits for kafka, which has no healthcheck"]);
}

#[test]
fn different_cluster_id_is_caught() {
    let start = COMPOSE.find("\n  kafka-2:").expect("the second node");
    let id = COMPOSE[start..].find("hV1u").expect("its cluster id") + start;
    let copy = format!("{}Other{}", &COMPOSE[..id], &COMPOSE[id + 5..]);
    assert_eq!(problems(&copy), ["kafka-2: its cluster id is not the first node's"]);
}

#[test]
fn variables_map_to_settings_like_the_images() {
    assert_eq!(setting_of("KAFKA_ABC_DEF").as_deref(), Some("abc.def"));
    assert_eq!(setting_of("KAFKA_ABC__DEF").as_deref(), Some("abc_def"));
    assert_eq!(setting_of("KAFKA_ABC___DEF").as_deref(), Some("abc-def"));
    assert_eq!(setting_of("CLUSTER_ID"), None);
    assert_eq!(setting_of("KAFKA_HEAP_OPTS"), None);
}
