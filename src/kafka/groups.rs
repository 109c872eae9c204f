//! Requests about any consumer group: state and members, committed offsets, the member with an instance id, deletion.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};

use super::TopicPartition;
use super::acl::{Operation, Permission};
use super::error::{self, Error};
use super::error_codes::{ErrorKind, kind_of};
use super::inspector::Inspector;
use super::native_groups::{self, CommittedOffset, GroupDescription};

/// All committed offsets of a group, or the error.
type Offsets = Result<Vec<(TopicPartition, i64)>, Error>;

/// The state of a group that does not exist.
pub(super) const DEAD: &str = "Dead";

/// How many groups one request or one set of requests is about, so that each is answered quickly.
const AT_A_TIME: usize = 100;

/// A consumer group and its topics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    pub name: String,
    /// The state, as Kafka names it.
    pub state: String,
    /// `client id at host` of each member.
    pub members: Vec<String>,
    /// The topics that it has committed offsets for, or that are assigned to its members; `None` where this principal
    /// may not see them.
    pub topics: Option<BTreeSet<String>>,
    /// Whether the name belongs to something that is not a usable consumer group: a share group, or a name with NUL,
    /// which librdkafka cuts there.
    pub is_not_consumer_group: bool,
}

/// Groups of a listing whose names librdkafka shows as the same.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    /// The state of the first one.
    state: String,
    /// More than one where names differ after a NUL.
    count: usize,
}

/// The result of deleting a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupDeletion {
    /// Deleted, or it did not exist.
    Deleted,
    /// Not deleted, as it has members.
    HasMembers,
}

