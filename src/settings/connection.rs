//! Connection settings: properties from file, environment, `-X` and options, as librdkafka properties.

use std::borrow::Cow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::addresses::{self, InvalidAddress};
use super::java_names;
use super::login_module::MODULE;
use super::mapping::Mapping;
use super::precedence::{Properties, PropertySource, PropertyValue, named, place, shown_name};
use super::{java_properties, tls_needs, tls_stores, usage};
use crate::cli;
use crate::exit::Failure;
use crate::kafka::{
    BUILD_WITH_TLS, Connection, HAS_TLS, LogSink, OwnedProperty, PropertyError, canonical_name, check_property,
    is_credential, is_secret, matches_owned_value, owned_property, property_names, tls_hint,
};
use crate::local_broker::BrokerTarget;
use crate::report::printable;
use crate::secrets::Secrets;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct ResolvedConnection {
    pub connection: Connection,
    pub secrets: Secrets,
    pub warnings: Vec<String>,
    /// For `-v`: each property, its value and its source.
    pub details: Vec<String>,
}

/// Properties while they are collected.
#[derive(Default)]
struct Collector {
    properties: Properties,
    secrets: Secrets,
    warnings: Vec<String>,
    details: Vec<String>,
}

/// Resolves the connection. Precedence: option, `-X`, environment, file, default. Fails with exit code 2, the place and
/// a fix.
pub(super) fn connection(
    global: &cli::Global,
    environment: Option<String>,
    from_parent: Option<&str>,
    log: LogSink,
) -> Result<ResolvedConnection, Failure> {
    let mut collector = Collector::default();
    if let Some(lines) = from_parent {
        collector.lines("the connection of the scenario", lines, 0o600)?;
    }
    if let Some(path) = &global.config {
        collector.file(path)?;
    }
    let servers =
        |value: String, source| PropertyValue { key: "bootstrap.servers".to_owned(), value, source, alias: None };
    if let Some(value) = environment.filter(|servers| !servers.is_empty()) {
        collector.properties.add(servers(value, PropertySource::Environment(super::BOOTSTRAP_VARIABLE)));
    }
    for (number, arguments) in (1..).zip(&global.properties) {
        collector.arguments(number, arguments.as_str())?;
    }
    if let Some(value) = &global.bootstrap_servers {
        collector.properties.add(servers(value.clone(), PropertySource::Flag("-b")));
    }
    collector.settled(global, log)
}

