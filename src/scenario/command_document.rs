//! The documents of the commands, as their JSON Schemas describe them: which paths exist, and which values they have.
//!
//! The schemas in `schemas/` are part of the program, so that a script is checked against what users can read.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::{Value, json};

use super::closest_match;
use super::diagnostic::quoted;
use super::fixed_point::FixedPoint;

/// Names listed in a hint.
const MAX_NAMES: usize = 24;
/// Follows references at most this deep. The schemas are not recursive.
const MAX_DEPTH: usize = 32;

/// The document of a command in a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandDocument {
    /// `foodstream.produce/1`
    Produce,
    /// `foodstream.inventory/1`
    Inventory,
    /// `foodstream.metrics/1`
    Metrics,
    /// `foodstream.replay/1`
    Replay,
    /// `foodstream.plan/1`
    Plan,
    /// `foodstream.lag/1` with a list of groups: a step cannot name one.
    Lag,
    /// `foodstream.audit/1`
    Audit,
}

impl CommandDocument {
    /// All documents.
    pub const ALL: [Self; 7] =
        [Self::Produce, Self::Inventory, Self::Metrics, Self::Replay, Self::Plan, Self::Lag, Self::Audit];

    /// The document that a command line prints with `--output json`, by the table in `docs/reference/documents.md`.
    #[must_use]
    pub fn of(arguments: &[String]) -> Option<Self> {
        let has = |flag: &str| arguments.iter().any(|word| word == flag);
        match arguments.first()?.as_str() {
            "produce" => Some(Self::Produce),
            "inventory" => Some(Self::Inventory),
            "analytics" => Some(Self::Metrics),
            "replay" if has("--undo") => Some(Self::Metrics),
            "replay" if has("--dry-run") => Some(Self::Plan),
            "replay" => Some(Self::Replay),
            "lag" => Some(Self::Lag),
            "audit" => Some(Self::Audit),
            _ => None,
        }
    }

    /// The name of its schema, as in `schemas/NAME.schema.json`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Inventory => "inventory",
            Self::Metrics => "metrics",
            Self::Replay => "replay",
            Self::Plan => "plan",
            Self::Lag => "lag",
            Self::Audit => "audit",
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Produce => include_str!("../../schemas/produce.schema.json"),
            Self::Inventory => include_str!("../../schemas/inventory.schema.json"),
            Self::Metrics => include_str!("../../schemas/metrics.schema.json"),
            Self::Replay => include_str!("../../schemas/replay.schema.json"),
            Self::Plan => include_str!("../../schemas/plan.schema.json"),
            Self::Lag => include_str!("../../schemas/lag.schema.json"),
            Self::Audit => include_str!("../../schemas/audit.schema.json"),
        }
    }

    fn schema(self) -> &'static Value {
        static SCHEMAS: LazyLock<[Value; CommandDocument::ALL.len()]> = LazyLock::new(|| {
            // A schema that does not parse would allow every path. A test reads them all.
            CommandDocument::ALL.map(|document| serde_json::from_str(document.text()).unwrap_or_default())
        });
        &SCHEMAS[self as usize]
    }

    fn with_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|document| document.schema()["$id"] == id)
    }

    /// The values at a path, in which `*` means every member.
    ///
    /// # Errors
    ///
    /// The first part of the path that no such document has.
    pub(super) fn values_at(self, path: &str) -> Result<Values, PathMistake> {
        let mut values = Values::of(self);
        let mut start = 0;
        for part in path.split('.') {
            let place = start..start + part.len();
            let walked = path[..start].trim_end_matches('.');
            values = values.member(part).map_err(|names| {
                let owner = if walked.is_empty() { format!("foodstream.{}/1", self.name()) } else { quoted(walked) };
                let (message, hint) = values.mistake(&owner, part, &names);
                PathMistake { place, message, hint }
            })?;
            start += part.len() + 1;
        }
        Ok(values)
    }
}

/// A part of a path that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathMistake {
    /// Its position in the path, in bytes.
    pub place: Range<usize>,
    pub message: String,
    pub hint: String,
}

/// A part of a schema, with the schema that its references are relative to.
#[derive(Debug, Clone, Copy)]
struct Part {
    schema: &'static Value,
    root: &'static Value,
}

