//! `FindCoordinator`: this node coordinates every group and transaction.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::str_bytes;
use crate::broker::core::{NODE_ID, NodeSettings};

/// The first version with several keys per request (KIP-699).
const KEYS_SINCE: i16 = 4;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// Share groups (KIP-932) are not supported. Kafka refuses them without a message, and unknown key types with one.
const SHARE: i8 = 2;
const UNSUPPORTED_KEY_TYPE: &str = "no coordinator is known for keys of this kind";

pub(super) fn find(settings: &NodeSettings, request: &FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    let found = matches!(request.key_type, GROUP | TRANSACTION);
    let error = if found { 0 } else { ResponseError::InvalidRequest.code() };
    let node = BrokerId(if found { NODE_ID } else { -1 });
    let (host, port) = &settings.advertised;
    let (host, port) = if found { (host.as_str(), i32::from(*port)) } else { ("", -1) };
    if version < KEYS_SINCE {
        let message = if found { "NONE" } else { UNSUPPORTED_KEY_TYPE };
        return FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_error_message((version > 0).then(|| str_bytes(message)))
            .with_node_id(node)
            .with_host(str_bytes(host))
            .with_port(port);
    }
    let message = if found || request.key_type == SHARE { "" } else { UNSUPPORTED_KEY_TYPE };
    let coordinators = request.coordinator_keys.iter().map(|key| {
        Coordinator::default()
            .with_key(key.clone())
            .with_node_id(node)
            .with_host(str_bytes(host))
            .with_port(port)
            .with_error_code(error)
            .with_error_message(Some(str_bytes(message)))
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::Encodable;

    use super::*;

    fn find_in_version(version: i16, kind: i8) -> FindCoordinatorResponse {
        let request = FindCoordinatorRequest::default()
            .with_key(str_bytes("k"))
            .with_key_type(kind)
            .with_coordinator_keys(vec![str_bytes("k"), str_bytes("l")]);
        let response = find(&NodeSettings::default(), &request, version);
        response.encode(&mut BytesMut::new(), version).expect("a response that is valid in its version");
        response
    }

    #[test]
    fn this_node_coordinates_groups_and_transactions() {
        for kind in [GROUP, TRANSACTION] {
            for version in 0..=3 {
                let found = find_in_version(version, kind);
                assert_eq!(
                    (found.error_code, found.node_id.0, &*found.host, found.port),
                    (0, NODE_ID, "127.0.0.1", 9092)
                );
            }
            for version in 4..=6 {
                let found = find_in_version(version, kind).coordinators;
                assert_eq!(found.iter().map(|found| &*found.key).collect::<Vec<_>>(), ["k", "l"]);
                assert!(
                    found.iter().all(|found| (found.error_code, found.node_id.0, found.port) == (0, NODE_ID, 9092))
                );
            }
        }
    }

    #[test]
    fn other_key_types_are_refused() {
        let refused = ResponseError::InvalidRequest.code();
        for kind in [SHARE, 3, -1] {
            let found = find_in_version(3, kind);
            assert_eq!((found.error_code, found.node_id.0, &*found.host, found.port), (refused, -1, "", -1));
            let found = &find_in_version(6, kind).coordinators[0];
            assert_eq!(
                (found.error_code, found.node_id.0, found.error_message.as_deref() == Some("")),
                (refused, -1, kind == SHARE)
            );
        }
    }
}
