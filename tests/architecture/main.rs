//! The rules of the architecture: which module may use which, which crates belong to one module, that `docs/ARCHITECTURE.md`
//! is true, that links lead somewhere, and the language of comments, messages and documents.
//!
//! Layers are read from the table on that page. Each rule is shown to fail on small invented sources.

mod cycles;
mod language;
mod layers;
mod links;
mod repository;
mod scanner;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use layers::Layers;
use scanner::NamedPath;

/// The largest number of lines in a file.
const LONGEST_FILE: usize = 600;

/// Modules below this layer are the core, except for the edge.
const CORE_BELOW: u32 = 20;
const EDGE: [&str; 7] = ["exit", "clock", "shutdown", "descriptors", "screen", "console", "output"];

/// What the core gets as arguments instead of using it.
const OUTSIDE: [&str; 9] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
];

/// Crates that only one module may name.
const SOLE_OWNERS: [(&str, &str); 3] = [("rdkafka", "kafka"), ("rdkafka_sys", "kafka"), ("kafka_protocol", "broker")];

/// A module that uses no other, so that it could become a crate.
const STANDALONE: &str = "broker";

/// Files that may name `process::exit`.
const EXITS: [&str; 2] = ["exit.rs", "main.rs"];

/// Names that say nothing about the contents. Such modules collect unrelated code.
const NO_NAMES: [&str; 8] = ["common", "helper", "helpers", "models", "types", "util", "utils", "misc"];

/// The broken rules of one file; `file` is its path below `src/`, with `/`.
fn problems(layers: &Layers, file: &str, source: &str) -> Vec<String> {
    let modules = module_path(file);
    let mut problems = Vec::new();

    if !source.starts_with("//!") {
        problems.push(format!("{file}:1: the first line does not say what the file contains (`//!`)"));
    }
    let lines = source.lines().count();
    if lines > LONGEST_FILE {
        problems.push(format!("{file}: {lines} lines, at most {LONGEST_FILE} are allowed"));
    }
    for name in modules.iter().chain(&scanner::modules(source)).filter(|name| NO_NAMES.contains(&name.as_str())) {
        problems.push(format!("{file}: the module name {name} says nothing about its contents"));
    }

    let module = modules.first().map_or_else(|| file.trim_end_matches(".rs"), String::as_str);
    for path in scanner::paths(source) {
        let found = [
            layer_problem(layers, module, &modules, &path),
            core_problem(layers, module, &path),
            owner_problem(module, &path),
            exit_problem(file, &path),
        ];
        let found = found.into_iter().flatten();
        problems.extend(found.map(|problem| format!("{file}:{}: {problem}", path.line)));
    }
    problems.dedup();
    problems
}

/// The module path of a file: empty for `lib.rs`, `kafka` for `kafka/mod.rs`, `kafka` and `admin` for `kafka/admin.rs`.
fn module_path(file: &str) -> Vec<String> {
    let mut modules: Vec<_> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(modules.last().map(String::as_str), Some("mod")) || matches!(file, "lib.rs" | "main.rs") {
        modules.pop();
    }
    modules
}

/// The path from the root of the crate, if it leads into the crate.
fn crate_path<'a>(modules: &'a [String], path: &'a NamedPath) -> Option<Vec<&'a str>> {
    let segments = path.segments.iter().map(String::as_str);
    match path.segments.first()?.as_str() {
        "crate" | "foodstream" => Some(segments.skip(1).collect()),
        "super" | "self" => {
            let ups = segments.clone().take_while(|segment| *segment == "super").count();
            let depth = (modules.len() + path.inside.len()).checked_sub(ups)?;
            let own = modules.iter().chain(&path.inside).map(String::as_str).take(depth);
            Some(own.chain(segments.skip_while(|segment| matches!(*segment, "super" | "self"))).collect())
        }
        // In the root itself a module needs no prefix.
        _ if modules.is_empty() && path.segments.len() > 1 => Some(segments.collect()),
        _ => None,
    }
}

fn layer_problem(layers: &Layers, module: &str, modules: &[String], path: &NamedPath) -> Option<String> {
    let target = crate_path(modules, path)?.first().copied()?;
    if target == module {
        return None;
    }
    let Some(used) = layers.modules.get(target) else {
        // The two roots contain more than modules. Elsewhere this is a glob of the whole crate, or a new name for it.
        return (!modules.is_empty())
            .then(|| format!("`{}` does not lead to a module of the table", path.segments.join("::")));
    };
    let layer = layers.modules.get(module).map(|own| own.layer)?;
    if module == STANDALONE {
        return Some(format!("{module} uses {target}, and {module} may use no other module"));
    }
    (used.layer >= layer).then(|| format!("{module} (layer {layer}) uses {target} (layer {})", used.layer))
}

