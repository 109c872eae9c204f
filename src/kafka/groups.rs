//! Owns the consumer groups of a whole cluster: who there is, what each has read, and their end.
//!
//! The rdkafka crate asks for the offsets of named partitions only; that of "all that this group has" goes past it.
#![allow(unsafe_code, reason = "bindings to librdkafka; each block says why it is sound")]

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Rd};
use rdkafka::types::RDKafka;

use super::admin::Admin;
use super::error;
use crate::clock::Deadline;
use crate::exit::Failure;
use crate::shutdown::Shutdown;

/// Questions that are under way at once: each is a request of its own.
const AT_ONCE: usize = 64;

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

/// What became of the wish to delete a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupEnd {
    /// It is gone, or was not there.
    Gone,
    /// It has members, and stays.
    HasMembers,
}

impl Admin {
    /// Every consumer group that this principal may see, in the order of their names.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses; the signal's code when a
    /// stop was asked for.
    pub fn groups(&self, shutdown: &Shutdown) -> Result<Vec<GroupFacts>, Failure> {
        let mut found = self.listed_groups(shutdown)?;
        found.sort_by(|left, right| left.name.cmp(&right.name));
        let deadline = Deadline::after(self.timeout);
        for chunk in found.chunks_mut(AT_ONCE) {
            shutdown.check()?;
            let names: Vec<&str> = chunk.iter().map(|group| group.name.as_str()).collect();
            let offsets = offsets_of_all(self.client.inner().native_ptr(), &names, &deadline)
                .map_err(|code| self.failed(code, "reading the offsets of groups"))?;
            for (group, topics) in chunk.iter_mut().zip(offsets) {
                match (topics, &mut group.topics) {
                    (Ok(topics), Some(assigned)) => assigned.extend(topics),
                    (Err(code), known) if error::is_denial(code) => *known = None,
                    // It went away meanwhile.
                    (Err(Rd::GroupIdNotFound), _) | (Ok(_), None) => {}
                    (Err(code), _) => {
                        return Err(self.failed(code, &format!("reading the offsets of the group {}", group.name)));
                    }
                }
            }
        }
        Ok(found)
    }

    fn listed_groups(&self, shutdown: &Shutdown) -> Result<Vec<GroupFacts>, Failure> {
        let deadline = Deadline::after(self.timeout);
        let list = loop {
            shutdown.check()?;
            let slice = deadline.remaining().min(Duration::from_secs(5)).max(Duration::from_millis(1));
            match self.client.inner().fetch_group_list(None, slice) {
                Ok(list) => break list,
                Err(error) => {
                    let passing = error.rdkafka_error_code().is_some_and(error::is_passing);
                    if !passing || deadline.has_passed() || self.ear.seen.denial().is_some() {
                        return Err(error::failure(&error, "asking for the groups", &self.ear.seen));
                    }
                    shutdown.pause(Duration::from_millis(50).min(deadline.remaining()));
                }
            }
        };
        let consumers = list.groups().iter().filter(|group| matches!(group.protocol_type(), "consumer" | ""));
        Ok(consumers
            .map(|group| GroupFacts {
                name: group.name().to_owned(),
                state: group.state().to_owned(),
                members: group
                    .members()
                    .iter()
                    .map(|member| format!("{} at {}", member.client_id(), member.client_host()))
                    .collect(),
                topics: Some(
                    group.members().iter().flat_map(|member| assigned_topics(member.assignment().unwrap_or(&[]))).collect(),
                ),
            })
            .collect())
    }

    /// Deletes groups, and what became of each in their order: the broker leaves one that has members as it is.
    ///
    /// # Errors
    ///
    /// With exit code 4 when the broker does not answer within the timeout, 5 when it refuses.
    pub fn delete_groups(&self, groups: &[String]) -> Result<Vec<GroupEnd>, Failure> {
        if groups.is_empty() {
            return Ok(Vec::new());
        }
        let names: Vec<&str> = groups.iter().map(String::as_str).collect();
        let results = self
            .runtime
            .block_on(self.client.delete_groups(&names, &self.options()))
            .map_err(|error| error::failure(&error, "deleting groups", &self.ear.seen))?;
        // The answers come in any order.
        let end = |wanted: &String| {
            let code = results.iter().find_map(|result| match result {
                Err((name, code)) if name == wanted => Some(*code),
                _ => None,
            });
            match code {
                None | Some(Rd::GroupIdNotFound) => Ok(GroupEnd::Gone),
                Some(Rd::NonEmptyGroup) => Ok(GroupEnd::HasMembers),
                Some(code) => Err(self.failed(code, &format!("deleting the group {wanted}"))),
            }
        };
        groups.iter().map(end).collect()
    }

    pub(super) fn failed(&self, code: Rd, doing: &str) -> Failure {
        error::failure(&KafkaError::AdminOp(code), doing, &self.ear.seen)
    }
}

/// The topics of a member's assignment, as the classic consumer protocol writes it: a version, then topics with their
/// partitions, all big-endian. What is cut short or of another protocol names none.
fn assigned_topics(bytes: &[u8]) -> Vec<String> {
    fn take<'a>(bytes: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (head, rest) = bytes.split_at_checked(length)?;
        *bytes = rest;
        Some(head)
    }
    fn number(bytes: &mut &[u8], length: usize) -> Option<usize> {
        let number = take(bytes, length)?.iter().fold(0_usize, |number, byte| number << 8 | usize::from(*byte));
        // The sign bit of what is a count here: nothing that is meant.
        (number >> (8 * length - 1) == 0).then_some(number)
    }
    fn topics(mut rest: &[u8]) -> Option<Vec<String>> {
        number(&mut rest, 2)?;
        let count = number(&mut rest, 4)?;
        let mut topics = Vec::new();
        for _ in 0..count {
            let length = number(&mut rest, 2)?;
            topics.push(std::str::from_utf8(take(&mut rest, length)?).ok()?.to_owned());
            let partitions = number(&mut rest, 4)?;
            take(&mut rest, partitions.checked_mul(4)?)?;
        }
        Some(topics)
    }
    topics(bytes).unwrap_or_default()
}