/// What the schema says about the values at a path: the alternatives, with references resolved.
#[derive(Debug, Clone)]
pub(super) struct Values(Vec<Part>);

impl Values {
    /// Those of a measurement that is always a number.
    pub fn numbers() -> Self {
        static NUMBER: LazyLock<Value> = LazyLock::new(|| json!({"type": "number"}));
        Self(vec![Part { schema: &NUMBER, root: &NUMBER }])
    }

    fn of(document: CommandDocument) -> Self {
        let root = document.schema();
        let mut parts = Vec::new();
        resolve(Part { schema: root, root }, 0, &mut parts);
        if document == CommandDocument::Lag {
            // The other alternative is a single group.
            parts.retain(|part| part.schema["properties"].get("group").is_none());
        }
        Self(parts)
    }

    /// The members with this name, or all of them for `*`. Otherwise the names that exist.
    fn member(&self, name: &str) -> Result<Self, Vec<&'static str>> {
        let mut found = Vec::new();
        let mut names = Vec::new();
        for Part { schema, root } in &self.0 {
            let mut add = |schema| resolve(Part { schema, root }, 0, &mut found);
            for (field, described) in schema["properties"].as_object().into_iter().flatten() {
                if name == "*" || name == field {
                    add(described);
                }
                names.push(field.as_str());
            }
            if schema["additionalProperties"].is_object() {
                add(&schema["additionalProperties"]);
            }
            if schema["items"].is_object() && (name == "*" || name.parse::<usize>().is_ok()) {
                add(&schema["items"]);
            }
            if is_open(schema) {
                found.push(Part { schema, root });
            }
        }
        if found.is_empty() { Err(names) } else { Ok(Self(found)) }
    }

    fn mistake(&self, owner: &str, part: &str, names: &[&str]) -> (String, String) {
        let message = format!("{owner} has no {}", quoted(part));
        if !names.is_empty() {
            let hint = match closest_match(part, names.iter().copied()) {
                Some(name) => format!("did you mean {name}?"),
                None => format!("it has {}", names.iter().take(MAX_NAMES).copied().collect::<Vec<_>>().join(", ")),
            };
            return (message, hint);
        }
        if self.kinds().contains("array") {
            return (format!("{owner} is a list and has no {}", quoted(part)), "use 0, 1 … or *".to_owned());
        }
        (format!("{owner} is {}, which has no {}", self.kind_names(), quoted(part)), "end the path here".to_owned())
    }

    /// Whether the schema allows any value.
    pub fn is_open(&self) -> bool {
        self.0.iter().any(|part| is_open(part.schema))
    }

    /// Whether a number, or money as a string, is possible.
    pub fn may_be_number(&self) -> bool {
        let kinds = self.kinds();
        self.is_open() || kinds.contains("integer") || kinds.contains("number") || self.may_be_money()
    }

    fn may_be_money(&self) -> bool {
        let patterns = self.0.iter().filter_map(|part| part.schema["pattern"].as_str());
        patterns.filter_map(|pattern| Regex::new(pattern).ok()).any(|pattern| pattern.is_match("1234.50"))
    }

    /// Whether it may have members, which can be counted.
    pub fn may_have_members(&self) -> bool {
        let kinds = self.kinds();
        self.is_open() || kinds.contains("array") || kinds.contains("object")
    }

    /// Whether a value of a script may be equal to one of these.
    pub fn may_equal(&self, value: &Value) -> bool {
        if self.is_open() {
            return true;
        }
        match value {
            Value::Bool(_) => self.kinds().contains("boolean"),
            Value::String(text) => {
                let choices = self.choices();
                let is_string =
                    self.kinds().contains("string") && (choices.is_empty() || choices.contains(&text.as_str()));
                is_string || FixedPoint::of(value).is_some() && self.may_be_number()
            }
            _ => self.may_be_number(),
        }
    }

    /// Whether a value here may be equal to one there.
    pub fn may_equal_one_of(&self, other: &Self) -> bool {
        self.is_open()
            || other.is_open()
            || self.may_be_number() && other.may_be_number()
            || !self.kinds().is_disjoint(&other.kinds())
    }

    /// The strings that are possible, if the schema lists them.
    pub fn choices(&self) -> Vec<&'static str> {
        let listed = |part: &Part| -> Vec<&'static str> {
            let one = part.schema.get("const").and_then(Value::as_str);
            one.into_iter()
                .chain(part.schema["enum"].as_array().into_iter().flatten().filter_map(Value::as_str))
                .collect()
        };
        if self.0.iter().any(|part| part.schema["type"] == "string") {
            return Vec::new();
        }
        self.0.iter().flat_map(listed).collect()
    }

    /// `an integer`, `a string or null`
    pub fn kind_names(&self) -> String {
        let named = self.kinds().into_iter().map(|kind| match kind {
            "integer" => "an integer",
            "number" => "a number",
            "string" => "a string",
            "boolean" => "true or false",
            "array" => "a list",
            "object" => "an object",
            other => other,
        });
        named.collect::<Vec<_>>().join(" or ")
    }

    /// The types, by their names in a JSON Schema.
    fn kinds(&self) -> BTreeSet<&'static str> {
        let mut kinds = BTreeSet::new();
        for Part { schema, .. } in &self.0 {
            match &schema["type"] {
                Value::String(one) => kinds.extend([one.as_str()]),
                Value::Array(several) => kinds.extend(several.iter().filter_map(Value::as_str)),
                _ if schema["properties"].is_object() => kinds.extend(["object"]),
                _ => {
                    let listed = schema["enum"].as_array().into_iter().flatten();
                    kinds.extend(schema.get("const").into_iter().chain(listed).map(kind));
                }
            }
        }
        kinds
    }
}

