//! Owns what is asked of a cluster about any group: its state and members, and all that it has committed.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::denial::{Operation, Right};
use super::inspector::Inspector;
use super::native_groups::{self, CommittedOffset, Description};
use super::{TopicPartition, error};
use crate::clock::Deadline;
use crate::exit::{Code, Failure};

/// A consumer group and what it has to do with topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupFacts {
    /// Its name.
    pub name: String,
    /// Kafka's name of its state.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
    /// The topics that it has committed offsets for, or that are assigned to its members; `None` where this principal
    /// may not look.
    pub topics: Option<BTreeSet<String>>,
}

impl Inspector {
    /// Every consumer group that this principal may see, in the order of their names.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses; the signal's code when a
    /// stop was asked for.
    pub fn groups(&self) -> Result<Vec<GroupFacts>, Failure> {
        let names = self.group_names()?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let descriptions = if names.is_empty() { Vec::new() } else { self.describe(&names)? };
        let facts = |(name, description): (&&str, Description)| -> Result<GroupFacts, Failure> {
            let Description { state, members } = description;
            let assigned = members.iter().flat_map(|member| &member.partitions).map(|place| place.topic.clone());
            let topics = match self.all_committed(name) {
                Ok(offsets) => Some(offsets.into_iter().map(|(place, _)| place.topic).chain(assigned).collect()),
                Err(failure) if failure.code == Code::Denied => None,
                Err(failure) => return Err(failure),
            };
            let members = members.iter().map(|member| format!("{} at {}", member.client, member.host)).collect();
            Ok(GroupFacts { name: (*name).to_owned(), state, members, topics })
        };
        names.iter().zip(descriptions).map(facts).collect()
    }

    /// Looks at groups by their names, whether they exist or not: a list leaves out those that this principal may not see,
    /// and they would be taken for groups that are not there. `operation` is what they are wanted for.
    ///
    /// # Errors
    ///
    /// As [`Inspector::groups`].
    pub fn must_see(&self, groups: &[String], operation: Operation) -> Result<(), Failure> {
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let needs: Vec<Right> = groups.iter().map(|group| Right::group(group, operation)).collect();
        for (name, needs) in names.iter().zip(needs.chunks(1)) {
            self.insist(&format!("looking for the group {name}"), needs, |bound, stopped| {
                let found = native_groups::describe(self.latest.client().native_ptr(), &[name], bound, stopped)?;
                found.into_iter().collect::<Result<Vec<_>, _>>().map(drop)
            })?;
        }
        Ok(())
    }

    /// State and members of groups, in their order; `Dead` for one that does not exist.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses; the signal's code when a
    /// stop was asked for.
    pub(super) fn describe(&self, groups: &[&str]) -> Result<Vec<Description>, Failure> {
        let needs: Vec<Right> = groups.iter().map(|group| Right::group(*group, Operation::Describe)).collect();
        self.insist("asking for the state of groups", &needs, |bound, stopped| {
            let found = native_groups::describe(self.latest.client().native_ptr(), groups, bound, stopped)?;
            found.into_iter().collect()
        })
    }

    /// Every offset that a group has committed, in no order. It answers at once, also while a transaction that
    /// is to commit others is open, or was left open by a writer that died.
    ///
    /// # Errors
    ///
    /// As [`Inspector::describe`].
    pub(super) fn all_committed(&self, group: &str) -> Result<Vec<(TopicPartition, i64)>, Failure> {
        let needs = [Right::group(group, Operation::Describe)];
        self.insist(&format!("reading the offsets of {group}"), &needs, |bound, stopped| {
            let found: Vec<CommittedOffset> =
                native_groups::committed(self.latest.client().native_ptr(), group, bound, stopped)?;
            let mut offsets = Vec::with_capacity(found.len());
            for (place, offset) in found {
                offsets.extend(offset?.map(|offset| (place, offset)));
            }
            Ok(offsets)
        })
    }

    /// The names of the cluster's consumer groups, in order, as far as this principal may see them.
    ///
    /// # Errors
    ///
    /// As [`Inspector::groups`].
    pub fn group_names(&self) -> Result<Vec<String>, Failure> {
        let list = self
            .latest
            .client()
            .fetch_group_list(None, self.timeout)
            .map_err(|error| self.failed(&error, "asking for the groups"))?;
        let mut names: Vec<String> = list
            .groups()
            .iter()
            .filter(|group| matches!(group.protocol_type(), "consumer" | ""))
            .map(|group| group.name().to_owned())
            .collect();
        names.sort();
        Ok(names)
    }

    /// Asks again while what is in the way passes, until the timeout.
    fn insist<T>(
        &self,
        doing: &str,
        needs: &[Right],
        mut ask: impl FnMut(Duration, &dyn Fn() -> bool) -> Result<T, RDKafkaErrorCode>,
    ) -> Result<T, Failure> {
        let deadline = Deadline::after(self.timeout);
        let stopped = || self.shutdown.requested().is_some();
        loop {
            let code = match ask(deadline.remaining().max(Duration::from_millis(1)), &stopped) {
                Ok(answer) => return Ok(answer),
                Err(code) => code,
            };
            self.shutdown.check()?;
            if !error::is_passing(code) || deadline.has_passed() || self.ear.seen.denial(needs).is_some() {
                return Err(self.failed_of(&KafkaError::AdminOp(code), doing, needs));
            }
            // A coordinator that is being chosen, or loads: an answer that came at once is not asked for again at once.
            self.shutdown.pause(Duration::from_millis(20).min(deadline.remaining()));
        }
    }
}
