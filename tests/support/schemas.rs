//! Owns the JSON Schemas of `schemas/` as tests use them: read once, their references looked up among themselves and
//! nowhere else.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::Value;

/// One schema.
pub struct Schema {
    /// The schema itself.
    #[allow(dead_code, reason = "some suites look at documents alone")]
    pub text: Value,
    validator: Validator,
}

impl Schema {
    /// What is wrong with a value, each with its place in it; nothing if it is as the schema says.
    pub fn problems(&self, value: &Value) -> Vec<String> {
        let problem = |error: jsonschema::ValidationError<'_>| {
            let mut text = format!("{}: {error}", error.instance_path());
            // A document within a document is quoted whole.
            if let Some((end, _)) = text.char_indices().nth(600) {
                text.truncate(end);
            }
            text
        };
        self.validator.iter_errors(value).map(problem).collect()
    }

    /// Whether a value is as the schema says.
    #[allow(dead_code, reason = "some suites only ask what is wrong")]
    pub fn takes(&self, value: &Value) -> bool {
        self.validator.is_valid(value)
    }
}

static SCHEMAS: LazyLock<BTreeMap<String, Schema>> = LazyLock::new(read);

/// Every schema by its name: its path in `schemas/` without the ending, as in `metrics` and `events/order-placed`.
pub fn schemas() -> &'static BTreeMap<String, Schema> {
    &SCHEMAS
}

/// What is wrong with a document, by the schema that its `schema` names.
pub fn document_problems(document: &Value) -> Vec<String> {
    let Some(schema) = document["schema"].as_str() else { return vec!["it does not say what it is".to_owned()] };
    let name = schema.strip_prefix("foodstream.").and_then(|name| name.strip_suffix("/1"));
    match name.and_then(|name| schemas().get(name)) {
        Some(schema) => schema.problems(document),
        None => vec![format!("{schema} has no schema in schemas/")],
    }
}

/// What is wrong with the documents that a process wrote to its stdout; nothing if it wrote anything else. One that was
/// cut off, as its writer was killed, is left out.
#[allow(dead_code, reason = "without a broker there are no processes")]
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
            let name = path.strip_suffix(".schema.json").unwrap_or_else(|| panic!("{path} is no schema's name"));
            let text = std::fs::read_to_string(&file).expect("read");
            (name.to_owned(), serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}")))
        })
        .collect();
    let mut registry = Registry::new();
    for (name, text) in &texts {
        let id = text["$id"].as_str().unwrap_or_else(|| panic!("{name} has no $id"));
        registry = registry.add(id, text).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
    let registry = registry.prepare().expect("every reference leads somewhere");
    let validator = |name: &str, text: &Value| {
        let options = jsonschema::options().with_registry(&registry).should_validate_formats(true).offline();
        options.build(text).unwrap_or_else(|error| panic!("{name}: {error}"))
    };
    texts
        .iter()
        .map(|(name, text)| (name.clone(), Schema { text: text.clone(), validator: validator(name, text) }))
        .collect()
}

/// Every file below a folder.
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
