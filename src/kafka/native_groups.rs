//! Consumer group requests of the Admin API: committed offsets of any group, describe, delete.
//!
//! The crate's `fetch_group_list` asks every broker of the cluster and describes only classic groups; its committed
//! offsets are limited to given partitions and the client's own group.
#![allow(unsafe_code, reason = "bindings to librdkafka; each block says why it is sound")]

use std::ffi::{CStr, c_char};
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafka;

use super::TopicPartition;
use super::native_admin::{AdminEvent, AdminRequest, COORDINATOR_BOUND, c_names, check};
use crate::clock::Deadline;

/// The description of a group by its coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Kafka's name of the state; `Dead` for a group that does not exist.
    pub state: String,
    pub members: Vec<GroupMember>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// The member id.
    pub id: String,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// The client id.
    pub client: String,
    pub host: String,
    pub partitions: Vec<TopicPartition>,
}

/// A committed offset, or the broker's error for the partition.
pub type CommittedOffset = (TopicPartition, Result<Option<i64>, RDKafkaErrorCode>);

/// The result of deleting a group.
pub type DeletedGroup = (String, Result<(), RDKafkaErrorCode>);

/// All committed offsets of some groups, in their order, without waiting for pending transactions (the requests do not
/// require stable offsets). librdkafka takes one group per request, so the requests are sent at once and answered
/// together.
pub fn committed(
    client: *mut RDKafka,
    groups: &[String],
    bound: Duration,
) -> Result<Vec<Result<Vec<CommittedOffset>, RDKafkaErrorCode>>, RDKafkaErrorCode> {
    let deadline = Deadline::after(bound);
    let requests: Vec<AdminRequest> = c_names(groups)?.iter().map(|name| request_committed(client, name)).collect();
    let answer = |request: &AdminRequest| match request.answer(deadline.remaining()) {
        // The other answers would be waited for in vain.
        Err(RDKafkaErrorCode::OperationTimedOut) if deadline.has_passed() => Err(RDKafkaErrorCode::OperationTimedOut),
        answer => Ok(answer.and_then(|answer| committed_offsets(&answer))),
    };
    requests.iter().map(answer).collect()
}

fn request_committed(client: *mut RDKafka, group: &CStr) -> AdminRequest {
    let kind = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS;
    let request = AdminRequest::new(client, kind, COORDINATOR_BOUND);
    // SAFETY: the name lives through the call and is copied, as is the request, which is destroyed here; null
    // partitions mean all of them; options and queue are live.
    unsafe {
        let mut requests = [rd::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), ptr::null())];
        rd::rd_kafka_ListConsumerGroupOffsets(client, requests.as_mut_ptr(), 1, request.options, request.queue);
        rd::rd_kafka_ListConsumerGroupOffsets_destroy(requests[0]);
    }
    request
}

fn committed_offsets(answer: &AdminEvent) -> Result<Vec<CommittedOffset>, RDKafkaErrorCode> {
    // SAFETY: the result belongs to the event and lives as long; everything kept from it is copied.
    unsafe {
        let result = rd::rd_kafka_event_ListConsumerGroupOffsets_result(answer.event());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let groups = rd::rd_kafka_ListConsumerGroupOffsets_result_groups(result, &raw mut count);
        if count == 0 {
            return Ok(Vec::new());
        }
        let found = *groups;
        check(rd::rd_kafka_group_result_error(found))?;
        let offsets = partitions(rd::rd_kafka_group_result_partitions(found));
        Ok(offsets
            .iter()
            .map(|element| {
                let code: RDKafkaErrorCode = element.err.into();
                let offset = (element.offset >= 0).then_some(element.offset);
                (topic_partition(element), if code == RDKafkaErrorCode::NoError { Ok(offset) } else { Err(code) })
            })
            .collect())
    }
}

/// State and members of groups, in their order. Each request goes to the group's coordinator, with the consumer
/// protocol first and the classic one next.
pub fn describe(
    client: *mut RDKafka,
    groups: &[String],
    bound: Duration,
) -> Result<Vec<Result<GroupDescription, RDKafkaErrorCode>>, RDKafkaErrorCode> {
    let names = c_names(groups)?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let kind = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
    let request = AdminRequest::new(client, kind, COORDINATOR_BOUND);
    // SAFETY: the names live through the call and are copied by it; options and queue are live.
    unsafe {
        rd::rd_kafka_DescribeConsumerGroups(
            client,
            pointers.as_mut_ptr(),
            pointers.len(),
            request.options,
            request.queue,
        );
    }
    let answer = request.answer(bound)?;
    // SAFETY: the result belongs to this request and lives to the end of the block; everything kept from it is copied.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConsumerGroups_result(answer.event());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let found = rd::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        Ok((0..count).map(|index| description(*found.add(index))).collect())
    }
}

