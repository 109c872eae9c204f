//! Tests of `schemas/` without a broker: what each schema accepts and rejects, and that none is missing or unused. The
//! broker suite validates every document and record against the same schemas.

mod examples;
mod mutation;
mod orders;
#[path = "../support/samples.rs"]
mod samples;
#[path = "../support/schemas.rs"]
mod schemas;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use schemas::schemas;
use serde_json::Value;

#[test]
fn schemas_are_valid_and_named() {
    for (name, schema) in schemas() {
        let text = &schema.text;
        assert_eq!(text["$schema"], "https://json-schema.org/draft/2020-12/schema", "{name}");
        if let Err(error) = jsonschema::meta::validate(text) {
            panic!("{name}: {}: {error}", error.instance_path());
        }
        let (id, title) = (&text["$id"], &text["title"]);
        if let Some(event) = name.strip_prefix("events/") {
            assert_eq!(*id, format!("urn:foodstream:event:{event}"));
        } else {
            assert_eq!(*id, format!("urn:foodstream:{name}:1"));
            assert_eq!(*title, format!("foodstream.{name}/1"));
            assert_eq!(text["properties"]["schema"]["const"], *title);
        }
    }
}

#[test]
fn fields_are_described_and_objects_are_closed() {
    let mut problems = Vec::new();
    for (name, schema) in schemas() {
        check(&schema.text, &schema.text, name, &mut problems);
    }
    assert!(problems.is_empty(), "{problems:#?}");
}

fn check(whole: &Value, here: &Value, place: &str, problems: &mut Vec<String>) {
    match here {
        Value::Array(parts) => parts.iter().for_each(|part| check(whole, part, place, problems)),
        Value::Object(parts) => {
            let is_closed =
                ["additionalProperties", "unevaluatedProperties"].iter().any(|word| parts.contains_key(*word));
            if here["type"] == "object" && !is_closed {
                problems.push(format!("{place}: the object does not say whether other fields are allowed"));
            }
            let fields = here["properties"].as_object();
            for (field, described) in fields.into_iter().flatten() {
                let referred = described["$ref"].as_str().and_then(|to| whole.pointer(to.strip_prefix('#')?));
                let words = [described, referred.unwrap_or(&Value::Null)].map(|text| text["description"].is_string());
                if words == [false, false] {
                    problems.push(format!("{place}/{field} has no description"));
                }
            }
            let required = here["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            for field in required.filter(|field| !fields.is_some_and(|fields| fields.contains_key(*field))) {
                problems.push(format!("{place}: {field} is required, but not described"));
            }
            // A condition on fields does not describe them again.
            for (key, part) in parts.iter().filter(|(key, _)| !["if", "then", "else"].contains(&key.as_str())) {
                check(whole, part, &format!("{place}/{key}"), problems);
            }
        }
        _ => {}
    }
}

#[test]
fn documents_and_schemas_match() {
    let mut named = BTreeSet::new();
    names_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut named);
    assert!(named.len() >= 9, "{named:?}");
    let described: BTreeSet<_> = schemas().keys().filter(|name| !name.contains('/')).cloned().collect();
    assert_eq!(named, described);
}

/// Every NAME of a `foodstream.NAME/1` in the sources below a directory.
fn names_in(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            names_in(&path, names);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let source = std::fs::read_to_string(path).expect("UTF-8");
            for (start, _) in source.match_indices("foodstream.") {
                let rest = &source[start + "foodstream.".len()..];
                let name: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
                if rest[name.len()..].starts_with("/1") {
                    names.insert(name);
                }
            }
        }
    }
}

fn every_example() -> examples::Examples {
    [examples::documents(), examples::events()].concat()
}

#[test]
fn schemas_accept_their_examples() {
    let mut without: BTreeSet<_> = schemas().keys().map(String::as_str).collect();
    for (name, example) in every_example() {
        without.remove(name);
        let problems = schemas()[name].problems(&example);
        assert!(problems.is_empty(), "{name}: {problems:#?}");
    }
    assert!(without.is_empty(), "without an example: {without:?}");
    for (name, document) in examples::documents() {
        assert_eq!(schemas::document_problems(&document), Vec::<String>::new(), "{name}");
    }
}

#[test]
fn schemas_reject_other_examples() {
    for (name, example) in every_example() {
        let takers = schemas().iter().filter(|(_, schema)| schema.takes(&example)).map(|(name, _)| name.as_str());
        assert_eq!(takers.collect::<Vec<_>>(), [name]);
    }
}

/// The snapshot has all mutations that a schema accepts. In paths, `*` is a row, a minute or the name of a count.
#[test]
fn schemas_reject_mutations() {
    let mut taken: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    let mut refused = 0;
    for (name, example) in every_example() {
        for mutant in mutation::mutants(&example) {
            if schemas()[name].takes(&mutant.value) {
                taken.entry(name).or_default().insert(format!("{}: {}", mutant.what, general(&mutant.path)));
            } else {
                refused += 1;
            }
        }
    }
    assert!(refused > 4_000, "{refused}");
    let lines = taken.into_iter().flat_map(|(name, taken)| {
        [name.to_owned()].into_iter().chain(taken.into_iter().map(|taken| format!("  {taken}")))
    });
    insta::assert_snapshot!("accepted_mutations", lines.collect::<Vec<_>>().join("\n"));
}

fn general(path: &str) -> String {
    let general = |part: &str| {
        let is_row = part.bytes().all(|byte| byte.is_ascii_digit()) || part.ends_with('Z');
        if is_row && !part.is_empty() { "*".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(general).collect::<Vec<_>>().join("/")
}
