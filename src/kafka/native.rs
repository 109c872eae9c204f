//! Owns the few calls that go past the rdkafka crate to librdkafka itself, and the reason for each.
//!
//! Everything unsafe of this crate stands here. The pointers come from clients that the callers keep alive.
#![allow(unsafe_code, reason = "bindings to librdkafka; each block says why it is sound")]

use std::ffi::{CStr, CString};
use std::os::raw::{c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::types::{RDKafka, RDKafkaType};

/// The names of the library's properties, of clients and of topics, without the second names that some have.
pub fn property_names() -> Vec<String> {
    let mut names = Vec::new();
    let mut count = 0;
    // SAFETY: both configurations are made, asked and destroyed here; a dump is `count` strings, names at even places, and
    // is given back as it came.
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

/// Every error code that the library knows.
#[cfg(test)]
pub fn error_codes() -> Vec<i32> {
    let (mut table, mut count) = (ptr::null(), 0);
    // SAFETY: the library fills in a static table of `count` rows, in which unused codes have a null description.
    unsafe {
        rd::rd_kafka_get_err_descs(&raw mut table, &raw mut count);
        let rows: &[rd::rd_kafka_err_desc] = std::slice::from_raw_parts(table, count);
        rows.iter().filter(|row| !row.desc.is_null()).map(|row| row.code as i32).collect()
    }
}

/// The member id that the group's coordinator gave this consumer; `None` before it has joined.
pub fn member_id(client: *mut RDKafka) -> Option<String> {
    // SAFETY: `client` is a live consumer; the string is ours, copied and freed once.
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

/// The high watermark of a partition as the last answer to a fetch told it; `None` before the first one.
pub fn known_high_watermark(client: *mut RDKafka, topic: &str, partition: i32) -> Option<i64> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: `client` is a live consumer, the name lives through the call, and both numbers are written to.
    let code =
        unsafe { rd::rd_kafka_get_watermark_offsets(client, topic.as_ptr(), partition, &raw mut low, &raw mut high) };
    (code == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(high)
}

/// The result of a transactional call, with the three flags that say what to do next.
#[derive(Debug, Clone)]
pub struct CallError {
    pub code: RDKafkaErrorCode,
    pub text: String,
    pub fatal: bool,
    pub retriable: bool,
    pub requires_abort: bool,
}

// Of the OpenSSL that librdkafka is linked with.
unsafe extern "C" {
    fn OPENSSL_init_crypto(options: u64, settings: *const c_void) -> c_int;
}

/// Keeps OpenSSL's state for as long as there is a thread that may use it: called before the first client is made.
///
/// Clients end with the process here, so their threads run while it exits. OpenSSL would clean up at the exit, below them:
/// one command in some hundred then ended by a segmentation fault, after it had told its answer (measured over TLS).
pub fn disable_openssl_atexit() {
    const NO_ATEXIT: u64 = 0x0008_0000;
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: OpenSSL takes this call at any time and from any thread; null means its default settings.
        unsafe { OPENSSL_init_crypto(NO_ATEXIT, ptr::null()) };
    });
}

/// Milliseconds for a C call that takes an int.
pub(super) fn millis(bound: Duration) -> i32 {
    i32::try_from(bound.as_millis()).unwrap_or(i32::MAX)
}

/// Commits without the crate's own flush, whose polling costs up to 100 ms a transaction: librdkafka flushes by itself,
/// and a polling thread serves the delivery reports meanwhile.
pub fn commit_transaction(client: *mut RDKafka, bound: Duration) -> Result<(), CallError> {
    // SAFETY: `client` is a live producer; the returned error is owned by us and destroyed in `take`.
    unsafe { take(rd::rd_kafka_commit_transaction(client, millis(bound))) }
}

/// Waits until everything is acknowledged or refused, without the crate's slices of 100 ms.
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

/// A topic handle kept for many records: the crate's own send looks the topic up and copies its name for each.
#[derive(Debug)]
pub struct TopicHandle(*mut rd::rd_kafka_topic_t);

// SAFETY: librdkafka's topic objects are thread safe.
unsafe impl Send for TopicHandle {}

/// What became of a record that was handed to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EnqueueResult {
    /// The client has it and will report on it.
    Queued,
    /// The client's queue is full: wait and hand it over again.
    QueueFull,
    /// The client refuses it.
    Rejected(RDKafkaErrorCode),
}

