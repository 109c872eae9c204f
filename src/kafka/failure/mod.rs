//! Failures of errors: the one place where an error of the client layer gets its message, hint and exit code.

mod authorization;
mod connection;

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

/// Message and hint, as a failure shows them.
impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        failure(self).fmt(f)
    }
}

/// The exit code of a kind.
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
        // A signal has its own; this arm is never asked for one.
        ErrorKind::Exhausted | ErrorKind::Unsupported | ErrorKind::Stopped | ErrorKind::Unexpected => Code::Unexpected,
    }
}

/// Message, hint and exit code of an error.
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
        // The names of topics are checked where they are typed, so that only one that exists can be in the way.
        Cause::TopicRefused { code: Rd::InvalidTopic, words } => plain(words.clone())
            .hint("Kafka takes names that differ only in '.' and '_' for the same: use another --prefix, or the one of the topic that exists"),
        Cause::TopicRefused { code: Rd::PolicyViolation | Rd::InvalidPartitions, words } => {
            plain(words.clone()).hint("--partitions says how many each topic is to have")
        }
        Cause::Code { words, .. } | Cause::TopicRefused { words, .. } => plain(words.clone()),
        Cause::NoAnswer { words, last } => {
            let last = last.as_ref().filter(|last| *last != words);
            unreachable(format!("{words}{}", last.map_or_else(String::new, |last| format!("; last heard: {last}"))))
        }
        Cause::NoLeader(place) => plain(format!("{place} has no leader"))
            .hint("start the brokers that have its replicas: kafka-topics --describe --unavailable-partitions names them; --timeout sets how long to wait"),
        Cause::Denied { code, words, needs } => match connection {
            Some(connection) if acl::is_authorization_error(*code) => authorization::failure(*code, words, needs, connection),
            _ => plain(format!("the broker refused: {words}")).hint(
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
        Cause::Configuration(words) => plain(words.clone())
            .hint("check the -X options and the properties file against librdkafka's CONFIGURATION.md"),
        Cause::TopicName(name) => plain(format!("{name:?} is no topic name")),
        // As for any other part of the program that is stopped.
        Cause::Stopped(signal) => signal.failure(),
        Cause::Broken(words) => plain((*words).to_owned()),
        Cause::TopicStillExists(topic) => plain(format!("the deletion of {topic} was accepted, and the topic is still there"))
            .hint("give it more --timeout, or look for a client that makes it anew: a broker with auto.create.topics.enable makes a topic for whoever asks"),
        Cause::TopicDeletionDisabled(topic) => plain(format!("this broker deletes no topics: {topic} stays"))
            .hint("it runs with delete.topic.enable=false; set that to true, or use a fresh --prefix"),
        Cause::NoTopic(topic) => plain(format!("there is no topic {topic}"))
            .hint("--topic takes the name that the cluster knows, its prefix included"),
        Cause::NoPartition { place, count } => plain(format!(
            "the topic {} has no partition {}: it has {count}, counted from 0",
            place.topic, place.partition
        ))
        .hint(format!("as in --topic {}:0,1", place.topic)),
        Cause::OpenTransaction { place, stable, end } => plain(format!(
            "a transaction on {place} has been open for more than 60 s: stable to {stable}, end {end}"
        ))
        .hint("find the writer with kafka-transactions find-hanging, or wait for its timeout"),
        Cause::LogTruncated { place, frozen, end } => plain(format!(
            "{place} ended at offset {frozen} when this command began, and ends at {end} now: records are lost"
        ))
        .hint("an unclean leader election or a disk that lost its cache does this; look at the brokers' logs, then run the command again"),
        Cause::NextRecordGone(words) => plain(format!("the next record to read is gone from the log: {words}"))
            .hint("retention or a deletion overtook this consumer; analytics goes on with `analytics --from-beginning`, inventory with a fresh --prefix"),
        Cause::RangeGone(words) => plain(format!("records are gone from the log: {words}"))
            .hint("retention or a deletion overtook the reading; run the command again"),
        Cause::Unreadable { place, offset, code, words } => {
            plain(format!("the batch at offset {offset} of {place} cannot be read: {words}")).hint(unreadable_hint(*code, place, connection))
        }
        Cause::TopicGone { words, member: true } => plain(format!("a topic of this group is gone: {words}"))
            .hint("a topic was deleted while this command ran; start again with `produce` under a fresh --prefix"),
        Cause::TopicGone { words, member: false } => plain(format!("a topic went away while it was read: {words}"))
            .hint("run the command again once the topic is back"),
        Cause::Fenced { instance_id, words } => {
            let name = instance_id.as_ref().map_or_else(String::new, |name| format!(" --instance-id {name}"));
            plain(format!("fenced: another process with{name} took over ({words})"))
                .hint("if no other process runs under this name, start the command again: it goes on where the last commit stands")
        }
        Cause::TooLarge { topic, limit: Limit::OfTopic, words } => plain(words.clone()).hint(format!(
            "a batch is larger than {topic} takes: kafka-configs --bootstrap-server {} --alter --entity-type topics \
             --entity-name {topic} --add-config max.message.bytes=BYTES (and segment.bytes, which bounds it), then run the command again",
            connection.map_or("HOST:PORT", Connection::bootstrap)
        )),
        Cause::TooLarge { limit: Limit::OfClient, words, .. } => plain(words.clone())
            .hint("a record is larger than this client hands over: -X message.max.bytes=BYTES raises that"),
    }
}

/// The way on from a batch that stays unreadable. What it held is lost unless another copy has it.
fn unreadable_hint(code: Rd, place: &TopicPartition, connection: Option<&Connection>) -> String {
    let limit =
        connection.and_then(|connection| connection.property("receive.message.max.bytes")).unwrap_or("100000000");
    let larger = format!("receive.message.max.bytes ({limit}): -X receive.message.max.bytes=1000000000");
    let bootstrap = connection.map_or("HOST:PORT", Connection::bootstrap);
    let copy = match connection.and_then(|connection| connection.name.as_ref()) {
        Some(_) => "this broker has no other copy of it: place the orders anew under a fresh --prefix".to_owned(),
        None => format!(
            "a replica that has it whole must lead: kafka-topics --bootstrap-server {bootstrap} --describe --topic {} names them and \
             kafka-leader-election moves the lead; if none has, its records are lost: kafka-delete-records up to its end, which \
             kafka-dump-log tells, then `analytics --from-beginning`, and inventory under a fresh --prefix",
            place.topic
        ),
    };
    match code {
        Rd::MessageSizeTooLarge => format!("an answer with it is larger than {larger} takes it"),
        Rd::BadCompression => {
            format!("decompressed it may be larger than {larger} would take it; if it is damaged, {copy}")
        }
        Rd::NotImplemented => format!("this client knows no such format or codec; if it is damaged, {copy}"),
        _ => copy,
    }
}

/// The next step where a broker does not answer: with an embedded one it is no matter of `-b`.
fn unreachable_hint(connection: Option<&Connection>) -> String {
    match connection.and_then(|connection| connection.name.as_ref()) {
        Some(name) => format!(
            "`foodstream broker --status` tells how {name} stands, and broker.log in its folder what it said; \
             --timeout sets how long to wait"
        ),
        None => UNREACHABLE_HINT.to_owned(),
    }
}
