//! Clients that read ranges, and why nothing comes to one: the queue that a scan reads brings no errors of connections.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode as Rd;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::TopicPartition;
use super::client_context::Context;
use super::connection::Connection;
use super::error::{self, Cause, Error};
use super::error_codes::ErrorKind;
use crate::clock::Deadline;

/// How long a partition is listened to.
const LISTEN: Duration = Duration::from_secs(2);

/// How a client is set up that reads ranges in the name of a group that it never joins.
pub(super) fn config(connection: &Connection, group: &str) -> ClientConfig {
    connection.client_config_with(
        &[("fetch.queue.backoff.ms", "5"), ("queued.min.messages", "10000"), ("fetch.wait.max.ms", "50")],
        &[
            ("group.id", group),
            ("isolation.level", "read_committed"),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            ("allow.auto.create.topics", "false"),
        ],
    )
}

/// Reads a partition from a position on for a moment, alone, as an answer is one for many, and by a client that hears everything.
///
/// # Errors
///
/// With exit code 7 when the client cannot take the answers.
pub(super) fn diagnose_stall(
    connection: &Connection,
    group: &str,
    place: &TopicPartition,
    position: i64,
) -> Result<(), Error> {
    let consumer: BaseConsumer<Context> = config(connection, group)
        .create_with_context(Context::new(connection))
        .map_err(|error| error::configuration(&error))?;
    let errors = consumer.context().errors.clone();
    let failed = |error: &_| error::of_call(error, "reading", &[], &errors);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&place.topic, place.partition, Offset::Offset(position))
        .map_err(|error| failed(&error))?;
    consumer.assign(&list).map_err(|error| failed(&error))?;
    let deadline = Deadline::after(LISTEN);
    while !deadline.has_passed() {
        match consumer.poll(deadline.remaining()) {
            // An end, too, is an answer.
            Some(Ok(_) | Err(rdkafka::error::KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) if error::kind(&error) == ErrorKind::Corrupt => {
                let words = errors.last().unwrap_or_else(|| error.to_string());
                let (place, code) = (place.clone(), Rd::MessageSizeTooLarge);
                return Err(
                    Error::new(Cause::Unreadable { place, offset: position, code, words }).of(&errors.connection)
                );
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(())
}
