//! Comparison of two metrics documents: every value, exactly; each difference has a readable path.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::analytics::{MetricsDocument, MinuteRow, RestaurantRow};

/// A metric that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Its path in the document, as in `by_restaurant[restaurant_07].reserved`.
    pub metric: String,
    /// Its value before; null if missing.
    pub before: Value,
    /// Its value after; null if missing.
    pub after: Value,
}

/// The first differences, and the number of all.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Differences {
    /// In the order of the fields.
    pub first: Vec<Difference>,
    /// Number of all differences.
    pub count: u64,
    limit: usize,
}

impl Differences {
    fn add(&mut self, path: &str, before: &Value, after: &Value) {
        self.count += 1;
        if self.first.len() < self.limit {
            self.first.push(Difference { metric: path.to_owned(), before: before.clone(), after: after.clone() });
        }
    }
}

/// The differences between two documents, in the order of their fields. The first `limit` of them are listed, all are
/// counted.
///
/// The documents are compared as JSON, so that a new metric is compared without a change here. The tables may have a
/// million rows: only rows that differ are converted to JSON.
#[must_use]
pub fn differences(before: &MetricsDocument, after: &MetricsDocument, limit: usize) -> Differences {
    let mut found = Differences { limit, ..Differences::default() };
    let heads = [json(&head(before)), json(&head(after))];
    let [Value::Object(before_head), Value::Object(after_head)] = &heads else { return found };
    let mut path = String::new();
    let added = after_head.keys().filter(|key| !before_head.contains_key(*key));
    for key in before_head.keys().chain(added) {
        field(&mut path, key);
        match key.as_str() {
            "orders_by_minute" => walk_rows(&mut path, &orders(before), &orders(after), field, &mut found),
            "by_minute" => walk_rows(&mut path, &minutes(before), &minutes(after), row, &mut found),
            "by_restaurant" => walk_rows(&mut path, &restaurants(before), &restaurants(after), row, &mut found),
            _ => {
                let [before, after] = [before_head, after_head].map(|head| head.get(key).unwrap_or(&Value::Null));
                walk(&mut path, before, after, &mut found);
            }
        }
        path.clear();
    }
    found
}

/// The names of the minutes and restaurants whose rows differ, at most `limit` from each table.
#[must_use]
pub fn differing_rows(before: &MetricsDocument, after: &MetricsDocument, limit: usize) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    add_names(&mut names, &orders(before), &orders(after), limit);
    add_names(&mut names, &minutes(before), &minutes(after), limit);
    add_names(&mut names, &restaurants(before), &restaurants(after), limit);
    names
}

fn add_names<R: PartialEq>(
    names: &mut BTreeSet<String>,
    before: &[(&String, &R)],
    after: &[(&String, &R)],
    limit: usize,
) {
    let differing = paired(before, after).filter(|(_, before, after)| before != after);
    names.extend(differing.take(limit).map(|(name, ..)| name.clone()));
}

/// A document without its tables, which are compared row by row. Names every field, so that a new one does not compile
/// without a decision.
fn head(document: &MetricsDocument) -> MetricsDocument {
    let MetricsDocument {
        schema,
        total_orders,
        failed_orders,
        failure_rate_percent,
        average_orders_per_minute,
        current_orders_per_minute,
        orders_by_minute: _,
        inventory,
        by_minute: _,
        by_restaurant: _,
        left_out,
        skipped_records,
        bad_records,
        range,
    } = document;
    MetricsDocument {
        schema: *schema,
        total_orders: *total_orders,
        failed_orders: *failed_orders,
        failure_rate_percent: *failure_rate_percent,
        average_orders_per_minute: *average_orders_per_minute,
        current_orders_per_minute: *current_orders_per_minute,
        orders_by_minute: BTreeMap::new(),
        inventory: inventory.clone(),
        by_minute: Vec::new(),
        by_restaurant: Vec::new(),
        left_out: *left_out,
        skipped_records: *skipped_records,
        bad_records: *bad_records,
        range: range.clone(),
    }
}

/// Cannot fail: documents and rows consist of integers, strings and maps with string keys.
fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Rows with their names, ordered by name.
type Rows<'a, R> = Vec<(&'a String, &'a R)>;

fn orders(document: &MetricsDocument) -> Rows<'_, u64> {
    document.orders_by_minute.iter().collect()
}

fn minutes(document: &MetricsDocument) -> Rows<'_, MinuteRow> {
    in_order(document.by_minute.iter().map(|row| (&row.minute, row)))
}

fn restaurants(document: &MetricsDocument) -> Rows<'_, RestaurantRow> {
    in_order(document.by_restaurant.iter().map(|row| (&row.restaurant, row)))
}

/// Sorts rows by name. Documents of this program are sorted already; others may not be.
fn in_order<'a, R>(rows: impl Iterator<Item = (&'a String, &'a R)>) -> Rows<'a, R> {
    let mut rows: Rows<'a, R> = rows.collect();
    rows.sort_by_key(|(name, _)| *name);
    rows
}

