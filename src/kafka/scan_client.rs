//! Consumer configuration of scans, and the diagnosis of a scan that gets no records: a batch queue does not return
//! connection errors.

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
use crate::lag::Isolation;

/// How long the diagnosis reads.
const DIAGNOSIS_TIMEOUT: Duration = Duration::from_secs(2);

/// The consumer configuration of a scan, with the name of a group that it never joins.
pub(super) fn config(connection: &Connection, group: &str, isolation: Isolation) -> ClientConfig {
    connection.client_config_with(
        &[("fetch.queue.backoff.ms", "5"), ("queued.min.messages", "10000"), ("fetch.wait.max.ms", "50")],
        &[
            ("group.id", group),
            ("isolation.level", isolation.name()),
            ("enable.auto.commit", "false"),
            ("enable.auto.offset.store", "false"),
            ("auto.offset.reset", "error"),
            ("enable.partition.eof", "true"),
            ("allow.auto.create.topics", "false"),
        ],
    )
}

/// Reads one partition from a position for a short time, with a client whose queue returns connection errors. A
/// partition alone, as a response has several.
///
/// # Errors
///
/// With exit code 7 when librdkafka cannot read the response.
pub(super) fn diagnose_stall(
    connection: &Connection,
    group: &str,
    topic_partition: &TopicPartition,
    position: i64,
) -> Result<(), Error> {
    let consumer: BaseConsumer<Context> = config(connection, group, Isolation::ReadCommitted)
        .create_with_context(Context::new(connection))
        .map_err(|error| error::configuration(&error))?;
    let errors = consumer.context().errors.clone();
    let failed = |error: &_| error::of_call(error, "reading", &[], &errors);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&topic_partition.topic, topic_partition.partition, Offset::Offset(position))
        .map_err(|error| failed(&error))?;
    consumer.assign(&list).map_err(|error| failed(&error))?;
    let deadline = Deadline::after(DIAGNOSIS_TIMEOUT);
    while !deadline.has_passed() {
        match consumer.poll(deadline.remaining()) {
            // The end of the partition is a response, too.
            Some(Ok(_) | Err(rdkafka::error::KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) if error::kind(&error) == ErrorKind::Corrupt => {
                let message = errors.last().unwrap_or_else(|| error.to_string());
                let (topic_partition, code) = (topic_partition.clone(), Rd::MessageSizeTooLarge);
                return Err(Error::new(Cause::Unreadable { topic_partition, offset: position, code, message })
                    .of(&errors.connection));
            }
            Some(Err(_)) | None => {}
        }
    }
    Ok(())
}
