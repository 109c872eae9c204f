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
use crate::lag::{GroupKind, GroupSample, Isolation, Lag, LogBounds, NextRecord, Owner, PartitionSample};
use crate::shutdown::Shutdown;
use crate::topics::behind_a_prefix;

/// The most time for the next unread records in one sample of many.
const NEXT_RECORD_TIMEOUT: Duration = Duration::from_secs(2);

/// The time for them where the rest of the sample has used up the timeout.
const MIN_NEXT_RECORD_TIMEOUT: Duration = Duration::from_secs(1);

/// How long the broker may not know a topic that it has just listed.
const MISSING_TOPIC_TIMEOUT: Duration = Duration::from_millis(500);

/// The group id of the clients where no group is named; they never join it.
const CLIENT_GROUP: &str = "foodstream-lag";

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
    groups: GroupChoice,
    /// Groups that the last sample left out, because this principal may not describe them.
    not_authorized: Vec<String>,
    choices: Vec<TopicChoice>,
    isolation: Isolation,
    shutdown: Shutdown,
    /// Partition counts of the cluster's topics, and when they expire.
    topics: BTreeMap<String, i32>,
    topics_known: Option<Deadline>,
}

/// The groups of the samples.
#[derive(Debug)]
enum GroupChoice {
    /// These groups, which need not exist.
    Named(Vec<String>),
    /// Those that exist when a sample is taken.
    All,
}

/// A group's description and committed offsets.
struct DescribedGroup {
    name: String,
    description: GroupDescription,
    kind: Option<GroupKind>,
    at_millis: i64,
    committed: BTreeMap<TopicPartition, i64>,
    owners: BTreeMap<TopicPartition, Owner>,
}