/// Deletes groups; the results are in any order.
pub fn delete(client: *mut RDKafka, groups: &[String], bound: Duration) -> Result<Vec<DeletedGroup>, RDKafkaErrorCode> {
    let names = c_names(groups)?;
    let request = AdminRequest::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DELETEGROUPS, COORDINATOR_BOUND);
    // SAFETY: the names live through the call and are copied, as are the requests, which are destroyed here; options
    // and queue are live.
    unsafe {
        let mut requests: Vec<_> = names.iter().map(|name| rd::rd_kafka_DeleteGroup_new(name.as_ptr())).collect();
        rd::rd_kafka_DeleteGroups(client, requests.as_mut_ptr(), requests.len(), request.options, request.queue);
        rd::rd_kafka_DeleteGroup_destroy_array(requests.as_mut_ptr(), requests.len());
    }
    let answer = request.answer(bound)?;
    // SAFETY: the result belongs to this request and lives to the end of the block; everything kept from it is copied.
    unsafe {
        let result = rd::rd_kafka_event_DeleteGroups_result(answer.event());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let found = rd::rd_kafka_DeleteGroups_result_groups(result, &raw mut count);
        let end = |group| {
            let name = CStr::from_ptr(rd::rd_kafka_group_result_name(group)).to_string_lossy().into_owned();
            (name, check(rd::rd_kafka_group_result_error(group)))
        };
        Ok((0..count).map(|index| end(*found.add(index))).collect())
    }
}

/// # Safety
///
/// `group` is a live description.
unsafe fn description(
    group: *const rd::rd_kafka_ConsumerGroupDescription_t,
) -> Result<GroupDescription, RDKafkaErrorCode> {
    // SAFETY: by this function's contract; what is reached from it lives as long, and all of it is copied.
    unsafe {
        match check(rd::rd_kafka_ConsumerGroupDescription_error(group)) {
            // Newer versions of the request return an error for a missing group, older ones the state `Dead`.
            Err(RDKafkaErrorCode::GroupIdNotFound) => {
                return Ok(GroupDescription { state: "Dead".to_owned(), members: Vec::new() });
            }
            other => other?,
        }
        let state = rd::rd_kafka_ConsumerGroupDescription_state(group);
        let state = CStr::from_ptr(rd::rd_kafka_consumer_group_state_name(state)).to_string_lossy().into_owned();
        let members = (0..rd::rd_kafka_ConsumerGroupDescription_member_count(group))
            .map(|index| {
                let member = rd::rd_kafka_ConsumerGroupDescription_member(group, index);
                let word = |text: *const c_char| {
                    if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
                };
                let assignment = rd::rd_kafka_MemberDescription_assignment(member);
                let assigned = if assignment.is_null() {
                    ptr::null()
                } else {
                    rd::rd_kafka_MemberAssignment_partitions(assignment)
                };
                let instance_id = word(rd::rd_kafka_MemberDescription_group_instance_id(member));
                GroupMember {
                    instance_id: (!instance_id.is_empty()).then_some(instance_id),
                    id: word(rd::rd_kafka_MemberDescription_consumer_id(member)),
                    client: word(rd::rd_kafka_MemberDescription_client_id(member)),
                    host: word(rd::rd_kafka_MemberDescription_host(member)),
                    partitions: partitions(assigned).iter().map(|element| topic_partition(element)).collect(),
                }
            })
            .collect();
        Ok(GroupDescription { state, members })
    }
}

/// # Safety
///
/// `list` is null or a live list that outlives the result.
unsafe fn partitions<'a>(list: *const rd::rd_kafka_topic_partition_list_t) -> &'a [rd::rd_kafka_topic_partition_t] {
    // SAFETY: by this function's contract; `elems` has `cnt` elements, and may be null in an empty list.
    unsafe {
        if list.is_null() || (*list).elems.is_null() {
            return &[];
        }
        std::slice::from_raw_parts((*list).elems, usize::try_from((*list).cnt).unwrap_or(0))
    }
}

/// # Safety
///
/// The element belongs to a live list, whose topics are C strings.
unsafe fn topic_partition(element: &rd::rd_kafka_topic_partition_t) -> TopicPartition {
    // SAFETY: by this function's contract; the name is copied.
    let topic = unsafe { CStr::from_ptr(element.topic) }.to_string_lossy().into_owned();
    TopicPartition { topic, partition: element.partition }
}