fn core_problem(layers: &Layers, module: &str, path: &NamedPath) -> Option<String> {
    if EDGE.contains(&module) || layers.modules.get(module)?.layer >= CORE_BELOW {
        return None;
    }
    let full = path.segments.join("::");
    let edge =
        EDGE.iter().find(|edge| full == format!("crate::{edge}") || full.starts_with(&format!("crate::{edge}::")));
    let outside = OUTSIDE.iter().find(|name| full == **name || full.starts_with(&format!("{name}::")));
    edge.or(outside).map(|_| format!("{module} belongs to the core and names `{full}`"))
}

fn owner_problem(module: &str, path: &NamedPath) -> Option<String> {
    let (name, owner) = SOLE_OWNERS.iter().find(|(name, _)| path.segments.iter().any(|segment| segment == name))?;
    (module != *owner).then(|| format!("{module} names `{name}`, and only {owner} may"))
}

fn exit_problem(file: &str, path: &NamedPath) -> Option<String> {
    let named = path.segments.windows(2).any(|pair| pair == ["process", "exit"]);
    (named && !EXITS.contains(&file)).then(|| "only exit.rs and main.rs may name `process::exit`".to_owned())
}

/// Differences between the table and `src/`; `entries` are the names at the top of `src/`, directories with a slash.
fn table_problems(layers: &Layers, entries: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in entries {
        match layers.modules.values().find(|module| module.entry == *entry) {
            None => problems.push(format!("src/{entry} is not in the table of modules")),
            Some(module) if module.planned => {
                problems.push(format!("src/{entry} exists, and the table says it is planned"));
            }
            Some(_) => {}
        }
    }
    let missing = layers.modules.values().filter(|module| !module.planned && !entries.contains(&module.entry));
    problems.extend(missing.map(|module| format!("the table names {}, which is not in src/", module.entry)));
    problems
}

/// Paths between backticks on the page that exist neither at the root nor in `src/`, and are not planned.
fn dangling_paths(layers: &Layers, page: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let ends = ["/", ".rs", ".md", ".toml", ".yml"].iter().any(|end| text.ends_with(end));
        ends && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
    };
    let planned = |text: &str| layers.modules.values().any(|module| module.planned && text.starts_with(&module.entry));
    let dangling =
        quoted.filter(is_path).filter(|text| !exists(text) && !exists(&format!("src/{text}")) && !planned(text));
    dangling.map(|text| format!("the page names {text}, which does not exist")).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md can be read")
}

/// Directories that are not part of the project's sources.
const SKIPPED: [&str; 5] = ["target", "dist", ".git", ".foodstream", "scenario-report"];

/// The files of the project with one of these extensions, and the scripts without any: paths from the root, with `/`.
fn files(extensions: &[&str]) -> Vec<String> {
    let (mut found, mut directories) = (Vec::new(), vec![root()]);
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(&directory).expect("the directory can be read") {
            let path = entry.expect("the entry can be read").path();
            let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            if path.is_dir() {
                if !SKIPPED.contains(&name.as_str()) {
                    directories.push(path);
                }
                continue;
            }
            let file = path.strip_prefix(root()).expect("below the root").to_string_lossy().replace('\\', "/");
            let wanted = match name.rsplit_once('.') {
                Some((_, extension)) => extensions.contains(&extension),
                None => file.starts_with("scripts/") || file.starts_with(".ci/"),
            };
            if wanted {
                found.push(file);
            }
        }
    }
    found.sort();
    found
}

/// The Rust files of the program with their contents: paths below `src/`.
fn sources() -> Vec<(String, String)> {
    let files = files(&["rs"]);
    let below_src = files.iter().filter_map(|file| file.strip_prefix("src/"));
    let read = |file: &str| fs::read_to_string(root().join("src").join(file)).expect("the file can be read");
    below_src.map(|file| (file.to_owned(), read(file))).collect()
}

