//! Owns what was meant about the connection to a broker: everything said about it, from the file up to the flag, as the
//! properties of the client.

use std::borrow::Cow;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use super::addresses::{self, InvalidAddress};
use super::java_names::{self, Mapping};
use super::precedence::{Properties, PropertySource, PropertyValue, place, shown_name};
use super::{java_properties, tls_stores, usage};
use crate::cli;
use crate::exit::Failure;
use crate::kafka::{
    Connection, LogSink, PropertyError, canonical_name, check_property, is_credential, is_secret, matches_owned_value,
    owned_property, property_names,
};
use crate::local_broker::BrokerTarget;
use crate::report::printable;
use crate::secrets::Secrets;

/// Bound of every single wait for the broker where `--timeout` says none.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// A connection as it is meant, with what is to be said about it.
pub(super) struct ResolvedConnection {
    pub connection: Connection,
    pub secrets: Secrets,
    /// Not to be missed.
    pub warnings: Vec<String>,
    /// For the curious: each property, its value and where it was said.
    pub details: Vec<String>,
}

/// What was said so far.
#[derive(Default)]
struct Collector {
    effective: Properties,
    secrets: Secrets,
    warnings: Vec<String>,
    details: Vec<String>,
}

/// The connection: flag, `-X`, environment (its bootstrap servers), file, default, the first that says something.
///
/// # Errors
///
/// With exit code 2, the place and the fix for whatever is wrong.
pub(super) fn connection(
    global: &cli::Global,
    environment: Option<String>,
    from_parent: Option<&str>,
    log: LogSink,
) -> Result<ResolvedConnection, Failure> {
    let mut said = Collector::default();
    if let Some(lines) = from_parent {
        said.lines("the script's connection", lines, 0o600)?;
    }
    if let Some(path) = &global.config {
        said.file(path)?;
    }
    let servers =
        |value: String, source| PropertyValue { key: "bootstrap.servers".to_owned(), value, source, spelled: None };
    if let Some(value) = environment.filter(|servers| !servers.is_empty()) {
        said.effective.say(servers(value, PropertySource::Environment(super::BOOTSTRAP_VARIABLE)));
    }
    for (number, typed) in (1..).zip(&global.properties) {
        said.typed(number, typed.as_str())?;
    }
    if let Some(value) = &global.bootstrap_servers {
        said.effective.say(servers(value.clone(), PropertySource::Flag("-b")));
    }
    said.settled(global, log)
}

impl Collector {
    fn file(&mut self, path: &Path) -> Result<(), Failure> {
        let name = path.display().to_string();
        let cannot = |error: std::io::Error| {
            usage(format!("{name} cannot be read: {error}")).hint("check -F and the file's permissions")
        };
        let bytes = std::fs::read(path).map_err(cannot)?;
        let mode = std::fs::metadata(path).map_err(cannot)?.permissions().mode();
        self.lines(&name, &decoded(&bytes), mode)
    }