/// Merges two sorted lists: each name with its row on either side.
fn paired<'a, R>(
    before: &'a [(&'a String, &'a R)],
    after: &'a [(&'a String, &'a R)],
) -> impl Iterator<Item = (&'a String, Option<&'a R>, Option<&'a R>)> {
    let (mut before, mut after) = (before.iter().peekable(), after.iter().peekable());
    std::iter::from_fn(move || {
        let name = match (before.peek(), after.peek()) {
            (Some((left, _)), Some((right, _))) => *left.min(right),
            (Some((name, _)), None) | (None, Some((name, _))) => *name,
            (None, None) => return None,
        };
        let row = |rows: &mut std::iter::Peekable<std::slice::Iter<'a, (&'a String, &'a R)>>| {
            rows.next_if(|(found, _)| *found == name).map(|(_, row)| *row)
        };
        Some((name, row(&mut before), row(&mut after)))
    })
}

fn walk_rows<R: Serialize + PartialEq>(
    path: &mut String,
    before: &[(&String, &R)],
    after: &[(&String, &R)],
    step: fn(&mut String, &str),
    found: &mut Differences,
) {
    let length = path.len();
    for (name, before, after) in paired(before, after).filter(|(_, before, after)| before != after) {
        step(path, name);
        let [before, after] = [before, after].map(|row| row.map_or(Value::Null, |row| json(row)));
        walk(path, &before, &after, found);
        path.truncate(length);
    }
}

fn walk(path: &mut String, before: &Value, after: &Value, found: &mut Differences) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => walk_entries(path, before, after, field, found),
        (Value::Array(before), Value::Array(after)) => {
            walk_entries(path, &by_name(before), &by_name(after), row, found);
        }
        _ if before == after => {}
        _ => found.add(path, before, after),
    }
}

fn walk_entries(
    path: &mut String,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    step: fn(&mut String, &str),
    found: &mut Differences,
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

/// Rows by name, so that a missing row does not shift the others.
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

/// Appends `.name` for a field of the document, `["name"]` for a key that is data.
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

/// Appends `[name]`, quoted if the name has special characters.
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
    use crate::analytics::test_support::example;

    fn changed(change: impl FnOnce(&mut MetricsDocument)) -> Vec<(String, Value, Value)> {
        let (before, mut after) = (example(), example());
        change(&mut after);
        let found = differences(&before, &after, usize::MAX);
        assert_eq!(found.count, found.first.len() as u64);
        found.first.into_iter().map(|found| (found.metric, found.before, found.after)).collect()
    }

    #[test]
    fn equal_documents_have_no_difference() {
        assert_eq!(changed(|_| {}), []);
    }

    #[test]
    fn paths_name_the_metric() {
        let only = |change: fn(&mut MetricsDocument)| {
            let mut found = changed(change);
            assert_eq!(found.len(), 1, "{found:?}");
            found.remove(0).0
        };
        assert_eq!(only(|after| after.total_orders += 1), "total_orders");
        assert_eq!(only(|after| after.inventory.pending_orders -= 1), "inventory.pending_orders");
        assert_eq!(
            only(|after| *after.orders_by_minute.get_mut("2026-11-22T12:00Z").expect("exists") += 1),
            r#"orders_by_minute["2026-11-22T12:00Z"]"#
        );
        assert_eq!(
            only(|after| *after.inventory.rejected_by_reason.get_mut("out_of_stock").expect("exists") += 1),
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
    fn missing_row_differs_from_null() {
        let found = changed(|after| {
            after.by_restaurant.remove(0);
            after.orders_by_minute.insert("2026-11-22T13:00Z".into(), 4);
        });
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(found[0], (r#"orders_by_minute["2026-11-22T13:00Z"]"#.into(), Value::Null, json!(4)));
        assert_eq!((found[1].0.as_str(), &found[1].2), (r#"by_restaurant[""]"#, &Value::Null));
        assert_eq!(found[1].1["total"], json!(1));
    }

    #[test]
    fn counts_all_differences_and_lists_the_first() {
        let mut after = example();
        after.by_minute.iter_mut().for_each(|row| row.failed += 1);
        after.by_restaurant.remove(0);
        let all = differences(&example(), &after, usize::MAX);
        let two = differences(&example(), &after, 2);
        assert_eq!((two.count, two.first.as_slice()), (all.count, &all.first[..2]));
        assert!(all.count > 2);
        let rows = differing_rows(&example(), &after, 10);
        assert_eq!(rows.len(), after.by_minute.len() + 1);
        assert!(rows.contains("") && rows.contains(&after.by_minute[0].minute));
        assert_eq!(differing_rows(&example(), &after, 1).len(), 2, "at most one from each table");
    }

    /// Altering any number or text of the document reports its path and no other.
    #[test]
    fn every_leaf_is_compared() {
        let before = serde_json::to_value(example()).expect("serializes");
        let mut leaves = 0;
        let mut pointers = vec![String::new()];
        while let Some(pointer) = pointers.pop() {
            let here = before.pointer(&pointer).expect("exists");
            match here {
                Value::Object(entries) => pointers.extend(entries.keys().map(|key| format!("{pointer}/{key}"))),
                Value::Array(rows) => pointers.extend((0..rows.len()).map(|index| format!("{pointer}/{index}"))),
                leaf => {
                    leaves += 1;
                    let mut after = before.clone();
                    *after.pointer_mut(&pointer).expect("exists") = json!("altered");
                    let mut found = Differences { limit: usize::MAX, ..Differences::default() };
                    walk(&mut String::new(), &before, &after, &mut found);
                    // Comparing the tables row by row gives the same differences.
                    if let Ok(after) = serde_json::from_value(after) {
                        let again = differences(&example(), &after, usize::MAX);
                        assert_eq!(again.count, found.count, "{pointer}");
                    }
                    let found = found.first;
                    // A renamed row is missing under its old name and new under the other.
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
