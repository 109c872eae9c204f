//! Topic id checks (KIP-516): a topic that is deleted and created again under the same name has another id.
//!
//! After such a change the client continues at its old offset in the new topic. So a transaction is committed only
//! after a lookup that began after its last record was read has found the topics that the state belongs to.

use std::time::Duration;

use super::Processor;
use super::error::StreamError;
use super::poll_loop::PollLoop;
use super::settings::{ErrorTexts, LoopSettings};
use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::kafka::{ErrorKind, TopicIdLookup, TransactionError};
use crate::state::{TopicId, is_another_topic};

/// Time between lookups of a loop that commits nothing.
const IDLE_INTERVAL: Duration = Duration::from_secs(1);

/// Bound of a lookup that only makes an error more precise. A topic may also be missing for this long before it is
/// created again.
const LAST_LOOKUP: Duration = Duration::from_millis(500);

/// The names of a loop's topics: its sources, then its outputs.
pub(super) fn topics(settings: &LoopSettings) -> Vec<String> {
    settings.sources.iter().chain(&settings.outputs).cloned().collect()
}

/// The ids of a loop's topics when its state was restored.
#[derive(Debug, Clone, Default)]
pub(super) struct TopicIds {
    topics: Vec<String>,
    ids: Vec<Option<TopicId>>,
    sources: usize,
    changelog: usize,
}

impl TopicIds {
    /// `ids` are those of [`topics`], in the same order.
    pub fn new(settings: &LoopSettings, ids: Vec<Option<TopicId>>) -> Self {
        let sources = settings.sources.len();
        Self { topics: topics(settings), ids, sources, changelog: sources + settings.changelog.0 }
    }

    /// The id of a topic, if it is known.
    pub fn get(&self, topic: &str) -> Option<&TopicId> {
        let index = self.topics.iter().position(|known| known == topic)?;
        self.ids.get(index)?.as_ref()
    }

    /// Requires that `found` are the ids of the same topics.
    pub fn check(&self, found: &[Option<TopicId>], texts: &ErrorTexts) -> Result<(), Failure> {
        let mut pairs = self.ids.iter().zip(found).enumerate();
        let other = pairs.find(|(_, (kept, found))| is_another_topic(kept.as_ref(), found.as_ref()));
        let Some((index, (Some(kept), Some(found)))) = other else { return Ok(()) };
        let topic = &self.topics[index];
        if index < self.sources {
            return Err(recreated(topic, kept, found, texts));
        }
        let (owner, hint) = if index == self.changelog {
            (format!("the {} was kept in", texts.state_name), texts.state_missing_hint)
        } else {
            (
                "this run has written to".to_owned(),
                "records written to the deleted topic are lost; uncommitted records are written again when the command is restarted",
            )
        };
        Err(Failure::new(
            Code::Refused,
            format!("topic {topic} was deleted and created again: its id is {found} now, {owner} {kept}"),
        )
        .hint(hint))
    }
}

/// The failure of a state that belongs to a deleted topic of the same name.
pub(super) fn recreated(topic: &str, kept: &TopicId, found: &TopicId, texts: &ErrorTexts) -> Failure {
    Failure::new(
        Code::Refused,
        format!(
            "topic {topic} was deleted and created again: its id is {found} now, the {} belongs to {kept}",
            texts.state_name
        ),
    )
    .hint(texts.topic_recreated_hint)
}

/// The topic id lookup of a loop that commits nothing.
pub(super) struct IdleLookup {
    lookup: Option<TopicIdLookup>,
    next: Deadline,
}

impl Default for IdleLookup {
    fn default() -> Self {
        Self { lookup: None, next: Deadline::after(IDLE_INTERVAL) }
    }
}

