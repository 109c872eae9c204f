//! Owns damage: every way to take one thing away from a document, to add one, or to make one another type.

use serde_json::{Map, Value, json};

/// What was done to a document, where, and what came of it.
pub struct Mutant {
    pub what: &'static str,
    /// Names and numbers from the root to the place, `/` before each.
    pub path: String,
    pub value: Value,
}

/// Every mutant of a document.
pub fn mutants(document: &Value) -> Vec<Mutant> {
    let mut found = Vec::new();
    walk(document, "", &mut |what, path, place, change| {
        let mut value = document.clone();
        *value.pointer_mut(place).expect("stands") = change;
        found.push(Mutant { what, path: path.to_owned(), value });
    });
    found
}

/// What to do at a place: what it is called, the path that it is told by, the place to write to, and what to write.
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

/// Values that are none of this kind. What stands at `null` may be of any simple type otherwise.
fn others(value: &Value) -> Vec<Value> {
    match value {
        Value::Null => vec![json!(true), json!([[]]), json!({"": {}})],
        Value::Bool(_) => vec![Value::Null, json!("\0"), json!(7), json!([[]]), json!({"": {}})],
        // Between whole numbers where one is whole, and a number as a text.
        Value::Number(number) if !number.is_f64() => {
            vec![Value::Null, json!(true), json!("7"), json!(7.5), json!([[]]), json!({"": {}})]
        }
        Value::Number(_) => vec![Value::Null, json!(true), json!("7.5"), json!([[]]), json!({"": {}})],
        Value::String(_) => vec![Value::Null, json!(true), json!(7), json!([[]]), json!({"": {}})],
        Value::Array(_) => vec![Value::Null, json!(true), json!(7), json!("\0"), json!({"": {}})],
        Value::Object(_) => vec![Value::Null, json!(true), json!(7), json!("\0"), json!([[]])],
    }
}
