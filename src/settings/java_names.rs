//! Settings of Kafka's Java clients: their counterparts in librdkafka, or why they have none.

use super::login_module::{self, MODULE};
use super::mapping::{Mapping, MappingError};

/// Settings that are resolved together in `tls_stores.rs`, after precedence is known.
pub(super) const STORES: &[&str] = &[
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.certificates",
    "ssl.keystore.type",
    "ssl.keystore.key",
    "ssl.keystore.certificate.chain",
];

const RENAMED: &[(&str, &str)] = &[
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.request.size", "message.max.bytes"),
    ("sasl.oauthbearer.assertion.template.file", "sasl.oauthbearer.assertion.jwt.template.file"),
];

const TIMEOUT: &str = "--timeout limits every wait";
const ITS_OWN: &str = "this program serializes its own events";
const METRICS: &str = "this program does not run in a Java virtual machine";
const TOKENS: &str = "librdkafka refreshes tokens";
const BROKERS: &str = "only a broker validates tokens";

const UNNEEDED: &[(&str, &str)] = &[
    ("auto.include.jmx.reporter", METRICS),
    ("default.api.timeout.ms", TIMEOUT),
    ("exclude.internal.topics", "this program subscribes to topics by name"),
    ("interceptor.classes", ITS_OWN),
    ("internal.leave.group.on.close", "members leave their group, unless --instance-id makes them static"),
    ("internal.throw.on.fetch.stable.offset.unsupported", "this program waits for pending offsets"),
    ("key.deserializer", ITS_OWN),
    ("key.serializer", ITS_OWN),
    ("max.block.ms", TIMEOUT),
    ("max.poll.records", "librdkafka limits its queue instead"),
    ("metadata.max.idle.ms", "librdkafka removes unused topics"),
    ("metric.reporters", METRICS),
    ("metrics.num.samples", METRICS),
    ("metrics.recording.level", METRICS),
    ("metrics.sample.window.ms", METRICS),
    ("partitioner.adaptive.partitioning.enable", "every record has a key"),
    ("partitioner.availability.timeout.ms", "every record has a key"),
    ("sasl.kerberos.ticket.renew.jitter", TOKENS),
    ("sasl.kerberos.ticket.renew.window.factor", TOKENS),
    ("sasl.login.connect.timeout.ms", TOKENS),
    ("sasl.login.read.timeout.ms", TOKENS),
    ("sasl.login.refresh.buffer.seconds", TOKENS),
    ("sasl.login.refresh.min.period.seconds", TOKENS),
    ("sasl.login.refresh.window.factor", TOKENS),
    ("sasl.login.refresh.window.jitter", TOKENS),
    ("sasl.login.retry.backoff.max.ms", TOKENS),
    ("sasl.login.retry.backoff.ms", TOKENS),
    ("sasl.oauthbearer.clock.skew.seconds", BROKERS),
    ("sasl.oauthbearer.expected.audience", BROKERS),
    ("sasl.oauthbearer.expected.issuer", BROKERS),
    ("sasl.oauthbearer.jwks.endpoint.refresh.ms", BROKERS),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms", BROKERS),
    ("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms", BROKERS),
    ("sasl.oauthbearer.jwks.endpoint.url", BROKERS),
    ("sasl.oauthbearer.jwt.validator.class", BROKERS),
    ("sasl.oauthbearer.scope.claim.name", BROKERS),
    ("sasl.oauthbearer.sub.claim.name", BROKERS),
    ("share.acknowledgement.mode", "this program uses no share groups"),
    ("socket.connection.setup.timeout.max.ms", "socket.connection.setup.timeout.ms limits every attempt"),
    ("ssl.protocol", "the newest common version is used"),
    ("transaction.two.phase.commit.enable", "transactions are committed in one step"),
    ("value.deserializer", ITS_OWN),
    ("value.serializer", ITS_OWN),
];

const IGNORED: &[(&str, &str)] = &[
    ("compression.gzip.level", "use compression.level, which applies to all codecs"),
    ("compression.lz4.level", "use compression.level, which applies to all codecs"),
    ("compression.zstd.level", "use compression.level, which applies to all codecs"),
    ("sasl.oauthbearer.header.urlencode", "librdkafka sends the client id and secret without encoding"),
    ("security.providers", "TLS and SASL use OpenSSL and librdkafka"),
    ("ssl.keymanager.algorithm", "TLS uses OpenSSL"),
    ("ssl.provider", "TLS uses OpenSSL"),
    ("ssl.secure.random.implementation", "random numbers come from OpenSSL"),
    ("ssl.trustmanager.algorithm", "TLS uses OpenSSL"),
];

