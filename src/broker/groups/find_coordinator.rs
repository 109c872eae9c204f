//! Owns `FindCoordinator`: this node is everybody's coordinator.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::{BrokerId, FindCoordinatorRequest, FindCoordinatorResponse};

use super::str_bytes;
use crate::broker::core::{NODE_ID, NodeSettings};

/// From this version on one request asks for several keys (KIP-699).
const KEYS_SINCE: i16 = 4;

/// Groups and transactional ids have a coordinator here.
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
/// Share groups (KIP-932) have none. Kafka refuses them without a message, and kinds that it does not know with one.
const SHARE: i8 = 2;
const NO_SUCH_KIND: &str = "no coordinator is known for keys of this kind";

/// Answers `FindCoordinator`.
pub(super) fn find(settings: &NodeSettings, request: &FindCoordinatorRequest, version: i16) -> FindCoordinatorResponse {
    let found = matches!(request.key_type, GROUP | TRANSACTION);
    let error = if found { 0 } else { ResponseError::InvalidRequest.code() };
    let node = BrokerId(if found { NODE_ID } else { -1 });
    let (host, port) = &settings.advertised;
    let (host, port) = if found { (host.as_str(), i32::from(*port)) } else { ("", -1) };
    if version < KEYS_SINCE {
        let message = if found { "NONE" } else { NO_SUCH_KIND };
        return FindCoordinatorResponse::default()
            .with_error_code(error)
            .with_error_message((version > 0).then(|| str_bytes(message)))
            .with_node_id(node)
            .with_host(str_bytes(host))
            .with_port(port);
    }
    let message = if found || request.key_type == SHARE { "" } else { NO_SUCH_KIND };
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

    fn ask(version: i16, kind: i8) -> FindCoordinatorResponse {
        let request = FindCoordinatorRequest::default()
            .with_key(str_bytes("k"))
            .with_key_type(kind)
            .with_coordinator_keys(vec![str_bytes("k"), str_bytes("l")]);
        let response = find(&NodeSettings::default(), &request, version);
        response.encode(&mut BytesMut::new(), version).expect("an answer that its version can say");
        response
    }

    #[test]
    fn this_node_coordinates_every_group_and_transaction() {
        for kind in [GROUP, TRANSACTION] {
            for version in 0..=3 {
                let found = ask(version, kind);
                assert_eq!(
                    (found.error_code, found.node_id.0, &*found.host, found.port),
                    (0, NODE_ID, "127.0.0.1", 9092)
                );
            }
            for version in 4..=6 {
                let found = ask(version, kind).coordinators;
                assert_eq!(found.iter().map(|found| &*found.key).collect::<Vec<_>>(), ["k", "l"]);
                assert!(
                    found.iter().all(|found| (found.error_code, found.node_id.0, found.port) == (0, NODE_ID, 9092))
                );
            }
        }
    }

    #[test]
    fn nobody_coordinates_other_kinds() {
        let refused = ResponseError::InvalidRequest.code();
        for kind in [SHARE, 3, -1] {
            let found = ask(3, kind);
            assert_eq!((found.error_code, found.node_id.0, &*found.host, found.port), (refused, -1, "", -1));
            let found = &ask(6, kind).coordinators[0];
            assert_eq!(
                (found.error_code, found.node_id.0, found.error_message.as_deref() == Some("")),
                (refused, -1, kind == SHARE)
            );
        }
    }
}
