//! Owns what is said when an ACL refuses: who lacks which right on what, and the command that grants it.

use std::fmt;

use rdkafka::error::RDKafkaErrorCode as Rd;

use super::certificate;
use super::client::LastErrors;
use super::connection::Connection;
use crate::exit::{Code, Failure};

/// What a right is on. The words are Kafka's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    /// A topic by its name.
    Topic(String),
    /// A consumer group by its name.
    Group(String),
    /// The transactional ids that begin with this: the rest differs from process to process.
    TransactionalIds(String),
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "Topic {name}"),
            Self::Group(name) => write!(f, "Group {name}"),
            Self::TransactionalIds(start) => write!(f, "TransactionalId {start}*"),
        }
    }
}

impl Resource {
    /// The arguments of `kafka-acls` that name it.
    fn arguments(&self) -> String {
        match self {
            Self::Topic(name) => format!("--topic {}", quoted(name)),
            Self::Group(name) => format!("--group {}", quoted(name)),
            Self::TransactionalIds(start) => {
                format!("--transactional-id {} --resource-pattern-type prefixed", quoted(start))
            }
        }
    }
}

/// What a principal may do with a resource, in Kafka's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read records, join a group, commit its offsets.
    Read,
    /// Write records; use a transactional id.
    Write,
    /// Make a topic.
    Create,
    /// Delete a topic or a group.
    Delete,
    /// See that it is there, its partitions, offsets, members. `Read`, `Write` and `Delete` bring it along.
    Describe,
    /// Read a topic's settings.
    DescribeConfigs,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Operations that a call needs on one resource, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Right {
    /// What they are on.
    pub resource: Resource,
    /// What is to be allowed.
    pub operations: Vec<Operation>,
}

impl Right {
    /// Operations on a topic.
    pub fn topic(name: impl Into<String>, operations: &[Operation]) -> Self {
        Self { resource: Resource::Topic(name.into()), operations: operations.to_vec() }
    }

    /// An operation on a group.
    pub fn group(name: impl Into<String>, operation: Operation) -> Self {
        Self { resource: Resource::Group(name.into()), operations: vec![operation] }
    }

    /// To write under the transactional ids that begin with this.
    pub fn transactions(start: impl Into<String>) -> Self {
        Self { resource: Resource::TransactionalIds(start.into()), operations: vec![Operation::Write] }
    }

    /// The command with which an administrator grants it.
    fn grant(&self, principal: &str, bootstrap: &str) -> String {
        let operations: Vec<String> =
            self.operations.iter().map(|operation| format!("--operation {operation}")).collect();
        format!(
            "kafka-acls --bootstrap-server {bootstrap} --command-config ADMIN.properties --add --allow-principal {} {} {}",
            quoted(principal),
            operations.join(" "),
            self.resource.arguments()
        )
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations: Vec<String> = self.operations.iter().map(Operation::to_string).collect();
        write!(f, "{} on {}", operations.join(" and "), self.resource)
    }
}

/// As a shell takes it as one word.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:=,@/".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Whom the broker takes this client for, as an ACL names it.
pub(super) fn principal(connection: &Connection) -> String {
    let protocol = connection.property("security.protocol").unwrap_or("plaintext").to_ascii_lowercase();
    if protocol.starts_with("sasl") {
        let name = ["sasl.username", "sasl.kerberos.principal"].iter().find_map(|name| connection.property(name));
        return name.map_or_else(|| "the principal of this login".to_owned(), |name| format!("User:{name}"));
    }
    if protocol != "ssl" {
        return "User:ANONYMOUS".to_owned();
    }
    match certificate::of_client(connection) {
        certificate::Client::None => "User:ANONYMOUS".to_owned(),
        certificate::Client::Unread(place) => format!("the subject of {place}"),
        certificate::Client::Read { certificate, .. } => format!("User:{}", certificate.subject),
    }
}

/// The rights of which a refusal with this code can be the lack: some of those that the call needs, or none where the
/// call does not say.
fn lacking<'a>(code: Rd, text: &str, needs: &'a [Right]) -> Vec<&'a Right> {
    let fits = |right: &&Right| match right.resource {
        // Nothing that foodstream does is the cluster's: this is how the broker refuses an idempotent producer that may
        // write to no topic at all (KIP-679).
        Resource::Topic(_) => matches!(code, Rd::TopicAuthorizationFailed | Rd::ClusterAuthorizationFailed),
        Resource::Group(_) => code == Rd::GroupAuthorizationFailed,
        Resource::TransactionalIds(_) => code == Rd::TransactionalIdAuthorizationFailed,
    };
    let fitting: Vec<&Right> = needs.iter().filter(fits).collect();
    let names = |right: &&&Right| matches!(&right.resource, Resource::Topic(name) if has_name(text, name));
    let exact: Vec<&Right> = fitting.iter().filter(names).copied().collect();
    if exact.is_empty() { fitting } else { exact }
}

/// Whether a text has a name in it, and not only as a part of a longer one.
fn has_name(text: &str, name: &str) -> bool {
    let of_a_name = |char: char| char.is_ascii_alphanumeric() || "._-".contains(char);
    text.match_indices(name).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + name.len()..]);
        !before.ends_with(of_a_name) && !after.starts_with(of_a_name)
    })
}

/// Whether a refusal can be one of a call that needs these rights.
pub(super) fn concerns(code: Rd, needs: &[Right]) -> bool {
    !is_of_an_acl(code) || !lacking(code, "", needs).is_empty()
}