    /// Takes the lines of a properties file that has this mode.
    fn lines(&mut self, name: &str, text: &str, mode: u32) -> Result<(), Failure> {
        let entries = java_properties::entries(text).map_err(|malformed| {
            usage(format!("{name}:{}: \\u without four hexadecimal digits", malformed.line))
                .hint("in this format a backslash begins an escape: write \\\\ for one")
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
                    "{source}: a backslash stands before a letter or digit and vanishes, as in Java; write \\\\ for one"
                ));
            }
            // Java's clients trim the values of their settings.
            let (key, value) = (entry.key.trim(), entry.value.trim());
            if is_credential(key) && !value.is_empty() && guarded.is_none() {
                guarded = Some((key.to_owned(), source.to_string()));
            }
            self.say(key, value, source)?;
        }
        if let Some((key, place)) = guarded.filter(|_| mode & 0o004 != 0) {
            self.warnings.push(format!(
                "{place}: {key} stands in a file that every user of this machine can read (mode {:o}): chmod 600 {name}",
                mode & 0o777
            ));
        }
        Ok(())
    }

    fn typed(&mut self, number: usize, typed: &str) -> Result<(), Failure> {
        let Some((key, value)) = typed.split_once('=') else {
            // Whatever it is, it may be a secret with its name forgotten.
            let known = property_names().iter().any(|name| name == typed.trim());
            let which = if known { typed.trim().to_owned() } else { format!("number {number}") };
            return Err(usage(format!("-X {which}: no value")).hint("write -X key=value, as in -X linger.ms=20"));
        };
        let key = key.trim();
        if is_credential(key) {
            self.warnings.push(format!(
                "{}: every user of this machine can see it in the list of processes; put it into a file of mode 600 and \
                 name that with -F",
                place(&PropertySource::Property, key)
            ));
        }
        self.say(key, value, PropertySource::Property)
    }

    /// Takes one setting, whichever way it is spelled.
    fn say(&mut self, name: &str, value: &str, source: PropertySource) -> Result<(), Failure> {
        if name.is_empty() {
            return Err(
                usage(format!("{source}: a property without a name")).hint("write key=value, as in linger.ms=20")
            );
        }
        if is_credential(name) {
            self.secrets.add(value);
        }
        let here = place(&source, name);
        let mapping = java_names::mapping(name, value)
            .map_err(|refusal| usage(format!("{here}: {name}: {}", refusal.message)).hint(refusal.hint))?;
        match mapping {
            Some(Mapping::As(list)) => {
                for (key, value) in list {
                    self.keep(key, value, source.clone(), (key != name).then(|| name.to_owned()));
                }
            }
            Some(Mapping::Unneeded(reason)) => {
                self.details.push(format!("{here}: {name} is Java's and not needed: {reason}"));
            }
            Some(Mapping::Ignored(reason)) => self.warnings.push(format!("{here}: {name} is ignored: {reason}")),
            None => {
                let key = canonical_name(name);
                if let Some(reason) = owned_property(key) {
                    // A file may serve other programs too.
                    if matches!(source, PropertySource::File { .. }) && matches_owned_value(key, value) {
                        self.details.push(format!("{here}: {name} is what the program does anyhow"));
                        return Ok(());
                    }
                    return Err(usage(format!("{here}: the program owns this property: {reason}")).hint("leave it out"));
                }
                self.keep(key, value.to_owned(), source, (key != name).then(|| name.to_owned()));
            }
        }
        Ok(())
    }

    fn keep(&mut self, key: &str, value: String, source: PropertySource, spelled: Option<String>) {
        if key == "sasl.oauthbearer.config" {
            self.secrets.add_pairs(&value);
        } else if is_credential(key) && key != java_names::MODULE {
            self.secrets.add(&value);
        }
        self.effective.say(PropertyValue { key: key.to_owned(), value, source, spelled });
    }

    /// What holds of all that was said, checked as a whole and by the library.
    fn settled(mut self, global: &cli::Global, log: LogSink) -> Result<ResolvedConnection, Failure> {
        self.check_names()?;
        let holds = |key: &str| self.effective.get(key).map(|setting| setting.value.trim().to_ascii_lowercase());
        let protocol = holds("security.protocol").unwrap_or_else(|| "plaintext".to_owned());
        let usual_method = holds("sasl.oauthbearer.method").as_deref() == Some("default");
        let module = self.effective.take(java_names::MODULE);
        if usual_method {
            // Without the feature the library takes not even its own default.
            self.effective.take("sasl.oauthbearer.method");
        }
        tls_stores::settle(&mut self.effective, protocol.ends_with("ssl"))?;
        self.settle_servers(&protocol)?;
        if protocol.starts_with("sasl") {
            self.check_mechanism(module.as_ref())?;
        } else if let Some(unused) = ["sasl.password", "sasl.mechanisms", "sasl.oauthbearer.config"]
            .into_iter()
            .find_map(|key| self.effective.get(key))
        {
            let name = unused.spelled.as_ref().unwrap_or(&unused.key);
            self.warnings.push(format!(
                "{}: {name} is not used: security.protocol is {protocol}, and sasl_ssl is the encrypted one with it",
                unused.place()
            ));
        }
        if let Some(off) = self.effective.get("enable.ssl.certificate.verification")
            && protocol.ends_with("ssl")
            && off.value.trim().eq_ignore_ascii_case("false")
        {
            self.warnings.push(format!("{}: whoever answers is taken for the broker", off.place()));
        }
        self.check_values()?;
        let properties = self.effective.iter().map(|setting| (setting.key.clone(), setting.value.clone())).collect();
        if let Some(user) = self.effective.get("sasl.username") {
            self.secrets.allow(&user.value);
        }
        let mut connection = Connection::new(properties, global.timeout.map_or(DEFAULT_TIMEOUT, Into::into));
        connection.timeout_is_explicit = global.timeout.is_some();
        self.details.extend(self.effective.lines(&connection.defaults()));
        let log = hushed(log, self.secrets.clone());
        connection.wait_log = (!global.quiet).then(|| log.clone());
        connection.log = global.verbose.then_some(log);
        Ok(ResolvedConnection { connection, secrets: self.secrets, warnings: self.warnings, details: self.details })
    }

    /// Names first: a name that is misspelt in the file stays wrong when another value wins.
    fn check_names(&self) -> Result<(), Failure> {
        for setting in self.effective.all() {
            if java_names::STORES.contains(&setting.key.as_str()) || setting.key == java_names::MODULE {
                continue;
            }
            if let Err(PropertyError::Unknown(words)) = check_property(&setting.key, "") {
                let nearest = nearest(&setting.key);
                let told = nearest.is_some() || shown_name(&setting.key).is_some();
                // The library's words hold the name.
                let words = if told { words } else { "no property has a name like this one".to_owned() };
                let suggestion = nearest.map_or_else(String::new, |known| format!("did you mean {known}? "));
                return Err(usage(format!("{}: {}", setting.place(), printable(&words)))
                    .hint(format!("{suggestion}librdkafka's CONFIGURATION.md lists its properties")));
            }
        }
        Ok(())
    }

    fn check_values(&self) -> Result<(), Failure> {
        for setting in self.effective.iter() {
            let place = setting.place();
            match check_property(&setting.key, &setting.value) {
                Ok(()) => {}
                // Of the names that the library leaves out, all but Kerberos's are for tokens of an identity provider.
                Err(PropertyError::NotBuiltIn(_)) if is_for_tokens(&setting.key) => {
                    return Err(usage(format!(
                        "{place}: {}: tokens of an identity provider are not built in",
                        setting.key
                    ))
                    .hint("build with the cargo feature `oidc`: cargo install --path . --features oidc"));
                }
                Err(PropertyError::Value(words) | PropertyError::Unknown(words) | PropertyError::NotBuiltIn(words)) => {
                    let told = match &setting.source {
                        _ if is_secret(&setting.key) => place,
                        PropertySource::Property => format!("{place}={}", setting.value),
                        _ => format!("{place}: {}={}", setting.spelled.as_ref().unwrap_or(&setting.key), setting.value),
                    };
                    return Err(usage(printable(&self.secrets.redact(&format!("{told}: {words}"))))
                        .hint(format!("librdkafka's CONFIGURATION.md says what {} takes", setting.key)));
                }
            }
        }
        Ok(())
    }

    /// Addresses are told in messages, and hold no secrets. What is malformed is refused before anybody waits for it.
    fn settle_servers(&mut self, protocol: &str) -> Result<(), Failure> {
        let Some(servers) = self.effective.get("bootstrap.servers") else { return Ok(()) };
        if servers.value.trim().is_empty() {
            return Err(usage("the bootstrap servers are empty").hint("as in -b localhost:9092"));
        }
        if servers.value.contains('@') {
            return Err(usage(format!("{}: an address with a user or a password in it", servers.place())).hint(
                "give host:port alone, and the credentials with sasl.username and sasl.password in a file for -F",
            ));
        }
        if BrokerTarget::parse(Some(&servers.value))? != BrokerTarget::Address {
            return Ok(());
        }
        let addresses =
            addresses::read(&servers.value, protocol).map_err(|InvalidAddress { address, reason, hint }| {
                let told = format!("{}: {reason}", servers.with_value(&address));
                usage(self.secrets.redact(&told)).hint(hint)
            })?;
        if addresses.is_empty() {
            return Err(
                usage(format!("{}: there is no address in it", servers.place())).hint("as in -b localhost:9092")
            );
        }
        self.effective.set("bootstrap.servers", addresses.join(","));
        Ok(())
    }

    /// What librdkafka would wait for until its time is up, or refuse in words that do not help.
    fn check_mechanism(&self, module: Option<&PropertyValue>) -> Result<(), Failure> {
        const HINT: &str = "as in sasl.mechanism=PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER";
        let Some(mechanism) = self.effective.get("sasl.mechanisms") else {
            let protocol = self.effective.get("security.protocol").map_or_else(String::new, PropertyValue::place);
            return Err(usage(format!("{protocol}: SASL without sasl.mechanism")).hint(HINT));
        };
        let (here, name) = (mechanism.place(), mechanism.value.trim().to_ascii_uppercase());
        if name == "GSSAPI" {
            return Err(usage(format!("{here}: GSSAPI is Kerberos, which is not built in")).hint(HINT));
        }
        if let Some(module) = module {
            let fits = match module.value.as_str() {
                "PlainLoginModule" => name == "PLAIN",
                "ScramLoginModule" => name.starts_with("SCRAM-"),
                _ => name == "OAUTHBEARER",
            };
            if !fits {
                let message = format!("{here}: sasl.mechanism={} does not go with {}", name, module.value);
                return Err(usage(message).hint(format!(
                    "{} says {}: let the two agree",
                    module.place(),
                    module.value
                )));
            }
        }
        if name == "OAUTHBEARER" { self.check_tokens(mechanism) } else { Ok(()) }
    }

    /// Where tokens come from. Of claims that it cannot read the library tells late, and quotes them.
    fn check_tokens(&self, mechanism: &PropertyValue) -> Result<(), Failure> {
        const CLAIMS: [&str; 5] = ["principal", "principalClaimName", "scope", "scopeClaimName", "lifeSeconds"];
        let says = |key: &str, value: &str| {
            self.effective.get(key).is_some_and(|setting| setting.value.trim().eq_ignore_ascii_case(value))
        };
        if says("sasl.oauthbearer.method", "oidc") {
            return Ok(());
        }
        if !says("enable.sasl.oauthbearer.unsecure.jwt", "true") {
            return Err(usage(format!("{}: OAUTHBEARER without a source of tokens", mechanism.place())).hint(
                "sasl.oauthbearer.method=oidc asks an identity provider; enable.sasl.oauthbearer.unsecure.jwt=true makes \
                 unsigned ones, for tests",
            ));
        }
        let claims = self.effective.get("sasl.oauthbearer.config").unwrap_or(mechanism);
        let pairs: Vec<Option<(&str, &str)>> =
            claims.value.split(' ').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('=')).collect();
        let known = |name: &str| CLAIMS.contains(&name) || name.starts_with("extension_");
        if !pairs.iter().all(|pair| pair.is_some_and(|(name, value)| known(name) && !value.is_empty()))
            || !pairs.iter().flatten().any(|(name, _)| *name == "principal")
        {
            return Err(usage(format!("{}: the claims of an unsigned token cannot be read", claims.place())).hint(
                "as in sasl.oauthbearer.config=principal=alice scope=read,write lifeSeconds=3600, separated by blanks; \
                 also principalClaimName=, scopeClaimName= and extension_NAME=",
            ));
        }
        Ok(())
    }
}

/// Whether a property is about tokens of an identity provider, or the connection to one.
fn is_for_tokens(key: &str) -> bool {
    key.starts_with("sasl.oauthbearer.") || key.starts_with("https.")
}

/// A sink that gets no secrets.
fn hushed(log: LogSink, secrets: Secrets) -> LogSink {
    LogSink(std::sync::Arc::new(move |line| (log.0)(&secrets.redact(line))))
}

/// A file's text: UTF-8, and Latin-1 where it is none, as Java reads every file.
fn decoded(bytes: &[u8]) -> Cow<'_, str> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// The known name that a misspelt one is nearest to, if any is near.
fn nearest(name: &str) -> Option<String> {
    let known = property_names().into_iter().chain(java_names::names().map(str::to_owned));
    let (distance, known) = known.map(|known| (strsim::damerau_levenshtein(name, &known), known)).min()?;
    (distance <= (name.len() / 5).clamp(1, 3)).then_some(known)
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
