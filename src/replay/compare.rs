//! Owns the comparison of two metrics documents: every value, exactly, each difference under a path that people can read.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::analytics::MetricsDocument;

/// A metric that is not the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its path in the document, as in `by_restaurant[restaurant_07].reserved`.
    pub metric: String,
    /// Its value before; null where there was none.
    pub before: Value,
    /// Its value after; null where there is none.
    pub after: Value,
}

/// Every difference between two documents, in the order of their fields.
///
/// The documents are walked as JSON, so that a metric that is added to them is compared without a change here.
#[must_use]
pub fn differences(before: &MetricsDocument, after: &MetricsDocument) -> Vec<Difference> {
    // Documents are integers, strings and string-keyed maps: they always serialize.
    let [before, after] = [before, after].map(|document| serde_json::to_value(document).unwrap_or_default());
    let mut found = Vec::new();
    walk(&mut String::new(), &before, &after, &mut found);
    found
}

fn walk(path: &mut String, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => walk_entries(path, before, after, field, found),
        (Value::Array(before), Value::Array(after)) => {
            walk_entries(path, &by_name(before), &by_name(after), row, found);
        }
        _ if before == after => {}
        _ => found.push(Difference { metric: path.clone(), before: before.clone(), after: after.clone() }),
    }
}

fn walk_entries(
    path: &mut String,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    step: fn(&mut String, &str),
    found: &mut Vec<Difference>,
) {
    let length = path.len();
    let added = after.keys().filter(|key| !before.contains_key(*key));
    for key in before.keys().chain(added) {
        step(path, key);
        let [before, after] = [before, after].map(|entries| entries.get(key).unwrap_or(&Value::Null));
        walk(path, before, after, found);
        path.truncate(length);
    }
}

/// Rows by what they are about, so that a missing row shifts none of the others.
fn by_name(rows: &[Value]) -> Map<String, Value> {
    rows.iter().map(|row| (name_of(row), row.clone())).collect()
}

fn name_of(row: &Value) -> String {
    let text = |field: &str| row.get(field).and_then(Value::as_str);
    match (text("topic"), row.get("partition")) {
        (Some(topic), Some(partition)) => format!("{topic}/{partition}"),
        _ => text("minute").or_else(|| text("restaurant")).unwrap_or_default().to_owned(),
    }
}

/// `.name` for a field of ours, `["name"]` for a key that is data.
fn field(path: &mut String, key: &str) {
    if key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_') {
        if !path.is_empty() {
            path.push('.');
        }
        path.push_str(key);
    } else {
        bracket(path, &Value::from(key).to_string());
    }
}

/// `[name]`, quoted where the name could be taken for something else.
fn row(path: &mut String, name: &str) {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-:/.".contains(&byte);
    if !name.is_empty() && name.bytes().all(is_plain) {
        bracket(path, name);
    } else {
        bracket(path, &Value::from(name).to_string());
    }
}

fn bracket(path: &mut String, text: &str) {
    path.push('[');
    path.push_str(text);
    path.push(']');
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::analytics::testing::example;

    fn changed(change: impl FnOnce(&mut MetricsDocument)) -> Vec<(String, Value, Value)> {
        let (before, mut after) = (example(), example());
        change(&mut after);
        differences(&before, &after).into_iter().map(|found| (found.metric, found.before, found.after)).collect()
    }

    #[test]
    fn equal_documents_have_no_difference() {
        assert_eq!(changed(|_| {}), []);
    }

    #[test]
    fn a_path_names_the_metric() {
        let only = |change: fn(&mut MetricsDocument)| {
            let mut found = changed(change);
            assert_eq!(found.len(), 1, "{found:?}");
            found.remove(0).0
        };
        assert_eq!(only(|after| after.total_orders += 1), "total_orders");
        assert_eq!(only(|after| after.inventory.pending_orders -= 1), "inventory.pending_orders");
        assert_eq!(
            only(|after| *after.orders_by_minute.get_mut("2026-11-22T12:00Z").expect("stands") += 1),
            r#"orders_by_minute["2026-11-22T12:00Z"]"#
        );
        assert_eq!(
            only(|after| *after.inventory.rejected_by_reason.get_mut("out_of_stock").expect("stands") += 1),
            "inventory.rejected_by_reason.out_of_stock"
        );
        assert_eq!(only(|after| after.by_minute[0].failed += 1), "by_minute[2026-11-22T12:00Z].failed");
        assert_eq!(only(|after| after.by_restaurant[0].total += 1), r#"by_restaurant[""].total"#);
        assert_eq!(
            only(|after| after.by_restaurant[1].total += 1),
            "by_restaurant[\"a \\u001b[31mred\u{202e} name\\n\"].total"
        );
        assert_eq!(only(|after| after.by_restaurant[2].reserved += 1), "by_restaurant[restaurant_01].reserved");
        assert_eq!(only(|after| after.range[1].digest = after.range[0].digest), "range[order-events/0].digest");
        assert_eq!(only(|after| after.range[1].start += 1), "range[order-events/0].start");
    }

    #[test]
    fn a_row_or_minute_on_one_side_only_is_a_difference_against_null_and_shifts_no_other() {
        let found = changed(|after| {
            after.by_restaurant.remove(0);
            after.orders_by_minute.insert("2026-11-22T13:00Z".into(), 4);
        });
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], (r#"orders_by_minute["2026-11-22T13:00Z"]"#.into(), Value::Null, json!(4)));
        assert_eq!((found[1].0.as_str(), &found[1].2), (r#"by_restaurant[""]"#, &Value::Null));
        assert_eq!(found[1].1["total"], json!(1));
    }

    /// Whatever number or text of the document is altered, its own path is reported, and no other.
    #[test]
    fn every_leaf_is_compared() {
        let before = serde_json::to_value(example()).expect("serializes");
        let mut leaves = 0;
        let mut pointers = vec![String::new()];
        while let Some(pointer) = pointers.pop() {
            let here = before.pointer(&pointer).expect("stands");
            match here {
                Value::Object(entries) => pointers.extend(entries.keys().map(|key| format!("{pointer}/{key}"))),
                Value::Array(rows) => pointers.extend((0..rows.len()).map(|index| format!("{pointer}/{index}"))),
                leaf => {
                    leaves += 1;
                    let mut after = before.clone();
                    *after.pointer_mut(&pointer).expect("stands") = json!("altered");
                    let mut found = Vec::new();
                    walk(&mut String::new(), &before, &after, &mut found);
                    // A row that is renamed is missing under its old name and new under the other.
                    let is_name = ["minute", "restaurant", "topic", "partition"]
                        .iter()
                        .any(|name| pointer.ends_with(&format!("/{name}")));
                    assert_eq!(found.len(), if is_name { 2 } else { 1 }, "{pointer}");
                    assert!(is_name || found[0].before == *leaf, "{pointer}");
                }
            }
        }
        assert!(leaves > 80, "{leaves}");
    }
}
