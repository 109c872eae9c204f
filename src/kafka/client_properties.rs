//! librdkafka properties: aliases, which ones this program sets itself, which ones are secret.

use rdkafka::ClientConfig;
use rdkafka::error::{IsError, KafkaError};
use rdkafka::types::RDKafkaConfRes;

use super::native;
use crate::secrets::REDACTED;

/// A property that only the program sets.
struct Owned {
    name: &'static str,
    /// Values of the user that match what the program sets; the first one is shown.
    agreeing: &'static [&'static str],
    reason: &'static str,
    /// What to use instead, if there is something.
    instead: Option<&'static str>,
}

const fn owned(name: &'static str, agreeing: &'static [&'static str], reason: &'static str) -> Owned {
    Owned { name, agreeing, reason, instead: None }
}

/// As [`owned`], with an option that sets what the property would.
const fn replaced(name: &'static str, reason: &'static str, instead: &'static str) -> Owned {
    Owned { name, agreeing: &[], reason, instead: Some(instead) }
}

const BY_TRANSACTION: &str = "offsets are committed in the transaction that holds their results";

const OWNED: &[Owned] = &[
    owned("isolation.level", &["read_committed"], "every reader of this program reads committed records only"),
    owned("enable.auto.commit", &["false"], BY_TRANSACTION),
    owned("enable.auto.offset.store", &["false"], BY_TRANSACTION),
    replaced("auto.commit.interval.ms", BY_TRANSACTION, "--commit-interval of inventory"),
    owned("auto.offset.reset", &["none", "error"], "a missing offset must be refused, not guessed"),
    owned("enable.idempotence", &["true"], "every producer of this program is idempotent"),
    owned("acks", &["all", "-1"], "every producer of this program waits for all in-sync replicas"),
    replaced("transactional.id", "it decides which process fences which", "--instance-id of inventory and analytics"),
    replaced("group.id", "each command has its own group", "--group of inventory, analytics, replay and lag"),
    replaced("group.instance.id", "it also decides the transactional id", "--instance-id of inventory and analytics"),
    owned("group.protocol", &["classic"], "transactions are tested with the classic protocol"),
    owned("partition.assignment.strategy", &[], "partition p of both topics must go to one member"),
    owned("partitioner", &["murmur2", "murmur2_random"], "keys must land where Java's murmur2 puts them"),
    owned("check.crcs", &["true"], "a damaged batch must be refused, not counted"),
    owned("enable.partition.eof", &[], "it marks the end of a range"),
    owned("delivery.report.only.error", &[], "acknowledgements are counted"),
    owned("allow.auto.create.topics", &["false"], "topics are only created explicitly"),
    owned("log.queue", &[], "the program reads librdkafka's log from it"),
];

/// Why the user may not set a property, and what to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnedProperty {
    /// The value that the program sets, if it is always the same. A file may have it.
    pub value: Option<&'static str>,
    /// Why only the program sets it.
    pub reason: &'static str,
    /// What to use instead, if there is something.
    pub instead: Option<&'static str>,
}

/// Why the user may not set a property; `None` when the user may.
#[must_use]
pub fn owned_property(name: &str) -> Option<OwnedProperty> {
    let owned = OWNED.iter().find(|owned| owned.name == name)?;
    Some(OwnedProperty { value: owned.agreeing.first().copied(), reason: owned.reason, instead: owned.instead })
}

/// Whether a value is the one that the program sets for this property anyway.
#[must_use]
pub fn matches_owned_value(name: &str, value: &str) -> bool {
    let value = value.trim();
    OWNED.iter().any(|owned| owned.name == name && owned.agreeing.iter().any(|own| own.eq_ignore_ascii_case(value)))
}

/// librdkafka's aliases, each with the name that this program uses. With two names for one property, the order of two
/// values for it would be undefined.
const ALIASES: &[(&str, &str)] = &[
    ("metadata.broker.list", "bootstrap.servers"),
    ("max.in.flight", "max.in.flight.requests.per.connection"),
    ("sasl.mechanism", "sasl.mechanisms"),
    ("sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.client.id"),
    ("sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.client.secret"),
    ("fetch.message.max.bytes", "max.partition.fetch.bytes"),
    ("queue.buffering.max.ms", "linger.ms"),
    ("message.send.max.retries", "retries"),
    ("compression.codec", "compression.type"),
    ("request.required.acks", "acks"),
    ("message.timeout.ms", "delivery.timeout.ms"),
    ("auto.commit.enable", "enable.auto.commit"),
];

