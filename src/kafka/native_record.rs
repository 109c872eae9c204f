//! Header sizes and SHA-256: direct calls of librdkafka and OpenSSL for what a record contains.
#![allow(unsafe_code, reason = "bindings to librdkafka and OpenSSL; each block says why it is sound")]

use std::ffi::CStr;
use std::ptr;

use rdkafka::bindings as rd;
use rdkafka::message::BorrowedHeaders;

// From the OpenSSL that librdkafka is linked with.
unsafe extern "C" {
    fn SHA256(bytes: *const u8, size: usize, digest: *mut u8) -> *mut u8;
}

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

/// SHA-256, from the OpenSSL that is linked for TLS.
#[must_use]
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    // SAFETY: `bytes` is readable for its length, and the digest has the 32 bytes that are written.
    unsafe { SHA256(bytes.as_ptr(), bytes.len(), digest.as_mut_ptr()) };
    digest
}
