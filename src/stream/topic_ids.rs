//! The topics of a loop, as they were when its state was restored: a name may belong to another topic by now.
//!
//! The client goes on at its old offset in a topic that was deleted and created again. So a transaction is committed only when a
//! look that began after its last record was read has found the topics that the state belongs to.

use std::time::Duration;

use super::Processor;
use super::error::StreamError;
use super::poll_loop::PollLoop;
use super::settings::{ErrorTexts, LoopSettings};
use crate::clock::Deadline;
use crate::exit::{Code, Failure};
use crate::kafka::{ErrorKind, TopicIdLookup, TransactionError};
use crate::state::{TopicId, is_another_topic};

/// How often a loop that commits nothing looks.
const LOOK: Duration = Duration::from_secs(1);

/// How long a look may take that only makes an error say more, and a topic be gone that is about to be created again.
const LAST_LOOK: Duration = Duration::from_millis(500);

/// The names of a loop's topics: its sources, then its outputs.
pub(super) fn topics(settings: &LoopSettings) -> Vec<String> {
    settings.sources.iter().chain(&settings.outputs).cloned().collect()
}

/// The topics that a loop's state belongs to.
#[derive(Debug, Clone, Default)]
pub(super) struct Identity {
    topics: Vec<String>,
    ids: Vec<Option<TopicId>>,
    sources: usize,
    changelog: usize,
}

impl Identity {
    /// Of topics (see [`topics`]) with these ids.
    pub fn new(settings: &LoopSettings, ids: Vec<Option<TopicId>>) -> Self {
        let sources = settings.sources.len();
        Self { topics: topics(settings), ids, sources, changelog: sources + settings.changelog.0 }
    }

    /// The id of a topic, as far as it is known.
    pub fn of(&self, topic: &str) -> Option<&TopicId> {
        let place = self.topics.iter().position(|known| known == topic)?;
        self.ids.get(place)?.as_ref()
    }

    /// Requires that the topics are the same.
    pub fn check(&self, found: &[Option<TopicId>], words: &ErrorTexts) -> Result<(), Failure> {
        let mut places = self.ids.iter().zip(found).enumerate();
        let other = places.find(|(_, (kept, found))| is_another_topic(kept.as_ref(), found.as_ref()));
        let Some((place, (Some(kept), Some(found)))) = other else { return Ok(()) };
        let topic = &self.topics[place];
        if place < self.sources {
            return Err(recreated(topic, kept, found, words));
        }
        let (belongs, hint) = if place == self.changelog {
            (format!("the {} was kept in", words.state_name), words.state_missing_hint)
        } else {
            (
                "this run has written to".to_owned(),
                "what was written to it is gone with it, and what was not committed is written when the command is started again",
            )
        };
        Err(Failure::new(
            Code::Refused,
            format!("topic {topic} was deleted and created again: its id is {found} now, {belongs} {kept}"),
        )
        .hint(hint))
    }
}

/// The state belongs to another topic than the one that has the name now.
pub(super) fn recreated(topic: &str, kept: &TopicId, found: &TopicId, words: &ErrorTexts) -> Failure {
    Failure::new(
        Code::Refused,
        format!(
            "topic {topic} was deleted and created again: its id is {found} now, the {} belongs to {kept}",
            words.state_name
        ),
    )
    .hint(words.topic_recreated_hint)
}

/// A look of a loop that commits nothing.
pub(super) struct IdleLook {
    look: Option<TopicIdLookup>,
    next: Deadline,
}

impl Default for IdleLook {
    fn default() -> Self {
        Self { look: None, next: Deadline::after(LOOK) }
    }
}

impl<P: Processor> PollLoop<'_, P> {
    /// Begins a look at the topics that this transaction read from and writes to; `commit` waits for it.
    pub(super) fn begin_look(&self) -> Result<TopicIdLookup, StreamError> {
        let bound = self.connection.timeout.min(self.connection.transaction_timeout());
        Ok(self.looker.with_timeout(bound).start_topic_id_lookup(&topics(self.settings))?)
    }

    /// Requires that what the look finds are the topics of the state. The inner error is the transaction's: without an answer it
    /// must not be committed.
    pub(super) fn require_topics(&self, look: &TopicIdLookup) -> Result<Result<(), TransactionError>, StreamError> {
        // The look has that bound itself, and some grace.
        let bound = self.connection.timeout.min(self.connection.transaction_timeout()) + LOOK;
        match look.wait(bound) {
            Ok(Some(found)) => Ok(Ok(self.identity.check(&found, &self.settings.error_texts)?)),
            Ok(None) => Ok(Err(TransactionError::UnknownOutcome("no answer about the ids of the topics".to_owned()))),
            // It may be created again, and then the state is not its own; or a broker has not heard of it yet.
            Err(error) if error.kind() == ErrorKind::Missing => Ok(Err(TransactionError::Abort(error.to_string()))),
            Err(error) if error.kind().is_retriable() => Ok(Err(TransactionError::UnknownOutcome(error.to_string()))),
            Err(error) => Err(error.into()),
        }
    }

    /// Looks now and then while nothing is committed, without waiting for an answer.
    pub(super) fn look_at_topics(&mut self) -> Result<(), StreamError> {
        if let Some(look) = &self.idle_look.look {
            let found = match look.end() {
                Ok(None) => return Ok(()),
                Ok(found) => found,
                // Whether the cluster answers is asked elsewhere.
                Err(_) => None,
            };
            self.idle_look = IdleLook::default();
            if let (Some(found), Some(_)) = (found, &self.generation) {
                self.identity.check(&found, &self.settings.error_texts)?;
            }
        } else if self.generation.is_some() && !self.outages.lasts() && self.idle_look.next.has_passed() {
            // Only beside an assignment: in an outage it would share the connection with what finds out that it is over.
            self.idle_look.look = Some(self.begin_look()?);
        }
        Ok(())
    }

    /// The error of a topic that went away, or of offsets that are not what they were; it becomes that of a topic that was
    /// created again, if one was since its id was asked for.
    pub(super) fn name_recreated(&self, error: StreamError) -> StreamError {
        let may_be = match &error {
            StreamError::Kafka(error) => matches!(error.kind(), ErrorKind::Missing | ErrorKind::OutOfRange),
            StreamError::Failure(failure) => failure.code == Code::Refused,
        };
        if !may_be {
            return error;
        }
        let inspector = self.inspector.with_timeout(LAST_LOOK).ignoring_shutdown();
        match inspector.topic_ids(&topics(self.settings), LAST_LOOK) {
            Ok(found) => {
                self.identity.check(&found, &self.settings.error_texts).map_or_else(StreamError::from, |()| error)
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

    fn identity() -> Identity {
        let topics = ["orders", "events", "ledger"].map(str::to_owned).to_vec();
        Identity { topics, ids: vec![id(1), id(2), id(3)], sources: 1, changelog: 2 }
    }

    #[test]
    fn a_topic_with_another_id_is_refused_by_what_it_is_to_the_loop() {
        let refused = |found: [u128; 3]| identity().check(&found.map(id), &ERROR_TEXTS).expect_err("another topic");
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
    fn the_same_topics_and_unknown_ids_are_no_reason() {
        assert!(identity().check(&[id(1), id(2), id(3)], &ERROR_TEXTS).is_ok());
        assert!(identity().check(&[None, None, None], &ERROR_TEXTS).is_ok(), "a cluster that gives none");
        assert!(Identity::default().check(&[id(1)], &ERROR_TEXTS).is_ok(), "nothing is known yet");
        assert_eq!((identity().of("events"), identity().of("other")), (id(2).as_ref(), None));
    }
}