impl Collector {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display().to_string();
        let cannot = |error: std::io::Error| {
            usage(format!("cannot read {name}: {error}")).hint("check -F and the file's permissions")
        };
        let bytes = std::fs::read(path).map_err(cannot)?;
        let mode = std::fs::metadata(path).map_err(cannot)?.permissions().mode();
        self.lines(&name, &decoded(&bytes), mode)
    }

    /// Adds the lines of a properties file with this file mode.
    fn lines(&mut self, name: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let entries = java_properties::entries(text).map_err(|malformed| {
            usage(format!("{name}:{}: \\u without four hexadecimal digits", malformed.line))
                .hint("a backslash starts an escape in this format: write \\\\ for a backslash")
        })?;
        let mut guarded = None;
        for entry in entries {
            let source = PropertySource::File { name: name.to_owned(), line: entry.line };
            if !entry.separated && !entry.key.is_empty() {
                let known = property_names().contains(&entry.key);
                let what = if known { format!("{} has no value", entry.key) } else { "no value".to_owned() };
                return Err(usage(format!("{source}: {what}")).hint("write key=value, as in linger.ms=20"));
            }
            if entry.lost_backslash {
                self.warnings.push(format!(
                    "{source}: a backslash before a letter or digit is dropped, as in Java; write \\\\ for a backslash"
                ));
            }
            // Java's clients trim values.
            let (key, value) = (entry.key.trim(), entry.value.trim());
            if is_credential(key) && !value.is_empty() && guarded.is_none() {
                guarded = Some((key.to_owned(), source.to_string()));
            }
            self.add(key, value, source)?;
        }
        if let Some((key, place)) = guarded.filter(|_| mode & 0o004 != 0) {
            self.warnings.push(format!(
                "{place}: every user of this machine can read {key} in this file (mode {:o}): run chmod 600 {name}",
                mode & 0o777
            ));
        }
        Ok(())
    }

    fn arguments(&mut self, number: usize, arguments: &str) -> Result<(), Failure> {
        let Some((key, value)) = arguments.split_once('=') else {
            // The text may be a secret without its name.
            let known = property_names().iter().any(|name| name == arguments.trim());
            let which = if known { arguments.trim().to_owned() } else { format!("number {number}") };
            return Err(usage(format!("-X {which}: no value")).hint("write -X key=value, as in -X linger.ms=20"));
        };
        let key = key.trim();
        if is_credential(key) {
            self.warnings.push(format!(
                "{}: every user of this machine can see it in the process list; put it into a file with mode 600 and \
                 use that with -F",
                place(&PropertySource::Property, key)
            ));
        }
        self.add(key, value, PropertySource::Property)
    }

    /// Adds a setting under any of its names.
    fn add(&mut self, name: &str, value: &str, source: PropertySource) -> Result<(), Failure> {
        if name.is_empty() {
            return Err(
                usage(format!("{source}: the property has no name")).hint("write key=value, as in linger.ms=20")
            );
        }
        if is_credential(name) {
            self.secrets.add(value);
        }
        let here = named(&source, shown_name(name));
        let mapping = java_names::mapping(name, value)
            .map_err(|refusal| usage(format!("{here}: {}", refusal.message)).hint(refusal.hint))?;
        match mapping {
            Some(Mapping::As(list)) => {
                for (key, value) in list {
                    self.insert(key, value, source.clone(), (key != name).then(|| name.to_owned()));
                }
            }
            Some(Mapping::Unneeded(reason)) => {
                self.details.push(format!("{here} is a Java setting that is not needed: {reason}"));
            }
            Some(Mapping::Ignored(reason)) => self.warnings.push(format!("{here} is ignored: {reason}")),
            None => {
                let key = canonical_name(name);
                if let Some(owned) = owned_property(key) {
                    // The file may also serve other programs.
                    if matches!(source, PropertySource::File { .. }) && matches_owned_value(key, value) {
                        self.details.push(format!("{here} has the value that the program sets anyway"));
                        return Ok(());
                    }
                    return Err(refusal_of_owned(&source, name, owned));
                }
                self.insert(key, value.to_owned(), source, (key != name).then(|| name.to_owned()));
            }
        }
        Ok(())
    }

    fn insert(&mut self, key: &str, value: String, source: PropertySource, alias: Option<String>) {
        if key == "sasl.oauthbearer.config" {
            self.secrets.add_pairs(&value);
        } else if is_credential(key) && key != MODULE {
            self.secrets.add(&value);
        }
        self.properties.add(PropertyValue { key: key.to_owned(), value, source, alias });
    }

    /// Checks the properties together and with librdkafka.
    fn settled(mut self, global: &cli::Global, log: LogSink) -> Result<ResolvedConnection, Failure> {
        self.check_names()?;
        let holds = |key: &str| self.properties.get(key).map(|setting| setting.value.trim().to_ascii_lowercase());
        let protocol = holds("security.protocol").unwrap_or_else(|| "plaintext".to_owned());
        let usual_method = holds("sasl.oauthbearer.method").as_deref() == Some("default");
        let module = self.properties.take(MODULE);
        if usual_method {
            // Without the feature, librdkafka does not even accept its own default.
            self.properties.take("sasl.oauthbearer.method");
        }
        self.details.extend(tls_needs::settle(&mut self.properties, HAS_TLS, is_for_tokens)?);
        tls_stores::settle(&mut self.properties, protocol.ends_with("ssl"))?;
        self.settle_servers(&protocol)?;
        if protocol.starts_with("sasl") {
            self.check_mechanism(module.as_ref())?;
        } else if let Some(unused) = ["sasl.password", "sasl.mechanisms", "sasl.oauthbearer.config"]
            .into_iter()
            .find_map(|key| self.properties.get(key))
        {
            let name = unused.alias.as_ref().unwrap_or(&unused.key);
            self.warnings.push(format!(
                "{}: {name} is not used, because security.protocol is {protocol}; {}",
                unused.place(),
                tls_hint("use sasl_ssl for encryption and login")
            ));
        }
        if let Some(off) = self.properties.get("enable.ssl.certificate.verification")
            && protocol.ends_with("ssl")
            && off.value.trim().eq_ignore_ascii_case("false")
        {
            self.warnings
                .push(format!("{}: certificates are not verified, so any server can pose as the broker", off.place()));
        }
        self.check_values()?;
        let properties = self.properties.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect();
        if let Some(user) = self.properties.get("sasl.username") {
            self.secrets.allow(&user.value);
        }
        let mut connection = Connection::new(properties, global.timeout.map_or(DEFAULT_TIMEOUT, Into::into));
        connection.timeout_is_explicit = global.timeout.is_some();
        self.details.extend(self.properties.lines(&connection.defaults()));
        let log = redacting(log, self.secrets.clone());
        connection.wait_log = (!global.quiet).then(|| log.clone());
        connection.log = global.verbose.then_some(log);
        Ok(ResolvedConnection { connection, secrets: self.secrets, warnings: self.warnings, details: self.details })
    }

    /// Checks names first, because a misspelt name in a file is wrong even if another value overrides it.
    fn check_names(&self) -> Result<(), Failure> {
        for setting in self.properties.all() {
            if java_names::STORES.contains(&setting.key.as_str()) || setting.key == MODULE {
                continue;
            }
            if let Err(PropertyError::Unknown(_)) = check_property(&setting.key, "") {
                const LIST: &str = "see the list of properties in librdkafka's CONFIGURATION.md";
                let nearest = nearest(&setting.key);
                // A name that resembles a known one is not a secret.
                let here = match &nearest {
                    Some(_) => named(&setting.source, Some(&setting.key)),
                    None => setting.named(),
                };
                let hint = match nearest {
                    Some(known) if owned_property(canonical_name(&known)).is_some() => {
                        format!("did you mean {known}? only the program sets that property: omit it")
                    }
                    Some(known) => format!("did you mean {known}? {LIST}"),
                    None => LIST.to_owned(),
                };
                return Err(usage(format!("{here}: unknown property")).hint(hint));
            }
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), Failure> {
        for setting in self.properties.iter() {
            let place = setting.place();
            match check_property(&setting.key, &setting.value) {
                Ok(()) => {}
                // Of the properties that librdkafka was built without, all but Kerberos's are for tokens of an identity
                // provider.
                Err(PropertyError::NotBuiltIn(_)) if is_for_tokens(&setting.key) => {
                    return Err(usage(format!(
                        "{place}: {}: tokens of an identity provider are not built in",
                        setting.key
                    ))
                    .hint(tls_needs::BUILD_WITH_OIDC));
                }
                Err(
                    PropertyError::Value(reason) | PropertyError::Unknown(reason) | PropertyError::NotBuiltIn(reason),
                ) => {
                    let message = match &setting.source {
                        _ if is_secret(&setting.key) => place,
                        PropertySource::Property => format!("{place}={}", setting.value),
                        _ => format!("{place}: {}={}", setting.alias.as_ref().unwrap_or(&setting.key), setting.value),
                    };
                    return Err(usage(printable(&self.secrets.redact(&format!("{message}: {reason}"))))
                        .hint(format!("see the allowed values of {} in librdkafka's CONFIGURATION.md", setting.key)));
                }
            }
        }
        Ok(())
    }

    /// Checks the addresses, which are printed in messages and contain no secrets.
    fn settle_servers(&mut self, protocol: &str) -> Result<(), Failure> {
        let Some(servers) = self.properties.get("bootstrap.servers") else { return Ok(()) };
        if servers.value.trim().is_empty() {
            return Err(usage("bootstrap.servers is empty").hint("as in -b localhost:9092"));
        }
        if servers.value.contains('@') {
            return Err(usage(format!("{}: an address must not contain a user or a password", servers.place()))
                .hint("use host:port only, and put sasl.username and sasl.password into a file for -F"));
        }
        if BrokerTarget::parse(Some(&servers.value))? != BrokerTarget::Address {
            return Ok(());
        }
        let addresses =
            addresses::read(&servers.value, protocol).map_err(|InvalidAddress { address, reason, hint }| {
                let message = format!("{}: {reason}", servers.with_value(&address));
                usage(self.secrets.redact(&message)).hint(hint)
            })?;
        if addresses.is_empty() {
            return Err(usage(format!("{}: it contains no address", servers.place())).hint("as in -b localhost:9092"));
        }
        self.properties.set("bootstrap.servers", addresses.join(","));
        Ok(())
    }

    /// Checks for mistakes that librdkafka would only report after a timeout or with an unclear message.
    fn check_mechanism(&self, module: Option<&PropertyValue>) -> Result<(), Failure> {
        let hint = || {
            if HAS_TLS {
                "as in sasl.mechanism=PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER".to_owned()
            } else {
                format!("as in sasl.mechanism=PLAIN; for SCRAM and OAUTHBEARER, {BUILD_WITH_TLS}")
            }
        };
        let Some(mechanism) = self.properties.get("sasl.mechanisms") else {
            let protocol = self.properties.get("security.protocol").map_or_else(String::new, PropertyValue::place);
            return Err(usage(format!("{protocol}: sasl.mechanism is missing")).hint(hint()));
        };
        let (here, name) = (mechanism.place(), mechanism.value.trim().to_ascii_uppercase());
        if name == "GSSAPI" {
            return Err(usage(format!("{here}: GSSAPI is Kerberos, which is not built in")).hint(hint()));
        }
        if let Some(module) = module {
            let fits = match module.value.as_str() {
                "PlainLoginModule" => name == "PLAIN",
                "ScramLoginModule" => name.starts_with("SCRAM-"),
                _ => name == "OAUTHBEARER",
            };
            if !fits {
                let message = format!("{here}: sasl.mechanism={} does not match {}", name, module.value);
                return Err(usage(message).hint(format!(
                    "{} says {}: use the same mechanism in both",
                    module.place(),
                    module.value
                )));
            }
        }
        if name == "OAUTHBEARER" { self.check_tokens(mechanism) } else { Ok(()) }
    }

    /// Checks the source of tokens. librdkafka reports invalid claims late, and quotes them.
    fn check_tokens(&self, mechanism: &PropertyValue) -> Result<(), Failure> {
        const CLAIMS: [&str; 5] = ["principal", "principalClaimName", "scope", "scopeClaimName", "lifeSeconds"];
        let says = |key: &str, value: &str| {
            self.properties.get(key).is_some_and(|setting| setting.value.trim().eq_ignore_ascii_case(value))
        };
        if says("sasl.oauthbearer.method", "oidc") {
            return Ok(());
        }
        if !says("enable.sasl.oauthbearer.unsecure.jwt", "true") {
            return Err(usage(format!("{}: OAUTHBEARER needs a source of tokens", mechanism.place())).hint(
                "use sasl.oauthbearer.method=oidc for an identity provider, or enable.sasl.oauthbearer.unsecure.jwt=true for \
                 unsigned tokens in tests",
            ));
        }
        let claims = self.properties.get("sasl.oauthbearer.config").unwrap_or(mechanism);
        let pairs: Vec<Option<(&str, &str)>> =
            claims.value.split(' ').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=')).collect();
        let known = |name: &str| CLAIMS.contains(&name) || name.starts_with("extension_");
        if !pairs.iter().all(|pair| pair.is_some_and(|(name, value)| known(name) && !value.is_empty()))
            || !pairs.iter().flatten().any(|(name, _)| *name == "principal")
        {
            return Err(usage(format!("{}: cannot read the claims of an unsigned token", claims.place())).hint(
                "as in sasl.oauthbearer.config=principal=alice scope=read,write lifeSeconds=3600, separated by spaces; \
                 also principalClaimName=, scopeClaimName= and extension_NAME=",
            ));
        }
        Ok(())
    }
}

