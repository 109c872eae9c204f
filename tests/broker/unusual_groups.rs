//! Groups that ordinary requests do not fit: empty names, names with NUL, share groups, and groups that do not exist.

use kafka_protocol::messages::delete_groups_request::DeleteGroupsRequest;
use kafka_protocol::messages::list_groups_request::ListGroupsRequest;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::share_group_heartbeat_request::ShareGroupHeartbeatRequest;
use kafka_protocol::messages::update_features_request::{FeatureUpdateKey, UpdateFeaturesRequest};
use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use serde_json::{Value, json};

use super::Case;
use super::raw::Client;
use super::support::TestEnv;

pub const CASES: &[Case] = &[
    ("unusual_groups::clean_skips_groups_it_cannot_request", unnamable),
    ("unusual_groups::unknown_lag_passes_no_condition", unjudged),
];

/// The embedded broker has no share groups.
pub const KAFKA_CASES: &[Case] = &[("unusual_groups::share_group_has_no_lag", share)];

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// Commits offset 1 for a group name that client libraries reject.
fn commit(client: &mut Client, group: &str, topic: &str) {
    commit_at(client, group, topic, 1);
}

/// Commits an offset in partition 0 for a group of any name, without a member.
pub fn commit_at(client: &mut Client, group: &str, topic: &str, offset: i64) {
    let partition = OffsetCommitRequestPartition::default().with_partition_index(0).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default()
        .with_name(TopicName(text(topic)))
        .with_partitions(vec![partition.with_committed_metadata(Some(text("")))]);
    let request = OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_retention_time_ms(-1)
        .with_topics(vec![topic]);
    let answer = client.request(2, &request);
    assert_eq!(answer.topics[0].partitions[0].error_code, 0, "{group:?}");
}

fn listed(client: &mut Client) -> Vec<String> {
    let groups = client.request(0, &ListGroupsRequest::default()).groups;
    groups.into_iter().map(|group| group.group_id.to_string()).collect()
}

/// Deletes the groups; some may already be deleted.
pub fn delete(client: &mut Client, groups: &[String]) {
    let names = groups.iter().map(|group| GroupId(text(group))).collect();
    client.request(0, &DeleteGroupsRequest::default().with_groups_names(names));
}

fn unnamable(env: &TestEnv) {
    let mut client = Client::connect(&env.broker);
    env.run("produce --count 10 --seed 1 --partitions 2").expect(0);
    let (topic, unnamable) = (env.topic("order-events"), env.topic("odd"));
    let groups =
        [String::new(), "\0".to_owned(), unnamable.clone(), format!("{unnamable}\0one"), format!("{unnamable}\0two")];
    for group in &groups {
        commit(&mut client, group, &topic);
    }
    let other = env.other("none");
    let nothing = other.run("clean --yes");
    let shown = env.run("clean --dry-run");
    let done = env.run("clean --yes --output json");
    let left = listed(&mut client);
    delete(&mut client, &groups);

    assert!(nothing.expect(0).stdout.starts_with("Nothing to delete: "), "the groups belong to another prefix");
    assert!(shown.expect(0).stdout.contains("is a share group, or has NUL in its name"), "the groups are listed");
    let document = done.expect(0).document();
    let name = |row: &Value| row["name"].as_str().expect("a name").to_owned();
    let rows = |list: &str| document[list].as_array().expect("rows").iter().map(name).collect::<Vec<_>>();
    // The group with the empty name has read only this prefix, and can be described.
    assert_eq!(rows("groups"), [String::new(), unnamable.clone()]);
    assert_eq!(rows("kept"), [unnamable.clone(), unnamable.clone()], "one row per group");
    assert_eq!(document["kept"][0]["reason"], "other_kind");
    assert_eq!(env.topics(), Vec::<String>::new());
    assert!(left.contains(&groups[3]) && left.contains(&groups[4]), "kept groups still exist: {left:?}");
    assert!(!left.contains(&unnamable) && !left.contains(&groups[0]), "deleted groups do not exist: {left:?}");
}

/// Runs `lag` with a condition; requires its exit code and a text on stderr.
fn gate(env: &TestEnv, args: &str, code: i32, message: &str) -> Value {
    let run = env.run(&format!("lag {args} --output json")).expect(code);
    assert!(run.stderr.contains(message), "{args}: {}", run.stderr);
    let document = run.document();
    let group = document.get("groups").map_or(&document, |groups| &groups[0]);
    assert_eq!(group["fails"], code == 3, "{document}");
    assert_eq!(group.get("not_judged").is_some(), code == 3, "{document}");
    document
}

