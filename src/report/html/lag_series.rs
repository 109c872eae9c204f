//! Conversion of a lag document to lag over time: samples by seconds since the first one.

use crate::domain::EventTime;
use crate::lag::{self, Groups, LagDocument};
use crate::scenario::{LagSample, LagSeries, PartitionLagSample};

/// Every group over time, the duration of the watch, and the time of its first sample in RFC 3339.
pub(super) fn over_time(document: &LagDocument) -> (Vec<LagSeries>, f64, String) {
    let groups = match &document.groups {
        Groups::One(group) => std::slice::from_ref(&**group),
        Groups::Several { groups, .. } => groups,
    };
    let moments = |group: &lag::GroupLag| -> Vec<Option<i64>> {
        let samples = group.samples.iter().map(|moment| millis(&moment.at));
        samples.chain([millis(&group.at)]).collect()
    };
    let known: Vec<_> = groups.iter().flat_map(moments).flatten().collect();
    let first = known.iter().copied().min().unwrap_or_default();
    let last = known.iter().copied().max().unwrap_or_default();
    let start = EventTime::from_millis(first).filter(|_| !known.is_empty()).map(|time| time.to_string());
    let series = groups.iter().map(|group| group_over_time(group, first)).collect();
    (series, since(last, first), start.unwrap_or_default())
}

fn group_over_time(group: &lag::GroupLag, first: i64) -> LagSeries {
    let mut samples: Vec<_> = group
        .samples
        .iter()
        .filter_map(|moment| {
            let at_seconds = since(millis(&moment.at)?, first);
            Some(LagSample { at_seconds, messages: moment.messages, seconds: moment.seconds, partitions: Vec::new() })
        })
        .collect();
    let partitions = group.partitions.iter().map(|row| PartitionLagSample {
        topic: row.topic.clone(),
        partition: row.partition,
        messages: row.messages,
        seconds: row.seconds,
    });
    // The document has the partitions of the last sample only. Without a watch it is the only sample.
    match samples.last_mut() {
        Some(last) => last.partitions = partitions.collect(),
        None => samples.push(LagSample {
            at_seconds: millis(&group.at).map_or(0.0, |at| since(at, first)),
            messages: group.messages,
            seconds: group.seconds,
            partitions: partitions.collect(),
        }),
    }
    LagSeries { group: group.group.clone(), samples, predictions: Vec::new() }
}

fn millis(at: &str) -> Option<i64> {
    EventTime::parse(at).ok().map(EventTime::millis)
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds of a watch")]
fn since(at: i64, first: i64) -> f64 {
    at.saturating_sub(first) as f64 / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lag::{GroupSample, Isolation, LagPoint};

    #[test]
    fn times_start_at_the_first_sample() {
        let seen = |at_millis| GroupSample {
            group: "readers".to_owned(),
            state: "Stable".to_owned(),
            members: 1,
            kind: None,
            isolation: Isolation::ReadCommitted,
            at_millis,
            partitions: Vec::new(),
        };
        let alone = lag::GroupLag::of(&seen(10_000), None);
        let (groups, seconds, first) = over_time(&LagDocument::one(alone.clone()));
        assert_eq!((groups[0].samples.len(), groups[0].samples[0].at_seconds, seconds), (1, 0.0, 0.0));
        assert_eq!(first, "1970-01-01T00:00:10.000Z");
        let samples = [10_000, 10_500, 12_000].map(|at| LagPoint::of(&seen(at), None)).to_vec();
        let watched = lag::GroupLag { samples, at: "1970-01-01T00:00:12.000Z".to_owned(), ..alone };
        let (groups, seconds, _) = over_time(&LagDocument::several(vec![watched]));
        let moments: Vec<_> = groups[0].samples.iter().map(|sample| sample.at_seconds).collect();
        assert_eq!((moments, seconds), (vec![0.0, 0.5, 2.0], 2.0));
    }
}
