//! Owns lag over time: a thread that samples the groups of a script at its pace, from the first step to the last.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::environment::Environment;
use crate::clock::{self, Deadline};
use crate::exit::{Code, Failure};
use crate::kafka::LagSampler;
use crate::lag::{GroupSample, Isolation, PartitionSample};
use crate::scenario::{LagSample, LagSeries, PartitionLagSample, Script};
use crate::shutdown::Shutdown;

/// How often the thread looks whether it is to end.
const LOOK: Duration = Duration::from_millis(5);

/// Samples under way.
#[derive(Debug)]
pub(super) struct LagSampling {
    seen: Arc<Mutex<Vec<LagSeries>>>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LagSampling {
    /// Begins; times count from `started`.
    ///
    /// # Errors
    ///
    /// When a client cannot be made, or a thread cannot be had.
    pub fn start(place: &Environment, script: &Script, started: Instant) -> Result<Self, Failure> {
        let groups: Vec<String> = script.groups.iter().map(|group| place.named(group)).collect();
        let series =
            groups.iter().map(|group| LagSeries { group: group.clone(), samples: Vec::new(), predictions: Vec::new() });
        let seen = Arc::new(Mutex::new(series.collect::<Vec<_>>()));
        let over = Arc::new(AtomicBool::new(false));
        let every = script.sample_every;
        let mut look = look(place, groups)?;
        let thread = {
            let (seen, over) = (Arc::clone(&seen), Arc::clone(&over));
            std::thread::Builder::new().name("lag".to_owned()).spawn(move || {
                loop {
                    // What ends while this sample is taken is seen by it, or by the one after it.
                    let last = over.load(Ordering::Acquire);
                    let next = Deadline::after(every);
                    let at_seconds = started.elapsed().as_secs_f64();
                    let looked = look(at_seconds);
                    let mut seen = locked(&seen);
                    if looked.is_empty() && last {
                        // What was seen before it says nothing about the end.
                        seen.iter_mut().for_each(|series| series.samples.push(unknown(at_seconds)));
                    }
                    for (index, sample) in looked {
                        seen[index].samples.push(sample);
                    }
                    drop(seen);
                    if last {
                        return;
                    }
                    while !next.has_passed() && !over.load(Ordering::Acquire) {
                        clock::pause(LOOK.min(next.remaining()));
                    }
                }
            })
        };
        let thread =
            thread.map_err(|error| Failure::new(Code::Unexpected, format!("no thread for sampling lag: {error}")))?;
        Ok(Self { seen, over, thread: Some(thread) })
    }

    /// The newest sample of a group, as it is called on the cluster.
    pub fn latest(&self, group: &str) -> Option<LagSample> {
        let seen = locked(&self.seen);
        seen.iter().find(|series| series.group == group).and_then(|series| series.samples.last().cloned())
    }

    /// Adds to `lag` what it has not got yet.
    pub fn show(&self, lag: &mut Vec<LagSeries>) {
        let seen = locked(&self.seen);
        for (index, series) in seen.iter().enumerate() {
            match lag.get_mut(index) {
                Some(known) => known.samples.extend(series.samples.iter().skip(known.samples.len()).cloned()),
                None => lag.push(series.clone()),
            }
        }
    }

    /// Takes a last sample of each group and ends.
    pub fn finish(&mut self, lag: &mut Vec<LagSeries>) {
        self.over.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // Its panic has lost samples, which every expectation on them notices.
            thread.join().unwrap_or_default();
        }
        self.show(lag);
    }
}

impl Drop for LagSampling {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

/// A panicking sampler has lost its samples already.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One look at all groups: those that could be seen, by their place.
type Look = Box<dyn FnMut(f64) -> Vec<(usize, LagSample)> + Send>;

fn look(place: &Environment, groups: Vec<String>) -> Result<Look, Failure> {
    if groups.is_empty() {
        return Ok(Box::new(|_| Vec::new()));
    }
    // A wish to stop ends the play in order; samples are taken to its very end.
    let shutdown = Shutdown::default();
    let mut sampler = LagSampler::open(&place.connection, groups, Vec::new(), Isolation::ReadCommitted, &shutdown)?;
    Ok(Box::new(move |at_seconds| {
        // A broker that does not answer for a moment leaves a gap; who depends on it tells.
        let groups = sampler.sample().unwrap_or_default();
        groups.iter().map(|group| sample(group, at_seconds)).enumerate().collect()
    }))
}

fn sample(group: &GroupSample, at_seconds: f64) -> LagSample {
    let partition = |partition: &PartitionSample| PartitionLagSample {
        topic: partition.topic.clone(),
        partition: partition.partition,
        messages: partition.lag(group.isolation).messages(),
        seconds: partition.seconds(group.isolation, group.at_millis),
    };
    LagSample {
        at_seconds,
        // Where more may wait than is counted, the number would be too small to be held against a bound.
        messages: group.messages().filter(|_| !group.is_uncertain()),
        seconds: group.seconds(),
        partitions: group.partitions.iter().map(partition).collect(),
    }
}

/// A look that was not answered.
fn unknown(at_seconds: f64) -> LagSample {
    LagSample { at_seconds, messages: None, seconds: None, partitions: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{LogBounds, NextRecord};

    #[test]
    fn where_more_may_wait_than_is_counted_there_is_no_number() {
        let partition = |partition, committed, high_watermark| PartitionSample {
            topic: "orders".to_owned(),
            partition,
            committed,
            bounds: Some(LogBounds { log_start: 0, last_stable: high_watermark, high_watermark }),
            next: NextRecord::Unknown,
            owner: None,
        };
        let seen = |partitions| {
            let group = GroupSample {
                group: "readers".to_owned(),
                state: "Stable".to_owned(),
                members: 1,
                kind: None,
                isolation: Isolation::ReadCommitted,
                at_millis: 0,
                partitions,
            };
            sample(&group, 1.0).messages
        };
        assert_eq!(seen(vec![partition(0, Some(5), 5)]), Some(0));
        assert_eq!(seen(vec![partition(0, Some(5), 5), partition(1, None, 0)]), Some(0), "nothing can wait there");
        assert_eq!(seen(vec![partition(0, Some(5), 5), partition(1, None, 9)]), None);
        assert_eq!(seen(vec![partition(0, Some(5), 5), partition(1, Some(9), 3)]), None);
    }
}
