//! Client context: librdkafka's error and log callbacks, kept to explain a failed call (errors, ACL refusals,
//! connection faults).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::acl::{self, Permission, Resource};
use super::connection::{Connection, LogSink};
use super::connection_fault::{self, ConnectionFault, FaultKind};
use super::error_codes::{ErrorKind, kind_of};

/// The errors that a client's callbacks reported. They explain a timeout better than the call that timed out.
#[derive(Debug, Clone)]
pub struct ErrorLog {
    errors: Arc<Mutex<Errors>>,
    /// The client's configuration, which names its principal.
    pub(super) connection: Arc<Connection>,
    /// The client's `group.id`, if it also sends requests about other groups.
    group: Option<Arc<str>>,
}

#[derive(Debug, Default)]
struct Errors {
    /// The last message that names a cause.
    last: Option<String>,
    refusals: Vec<(RDKafkaErrorCode, String)>,
    fault: Option<ConnectionFault>,
    /// Why each address cannot be connected to, where that is its last event.
    addresses: BTreeMap<String, FaultKind>,
}

/// How many refusals are kept. Later ones repeat the first ones, once per partition.
const MAX_REFUSALS: usize = 20;

impl ErrorLog {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { errors: Arc::default(), connection: Arc::new(connection.clone()), group: None }
    }

    /// The last error or warning, without the thread name.
    pub(super) fn last(&self) -> Option<String> {
        self.lock().last.clone()
    }

    /// The first refusal that can concern a call with these needs. Requests that the client sends in the background (it
    /// looks up the coordinator of its `group.id`, which may never be used) may be refused without harm.
    pub(super) fn authorization_error(&self, needs: &[Permission]) -> Option<(RDKafkaErrorCode, String)> {
        // The answer to a request about another group has its own code.
        let is_own = |need: &Permission, own: &str| matches!(&need.resource, Resource::Group(name) if name == own);
        let asks_for_own = self.group.as_deref().is_none_or(|own| needs.iter().any(|need| is_own(need, own)));
        let concerns = |code: RDKafkaErrorCode| {
            acl::applies_to(code, needs) && (asks_for_own || code != RDKafkaErrorCode::GroupAuthorizationFailed)
        };
        self.lock().refusals.iter().find(|(code, _)| concerns(*code)).cloned()
    }

    /// The fault of the last connection attempt, if it says more than "no connection". A broker that is shutting down
    /// closes connections like one that requires TLS or a login, so such a fault counts only while no connection has
    /// ever worked.
    pub(super) fn fault(&self) -> Option<ConnectionFault> {
        let fault = self.lock().fault.clone()?;
        (!fault.kind.may_be_a_restart() || !self.connection.has_worked()).then_some(fault)
    }

    /// Why no bootstrap address can be connected to; `None` while one of them may still answer, or one ever did.
    pub(super) fn unreachable_addresses(&self) -> Option<Vec<ConnectionFault>> {
        if self.connection.has_worked() {
            return None;
        }
        let errors = self.lock();
        let fault = |address: String| {
            let kind = errors.addresses.get(&address)?.clone();
            Some(ConnectionFault { address, kind })
        };
        self.connection.bootstrap_addresses().into_iter().map(fault).collect()
    }

    /// The last fault, if no retry can fix it.
    pub(super) fn confirmed_fault(&self) -> Option<ConnectionFault> {
        connection_fault::confirm(&self.fault()?, &self.connection)
    }

    /// Records a message of librdkafka, with its code where it has one.
    pub(super) fn record(&self, code: Option<RDKafkaErrorCode>, text: &str) {
        let mut errors = self.lock();
        // Only the log names the topic that a transaction may not write to, with the code as text.
        let denied = "transaction: Broker: Topic authorization failed";
        let code = code.or_else(|| text.ends_with(denied).then_some(RDKafkaErrorCode::TopicAuthorizationFailed));
        if let Some(code) = code.filter(|code| kind_of(*code) == ErrorKind::Denied)
            && errors.refusals.len() < MAX_REFUSALS
        {
            errors.refusals.push((code, text.to_owned()));
        }
        let fault = connection_fault::parse(text);
        match &fault {
            Some(fault) if fault.kind.is_unreachable_address() => {
                errors.addresses.insert(fault.address.clone(), fault.kind.clone());
            }
            Some(fault) => {
                errors.addresses.remove(&fault.address);
            }
            None => {}
        }
        // Another fault of a connection replaces an older one; other events say nothing about connections.
        if fault.is_some() || code.is_none() {
            errors.fault = fault.filter(|fault| !fault.kind.is_unreachable_address());
        }
        // "1/1 brokers are down" repeats earlier messages with less detail.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) || errors.last.is_none() {
            errors.last = Some(connection_fault::without_log_prefix(text).to_owned());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Errors> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The context of a client without other callbacks.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) errors: ErrorLog,
    log: Option<LogSink>,
}

