//! Permissions that a call needs, in the words of Kafka's ACLs, and which of them an error code can mean.

use std::fmt;

use rdkafka::error::RDKafkaErrorCode as Rd;

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
pub struct Permission {
    /// What they are on.
    pub resource: Resource,
    /// What is to be allowed.
    pub operations: Vec<Operation>,
}

impl Permission {
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
    pub(super) fn grant(&self, principal: &str, bootstrap: &str) -> String {
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

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operations: Vec<String> = self.operations.iter().map(Operation::to_string).collect();
        write!(f, "{} on {}", operations.join(" and "), self.resource)
    }
}

/// As a shell takes it as one word.
pub(super) fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:=,@/".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The permissions that an error with this code can mean: some of those that the call needs, or none where the call does
/// not say.
pub(super) fn missing<'a>(code: Rd, text: &str, needs: &'a [Permission]) -> Vec<&'a Permission> {
    let fits = |right: &&Permission| match right.resource {
        // Nothing that foodstream does is the cluster's: this is how the broker refuses an idempotent producer that may
        // write to no topic at all (KIP-679).
        Resource::Topic(_) => matches!(code, Rd::TopicAuthorizationFailed | Rd::ClusterAuthorizationFailed),
        Resource::Group(_) => code == Rd::GroupAuthorizationFailed,
        Resource::TransactionalIds(_) => code == Rd::TransactionalIdAuthorizationFailed,
    };
    let fitting: Vec<&Permission> = needs.iter().filter(fits).collect();
    let names = |right: &&&Permission| matches!(&right.resource, Resource::Topic(name) if has_name(text, name));
    let exact: Vec<&Permission> = fitting.iter().filter(names).copied().collect();
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

/// Whether an error code can mean that one of these permissions is missing.
pub(super) fn applies_to(code: Rd, needs: &[Permission]) -> bool {
    !is_authorization_error(code) || !missing(code, "", needs).is_empty()
}

/// Whether the code is an ACL's, rather than a login's.
pub(super) fn is_authorization_error(code: Rd) -> bool {
    matches!(
        code,
        Rd::TopicAuthorizationFailed
            | Rd::GroupAuthorizationFailed
            | Rd::TransactionalIdAuthorizationFailed
            | Rd::ClusterAuthorizationFailed
    )
}