impl TopicHandle {
    /// A handle on a client that outlives it. With a codec, whatever the client writes to the topic is compressed with that one.
    pub fn new(client: *mut RDKafka, topic: &str, codec: Option<&CStr>) -> Option<Self> {
        let name = CString::new(topic).ok()?;
        // SAFETY: `client` is a live producer; a null configuration means the client's default topic configuration, and any
        // other is the topic's from here on. The strings live through the calls.
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

    /// Hands a record over; the client copies it.
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

/// A null pointer means null to Kafka; a pointer to nothing means empty.
fn raw(bytes: Option<&[u8]>) -> (*const c_void, usize) {
    bytes.map_or((ptr::null(), 0), |bytes| (bytes.as_ptr().cast(), bytes.len()))
}

/// A consumer's queue, read in batches: one call for many records instead of one each.
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
    /// A record.
    Record {
        topic: TopicPtr,
        partition: i32,
        offset: i64,
        /// Milliseconds since the epoch; `None` for a record of a format that has none.
        timestamp: Option<i64>,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    },
    /// Everything that a reader of this isolation gets up to `offset` was delivered.
    PartitionEof { topic: TopicPtr, partition: i32, offset: i64 },
    /// An error of the consumer, or of a partition of a topic.
    /// An offset is that of the batch that is not read.
    Error { topic: Option<TopicPtr>, partition: i32, offset: i64, code: RDKafkaErrorCode, text: String },
}

/// The identity of a topic within one client; compares without touching the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicPtr(*mut rd::rd_kafka_topic_t);

impl TopicPtr {
    /// The topic's name.
    pub fn name(self) -> String {
        // SAFETY: tags live within the batch that they came with, which keeps the topic alive; the name is copied.
        unsafe { CStr::from_ptr(rd::rd_kafka_topic_name(self.0)).to_string_lossy().into_owned() }
    }
}

impl BatchQueue {
    /// The queue of a consumer with a manual assignment. Not for a subscribed one: nobody would serve its rebalances.
    pub fn new(client: *mut RDKafka, batch: usize) -> Option<Self> {
        // SAFETY: `client` is a live consumer that outlives this queue.
        let queue = unsafe { rd::rd_kafka_queue_get_consumer(client) };
        (!queue.is_null()).then(|| Self { queue, buffer: Vec::with_capacity(batch) })
    }

    /// Waits for records for at most `bound` and shows each; `false` when none came.
    pub fn read(&mut self, bound: Duration, mut each: impl FnMut(BatchItem<'_>)) -> bool {
        let capacity = self.buffer.capacity();
        // SAFETY: the buffer has room for `capacity` pointers; librdkafka fills in as many as it returns.
        unsafe {
            let count = rd::rd_kafka_consume_batch_queue(self.queue, millis(bound), self.buffer.as_mut_ptr(), capacity);
            self.buffer.set_len(usize::try_from(count).unwrap_or(0));
        }
        let some = !self.buffer.is_empty();
        for pointer in self.buffer.drain(..) {
            // SAFETY: each message is ours until it is destroyed below; what `each` borrows does not outlive the call.
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
        // SAFETY: the reference came from `rd_kafka_queue_get_consumer` and is given back once.
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
unsafe fn bytes<'a>(pointer: *const c_void, length: usize) -> Option<&'a [u8]> {
    // SAFETY: by this function's contract.
    (!pointer.is_null()).then(|| unsafe { std::slice::from_raw_parts(pointer.cast(), length) })
}

/// Why a broker's certificate did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFault {
    /// OpenSSL's code: 62 for another host, 18 to 21 for an authority that is not trusted, 10 for an expired one.
    pub code: i32,
    /// The certificate that it is about, in DER.
    pub der: Vec<u8>,
}

#[derive(Debug, Default)]
struct Look(Mutex<Option<CertificateFault>>);

impl ClientContext for Look {}

/// Connects once more, without a login, only to see why the broker's certificate does not pass: the client library knows
/// and does not say. The crate has no way to set the callback that is told.
pub fn certificate_fault(config: &ClientConfig, bound: Duration) -> Option<CertificateFault> {
    let native = config.create_native_config().ok()?;
    // SAFETY: the configuration is live, and `look` has the signature that the library calls.
    let set = unsafe { rd::rd_kafka_conf_set_ssl_cert_verify_cb(native.ptr(), Some(look)) };
    if set != rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
        return None;
    }
    let client = Client::new(config, native, RDKafkaType::RD_KAFKA_PRODUCER, Look::default()).ok()?;
    let deadline = crate::clock::Deadline::after(bound);
    loop {
        // Its answer does not matter: asking is what makes the client connect.
        drop(client.fetch_metadata(None, Duration::from_millis(100)));
        let found = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if found.is_some() || deadline.has_passed() {
            return found;
        }
    }
}

/// # Safety
///
/// Called by the library only: `opaque` is the context that `Client::new` has set, which outlives the client's threads, and
/// `buf` has `size` bytes for as long as the call lasts.
unsafe extern "C" fn look(
    _client: *mut rd::rd_kafka_t,
    _broker: *const c_char,
    _id: i32,
    x509_error: *mut c_int,
    _depth: c_int,
    buf: *const c_char,
    size: usize,
    _errstr: *mut c_char,
    _errstr_size: usize,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: by this function's contract.
    let (code, der, look) = unsafe { (*x509_error, bytes(buf.cast(), size), &*opaque.cast::<Look>()) };
    if code == 0 {
        return 1;
    }
    look.0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_with(|| CertificateFault { code, der: der.unwrap_or_default().to_vec() });
    0
}