impl Context {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { errors: ErrorLog::new(connection), log: connection.log.clone() }
    }

    /// The context of clients with this `group.id` that also send requests about other groups.
    pub(super) fn of_group(connection: &Connection, group: &str) -> Self {
        let mut context = Self::new(connection);
        context.errors.group = Some(group.into());
        context
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // Producers and consumers get the same properties: each ignores those of the other.
        if facility == "CONFWARN" {
            return;
        }
        if (level as i32) <= RDKafkaLogLevel::Error as i32 || facility == "FAIL" {
            self.errors.record(None, message);
        }
        if let Some(sink) = &self.log {
            (sink.0)(&format!("librdkafka: {facility}: {message}"));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.errors.record(error.rdkafka_error_code(), reason);
    }
}

impl ConsumerContext for Context {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::kafka::{Operation, Permission};

    fn log(servers: &str) -> ErrorLog {
        let properties = vec![("bootstrap.servers".to_owned(), servers.to_owned())];
        ErrorLog::new(&Connection::new(properties, Duration::from_secs(1)))
    }

    #[test]
    fn a_refusal_counts_only_for_a_call_that_needs_it() {
        let log = log("k:1");
        log.record(
            Some(RDKafkaErrorCode::GroupAuthorizationFailed),
            "FindCoordinator response error: Group authorization failed.",
        );
        assert_eq!(
            log.authorization_error(&[Permission::topic("t", &[Operation::Read])]),
            None,
            "the group was not asked for"
        );
        assert!(log.authorization_error(&[Permission::group("g", Operation::Read)]).is_some());
    }

    /// `lag --all-groups` has clients with a `group.id` for which no permission is needed.
    #[test]
    fn a_refusal_of_the_own_group_does_not_concern_another() {
        let properties = vec![("bootstrap.servers".to_owned(), "k:1".to_owned())];
        let log = Context::of_group(&Connection::new(properties, Duration::from_secs(1)), "own").errors;
        log.record(
            Some(RDKafkaErrorCode::GroupAuthorizationFailed),
            "FindCoordinator response error: Group authorization failed.",
        );
        let described = |group: &str| Permission::group(group, Operation::Describe);
        assert_eq!(log.authorization_error(&[described("other"), described("another")]), None);
        assert!(log.authorization_error(&[described("other"), described("own")]).is_some());
    }

    #[test]
    fn a_refused_topic_is_read_from_the_log() {
        let log = log("k:1");
        let text = "[thrd:localhost:1/1]: localhost:1/1: Failed to add partition \"t\" [0] to transaction: Broker: Topic authorization failed";
        log.record(None, text);
        let needs = [Permission::transactions("g-"), Permission::topic("t", &[Operation::Write])];
        assert_eq!(
            log.authorization_error(&needs),
            Some((RDKafkaErrorCode::TopicAuthorizationFailed, text.to_owned()))
        );
    }

    const CLOSED: &str =
        "[thrd:k:1/bootstrap]: k:1/bootstrap: Disconnected: closed (after 1ms in state APIVERSION_QUERY)";
    const REFUSED: &str = "[thrd:k:1/bootstrap]: k:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT)";
    const UNKNOWN: &str = "[thrd:z:9092/bootstrap]: z:9092/bootstrap: Failed to resolve 'z:9092': Name or service not known (after 3ms in state CONNECT)";

    #[test]
    fn a_fault_is_kept_until_the_next_one() {
        let log = log("k:1");
        log.record(None, CLOSED);
        log.record(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert!(log.fault().is_some());
        log.record(None, REFUSED);
        assert_eq!(log.fault(), None);
        assert!(log.unreachable_addresses().is_some());
    }

    #[test]
    fn a_summary_does_not_replace_the_cause() {
        let log = log("k:1");
        log.record(None, REFUSED);
        log.record(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        assert_eq!(
            log.last().as_deref(),
            Some("k:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused")
        );
    }

    #[test]
    fn addresses_are_unreachable_when_each_one_is() {
        let log = log("k:1, z");
        log.record(None, REFUSED);
        assert_eq!(log.unreachable_addresses(), None, "z may answer");
        log.record(None, UNKNOWN);
        let faults = log.unreachable_addresses().expect("both");
        assert_eq!(faults[0].kind, FaultKind::NoConnection("Connection refused".to_owned()));
        assert_eq!(faults[1].kind, FaultKind::UnknownHost("Name or service not known".to_owned()));
        log.record(None, CLOSED);
        assert_eq!(log.unreachable_addresses(), None, "k has answered");
    }

    /// A broker that is shutting down closes its connections like one that requires TLS.
    #[test]
    fn a_restart_is_no_fault_after_a_working_connection() {
        let log = log("k:1");
        log.connection.mark_worked();
        log.record(None, CLOSED);
        assert_eq!(log.fault(), None);
        log.record(None, REFUSED);
        assert_eq!(log.unreachable_addresses(), None);
    }
}
