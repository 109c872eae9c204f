//! Sampler of lag: how far behind groups are, one sample after the other, through clients that stay.

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

/// How long the next unread records are looked for within one sample of many, at most.
const NEXT_RECORD_TIMEOUT: Duration = Duration::from_secs(2);

/// What the look at them gets where the rest of the sample has used the time up.
const MIN_NEXT_RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a topic that the broker has just named may be unknown to it.
const PATIENCE: Duration = Duration::from_millis(500);

/// For how long what is known of topics and their partitions is believed.
const TOPICS_AGE: Duration = Duration::from_secs(5);

/// A topic that a look is limited to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicChoice {
    /// The topic, as it is called on the cluster.
    pub topic: String,
    /// Only these partitions; all of them otherwise.
    pub partitions: Option<Vec<i32>>,
}

/// What samples the lag of groups: any group, any topic of the cluster. It joins nothing and creates nothing.
#[derive(Debug)]
pub struct LagSampler {
    inspector: Inspector,
    next_records: NextRecordReader,
    next_record_timeout: Duration,
    groups: Vec<String>,
    choices: Vec<TopicChoice>,
    isolation: Isolation,
    shutdown: Shutdown,
    /// Partition counts of the cluster's topics, and how old they are.
    topics: BTreeMap<String, i32>,
    topics_known: Option<Deadline>,
}

/// A group as it was described, and what it has committed.
struct Seen {
    description: GroupDescription,
    kind: Option<GroupKind>,
    at_millis: i64,
    committed: BTreeMap<TopicPartition, i64>,
    owners: BTreeMap<TopicPartition, String>,
}

