//! Tests of `group_state`: which records of a changelog are visible, when, and which are stale.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    CountKey, CountsStore, Feed, GroupState, Metrics, OrderCounts, StateError, StateKey, StateKeyPrefix, Totals, View,
    test_support::{RecordValue, TOPICS, TestLog, any_record, minute, order},
};
use crate::state::{Digest, Position, PositionKey};

const TOPIC: &str = "order-events";
const BOTH: [&str; 2] = ["order-events", "inventory-events"];

fn state_key(group: &str, epoch: &str, counted: CountKey<'_>) -> Vec<u8> {
    StateKey { group: group.into(), epoch: epoch.into(), topic: TOPIC.into(), partition: 0, counted }.encode()
}

fn position_key(group: &str) -> Vec<u8> {
    PositionKey::Shared { group: group.into(), topic: TOPIC.into(), partition: 0 }.encode()
}

fn position(group: &str, epoch: &str, next_offset: i64) -> Position {
    Position {
        next_offset,
        log_start: 0,
        topic_id: None,
        group: group.into(),
        epoch: Some(epoch.into()),
        settings: None,
        counts: BTreeMap::new(),
        holds: BTreeMap::new(),
        digest: Digest::default(),
        until: None,
        started_over: false,
        previous: None,
    }
}

fn total(orders: u64) -> Vec<u8> {
    let counts = OrderCounts { total: orders, ..OrderCounts::default() };
    serde_json::to_vec(&Totals { orders: counts, ..Totals::default() }).expect("serializes")
}

/// Follows the totals of group `g`.
struct Follower(GroupState);

impl Follower {
    fn new() -> Self {
        Self(GroupState::new("g"))
    }

    fn counts(&mut self, epoch: &str, orders: u64) {
        self.0.apply(&state_key("g", epoch, CountKey::Totals), Some(&total(orders))).expect("applies");
    }

    fn tombstone(&mut self, epoch: &str) {
        self.0.apply(&state_key("g", epoch, CountKey::Totals), None).expect("applies");
    }

    fn position(&mut self, position: &Position) {
        self.0.apply(&position_key("g"), Some(&position.encode())).expect("applies");
    }

    fn visible(&self) -> Option<u64> {
        Some(self.0.counts(TOPIC, 0)?.totals().orders.total)
    }

    fn stale(&self) -> Vec<String> {
        let mut keys = Vec::new();
        self.0.stale_keys(&mut |stale| {
            assert_eq!((stale.topic, stale.partition), (TOPIC, 0));
            keys.push(String::from_utf8(stale.key.to_vec()).expect("JSON"));
        });
        keys
    }
}

#[test]
fn counts_become_visible_with_their_position() {
    let mut follower = Follower::new();
    assert!(follower.0.is_empty());
    follower.counts("e1", 5);
    assert!(!follower.0.is_empty(), "held back, not empty");
    assert_eq!(follower.visible(), None);
    assert_eq!(follower.0.positions().count(), 0);
    follower.position(&position("g", "e1", 5));
    assert_eq!(follower.visible(), Some(5));
    follower.counts("e1", 9);
    assert_eq!(follower.visible(), Some(5), "after the last position");
    follower.counts("e1", 8);
    follower.position(&position("g", "e1", 8));
    assert_eq!(follower.visible(), Some(8), "the latest value of the key");
    follower.tombstone("e1");
    assert_eq!(follower.visible(), Some(8), "a tombstone is held back too");
    follower.position(&position("g", "e1", 9));
    assert_eq!(follower.visible(), Some(0));
}

#[test]
fn a_switch_shows_the_new_epoch_and_keeps_the_old() {
    let mut follower = Follower::new();
    follower.counts("e1", 5);
    let old = position("g", "e1", 5);
    follower.position(&old);
    follower.counts("e2", 3);
    assert_eq!(follower.visible(), Some(5));
    let new = Position { previous: old.checkpoint(), ..position("g", "e2", 3) };
    follower.position(&new);
    assert_eq!(follower.visible(), Some(3));
    let before = follower.0.counts_before_switch(TOPIC, 0).expect("a checkpoint");
    assert_eq!(before.totals().orders.total, 5);
    assert_eq!(follower.0.epochs(TOPIC, 0).collect::<Vec<_>>(), ["e1", "e2"]);
    assert!(follower.stale().is_empty(), "both are kept");

    let undone = Position { previous: new.checkpoint(), ..old };
    follower.position(&undone);
    assert_eq!(follower.visible(), Some(5));
    let document = follower.0.metrics(BOTH, |_, _, _| View::BeforeSwitch).document();
    assert_eq!((document.total_orders, document.range[0].end), (3, 3));
}