#[test]
fn every_file_keeps_the_rules() {
    let layers = Layers::read(&page()).expect("the table of modules is valid");
    let sources = sources();
    assert!(sources.len() > 10, "only {} files were checked", sources.len());
    let problems: Vec<_> = sources.iter().flat_map(|(file, source)| problems(&layers, file, source)).collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_architecture_page_is_true() {
    let layers = Layers::read(&page()).expect("the table of modules is valid");
    let entries = fs::read_dir(root().join("src")).expect("src can be read").map(|entry| {
        let path = entry.expect("the entry can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() { name + "/" } else { name }
    });
    let mut problems = table_problems(&layers, &entries.collect());
    problems.extend(dangling_paths(&layers, &page(), |path| root().join(path).exists()));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

// --- the rules can fail -------------------------------------------------------------------------------------------

/// A small crate: two modules at the bottom, two of the core, report above them, the edge, Kafka, broker, commands.
fn small_crate() -> Layers {
    let mut page = "| module | layer | contents |\n| --- | --- | --- |\n".to_owned();
    for (entry, layer) in [
        ("lib.rs", "0"),
        ("domain/", "0"),
        ("state/", "0"),
        ("exit.rs", "5"),
        ("console.rs", "6"),
        ("inventory/", "10"),
        ("analytics/", "10"),
        ("report/", "15"),
        ("kafka/", "20"),
        ("broker/", "20"),
        ("stream/", "30"),
        ("commands/", "40"),
        ("main.rs", "90"),
    ] {
        page += &["| `", entry, "` | ", layer, " | it |\n"].concat();
    }
    Layers::read(&page).expect("the table is valid")
}

fn check(file: &str, code: &str) -> Vec<String> {
    problems(&small_crate(), file, &format!("//! Contents.\n{code}"))
}

#[test]
fn lower_layers_and_the_own_module_may_be_used() {
    for (file, code) in [
        ("stream/mod.rs", "use crate::kafka::Client; use crate::{exit, domain::{Order, Cents}};"),
        (
            "stream/batch.rs",
            "use super::Client; use crate::stream::batch; mod tests { use super::*; use super::super::Client; }",
        ),
        ("report/text_table.rs", "use super::super::analytics::Metrics;"),
        ("exit.rs", "pub(crate) fn leave() { std::process::exit(3) } use std::fs;"),
        ("main.rs", "use foodstream::{commands, exit}; fn main() { std::process::exit(commands::run()) }"),
        ("main.rs", "mod tests { use super::*; use crate::leave; fn f(&self) { self.go(); super::stop() } }"),
        ("lib.rs", "pub mod domain; pub mod kafka;"),
        (
            "inventory/mod.rs",
            "use std::time::Duration; // crate::kafka, std::fs\nconst A: &str = \"crate::kafka rdkafka\";",
        ),
        ("kafka/admin.rs", "use rdkafka::admin::AdminClient;"),
        ("commands/produce.rs", "use std::time::Instant; let code = process::ExitCode::from(3);"),
    ] {
        assert_eq!(check(file, code), Vec::<String>::new(), "{file}: {code}");
    }
}

#[test]
fn equal_and_higher_layers_are_refused() {
    for (file, code, problem) in [
        ("domain/order.rs", "use crate::state::Table;", "domain (layer 0) uses state (layer 0)"),
        ("inventory/mod.rs", "fn f(x: crate::analytics::Metrics) {}", "inventory (layer 10) uses analytics (layer 10)"),
        (
            "kafka/mod.rs",
            "\nuse crate::{domain::Order, stream::{self, Batch}};",
            "kafka (layer 20) uses stream (layer 30)",
        ),
        ("kafka/mod.rs", "use super::commands;", "kafka (layer 20) uses commands (layer 40)"),
        ("kafka/admin.rs", "use super::super::commands::run;", "kafka (layer 20) uses commands (layer 40)"),
        (
            "kafka/admin.rs",
            "mod tests { use super::super::super::commands; }",
            "kafka (layer 20) uses commands (layer 40)",
        ),
        ("exit.rs", "use super::console;", "exit (layer 5) uses console (layer 6)"),
        ("exit.rs", "use foodstream::console;", "exit (layer 5) uses console (layer 6)"),
        ("exit.rs", "macro_rules! m { () => { $crate::console::say() } }", "exit (layer 5) uses console (layer 6)"),
        ("lib.rs", "pub use domain::Cents;", "lib (layer 0) uses domain (layer 0)"),
        ("lib.rs", "pub use self::domain::Cents;", "lib (layer 0) uses domain (layer 0)"),
        ("stream/mod.rs", "use crate::*;", "`crate::*` does not lead to a module of the table"),
        ("stream/mod.rs", "use crate as other;", "`crate::as` does not lead to a module of the table"),
        ("stream/mod.rs", "use crate::{self as other};", "`crate::self::as` does not lead to a module of the table"),
        ("stream/mod.rs", "use crate::attic::Box;", "`crate::attic::Box` does not lead to a module of the table"),
        ("broker/mod.rs", "use crate::domain::Order;", "broker uses domain, and broker may use no other module"),
    ] {
        let line = if code.starts_with('\n') { 3 } else { 2 };
        assert_eq!(check(file, code), [format!("{file}:{line}: {problem}")], "{code}");
    }
}

#[test]
fn the_core_names_neither_edge_nor_outside() {
    for name in
        ["std::fs", "std::env::var", "std::net::TcpStream", "std::thread::spawn", "std::time::Instant", "tokio::spawn"]
    {
        let problem = format!("analytics/mod.rs:2: analytics belongs to the core and names `{name}`");
        assert_eq!(check("analytics/mod.rs", &format!("fn f() {{ {name}() }}")), [problem]);
    }
    let grouped = check("report/mod.rs", "use std::{fmt, time::{Duration, SystemTime}};");
    assert_eq!(grouped, ["report/mod.rs:2: report belongs to the core and names `std::time::SystemTime`"]);
    let edge = check("report/mod.rs", "use crate::console::say;");
    assert_eq!(edge, ["report/mod.rs:2: report belongs to the core and names `crate::console::say`"]);
}

#[test]
fn only_the_owner_names_a_crate() {
    for (file, code, problem) in [
        ("stream/mod.rs", "use rdkafka::Message;", "stream names `rdkafka`, and only kafka may"),
        ("commands/lag.rs", "let e: ::rdkafka_sys::Error;", "commands names `rdkafka_sys`, and only kafka may"),
        ("kafka/mod.rs", "use kafka_protocol::messages;", "kafka names `kafka_protocol`, and only broker may"),
        ("commands/mod.rs", "std::process::exit(1);", "only exit.rs and main.rs may name `process::exit`"),
        (
            "commands/mod.rs",
            "use std::{io, process::{self, exit}};",
            "only exit.rs and main.rs may name `process::exit`",
        ),
    ] {
        assert_eq!(check(file, code), [format!("{file}:2: {problem}")], "{code}");
    }
}

#[test]
fn empty_module_names_are_refused() {
    let expected = |file: &str, name: &str| [format!("{file}: the module name {name} says nothing about its contents")];
    assert_eq!(check("kafka/utils.rs", ""), expected("kafka/utils.rs", "utils"));
    assert_eq!(check("kafka/types/mod.rs", ""), expected("kafka/types/mod.rs", "types"));
    assert_eq!(check("kafka/mod.rs", "mod tests { mod helpers {} }"), expected("kafka/mod.rs", "helpers"));
}

#[test]
fn silent_and_long_files_are_refused() {
    let silent = problems(&small_crate(), "kafka/mod.rs", "use std::fmt;\n//! Late.\n");
    assert_eq!(silent, ["kafka/mod.rs:1: the first line does not say what the file contains (`//!`)"]);
    assert_eq!(check("kafka/mod.rs", &"\n".repeat(599)), Vec::<String>::new());
    assert_eq!(check("kafka/mod.rs", &"\n".repeat(600)), ["kafka/mod.rs: 601 lines, at most 600 are allowed"]);
}

#[test]
fn a_false_page_is_refused() {
    let table = "| module | layer | contents |\n| --- | --- | --- |\n| `a/` | 0 | a |\n| `b.rs` | 5 | planned: b |\n| `c/` | 5 | c |";
    let layers = Layers::read(table).expect("the table is valid");
    let entries = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(table_problems(&layers, &entries(&["a/", "c/"])), Vec::<String>::new());
    assert_eq!(table_problems(&layers, &entries(&["a/"])), ["the table names c/, which is not in src/"]);
    assert_eq!(table_problems(&layers, &entries(&["a/", "c/", "d/"])), ["src/d/ is not in the table of modules"]);
    assert_eq!(
        table_problems(&layers, &entries(&["a/", "b.rs", "c/"])),
        ["src/b.rs exists, and the table says it is planned"]
    );

    let page = "`a/`, `b.rs`, `a/x.rs`, `README.md`, `cargo test`, `process::exit` and `gone/y.rs`";
    let exists = |path: &str| ["src/a/", "src/a/x.rs", "README.md"].contains(&path);
    assert_eq!(dangling_paths(&layers, page, exists), ["the page names gone/y.rs, which does not exist"]);
}