impl Inspector {
    /// Deletes groups and returns the result of each, in their order. The broker does not delete a group with members.
    ///
    /// # Errors
    ///
    /// Without an answer within the timeout, or refused.
    pub fn delete_groups(&self, groups: &[String]) -> Result<Vec<GroupDeletion>, Error> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let wanted = groups.to_vec();
        // Safe to repeat: a group that an earlier attempt deleted is not found.
        let answers = self.ask_coordinator("deleting groups", &[], move |client, bound| {
            let ends =
                native_groups::delete(client.client().native_ptr(), &wanted, bound).map_err(KafkaError::AdminOp)?;
            match ends.iter().find_map(|(_, end)| end.err().filter(|code| kind_of(*code).is_retriable())) {
                Some(code) => Err(KafkaError::AdminOp(code)),
                None => Ok(ends),
            }
        })?;
        let end = |wanted: &String| match answers.iter().find(|(name, _)| name == wanted).and_then(|(_, end)| end.err())
        {
            None | Some(Rd::GroupIdNotFound) => Ok(GroupDeletion::Deleted),
            Some(Rd::NonEmptyGroup) => Ok(GroupDeletion::HasMembers),
            Some(code) => {
                let (doing, needs) =
                    (format!("deleting the group {wanted}"), [Permission::group(wanted, Operation::Delete)]);
                Err(error::of_code(code, &code.to_string(), &doing, &needs, &self.context.errors))
            }
        };
        groups.iter().map(end).collect()
    }

    /// Every consumer group that this principal may see, sorted by name, including those that cannot be described.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses; the signal's code after
    /// a signal.
    pub fn groups(&self) -> Result<Vec<GroupListing>, Error> {
        let listed = self.listed()?;
        let names: Vec<&str> = listed.keys().map(String::as_str).collect();
        let descriptions = self.describe_each(&names)?;
        let offsets = self.all_committed(&names)?;
        let mut groups = Vec::with_capacity(names.len());
        for (((name, listed), description), offsets) in listed.iter().zip(descriptions).zip(offsets) {
            let facts = facts(name, listed, description, offsets)?;
            // Other groups of that name, which cannot be distinguished from it.
            let other = GroupListing {
                members: Vec::new(),
                topics: Some(BTreeSet::new()),
                is_not_consumer_group: true,
                ..facts.clone()
            };
            groups.push(facts);
            groups.extend(std::iter::repeat_n(other, listed.count - 1));
        }
        Ok(groups)
    }

    /// Every committed offset of some groups, in their order, each with its own error. It does not wait for open
    /// transactions, whose pending offsets are not included.
    ///
    /// # Errors
    ///
    /// As [`Inspector::groups`].
    pub(super) fn all_committed(&self, groups: &[&str]) -> Result<Vec<Offsets>, Error> {
        let mut found = Vec::with_capacity(groups.len());
        for groups in groups.chunks(AT_A_TIME) {
            let needs: Vec<Permission> =
                groups.iter().map(|group| Permission::group(*group, Operation::Describe)).collect();
            let names: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            let doing = match groups {
                [group] => format!("reading the offsets of {group}"),
                _ => "reading the offsets of groups".to_owned(),
            };
            let answers = self.ask_coordinator(&doing, &needs, move |client, bound| {
                let found = native_groups::committed(client.client().native_ptr(), &names, bound);
                let found: Vec<_> = found.map_err(KafkaError::AdminOp)?.into_iter().map(known_offsets).collect();
                all_or_retry(found)
            })?;
            let failed = |group: &str, code: Rd| {
                let (doing, needs) =
                    (format!("reading the offsets of {group}"), [Permission::group(group, Operation::Describe)]);
                error::of_code(code, &code.to_string(), &doing, &needs, &self.context.errors)
            };
            found.extend(groups.iter().zip(answers).map(|(group, answer)| answer.map_err(|code| failed(group, code))));
        }
        Ok(found)
    }

    /// Requires that this principal may see groups, whether they exist or not: a list leaves out hidden groups, which
    /// would then count as missing. `operation` is the permission that an error names.
    ///
    /// # Errors
    ///
    /// As [`Inspector::groups`].
    pub fn require_visible(&self, groups: &[String], operation: Operation) -> Result<(), Error> {
        for group in groups {
            let needs = [Permission::group(group, operation)];
            self.described(&format!("looking for the group {group}"), &needs, vec![group.clone()])?;
        }
        Ok(())
    }

    /// State and members of groups, in their order; the state of a missing group is `Dead`.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses; the signal's code after
    /// a signal.
    pub(super) fn describe(&self, groups: &[&str]) -> Result<Vec<GroupDescription>, Error> {
        let needs: Vec<Permission> =
            groups.iter().map(|group| Permission::group(*group, Operation::Describe)).collect();
        let names = groups.iter().map(|group| (*group).to_owned()).collect();
        self.described("asking for the state of groups", &needs, names)
    }

    pub(super) fn described(
        &self,
        doing: &str,
        needs: &[Permission],
        groups: Vec<String>,
    ) -> Result<Vec<GroupDescription>, Error> {
        self.ask_coordinator(doing, needs, move |client, bound| {
            let found = native_groups::describe(client.client().native_ptr(), &groups, bound);
            found.and_then(|found| found.into_iter().collect()).map_err(KafkaError::AdminOp)
        })
    }

    /// As [`Inspector::describe`], with an error per group.
    pub(super) fn describe_each(&self, groups: &[&str]) -> Result<Vec<Result<GroupDescription, Rd>>, Error> {
        let mut found = Vec::with_capacity(groups.len());
        for groups in groups.chunks(AT_A_TIME) {
            let needs: Vec<Permission> =
                groups.iter().map(|group| Permission::group(*group, Operation::Describe)).collect();
            let names: Vec<String> = groups.iter().map(|group| (*group).to_owned()).collect();
            found.extend(self.ask_coordinator("asking for the state of groups", &needs, move |client, bound| {
                let found = native_groups::describe(client.client().native_ptr(), &names, bound);
                all_or_retry(found.map_err(KafkaError::AdminOp)?)
            })?);
        }
        Ok(found)
    }

    /// The id of the member that has a `group.instance.id` (KIP-345).
    ///
    /// # Errors
    ///
    /// As [`Inspector::groups`].
    pub fn member_with_instance_id(&self, group: &str, instance_id: &str) -> Result<Option<String>, Error> {
        let doing = format!("looking for the member {instance_id}");
        let description = self.described(&doing, std::slice::from_ref(&self.group), vec![group.to_owned()])?;
        let description = description.into_iter().next();
        let members = description.map_or_else(Vec::new, |description| description.members);
        let holder = members.into_iter().find(|member| member.instance_id.as_deref() == Some(instance_id));
        Ok(holder.map(|member| member.id))
    }

    /// The names of the cluster's groups with their states, as [`Inspector::groups`] lists them, sorted by name.
    pub(super) fn names_and_states(&self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.listed()?.into_iter().map(|(name, listed)| (name, listed.state)).collect())
    }

    /// The names of the cluster's consumer groups that this principal may see, sorted; an empty name is left out.
    ///
    /// # Errors
    ///
    /// As [`Inspector::groups`].
    pub fn group_names(&self) -> Result<Vec<String>, Error> {
        Ok(self.listed()?.into_keys().filter(|name| !name.is_empty()).collect())
    }

    /// Whether the cluster lists a group of that name, of any type.
    pub(super) fn is_listed(&self, group: &str) -> Result<bool, Error> {
        let (client, group) = (Arc::clone(&self.latest), group.to_owned());
        self.request("looking for the group", &[], Duration::ZERO, move |bound| {
            Ok(!client.client().fetch_group_list(Some(&group), bound)?.groups().is_empty())
        })
    }

    /// The cluster's groups by name, except those of other protocol types.
    fn listed(&self) -> Result<BTreeMap<String, Listed>, Error> {
        let client = Arc::clone(&self.latest);
        self.request("asking for the groups", &[], Duration::ZERO, move |bound| {
            let list = client.client().fetch_group_list(None, bound)?;
            let groups = list.groups().iter().filter(|group| matches!(group.protocol_type(), "consumer" | ""));
            Ok(by_name(groups.map(|group| (group.name(), group.state()))))
        })
    }
}

