//! Error messages: the message, hint and exit code of each error of the client layer.

mod authorization;
mod connection;
#[cfg(test)]
mod test_support;
#[cfg(feature = "tls")]
mod tls;

use rdkafka::error::RDKafkaErrorCode as Rd;

use super::connection::Connection;
use super::error::{Cause, Error, Limit};
use super::error_codes::ErrorKind;
use super::{TopicPartition, acl};
use crate::exit::{Code, Failure};

const UNREACHABLE_HINT: &str = "check -b host:port and that the broker is up; --timeout sets how long to wait";

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        failure(&error)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        failure(self).fmt(f)
    }
}

const fn code_of(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Transient
        | ErrorKind::LeaderMoved
        | ErrorKind::CoordinatorMoved
        | ErrorKind::Unreachable
        | ErrorKind::StaleMember
        | ErrorKind::Abortable
        | ErrorKind::UnknownOutcome => Code::Unreachable,
        ErrorKind::Denied => Code::Denied,
        ErrorKind::Missing
        | ErrorKind::Conflict
        | ErrorKind::OutOfRange
        | ErrorKind::BadRecord
        | ErrorKind::Corrupt => Code::Refused,
        ErrorKind::Fenced => Code::Fenced,
        ErrorKind::Misconfigured => Code::Usage,
        // Never used for a signal: it has its own exit code.
        ErrorKind::Exhausted | ErrorKind::Unsupported | ErrorKind::Stopped | ErrorKind::Unexpected => Code::Unexpected,
    }
}

fn denied(message: String) -> Failure {
    Failure::new(Code::Denied, message)
}

fn unreachable(message: String) -> Failure {
    Failure::new(Code::Unreachable, message)
}

fn failure(error: &Error) -> Failure {
    let failure = of_cause(error.cause(), error.kind(), error.connection());
    match error.doing() {
        Some(doing) => failure.context(doing),
        None => failure,
    }
}

fn of_cause(cause: &Cause, kind: ErrorKind, connection: Option<&Connection>) -> Failure {
    let plain = |message: String| Failure::new(code_of(kind), message);
    let unreachable = |message: String| plain(message).hint(unreachable_hint(connection));
    match cause {
        // The arguments are checked for valid names, so only an existing topic can be the reason.
        Cause::TopicRefused { code: Rd::InvalidTopic, message } => plain(message.clone())
            .hint("Kafka treats names that differ only in '.' and '_' as the same: use another --prefix, or the one of the existing topic"),
        Cause::TopicRefused { code: Rd::PolicyViolation | Rd::InvalidPartitions, message } => {
            plain(message.clone()).hint("--partitions sets the partition count of each topic")
        }
        Cause::Code { message, .. } | Cause::TopicRefused { message, .. } => plain(message.clone()),
        Cause::NoAnswer { message, last } => {
            let last = last.as_ref().filter(|last| *last != message);
            unreachable(format!("{message}{}", last.map_or_else(String::new, |last| format!("; last error: {last}"))))
        }
        Cause::NoLeader(topic_partition) => plain(format!("{topic_partition} has no leader"))
            .hint("start the brokers that have its replicas: kafka-topics --describe --unavailable-partitions lists them; --timeout sets how long to wait"),
        Cause::Denied { code, message, needs } => match connection {
            Some(connection) if acl::is_authorization_error(*code) => authorization::failure(*code, message, needs, connection),
            _ => plain(format!("the broker refused: {message}")).hint(
                "check the credentials (-X sasl.…, -F) and the ACLs of this principal with kafka-acls --list",
            ),
        },
        Cause::Connection(fault) => match connection {
            Some(connection) => connection::failure(fault, connection),
            None => plain(format!("no connection to {}", fault.address)),
        },
        Cause::NoAddress(faults) => {
            let failure = connection::no_address(faults);
            failure.hint(unreachable_hint(connection))
        }
        Cause::Configuration(message) => plain(message.clone())
            .hint("check the -X options and the properties file against librdkafka's CONFIGURATION.md"),
        Cause::TopicName(name) => plain(format!("invalid topic name {name:?}")),
        // The same failure as in any other part of the program.
        Cause::Stopped(signal) => signal.failure(),
        Cause::Broken(message) => plain((*message).to_owned()),
        Cause::TopicStillExists(topic) => plain(format!("the deletion of {topic} was accepted, but the topic still exists"))
            .hint("raise --timeout, or look for a client that creates it again: with auto.create.topics.enable a broker creates a topic for any request"),
        Cause::TopicDeletionDisabled(topic) => plain(format!("this broker does not delete topics: {topic} stays"))
            .hint("set delete.topic.enable=true on the broker, or use a fresh --prefix"),
        Cause::NoTopic { topic, similar } => plain(format!("topic {topic} does not exist")).hint(match similar {
            Some(similar) => format!("--topic takes the full name on the cluster: {similar} exists"),
            None => "--topic takes the full name on the cluster, with its prefix".to_owned(),
        }),
        Cause::NoPartition { topic_partition, count } => plain(format!(
            "topic {} has no partition {}: {}",
            topic_partition.topic,
            topic_partition.partition,
            if *count == 1 { "its only partition is 0".to_owned() } else { format!("its partitions are 0 to {}", count - 1) }
        ))
        .hint(format!("for example --topic {}:0{}", topic_partition.topic, if *count > 1 { ",1" } else { "" })),
        Cause::OpenTransaction { topic_partition, stable, end } => plain(format!(
            "a transaction on {topic_partition} has been open for more than 60 s: last stable offset {stable}, end {end}"
        ))
        .hint("find the writer with kafka-transactions find-hanging, or wait for its timeout"),
        Cause::LogTruncated { topic_partition, frozen, end } => plain(format!(
            "{topic_partition} ended at offset {frozen} when this command began, and ends at {end} now: records are lost"
        ))
        .hint("an unclean leader election or a disk that lost its write cache can cause this; check the brokers' logs, then run the command again"),
        Cause::NextRecordGone(message) => plain(format!("the next record to read is no longer in the log: {message}"))
            .hint("retention or a deletion removed it before it was read: continue analytics with `analytics --from-beginning`, inventory with a fresh --prefix"),
        Cause::RangeGone(message) => plain(format!("records are no longer in the log: {message}"))
            .hint("retention or a deletion removed them before they were read; run the command again"),
        Cause::Unreadable { topic_partition, offset, code, message } => {
            plain(format!("the batch at offset {offset} of {topic_partition} cannot be read: {message}")).hint(unreadable_hint(*code, topic_partition, connection))
        }
        Cause::TopicGone { message, member: true } => plain(format!("a topic of this group was deleted: {message}"))
            .hint("start again with `produce` and a fresh --prefix"),
        Cause::TopicGone { message, member: false } => plain(format!("a topic was deleted while it was read: {message}"))
            .hint("run the command again when the topic exists again"),
        Cause::Fenced { instance_id, message } => {
            let name = instance_id.as_ref().map_or_else(String::new, |name| format!(" --instance-id {name}"));
            plain(format!("fenced: another process with{name} took over ({message})"))
                .hint("if no other process has this name, run the command again: it continues from the last commit")
        }
        Cause::TooLarge { topic, limit: Limit::OfTopic, message } => plain(message.clone()).hint(format!(
            "a batch is larger than {topic} accepts: kafka-configs --bootstrap-server {} --alter --entity-type topics \
             --entity-name {topic} --add-config max.message.bytes=BYTES (and segment.bytes, which bounds it), then run the command again",
            connection.map_or("HOST:PORT", Connection::bootstrap)
        )),
        Cause::TooLarge { limit: Limit::OfClient, message, .. } => plain(message.clone())
            .hint("a record is larger than this client accepts: raise the limit with -X message.max.bytes=BYTES"),
    }
}

