//! Admin API requests through librdkafka that the rdkafka crate does not offer, or whose results it returns in part.
#![allow(unsafe_code, reason = "bindings to librdkafka; each block says why it is sound")]

use std::ffi::{CStr, CString, c_char};
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafka;

use super::native::millis;
use crate::clock::Deadline;
use crate::state::TopicId;

/// The timeout of requests to a coordinator inside librdkafka: the longest that it accepts. A request that times out
/// there before its coordinator is connected is freed, but used again after the connect, and an assertion then aborts
/// the process (librdkafka issue 4605). So the caller's own timeout ends the wait, and a late answer is freed.
pub(super) const COORDINATOR_BOUND: Duration = Duration::from_hours(1);

const SLICE: Duration = Duration::from_millis(50);

/// An Admin API request and the queue for its result.
pub(super) struct AdminRequest {
    pub options: *mut rd::rd_kafka_AdminOptions_t,
    pub queue: *mut rd::rd_kafka_queue_t,
}

impl AdminRequest {
    pub fn new(client: *mut RDKafka, kind: rd::rd_kafka_admin_op_t, bound: Duration) -> Self {
        let mut errstr = [0 as c_char; 256];
        // SAFETY: `client` is live; both objects are destroyed once, in `drop`; the buffer has the given length. If the
        // timeout is rejected, librdkafka's default (a minute) holds, and `answer` has its own timeout in any case.
        unsafe {
            let options = rd::rd_kafka_AdminOptions_new(client, kind);
            let bound = millis(bound.min(COORDINATOR_BOUND)).max(1);
            rd::rd_kafka_AdminOptions_set_request_timeout(options, bound, errstr.as_mut_ptr(), errstr.len());
            Self { options, queue: rd::rd_kafka_queue_new(client) }
        }
    }

    /// Waits for the result.
    pub fn answer(&self, bound: Duration) -> Result<AdminEvent, RDKafkaErrorCode> {
        let deadline = Deadline::after(bound);
        loop {
            // SAFETY: the queue is live; the event is owned here and destroyed by `AdminEvent`.
            let event = unsafe { rd::rd_kafka_queue_poll(self.queue, millis(SLICE)) };
            if !event.is_null() {
                let answer = AdminEvent(event);
                // SAFETY: the event is live.
                let code: RDKafkaErrorCode = unsafe { rd::rd_kafka_event_error(answer.0) }.into();
                return if code == RDKafkaErrorCode::NoError { Ok(answer) } else { Err(code) };
            }
            if deadline.has_passed() {
                return Err(RDKafkaErrorCode::OperationTimedOut);
            }
        }
    }
}

impl Drop for AdminRequest {
    fn drop(&mut self) {
        // SAFETY: both are owned here and destroyed once; a pending request keeps its own reference to the queue.
        unsafe {
            rd::rd_kafka_queue_destroy(self.queue);
            rd::rd_kafka_AdminOptions_destroy(self.options);
        }
    }
}

/// A result event. Copy what you read from it before it is dropped.
pub(super) struct AdminEvent(*mut rd::rd_kafka_event_t);

impl AdminEvent {
    pub fn event(&self) -> *mut rd::rd_kafka_event_t {
        self.0
    }
}

impl Drop for AdminEvent {
    fn drop(&mut self) {
        // SAFETY: the event came from `rd_kafka_queue_poll` and is destroyed once.
        unsafe { rd::rd_kafka_event_destroy(self.0) }
    }
}

/// # Safety
///
/// `error` is null or a live error.
pub(super) unsafe fn check(error: *const rd::rd_kafka_error_t) -> Result<(), RDKafkaErrorCode> {
    // SAFETY: by this function's contract; null means no error.
    let code: RDKafkaErrorCode = unsafe { rd::rd_kafka_error_code(error) }.into();
    if code == RDKafkaErrorCode::NoError { Ok(()) } else { Err(code) }
}

/// Topic or group names as C strings.
pub(super) fn c_names(names: &[String]) -> Result<Vec<CString>, RDKafkaErrorCode> {
    let name = |name: &String| CString::new(name.as_str()).map_err(|_| RDKafkaErrorCode::InvalidArgument);
    names.iter().map(name).collect()
}