/// Prefixes of settings of other programs in the same file.
const OF_OTHERS: &[&str] = &["schema.registry.", "basic.auth.", "bearer.auth."];

/// All names that only Java has, for suggestions.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let tables = [RENAMED, UNNEEDED, IGNORED];
    tables.into_iter().flatten().map(|(name, _)| *name).chain(STORES.iter().copied()).chain([
        MODULE,
        "buffer.memory",
        "receive.buffer.bytes",
        "send.buffer.bytes",
        "ssl.enabled.protocols",
    ])
}

/// Maps a setting of the Java clients; `None` if it is not one of them. Fails if ignoring it would give a different
/// connection.
pub(super) fn mapping(name: &str, value: &str) -> Result<Option<Mapping>, MappingError> {
    let find = |table: &[(&'static str, &'static str)]| table.iter().find(|(java, _)| *java == name).map(|(_, it)| *it);
    if let Some(renamed) = find(RENAMED) {
        return Ok(Some(Mapping::As(vec![(renamed, value.to_owned())])));
    }
    if let Some(reason) = find(UNNEEDED) {
        return Ok(Some(Mapping::Unneeded(reason)));
    }
    if let Some(reason) = find(IGNORED) {
        return Ok(Some(Mapping::Ignored(reason)));
    }
    if OF_OTHERS.iter().any(|beginning| name.starts_with(beginning)) {
        return Ok(Some(Mapping::Unneeded("this program uses no schema registry")));
    }
    let system = |renamed| {
        // -1 means the operating system's default in Java; librdkafka uses 0.
        Mapping::As(vec![(renamed, if value == "-1" { "0" } else { value }.to_owned())])
    };
    Ok(Some(match name {
        MODULE => login_module::mapping(value)?,
        "buffer.memory" => {
            let kibibytes = value.parse::<u64>().map(|bytes| bytes.div_ceil(1024).max(1).to_string());
            Mapping::As(vec![("queue.buffering.max.kbytes", kibibytes.unwrap_or_else(|_| value.to_owned()))])
        }
        "send.buffer.bytes" => system("socket.send.buffer.bytes"),
        "receive.buffer.bytes" => system("socket.receive.buffer.bytes"),
        "connections.max.idle.ms" if value == "-1" => system("connections.max.idle.ms"),
        "ssl.endpoint.identification.algorithm" if value.is_empty() => {
            Mapping::As(vec![("ssl.endpoint.identification.algorithm", "none".to_owned())])
        }
        "ssl.enabled.protocols" => versions(value)?,
        "ssl.cipher.suites" if value.contains("TLS_") => {
            return Err(MappingError::new(
                "the cipher suites have Java's names",
                "use OpenSSL's names, separated by ':'; `openssl ciphers -stdname` lists both",
            ));
        }
        "ssl.engine.factory.class" => {
            return Err(MappingError::new(
                "it needs a Java class for TLS, which is not supported",
                "use other ssl.… properties instead",
            ));
        }
        "sasl.login.callback.handler.class" if value.ends_with(".OAuthBearerLoginCallbackHandler") => {
            Mapping::As(vec![("sasl.oauthbearer.method", "oidc".to_owned())])
        }
        "sasl.oauthbearer.jwt.retriever.class" if value.ends_with("JwtRetriever") => {
            Mapping::Unneeded("librdkafka requests tokens itself")
        }
        "sasl.login.callback.handler.class"
        | "sasl.client.callback.handler.class"
        | "sasl.login.class"
        | "sasl.oauthbearer.jwt.retriever.class" => {
            return Err(MappingError::new(
                "it needs a Java class for credentials, which is not supported",
                "use sasl.username and sasl.password, or sasl.oauthbearer.…",
            ));
        }
        "partitioner.ignore.keys" if value.eq_ignore_ascii_case("false") => Mapping::Unneeded("keys are not ignored"),
        "partitioner.class" | "partitioner.ignore.keys" => {
            return Err(MappingError::new(
                "the program sets the partitioner itself: records must be in the partition that Java's murmur2 gives",
                "omit it",
            ));
        }
        "bootstrap.controllers" => {
            return Err(MappingError::new("connections to controllers are not supported", "use bootstrap.servers"));
        }
        _ => return Ok(None),
    }))
}

