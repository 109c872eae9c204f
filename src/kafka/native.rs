//! Direct librdkafka calls that the rdkafka crate lacks or makes slow: property names, watermarks, produce, flush, commit.
//!
//! All unsafe code of this crate is in the `native…` files. The pointers come from clients that the callers keep alive.
#![allow(unsafe_code, reason = "bindings to librdkafka; each block says why it is sound")]

use std::ffi::{CStr, CString};
use std::os::raw::c_void;
use std::ptr;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafka;

/// The names of librdkafka's client and topic properties, without aliases.
pub fn property_names() -> Vec<String> {
    let mut names = Vec::new();
    let mut count = 0;
    // SAFETY: both configurations are created and destroyed here; a dump has `count` strings, with names at even indexes, and
    // is freed with its own length.
    unsafe {
        let clients = rd::rd_kafka_conf_new();
        let dump = rd::rd_kafka_conf_dump(clients, &raw mut count);
        names.extend((0..count).step_by(2).map(|at| CStr::from_ptr(*dump.add(at)).to_string_lossy().into_owned()));
        rd::rd_kafka_conf_dump_free(dump, count);
        rd::rd_kafka_conf_destroy(clients);
        let topics = rd::rd_kafka_topic_conf_new();
        let dump = rd::rd_kafka_topic_conf_dump(topics, &raw mut count);
        names.extend((0..count).step_by(2).map(|at| CStr::from_ptr(*dump.add(at)).to_string_lossy().into_owned()));
        rd::rd_kafka_conf_dump_free(dump, count);
        rd::rd_kafka_topic_conf_destroy(topics);
    }
    names
}

/// Every error code of librdkafka.
#[cfg(test)]
pub fn error_codes() -> Vec<i32> {
    let (mut table, mut count) = (ptr::null(), 0);
    // SAFETY: librdkafka fills in a static table of `count` rows, in which unused codes have a null description.
    unsafe {
        rd::rd_kafka_get_err_descs(&raw mut table, &raw mut count);
        let rows: &[rd::rd_kafka_err_desc] = std::slice::from_raw_parts(table, count);
        rows.iter().filter(|row| !row.desc.is_null()).map(|row| row.code as i32).collect()
    }
}

/// The consumer's member id; `None` before it has joined the group.
pub fn member_id(client: *mut RDKafka) -> Option<String> {
    // SAFETY: `client` is a live consumer; the string is owned here, copied, and freed once.
    unsafe {
        let id = rd::rd_kafka_memberid(client);
        if id.is_null() {
            return None;
        }
        let copy = CStr::from_ptr(id).to_string_lossy().into_owned();
        rd::rd_kafka_mem_free(client, id.cast());
        (!copy.is_empty()).then_some(copy)
    }
}

