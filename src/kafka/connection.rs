//! Connection settings and client configuration: the user's properties, those that the program sets, and its defaults.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

pub(super) use super::client_properties::is_secret;
use crate::exit::{Code, Failure};
use crate::secrets::REDACTED;

/// Receives librdkafka's log messages.
#[derive(Clone)]
pub struct LogSink(pub Arc<dyn Fn(&str) + Send + Sync>);

impl fmt::Debug for LogSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogSink")
    }
}

/// The broker's address and the user's properties.
#[derive(Clone)]
pub struct Connection {
    /// librdkafka properties; a later one overrides an earlier one. Never one that only the program may set.
    pub properties: Vec<(String, String)>,
    /// The broker's name in messages, where the address alone says too little.
    pub name: Option<String>,
    /// Bound of every single wait for the broker.
    pub timeout: Duration,
    /// The user's timeout, also where `timeout` was shortened for a wait.
    user_timeout: Duration,
    /// Whether the user set the timeout. Otherwise an unreachable broker is given up earlier.
    pub timeout_is_explicit: bool,
    /// Receives librdkafka's messages, if the user wants them.
    pub log: Option<LogSink>,
    /// Receives a line about a long wait.
    pub wait_log: Option<LogSink>,
    /// Whether any request of this connection, or of a clone of it, was ever answered.
    worked: Arc<AtomicBool>,
}

/// Without the values of secrets: a panic message may contain it.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |(key, value)| (key, if is_secret(key) { REDACTED } else { value });
        let properties = self.properties.iter().map(|(key, value)| shown((key.as_str(), value.as_str())));
        f.debug_struct("Connection")
            .field("properties", &properties.collect::<Vec<_>>())
            .field("name", &self.name)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Default of `transaction.timeout.ms`. Twice the time that a cluster with default settings takes to notice a dead
/// broker (`broker.session.timeout.ms`, 9 s) and to elect new leaders.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(20);
/// Default of `session.timeout.ms`: after a kill -9 of a member without an instance id, its partitions are free after
/// it. It is above the transaction timeout, so that a member's last transaction has ended when its partitions get
/// another owner.
const SESSION_TIMEOUT: Duration = Duration::from_secs(25);
/// The most that a long `--timeout` raises both to: readers of committed records wait for a minute behind a killed
/// writer.
const LONGEST_TRANSACTION: Duration = Duration::from_secs(45);
const LONGEST_SESSION: Duration = Duration::from_secs(55);
/// Default of `max.poll.interval.ms`.
pub(super) const POLL_INTERVAL: Duration = Duration::from_mins(5);

/// Defaults that differ from librdkafka's; the user may override them.
const PREFERRED: &[(&str, &str)] = &[
    ("client.id", "foodstream"),
    // The first metadata response retires the bootstrap connection; the next one should follow at once.
    ("reconnect.backoff.ms", "20"),
    ("reconnect.backoff.max.ms", "1000"),
    ("retry.backoff.ms", "20"),
    ("socket.keepalive.enable", "true"),
];

/// Where CA certificates are looked up by default: the OpenSSL built in here does not know the system's location.
const SYSTEM_CERTIFICATES: (&str, &str) = ("ssl.ca.location", "probe");

impl Connection {
    /// A connection with these properties and this timeout for each wait, without log output.
    #[must_use]
    pub fn new(properties: Vec<(String, String)>, timeout: Duration) -> Self {
        Self {
            properties,
            name: None,
            timeout,
            user_timeout: timeout,
            timeout_is_explicit: false,
            log: None,
            wait_log: None,
            worked: Arc::default(),
        }
    }

