//! JSON document of `produce`, `foodstream.produce/1`. See `docs/reference/documents.md`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Lateness, Shape, WorkloadSettings};
use crate::domain::EventTime;

/// The result of one run of `produce`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProduceDocument {
    /// [`ProduceDocument::SCHEMA`].
    pub schema: String,
    /// Records passed to the client.
    pub produced: u64,
    /// Records acknowledged by the broker.
    pub acknowledged: u64,
    /// Records that could not be delivered.
    pub failed: u64,
    /// The seed of the workload.
    pub seed: u64,
    /// How the workload is spread over event time.
    #[serde(default = "shape_before_shapes")]
    pub shape: Shape,
    /// Event time of the start of the workload.
    #[serde(with = "rfc3339")]
    pub start_time: EventTime,
    /// Event time of the first event; `None` if nothing was produced.
    #[serde(with = "rfc3339::optional")]
    pub first_timestamp: Option<EventTime>,
    /// Event time of the last event, even if its record repeats an earlier one; `None` if nothing was produced.
    #[serde(with = "rfc3339::optional")]
    pub last_timestamp: Option<EventTime>,
    /// Wall-clock seconds of the run.
    pub elapsed_seconds: f64,
    /// `acknowledged` per second, 0 for an empty run time.
    pub orders_per_second: f64,
    /// Acknowledged records by partition.
    pub partitions: Vec<ProducedPartition>,
    /// The 99th percentile of the lateness of events; with `--rate` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_p99_ms: Option<f64>,
    /// The largest lateness of an event; with `--rate` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_max_ms: Option<f64>,
}

/// The acknowledged records of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProducedPartition {
    /// Partition of `order-events`.
    pub partition: i32,
    /// Records acknowledged.
    pub records: u64,
    /// Offset of the first of them, if any.
    pub first_offset: Option<i64>,
    /// Offset of the last of them, if any.
    pub last_offset: Option<i64>,
}

impl ProduceDocument {
    /// The document's name and version.
    pub const SCHEMA: &str = "foodstream.produce/1";

    /// A document with these counts and run time. The caller fills in the other fields, which are zero or empty.
    #[must_use]
    pub fn of(settings: &WorkloadSettings, produced: u64, acknowledged: u64, elapsed: Duration) -> Self {
        Self {
            schema: Self::SCHEMA.to_owned(),
            produced,
            acknowledged,
            failed: 0,
            seed: settings.seed,
            shape: settings.shape,
            start_time: settings.start,
            first_timestamp: (produced > 0).then(|| settings.event_time(0)).flatten(),
            last_timestamp: produced.checked_sub(1).and_then(|last| settings.event_time(last)),
            elapsed_seconds: thousandths(elapsed.as_secs_f64()),
            orders_per_second: per_second(acknowledged, elapsed),
            partitions: Vec::new(),
            late_p99_ms: None,
            late_max_ms: None,
        }
    }

    /// Adds the lateness of the events of a run with `--rate`.
    #[must_use]
    pub fn with_lateness(self, lateness: &Lateness) -> Self {
        let millis = |late: Duration| thousandths(late.as_secs_f64() * 1000.0);
        Self { late_p99_ms: lateness.p99().map(millis), late_max_ms: lateness.max().map(millis), ..self }
    }
}

/// Documents of versions without shapes do not have the field.
const fn shape_before_shapes() -> Shape {
    Shape::Flat
}

/// A rate over an empty time is 0 (`docs/reference/metrics.md`).
fn per_second(count: u64, elapsed: Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a rate for people; 2^53 records are out of reach")]
    let count = count as f64;
    if elapsed.is_zero() { 0.0 } else { thousandths(count / elapsed.as_secs_f64()) }
}

fn thousandths(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Event time as text.
mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::domain::EventTime;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    pub fn serialize<S: Serializer>(time: &EventTime, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<EventTime, D::Error> {
        EventTime::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }

    /// Event time as text, or null.
    pub mod optional {
        use serde::{Deserialize, Deserializer, Serializer, de::Error};

        use crate::domain::EventTime;

        #[allow(clippy::ref_option, reason = "serde passes a reference to the field")]
        pub fn serialize<S: Serializer>(time: &Option<EventTime>, serializer: S) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => serializer.collect_str(time),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<EventTime>, D::Error> {
            let text = Option::<String>::deserialize(deserializer)?;
            text.map(|text| EventTime::parse(&text).map_err(D::Error::custom)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> WorkloadSettings {
        WorkloadSettings::with_defaults(42, EventTime::from_millis(1_795_348_800_000).expect("in range"))
    }

    #[test]
    fn serializes_the_documented_fields_in_order() {
        let document = ProduceDocument {
            partitions: vec![ProducedPartition {
                partition: 0,
                records: 10_000,
                first_offset: Some(0),
                last_offset: Some(9_999),
            }],
            ..ProduceDocument::of(&settings(), 10_000, 10_000, Duration::from_millis(800))
        };
        let json = serde_json::to_string(&document).expect("serializes");
        insta::assert_snapshot!(json, @r#"{"schema":"foodstream.produce/1","produced":10000,"acknowledged":10000,"failed":0,"seed":42,"shape":"lunch","start_time":"2026-11-22T12:00:00.000Z","first_timestamp":"2026-11-22T12:00:00.000Z","last_timestamp":"2026-11-22T12:39:59.400Z","elapsed_seconds":0.8,"orders_per_second":12500.0,"partitions":[{"partition":0,"records":10000,"first_offset":0,"last_offset":9999}]}"#);
        assert_eq!(serde_json::from_str::<ProduceDocument>(&json).expect("reads"), document);
    }

    #[test]
    fn lateness_is_in_milliseconds() {
        let mut lateness = Lateness::new();
        lateness.record(Duration::from_micros(1_500));
        let document = ProduceDocument::of(&settings(), 1, 1, Duration::from_secs(1)).with_lateness(&lateness);
        assert_eq!((document.late_p99_ms, document.late_max_ms), (Some(1.5), Some(1.5)));
    }

    #[test]
    fn an_empty_run_has_no_timestamps_and_no_rate() {
        let document = ProduceDocument::of(&settings(), 0, 0, Duration::ZERO);
        assert_eq!((document.first_timestamp, document.last_timestamp), (None, None));
        assert!(document.orders_per_second.abs() < f64::EPSILON);
    }
}