impl LagSampler {
    /// Clients for the groups, which need not exist; nothing is asked of the broker yet. Without choices every topic
    /// counts that a group has offsets for or a member of it was given.
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka refuses the configuration, or no group is named.
    pub fn open(
        connection: &Connection,
        groups: Vec<String>,
        choices: Vec<TopicChoice>,
        isolation: Isolation,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        let Some(first) = groups.first() else {
            return Err(Error::new(Cause::Configuration("no group to look at".to_owned())));
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

    /// For a single look, which has no next one to wait for: with the age of unread records it may take this long.
    #[must_use]
    pub fn for_one_sample(mut self, bound: Duration) -> Self {
        self.next_record_timeout = bound;
        self
    }

    /// How long a wait should be enough for, judged by the last answer.
    #[must_use]
    pub fn timeout_hint(&self) -> Duration {
        self.inspector.attempt_timeout.attempt() * 2
    }

    /// Bounds every wait of the looks from now on.
    pub fn set_timeout(&mut self, bound: Duration) {
        self.inspector = self.inspector.with_timeout(bound);
    }

    /// A look at every group, in the order in which they were named: state and members, then what is committed, then the
    /// ends, so that a group that reads meanwhile is not taken for one that is ahead of the log.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses, 7 when a topic or partition
    /// that was chosen does not exist; the signal's code when a stop was asked for.
    pub fn sample(&mut self) -> Result<Vec<GroupSample>, Error> {
        let bound = Deadline::after(self.next_record_timeout);
        // The first question: a wrong address is noticed here, and told in these words.
        if self.topics_known.is_none_or(|known| known.has_passed()) {
            self.look_at_topics()?;
        }
        let names: Vec<&str> = self.groups.iter().map(String::as_str).collect();
        let descriptions = self.inspector.describe(&names)?;
        let mut seen = Vec::with_capacity(descriptions.len());
        for (group, description) in self.groups.iter().zip(descriptions) {
            let owners = description
                .members
                .iter()
                .flat_map(|member| member.partitions.iter().map(|place| (place.clone(), member.id.clone())));
            let owners = owners.collect();
            let at_millis = clock::wall_millis();
            let committed: BTreeMap<_, _> = self.inspector.all_committed(group)?.into_iter().collect();
            // The library knows no share groups: to the requests of consumers one is not there, and yet it is listed.
            let is_share = description.state == DEAD && committed.is_empty() && self.inspector.is_listed(group)?;
            let kind = is_share.then_some(GroupKind::Share);
            seen.push(Seen { description, kind, at_millis, committed, owners });
        }
        let places: BTreeSet<TopicPartition> =
            seen.iter().flat_map(|seen| seen.committed.keys().chain(seen.owners.keys())).cloned().collect();
        if places.iter().any(|place| !self.topics.contains_key(&place.topic)) {
            self.look_at_topics()?;
        }
        let chosen = self.chosen()?;
        let places: Vec<BTreeSet<TopicPartition>> =
            seen.iter().map(|seen| self.places(seen, chosen.as_ref())).collect();
        let bounds = self.bounds(&places.iter().flatten().cloned().collect())?;
        let mut samples = Vec::with_capacity(seen.len());
        for (index, (seen, places)) in seen.into_iter().zip(places).enumerate() {
            samples.push(self.group(index, seen, places, &bounds, &bound)?);
        }
        Ok(samples)
    }

    /// Topics whose records this principal may not read, as far as that was found out: how old they are is not known.
    #[must_use]
    pub fn forbidden(&self) -> &BTreeSet<String> {
        self.next_records.forbidden()
    }

    /// The names of the cluster's groups, in order.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses.
    pub fn group_names(&self) -> Result<Vec<String>, Error> {
        self.inspector.group_names()
    }

    fn look_at_topics(&mut self) -> Result<(), Error> {
        self.topics = self.inspector.topics()?.into_iter().collect();
        self.topics_known = Some(Deadline::after(TOPICS_AGE));
        Ok(())
    }

    /// The partitions of the choices, each of which exists; `None` without choices.
    fn chosen(&self) -> Result<Option<BTreeSet<TopicPartition>>, Error> {
        if self.choices.is_empty() {
            return Ok(None);
        }
        let mut chosen = BTreeSet::new();
        for TopicChoice { topic, partitions } in &self.choices {
            // Not listed, it may be hidden by an ACL: asked for by name it is told.
            let count = match self.topics.get(topic) {
                Some(count) => Some(*count),
                None => self.inspector.partitions(topic, &[Operation::Describe])?,
            };
            let Some(count) = count else {
                return Err(Error::new(Cause::NoTopic(topic.clone())));
            };
            for partition in partitions.clone().unwrap_or_else(|| (0..count).collect()) {
                if partition >= count {
                    let place = TopicPartition::new(topic, partition);
                    return Err(Error::new(Cause::NoPartition { place, count }));
                }
                chosen.insert(TopicPartition::new(topic, partition));
            }
        }
        Ok(Some(chosen))
    }

    /// The partitions that a group's sample is about.
    fn places(&self, seen: &Seen, chosen: Option<&BTreeSet<TopicPartition>>) -> BTreeSet<TopicPartition> {
        let own = seen.committed.keys().chain(seen.owners.keys());
        match chosen {
            Some(chosen) => chosen.clone(),
            // A group has an opinion on a topic as a whole: where it has offsets, a partition without one is one too.
            None => own
                .flat_map(|place| {
                    let count = self.topics.get(&place.topic).copied().unwrap_or(0);
                    let whole = (0..count).map(|partition| TopicPartition::new(&place.topic, partition));
                    whole.chain([place.clone()])
                })
                .collect(),
        }
    }

    /// Where those partitions begin and end that exist.
    fn bounds(&mut self, places: &BTreeSet<TopicPartition>) -> Result<BTreeMap<TopicPartition, LogBounds>, Error> {
        loop {
            let topics = &self.topics;
            let exists =
                |place: &TopicPartition| topics.get(&place.topic).is_some_and(|count| place.partition < *count);
            let existing: Vec<TopicPartition> = places.iter().filter(|place| exists(place)).cloned().collect();
            match self.inspector.all_bounds(&existing, PATIENCE) {
                Ok(found) => {
                    let found = found.into_iter().map(|(log_start, last_stable, high_watermark)| LogBounds {
                        log_start,
                        last_stable,
                        high_watermark,
                    });
                    return Ok(existing.into_iter().zip(found).collect());
                }
                Err(error) if error.kind() == ErrorKind::Missing => {
                    // A topic went away since the topics were looked at: look again, and do without it.
                    self.look_at_topics()?;
                    let topics = &self.topics;
                    let still =
                        |place: &TopicPartition| topics.get(&place.topic).is_some_and(|count| place.partition < *count);
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
        seen: Seen,
        places: BTreeSet<TopicPartition>,
        bounds: &BTreeMap<TopicPartition, LogBounds>,
        bound: &Deadline,
    ) -> Result<GroupSample, Error> {
        let Seen { description, kind, at_millis, committed, mut owners } = seen;
        let mut partitions: Vec<PartitionSample> = places
            .into_iter()
            .map(|place| PartitionSample {
                committed: committed.get(&place).copied(),
                bounds: bounds.get(&place).copied(),
                owner: owners.remove(&place),
                next: NextRecord::Unknown,
                topic: place.topic,
                partition: place.partition,
            })
            .collect();
        let isolation = self.isolation;
        let mut waiting: Vec<(&mut PartitionSample, Request)> = partitions
            .iter_mut()
            .filter_map(|partition| {
                let (committed, bounds) = (partition.committed?, partition.bounds?);
                let waits = matches!(partition.lag(isolation), Lag::Messages(messages) if messages > 0);
                let want = Request {
                    place: TopicPartition::new(&partition.topic, partition.partition),
                    position: committed.max(bounds.log_start),
                    end: bounds.end(isolation),
                };
                waits.then_some((partition, want))
            })
            .collect();
        // What was deleted up to the end leaves nothing to read.
        waiting.retain_mut(|(partition, want)| {
            let something = want.position < want.end;
            if !something {
                partition.next = NextRecord::Absent;
            }
            something
        });
        let wants: Vec<Request> = waiting.iter().map(|(_, want)| want.clone()).collect();
        let stopped = || self.shutdown.requested().is_some();
        let bound = bound.remaining().max(MIN_NEXT_RECORD_TIMEOUT);
        for ((partition, _), next) in waiting.into_iter().zip(self.next_records.next(index, &wants, bound, &stopped)?) {
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
