//! Mutations of a document: each field removed, a field added, and each value replaced by another type.

use serde_json::{Map, Value, json};

/// A mutated document.
pub struct Mutant {
    pub what: &'static str,
    /// The JSON pointer of the mutation.
    pub path: String,
    pub value: Value,
}

/// Every mutant of a document.
pub fn mutants(document: &Value) -> Vec<Mutant> {
    let mut found = Vec::new();
    walk(document, "", &mut |what, path, place, change| {
        let mut value = document.clone();
        *value.pointer_mut(place).expect("exists") = change;
        found.push(Mutant { what, path: path.to_owned(), value });
    });
    found
}

/// Applies a mutation: its name, its path for messages, the pointer to replace, and the new value.
type Change<'a> = dyn FnMut(&'static str, &str, &str, Value) + 'a;

fn walk(here: &Value, path: &str, change: &mut Change<'_>) {
    for other in others(here) {
        let what = if other.is_null() { "null" } else { "another type" };
        change(what, path, path, other);
    }
    match here {
        Value::Object(fields) => {
            let more: Map<_, _> = fields.clone().into_iter().chain([("unknown".to_owned(), json!(7))]).collect();
            change("one more", path, path, more.into());
            for (name, field) in fields {
                let inner = format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
                let fewer: Map<_, _> = fields.clone().into_iter().filter(|(other, _)| other != name).collect();
                change("missing", &inner, path, fewer.into());
                walk(field, &inner, change);
            }
        }
        Value::Array(rows) => {
            for (index, row) in rows.iter().enumerate() {
                walk(row, &format!("{path}/{index}"), change);
            }
        }
        _ => {}
    }
}

/// Values of other types. The field of a `null` may have any simple type, so only complex ones are used there.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!(true), json!([[]]), json!({"": {}})],
        Value::Bool(_) => vec![Value::Null, json!("\0"), json!(7), json!([[]]), json!({"": {}})],
        // For an integer also a fraction, and a number as a string.
        Value::Number(number) if !number.is_f64() => {
            vec![Value::Null, json!(true), json!("7"), json!(7.5), json!([[]]), json!({"": {}})]
        }
        Value::Number(_) => vec![Value::Null, json!(true), json!("7.5"), json!([[]]), json!({"": {}})],
        Value::String(_) => vec![Value::Null, json!(true), json!(7), json!([[]]), json!({"": {}})],
        Value::Array(_) => vec![Value::Null, json!(true), json!(7), json!("\0"), json!({"": {}})],
        Value::Object(_) => vec![Value::Null, json!(true), json!(7), json!("\0"), json!([[]])],
    }
}