/// The refusal of a property that only the program sets.
fn refusal_of_owned(source: &PropertySource, name: &str, owned: OwnedProperty) -> Failure {
    let OwnedProperty { value, reason, instead } = owned;
    let to = value.map_or_else(String::new, |value| format!(", to {value}"));
    let omit = match source {
        PropertySource::File { .. } => "remove this line".to_owned(),
        _ => format!("omit -X {name}"),
    };
    let hint = match (source, value, instead) {
        (PropertySource::File { .. }, Some(value), _) => format!("{omit}, or write {name}={value}"),
        (.., Some(instead)) => format!("{omit}, and use {instead}"),
        _ => omit,
    };
    usage(format!("{}: the program sets this property itself{to}: {reason}", named(source, Some(name)))).hint(hint)
}

/// Whether a property concerns tokens of an identity provider or the connection to it.
fn is_for_tokens(key: &str) -> bool {
    key.starts_with("sasl.oauthbearer.") || key.starts_with("https.")
}

/// A log sink with redacted secrets.
fn redacting(log: LogSink, secrets: Secrets) -> LogSink {
    LogSink(std::sync::Arc::new(move |line| (log.0)(&secrets.redact(line))))
}

/// The text of a file: UTF-8, otherwise Latin-1, as Java reads all files.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// The most similar known name, if one is similar enough.
fn nearest(name: &str) -> Option<String> {
    let known = property_names().into_iter().chain(java_names::names().map(str::to_owned));
    // Names are in lower case.
    let name = name.to_ascii_lowercase();
    let (distance, known) = known.map(|known| (strsim::damerau_levenshtein(&name, &known), known)).min()?;
    (distance <= (name.len() / 5).clamp(1, 3)).then_some(known)
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
