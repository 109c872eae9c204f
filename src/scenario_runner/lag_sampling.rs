//! Lag sampling: a thread that samples the groups of a script at its interval, from the first step to the last.

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

/// How often the thread checks whether to stop.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The sampling thread and its samples.
#[derive(Debug)]
pub(super) struct LagSampling {
    seen: Arc<Mutex<Vec<LagSeries>>>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl LagSampling {
    /// Starts the thread. Times are relative to `started`.
    ///
    /// # Errors
    ///
    /// When the client or the thread cannot be created.
    pub fn start(environment: &Environment, script: &Script, started: Instant) -> Result<Self, Failure> {
        let groups: Vec<String> = script.groups.iter().map(|group| environment.full_name(group)).collect();
        let series =
            groups.iter().map(|group| LagSeries { group: group.clone(), samples: Vec::new(), predictions: Vec::new() });
        let seen = Arc::new(Mutex::new(series.collect::<Vec<_>>()));
        let stopping = Arc::new(AtomicBool::new(false));
        let every = script.sample_every;
        let mut take_samples = sampler(environment, groups)?;
        let thread = {
            let (seen, stopping) = (Arc::clone(&seen), Arc::clone(&stopping));
            std::thread::Builder::new().name("lag".to_owned()).spawn(move || {
                loop {
                    // Read before the sample, so that one sample begins after the run has ended.
                    let last = stopping.load(Ordering::Acquire);
                    let next = Deadline::after(every);
                    let at_seconds = started.elapsed().as_secs_f64();
                    let samples = take_samples(at_seconds);
                    let mut seen = locked(&seen);
                    if samples.is_empty() && last {
                        // Without an answer the lag at the end is unknown: earlier samples must not pass for it.
                        seen.iter_mut().for_each(|series| series.samples.push(unknown(at_seconds)));
                    }
                    for (index, sample) in samples {
                        seen[index].samples.push(sample);
                    }
                    drop(seen);
                    if last {
                        return;
                    }
                    while !next.has_passed() && !stopping.load(Ordering::Acquire) {
                        clock::pause(POLL_INTERVAL.min(next.remaining()));
                    }
                }
            })
        };
        let thread = thread.map_err(|error| {
            Failure::new(Code::Unexpected, format!("cannot start the lag sampling thread: {error}"))
        })?;
        Ok(Self { seen, stopping, thread: Some(thread) })
    }

    /// The newest sample of a group, by its name on the cluster.
    pub fn latest(&self, group: &str) -> Option<LagSample> {
        let seen = locked(&self.seen);
        seen.iter().find(|series| series.group == group).and_then(|series| series.samples.last().cloned())
    }

    /// Appends the samples that `lag` does not have yet.
    pub fn copy_to(&self, lag: &mut Vec<LagSeries>) {
        let seen = locked(&self.seen);
        for (index, series) in seen.iter().enumerate() {
            match lag.get_mut(index) {
                Some(known) => known.samples.extend(series.samples.iter().skip(known.samples.len()).cloned()),
                None => lag.push(series.clone()),
            }
        }
    }

    /// Takes a last sample of each group and stops the thread.
    pub fn finish(&mut self, lag: &mut Vec<LagSeries>) {
        self.stopping.store(true, Ordering::Release);
        if let Some(thread) = self.thread.take() {
            // After a panic samples are missing, and the expectations on them fail.
            thread.join().unwrap_or_default();
        }
        self.copy_to(lag);
    }
}

impl Drop for LagSampling {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Samples all groups. Returns the groups that could be sampled, by their index.
type SampleFn = Box<dyn FnMut(f64) -> Vec<(usize, LagSample)> + Send>;

fn sampler(environment: &Environment, groups: Vec<String>) -> Result<SampleFn, Failure> {
    if groups.is_empty() {
        return Ok(Box::new(|_| Vec::new()));
    }
    // Not stopped by a signal: samples are taken until the run has ended.
    let shutdown = Shutdown::default();
    let mut sampler =
        LagSampler::open(&environment.connection, groups, Vec::new(), Isolation::ReadCommitted, &shutdown)?;
    Ok(Box::new(move |at_seconds| {
        // An error leaves a gap in the samples. Waits and expectations that depend on it report it.
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
        // If the real lag may be larger than the total, the total must not be compared with a bound.
        messages: group.messages().filter(|_| !group.is_uncertain()),
        seconds: group.seconds(),
        partitions: group.partitions.iter().map(partition).collect(),
    }
}

/// A sample without an answer.
fn unknown(at_seconds: f64) -> LagSample {
    LagSample { at_seconds, messages: None, seconds: None, partitions: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{LogBounds, NextRecord};

    #[test]
    fn uncertain_lag_has_no_number() {
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
        assert_eq!(
            seen(vec![partition(0, Some(5), 5), partition(1, None, 0)]),
            Some(0),
            "an empty partition has no lag"
        );
        assert_eq!(seen(vec![partition(0, Some(5), 5), partition(1, None, 9)]), None);
        assert_eq!(seen(vec![partition(0, Some(5), 5), partition(1, Some(9), 3)]), None);
    }
}