fn unjudged(env: &TestEnv) {
    let missing = env.topic("missing");
    gate(env, &format!("--group {missing} --fail-if >1000"), 3, "the group does not exist");
    gate(env, &format!("--group {missing} --fail-if >30s"), 3, "--allow-missing");
    gate(env, &format!("--group {missing} --fail-if >1000 --allow-missing"), 0, "does not exist");
    gate(env, "--fail-if >1000", 3, "the group does not exist");
    gate(env, "--fail-if >1000 --allow-missing", 0, "does not exist");
    // A watch does not wait for the group either.
    let watch = env.run(&format!("lag --group {missing} --watch 50ms --fail-if >1000")).expect(3);
    assert!(watch.stderr.contains("the group does not exist"), "{}", watch.stderr);

    env.create_topic("foreign", 2, &[]);
    env.put("foreign", &vec![(0, None, Some(b"x".as_slice())); 15]);
    env.put("foreign", &[(1, None, Some(b"x".as_slice()))]);
    let group = env.topic("readers");
    env.set_offsets("readers", "foreign", &[(0, 0)]);
    gate(env, &format!("--group {group} --fail-if >1000"), 3, "it has no committed offset on 1 partition");
    gate(env, &format!("--group {group} --fail-if >1000 --allow-missing"), 0, "");
    env.set_offsets("readers", "foreign", &[(0, 0), (1, 5)]);
    gate(env, &format!("--group {group} --fail-if >1000 --allow-missing"), 3, "beyond the end of 1 partition");
    env.set_offsets("readers", "foreign", &[(0, 0), (1, 1)]);
    gate(env, &format!("--group {group} --fail-if >1000"), 0, "");

    env.create_topic("tomorrow", 1, &[]);
    super::lag::write_at(env, "tomorrow", 3_600_000);
    env.set_offsets("early", "tomorrow", &[(0, 0)]);
    let early = env.topic("early");
    let document = gate(env, &format!("--group {early} --fail-if >30s"), 3, "in the future");
    assert_eq!((&document["messages"], &document["seconds"]), (&json!(1), &Value::Null));
    let ahead = document["partitions"][0]["ahead_seconds"].as_f64().expect("seconds");
    assert!((3_000.0..=3_600.0).contains(&ahead), "{ahead}");
    gate(env, &format!("--group {early} --fail-if >1000"), 0, "");
}

fn share(env: &TestEnv) {
    let mut client = Client::connect(&env.broker);
    let feature = FeatureUpdateKey::default().with_feature(text("share.version")).with_max_version_level(1);
    let request = UpdateFeaturesRequest::default().with_timeout_ms(10_000);
    client.request(1, &request.with_feature_updates(vec![feature.with_upgrade_type(1)]));
    env.run("produce --count 10 --seed 1 --partitions 2").expect(0);
    let group = env.topic("shared");
    let beat = |epoch, topics| {
        ShareGroupHeartbeatRequest::default()
            .with_group_id(GroupId(text(&group)))
            .with_member_id(text("kn1BJYGLTOaLFWoQbhXlSQ"))
            .with_member_epoch(epoch)
            .with_subscribed_topic_names(topics)
    };
    let joined = client.request(1, &beat(0, Some(vec![TopicName(text(&env.topic("order-events")))])));
    assert_eq!(joined.error_code, 0, "{joined:?}");

    let shown = env.run(&format!("lag --group {group}")).expect(0);
    assert!(shown.stdout.contains("a share group, which commits no offsets"), "{}", shown.stdout);
    for allowed in ["", " --allow-missing"] {
        let document = gate(env, &format!("--group {group} --fail-if >1000{allowed}"), 3, "it is a share group");
        assert_eq!((&document["kind"], &document["state"]), (&json!("share"), &json!("Unknown")));
    }
    let document = env.document("clean --dry-run");
    assert_eq!((&document["kept"][0]["name"], &document["kept"][0]["reason"]), (&json!(group), &json!("other_kind")));
    assert_eq!(client.request(1, &beat(-1, None)).error_code, 0, "the member leaves");
    delete(&mut client, &[group]);
}
