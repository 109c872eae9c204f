//! Owns the cases about versions: how a client learns what the broker speaks, and what happens to one who does not.

use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, MetadataRequest};

use super::Case;
use super::lab::Lab;
use super::requests::{self, text};

pub const CASES: &[Case] = &[
    ("api_versions_of_the_future_are_answered_in_the_oldest_form", future_api_versions),
    ("api_versions_names_the_features", features),
    ("api_versions_insists_on_a_software_name", software_name),
    ("every_version_that_clients_use_is_offered", offered),
    ("an_unknown_version_of_another_api_closes_the_connection", unknown_version),
    ("find_coordinator_answers_at_every_version", find_coordinator),
];

/// What real clients ask at a broker that offers as much: the lowest and the highest version of every API.
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

fn future_api_versions(lab: &mut Lab) {
    for version in [5, 99] {
        let mut client = lab.connect();
        client.send_body(ApiKey::ApiVersions as i16, version, 2, b"\x02a\x02b\0");
        let mut answer = client.receive::<ApiVersionsRequest>(0).expect("an answer");
        answer.api_keys.retain(|api| api.api_key == ApiKey::ApiVersions as i16);
        lab.tell(&format!("ApiVersions v{version}"), &answer);
        let answer = client.request(3, &api_versions());
        lab.note(&format!("the connection goes on: error code {}", answer.error_code));
    }
}

fn features(lab: &mut Lab) {
    for version in 0..=4 {
        let mut answer = lab.put(version, &api_versions_at(version));
        answer.api_keys.clear();
        // What nobody but transactional clients reads; a broker supports and finalizes what it likes of the rest.
        answer.supported_features.retain(|feature| &*feature.name == "transaction.version");
        answer.finalized_features.retain(|feature| &*feature.name == "transaction.version");
        lab.tell_answer::<ApiVersionsRequest>(version, &answer);
    }
}

fn api_versions_at(version: i16) -> ApiVersionsRequest {
    if version < 3 { ApiVersionsRequest::default() } else { api_versions() }
}

fn software_name(lab: &mut Lab) {
    for (name, version) in [("", "1"), ("a", ""), ("-a", "1"), ("a b", "1"), ("a", "1.0-x")] {
        let request = ApiVersionsRequest::default()
            .with_client_software_name(text(name))
            .with_client_software_version(text(version));
        let mut answer = lab.put(3, &request);
        answer.api_keys.clear();
        answer.supported_features.clear();
        answer.finalized_features.clear();
        lab.tell(&format!("name {name:?} version {version:?}"), &answer);
    }
}

fn offered(lab: &mut Lab) {
    let answer = lab.put(4, &api_versions());
    for (key, lowest, highest) in USED {
        let offer = answer.api_keys.iter().find(|api| api.api_key == *key as i16);
        let offer = offer.unwrap_or_else(|| panic!("{key:?} is not offered"));
        assert!(
            offer.min_version <= *lowest && *highest <= offer.max_version,
            "{key:?} is offered from {} to {}, and clients use {lowest} to {highest}",
            offer.min_version,
            offer.max_version,
        );
    }
    lab.note("the lowest and the highest versions that clients use are within what is offered");
}

fn unknown_version(lab: &mut Lab) {
    for (key, version) in [(ApiKey::Metadata, 99), (ApiKey::Produce, 2), (ApiKey::Fetch, 3), (ApiKey::JoinGroup, 50)] {
        let mut client = lab.connect();
        client.send_body(key as i16, version, 1, b"\0\0\0\0");
        let answer = client.receive::<MetadataRequest>(0);
        lab.note(&format!("{key:?} v{version}: {}", if answer.is_none() { "closed" } else { "answered" }));
    }
    let mut client = lab.connect();
    client.send_body(999, 0, 1, b"");
    let answer = client.receive::<MetadataRequest>(0);
    lab.note(&format!("API 999: {}", if answer.is_none() { "closed" } else { "answered" }));
}

fn find_coordinator(lab: &mut Lab) {
    let (group, id) = (lab.name("group"), lab.name("id"));
    for version in 0..=6 {
        lab.ask(version, &requests::find_coordinator(version, 0, &group));
    }
    for version in 1..=6 {
        lab.ask(version, &requests::find_coordinator(version, 1, &id));
    }
    lab.note("of an unknown kind, or without a key");
    lab.ask(3, &requests::find_coordinator(3, 9, &group));
    lab.ask(4, &requests::find_coordinator(4, 9, &group));
    lab.ask(3, &requests::find_coordinator(3, 0, &text("")));
    lab.ask(4, &requests::find_coordinator(4, 0, &text("")));
    lab.ask(3, &requests::find_coordinator(3, 1, &text("")));
    lab.ask(4, &requests::find_coordinator(4, 1, &text("")));
}