/// The next step for a batch that stays unreadable. Its records are lost unless another replica has them.
fn unreadable_hint(code: Rd, topic_partition: &TopicPartition, connection: Option<&Connection>) -> String {
    let limit =
        connection.and_then(|connection| connection.property("receive.message.max.bytes")).unwrap_or("100000000");
    let larger = format!("receive.message.max.bytes ({limit}): -X receive.message.max.bytes=1000000000");
    let bootstrap = connection.map_or("HOST:PORT", Connection::bootstrap);
    let copy = match connection.and_then(|connection| connection.name.as_ref()) {
        Some(_) => "this broker has no other copy of it: produce the orders again with a fresh --prefix".to_owned(),
        None => format!(
            "a replica with an intact copy must become the leader: kafka-topics --bootstrap-server {bootstrap} --describe --topic {} lists the \
            replicas and kafka-leader-election moves the leader; if no copy is intact, the records are lost: run kafka-delete-records up to the \
            batch's end, which kafka-dump-log shows, then `analytics --from-beginning`, and inventory with a fresh --prefix",
            topic_partition.topic
        ),
    };
    match code {
        Rd::MessageSizeTooLarge => format!("a response with it is larger than {larger} raises the limit"),
        Rd::BadCompression => {
            format!("decompressed it may be larger than {larger} raises the limit; if it is damaged, {copy}")
        }
        Rd::NotImplemented => format!("this client does not support the format or codec; if it is damaged, {copy}"),
        _ => copy,
    }
}

/// The next step when no broker answers; for an embedded broker it does not concern `-b`.
fn unreachable_hint(connection: Option<&Connection>) -> String {
    match connection.and_then(|connection| connection.name.as_ref()) {
        Some(name) => format!(
            "`foodstream broker --status` shows the state of {name}; see also broker.log in its data directory; \
            --timeout sets how long to wait"
        ),
        None => UNREACHABLE_HINT.to_owned(),
    }
}
