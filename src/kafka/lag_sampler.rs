//! Lag sampler: takes samples of the lag of consumer groups, with clients that stay open between samples.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::TopicPartition;
use super::acl::Operation;
use super::connection::Connection;
use super::error::{Cause, Error};
use super::error_codes::ErrorKind;
use super::groups::DEAD;
use super::inspector::Inspector;
use super::native_groups::GroupDescription;
use super::next_record::{NextRecordReader, Request};
use crate::clock::{self, Deadline};
use crate::lag::{GroupKind, GroupSample, Isolation, Lag, LogBounds, NextRecord, PartitionSample};
use crate::shutdown::Shutdown;

/// The most time for the next unread records in one sample of many.
const NEXT_RECORD_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for them where the rest of the sample has used up the timeout.
const MIN_NEXT_RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the broker may not know a topic that it has just listed.
const MISSING_TOPIC_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the list of topics and partition counts is cached.
const TOPICS_AGE: Duration = Duration::from_secs(5);

/// A topic that the samples are limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicChoice {
    /// The full name on the cluster.
    pub topic: String,
    /// Only these partitions; `None` for all.
    pub partitions: Option<Vec<i32>>,
}

/// Samples the lag of any group on any topic of the cluster. It joins no group and creates nothing.
#[derive(Debug)]
pub struct LagSampler {
    inspector: Inspector,
    next_records: NextRecordReader,
    next_record_timeout: Duration,
    groups: Vec<String>,
    choices: Vec<TopicChoice>,
    isolation: Isolation,
    shutdown: Shutdown,
    /// Partition counts of the cluster's topics, and when they expire.
    topics: BTreeMap<String, i32>,
    topics_known: Option<Deadline>,
}

/// A group's description and committed offsets.
struct DescribedGroup {
    description: GroupDescription,
    kind: Option<GroupKind>,
    at_millis: i64,
    committed: BTreeMap<TopicPartition, i64>,
    owners: BTreeMap<TopicPartition, String>,
}

impl LagSampler {
    /// Creates clients for the groups, which need not exist; they send nothing yet. Without choices a sample includes
    /// every topic that a group has offsets for or that is assigned to one of its members.
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka rejects the configuration, or without a group.
    pub fn open(
        connection: &Connection,
        groups: Vec<String>,
        choices: Vec<TopicChoice>,
        isolation: Isolation,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        let Some(first) = groups.first() else {
            return Err(Error::new(Cause::Configuration("no group to sample".to_owned())));
        };
        Ok(Self {
            inspector: Inspector::open(connection, first, shutdown)?,
            next_records: NextRecordReader::open(connection, first, isolation)?,
            next_record_timeout: NEXT_RECORD_TIMEOUT,
            groups,
            choices,
            isolation,
            shutdown: shutdown.clone(),
            topics: BTreeMap::new(),
            topics_known: None,
        })
    }

    /// For a single sample, where the age of unread records may take this long, as no later sample can add it.
    #[must_use]
    pub fn for_one_sample(mut self, bound: Duration) -> Self {
        self.next_record_timeout = bound;
        self
    }

    /// A timeout that should be enough for one wait, judged by the last response time.
    #[must_use]
    pub fn timeout_hint(&self) -> Duration {
        self.inspector.attempt_timeout.attempt() * 2
    }

    /// Sets the bound of every wait in the next samples.
    pub fn set_timeout(&mut self, bound: Duration) {
        self.inspector = self.inspector.with_timeout(bound);
    }

