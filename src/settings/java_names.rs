//! Owns the spelling of Kafka's Java clients: what each of their names is in librdkafka's, and what has no counterpart.

use super::jaas::{LoginModule, login_module};

/// What a name of the Java clients means here.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Mapping {
    /// These properties of librdkafka.
    As(Vec<(&'static str, String)>),
    /// Nothing: this program has no use for it, for the given reason.
    Unneeded(&'static str),
    /// Nothing, and the user may miss it.
    Ignored(&'static str),
}

/// A setting that cannot be had: what is wrong, and the way on. Quotes no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MappingError {
    /// A lowercase fragment.
    pub message: String,
    /// The way on.
    pub hint: String,
}

impl MappingError {
    pub fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { message: message.into(), hint: hint.into() }
    }
}

/// Names that are settled together, when it is known which of them win: see `stores.rs`.
pub(super) const STORES: &[&str] = &[
    "ssl.truststore.type",
    "ssl.truststore.location",
    "ssl.truststore.password",
    "ssl.truststore.certificates",
    "ssl.keystore.type",
    "ssl.keystore.key",
    "ssl.keystore.certificate.chain",
];

/// Under this name stands, for later checks, the login module that a user's name and password came from.
pub(super) const MODULE: &str = "sasl.jaas.config";

/// Another name for the same.
const RENAMED: &[(&str, &str)] = &[
    ("fetch.max.wait.ms", "fetch.wait.max.ms"),
    ("max.request.size", "message.max.bytes"),
    ("sasl.oauthbearer.assertion.template.file", "sasl.oauthbearer.assertion.jwt.template.file"),
];

const TIMEOUT: &str = "--timeout bounds every wait";
const ITS_OWN: &str = "this program reads and writes its events itself";
const METRICS: &str = "there are no metrics of a Java virtual machine";
const TOKENS: &str = "librdkafka renews tokens by itself";
const BROKERS: &str = "it is for who validates tokens";

/// What nothing here depends on.
const UNNEEDED: &[(&str, &str)] = &[
    ("auto.include.jmx.reporter", METRICS),
    ("default.api.timeout.ms", TIMEOUT),
    ("exclude.internal.topics", "no topics are subscribed to by a pattern"),
    ("interceptor.classes", ITS_OWN),
    ("internal.leave.group.on.close", "members leave their group"),
    ("internal.throw.on.fetch.stable.offset.unsupported", "pending offsets are waited for"),
    ("key.deserializer", ITS_OWN),
    ("key.serializer", ITS_OWN),
    ("max.block.ms", TIMEOUT),
    ("max.poll.records", "records are read in batches of another size"),
    ("metadata.max.idle.ms", "librdkafka forgets unused topics by itself"),
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
    ("share.acknowledgement.mode", "there are no share groups here"),
    ("socket.connection.setup.timeout.max.ms", "socket.connection.setup.timeout.ms is the bound of every attempt"),
    ("ssl.protocol", "the newest version that both sides speak is taken"),
    ("transaction.two.phase.commit.enable", "transactions are committed in one step"),
    ("value.deserializer", ITS_OWN),
    ("value.serializer", ITS_OWN),
];

/// What a user may miss.
const IGNORED: &[(&str, &str)] = &[
    ("compression.gzip.level", "compression.level is librdkafka's, for every codec"),
    ("compression.lz4.level", "compression.level is librdkafka's, for every codec"),
    ("compression.zstd.level", "compression.level is librdkafka's, for every codec"),
    ("sasl.oauthbearer.header.urlencode", "librdkafka sends the client's id and secret as they are"),
    ("security.providers", "TLS and SASL are OpenSSL's and librdkafka's"),
    ("ssl.keymanager.algorithm", "TLS is OpenSSL's"),
    ("ssl.provider", "TLS is OpenSSL's"),
    ("ssl.secure.random.implementation", "random numbers are OpenSSL's"),
    ("ssl.trustmanager.algorithm", "TLS is OpenSSL's"),
];

/// Beginnings of names that belong to other programs which share the file.
const OF_OTHERS: &[&str] = &["schema.registry.", "basic.auth.", "bearer.auth."];

/// Every name that is only Java's, for suggestions.
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

/// What a setting of the Java clients means; `None` for what is librdkafka's own, or nobody's.
///
/// # Errors
///
/// When it cannot be had, and the connection would be another than the one that was asked for.
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
        return Ok(Some(Mapping::Unneeded("there is no schema registry here")));
    }
    let system = |renamed| {
        // Minus one is the operating system's default in Java, which is 0 in librdkafka.
        Mapping::As(vec![(renamed, if value == "-1" { "0" } else { value }.to_owned())])
    };
    Ok(Some(match name {
        MODULE => jaas(value)?,
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
                "the cipher suites have the names that Java gives them",
                "give OpenSSL's names, separated by ':'; `openssl ciphers -stdname` lists both",
            ));
        }
        "ssl.engine.factory.class" => {
            return Err(MappingError::new(
                "TLS is made by a Java class, which cannot be had here",
                "say it with ssl.… instead",
            ));
        }
        "sasl.login.callback.handler.class" if value.ends_with(".OAuthBearerLoginCallbackHandler") => {
            Mapping::As(vec![("sasl.oauthbearer.method", "oidc".to_owned())])
        }
        "sasl.oauthbearer.jwt.retriever.class" if value.ends_with("JwtRetriever") => {
            Mapping::Unneeded("librdkafka asks for tokens by itself")
        }
        "sasl.login.callback.handler.class"
        | "sasl.client.callback.handler.class"
        | "sasl.login.class"
        | "sasl.oauthbearer.jwt.retriever.class" => {
            return Err(MappingError::new(
                "the credentials come from a Java class, which cannot be had here",
                "give them with sasl.username and sasl.password, or sasl.oauthbearer.…",
            ));
        }
        "partitioner.ignore.keys" if value.eq_ignore_ascii_case("false") => Mapping::Unneeded("keys are not ignored"),
        "partitioner.class" | "partitioner.ignore.keys" => {
            return Err(MappingError::new(
                "the program owns this property: keys must land where Java's murmur2 puts them",
                "leave it out",
            ));
        }
        "bootstrap.controllers" => {
            return Err(MappingError::new("controllers are not spoken to", "give brokers with bootstrap.servers"));
        }
        _ => return Ok(None),
    }))
}

