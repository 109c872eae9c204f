//! Poison records (poison pills) of `--poison-rate`: valid orders with one error each. See `docs/reference/events.md`.

use super::random::Draws;

/// A way to make a valid order bad.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// No value (null).
    NoValue,
    /// These bytes instead of the order.
    Replaced(&'static [u8]),
    /// These bytes before and after the order.
    Wrapped(&'static [u8], &'static [u8]),
    /// The first half of the order.
    Truncated,
    /// The first occurrence of a text is replaced.
    Altered(&'static [u8], &'static [u8]),
    /// An unknown field with arrays nested deeper than the limit of 127.
    Nested,
}

use Damage::{Altered, Nested, NoValue, Replaced, Truncated, Wrapped};

/// The number of nested arrays.
const DEPTH: usize = 200;

/// The kinds of poison by name. A field that gets another value keeps its own in an unknown field `was`, which readers
/// ignore. The order of kinds is part of what a seed determines: append, never insert.
const KINDS: [(&str, Damage); 26] = [
    ("no value", NoValue),
    ("empty value", Replaced(b"")),
    ("no JSON", Replaced(b"two noodle soups, please")),
    ("truncated", Truncated),
    ("truncated UTF-8", Altered(br#""user_id":""#, b"\"user_id\":\"\xc3")),
    ("byte order mark", Wrapped(b"\xef\xbb\xbf", b"")),
    ("trailing bytes", Wrapped(b"", b"}")),
    ("an array", Wrapped(b"[", b"]")),
    ("Confluent's magic byte and schema id", Wrapped(b"\x00\x00\x00\x00\x07", b"")),
    ("Avro's object container", Replaced(b"Obj\x01\x02\x16avro.schema\x02{\x00")),
    ("lone surrogate", Altered(br#""user_id":""#, br#""user_id":"\ud800"#)),
    ("deep nesting", Nested),
    ("field twice", Altered(br#""status":"#, br#""status":"placed","status":"#)),
    ("no event type", Altered(br#""event_type":"#, br#""was":"#)),
    ("no user", Altered(br#""user_id":"#, br#""was":"#)),
    ("no lines", Altered(br#""items":"#, br#""items":[],"was":"#)),
    ("total as text", Altered(br#""total_amount":"#, br#""total_amount":"9.99","was":"#)),
    ("quantity negative", Altered(br#""quantity":"#, br#""quantity":-"#)),
    ("quantity zero", Altered(br#""quantity":"#, br#""quantity":0,"was":"#)),
    ("quantity fractional", Altered(br#""quantity":"#, br#""quantity":1.5,"was":"#)),
    ("price with three decimals", Altered(br#""price":"#, br#""price":8.505,"was":"#)),
    ("price negative", Altered(br#""price":"#, br#""price":-"#)),
    ("unknown status", Altered(br#""status":"#, br#""status":"refunded","was":"#)),
    ("empty order id", Altered(br#""order_id":"#, br#""order_id":"","was":"#)),
    ("no timestamp", Altered(br#""timestamp":"#, br#""timestamp":"half past noon","was":"#)),
    ("leap second", Altered(br#""timestamp":"#, br#""timestamp":"2016-12-31T23:59:60.000Z","was":"#)),
];

/// A kind of poison: an index of [`KINDS`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Poison(usize);

impl Poison {
    pub fn draw(draws: &mut Draws) -> Self {
        Self(usize::try_from(draws.below(KINDS.len() as u64)).unwrap_or_default())
    }

    /// Turns an order into a bad record; `None` for a record without a value.
    pub fn apply(self, order: &mut Vec<u8>) -> Option<&[u8]> {
        match KINDS[self.0].1 {
            NoValue => return None,
            Replaced(bytes) => {
                order.clear();
                order.extend_from_slice(bytes);
            }
            Wrapped(before, after) => {
                insert(order, 0, before);
                order.extend_from_slice(after);
            }
            Truncated => order.truncate(order.len() / 2),
            Altered(text, other) => alter(order, text, other),
            Nested => {
                let (open, close) = ([b'['; DEPTH], [b']'; DEPTH]);
                let field = [b"\"note\":", &open[..], &close[..], b","].concat();
                insert(order, 1, &field);
            }
        }
        Some(order)
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, more: &[u8]) {
    bytes.splice(at..at, more.iter().copied());
}

fn alter(bytes: &mut Vec<u8>, text: &[u8], other: &[u8]) {
    let found = bytes.windows(text.len()).position(|window| window == text);
    // Every order has every field, and a test covers every kind.
    if let Some(at) = found {
        bytes.splice(at..at + text.len(), other.iter().copied());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{EventTime, OrderRecord, decode_order};
    use crate::workload::{Buffers, Workload, WorkloadSettings};

    #[test]
    fn every_kind_is_bad() {
        let start = EventTime::from_millis(1_795_348_800_000).expect("in range");
        let workload = Workload::new(WorkloadSettings::with_defaults(1, start)).expect("valid");
        let mut buffers = Buffers::new();
        let order = workload.event(0, &mut buffers).value.expect("an order").to_vec();
        assert!(matches!(decode_order(Some(&order)), Ok(OrderRecord::Order(_))));
        for (index, (name, _)) in KINDS.iter().enumerate() {
            let mut bytes = order.clone();
            let value = Poison(index).apply(&mut bytes);
            assert_ne!(value, Some(&*order), "{name} changes nothing");
            assert!(decode_order(value).is_err(), "{name} is accepted");
        }
    }

    #[test]
    fn the_kinds_cover_every_reason() {
        let start = EventTime::from_millis(0).expect("in range");
        let workload = Workload::new(WorkloadSettings::with_defaults(1, start)).expect("valid");
        let mut buffers = Buffers::new();
        let order = workload.event(0, &mut buffers).value.expect("an order").to_vec();
        let reason =
            |index: usize| decode_order(Poison(index).apply(&mut order.clone())).expect_err("bad").reason.as_str();
        let mut reasons: Vec<_> = (0..KINDS.len()).map(reason).collect();
        reasons.sort_unstable();
        reasons.dedup();
        insta::assert_snapshot!(reasons.join(" "), @"bad_value duplicate_field missing_field no_value not_json not_utf8 too_deep wrong_type");
    }
}