impl<P: Processor> PollLoop<'_, P> {
    /// Starts a lookup of the topics that the open transaction reads from and writes to; the commit waits for it.
    pub(super) fn start_topic_lookup(&self) -> Result<TopicIdLookup, StreamError> {
        let bound = self.connection.timeout.min(self.connection.transaction_timeout());
        Ok(self.lookup_client.with_timeout(bound).start_topic_id_lookup(&topics(self.settings))?)
    }

    /// Requires that the lookup finds the topics of the state. The inner error fails the transaction: without a
    /// response it must not be committed.
    pub(super) fn require_same_topics(
        &self,
        lookup: &TopicIdLookup,
    ) -> Result<Result<(), TransactionError>, StreamError> {
        // The lookup itself has that bound; this one adds some time for its thread.
        let bound = self.connection.timeout.min(self.connection.transaction_timeout()) + IDLE_INTERVAL;
        match lookup.wait(bound) {
            Ok(Some(found)) => Ok(Ok(self.topic_ids.check(&found, &self.settings.error_texts)?)),
            Ok(None) => Ok(Err(TransactionError::UnknownOutcome("no response about the topic ids".to_owned()))),
            // The topic may be created again, with another id; or a broker does not know it yet.
            Err(error) if error.kind() == ErrorKind::Missing => Ok(Err(TransactionError::Abort(error.to_string()))),
            Err(error) if error.kind().is_retriable() => Ok(Err(TransactionError::UnknownOutcome(error.to_string()))),
            Err(error) => Err(error.into()),
        }
    }

    /// Checks the topic ids periodically while nothing is committed, without waiting for a response.
    pub(super) fn check_topics_when_idle(&mut self) -> Result<(), StreamError> {
        if let Some(lookup) = &self.idle_lookup.lookup {
            let found = match lookup.end() {
                Ok(None) => return Ok(()),
                Ok(found) => found,
                // `probe_cluster` finds out whether the cluster responds.
                Err(_) => None,
            };
            self.idle_lookup = IdleLookup::default();
            if found.is_some() {
                self.outages.answered();
            }
            if let (Some(found), Some(_)) = (found, &self.generation) {
                self.topic_ids.check(&found, &self.settings.error_texts)?;
            }
        } else if self.generation.is_some() && !self.outages.is_ongoing() && self.idle_lookup.next.has_passed() {
            // Not in an outage: the lookup would share its connection with the probe.
            self.idle_lookup.lookup = Some(self.start_topic_lookup()?);
        }
        Ok(())
    }

    /// Replaces the error of a missing topic or of unexpected offsets by that of a topic that was created again, if it
    /// was since the state was restored.
    pub(super) fn explain_recreated_topic(&self, error: StreamError) -> StreamError {
        let may_be_recreated = match &error {
            StreamError::Kafka(error) => matches!(error.kind(), ErrorKind::Missing | ErrorKind::OutOfRange),
            StreamError::Failure(failure) => failure.code == Code::Refused,
        };
        if !may_be_recreated {
            return error;
        }
        let inspector = self.inspector.with_timeout(LAST_LOOKUP).ignoring_shutdown();
        match inspector.topic_ids(&topics(self.settings), LAST_LOOKUP) {
            Ok(found) => {
                self.topic_ids.check(&found, &self.settings.error_texts).map_or_else(StreamError::from, |()| error)
            }
            Err(_) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ERROR_TEXTS: ErrorTexts = ErrorTexts {
        command: "inventory",
        resume_flag: "--resume-from-ledger",
        state_name: "ledger",
        state_missing_hint: "ledger gone",
        records_missing_hint: "records gone",
        topic_recreated_hint: "start over",
        state_incomplete_hint: "ledger lost",
    };

    fn id(bits: u128) -> Option<TopicId> {
        TopicId::of_bits(bits)
    }

    fn topic_ids() -> TopicIds {
        let topics = ["orders", "events", "ledger"].map(str::to_owned).to_vec();
        TopicIds { topics, ids: vec![id(1), id(2), id(3)], sources: 1, changelog: 2 }
    }

    #[test]
    fn a_recreated_topic_is_refused_with_its_own_hint() {
        let refused = |found: [u128; 3]| topic_ids().check(&found.map(id), &ERROR_TEXTS).expect_err("another topic");
        let source = refused([9, 2, 3]);
        assert_eq!(
            source.message,
            "topic orders was deleted and created again: its id is AAAAAAAAAAAAAAAAAAAACQ now, the ledger belongs to AAAAAAAAAAAAAAAAAAAAAQ"
        );
        assert_eq!((source.code, source.hint.as_deref()), (Code::Refused, Some("start over")));
        assert!(refused([1, 9, 3]).message.contains("topic events was deleted"));
        assert_eq!(refused([1, 2, 9]).hint.as_deref(), Some("ledger gone"));
    }

    #[test]
    fn same_and_unknown_ids_are_accepted() {
        assert!(topic_ids().check(&[id(1), id(2), id(3)], &ERROR_TEXTS).is_ok());
        assert!(topic_ids().check(&[None, None, None], &ERROR_TEXTS).is_ok(), "a cluster without topic ids");
        assert!(TopicIds::default().check(&[id(1)], &ERROR_TEXTS).is_ok(), "before the first assignment");
        assert_eq!((topic_ids().get("events"), topic_ids().get("other")), (id(2).as_ref(), None));
    }
}