/// The high watermark of a partition in the last fetch response; `None` before the first one.
pub fn known_high_watermark(client: *mut RDKafka, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: `client` is a live consumer, the name lives through the call, and both numbers are written to.
    let code =
        unsafe { rd::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &raw mut low, &raw mut high) };
    (code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// The error of a transactional call, with the three flags that decide what to do next.
#[derive(Debug, Clone)]
pub struct CallError {
    pub code: RDKafkaErrorCode,
    pub text: String,
    pub fatal: bool,
    pub retriable: bool,
    pub requires_abort: bool,
}

/// Milliseconds for a C call that takes an int.
pub(super) fn millis(bound: Duration) -> i32 {
    i32::try_from(bound.as_millis()).unwrap_or(i32::MAX)
}

/// Commits a transaction without the crate's flush, whose polling costs up to 100 ms: librdkafka flushes anyway, and a
/// polling thread serves the delivery reports.
pub fn commit_transaction(client: *mut RDKafka, bound: Duration) -> Result<(), CallError> {
    // SAFETY: `client` is a live producer; the returned error is owned here and destroyed in `take`.
    unsafe { take(rd::rd_kafka_commit_transaction(client, millis(bound))) }
}

/// Flushes without the crate's polling in slices of 100 ms.
pub fn flush(client: *mut RDKafka, bound: Duration) -> bool {
    // SAFETY: `client` is a live producer.
    let code = unsafe { rd::rd_kafka_flush(client, millis(bound)) };
    code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
}

/// # Safety
///
/// `error` is null or a live error owned by the caller.
unsafe fn take(error: *mut rd::rd_kafka_error_t) -> Result<(), CallError> {
    if error.is_null() {
        return Ok(());
    }
    // SAFETY: by this function's contract; the string is copied before the error is destroyed.
    unsafe {
        let result = CallError {
            code: rd::rd_kafka_error_code(error).into(),
            text: CStr::from_ptr(rd::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
            fatal: rd::rd_kafka_error_is_fatal(error) != 0,
            retriable: rd::rd_kafka_error_is_retriable(error) != 0,
            requires_abort: rd::rd_kafka_error_txn_requires_abort(error) != 0,
        };
        rd::rd_kafka_error_destroy(error);
        Err(result)
    }
}

/// A topic handle for many records: the crate's `send` looks the topic up and copies its name for each record.
#[derive(Debug)]
pub struct TopicHandle(*mut rd::rd_kafka_topic_t);

// SAFETY: librdkafka's topic objects are thread safe.
unsafe impl Send for TopicHandle {}

/// The result of adding a record to the client's queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnqueueResult {
    /// Queued; a delivery report follows.
    Queued,
    /// The queue is full: wait and try again.
    QueueFull,
    /// Rejected by the client.
    Rejected(RDKafkaErrorCode),
}

impl TopicHandle {
    /// Creates a handle; its client must outlive it. A codec applies to all records that the client writes to the topic.
    pub fn new(client: *mut RDKafka, topic: &str, codec: Option<&CStr>) -> Option<Self> {
        let name = CString::new(topic).ok()?;
        // SAFETY: `client` is a live producer; a null configuration means the client's default topic configuration, and any
        // other becomes the topic's. The strings live through the calls.
        let handle = unsafe {
            let mut settings = ptr::null_mut();
            if let Some(codec) = codec {
                settings = rd::rd_kafka_default_topic_conf_dup(client);
                rd::rd_kafka_topic_conf_set(
                    settings,
                    c"compression.codec".as_ptr(),
                    codec.as_ptr(),
                    ptr::null_mut(),
                    0,
                );
            }
            rd::rd_kafka_topic_new(client, name.as_ptr(), settings)
        };
        (!handle.is_null()).then_some(Self(handle))
    }

    /// Adds a record to the client's queue; the client copies it.
    pub fn produce(&self, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) -> EnqueueResult {
        let (value, value_length) = raw(value);
        let (key, key_length) = raw(key);
        // SAFETY: the handle is live; F_COPY makes librdkafka copy both buffers before it returns.
        let result = unsafe {
            rd::rd_kafka_produce(
                self.0,
                partition,
                rd::RD_KAFKA_MSG_F_COPY,
                value.cast_mut(),
                value_length,
                key,
                key_length,
                ptr::null_mut(),
            )
        };
        if result == 0 {
            return EnqueueResult::Queued;
        }
        // SAFETY: reads the calling thread's last error of librdkafka.
        match unsafe { rd::rd_kafka_last_error() } {
            rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__QUEUE_FULL => EnqueueResult::QueueFull,
            other => EnqueueResult::Rejected(other.into()),
        }
    }
}

impl Drop for TopicHandle {
    fn drop(&mut self) {
        // SAFETY: the handle came from `rd_kafka_topic_new` and is destroyed once.
        unsafe { rd::rd_kafka_topic_destroy(self.0) }
    }
}

/// A null pointer is Kafka's null; a pointer to zero bytes is an empty value.
fn raw(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}
