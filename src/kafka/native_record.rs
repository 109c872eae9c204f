//! Sizes of record headers: direct calls of librdkafka.
#![allow(unsafe_code, reason = "bindings to librdkafka; each block says why it is sound")]

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings as rd;
use rdkafka::message::BorrowedHeaders;

/// Total bytes of header names and values. The crate's access panics on names that are not UTF-8.
pub(super) fn header_bytes(headers: &BorrowedHeaders) -> usize {
    let headers: *const rd::rd_kafka_headers_t = ptr::from_ref(headers).cast();
    let mut bytes = 0;
    // SAFETY: the crate's reference is librdkafka's pointer; name and value belong to the list, which outlives this
    // call.
    unsafe {
        for at in 0..rd::rd_kafka_header_cnt(headers) {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            rd::rd_kafka_header_get_all(headers, at, &raw mut name, &raw mut value, &raw mut size);
            bytes += size + if name.is_null() { 0 } else { CStr::from_ptr(name).to_bytes().len() };
        }
    }
    bytes
}
