//! Topic ids (KIP-516): request them, or look them up in the background. A topic that was created again has another id.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};

use super::acl::{Operation, Permission};
use super::error::{Cause, Error};
use super::inspector::Inspector;
use super::native_admin;
use crate::state::TopicId;

impl Inspector {
    /// The ids of topics, in their order; `None` on a cluster without topic ids. For `missing_for` a missing topic may
    /// have just been created and is requested again.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, refused, or [`ErrorKind::Missing`](super::ErrorKind) when one of them does
    /// not exist.
    pub fn topic_ids(&self, topics: &[String], missing_for: Duration) -> Result<Vec<Option<TopicId>>, Error> {
        if topics.is_empty() {
            return Ok(Vec::new());
        }
        let needs: Vec<Permission> =
            topics.iter().map(|topic| Permission::topic(topic, &[Operation::Describe])).collect();
        let (client, asked) = (Arc::clone(&self.latest), topics.to_vec());
        self.request("asking for the ids of topics", &needs, missing_for, move |bound| {
            let mut found =
                native_admin::topic_ids(client.client().native_ptr(), &asked, bound).map_err(KafkaError::AdminOp)?;
            let of = |topic: &String| {
                let index = found.iter().position(|(name, _)| name == topic);
                let id = index.map_or(Err(Rd::UnknownTopicOrPartition), |index| found.swap_remove(index).1);
                id.map_err(KafkaError::AdminOp)
            };
            asked.iter().map(of).collect()
        })
    }

    /// Looks the ids up on another thread; also after a stop was requested.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn start_topic_id_lookup(&self, topics: &[String]) -> Result<TopicIdLookup, Error> {
        let (inspector, topics) = (self.ignoring_shutdown(), topics.to_vec());
        let (answered, answer) = mpsc::channel();
        std::thread::Builder::new()
            .name("topic ids".to_owned())
            // The receiver may be dropped by then.
            .spawn(move || answered.send(inspector.topic_ids(&topics, Duration::ZERO)).unwrap_or_default())
            .map_err(|_| Error::new(Cause::Broken("no thread could be started: the process limit is reached")))?;
        Ok(TopicIdLookup(answer))
    }
}

/// A pending look-up of topic ids. Its result was true at some time after it began.
#[derive(Debug)]
pub struct TopicIdLookup(mpsc::Receiver<Result<Vec<Option<TopicId>>, Error>>);

impl TopicIdLookup {
    /// Waits for the result; `None` when it does not arrive within `bound`.
    ///
    /// # Errors
    ///
    /// As [`Inspector::topic_ids`].
    pub fn wait(&self, bound: Duration) -> Result<Option<Vec<Option<TopicId>>>, Error> {
        match self.0.recv_timeout(bound) {
            Ok(ids) => ids.map(Some),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => Err(panicked()),
        }
    }

    /// The result, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Inspector::topic_ids`].
    pub fn end(&self) -> Result<Option<Vec<Option<TopicId>>>, Error> {
        match self.0.try_recv() {
            Ok(ids) => ids.map(Some),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(panicked()),
        }
    }
}

fn panicked() -> Error {
    Error::new(Cause::Broken("the look-up of topic ids panicked"))
}
