//! Follows the state of the whole group live, so that every instance shows the total of all instances.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::topic_set::TopicSet;
use super::{Context, group};
use crate::analytics::{GroupState, MetricsDocument, View};
use crate::exit::{Code, Failure};
use crate::kafka::{EndOffset, Inspector, Reader, ScanRecord, TopicPartition, follow};

/// A thread that folds `analytics-state` as it grows.
#[derive(Debug)]
pub(super) struct StateFollower {
    state: Arc<Mutex<FollowedState>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<(), Failure>>>,
    topics: [String; 2],
}

#[derive(Debug)]
struct FollowedState {
    state: GroupState,
    /// Where each partition ended at the start, until reached. Before that, an old record's replacement may not have
    /// been read yet.
    ends: Vec<Option<i64>>,
}

impl FollowedState {
    fn has_caught_up(&self) -> bool {
        self.ends.iter().all(Option::is_none)
    }

    fn advance(&mut self, range: usize, position: i64) {
        self.ends[range].take_if(|end| *end <= position);
    }
}

impl Reader for FollowedState {
    type Error = Failure;

    fn record(&mut self, record: ScanRecord<'_>) -> Result<(), Failure> {
        self.advance(record.range, record.offset + 1);
        let Some(key) = record.key else { return Ok(()) };
        self.state.apply(key, record.value).map_err(|error| {
            Failure::new(Code::Refused, error.to_string())
                .hint("another program wrote to analytics-state; use a new --prefix")
        })
    }

    fn reached(&mut self, range: usize, position: i64) {
        self.advance(range, position);
    }
}

impl StateFollower {
    pub fn start(context: &Context, inspector: &Inspector, topic_set: &TopicSet, group: &str) -> Result<Self, Failure> {
        let names = &context.common.names;
        let places = TopicPartition::all(&names.analytics_state(), topic_set.partitions);
        let starts = inspector.starts(&places)?;
        let ends = inspector.ends(&places, EndOffset::LastStable)?.into_iter().zip(&starts);
        let ends = ends.map(|(end, start)| (end > *start).then_some(end)).collect();
        let starts: Vec<(TopicPartition, i64)> = places.into_iter().zip(starts).collect();
        let state = Arc::new(Mutex::new(FollowedState { state: GroupState::new(group), ends }));
        let stop = Arc::new(AtomicBool::new(false));
        let (connection, group) = (context.common.connection.clone(), group.to_owned());
        let (shared, stopped) = (Arc::clone(&state), Arc::clone(&stop));
        let thread = std::thread::Builder::new()
            .name("follow state".to_owned())
            .spawn(move || follow(&connection, &group, &starts, &shared, &stopped))
            .map_err(|error| Failure::new(Code::Unexpected, format!("cannot start a thread: {error}")))?;
        Ok(Self { state, stop, thread: Some(thread), topics: [names.orders(), names.decisions()] })
    }

    /// The group's metrics as followed so far. Fails if the thread has failed, or with exit code 7 if state is missing.
    pub fn metrics(&mut self) -> Result<MetricsDocument, Failure> {
        if self.thread.as_ref().is_some_and(JoinHandle::is_finished)
            && let Some(thread) = self.thread.take()
        {
            thread.join().unwrap_or_else(|_| {
                Err(Failure::new(Code::Unexpected, "the thread that follows the state panicked"))
            })?;
        }
        let [orders, decisions] = &self.topics;
        let following = locked(&self.state);
        if following.has_caught_up() {
            group::require_complete(&following.state)?;
        }
        Ok(following.state.metrics([orders, decisions], |_, _, _| View::Current).document())
    }
}

impl Drop for StateFollower {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // An error here no longer matters to anyone.
            drop(thread.join());
        }
    }
}

fn locked(state: &Mutex<FollowedState>) -> MutexGuard<'_, FollowedState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
