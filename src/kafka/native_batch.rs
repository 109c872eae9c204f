//! Batch reads from a consumer queue (`rd_kafka_consume_batch_queue`), for manually assigned consumers.
#![allow(unsafe_code, reason = "bindings to librdkafka; each block says why it is sound")]

use std::ffi::CStr;
use std::marker::PhantomData;
use std::os::raw::c_void;
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::RDKafka;

use super::native::millis;

/// A consumer's queue, read in batches: one call for many records.
#[derive(Debug)]
pub struct BatchQueue {
    queue: *mut rd::rd_kafka_queue_t,
    buffer: Vec<*mut rd::rd_kafka_message_t>,
}

// SAFETY: librdkafka's queues are thread safe, and the buffer is owned.
unsafe impl Send for BatchQueue {}

/// One element of a batch.
#[derive(Debug)]
pub enum BatchItem<'a> {
    Record {
        topic: TopicPtr,
        partition: i32,
        offset: i64,
        /// Milliseconds since the epoch; `None` for message formats without timestamps.
        timestamp: Option<i64>,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        headers: BatchHeaders<'a>,
    },
    /// Everything before `offset` that this isolation level shows was delivered.
    PartitionEof { topic: TopicPtr, partition: i32, offset: i64 },
    /// An error of the consumer, or of a partition. The offset is that of the unreadable batch.
    Error { topic: Option<TopicPtr>, partition: i32, offset: i64, code: RDKafkaErrorCode, text: String },
}

/// A topic of one client, compared by pointer instead of by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicPtr(*mut rd::rd_kafka_topic_t);

impl TopicPtr {
    pub fn name(self) -> String {
        // SAFETY: a pointer is only used within its batch, which keeps the topic alive; the name is copied.
        unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(self.0)).to_string_lossy().into_owned() }
    }
}

/// The headers of a record, parsed when they are read.
#[derive(Debug, Clone, Copy)]
pub struct BatchHeaders<'a> {
    message: *mut rd::rd_kafka_message_t,
    _lifetime: PhantomData<&'a [u8]>,
}

impl<'a> BatchHeaders<'a> {
    /// Calls `each` for every header in order, repeated names included. Names are UTF-8 in Kafka's protocol, and are not
    /// checked.
    pub fn each(self, mut each: impl FnMut(&'a [u8], Option<&'a [u8]>)) {
        let mut headers = std::ptr::null_mut();
        // SAFETY: the message lives as long as `'a`, and so do its headers, which it owns.
        unsafe {
            if rd::rd_kafka_message_headers(self.message, &raw mut headers)
                != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR
            {
                return;
            }
            for index in 0.. {
                let (mut name, mut value, mut length) = (std::ptr::null(), std::ptr::null(), 0);
                let found = rd::rd_kafka_header_get_all(headers, index, &raw mut name, &raw mut value, &raw mut length);
                if found != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return;
                }
                each(CStr::from_ptr(name).to_bytes(), bytes(value, length));
            }
        }
    }
}

impl BatchQueue {
    /// The queue of a manually assigned consumer. Not for a subscribed one, whose rebalances would not be served.
    pub fn new(client: *mut RDKafka, batch: usize) -> Option<Self> {
        // SAFETY: `client` is a live consumer that outlives this queue.
        let queue = unsafe { rd::rd_kafka_queue_get_consumer(client) };
        (!queue.is_null()).then(|| Self { queue, buffer: Vec::with_capacity(batch) })
    }

    /// Waits for records for at most `bound` and passes each to `each`; `false` when there were none.
    pub fn read(&mut self, bound: Duration, mut each: impl FnMut(BatchItem<'_>)) -> bool {
        let capacity = self.buffer.capacity();
        // SAFETY: the buffer has room for `capacity` pointers; librdkafka fills in as many as it returns.
        unsafe {
            let count = rd::rd_kafka_consume_batch_queue(self.queue, millis(bound), self.buffer.as_mut_ptr(), capacity);
            self.buffer.set_len(usize::try_from(count).unwrap_or(0));
        }
        let some = !self.buffer.is_empty();
        for pointer in self.buffer.drain(..) {
            // SAFETY: each message is owned here until it is destroyed below; what `each` borrows does not outlive the call.
            unsafe {
                let message = &*pointer;
                let topic = TopicPtr(message.rkt);
                let (partition, offset) = (message.partition, message.offset);
                match message.err {
                    rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR => each(BatchItem::Record {
                        topic,
                        partition,
                        offset,
                        timestamp: timestamp(pointer),
                        key: bytes(message.key, message.key_len),
                        value: bytes(message.payload, message.len),
                        headers: BatchHeaders { message: pointer, _lifetime: PhantomData },
                    }),
                    rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__PARTITION_EOF => {
                        each(BatchItem::PartitionEof { topic, partition, offset });
                    }
                    error => {
                        let text = rd::rd_kafka_message_errstr(pointer);
                        let text = if text.is_null() {
                            String::new()
                        } else {
                            CStr::from_ptr(text).to_string_lossy().into_owned()
                        };
                        let topic = (!message.rkt.is_null()).then_some(topic);
                        each(BatchItem::Error { topic, partition, offset, code: error.into(), text });
                    }
                }
                rd::rd_kafka_message_destroy(pointer);
            }
        }
        some
    }
}

impl Drop for BatchQueue {
    fn drop(&mut self) {
        // SAFETY: the reference came from `rd_kafka_queue_get_consumer` and is destroyed once.
        unsafe { rd::rd_kafka_queue_destroy(self.queue) }
    }
}

/// # Safety
///
/// `message` is a live message.
unsafe fn timestamp(message: *const rd::rd_kafka_message_t) -> Option<i64> {
    let mut kind = rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    // SAFETY: by this function's contract; the kind is written to.
    let millis = unsafe { rd::rd_kafka_message_timestamp(message, &raw mut kind) };
    (kind != rd::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE).then_some(millis)
}

/// # Safety
///
/// `pointer` is null or points to `length` bytes that outlive the result.
pub(super) unsafe fn bytes<'a>(pointer: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: by this function's contract.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}