/// Topic properties, which librdkafka also takes with the prefix `topic.`.
const TOPIC_PROPERTIES: &[&str] = &[
    "acks",
    "auto.commit.enable",
    "auto.commit.interval.ms",
    "auto.offset.reset",
    "compression.codec",
    "compression.level",
    "compression.type",
    "consume.callback.max.messages",
    "delivery.timeout.ms",
    "enable.auto.commit",
    "message.timeout.ms",
    "offset.store.method",
    "offset.store.path",
    "offset.store.sync.interval.ms",
    "partitioner",
    "produce.offset.report",
    "queuing.strategy",
    "request.required.acks",
    "request.timeout.ms",
];

/// The name that this program uses for a property.
#[must_use]
pub fn canonical_name(name: &str) -> &str {
    let name = name.strip_prefix("topic.").filter(|rest| TOPIC_PROPERTIES.contains(rest)).unwrap_or(name);
    ALIASES.iter().find(|(second, _)| *second == name).map_or(name, |(_, one)| one)
}

/// Properties without a default, which librdkafka does not list.
const WITHOUT_DEFAULT: &[&str] = &[
    "client.rack",
    "debug",
    "group.id",
    "group.instance.id",
    "group.remote.assignor",
    "https.ca.location",
    "https.ca.pem",
    "plugin.library.paths",
    "sasl.kerberos.keytab",
    "sasl.oauthbearer.assertion.claim.aud",
    "sasl.oauthbearer.assertion.claim.iss",
    "sasl.oauthbearer.assertion.claim.sub",
    "sasl.oauthbearer.assertion.file",
    "sasl.oauthbearer.assertion.jwt.template.file",
    "sasl.oauthbearer.assertion.private.key.file",
    "sasl.oauthbearer.assertion.private.key.passphrase",
    "sasl.oauthbearer.assertion.private.key.pem",
    "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.secret",
    "sasl.oauthbearer.config",
    "sasl.oauthbearer.extensions",
    "sasl.oauthbearer.scope",
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.password",
    "sasl.username",
    "ssl.ca.location",
    "ssl.ca.pem",
    "ssl.certificate.location",
    "ssl.certificate.pem",
    "ssl.cipher.suites",
    "ssl.crl.location",
    "ssl.curves.list",
    "ssl.key.location",
    "ssl.key.password",
    "ssl.key.pem",
    "ssl.keystore.location",
    "ssl.keystore.password",
    "ssl.providers",
    "ssl.sigalgs.list",
    "topic.blacklist",
    "transactional.id",
];

/// Every property name that librdkafka knows.
#[must_use]
pub fn property_names() -> Vec<String> {
    let mut names = native::property_names();
    let second = ALIASES.iter().flat_map(|(second, one)| [*second, *one]);
    names.extend(second.chain(WITHOUT_DEFAULT.iter().copied()).map(str::to_owned));
    names
}

/// Whether a property's value must not be shown, judged by its name. Rather one too many than one too few.
#[must_use]
pub fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    [
        "password",
        "passphrase",
        "secret",
        "token",
        "credential",
        "jaas",
        "ssl.key.",
        "ssl.keystore.key",
        ".pem",
        "private",
        "username",
        "user.info",
        "oauthbearer.config",
    ]
    .iter()
    .any(|part| name.contains(part))
}

/// Whether the value alone is enough to impersonate its owner. A secret that is a path, an address or a name is not.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    let only_tells =
        [".location", ".file", ".url", ".source", "username", "ca.pem", "certificate.pem", ".id", ".class"];
    is_secret(name) && !only_tells.iter().any(|end| name.ends_with(end))
}

/// Why librdkafka rejects a property, in its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PropertyError {
    /// Unknown name.
    Unknown(String),
    /// This build lacks the feature of the property.
    NotBuiltIn(String),
    /// Invalid value.
    Value(String),
}

/// Parts of librdkafka's message about a property or value whose feature is not compiled in.
const NOT_BUILT_IN: [&str; 2] = ["not supported in this build", "not available at build time"];

