//! Cases of `ApiVersions`, unsupported versions, and `FindCoordinator`.

use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, MetadataRequest};

use super::Case;
use super::requests::{self, text};
use super::test_support::Recorder;

pub const CASES: &[Case] = &[
    ("api_versions_falls_back_to_version_0", future_api_versions),
    ("api_versions_lists_features", features),
    ("api_versions_requires_a_software_name", software_name),
    ("offers_every_version_that_clients_use", offered),
    ("unknown_versions_close_the_connection", unknown_version),
    ("find_coordinator_at_every_version", find_coordinator),
];

/// The lowest and highest version of every API that real clients use.
const USED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 7, 13),
    (ApiKey::Fetch, 4, 18),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 6),
    (ApiKey::JoinGroup, 2, 9),
    (ApiKey::Heartbeat, 1, 4),
    (ApiKey::LeaveGroup, 1, 5),
    (ApiKey::SyncGroup, 1, 5),
    (ApiKey::DescribeGroups, 3, 6),
    (ApiKey::ListGroups, 1, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 3, 7),
    (ApiKey::DeleteTopics, 3, 6),
    (ApiKey::DeleteRecords, 2, 2),
    (ApiKey::InitProducerId, 4, 5),
    (ApiKey::OffsetForLeaderEpoch, 4, 4),
    (ApiKey::AddPartitionsToTxn, 0, 0),
    (ApiKey::AddOffsetsToTxn, 0, 0),
    (ApiKey::EndTxn, 1, 5),
    (ApiKey::TxnOffsetCommit, 3, 5),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::CreatePartitions, 1, 3),
    (ApiKey::DeleteGroups, 2, 2),
    (ApiKey::IncrementalAlterConfigs, 1, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 2, 2),
    (ApiKey::DescribeProducers, 0, 0),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 2, 2),
];

fn api_versions() -> ApiVersionsRequest {
    ApiVersionsRequest::default().with_client_software_name(text("contract")).with_client_software_version(text("1.0"))
}

fn future_api_versions(recorder: &mut Recorder) {
    for version in [5, 99] {
        let mut client = recorder.connect();
        client.send_body(ApiKey::ApiVersions as i16, version, 2, b"\x02a\x02b\0");
        let mut response = client.receive::<ApiVersionsRequest>(0).expect("a response");
        response.api_keys.retain(|api| api.api_key == ApiKey::ApiVersions as i16);
        recorder.record_value(&format!("ApiVersions v{version}"), &response);
        let response = client.request(3, &api_versions());
        recorder.note(&format!("the connection continues: error code {}", response.error_code));
    }
}

fn features(recorder: &mut Recorder) {
    for version in 0..=4 {
        let mut response = recorder.request(version, &api_versions_at(version));
        response.api_keys.clear();
        // Clients read only this feature; the others depend on the broker.
        response.supported_features.retain(|feature| &*feature.name == "transaction.version");
        response.finalized_features.retain(|feature| &*feature.name == "transaction.version");
        recorder.record_response::<ApiVersionsRequest>(version, &response);
    }
}

fn api_versions_at(version: i16) -> ApiVersionsRequest {
    if version < 3 { ApiVersionsRequest::default() } else { api_versions() }
}

fn software_name(recorder: &mut Recorder) {
    for (name, version) in [("", "1"), ("a", ""), ("-a", "1"), ("a b", "1"), ("a", "1.0-x")] {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(version));
        let mut response = recorder.request(3, &request);
        response.api_keys.clear();
        response.supported_features.clear();
        response.finalized_features.clear();
        recorder.record_value(&format!("name {name:?} version {version:?}"), &response);
    }
}

fn offered(recorder: &mut Recorder) {
    let response = recorder.request(4, &api_versions());
    for (key, lowest, highest) in USED {
        let offer = response.api_keys.iter().find(|api| api.api_key == *key as i16);
        let offer = offer.unwrap_or_else(|| panic!("{key:?} is not supported"));
        assert!(
            offer.min_version <= *lowest && *highest <= offer.max_version,
            "{key:?} is supported from {} to {}, and clients use {lowest} to {highest}",
            offer.min_version,
            offer.max_version,
        );
    }
    recorder.note("the lowest and the highest versions that clients use are within what is offered");
}

fn unknown_version(recorder: &mut Recorder) {
    for (key, version) in [(ApiKey::Metadata, 99), (ApiKey::Produce, 2), (ApiKey::Fetch, 3), (ApiKey::JoinGroup, 50)] {
        let mut client = recorder.connect();
        client.send_body(key as i16, version, 1, b"\0\0\0\0");
        let response = client.receive::<MetadataRequest>(0);
        recorder.note(&format!("{key:?} v{version}: {}", if response.is_none() { "closed" } else { "answered" }));
    }
    let mut client = recorder.connect();
    client.send_body(999, 0, 1, b"");
    let response = client.receive::<MetadataRequest>(0);
    recorder.note(&format!("API 999: {}", if response.is_none() { "closed" } else { "answered" }));
}

fn find_coordinator(recorder: &mut Recorder) {
    let (group, id) = (recorder.name("group"), recorder.name("id"));
    for version in 0..=6 {
        recorder.record(version, &requests::find_coordinator(version, 0, &group));
    }
    for version in 1..=6 {
        recorder.record(version, &requests::find_coordinator(version, 1, &id));
    }
    recorder.note("of an unknown kind, or without a key");
    recorder.record(3, &requests::find_coordinator(3, 9, &group));
    recorder.record(4, &requests::find_coordinator(4, 9, &group));
    recorder.record(3, &requests::find_coordinator(3, 0, &text("")));
    recorder.record(4, &requests::find_coordinator(4, 0, &text("")));
    recorder.record(3, &requests::find_coordinator(3, 1, &text("")));
    recorder.record(4, &requests::find_coordinator(4, 1, &text("")));
}