/// OpenSSL speaks TLS 1.2 and 1.3, and librdkafka has no setting for it.
fn versions(value: &str) -> Result<Mapping, MappingError> {
    let named: Vec<&str> = value.split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    let has = |version: &str| named.iter().any(|name| name.eq_ignore_ascii_case(version));
    if has("TLSv1.3") && !has("TLSv1.2") {
        return Err(MappingError::new(
            "TLS 1.3 alone is asked for, and librdkafka would take 1.2 too",
            "let the broker insist on it (its ssl.enabled.protocols), and leave it out or add TLSv1.2 here",
        ));
    }
    Ok(match named.len() {
        2 if has("TLSv1.3") => Mapping::Unneeded("TLS 1.2 and 1.3 are spoken"),
        _ => Mapping::Ignored("TLS 1.2 and 1.3 are spoken"),
    })
}

/// What the login modules of Kafka itself say.
fn jaas(text: &str) -> Result<Mapping, MappingError> {
    let module = login_module(text).map_err(|problem| {
        MappingError::new(
            format!("the login module cannot be read: {problem}"),
            "as in org.apache.kafka.common.security.plain.PlainLoginModule required username=\"…\" password=\"…\"; \
             — in a file `\\` at a line's end goes on with the next one, and a backslash is written \\\\",
        )
    })?;
    match module.class.rsplit('.').next().unwrap_or_default() {
        "PlainLoginModule" if is_kafkas(&module) => password(&module, "PlainLoginModule"),
        "ScramLoginModule" if is_kafkas(&module) => password(&module, "ScramLoginModule"),
        "OAuthBearerLoginModule" if is_kafkas(&module) => bearer(&module),
        "Krb5LoginModule" => Err(MappingError::new(
            "it asks for Kerberos, which is not built in",
            "PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER are",
        )),
        _ => Err(MappingError::new(
            "its login module is a Java class that cannot be had here",
            "PlainLoginModule, ScramLoginModule and OAuthBearerLoginModule of org.apache.kafka.common.security are understood",
        )),
    }
}