/// Checks whether librdkafka accepts a property.
///
/// # Errors
///
/// Its error; secrets are redacted.
pub fn check_property(name: &str, value: &str) -> Result<(), PropertyError> {
    #[allow(
        clippy::disallowed_methods,
        reason = "a property is only tried here; clients get theirs from connection.rs"
    )]
    let mut config = ClientConfig::new();
    config.set(name, value);
    let Err(error) = config.create_native_config() else { return Ok(()) };
    let hidden = |text: String| {
        // Some messages end with a line break.
        let text = text.trim_end();
        if is_secret(name) && !value.is_empty() { text.replace(value, REDACTED) } else { text.to_owned() }
    };
    Err(match error {
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, text, ..) => PropertyError::Unknown(text),
        KafkaError::ClientConfig(_, text, ..) if NOT_BUILT_IN.iter().any(|part| text.contains(part)) => {
            PropertyError::NotBuiltIn(hidden(text))
        }
        KafkaError::ClientConfig(result, text, ..) if result.is_error() => PropertyError::Value(hidden(text)),
        KafkaError::Nul(_) => PropertyError::Value("a property cannot hold a NUL character".to_owned()),
        other => PropertyError::Value(hidden(other.to_string())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The properties that librdkafka 2.12 marks as sensitive (`_RK_SENSITIVE` in its `rdkafka_conf.c`).
    const SENSITIVE: [&str; 12] = [
        "ssl.key.location",
        "ssl.key.password",
        "ssl.key.pem",
        "ssl.ca.pem",
        "ssl.keystore.password",
        "sasl.username",
        "sasl.password",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.assertion.private.key.file",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
    ];

    fn is_known(name: &str) -> bool {
        !matches!(check_property(name, "x"), Err(PropertyError::Unknown(_)))
    }

    #[test]
    fn sensitive_properties_are_secret() {
        assert!(SENSITIVE.iter().all(|name| is_secret(name) && is_known(name)));
        assert!(["ssl.truststore.password", "sasl.jaas.config", "basic.auth.user.info"].into_iter().all(is_secret));
        assert!(!["linger.ms", "bootstrap.servers", "ssl.ca.location", "security.protocol"].into_iter().any(is_secret));
        assert!(["sasl.password", "ssl.key.password", "sasl.oauthbearer.client.secret"].into_iter().all(is_credential));
        assert!(!["sasl.username", "ssl.key.location", "ssl.ca.pem"].into_iter().any(is_credential));
        assert!(
            !["sasl.oauthbearer.token.endpoint.url", "basic.auth.credentials.source"].into_iter().any(is_credential)
        );
    }

    /// Two names of one property: the value set by one is read by the other.
    #[test]
    fn an_alias_sets_the_same_property() {
        for (second, one) in ALIASES {
            assert_eq!(canonical_name(second), *one);
            if matches!(check_property(second, "x"), Err(PropertyError::NotBuiltIn(_))) {
                assert!(second.contains("oauthbearer") && is_known(one), "{second}");
                continue;
            }
            let value = ["17", "gzip", "true", "PLAIN"].into_iter().find(|value| check_property(second, value).is_ok());
            let value = value.expect(second);
            #[allow(clippy::disallowed_methods, reason = "the library is asked")]
            let config = ClientConfig::new().set(*second, value).create_native_config().expect("taken");
            assert_eq!(config.get(one).expect(one), config.get(second).expect(second), "{second}");
            assert_eq!(config.get(one).expect(one), value, "{second}");
        }
        for name in TOPIC_PROPERTIES {
            assert!(is_known(&format!("topic.{name}")), "{name}");
        }
        assert_eq!(canonical_name("topic.request.required.acks"), "acks");
        assert_eq!(canonical_name("topic.metadata.refresh.interval.ms"), "topic.metadata.refresh.interval.ms");
    }

    #[test]
    fn owned_properties_exist_under_their_canonical_name() {
        for owned in OWNED {
            assert_eq!(canonical_name(owned.name), owned.name);
            assert!(is_known(owned.name), "{}", owned.name);
        }
        assert!(matches_owned_value("acks", "ALL") && !matches_owned_value("acks", "1"));
    }

    #[test]
    fn librdkafka_reports_unknown_names_and_bad_values() {
        let unknown = PropertyError::Unknown("No such configuration property: \"linger.mss\"".to_owned());
        assert_eq!(check_property("linger.mss", "hush"), Err(unknown));
        let Err(PropertyError::Value(text)) = check_property("linger.ms", "soon") else { panic!("taken") };
        assert!(text.contains("linger.ms") || text.contains("queue.buffering.max.ms"), "{text}");
        let names = property_names();
        assert!(names.iter().filter(|name| !is_known(name)).eq(std::iter::empty::<&String>()), "{names:?}");
        assert!(
            ["queue.buffering.max.ms", "linger.ms", "acks", "request.timeout.ms", "sasl.password"]
                .into_iter()
                .all(|name| names.iter().any(|known| known == name))
        );
    }
}