/// Whether the code is an ACL's, rather than one of a login.
pub(super) fn is_of_an_acl(code: Rd) -> bool {
    matches!(
        code,
        Rd::TopicAuthorizationFailed
            | Rd::GroupAuthorizationFailed
            | Rd::TransactionalIdAuthorizationFailed
            | Rd::ClusterAuthorizationFailed
    )
}

/// An ACL refused: who lacks what, and how it is granted.
pub(super) fn failure(code: Rd, doing: &str, text: &str, needs: &[Right], seen: &LastErrors) -> Failure {
    let connection = &seen.connection;
    let principal = principal(connection);
    let lacking = lacking(code, text, needs);
    if lacking.is_empty() {
        return Failure::new(Code::Denied, format!("{doing}: the broker refused {principal}: {text}"))
            .hint(format!("look at its rights: kafka-acls --bootstrap-server {} --command-config ADMIN.properties --list --principal {}", connection.bootstrap(), quoted(&principal)));
    }
    let rights: Vec<String> = lacking.iter().map(ToString::to_string).collect();
    let rights = if rights.len() == 1 { rights.concat() } else { format!("one of: {}", rights.join("; ")) };
    let grants: Vec<String> = lacking.iter().map(|right| right.grant(&principal, connection.bootstrap())).collect();
    Failure::new(Code::Denied, format!("{doing}: {principal} lacks {rights} ({code})"))
        .hint(format!("an administrator grants it: {}", grants.join(" ; ")))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(properties: &[(&str, &str)]) -> LastErrors {
        let properties = properties.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        LastErrors::new(&Connection {
            properties,
            name: None,
            timeout: Duration::from_secs(1),
            timeout_said: false,
            log: None,
        })
    }

    fn login() -> LastErrors {
        seen(&[("bootstrap.servers", "k:9093"), ("security.protocol", "SASL_SSL"), ("sasl.username", "ann")])
    }

    #[test]
    fn a_refusal_names_who_lacks_what_and_the_command_that_grants_it() {
        let needs = [Right::topic("order-events", &[Operation::Write])];
        let failure = failure(Rd::TopicAuthorizationFailed, "publishing", "text", &needs, &login());
        assert_eq!(failure.code, Code::Denied);
        assert_eq!(
            failure.to_string(),
            "publishing: User:ann lacks Write on Topic order-events (TopicAuthorizationFailed (Broker: Topic authorization failed))\n  \
             hint: an administrator grants it: kafka-acls --bootstrap-server k:9093 --command-config ADMIN.properties --add \
             --allow-principal User:ann --operation Write --topic order-events"
        );
    }

    #[test]
    fn a_refusal_is_told_from_the_rights_that_fit_its_code() {
        let needs = [
            Right::group("g x", Operation::Read),
            Right::topic("t", &[Operation::Read, Operation::Write]),
            Right::transactions("g-"),
        ];
        let told = |code| failure(code, "doing", "", &needs, &login()).to_string();
        let group = told(Rd::GroupAuthorizationFailed);
        assert!(
            group.contains("lacks Read on Group g x (") && group.contains("--operation Read --group 'g x'"),
            "{group}"
        );
        let topic = told(Rd::TopicAuthorizationFailed);
        assert!(
            topic.contains("lacks Read and Write on Topic t (")
                && topic.contains("--operation Read --operation Write --topic t")
        );
        let id = told(Rd::TransactionalIdAuthorizationFailed);
        assert!(id.contains("lacks Write on TransactionalId g-* ("), "{id}");
        assert!(id.ends_with("--operation Write --transactional-id g- --resource-pattern-type prefixed"), "{id}");
        // An idempotent producer that may write nowhere.
        assert!(told(Rd::ClusterAuthorizationFailed).contains("Topic t"));
    }

    #[test]
    fn of_several_topics_the_one_is_named_that_the_broker_named_and_otherwise_all() {
        let needs = ["order-events", "order-events-dlq"].map(|topic| Right::topic(topic, &[Operation::Write]));
        let told = |text| failure(Rd::TopicAuthorizationFailed, "writing", text, &needs, &login()).message;
        let dead =
            "Failed to add partition \"order-events-dlq\" [0] to transaction: Broker: Topic authorization failed";
        assert!(told(dead).contains("lacks Write on Topic order-events-dlq ("), "{}", told(dead));
        assert!(told("nothing").contains("one of: Write on Topic order-events; Write on Topic order-events-dlq ("));
    }

    #[test]
    fn a_refusal_that_fits_no_right_is_told_as_it_came() {
        let failure = failure(Rd::GroupAuthorizationFailed, "reading", "why", &[], &login());
        assert!(failure.to_string().contains("reading: the broker refused User:ann: why"), "{failure}");
        assert!(concerns(Rd::GroupAuthorizationFailed, &[Right::group("g", Operation::Read)]));
        assert!(!concerns(Rd::GroupAuthorizationFailed, &[Right::topic("t", &[Operation::Read])]));
        assert!(concerns(Rd::Authentication, &[]), "a login is everybody's matter");
    }

    #[test]
    fn who_has_no_login_is_nobody() {
        assert_eq!(principal(&seen(&[]).connection), "User:ANONYMOUS");
        assert_eq!(principal(&seen(&[("security.protocol", "ssl")]).connection), "User:ANONYMOUS");
        let file = seen(&[("security.protocol", "ssl"), ("ssl.keystore.location", "/no/such.p12")]);
        assert_eq!(principal(&file.connection), "the subject of /no/such.p12");
    }
}
