//! Property tests of a log against a model, a plain list of batches.

use proptest::prelude::*;

use super::header::{Header, sequence_after};
use super::log_model::*;
use super::test_support::*;
use super::*;

fn append() -> impl Strategy<Value = Step> {
    let value = prop_oneof![2 => Just(None), 6 => (0..20_usize).prop_map(Some), 1 => (0..2_900_usize).prop_map(Some)];
    let rows = prop::collection::vec((0..KEYS.len(), value, -50..50_i64), 1..5);
    (0..4_usize, rows, prop_oneof![4 => Just(0), 1 => 1..8_usize]).prop_map(|(who, rows, again)| Step::Append {
        who,
        rows,
        again,
    })
}

fn end() -> impl Strategy<Value = Step> {
    (2..4_usize, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(who, commit, next_epoch)| Step::End {
        who,
        commit,
        next_epoch,
    })
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => append(),
        4 => end(),
        1 => (0..=100_usize).prop_map(Step::DeleteBefore),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
        1 => (0..=1000_usize).prop_map(Step::Cut),
        1 => (0..200_i64).prop_map(|later| Step::Clean { later }),
    ];
    prop::collection::vec(step, 1..60)
}

fn compacted_histories() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => append(),
        4 => end(),
        1 => any::<bool>().prop_map(|clean| Step::Reopen { clean }),
        3 => (0..200_i64).prop_map(|later| Step::Compact { later }),
    ];
    prop::collection::vec(step, 1..60)
}

fn probes() -> impl Strategy<Value = Vec<Probe>> {
    let max_bytes = prop_oneof![0..400_usize, 400..20_000_usize];
    let probe = (0..1000_i64, max_bytes, any::<bool>(), 0..400_i64)
        .prop_map(|(at, max_bytes, at_least_one, time)| Probe { at, max_bytes, at_least_one, time });
    prop::collection::vec(probe, 60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn log_agrees_with_the_model(
        steps in histories(), probes in probes(), files in any::<bool>(), large in any::<bool>(),
    ) {
        let segment_bytes = if large { 30_000 } else { 12_500 };
        // The model has no retention by time, so only sizes remove segments.
        let settings = LogSettings { segment_bytes, retention_bytes: Some(3_000), ..settings() };
        let mut pair = LogAndModel::new(settings, files);
        for (step, probe) in steps.iter().zip(probes) {
            pair.step(step);
            pair.check(probe);
        }
    }

    #[test]
    fn compacted_log_agrees_with_the_model(
        steps in compacted_histories(), probes in probes(), files in any::<bool>(), small in any::<bool>(),
    ) {
        let segment_bytes = if small { 1 } else { 9_000 };
        let settings = LogSettings {
            compact: true,
            delete: false,
            segment_bytes: 25_000.min(segment_bytes * 25_000),
            segment_ms: if small { 20 } else { i64::MAX },
            delete_retention_ms: 100,
            min_cleanable_dirty_ratio: 0.0,
            ..settings()
        };
        let mut pair = LogAndModel::new(settings, files);
        for (step, probe) in steps.iter().zip(probes) {
            pair.step(step);
            pair.check_table();
            pair.check_holes(probe);
        }
        // Producer state must survive compaction and recovery, even if every record is replaced.
        let every_key: Vec<_> = (0..KEYS.len()).map(|key| (key, Some(1), 0)).collect();
        pair.append(0, &every_key, 0);
        pair.log.roll(pair.now).unwrap();
        pair.step(&Step::Compact { later: 0 });
        let before = pair.log.producers();
        pair.reopen(false);
        pair.check_table();
        for (old, new) in before.iter().zip(pair.log.producers()) {
            assert_eq!((old.producer_id, old.epoch, old.last_sequence), (new.producer_id, new.epoch, new.last_sequence));
            assert_eq!(old.transaction_start, new.transaction_start);
        }
        assert_eq!(before.len(), pair.log.producers().len());
        for who in 1..4 {
            pair.again(who, 1);
        }
    }
}

#[test]
fn sequences_wrap_to_zero() {
    assert_eq!(sequence_after(i32::MAX, 1), 0);
    assert_eq!(sequence_after(i32::MAX - 1, 3), 1);
    let header = Header::read(&encode(
        producer(1, 0, i32::MAX),
        &[row("a", "", 1), row("b", "", 1)],
        kafka_protocol::records::Compression::None,
    ));
    assert_eq!(header.unwrap().last_sequence(), 0);
}