impl DescribedGroup {
    /// The partitions with a committed offset, and those that are assigned to a member.
    fn own(&self) -> impl Iterator<Item = &TopicPartition> {
        self.committed.keys().chain(self.owners.keys())
    }
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
        let Some(first) = groups.first().cloned() else {
            return Err(Error::new(Cause::Configuration("no group to sample".to_owned())));
        };
        Self::with_groups(connection, &first, GroupChoice::Named(groups), choices, isolation, shutdown)
    }

    /// As [`LagSampler::open`], for every group that the cluster lists when a sample is taken. With choices a sample has
    /// only groups with an offset or a member on one of these partitions.
    ///
    /// # Errors
    ///
    /// With exit code 2 when librdkafka rejects the configuration.
    pub fn open_for_all(
        connection: &Connection,
        choices: Vec<TopicChoice>,
        isolation: Isolation,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        Self::with_groups(connection, CLIENT_GROUP, GroupChoice::All, choices, isolation, shutdown)
    }

    fn with_groups(
        connection: &Connection,
        client_group: &str,
        groups: GroupChoice,
        choices: Vec<TopicChoice>,
        isolation: Isolation,
        shutdown: &Shutdown,
    ) -> Result<Self, Error> {
        Ok(Self {
            inspector: Inspector::open(connection, client_group, shutdown)?,
            next_records: NextRecordReader::open(connection, client_group, isolation)?,
            next_record_timeout: NEXT_RECORD_TIMEOUT,
            groups,
            not_authorized: Vec::new(),
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

    /// Samples every group. Named groups come in the given order, all groups by name. State and members are requested
    /// first, then committed offsets, then end offsets, so that a group that consumes during the sample never appears to
    /// be ahead of the log.
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
        let groups = match &self.groups {
            GroupChoice::Named(names) => self.named_groups(names)?,
            GroupChoice::All => {
                let (groups, not_authorized) = self.all_groups()?;
                self.not_authorized = not_authorized;
                groups
            }
        };
        let unlisted = |topic_partition: &TopicPartition| !self.topics.contains_key(&topic_partition.topic);
        if groups.iter().flat_map(DescribedGroup::own).any(unlisted) {
            self.refresh_topics()?;
        }
        let chosen = self.chosen()?;
        let is_chosen = |group: &DescribedGroup| match (&self.groups, &chosen) {
            (GroupChoice::All, Some(chosen)) => group.own().any(|topic_partition| chosen.contains(topic_partition)),
            _ => true,
        };
        let groups: Vec<(DescribedGroup, BTreeSet<TopicPartition>)> = groups
            .into_iter()
            .filter(is_chosen)
            .map(|group| {
                let topic_partitions = self.topic_partitions(&group, chosen.as_ref());
                (group, topic_partitions)
            })
            .collect();
        let all: BTreeSet<TopicPartition> = groups.iter().flat_map(|(_, partitions)| partitions).cloned().collect();
        let bounds = self.bounds(&all)?;
        let mut samples: Vec<GroupSample> = groups
            .into_iter()
            .map(|(group, topic_partitions)| group_sample(group, topic_partitions, &bounds, self.isolation))
            .collect();
        self.add_next_records(&mut samples, bound.remaining().max(MIN_NEXT_RECORD_TIMEOUT))?;
        Ok(samples)
    }

    fn named_groups(&self, names: &[String]) -> Result<Vec<DescribedGroup>, Error> {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let descriptions = self.inspector.describe(&names)?;
        let at_millis = clock::wall_millis();
        let offsets = self.inspector.all_committed(&names)?;
        let groups = names.iter().zip(descriptions).zip(offsets);
        groups.map(|((name, description), offsets)| self.described(name, description, offsets?, at_millis)).collect()
    }

    /// Every group of the cluster, and the names of those that this principal may not describe. A list of groups leaves
    /// out groups that it may not see at all.
    fn all_groups(&self) -> Result<(Vec<DescribedGroup>, Vec<String>), Error> {
        let listed = self.inspector.names_and_states()?;
        let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
        let descriptions = self.inspector.describe_each(&names)?;
        let at_millis = clock::wall_millis();
        let offsets = self.inspector.all_committed(&names)?;
        let (mut groups, mut not_authorized) = (Vec::with_capacity(names.len()), Vec::new());
        for (((name, state), description), offsets) in listed.iter().zip(descriptions).zip(offsets) {
            let offsets = match offsets {
                Ok(offsets) => offsets,
                Err(error) if error.kind() == ErrorKind::Denied => {
                    not_authorized.push(name.clone());
                    continue;
                }
                Err(error) if error.kind() == ErrorKind::Stopped => return Err(error),
                // Not a consumer group: a share group, or a name that Kafka no longer allows.
                Err(_) => Vec::new(),
            };
            // What cannot be described, such as the empty name of old clients, has the listed state.
            let unknown = |_| GroupDescription { state: state.clone(), members: Vec::new() };
            let group = self.described(name, description.unwrap_or_else(unknown), offsets, at_millis)?;
            // A group that was deleted since the list.
            let is_gone = group.description.state == DEAD && group.kind.is_none() && group.committed.is_empty();
            groups.extend((!is_gone).then_some(group));
        }
        Ok((groups, not_authorized))
    }

    fn described(
        &self,
        name: &str,
        description: GroupDescription,
        offsets: Vec<(TopicPartition, i64)>,
        at_millis: i64,
    ) -> Result<DescribedGroup, Error> {
        let owners = description.members.iter().flat_map(|member| {
            let owner = Owner {
                member_id: member.id.clone(),
                instance_id: member.instance_id.clone(),
                client_id: member.client.clone(),
                host: member.host.clone(),
            };
            member.partitions.iter().map(move |topic_partition| (topic_partition.clone(), owner.clone()))
        });
        let owners = owners.collect();
        let committed: BTreeMap<_, _> = offsets.into_iter().collect();
        // librdkafka does not support share groups: described as a consumer group one is dead, but it is listed.
        let is_share = description.state == DEAD && committed.is_empty() && self.inspector.is_listed(name)?;
        let kind = is_share.then_some(GroupKind::Share);
        Ok(DescribedGroup { name: name.to_owned(), description, kind, at_millis, committed, owners })
    }

    /// Groups that the last sample of all groups left out, because this principal may not describe them.
    #[must_use]
    pub fn not_authorized(&self) -> &[String] {
        &self.not_authorized
    }

    /// Topics that this principal may not read, as far as known: the age of their records is unknown.
    #[must_use]
    pub fn forbidden(&self) -> &BTreeSet<String> {
        self.next_records.forbidden()
    }

    /// The names of the cluster's topics, sorted, as of the last sample.
    pub fn topic_names(&self) -> impl Iterator<Item = &str> {
        self.topics.keys().map(String::as_str)
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
                let similar = behind_a_prefix(topic, self.topic_names()).map(str::to_owned);
                return Err(Error::new(Cause::NoTopic { topic: topic.clone(), similar }));
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
        let topics: BTreeSet<&str> = group.own().map(|topic_partition| topic_partition.topic.as_str()).collect();
        match (chosen, &self.groups) {
            (Some(chosen), GroupChoice::Named(_)) => return chosen.clone(),
            // Of all groups, each may use only some of the chosen topics: it cannot have lag on the others.
            (Some(chosen), GroupChoice::All) => {
                let is_used = |topic_partition: &&TopicPartition| topics.contains(topic_partition.topic.as_str());
                return chosen.iter().filter(is_used).cloned().collect();
            }
            (None, _) => {}
        }
        // A group consumes whole topics: next to its offsets, a partition without one is part of the sample.
        let whole = topics.into_iter().flat_map(|topic| {
            let count = self.topics.get(topic).copied().unwrap_or(0);
            (0..count).map(move |partition| TopicPartition::new(topic, partition))
        });
        whole.chain(group.own().cloned()).collect()
    }

    /// Log start, last stable offset and high watermark of those partitions that exist.
    fn bounds(
        &mut self,
        topic_partitions: &BTreeSet<TopicPartition>,
    ) -> Result<BTreeMap<TopicPartition, LogBounds>, Error> {
        let exists = |topics: &BTreeMap<String, i32>, topic_partition: &TopicPartition| {
            topics.get(&topic_partition.topic).is_some_and(|count| topic_partition.partition < *count)
        };
        loop {
            let existing: Vec<TopicPartition> =
                topic_partitions.iter().filter(|one| exists(&self.topics, one)).cloned().collect();
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
                    if existing.iter().all(|one| exists(&self.topics, one)) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Adds the next record of each partition with unread offsets.
    fn add_next_records(&mut self, samples: &mut [GroupSample], bound: Duration) -> Result<(), Error> {
        let isolation = self.isolation;
        let (mut lagging, mut requests) = (Vec::new(), Vec::new());
        for partition in samples.iter_mut().flat_map(|sample| &mut sample.partitions) {
            let (Some(committed), Some(bounds)) = (partition.committed, partition.bounds) else { continue };
            if !matches!(partition.lag(isolation), Lag::Messages(messages) if messages > 0) {
                continue;
            }
            let (position, end) = (committed.max(bounds.log_start), bounds.end(isolation));
            if position >= end {
                // Everything up to the end was deleted: no record is left.
                partition.next = NextRecord::Absent;
                continue;
            }
            let topic_partition = TopicPartition::new(&partition.topic, partition.partition);
            requests.push(Request { topic_partition, position, end });
            lagging.push(partition);
        }
        let stopped = || self.shutdown.requested().is_some();
        for (partition, next) in lagging.into_iter().zip(self.next_records.next(&requests, bound, &stopped)?) {
            partition.next = next;
        }
        Ok(())
    }
}

fn group_sample(
    group: DescribedGroup,
    topic_partitions: BTreeSet<TopicPartition>,
    bounds: &BTreeMap<TopicPartition, LogBounds>,
    isolation: Isolation,
) -> GroupSample {
    let DescribedGroup { name, description, kind, at_millis, committed, mut owners } = group;
    let partitions = topic_partitions
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
    GroupSample {
        group: name,
        state: if kind.is_some() { "Unknown".to_owned() } else { description.state },
        members: description.members.len(),
        kind,
        isolation,
        at_millis,
        partitions,
    }
}
