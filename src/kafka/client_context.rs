//! What every client hears from the library beside its calls: errors, refusals, faults of connections and log lines.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::acl::{self, Permission};
use super::connection::{Connection, LogSink};
use super::connection_fault::{self, ConnectionFault, FaultKind};
use super::error_codes::{ErrorKind, kind_of};

/// What a client heard: the explanation of a time-out that the call which timed out cannot give.
#[derive(Debug, Clone)]
pub struct ErrorLog {
    errors: Arc<Mutex<Errors>>,
    /// How the client is set up: who the broker takes it for.
    pub(super) connection: Arc<Connection>,
}

#[derive(Debug, Default)]
struct Errors {
    /// The last message that names a cause, for people.
    last: Option<String>,
    authorization_errors: Vec<(RDKafkaErrorCode, String)>,
    fault: Option<ConnectionFault>,
    /// Why each address could not be connected to, as far as that is the last thing heard of it.
    addresses: BTreeMap<String, FaultKind>,
}

/// Refusals that are kept: the first ones, as later ones repeat them, once per partition.
const DENIALS: usize = 20;

impl ErrorLog {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { errors: Arc::default(), connection: Arc::new(connection.clone()) }
    }

    /// The last error or warning, if there was one, without the names of threads.
    pub(super) fn last(&self) -> Option<String> {
        self.lock().last.clone()
    }

    /// The first refusal that can be one of a call with these needs: what the client does beside the call (it looks up
    /// the coordinator of a group that nobody asks for) may be refused and harms nothing.
    pub(super) fn authorization_error(&self, needs: &[Permission]) -> Option<(RDKafkaErrorCode, String)> {
        self.lock().authorization_errors.iter().find(|(code, _)| acl::applies_to(*code, needs)).cloned()
    }

    /// How the last connection failed, if that says more than that there is none. A broker that is being stopped closes
    /// connections as one does that wants TLS or a login: believed only while no connection has ever worked.
    pub(super) fn fault(&self) -> Option<ConnectionFault> {
        let fault = self.lock().fault.clone()?;
        (!fault.kind.may_be_a_restart() || !self.connection.has_worked()).then_some(fault)
    }

    /// Why no bootstrap address can be connected to; `None` as long as one of them may yet answer, or one ever did.
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

    /// The fault that no retry can mend, if the last one is such.
    pub(super) fn confirmed_fault(&self) -> Option<ConnectionFault> {
        connection_fault::confirm(&self.fault()?, &self.connection)
    }

    /// Remembers a message of the library; `code` where it came with one.
    pub(super) fn record(&self, code: Option<RDKafkaErrorCode>, text: &str) {
        let mut errors = self.lock();
        // A transaction's refusal says which topic only in the log, with the code in words.
        let denied = "transaction: Broker: Topic authorization failed";
        let code = code.or_else(|| text.ends_with(denied).then_some(RDKafkaErrorCode::TopicAuthorizationFailed));
        if let Some(code) = code.filter(|code| kind_of(*code) == ErrorKind::Denied)
            && errors.authorization_errors.len() < DENIALS
        {
            errors.authorization_errors.push((code, text.to_owned()));
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
        // "1/1 brokers are down" sums up what was said before, and says less.
        if code != Some(RDKafkaErrorCode::AllBrokersDown) || errors.last.is_none() {
            errors.last = Some(connection_fault::without_log_prefix(text).to_owned());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Errors> {
        self.errors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The context of a client that has no other callbacks.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) errors: ErrorLog,
    log: Option<LogSink>,
}

impl Context {
    pub(super) fn new(connection: &Connection) -> Self {
        Self { errors: ErrorLog::new(connection), log: connection.log.clone() }
    }
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // One set of properties serves producers and consumers: each ignores the other's, as it should.
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
    fn a_refusal_counts_only_for_a_call_that_needs_the_permission() {
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

    #[test]
    fn a_refused_topic_of_a_transaction_is_found_in_the_log() {
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
    fn a_fault_is_kept_until_another_is_heard() {
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
    fn addresses_are_unreachable_when_each_of_them_is() {
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

    /// A broker that is being stopped closes its connections like one that wants TLS.
    #[test]
    fn what_a_restart_looks_like_is_no_fault_once_a_connection_has_worked() {
        let log = log("k:1");
        log.connection.mark_worked();
        log.record(None, CLOSED);
        assert_eq!(log.fault(), None);
        log.record(None, REFUSED);
        assert_eq!(log.unreachable_addresses(), None);
    }
}
