//! Owns `FindCoordinator`: this node is everybody's coordinator.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::wire;
use crate::broker::core::{NODE_ID, NodeSettings};

/// From this version on one request asks for several keys (KIP-699).
const KEYS_SINCE: i16 = 4;

/// Answers `FindCoordinator`. Of the kinds of keys, groups (0) and transactional ids (1) have a coordinator here.
pub(super) fn find(settings: &NodeSettings, request: &FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    let found = matches!(request.key_type, 0 | 1);
    let error = if found { 0 } else { ResponseError::InvalidRequest.code() };
    let node = BrokerId(if found { NODE_ID } else { -1 });
    let (host, port) =
        if found { (settings.advertised.0.as_str(), i32::from(settings.advertised.1)) } else { ("", -1) };
    if version < KEYS_SINCE {
        let message = (version > 0).then(|| wire(if found { "NONE" } else { "INVALID_REQUEST" }));
        return FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_error_message(message)
            .with_node_id(node)
            .with_host(wire(host))
            .with_port(port);
    }
    let coordinators = request.coordinator_keys.iter().map(|key| {
        Coordinator::default()
            .with_key(key.clone())
            .with_node_id(node)
            .with_host(wire(host))
            .with_port(port)
            .with_error_code(error)
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}
