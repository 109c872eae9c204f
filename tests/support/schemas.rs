//! JSON Schemas of `schemas/`, read once; references are resolved only among them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::Value;

pub struct Schema {
    #[allow(dead_code, reason = "some suites only validate documents")]
    pub text: Value,
    validator: Validator,
}

impl Schema {
    /// The validation errors of a value, each with its path.
    pub fn problems(&self, value: &Value) -> Vec<String> {
        let problem = |error: jsonschema::ValidationError<'_>| {
            let mut text = format!("{}: {error}", error.instance_path());
            // The error quotes a nested document in full.
            if let Some((end, _)) = text.char_indices().nth(600) {
                text.truncate(end);
            }
            text
        };
        self.validator.iter_errors(value).map(problem).collect()
    }

    #[allow(dead_code, reason = "some suites only list the errors")]
    pub fn takes(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }
}

static SCHEMAS: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(read);

/// Every schema by name: its path in `schemas/` without the extension, such as `metrics` or `events/order-placed`.
pub fn schemas() -> &'static BTreeMap<String, Schema> {
    &SCHEMAS
}

/// The validation errors of a document against the schema that its `schema` field names.
pub fn document_problems(document: &Value) -> Vec<String> {
    let Some(schema) = document["schema"].as_str() else { return vec!["it has no `schema` field".to_owned()] };
    let name = schema.strip_prefix("foodstream.").and_then(|name| name.strip_suffix("/1"));
    match name.and_then(|name| schemas().get(name)) {
        Some(schema) => schema.problems(document),
        None => vec![format!("{schema} has no schema in schemas/")],
    }
}

/// The validation errors of the documents on a process's stdout; other output is ignored. A document that was truncated
/// by a kill is skipped.
#[allow(dead_code, reason = "suites without processes do not use it")]
pub fn output_problems(stdout: &str) -> Vec<String> {
    let values = serde_json::Deserializer::from_str(stdout).into_iter::<Value>();
    let documents = values.map_while(Result::ok).take_while(Value::is_object);
    documents.flat_map(|document| document_problems(&document)).collect()
}

fn read() -> BTreeMap<String, Schema> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    let texts: BTreeMap<String, Value> = files(&folder)
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&folder).expect("below it").to_str().expect("UTF-8").to_owned();
            let name =
                path.strip_suffix(".schema.json").unwrap_or_else(|| panic!("{path} does not end with .schema.json"));
            let text = std::fs::read_to_string(&file).expect("read");
            (name.to_owned(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")))
        })
        .collect();
    let mut registry = Registry::new();
    for (name, text) in &texts {
        let id = text["$id"].as_str().unwrap_or_else(|| panic!("{name} has no $id"));
        registry = registry.add(id, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let registry = registry.prepare().expect("every reference resolves");
    let validator = |name: &str, text: &Value| {
        let options = jsonschema::options().with_registry(&registry).should_validate_formats(true).offline();
        options.build(text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    texts
        .iter()
        .map(|(name, text)| (name.clone(), Schema { text: text.clone(), validator: validator(name, text) }))
        .collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files
}