    /// The same connection with another bound for every wait.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { timeout, ..self.clone() }
    }

    pub(super) fn has_worked(&self) -> bool {
        self.worked.load(Ordering::Relaxed)
    }

    pub(super) fn mark_worked(&self) {
        self.worked.store(true, Ordering::Relaxed);
    }

    /// The bootstrap servers one by one, as `host:port`.
    pub(super) fn bootstrap_addresses(&self) -> Vec<String> {
        let with_port = |address: &str| match address.rsplit_once(':') {
            Some((_, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => address.to_owned(),
            _ => format!("{address}:9092"),
        };
        self.bootstrap().split(',').map(str::trim).filter(|address| !address.is_empty()).map(with_port).collect()
    }

    /// The value of a property that the user set.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().rev().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Uses the broker at this address, overriding any earlier one.
    pub fn use_broker(&mut self, address: String, name: Option<String>) {
        self.properties.push(("bootstrap.servers".to_owned(), address));
        self.name = name;
    }

    pub(super) fn log_wait(&self, text: &str) {
        if let Some(wait_log) = &self.wait_log {
            (wait_log.0)(text);
        }
    }

    /// The broker's name in messages.
    #[must_use]
    pub fn broker(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.bootstrap())
    }

    #[must_use]
    pub fn bootstrap(&self) -> &str {
        self.property("bootstrap.servers").unwrap_or("localhost:9092")
    }

    /// A timeout property in milliseconds: the user's value, or the given default.
    fn bound(&self, name: &str, default: Duration) -> Duration {
        self.property(name).and_then(|value| value.parse().ok()).map_or(default, Duration::from_millis)
    }

    /// `session.timeout.ms`: how long the group keeps a member without heartbeats. It grows with a `--timeout` above 30
    /// s, as a slow cluster needs long for the five requests of a transaction.
    #[must_use]
    pub fn session_timeout(&self) -> Duration {
        self.bound("session.timeout.ms", SESSION_TIMEOUT.max(self.user_timeout * 5 / 6).min(LONGEST_SESSION))
    }

    /// `transaction.timeout.ms`: how long the broker lets a transaction stay open.
    #[must_use]
    pub fn transaction_timeout(&self) -> Duration {
        let default = TRANSACTION_TIMEOUT.max(self.user_timeout * 2 / 3).min(LONGEST_TRANSACTION);
        self.bound("transaction.timeout.ms", default)
    }

    /// Whether the connection uses TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.property("security.protocol").is_some_and(|protocol| protocol.trim().to_ascii_lowercase().ends_with("ssl"))
    }

    /// The program's defaults, where the user set nothing else.
    #[must_use]
    pub fn defaults(&self) -> Vec<(&'static str, &'static str)> {
        let certificates = self.is_encrypted() && self.property("ssl.ca.pem").is_none();
        let certificates = certificates.then_some(&SYSTEM_CERTIFICATES);
        PREFERRED.iter().chain(certificates).filter(|(key, _)| self.property(key).is_none()).copied().collect()
    }

    /// A client configuration: the program's defaults, overridden by the user's properties, overridden by `owned`.
    pub(super) fn client_config(&self, owned: &[(&str, &str)]) -> ClientConfig {
        #[cfg(feature = "tls")]
        super::native_tls::disable_openssl_atexit();
        #[allow(clippy::disallowed_methods, reason = "the only place that creates client configurations")]
        let mut config = ClientConfig::new();
        for (key, value) in self.defaults() {
            config.set(key, value);
        }
        config.set("bootstrap.servers", "localhost:9092");
        for (key, value) in &self.properties {
            config.set(key, value);
        }
        // Off by default in librdkafka. A producer ignores it.
        config.set("check.crcs", "true");
        for (key, value) in owned {
            config.set(*key, *value);
        }
        config.set_log_level(match (&self.log, self.property("debug")) {
            // Info includes why a connection was closed, which error messages need even if the user does not want the
            // log.
            (None, _) | (Some(_), None) => RDKafkaLogLevel::Info,
            // `debug` output has this level.
            (Some(_), Some(_)) => RDKafkaLogLevel::Debug,
        });
        config
    }

    /// As [`Connection::client_config`], with more defaults, which the user's properties override.
    pub(super) fn client_config_with(&self, preferred: &[(&str, &str)], owned: &[(&str, &str)]) -> ClientConfig {
        let mut config = self.client_config(owned);
        for (key, value) in preferred {
            if self.property(key).is_none() {
                config.set(*key, *value);
            }
        }
        config
    }
}