    /// Samples every group in the given order. State and members come first, then committed offsets, then end offsets,
    /// so that a group that consumes during the sample never appears to be ahead of the log.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses, 7 when a chosen topic or
    /// partition does not exist; the signal's code after a signal.
    pub fn sample(&mut self) -> Result<Vec<GroupSample>, Error> {
        let bound = Deadline::after(self.next_record_timeout);
        // The first request: a wrong address fails here.
        if self.topics_known.is_none_or(|known| known.has_passed()) {
            self.refresh_topics()?;
        }
        let names: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let descriptions = self.inspector.describe(&names)?;
        let mut groups = Vec::with_capacity(descriptions.len());
        for (group, description) in self.groups.iter().zip(descriptions) {
            let owners = description.members.iter().flat_map(|member| {
                member.partitions.iter().map(|topic_partition| (topic_partition.clone(), member.id.clone()))
            });
            let owners = owners.collect();
            let at_millis = clock::wall_millis();
            let committed: BTreeMap<_, _> = self.inspector.all_committed(group)?.into_iter().collect();
            // librdkafka does not support share groups: described as a consumer group one is dead, but it is listed.
            let is_share = description.state == DEAD && committed.is_empty() && self.inspector.is_listed(group)?;
            let kind = is_share.then_some(GroupKind::Share);
            groups.push(DescribedGroup { description, kind, at_millis, committed, owners });
        }
        let topic_partitions: BTreeSet<TopicPartition> =
            groups.iter().flat_map(|group| group.committed.keys().chain(group.owners.keys())).cloned().collect();
        if topic_partitions.iter().any(|topic_partition| !self.topics.contains_key(&topic_partition.topic)) {
            self.refresh_topics()?;
        }
        let chosen = self.chosen()?;
        let topic_partitions: Vec<BTreeSet<TopicPartition>> =
            groups.iter().map(|group| self.topic_partitions(group, chosen.as_ref())).collect();
        let bounds = self.bounds(&topic_partitions.iter().flatten().cloned().collect())?;
        let mut samples = Vec::with_capacity(groups.len());
        for (index, (group, topic_partitions)) in groups.into_iter().zip(topic_partitions).enumerate() {
            samples.push(self.group(index, group, topic_partitions, &bounds, &bound)?);
        }
        Ok(samples)
    }

    /// Topics that this principal may not read, as far as known: the age of their records is unknown.
    #[must_use]
    pub fn forbidden(&self) -> &BTreeSet<String> {
        self.next_records.forbidden()
    }

    /// The names of the cluster's groups, sorted.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses.
    pub fn group_names(&self) -> Result<Vec<String>, Error> {
        self.inspector.group_names()
    }

    fn refresh_topics(&mut self) -> Result<(), Error> {
        self.topics = self.inspector.topics()?.into_iter().collect();
        self.topics_known = Some(Deadline::after(TOPICS_AGE));
        Ok(())
    }

    /// The chosen partitions, all of which exist; `None` without choices.
    fn chosen(&self) -> Result<Option<BTreeSet<TopicPartition>>, Error> {
        if self.choices.is_empty() {
            return Ok(None);
        }
        let mut chosen = BTreeSet::new();
        for TopicChoice { topic, partitions } in &self.choices {
            // A topic that an ACL hides is not listed; a request by name returns the authorization error.
            let count = match self.topics.get(topic) {
                Some(count) => Some(*count),
                None => self.inspector.partitions(topic, &[Operation::Describe])?,
            };
            let Some(count) = count else {
                return Err(Error::new(Cause::NoTopic(topic.clone())));
            };
            for partition in partitions.clone().unwrap_or_else(|| (0..count).collect()) {
                if partition >= count {
                    let topic_partition = TopicPartition::new(topic, partition);
                    return Err(Error::new(Cause::NoPartition { topic_partition, count }));
                }
                chosen.insert(TopicPartition::new(topic, partition));
            }
        }
        Ok(Some(chosen))
    }

