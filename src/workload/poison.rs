//! Owns the malformed records of `--poison-rate`: each a well-formed order with one thing wrong (contract, section 3).

use super::random::Draws;

/// One thing that is wrong with a record.
#[derive(Debug, Clone, Copy)]
enum Damage {
    /// No value at all, which on this topic is no tombstone.
    NoValue,
    /// These bytes and nothing of the order.
    Replaced(&'static [u8]),
    /// These bytes before and after the order.
    Wrapped(&'static [u8], &'static [u8]),
    /// The second half is missing.
    Truncated,
    /// The first occurrence of a text stands differently.
    Altered(&'static [u8], &'static [u8]),
    /// An unknown field with arrays nested deeper than any reader must follow.
    Nested,
}

use Damage::{Altered, Nested, NoValue, Replaced, Truncated, Wrapped};

/// Arrays in the nested field; with the object around them they pass the limit of 127 by far.
const DEPTH: usize = 200;

/// What can be wrong, by name. To give a field another value, its own moves to an unknown field `was`, which readers
/// ignore. The order is part of the stream that a seed stands for: append, never insert.
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

/// A way for a record to be bad.
#[derive(Debug, Clone, Copy)]
pub(super) struct Poison(usize);

impl Poison {
    pub fn draw(draws: &mut Draws) -> Self {
        Self(usize::try_from(draws.below(KINDS.len() as u64)).unwrap_or_default())
    }

    /// Turns an order's bytes into a bad record's; without a value if it says so.
    pub fn spoil(self, order: &mut Vec<u8>) -> Option<&[u8]> {
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
    // Every order has every field; one that had not would be bad for that alone, and a test tries all kinds.
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
    fn every_kind_is_refused_and_nothing_but_the_damage_makes_it_so() {
        let start = EventTime::from_millis(1_795_348_800_000).expect("in range");
        let workload = Workload::new(WorkloadSettings::with_defaults(1, start)).expect("valid");
        let mut buffers = Buffers::new();
        let order = workload.event(0, &mut buffers).value.expect("an order").to_vec();
        assert!(matches!(decode_order(Some(&order)), Ok(OrderRecord::Order(_))));
        for (index, (name, _)) in KINDS.iter().enumerate() {
            let mut bytes = order.clone();
            let value = Poison(index).spoil(&mut bytes);
            assert_ne!(value, Some(&*order), "{name} does no damage");
            assert!(decode_order(value).is_err(), "{name} is accepted");
        }
    }

    #[test]
    fn the_kinds_show_different_faults() {
        let start = EventTime::from_millis(0).expect("in range");
        let workload = Workload::new(WorkloadSettings::with_defaults(1, start)).expect("valid");
        let mut buffers = Buffers::new();
        let order = workload.event(0, &mut buffers).value.expect("an order").to_vec();
        let faults =
            |index: usize| decode_order(Poison(index).spoil(&mut order.clone())).expect_err("bad").reason.as_str();
        let mut faults: Vec<_> = (0..KINDS.len()).map(faults).collect();
        faults.sort_unstable();
        faults.dedup();
        insta::assert_snapshot!(faults.join(" "), @"bad_value duplicate_field missing_field no_value not_json not_utf8 too_deep wrong_type");
    }
}