/// Checks the order of the timeouts that exactly-once processing depends on.
///
/// # Errors
///
/// With exit code 2 when they are out of order; the message has both names and values.
pub fn check_timeouts(connection: &Connection, commit_interval: Duration) -> Result<(), Failure> {
    let chain = [
        ("--commit-interval", commit_interval),
        ("transaction.timeout.ms", connection.transaction_timeout()),
        ("session.timeout.ms", connection.session_timeout()),
        ("max.poll.interval.ms", connection.bound("max.poll.interval.ms", POLL_INTERVAL)),
    ];
    for pair in chain.windows(2) {
        if pair[0].1 >= pair[1].1 {
            return Err(Failure::new(
                Code::Usage,
                format!(
                    "{} ({} ms) must be below {} ({} ms)",
                    pair[0].0,
                    pair[0].1.as_millis(),
                    pair[1].0,
                    pair[1].1.as_millis()
                ),
            )
            .hint(format!(
                "lower {} or raise {}: a transaction has to end before its member is given up, and a member before its poll is missed",
                pair[0].0, pair[1].0
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(properties: &[(&str, &str)]) -> Connection {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Connection::new(properties, Duration::from_secs(30))
    }

    #[test]
    fn a_chosen_broker_is_shown_by_its_name() {
        let mut chosen = connection(&[("bootstrap.servers", "embedded")]);
        chosen.use_broker("127.0.0.1:41233".into(), Some("the one over there".into()));
        assert_eq!(chosen.client_config(&[]).get("bootstrap.servers"), Some("127.0.0.1:41233"));
        assert_eq!(chosen.bootstrap(), "127.0.0.1:41233");
        assert_eq!(chosen.broker(), "the one over there");
    }

    #[test]
    fn owned_overrides_user_overrides_defaults() {
        let config = connection(&[("client.id", "mine"), ("linger.ms", "7")])
            .client_config_with(&[("linger.ms", "1"), ("batch.size", "10")], &[("acks", "all")]);
        assert_eq!(config.get("client.id"), Some("mine"));
        assert_eq!(config.get("linger.ms"), Some("7"));
        assert_eq!(config.get("batch.size"), Some("10"));
        assert_eq!(config.get("acks"), Some("all"));
    }

    #[test]
    fn ca_certificates_default_to_the_system() {
        let used = |properties: &[(&str, &str)]| {
            let config = connection(properties).client_config(&[]);
            config.get("ssl.ca.location").map(str::to_owned)
        };
        assert_eq!(used(&[]), None);
        assert_eq!(used(&[("security.protocol", "SASL_SSL")]), Some("probe".to_owned()));
        assert_eq!(used(&[("security.protocol", "ssl"), ("ssl.ca.location", "/ca.pem")]), Some("/ca.pem".to_owned()));
        assert_eq!(used(&[("security.protocol", "ssl"), ("ssl.ca.pem", "-----BEGIN")]), None);
    }

    #[test]
    fn debug_output_has_no_secret() {
        let shown = format!("{:?}", connection(&[("sasl.password", "hush-hush"), ("linger.ms", "7")]));
        assert!(!shown.contains("hush-hush") && shown.contains("[redacted]") && shown.contains("linger.ms"), "{shown}");
    }

    #[test]
    fn timeouts_out_of_order_are_refused() {
        let bad = connection(&[("session.timeout.ms", "6000")]);
        let failure = check_timeouts(&bad, Duration::from_millis(100)).expect_err("20 s is above 6 s");
        assert!(failure.message.contains("transaction.timeout.ms") && failure.message.contains("session.timeout.ms"));
        assert!(check_timeouts(&connection(&[]), Duration::from_secs(21)).is_err());
        assert!(check_timeouts(&connection(&[]), Duration::from_millis(100)).is_ok());
    }

    #[test]
    fn a_long_timeout_raises_the_transaction_timeout() {
        let with = |seconds| Connection::new(Vec::new(), Duration::from_secs(seconds));
        for (timeout, transaction, session) in [(3, 20, 25), (30, 20, 25), (60, 40, 50), (600, 45, 55)] {
            let connection = with(timeout).with_timeout(Duration::from_secs(1));
            assert_eq!(connection.transaction_timeout(), Duration::from_secs(transaction));
            assert_eq!(connection.session_timeout(), Duration::from_secs(session));
            assert!(check_timeouts(&connection, Duration::from_millis(100)).is_ok());
        }
    }
}