/// The topics of one group, or why they are not told.
type TopicsOfGroup = Result<BTreeSet<String>, Rd>;

/// The topics for which each group has committed offsets, pending ones not waited for.
fn offsets_of_all(client: *mut RDKafka, groups: &[&str], deadline: &Deadline) -> Result<Vec<TopicsOfGroup>, Rd> {
    let bound = i32::try_from(deadline.remaining().as_millis()).unwrap_or(i32::MAX).max(1);
    let mut found: Vec<TopicsOfGroup> = groups.iter().map(|_| Err(Rd::OperationTimedOut)).collect();
    let mut refused = None;
    let mut asked = 0;
    // SAFETY: `client` is live for the whole call; the queue and the options are ours and destroyed at the end; each
    // question is copied by the library before its call returns, and destroyed by us.
    unsafe {
        let queue = rd::rd_kafka_queue_new(client);
        for (index, group) in groups.iter().enumerate() {
            let Ok(name) = CString::new(*group) else {
                refused = Some(Rd::InvalidGroupId);
                continue;
            };
            let options = rd::rd_kafka_AdminOptions_new(
                client,
                rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
            );
            // A bound out of the library's range would leave its own default, which is a bound too.
            rd::rd_kafka_AdminOptions_set_request_timeout(options, bound, ptr::null_mut(), 0);
            // The number of the question comes back with its answer.
            rd::rd_kafka_AdminOptions_set_opaque(options, ptr::without_provenance_mut(index));
            // No partitions: all that there are.
            let mut question = rd::rd_kafka_ListConsumerGroupOffsets_new(name.as_ptr(), ptr::null());
            rd::rd_kafka_ListConsumerGroupOffsets(client, &raw mut question, 1, options, queue);
            rd::rd_kafka_ListConsumerGroupOffsets_destroy(question);
            rd::rd_kafka_AdminOptions_destroy(options);
            asked += 1;
        }
        for _ in 0..asked {
            // The library answers each within its bound; a second more is for its own time-out to arrive.
            let event = rd::rd_kafka_queue_poll(queue, bound.saturating_add(1000));
            if event.is_null() {
                break;
            }
            let index = rd::rd_kafka_event_opaque(event).addr();
            if let Some(found) = found.get_mut(index) {
                *found = answered(event);
            }
            rd::rd_kafka_event_destroy(event);
        }
        rd::rd_kafka_queue_destroy(queue);
    }
    refused.map_or(Ok(found), Err)
}

/// # Safety
///
/// `event` is the live answer to a question for the offsets of one group.
unsafe fn answered(event: *mut rd::rd_kafka_event_t) -> TopicsOfGroup {
    let code = |code: rd::rd_kafka_resp_err_t| match code {
        rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(Rd::from(code)),
    };
    // SAFETY: by this function's contract; what the event holds lives as long as the event, and names are copied.
    unsafe {
        code(rd::rd_kafka_event_error(event))?;
        let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(event);
        let mut count = 0;
        let groups = rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
        let mut topics = BTreeSet::new();
        for index in 0..count {
            let group = *groups.add(index);
            let error = rd::rd_kafka_group_result_error(group);
            if !error.is_null() {
                code(rd::rd_kafka_error_code(error))?;
            }
            let partitions = rd::rd_kafka_group_result_partitions(group);
            if partitions.is_null() {
                continue;
            }
            for position in 0..usize::try_from((*partitions).cnt).unwrap_or(0) {
                let partition = &*(*partitions).elems.add(position);
                if partition.offset >= 0 {
                    topics.insert(CStr::from_ptr(partition.topic).to_string_lossy().into_owned());
                }
            }
        }
        Ok(topics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(topics: &[(&str, &[i32])]) -> Vec<u8> {
        let mut bytes = vec![0, 1];
        bytes.extend(u32::try_from(topics.len()).expect("few").to_be_bytes());
        for (topic, partitions) in topics {
            bytes.extend(u16::try_from(topic.len()).expect("short").to_be_bytes());
            bytes.extend(topic.as_bytes());
            bytes.extend(u32::try_from(partitions.len()).expect("few").to_be_bytes());
            partitions.iter().for_each(|partition| bytes.extend(partition.to_be_bytes()));
        }
        bytes.extend((-1_i32).to_be_bytes());
        bytes
    }

    #[test]
    fn the_topics_of_an_assignment_are_read_as_clients_write_them() {
        let bytes = assignment(&[("orders", &[0, 5]), ("decisions", &[])]);
        assert_eq!(assigned_topics(&bytes), ["orders", "decisions"]);
        assert_eq!(assigned_topics(&[]), Vec::<String>::new());
    }

    #[test]
    fn an_assignment_that_is_cut_or_bent_names_nothing_and_costs_nothing() {
        let bytes = assignment(&[("orders", &[0, 5])]);
        for length in 0..bytes.len() - 4 {
            assert_eq!(assigned_topics(&bytes[..length]), Vec::<String>::new(), "{length}");
        }
        let mut bent = bytes;
        bent[2..6].copy_from_slice(&[0xff; 4]);
        assert_eq!(assigned_topics(&bent), Vec::<String>::new());
        bent[2..6].copy_from_slice(&[0x7f, 0xff, 0xff, 0xff]);
        assert_eq!(assigned_topics(&bent), Vec::<String>::new());
    }
}