/// OpenSSL supports TLS 1.2 and 1.3, and librdkafka has no setting for the version.
fn versions(value: &str) -> Result<Mapping, MappingError> {
    let named: Vec<&str> = value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let has = |version: &str| named.iter().any(|name| name.eq_ignore_ascii_case(version));
    if has("TLSv1.3") && !has("TLSv1.2") {
        return Err(MappingError::new(
            "only TLS 1.3 is allowed, but librdkafka would also use 1.2",
            "enforce it in the broker (its ssl.enabled.protocols), and omit it or add TLSv1.2 here",
        ));
    }
    Ok(match named.len() {
        2 if has("TLSv1.3") => Mapping::Unneeded("TLS 1.2 and 1.3 are used"),
        _ => Mapping::Ignored("TLS 1.2 and 1.3 are used"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{PropertyError, check_property, owned_property};

    /// The librdkafka properties that a setting is mapped to.
    fn properties(name: &str, value: &str) -> Vec<(&'static str, String)> {
        match mapping(name, value) {
            Ok(Some(Mapping::As(list))) => list,
            other => panic!("{name}: {:?}", other.map(|it| it.is_some())),
        }
    }

    /// The list has all names of `ProducerConfig`, `ConsumerConfig` and `AdminClientConfig` of Kafka 4.1.
    #[test]
    fn every_setting_of_the_java_clients_is_known() {
        let names = include_str!("../../tests/java/client-names.txt");
        assert_eq!(names.lines().count(), 140);
        for name in names.lines() {
            let known = STORES.contains(&name)
                || owned_property(name).is_some()
                || !matches!(mapping(name, "1"), Ok(None))
                || !matches!(check_property(name, "1"), Err(PropertyError::Unknown(_)));
            assert!(known, "{name}");
        }
    }

    #[test]
    fn mapped_names_exist_in_librdkafka() {
        for (name, value) in [
            ("buffer.memory", "33554432"),
            ("send.buffer.bytes", "131072"),
            ("receive.buffer.bytes", "-1"),
            ("fetch.max.wait.ms", "500"),
            ("max.request.size", "1048576"),
            ("connections.max.idle.ms", "-1"),
            ("ssl.endpoint.identification.algorithm", ""),
            ("sasl.oauthbearer.assertion.template.file", "x"),
        ] {
            for (key, value) in properties(name, value) {
                let tried = check_property(key, &value);
                assert!(matches!(tried, Ok(()) | Err(PropertyError::NotBuiltIn(_))), "{name}: {tried:?}");
            }
        }
        assert_eq!(properties("buffer.memory", "33554432"), [("queue.buffering.max.kbytes", "32768".to_owned())]);
        assert_eq!(properties("receive.buffer.bytes", "-1"), [("socket.receive.buffer.bytes", "0".to_owned())]);
    }

    #[test]
    fn unsupported_settings_are_refused_without_values() {
        for (name, value, named) in [
            ("ssl.enabled.protocols", "TLSv1.3", "only TLS 1.3"),
            ("ssl.cipher.suites", "TLS_AES_256_GCM_SHA384", "cipher suites"),
            ("ssl.engine.factory.class", "hush", "Java class"),
            ("sasl.login.callback.handler.class", "hush", "Java class"),
            ("partitioner.class", "hush", "murmur2"),
        ] {
            let refusal = mapping(name, value).err().unwrap_or_else(|| panic!("{named}: taken"));
            assert!(refusal.message.contains(named), "{refusal:?}");
            assert!(!refusal.message.contains("hush") && !refusal.hint.contains("hush"), "{refusal:?}");
        }
    }

    #[test]
    fn tls_is_never_weaker_than_requested() {
        assert!(matches!(versions("TLSv1.2,TLSv1.3"), Ok(Mapping::Unneeded(_))));
        assert!(matches!(versions("TLSv1.2"), Ok(Mapping::Ignored(_))));
        assert!(matches!(versions("TLSv1.1, TLSv1.2, TLSv1.3"), Ok(Mapping::Ignored(_))));
        assert!(versions("TLSv1.3").is_err());
    }
}