/// Some effective configs of a topic, in the order of `names`; `None` for a config that the broker does not have.
///
/// The crate's call drops the error of a topic.
pub fn topic_settings<const N: usize>(
    client: *mut RDKafka,
    topic: &str,
    names: [&str; N],
    bound: Duration,
) -> Result<[Option<String>; N], RDKafkaErrorCode> {
    let topic = CString::new(topic).map_err(|_| RDKafkaErrorCode::InvalidArgument)?;
    let kind = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS;
    let request = AdminRequest::new(client, kind, bound);
    // SAFETY: the name lives through the call and is copied, as is the resource, which is destroyed here; options and
    // queue are live.
    unsafe {
        let mut resources =
            [rd::rd_kafka_ConfigResource_new(rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC, topic.as_ptr())];
        rd::rd_kafka_DescribeConfigs(client, resources.as_mut_ptr(), 1, request.options, request.queue);
        rd::rd_kafka_ConfigResource_destroy(resources[0]);
    }
    let answer = request.answer(bound)?;
    // SAFETY: the result belongs to this request and lives to the end of the block; everything kept from it is copied.
    unsafe {
        let result = rd::rd_kafka_event_DescribeConfigs_result(answer.event());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let resources = rd::rd_kafka_DescribeConfigs_result_resources(result, &raw mut count);
        if count == 0 {
            return Err(RDKafkaErrorCode::Fail);
        }
        let resource = *resources;
        let code: RDKafkaErrorCode = rd::rd_kafka_ConfigResource_error(resource).into();
        if code != RDKafkaErrorCode::NoError {
            return Err(code);
        }
        let entries = rd::rd_kafka_ConfigResource_configs(resource, &raw mut count);
        let word = |text: *const c_char| (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned());
        Ok(names.map(|name| {
            let entry = (0..count).map(|index| *entries.add(index)).find(|entry| {
                let found = rd::rd_kafka_ConfigEntry_name(*entry);
                !found.is_null() && CStr::from_ptr(found).to_bytes() == name.as_bytes()
            });
            entry.and_then(|entry| word(rd::rd_kafka_ConfigEntry_value(entry)))
        }))
    }
}

/// The broker's message about a topic that it refuses to create, from a `validate_only` request. `None` without a
/// message.
///
/// The crate's call returns only the error code.
pub fn topic_validation_error(client: *mut RDKafka, topic: &str, partitions: i32, bound: Duration) -> Option<String> {
    let name = CString::new(topic).ok()?;
    let request = AdminRequest::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_CREATETOPICS, bound);
    let mut errstr = [0 as c_char; 256];
    // SAFETY: the name lives through the calls and is copied, as is the request, which is destroyed here; a null
    // request (librdkafka rejects the name or the count) is not sent; options and queue are live; the buffers have the
    // given lengths.
    unsafe {
        rd::rd_kafka_AdminOptions_set_validate_only(request.options, 1, errstr.as_mut_ptr(), errstr.len());
        let mut topics = [rd::rd_kafka_NewTopic_new(name.as_ptr(), partitions, -1, errstr.as_mut_ptr(), errstr.len())];
        if topics[0].is_null() {
            return None;
        }
        rd::rd_kafka_CreateTopics(client, topics.as_mut_ptr(), 1, request.options, request.queue);
        rd::rd_kafka_NewTopic_destroy(topics[0]);
    }
    let answer = request.answer(bound).ok()?;
    // SAFETY: the result belongs to this request and lives to the end of the block; everything kept from it is copied.
    unsafe {
        let result = rd::rd_kafka_event_CreateTopics_result(answer.event());
        if result.is_null() {
            return None;
        }
        let mut count = 0;
        let topics = rd::rd_kafka_CreateTopics_result_topics(result, &raw mut count);
        if count == 0 {
            return None;
        }
        let message = rd::rd_kafka_topic_result_error_string(*topics);
        (!message.is_null()).then(|| CStr::from_ptr(message).to_string_lossy().into_owned())
    }
}

/// Topic ids by name, in any order; `None` on a cluster without topic ids.
pub type TopicIds = Vec<(String, Result<Option<TopicId>, RDKafkaErrorCode>)>;

/// Requests topic ids. `DescribeTopics` sends a `Metadata` request, which the crate reads without the ids.
pub fn topic_ids(client: *mut RDKafka, topics: &[String], bound: Duration) -> Result<TopicIds, RDKafkaErrorCode> {
    let names = c_names(topics)?;
    let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    let request = AdminRequest::new(client, rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, bound);
    // SAFETY: the names live through the call and are copied, as is their collection, which is destroyed here; options
    // and queue are live.
    unsafe {
        let topics_by_name = rd::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        rd::rd_kafka_DescribeTopics(client, topics_by_name, request.options, request.queue);
        rd::rd_kafka_TopicCollection_destroy(topics_by_name);
    }
    let answer = request.answer(bound)?;
    // SAFETY: the result belongs to this request and lives to the end of the block; everything kept from it is copied.
    unsafe {
        let result = rd::rd_kafka_event_DescribeTopics_result(answer.event());
        if result.is_null() {
            return Err(RDKafkaErrorCode::Fail);
        }
        let mut count = 0;
        let found = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let described = |topic| {
            let name = CStr::from_ptr(rd::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let id = rd::rd_kafka_TopicDescription_topic_id(topic);
            let bits = u128::from(rd::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned()) << 64
                | u128::from(rd::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned());
            (name, check(rd::rd_kafka_TopicDescription_error(topic)).map(|()| TopicId::of_bits(bits)))
        };
        Ok((0..count).map(|index| described(*found.add(index))).collect())
    }
}
