//! TLS calls that the rdkafka crate lacks: the certificate verification callback, and disabling OpenSSL's exit handler.
#![allow(unsafe_code, reason = "bindings to librdkafka and OpenSSL; each block says why it is sound")]

use std::os::raw::{c_char, c_int, c_void};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};
use rdkafka::types::RDKafkaType;

use super::native_batch::bytes;

// From the OpenSSL that librdkafka is linked with.
unsafe extern "C" {
    fn OPENSSL_init_crypto(options: u64, settings: *const c_void) -> c_int;
}

/// Disables OpenSSL's exit handler. Call it before the first client is created.
///
/// Clients are not closed before the process exits, so their threads still run then. With the handler, which frees OpenSSL's
/// state, about one command in a hundred ended with a segmentation fault after it had printed its result (measured over TLS).
pub fn disable_openssl_atexit() {
    const NO_ATEXIT: u64 = 0x0008_0000;
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: OpenSSL allows this call at any time and from any thread; null means its default settings.
        unsafe { OPENSSL_init_crypto(NO_ATEXIT, ptr::null()) };
    });
}

/// Why a broker's certificate was rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFault {
    /// OpenSSL's code: 62 for another host name, 18 to 21 for an untrusted CA, 10 for an expired certificate.
    pub code: i32,
    /// The rejected certificate of the chain, in DER.
    pub der: Vec<u8>,
}

#[derive(Debug, Default)]
struct VerifyContext(Mutex<Option<CertificateFault>>);

impl ClientContext for VerifyContext {}

/// Connects once, without a login, to find out why the broker's certificate is rejected. librdkafka's error messages do not
/// say it, and the rdkafka crate cannot set the verification callback.
pub fn certificate_fault(config: &ClientConfig, bound: Duration) -> Option<CertificateFault> {
    let native = config.create_native_config().ok()?;
    // SAFETY: the configuration is live, and `verify` has the signature of the callback.
    let set = unsafe { rd::rd_kafka_conf_set_ssl_cert_verify_cb(native.ptr(), Some(verify)) };
    if set != rd::rd_kafka_conf_res_t::RD_KAFKA_CONF_OK {
        return None;
    }
    let client = Client::new(config, native, RDKafkaType::RD_KAFKA_PRODUCER, VerifyContext::default()).ok()?;
    let deadline = crate::clock::Deadline::after(bound);
    loop {
        // The request makes the client connect; its result does not matter.
        drop(client.fetch_metadata(None, Duration::from_millis(100)));
        let found = client.context().0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if found.is_some() || deadline.has_passed() {
            return found;
        }
    }
}

/// # Safety
///
/// Called by librdkafka only: `opaque` is the context that `Client::new` has set, which outlives the client's threads, and
/// `buf` has `size` bytes during the call.
unsafe extern "C" fn verify(
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
    let (code, der, context) = unsafe { (*x509_error, bytes(buf.cast(), size), &*opaque.cast::<VerifyContext>()) };
    if code == 0 {
        return 1;
    }
    context
        .0
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get_or_insert_with(|| CertificateFault { code, der: der.unwrap_or_default().to_vec() });
    0
}