/// Some services copy Kafka's classes under a name of their own before it, and mean the same.
fn is_kafkas(module: &LoginModule) -> bool {
    module.class.contains("org.apache.kafka.common.security.")
}

fn password(module: &LoginModule, name: &'static str) -> Result<Mapping, MappingError> {
    if module.option("tokenauth").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Err(MappingError::new(
            "it asks for delegation tokens (tokenauth), which librdkafka does not have",
            "use the user's own name and password",
        ));
    }
    let wanted = |option: &str| {
        module.option(option).map(str::to_owned).ok_or_else(|| {
            MappingError::new(
                format!("its login module has no {option}"),
                format!("add {option}=\"…\" before the semicolon"),
            )
        })
    };
    let (username, password) = (wanted("username")?, wanted("password")?);
    Ok(Mapping::As(vec![("sasl.username", username), ("sasl.password", password), (MODULE, name.to_owned())]))
}

/// The token that Kafka's module makes for tests, as librdkafka makes it; or a client's id and secret for an identity provider.
fn bearer(module: &LoginModule) -> Result<Mapping, MappingError> {
    let mut meant = vec![(MODULE, "OAuthBearerLoginModule".to_owned())];
    if module.option("clientId").is_some() || module.option("clientSecret").is_some() {
        let names = [
            ("clientId", "sasl.oauthbearer.client.id"),
            ("clientSecret", "sasl.oauthbearer.client.secret"),
            ("scope", "sasl.oauthbearer.scope"),
        ];
        meant.extend(names.into_iter().filter_map(|(java, own)| Some((own, module.option(java)?.to_owned()))));
        meant.push(("sasl.oauthbearer.method", "oidc".to_owned()));
        return Ok(Mapping::As(meant));
    }
    if !module.options.iter().any(|(name, _)| name.starts_with("unsecuredLogin")) {
        // Its client's id may stand outside of it.
        return Ok(Mapping::As(meant));
    }
    let claim = module.option("unsecuredLoginPrincipalClaimName").unwrap_or("sub");
    let mut parts = Vec::new();
    for (name, value) in &module.options {
        let Some(name) = name.strip_prefix("unsecuredLogin") else { continue };
        let part = match name {
            "PrincipalClaimName" => format!("principalClaimName={value}"),
            "ScopeClaimName" => format!("scopeClaimName={value}"),
            "LifetimeSeconds" => format!("lifeSeconds={value}"),
            "StringClaim_scope" => format!("scope={value}"),
            "ListClaim_scope" => {
                let mut characters = value.chars();
                let separator = characters.next().unwrap_or(',');
                format!("scope={}", characters.as_str().replace(separator, ","))
            }
            _ => match (name.strip_prefix("StringClaim_"), name.strip_prefix("Extension_")) {
                (Some(own), _) if own == claim => format!("principal={value}"),
                (_, Some(extension)) => format!("extension_{extension}={value}"),
                _ => {
                    return Err(MappingError::new(
                        format!("librdkafka's unsecured token has no unsecuredLogin{}", sort(name)),
                        "it has a principal, a scope, a lifetime and extensions",
                    ));
                }
            },
        };
        if value.contains(' ') {
            return Err(MappingError::new(
                "a claim of its unsecured token holds a blank, which librdkafka's cannot",
                "leave the blank out",
            ));
        }
        parts.push(part);
    }
    if !parts.iter().any(|part| part.starts_with("principal=")) {
        return Err(MappingError::new(
            "its unsecured token has no principal",
            format!("add unsecuredLoginStringClaim_{claim}=\"…\""),
        ));
    }
    meant.push(("enable.sasl.oauthbearer.unsecure.jwt", "true".to_owned()));
    meant.push(("sasl.oauthbearer.config", parts.join(" ")));
    Ok(Mapping::As(meant))
}

