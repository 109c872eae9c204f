//! ACLs: the permissions that a call needs, in Kafka's words, and the ones that an authorization error can mean.

use std::fmt;

use rdkafka::error::RDKafkaErrorCode as Rd;

use crate::printable::shell_word;

/// The resource of a permission, as in Kafka's ACLs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resource {
    Topic(String),
    Group(String),
    /// The transactional ids with this prefix; the rest of an id differs from process to process.
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
    /// The arguments of `kafka-acls` for this resource.
    fn arguments(&self) -> String {
        match self {
            Self::Topic(name) => format!("--topic {}", shell_word(name)),
            Self::Group(name) => format!("--group {}", shell_word(name)),
            Self::TransactionalIds(start) => {
                format!("--transactional-id {} --resource-pattern-type prefixed", shell_word(start))
            }
        }
    }
}

/// An operation, as in Kafka's ACLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// Read records, join a group, commit its offsets.
    Read,
    /// Write records; use a transactional id.
    Write,
    /// Create a topic.
    Create,
    /// Delete a topic or a group.
    Delete,
    /// Describe a resource: its partitions, offsets, members. `Read`, `Write` and `Delete` imply it.
    Describe,
    /// Describe the configuration of a topic.
    DescribeConfigs,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Operations on one resource that a call needs, all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permission {
    pub resource: Resource,
    pub operations: Vec<Operation>,
}

impl Permission {
    pub fn topic(name: impl Into<String>, operations: &[Operation]) -> Self {
        Self { resource: Resource::Topic(name.into()), operations: operations.to_vec() }
    }

    pub fn group(name: impl Into<String>, operation: Operation) -> Self {
        Self { resource: Resource::Group(name.into()), operations: vec![operation] }
    }

    /// Write with the transactional ids that have this prefix.
    pub fn transactions(start: impl Into<String>) -> Self {
        Self { resource: Resource::TransactionalIds(start.into()), operations: vec![Operation::Write] }
    }

    /// The `kafka-acls` command that grants it.
    pub(super) fn grant(&self, principal: &str, bootstrap: &str) -> String {
        let operations: Vec<String> =
            self.operations.iter().map(|operation| format!("--operation {operation}")).collect();
        format!(
            "kafka-acls --bootstrap-server {bootstrap} --command-config ADMIN.properties --add --allow-principal {} {} {}",
            shell_word(principal),
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

/// The permissions that may be missing when a call with these `needs` fails with this code. Empty where `needs` is.
pub(super) fn missing<'a>(code: Rd, text: &str, needs: &'a [Permission]) -> Vec<&'a Permission> {
    let fits = |right: &&Permission| match right.resource {
        // No call of this program needs a permission on the cluster. A broker answers with this code to an idempotent
        // producer that may not write to any topic (KIP-679).
        Resource::Topic(_) => matches!(code, Rd::TopicAuthorizationFailed | Rd::ClusterAuthorizationFailed),
        Resource::Group(_) => code == Rd::GroupAuthorizationFailed,
        Resource::TransactionalIds(_) => code == Rd::TransactionalIdAuthorizationFailed,
    };
    let fitting: Vec<&Permission> = needs.iter().filter(fits).collect();
    let names = |right: &&&Permission| matches!(&right.resource, Resource::Topic(name) if has_name(text, name));
    let exact: Vec<&Permission> = fitting.iter().filter(names).copied().collect();
    if exact.is_empty() { fitting } else { exact }
}

/// Whether a text contains a name, and not only as a part of a longer one.
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

/// Whether the code comes from an ACL and not from a login.
pub(super) fn is_authorization_error(code: Rd) -> bool {
    matches!(
        code,
        Rd::TopicAuthorizationFailed
            | Rd::GroupAuthorizationFailed
            | Rd::TransactionalIdAuthorizationFailed
            | Rd::ClusterAuthorizationFailed
    )
}