    /// The partitions of a group's sample.
    fn topic_partitions(
        &self,
        group: &DescribedGroup,
        chosen: Option<&BTreeSet<TopicPartition>>,
    ) -> BTreeSet<TopicPartition> {
        let own = group.committed.keys().chain(group.owners.keys());
        match chosen {
            Some(chosen) => chosen.clone(),
            // A group consumes whole topics: next to its offsets, a partition without one is part of the sample.
            None => own
                .flat_map(|topic_partition| {
                    let count = self.topics.get(&topic_partition.topic).copied().unwrap_or(0);
                    let whole = (0..count).map(|partition| TopicPartition::new(&topic_partition.topic, partition));
                    whole.chain([topic_partition.clone()])
                })
                .collect(),
        }
    }

    /// Log start, last stable offset and high watermark of those partitions that exist.
    fn bounds(
        &mut self,
        topic_partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, LogBounds>, Error> {
        loop {
            let topics = &self.topics;
            let exists = |topic_partition: &TopicPartition| {
                topics.get(&topic_partition.topic).is_some_and(|count| topic_partition.partition < *count)
            };
            let existing: Vec<TopicPartition> =
                topic_partitions.iter().filter(|topic_partition| exists(topic_partition)).cloned().collect();
            match self.inspector.all_bounds(&existing, MISSING_TOPIC_TIMEOUT) {
                Ok(found) => {
                    let found = found.into_iter().map(|(log_start, last_stable, high_watermark)| LogBounds {
                        log_start,
                        last_stable,
                        high_watermark,
                    });
                    return Ok(existing.into_iter().zip(found).collect());
                }
                Err(error) if error.kind() == ErrorKind::Missing => {
                    // A topic was deleted after the topics were listed: list them again and leave it out.
                    self.refresh_topics()?;
                    let topics = &self.topics;
                    let still = |topic_partition: &TopicPartition| {
                        topics.get(&topic_partition.topic).is_some_and(|count| topic_partition.partition < *count)
                    };
                    if existing.iter().all(still) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn group(
        &mut self,
        index: usize,
        group: DescribedGroup,
        topic_partitions: BTreeSet<TopicPartition>,
        bounds: &BTreeMap<TopicPartition, LogBounds>,
        bound: &Deadline,
    ) -> Result<GroupSample, Error> {
        let DescribedGroup { description, kind, at_millis, committed, mut owners } = group;
        let mut partitions: Vec<PartitionSample> = topic_partitions
            .into_iter()
            .map(|topic_partition| PartitionSample {
                committed: committed.get(&topic_partition).copied(),
                bounds: bounds.get(&topic_partition).copied(),
                owner: owners.remove(&topic_partition),
                next: NextRecord::Unknown,
                topic: topic_partition.topic,
                partition: topic_partition.partition,
            })
            .collect();
        let isolation = self.isolation;
        let mut lagging: Vec<(&mut PartitionSample, Request)> = partitions
            .iter_mut()
            .filter_map(|partition| {
                let (committed, bounds) = (partition.committed?, partition.bounds?);
                let lags = matches!(partition.lag(isolation), Lag::Messages(messages) if messages > 0);
                let request = Request {
                    topic_partition: TopicPartition::new(&partition.topic, partition.partition),
                    position: committed.max(bounds.log_start),
                    end: bounds.end(isolation),
                };
                lags.then_some((partition, request))
            })
            .collect();
        // Everything up to the end was deleted: no record is left.
        lagging.retain_mut(|(partition, request)| {
            let something = request.position < request.end;
            if !something {
                partition.next = NextRecord::Absent;
            }
            something
        });
        let requests: Vec<Request> = lagging.iter().map(|(_, request)| request.clone()).collect();
        let stopped = || self.shutdown.requested().is_some();
        let bound = bound.remaining().max(MIN_NEXT_RECORD_TIMEOUT);
        for ((partition, _), next) in
            lagging.into_iter().zip(self.next_records.next(index, &requests, bound, &stopped)?)
        {
            partition.next = next;
        }
        Ok(GroupSample {
            group: self.groups[index].clone(),
            state: if kind.is_some() { "Unknown".to_owned() } else { description.state },
            members: description.members.len(),
            kind,
            isolation,
            at_millis,
            partitions,
        })
    }
}