/// The sort of a claim, without the name that the user gave it.
fn sort(name: &str) -> &str {
    name.split_inclusive('_').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{PropertyError, check_property, owned_property};

    /// The properties of librdkafka that a setting comes to.
    fn properties(name: &str, value: &str) -> Vec<(&'static str, String)> {
        match mapping(name, value) {
            Ok(Some(Mapping::As(list))) => list.into_iter().filter(|(key, _)| *key != MODULE).collect(),
            other => panic!("{name}: {:?}", other.map(|it| it.is_some())),
        }
    }

    fn module(class: &str, options: &str) -> String {
        format!("org.apache.kafka.common.security.{class} required {options};")
    }

    /// The list is what the `ProducerConfig`, `ConsumerConfig` and `AdminClientConfig` of Kafka 4.1 name.
    #[test]
    fn every_setting_of_the_java_clients_has_a_meaning_here() {
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
    fn what_a_setting_is_renamed_to_is_a_property_of_librdkafka() {
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
    fn a_login_module_becomes_a_name_and_a_password_or_a_token() {
        let plain = module("plain.PlainLoginModule", "username=\"a\" password=\"b c\"");
        let pair = [("sasl.username", "a".to_owned()), ("sasl.password", "b c".to_owned())];
        assert_eq!(properties(MODULE, &plain), pair);
        let shaded = format!("kafkashaded.{}", module("scram.ScramLoginModule", "username=\"a\" password=\"b c\""));
        assert_eq!(properties(MODULE, &shaded), pair);
        let bearer = |options: &str| properties(MODULE, &module("oauthbearer.OAuthBearerLoginModule", options));
        let claims = "unsecuredLoginStringClaim_sub=\"alice\" unsecuredLoginListClaim_scope=\"|r|w\" \
                      unsecuredLoginLifetimeSeconds=\"60\" unsecuredLoginExtension_trace=\"7\"";
        assert_eq!(bearer(claims)[1].1, "principal=alice scope=r,w lifeSeconds=60 extension_trace=7");
        let client = bearer("clientId=\"i\" clientSecret=\"s\" scope=\"k\"");
        assert_eq!(client.len(), 4);
        assert_eq!(client[1], ("sasl.oauthbearer.client.secret", "s".to_owned()));
    }

    #[test]
    fn what_cannot_be_had_is_refused_and_quotes_no_value() {
        let kerberos = "com.sun.security.auth.module.Krb5LoginModule required password=\"hush\";".to_owned();
        let iam = "software.amazon.msk.auth.iam.IAMLoginModule required x=\"hush\";".to_owned();
        for (name, value, named) in [
            (MODULE, kerberos, "Kerberos"),
            (MODULE, iam, "Java class"),
            (MODULE, module("plain.PlainLoginModule", "username=\"a\""), "no password"),
            (MODULE, module("scram.ScramLoginModule", "username=a password=hush tokenauth=true"), "delegation"),
            (
                MODULE,
                module("oauthbearer.OAuthBearerLoginModule", "unsecuredLoginNumberClaim_hush=\"4\""),
                "NumberClaim_",
            ),
            (
                MODULE,
                module("oauthbearer.OAuthBearerLoginModule", "unsecuredLoginLifetimeSeconds=\"4\""),
                "no principal",
            ),
            (MODULE, "x.Module required password=\"hush\"".to_owned(), "semicolon"),
            ("ssl.enabled.protocols", "TLSv1.3".to_owned(), "TLS 1.3 alone"),
            ("ssl.cipher.suites", "TLS_AES_256_GCM_SHA384".to_owned(), "cipher suites"),
            ("ssl.engine.factory.class", "hush".to_owned(), "Java class"),
            ("sasl.login.callback.handler.class", "hush".to_owned(), "Java class"),
            ("partitioner.class", "hush".to_owned(), "murmur2"),
        ] {
            let refusal = mapping(name, &value).err().unwrap_or_else(|| panic!("{named}: taken"));
            assert!(refusal.message.contains(named), "{refusal:?}");
            assert!(!refusal.message.contains("hush") && !refusal.hint.contains("hush"), "{refusal:?}");
        }
    }

    #[test]
    fn tls_is_never_weaker_than_asked_for() {
        assert!(matches!(versions("TLSv1.2,TLSv1.3"), Ok(Mapping::Unneeded(_))));
        assert!(matches!(versions("TLSv1.2"), Ok(Mapping::Ignored(_))));
        assert!(matches!(versions("TLSv1.1, TLSv1.2, TLSv1.3"), Ok(Mapping::Ignored(_))));
        assert!(versions("TLSv1.3").is_err());
    }
}
