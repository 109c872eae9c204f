//! Tests of the cleanup schedule and of compaction jobs.

use super::super::test_support::{NOW, append, broker, make};
use super::*;

/// Runs every cleanup that is due until this time.
fn run_until(core: &mut Core, end: i64) {
    let mut now = NOW;
    while let Some(due) = core.topics.next_deadline().filter(|due| *due <= end) {
        now = now.max(due);
        core.clean(now);
    }
}

#[test]
fn cleans_topics_at_kafkas_intervals() {
    let mut core = broker();
    assert_eq!(core.topics.next_deadline(), None);
    let id = make(&mut core, "a", 1, &[]);
    assert_eq!(core.topics.next_deadline(), Some(NOW + 300_000));
    core.clean(NOW + 299_999);
    assert_eq!(core.topics.next_deadline(), Some(NOW + 300_000));
    run_until(&mut core, NOW + 300_000);
    assert_eq!(core.topics.next_deadline(), Some(NOW + 600_000));
    make(&mut core, "compacted", 1, &[("cleanup.policy", "compact")]);
    assert_eq!(core.topics.next_deadline(), Some(NOW + 15_000));
    core.remove_topic(id).unwrap();
    core.remove_topic(core.topics.get("compacted").unwrap().id).unwrap();
    assert_eq!(core.topics.next_deadline(), None);
}

#[test]
fn a_tick_cleans_a_limited_number_of_logs() {
    let mut core = broker();
    let logs = 2 * LOGS_PER_TICK + 1;
    make(&mut core, "a", i32::try_from(logs).unwrap(), &[]);
    let mut ticks = 0;
    while core.topics.next_deadline().is_some_and(|due| due <= NOW + 300_000) {
        core.clean(NOW + 300_000);
        ticks += 1;
    }
    assert_eq!(ticks, 3);
}

#[test]
fn retention_moves_the_journaled_log_start() {
    let mut core = broker();
    make(&mut core, "a", 1, &[("retention.ms", "1000")]);
    append(&mut core, "a", "k", "1", NOW);
    run_until(&mut core, NOW + 300_000);
    assert_eq!(core.topics.log("a", 0).unwrap().start_offset(), 1);
    assert!(core.topics.snapshot().iter().any(|entry| matches!(entry, TopicEntry::LogStart { offset: 1, .. })));
}

#[test]
fn new_configs_do_not_delay_a_planned_cleanup() {
    let mut core = broker();
    let id = make(&mut core, "a", 1, &[]);
    let overrides = super::super::Overrides::from([("retention.ms".to_owned(), "5".to_owned())]);
    core.configure_topic(id, overrides, NOW + 200_000).unwrap();
    assert_eq!(core.topics.next_deadline(), Some(NOW + 300_000));
    let overrides = super::super::Overrides::from([("cleanup.policy".to_owned(), "compact".to_owned())]);
    core.configure_topic(id, overrides, NOW + 200_000).unwrap();
    assert_eq!(core.topics.next_deadline(), Some(NOW + 215_000));
}

/// A compacted topic whose closed segments contain one key many times.
fn dirty(core: &mut Core, name: &str) -> Uuid {
    let id = make(core, name, 1, &[("cleanup.policy", "compact"), ("internal.segment.bytes", "200")]);
    for value in 0..10 {
        append(core, name, "k", &format!("{value:060}"), NOW);
    }
    id
}

#[test]
fn compacts_a_dirty_log() {
    let mut core = broker();
    dirty(&mut core, "a");
    assert!(core.take_compaction(NOW).is_none());
    let later = NOW + 15_000;
    run_until(&mut core, later);
    let before = core.topics.log("a", 0).unwrap().size();
    let job = core.take_compaction(later).unwrap();
    assert!(core.take_compaction(later).is_none());
    core.finish_compaction(job.run());
    let log = core.topics.log("a", 0).unwrap();
    assert!(log.size() < before / 2, "{} of {before}", log.size());
    assert_eq!((log.start_offset(), log.high_watermark()), (0, 10));
    assert!(core.events.iter().all(|event| !matches!(event, BrokerEvent::BackgroundError { .. })));
}

#[test]
fn runs_one_compaction_at_a_time() {
    let mut core = broker();
    let first = dirty(&mut core, "a");
    let second = dirty(&mut core, "b");
    run_until(&mut core, NOW + 15_000);
    let job = core.take_compaction(NOW + 15_000).unwrap();
    assert!(core.take_compaction(NOW + 15_000).is_none());
    let (running, other) = if job.topic == first { (first, second) } else { (second, first) };
    core.remove_topic(running).unwrap();
    core.finish_compaction(job.run());
    let next = core.take_compaction(NOW + 15_000).unwrap();
    assert_eq!(next.topic, other);
    core.finish_compaction(next.run());
}