#[test]
fn a_switch_to_an_empty_epoch_shows_zero() {
    let mut follower = Follower::new();
    follower.counts("e1", 5);
    follower.position(&position("g", "e1", 5));
    follower.position(&position("g", "e2", 0));
    assert_eq!(follower.visible(), Some(0));
    assert_eq!(follower.0.epochs(TOPIC, 0).collect::<Vec<_>>(), ["e1"]);
}

/// Compaction removes the older of two position records, but not its counts.
#[test]
fn state_before_a_switch_survives_compaction() {
    let mut follower = Follower::new();
    follower.counts("e1", 5);
    follower.counts("e2", 3);
    let previous = position("g", "e1", 5).checkpoint();
    follower.position(&Position { previous, ..position("g", "e2", 3) });
    assert_eq!(follower.0.counts_before_switch(TOPIC, 0).expect("a checkpoint").totals().orders.total, 5);
}

#[test]
fn all_epochs_but_two_are_stale() {
    let mut follower = Follower::new();
    for epoch in ["e1", "e2", "e3"] {
        follower.counts(epoch, 1);
    }
    assert_eq!(follower.stale().len(), 3, "no position yet");
    let previous = position("g", "e2", 1).checkpoint();
    follower.position(&Position { previous, ..position("g", "e3", 1) });
    assert_eq!(follower.stale(), [r#"["g","e1","order-events",0,"totals"]"#]);
    follower.tombstone("e1");
    assert!(follower.stale().is_empty());
    assert_eq!(follower.0.epochs(TOPIC, 0).collect::<Vec<_>>(), ["e2", "e3"]);
    assert_eq!(follower.visible(), Some(1));
}

#[test]
fn a_deleted_group_is_empty() {
    let mut follower = Follower::new();
    follower.counts("e1", 1);
    follower.position(&position("g", "e1", 1));
    follower.0.apply(&position_key("g"), None).expect("applies");
    assert_eq!((follower.visible(), follower.0.is_empty()), (None, false));
    follower.tombstone("e1");
    assert!(follower.0.is_empty());
}

#[test]
fn memory_does_not_grow_with_history() {
    let mut follower = Follower::new();
    follower.position(&position("g", "e1", 0));
    for orders in 0..1_000 {
        follower.counts("e1", orders);
        follower.counts("e2", orders);
    }
    let size = format!("{:?}", follower.0).len();
    for orders in 1_000..9_000 {
        follower.counts("e1", orders);
        follower.counts("e2", orders);
    }
    assert!(format!("{:?}", follower.0).len() <= size + 2);
}

#[test]
fn a_corrupt_record_is_named_and_not_applied() {
    let mut follower = Follower::new();
    follower.counts("e1", 5);
    follower.position(&position("g", "e1", 5));
    let minute = state_key("g", "e1", CountKey::Minute(minute(0)));
    let foreign = position("other", "e1", 7).encode();
    let no_epoch = Position { epoch: None, ..position("g", "", 7) }.encode();
    let long = format!(r#"["g","{}"]"#, "x".repeat(5_000));
    let cases: [(&[u8], &[u8], &str); 7] = [
        (br#"["g","e1","order-events",0,"hour","x"]"#, b"{}", "hour"),
        (b"[\"g\",\x1b", b"{}", "\\x1b"),
        (long.as_bytes(), b"{}", "…"),
        (br#"["@position","g","order-events","0"]"#, b"{}", "@position"),
        (&minute, b"not json", "order-events-0"),
        (&position_key("g"), &foreign, "`other`"),
        (&position_key("g"), &no_epoch, "order-events-0"),
    ];
    for (key, value, named) in cases {
        let error = follower.0.apply(key, Some(value)).expect_err("corrupt");
        let text = error.to_string();
        assert!(text.contains(named) && text.len() < 600, "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(follower.visible(), Some(5));
    }
    let error = follower.0.apply(&position_key("g"), Some(b"{}")).expect_err("corrupt");
    assert!(matches!(error, StateError::Value { partition: 0, .. }));
}

#[test]
fn records_of_other_groups_are_skipped() {
    let mut follower = Follower::new();
    for key in ["", "x", "[", r#"["g2","e1"]"#, r#"["@position","g2","t",0]"#, r#"["@position","g","t",7,"totals"]"#] {
        follower.0.apply(key.as_bytes(), Some(b"not json")).expect("skipped");
    }
    assert!(follower.0.is_empty());
}

#[test]
fn a_group_may_be_named_like_a_position_key() {
    let mut state = GroupState::new("@position");
    state.apply(&position_key("g"), Some(&position("g", "e1", 5).encode())).expect("skipped");
    assert!(state.is_empty());
    state.apply(&state_key("@position", "g", CountKey::Totals), Some(&total(4))).expect("applies");
    state.apply(&position_key("@position"), Some(&position("@position", "g", 4).encode())).expect("applies");
    assert_eq!(state.counts(TOPIC, 0).expect("a position").totals().orders.total, 4);
}

#[test]
fn only_the_given_topics_are_included() {
    let mut follower = Follower::new();
    follower.counts("e1", 5);
    follower.position(&position("g", "e1", 5));
    assert_eq!(follower.0.metrics(BOTH, |_, _, _| View::Current).document().total_orders, 5);
    let other = follower.0.metrics(["lab.order-events", "lab.inventory-events"], |_, _, _| View::Current);
    assert_eq!(other, Metrics::default());
}

/// The next step of a writer.
#[derive(Debug, Clone)]
enum Step {
    /// Counts records and commits them, or aborts.
    Batch { records: [Vec<RecordValue>; 2], commit: bool },
    /// Switches to a new epoch with the counts of a prefix of the records, and continues from there.
    Rewind { keep: prop::sample::Index, twice: bool },
}

fn any_step() -> impl Strategy<Value = Step> {
    let records = |feed| prop::collection::vec(any_record(feed), 0..6);
    prop_oneof![
        4 => (records(TOPICS[0].1), records(TOPICS[1].1), prop::bool::weighted(0.8))
            .prop_map(|(decisions, orders, commit)| Step::Batch { records: [decisions, orders], commit }),
        1 => (any::<prop::sample::Index>(), any::<bool>()).prop_map(|(keep, twice)| Step::Rewind { keep, twice }),
    ]
}

/// The writer of one partition, and its changelog.
struct Writer {
    group: &'static str,
    log: TestLog,
    counts: CountsStore,
    epoch: u32,
    previous: Option<crate::state::Checkpoint>,
    changelog: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Writer {
    fn new(group: &'static str, topic: (&'static str, Feed)) -> Self {
        let log = TestLog::new(topic, 0, 3, Vec::new());
        Self { group, log, counts: CountsStore::default(), epoch: 0, previous: None, changelog: Vec::new() }
    }

    fn prefix(&self) -> StateKeyPrefix {
        StateKeyPrefix::new(self.group, &format!("e{}", self.epoch), self.log.topic, 0)
    }

    fn position(&self) -> Position {
        Position {
            log_start: self.log.start,
            digest: self.log.digest(),
            holds: self.counts.holds(),
            previous: self.previous.clone(),
            ..position(self.group, &format!("e{}", self.epoch), self.log.end)
        }
    }

    fn write_position(&mut self) {
        let key = PositionKey::Shared { group: self.group.into(), topic: self.log.topic.into(), partition: 0 }.encode();
        self.changelog.push((key, Some(self.position().encode())));
    }

    fn batch(&mut self, records: &[RecordValue], commit: bool) {
        for record in records {
            self.counts.record(self.log.feed, record.as_deref());
        }
        if !commit {
            return self.counts.abort();
        }
        let prefix = self.prefix();
        self.counts.changes(&prefix, &mut |key, value| self.changelog.push((key.into(), Some(value.into()))));
        self.counts.commit();
        self.log.append(records.to_vec());
        self.write_position();
    }

    fn rewind(&mut self, keep: prop::sample::Index, twice: bool) {
        self.previous = self.position().checkpoint();
        let kept = keep.index(self.log.records.len() + 1);
        self.log.cut(self.log.start + i64::try_from(kept).expect("few"));
        self.counts = self.log.counts();
        self.counts.commit();
        // A writer that dies before the switch leaves an epoch without a position.
        for _ in 0..=u8::from(twice) {
            self.epoch += 1;
            let prefix = self.prefix();
            self.counts.all_records(&prefix, &mut |key, value| self.changelog.push((key.into(), Some(value.into()))));
        }
        self.write_position();
    }
}

proptest! {
    /// Followed from the start, or read after compaction: the metrics are those of the counted records.
    #[test]
    fn the_changelog_restores_the_metrics(steps in prop::collection::vec(any_step(), 0..12), compacted: bool) {
        let mut writers: Vec<Writer> =
            ["g", "g2"].into_iter().flat_map(|group| TOPICS.map(|topic| Writer::new(group, topic))).collect();
        let mut state = GroupState::new("g");
        let mut changelog = Vec::new();
        for step in steps {
            for (index, writer) in writers.iter_mut().enumerate() {
                match &step {
                    Step::Batch { records, commit } => writer.batch(&records[index % 2], *commit),
                    Step::Rewind { keep, twice } => writer.rewind(*keep, *twice),
                }
            }
            // The records of transactions are interleaved in the topic.
            let mut written: Vec<_> = writers.iter_mut().map(|writer| std::mem::take(&mut writer.changelog).into_iter()).collect();
            while written.iter().any(|records| records.len() > 0) {
                changelog.extend(written.iter_mut().filter_map(Iterator::next));
            }
            if !compacted {
                for (key, value) in changelog.drain(..) {
                    let shown = state.metrics(BOTH, |_, _, _| View::Current);
                    state.apply(&key, value.as_deref()).expect("applies");
                    if PositionKey::decode(&key).is_none() {
                        prop_assert!(state.metrics(BOTH, |_, _, _| View::Current) == shown, "a count without its position");
                    }
                }
                let mut expected = Metrics::default();
                for writer in writers.iter().filter(|writer| writer.group == "g" && state.position(writer.log.topic, 0).is_some()) {
                    expected.add(&writer.counts);
                    expected.add_range(writer.log.topic, 0, writer.log.start, writer.log.end, writer.log.digest());
                }
                prop_assert_eq!(state.metrics(BOTH, |_, _, _| View::Current).document(), expected.document());
            }
        }
        if compacted {
            let last: BTreeMap<_, _> = changelog.iter().enumerate().map(|(index, (key, _))| (key, index)).collect();
            let latest = changelog.iter().enumerate().filter(|(index, (key, _))| last[key] == *index);
            for (_, (key, value)) in latest {
                state.apply(key, value.as_deref()).expect("applies");
            }
        }
        for writer in writers.iter().filter(|writer| writer.group == "g") {
            let Some(counts) = state.counts(writer.log.topic, 0) else { continue };
            prop_assert_eq!(dump(&counts), dump(&writer.counts));
            prop_assert_eq!(dump(&counts), dump(&writer.log.counts()), "the counts of the records");
            prop_assert_eq!(state.position(writer.log.topic, 0), Some(&writer.position()));
            let losses = [View::Current, View::BeforeSwitch].map(|view| state.loss(writer.log.topic, 0, view));
            prop_assert_eq!(losses, [None, None], "nothing is missing");
        }
    }

    /// Whichever record is missing from the changelog.
    #[test]
    fn detects_any_missing_record(
        batches in prop::collection::vec(prop::collection::vec(any_record(Feed::Orders), 1..6), 1..6),
        missing: prop::sample::Index,
    ) {
        let mut writer = Writer::new("g", (TOPIC, Feed::Orders));
        for records in &batches {
            writer.batch(records, true);
        }
        let latest: BTreeMap<_, _> = writer.changelog.into_iter().collect();
        let (position, counts): (Vec<_>, Vec<_>) =
            latest.into_iter().partition(|(key, _)| PositionKey::decode(key).is_some());
        let missing = missing.index(counts.len());
        let mut state = GroupState::new("g");
        let left = counts.iter().enumerate().filter(|(index, _)| *index != missing).map(|(_, record)| record);
        for (key, value) in left.chain(&position) {
            state.apply(key, value.as_deref()).expect("applies");
        }
        prop_assert!(state.loss(TOPIC, 0, View::Current).is_some());
        prop_assert_eq!(state.losses().count(), 1);
    }
}

#[test]
fn detects_missing_counts_of_older_versions() {
    let mut writer = Writer::new("g", (TOPIC, Feed::Orders));
    writer.batch(&[order(0, "r", false), order(1, "r", true), order(1, "s", false)], true);
    for missing in [b"\"minute\"".as_slice(), b"\"restaurant\"", b"\"totals\""] {
        let mut state = GroupState::new("g");
        let is_missing = |key: &[u8]| key.windows(missing.len()).any(|part| part == missing);
        for (key, value) in writer.changelog.iter().filter(|(key, _)| !is_missing(key)) {
            state.apply(key, value.as_deref()).expect("applies");
        }
        state.apply(&position_key("g"), Some(&position("g", "e0", 3).encode())).expect("applies");
        let loss = state.loss(TOPIC, 0, View::Current).expect("a loss");
        assert!(loss.of.starts_with("orders by "), "{loss}");
    }
}

fn dump(counts: &CountsStore) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut written = BTreeMap::new();
    counts.all_records(&StateKeyPrefix::new("", "", "", 0), &mut |key, value| {
        written.insert(key.to_vec(), value.to_vec());
    });
    written
}

#[test]
fn a_restored_partition_continues_counting() {
    let mut follower = Follower::new();
    follower.counts("e1", 5);
    follower.position(&position("g", "e1", 5));
    let mut counts = follower.0.counts(TOPIC, 0).expect("a position");
    counts.abort();
    counts.record(Feed::Orders, order(0, "r", false).as_deref());
    assert_eq!(counts.totals().orders.total, 6);
    counts.abort();
    assert_eq!(counts.totals().orders.total, 5, "restored counts are committed");
}
