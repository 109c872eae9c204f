//! Users and ACLs of the secure Kafka, created in batches with librdkafka's admin calls, because a JVM per ACL takes
//! seconds.

#![allow(unsafe_code, reason = "rdkafka has no safe wrapper for these admin calls; each block states why it is sound")]

use std::ffi::{CStr, CString};
use std::ptr;

use rdkafka::ClientConfig;
use rdkafka::bindings as rd;
use rdkafka::client::{Client, DefaultClientContext};
use rdkafka::types::RDKafkaType;

use super::permission_table::{RequiredPermission, ResourceType};
use super::support::STEP_TIMEOUT;

/// A permission of a user on a name or on a prefix.
#[derive(Debug, Clone)]
pub struct Grant {
    pub user: String,
    pub kind: ResourceType,
    pub name: String,
    pub prefixed: bool,
    pub operation: String,
}

impl Grant {
    /// A permission of the table, on the names with a prefix.
    pub fn of(user: &str, prefix: &str, permission: &RequiredPermission) -> Self {
        Self {
            user: user.to_owned(),
            kind: permission.kind,
            name: format!("{prefix}{}", permission.name),
            prefixed: permission.kind == ResourceType::TransactionalId,
            operation: permission.operation.clone(),
        }
    }
}

/// An admin client of the super user.
pub struct Admin {
    client: Client<DefaultClientContext>,
}

impl Admin {
    pub fn open(config: &ClientConfig) -> Self {
        let native = config.create_native_config().expect("a configuration");
        let client = Client::new(config, native, RDKafkaType::RD_KAFKA_PRODUCER, DefaultClientContext);
        Self { client: client.expect("an admin client") }
    }

    /// Creates users who authenticate with SCRAM-SHA-512 and this password.
    pub fn create_users(&self, users: &[String], password: &str) {
        // SAFETY: the strings outlive the call, which copies them; a null salt means a random one; every object that is
        // created is destroyed once, after the queue has returned the result.
        unsafe {
            let mut changes: Vec<_> = users
                .iter()
                .map(|user| {
                    let name = CString::new(user.as_str()).expect("a name");
                    rd::rd_kafka_UserScramCredentialUpsertion_new(
                        name.as_ptr(),
                        rd::rd_kafka_ScramMechanism_t::RD_KAFKA_SCRAM_MECHANISM_SHA_512,
                        4096,
                        password.as_ptr(),
                        password.len(),
                        ptr::null(),
                        0,
                    )
                })
                .collect();
            let queue = rd::rd_kafka_queue_new(self.client.native_ptr());
            rd::rd_kafka_AlterUserScramCredentials(
                self.client.native_ptr(),
                changes.as_mut_ptr(),
                changes.len(),
                ptr::null(),
                queue,
            );
            let event = answer(queue);
            let result = rd::rd_kafka_event_AlterUserScramCredentials_result(event);
            let mut count = 0;
            let responses = rd::rd_kafka_AlterUserScramCredentials_result_responses(result, &raw mut count);
            for index in 0..count {
                check(rd::rd_kafka_AlterUserScramCredentials_result_response_error(*responses.add(index)));
            }
            rd::rd_kafka_event_destroy(event);
            rd::rd_kafka_queue_destroy(queue);
            for change in changes {
                rd::rd_kafka_UserScramCredentialAlteration_destroy(change);
            }
        }
    }

    /// Creates ACLs.
    pub fn grant(&self, grants: &[Grant]) {
        // SAFETY: as in `create_users`.
        unsafe {
            let mut bindings: Vec<_> = grants.iter().map(|grant| binding(grant)).collect();
            let queue = rd::rd_kafka_queue_new(self.client.native_ptr());
            rd::rd_kafka_CreateAcls(
                self.client.native_ptr(),
                bindings.as_mut_ptr(),
                bindings.len(),
                ptr::null(),
                queue,
            );
            let event = answer(queue);
            let result = rd::rd_kafka_event_CreateAcls_result(event);
            let mut count = 0;
            let acls = rd::rd_kafka_CreateAcls_result_acls(result, &raw mut count);
            for index in 0..count {
                check(rd::rd_kafka_acl_result_error(*acls.add(index)));
            }
            rd::rd_kafka_event_destroy(event);
            rd::rd_kafka_queue_destroy(queue);
            for binding in bindings {
                rd::rd_kafka_AclBinding_destroy(binding);
            }
        }
    }
}

/// # Safety
///
/// The caller must destroy the result.
unsafe fn binding(grant: &Grant) -> *mut rd::rd_kafka_AclBinding_t {
    let kind = match grant.kind {
        ResourceType::Topic => rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC,
        ResourceType::Group => rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_GROUP,
        ResourceType::TransactionalId => rd::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
    };
    let pattern = if grant.prefixed {
        rd::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_PREFIXED
    } else {
        rd::rd_kafka_ResourcePatternType_t::RD_KAFKA_RESOURCE_PATTERN_LITERAL
    };
    let operation = match grant.operation.as_str() {
        "Read" => rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ,
        "Write" => rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE,
        "Create" => rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_CREATE,
        "Delete" => rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DELETE,
        "Describe" => rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE,
        "DescribeConfigs" => rd::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        other => panic!("{other} is not a Kafka operation"),
    };
    let text = |text: &str| CString::new(text).expect("no NUL");
    let (name, principal, host) = (text(&grant.name), text(&format!("User:{}", grant.user)), text("*"));
    let allow = rd::rd_kafka_AclPermissionType_t::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;
    // SAFETY: the strings and the error buffer outlive the call.
    let binding = unsafe {
        rd::rd_kafka_AclBinding_new(
            kind,
            name.as_ptr(),
            pattern,
            principal.as_ptr(),
            host.as_ptr(),
            operation,
            allow,
            ptr::null_mut(),
            0,
        )
    };
    assert!(!binding.is_null(), "{grant:?} is not a valid ACL");
    binding
}

/// # Safety
///
/// `queue` must be live. The caller must destroy the event.
unsafe fn answer(queue: *mut rd::rd_kafka_queue_t) -> *mut rd::rd_kafka_event_t {
    let bound = i32::try_from(STEP_TIMEOUT.as_millis()).expect("fits");
    // SAFETY: guaranteed by the caller.
    unsafe {
        let event = rd::rd_kafka_queue_poll(queue, bound);
        assert!(!event.is_null(), "the broker did not respond");
        let code = rd::rd_kafka_event_error(event);
        let text = CStr::from_ptr(rd::rd_kafka_err2str(code)).to_string_lossy();
        assert_eq!(code, rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR, "{text}");
        event
    }
}

/// # Safety
///
/// `error` must be null or a live error.
unsafe fn check(error: *const rd::rd_kafka_error_t) {
    // SAFETY: guaranteed by the caller.
    unsafe {
        let fine = rd::rd_kafka_error_code(error) == rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
        assert!(fine, "{}", CStr::from_ptr(rd::rd_kafka_error_string(error)).to_string_lossy());
    }
}