/// Whether a schema allows any value.
fn is_open(schema: &Value) -> bool {
    let limits = ["type", "properties", "items", "additionalProperties", "const", "enum"];
    let refers = ["$ref", "anyOf", "oneOf", "allOf"];
    !limits.iter().chain(&refers).any(|key| schema.get(key).is_some())
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Collects a part, the target of its reference, and its alternatives.
fn resolve(part: Part, depth: usize, parts: &mut Vec<Part>) {
    if depth > MAX_DEPTH {
        return;
    }
    let Part { schema, root } = part;
    if let Some(target) = schema["$ref"].as_str().and_then(|reference| referred(reference, root)) {
        resolve(target, depth + 1, parts);
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        for schema in schema[key].as_array().into_iter().flatten() {
            resolve(Part { schema, root }, depth + 1, parts);
        }
    }
    parts.push(part);
}

/// The target of a reference: `#/$defs/count`, `urn:foodstream:plan:1#/$defs/row`, `urn:foodstream:metrics:1`.
fn referred(reference: &str, root: &'static Value) -> Option<Part> {
    let (id, pointer) = reference.split_once('#').unwrap_or((reference, ""));
    let root = if id.is_empty() { root } else { CommandDocument::with_id(id)?.schema() };
    Some(Part { schema: root.pointer(pointer)?, root })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(document: CommandDocument, path: &str) -> String {
        let PathMistake { place, message, hint } = document.values_at(path).expect_err(path);
        format!("{}: {message}; {hint}", &path[place])
    }

    fn references(schema: &Value, found: &mut Vec<String>) {
        match schema {
            Value::Array(parts) => parts.iter().for_each(|part| references(part, found)),
            Value::Object(parts) => {
                found.extend(parts.get("$ref").and_then(Value::as_str).map(str::to_owned));
                parts.values().for_each(|part| references(part, found));
            }
            _ => {}
        }
    }

    #[test]
    fn schemas_are_complete() {
        for document in CommandDocument::ALL {
            let schema = document.schema();
            assert_eq!(schema["$id"], format!("urn:foodstream:{}:1", document.name()));
            let mut found = Vec::new();
            references(schema, &mut found);
            for reference in found {
                assert!(referred(&reference, schema).is_some(), "{}: {reference}", document.name());
            }
        }
    }

    #[test]
    fn command_lines_have_documents() {
        let of = |line: &str| CommandDocument::of(&line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(of("replay --to-offset 5"), Some(CommandDocument::Replay));
        assert_eq!(of("replay --dry-run"), Some(CommandDocument::Plan));
        assert_eq!(of("replay --undo"), Some(CommandDocument::Metrics));
        assert_eq!(of("analytics --until-end"), Some(CommandDocument::Metrics));
        assert_eq!(of("audit --witnesses 3"), Some(CommandDocument::Audit));
        assert_eq!(of("clean"), None);
    }

    #[test]
    fn paths_follow_references_and_alternatives() {
        use CommandDocument::{Audit, Lag, Metrics, Plan, Produce, Replay};
        for (document, path, kinds) in [
            (Produce, "acknowledged", "an integer"),
            (Produce, "partitions.*.records", "an integer"),
            (Produce, "partitions.0.first_offset", "an integer or null"),
            (Metrics, "inventory.reserved_revenue", "a string"),
            (Metrics, "orders_by_minute.2026-11-22T12:00Z", "an integer"),
            (Metrics, "orders_by_minute", "an object"),
            (Replay, "after.by_restaurant.*.total", "an integer"),
            (Replay, "plan.0.note.raised.asked", "an integer"),
            (Replay, "verdict", "a string"),
            (Plan, "plan.*.to", "an integer"),
            (Lag, "groups.0.messages", "an integer or null"),
            (Audit, "verdict", "a string"),
            (Audit, "checks.*.violations", "an integer"),
            (Audit, "checks.0.first.records.0.offset", "an integer"),
            (Audit, "covered.0.end", "an integer"),
            (Audit, "unproved", "a list"),
        ] {
            assert_eq!(document.values_at(path).expect(path).kind_names(), kinds, "{path}");
        }
        assert!(Replay.values_at("differences.0.before.whatever").expect("any value").is_open());
    }

    #[test]
    fn unknown_parts_are_named_with_a_suggestion() {
        use CommandDocument::{Lag, Metrics, Produce};
        insta::assert_snapshot!([
            mistake(Produce, "aknowledged"),
            mistake(Produce, "x"),
            mistake(Produce, "partitions.first"),
            mistake(Produce, "partitions.*.recrods"),
            mistake(Produce, "acknowledged.total"),
            mistake(Metrics, "inventory.reserved_order"),
            mistake(Lag, "messages"),
        ].join("\n"), @r#"
        aknowledged: foodstream.produce/1 has no "aknowledged"; did you mean acknowledged?
        x: foodstream.produce/1 has no "x"; it has schema, produced, acknowledged, failed, seed, shape, start_time, first_timestamp, last_timestamp, elapsed_seconds, orders_per_second, partitions, late_p99_ms, late_max_ms
        first: "partitions" is a list and has no "first"; use 0, 1 … or *
        recrods: "partitions.*" has no "recrods"; did you mean records?
        total: "acknowledged" is an integer, which has no "total"; end the path here
        reserved_order: "inventory" has no "reserved_order"; did you mean reserved_orders?
        messages: foodstream.lag/1 has no "messages"; it has groups, not_authorized, schema
        "#);
    }

    #[test]
    fn values_have_types_and_choices() {
        let at = |document: CommandDocument, path| document.values_at(path).expect("a path");
        let revenue = at(CommandDocument::Metrics, "inventory.reserved_revenue");
        assert!(revenue.may_be_number() && revenue.may_equal(&json!("5.00")) && revenue.may_equal(&json!(5)));
        let verdict = at(CommandDocument::Replay, "verdict");
        assert!(verdict.may_equal(&json!("identical")) && !verdict.may_equal(&json!("identcal")));
        assert!(!verdict.may_equal(&json!(1)) && !verdict.may_be_number() && !verdict.may_have_members());
        assert!(verdict.choices().contains(&"identical"), "{:?}", verdict.choices());
        let records = at(CommandDocument::Produce, "acknowledged");
        assert!(records.may_equal(&json!(1)) && !records.may_equal(&json!(true)) && !records.may_equal(&json!("x")));
        assert!(at(CommandDocument::Produce, "partitions").may_have_members());
        // A string may look like a number, and does not have to be one.
        let name = at(CommandDocument::Metrics, "by_restaurant.0.restaurant");
        assert!(name.may_equal(&json!("7")) && name.may_equal(&json!("x")) && !name.may_equal(&json!(7)));
        assert!(records.may_equal(&json!("1")) && !verdict.may_equal(&json!("1")));
        let note = at(CommandDocument::Plan, "plan.0.note");
        assert!(note.may_equal(&json!("stays")) && !note.may_equal(&json!("stay")) && note.may_have_members());
    }
}