/// The results of several groups, unless one of them may be better in the next attempt.
fn all_or_retry<T>(results: Vec<Result<T, Rd>>) -> Result<Vec<Result<T, Rd>>, KafkaError> {
    let retriable =
        |result: &Result<T, Rd>| result.as_ref().err().copied().filter(|code| kind_of(*code).is_retriable());
    results.iter().find_map(retriable).map_or(Ok(()), |code| Err(KafkaError::AdminOp(code)))?;
    Ok(results)
}

/// The partitions with a committed offset.
fn known_offsets(answer: Result<Vec<CommittedOffset>, Rd>) -> Result<Vec<(TopicPartition, i64)>, Rd> {
    let mut offsets = Vec::new();
    for (topic_partition, offset) in answer? {
        offsets.extend(offset?.map(|offset| (topic_partition, offset)));
    }
    Ok(offsets)
}

/// Groups by name: librdkafka rejects a request that names a group twice.
fn by_name<'a>(groups: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, Listed> {
    let mut listed = BTreeMap::new();
    for (name, state) in groups {
        let one = listed.entry(name.to_owned()).or_insert_with(|| Listed { state: state.to_owned(), count: 0 });
        one.count += 1;
    }
    listed
}

fn facts(
    name: &str,
    listed: &Listed,
    description: Result<GroupDescription, Rd>,
    offsets: Offsets,
) -> Result<GroupListing, Error> {
    let is_described = description.is_ok();
    let GroupDescription { state, members } =
        description.unwrap_or_else(|_| GroupDescription { state: listed.state.clone(), members: Vec::new() });
    let (offsets, may_be_read) = match offsets {
        Ok(offsets) => (Some(offsets), true),
        Err(error) if error.kind() == ErrorKind::Denied => (None, false),
        Err(error) if error.kind().is_retriable() || error.kind() == ErrorKind::Stopped => return Err(error),
        Err(_) => (None, true),
    };
    let assigned =
        members.iter().flat_map(|member| &member.partitions).map(|topic_partition| topic_partition.topic.clone());
    let committed = offsets.iter().flatten().map(|(topic_partition, _)| topic_partition.topic.clone());
    let topics: BTreeSet<String> = committed.chain(assigned).collect();
    let is_nothing = topics.is_empty() && members.is_empty();
    Ok(GroupListing {
        is_not_consumer_group: may_be_read && is_nothing && (offsets.is_none() || !is_described || state == DEAD),
        name: name.to_owned(),
        members: members.iter().map(|member| format!("{} at {}", member.client, member.host)).collect(),
        topics: may_be_read.then_some(topics),
        state,
    })
}

#[cfg(test)]
mod tests {
    use super::super::error::Cause;
    use super::*;

    fn listed(count: usize) -> Listed {
        Listed { state: "Empty".to_owned(), count }
    }

    fn described(state: &str) -> GroupDescription {
        GroupDescription { state: state.to_owned(), members: Vec::new() }
    }

    fn offset() -> Vec<(TopicPartition, i64)> {
        vec![(TopicPartition::new("orders", 0), 1)]
    }

    #[test]
    fn names_equal_up_to_a_nul_are_requested_once() {
        let found = [("odd", "Empty"), ("", "Empty"), ("odd", "Dead"), ("", "Dead"), ("fine", "Stable")];
        let found: Vec<(String, usize)> =
            by_name(found.into_iter()).into_iter().map(|(name, listed)| (name, listed.count)).collect();
        assert_eq!(found, [(String::new(), 2), ("fine".to_owned(), 1), ("odd".to_owned(), 2)]);
    }

    #[test]
    fn a_group_without_an_answer_is_not_a_consumer_group() {
        let odd = |description, offsets| {
            facts("g", &listed(1), description, offsets).map(|facts| facts.is_not_consumer_group)
        };
        let broken = || Err(Error::new(Cause::Broken("for this test")));
        assert_eq!(odd(Ok(described("Empty")), Ok(offset())).ok(), Some(false));
        assert_eq!(odd(Ok(described("Empty")), Ok(Vec::new())).ok(), Some(false));
        assert_eq!(odd(Ok(described("Dead")), Ok(Vec::new())).ok(), Some(true), "it was listed and does not exist");
        assert_eq!(odd(Ok(described("Dead")), Ok(offset())).ok(), Some(false), "it has offsets that can be read");
        assert_eq!(odd(Ok(described("Empty")), broken()).ok(), Some(true));
        assert_eq!(odd(Err(Rd::InvalidGroupId), Ok(Vec::new())).ok(), Some(true));
        let empty_name = facts("", &listed(1), Err(Rd::InvalidGroupId), Ok(offset())).expect("facts");
        assert_eq!(
            (empty_name.state.as_str(), empty_name.is_not_consumer_group),
            ("Empty", false),
            "its offsets can be read"
        );
        assert_eq!(empty_name.topics.map(|topics| topics.len()), Some(1));
    }
}
