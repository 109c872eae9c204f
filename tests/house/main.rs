//! Owns the rules of the house: who may use whom, who alone names what, and that `docs/ARCHITECTURE.md` tells the truth.
//!
//! Ranks are read from the table on that page. Every rule is shown to fail on small invented sources.

mod plan;
mod scanner;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use plan::Plan;
use scanner::NamedPath;

/// The longest that a file may be, in lines.
const LONGEST_FILE: usize = 600;

/// Rooms below this rank are the core, but for the rim.
const CORE_BELOW: u32 = 20;
const RIM: [&str; 6] = ["exit", "clock", "shutdown", "descriptors", "console", "output"];

/// What the core is handed instead of reaching for it.
const WORLD: [&str; 9] = [
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

/// Crates that one room alone may name.
const SOLE_OWNERS: [(&str, &str); 3] = [("rdkafka", "kafka"), ("rdkafka_sys", "kafka"), ("kafka_protocol", "broker")];

/// A room that uses no other, so that it could be taken out.
const WING: &str = "broker";

/// Files that may name `process::exit`.
const EXITS: [&str; 2] = ["exit.rs", "main.rs"];

/// Kinds instead of domains: they attract whatever has no home.
const NO_NAMES: [&str; 9] = ["common", "helper", "helpers", "models", "model", "types", "util", "utils", "misc"];

/// What is wrong with one file; `file` is its path below `src/`, with `/`.
fn problems(plan: &Plan, file: &str, source: &str) -> Vec<String> {
    let modules = module_path(file);
    let mut problems = Vec::new();

    if !source.starts_with("//!") {
        problems.push(format!("{file}:1: the first line does not say what the file owns (`//!`)"));
    }
    let lines = source.lines().count();
    if lines > LONGEST_FILE {
        problems.push(format!("{file}: {lines} lines, and {LONGEST_FILE} are the most"));
    }
    for name in modules.iter().chain(&scanner::modules(source)).filter(|name| NO_NAMES.contains(&name.as_str())) {
        problems.push(format!("{file}: a module is called {name}, which says nothing about what it owns"));
    }

    let room = modules.first().map_or_else(|| file.trim_end_matches(".rs"), String::as_str);
    for path in scanner::paths(source) {
        let found = [
            rank_problem(plan, room, &modules, &path),
            core_problem(plan, room, &path),
            owner_problem(room, &path),
            exit_problem(file, &path),
        ];
        let found = found.into_iter().flatten();
        problems.extend(found.map(|problem| format!("{file}:{}: {problem}", path.line)));
    }
    problems.dedup();
    problems
}

/// The modules that a file stands for: none for `lib.rs`, `kafka` for `kafka/mod.rs`, `kafka` and `admin` for `kafka/admin.rs`.
fn module_path(file: &str) -> Vec<String> {
    let mut modules: Vec<_> = file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(modules.last().map(String::as_str), Some("mod")) || matches!(file, "lib.rs" | "main.rs") {
        modules.pop();
    }
    modules
}

/// The first segment after the root of the crate, if a path leads there; what no room is called comes out too.
fn target<'a>(modules: &'a [String], path: &'a NamedPath) -> Option<&'a str> {
    let segments = &path.segments;
    match segments.first()?.as_str() {
        "crate" | "foodstream" => segments.get(1).map(String::as_str),
        "super" | "self" => {
            let ups = segments.iter().take_while(|segment| *segment == "super").count();
            let rest = segments.iter().skip_while(|segment| matches!(segment.as_str(), "super" | "self"));
            let depth = (modules.len() + path.inside.len()).checked_sub(ups)?;
            modules.iter().chain(&path.inside).take(depth).chain(rest).next().map(String::as_str)
        }
        // In the root itself a room needs no prefix.
        first if modules.is_empty() && segments.len() > 1 => Some(first),
        _ => None,
    }
}

fn rank_problem(plan: &Plan, room: &str, modules: &[String], path: &NamedPath) -> Option<String> {
    let target = target(modules, path)?;
    if target == room {
        return None;
    }
    let Some(used) = plan.rooms.get(target) else {
        // The two roots may hold more than rooms; elsewhere only a whole-crate glob or a new name for it ends up here.
        return (!modules.is_empty()).then(|| format!("`{}` leads to no room of the plan", path.segments.join("::")));
    };
    let rank = plan.rooms.get(room).map(|own| own.rank)?;
    if room == WING {
        return Some(format!("{room} uses {target}, and {room} must stand alone"));
    }
    (used.rank >= rank).then(|| format!("{room} (rank {rank}) uses {target} (rank {})", used.rank))
}

fn core_problem(plan: &Plan, room: &str, path: &NamedPath) -> Option<String> {
    if RIM.contains(&room) || plan.rooms.get(room)?.rank >= CORE_BELOW {
        return None;
    }
    let full = path.segments.join("::");
    let rim = RIM.iter().find(|rim| full == format!("crate::{rim}") || full.starts_with(&format!("crate::{rim}::")));
    let world = WORLD.iter().find(|name| full == **name || full.starts_with(&format!("{name}::")));
    rim.or(world).map(|_| format!("{room} is of the core and names `{full}`"))
}

fn owner_problem(room: &str, path: &NamedPath) -> Option<String> {
    let (name, owner) = SOLE_OWNERS.iter().find(|(name, _)| path.segments.iter().any(|segment| segment == name))?;
    (room != *owner).then(|| format!("{room} names `{name}`, and only {owner} may"))
}

fn exit_problem(file: &str, path: &NamedPath) -> Option<String> {
    let named = path.segments.windows(2).any(|pair| pair == ["process", "exit"]);
    (named && !EXITS.contains(&file)).then(|| "only exit.rs and main.rs may name `process::exit`".to_owned())
}

/// Where plan and `src/` disagree; `entries` are the names at the top of `src/`, folders with a slash.
fn plan_problems(plan: &Plan, entries: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for entry in entries {
        match plan.rooms.values().find(|room| room.entry == *entry) {
            None => problems.push(format!("src/{entry} is not in the table of rooms")),
            Some(room) if room.to_come => {
                problems.push(format!("src/{entry} is built, and the table says it is to come"));
            }
            Some(_) => {}
        }
    }
    let missing = plan.rooms.values().filter(|room| !room.to_come && !entries.contains(&room.entry));
    problems.extend(missing.map(|room| format!("the table names {}, which is not in src/", room.entry)));
    problems
}

/// Paths between backticks on the page that exist neither at the root nor in `src/`, and are not to come either.
fn dangling_paths(plan: &Plan, page: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    let quoted = page.split('`').skip(1).step_by(2);
    let is_path = |text: &&str| {
        let ends = ["/", ".rs", ".md", ".toml", ".yml"].iter().any(|end| text.ends_with(end));
        ends && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c))
    };
    let to_come = |text: &str| plan.rooms.values().any(|room| room.to_come && text.starts_with(&room.entry));
    let dangling =
        quoted.filter(is_path).filter(|text| !exists(text) && !exists(&format!("src/{text}")) && !to_come(text));
    dangling.map(|text| format!("the page names {text}, which does not exist")).collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn page() -> String {
    fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("docs/ARCHITECTURE.md can be read")
}

/// Every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let path = entry.expect("the entry can be read").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_file_keeps_the_rules_of_the_house() {
    let plan = Plan::read(&page()).expect("the table of rooms is sound");
    let src = root().join("src");
    let files = rust_files(&src);
    assert!(files.len() > 10, "only {} files were looked at", files.len());
    let problems: Vec<_> = files
        .iter()
        .flat_map(|path| {
            let file = path.strip_prefix(&src).expect("the file is below src").to_string_lossy().replace('\\', "/");
            problems(&plan, &file, &fs::read_to_string(path).expect("the file can be read"))
        })
        .collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn the_architecture_page_names_what_is_there_and_nothing_else() {
    let plan = Plan::read(&page()).expect("the table of rooms is sound");
    let entries = fs::read_dir(root().join("src")).expect("src can be read").map(|entry| {
        let path = entry.expect("the entry can be read").path();
        let name = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
        if path.is_dir() { name + "/" } else { name }
    });
    let mut problems = plan_problems(&plan, &entries.collect());
    problems.extend(dangling_paths(&plan, &page(), |path| root().join(path).exists()));
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

// --- the rules can fail -------------------------------------------------------------------------------------------

/// A small house: two cellars, two core rooms, report above them, the rim, Kafka, broker, commands.
fn small_house() -> Plan {
    let mut page = "| room | rank | owns |\n| --- | --- | --- |\n".to_owned();
    for (entry, rank) in [
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
        page += &["| `", entry, "` | ", rank, " | it |\n"].concat();
    }
    Plan::read(&page).expect("the table is sound")
}

fn check(file: &str, code: &str) -> Vec<String> {
    problems(&small_house(), file, &format!("//! Owns it.\n{code}"))
}

#[test]
fn lower_rooms_and_the_own_room_may_be_used() {
    for (file, code) in [
        ("stream/mod.rs", "use crate::kafka::Door; use crate::{exit, domain::{Order, Cents}};"),
        (
            "stream/batch.rs",
            "use super::Door; use crate::stream::batch; mod tests { use super::*; use super::super::Door; }",
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
fn rooms_of_equal_or_higher_rank_are_refused_however_they_are_named() {
    for (file, code, problem) in [
        ("domain/order.rs", "use crate::state::Table;", "domain (rank 0) uses state (rank 0)"),
        ("inventory/mod.rs", "fn f(x: crate::analytics::Metrics) {}", "inventory (rank 10) uses analytics (rank 10)"),
        (
            "kafka/mod.rs",
            "\nuse crate::{domain::Order, stream::{self, Batch}};",
            "kafka (rank 20) uses stream (rank 30)",
        ),
        ("kafka/mod.rs", "use super::commands;", "kafka (rank 20) uses commands (rank 40)"),
        ("kafka/admin.rs", "use super::super::commands::run;", "kafka (rank 20) uses commands (rank 40)"),
        (
            "kafka/admin.rs",
            "mod tests { use super::super::super::commands; }",
            "kafka (rank 20) uses commands (rank 40)",
        ),
        ("exit.rs", "use super::console;", "exit (rank 5) uses console (rank 6)"),
        ("exit.rs", "use foodstream::console;", "exit (rank 5) uses console (rank 6)"),
        ("exit.rs", "macro_rules! m { () => { $crate::console::say() } }", "exit (rank 5) uses console (rank 6)"),
        ("lib.rs", "pub use domain::Cents;", "lib (rank 0) uses domain (rank 0)"),
        ("lib.rs", "pub use self::domain::Cents;", "lib (rank 0) uses domain (rank 0)"),
        ("stream/mod.rs", "use crate::*;", "`crate::*` leads to no room of the plan"),
        ("stream/mod.rs", "use crate as house;", "`crate::as` leads to no room of the plan"),
        ("stream/mod.rs", "use crate::{self as house};", "`crate::self::as` leads to no room of the plan"),
        ("stream/mod.rs", "use crate::attic::Box;", "`crate::attic::Box` leads to no room of the plan"),
        ("broker/mod.rs", "use crate::domain::Order;", "broker uses domain, and broker must stand alone"),
    ] {
        let line = if code.starts_with('\n') { 3 } else { 2 };
        assert_eq!(check(file, code), [format!("{file}:{line}: {problem}")], "{code}");
    }
}

#[test]
fn the_core_is_kept_from_the_world_and_the_rim() {
    for name in
        ["std::fs", "std::env::var", "std::net::TcpStream", "std::thread::spawn", "std::time::Instant", "tokio::spawn"]
    {
        let problem = format!("analytics/mod.rs:2: analytics is of the core and names `{name}`");
        assert_eq!(check("analytics/mod.rs", &format!("fn f() {{ {name}() }}")), [problem]);
    }
    let grouped = check("report/mod.rs", "use std::{fmt, time::{Duration, SystemTime}};");
    assert_eq!(grouped, ["report/mod.rs:2: report is of the core and names `std::time::SystemTime`"]);
    let rim = check("report/mod.rs", "use crate::console::say;");
    assert_eq!(rim, ["report/mod.rs:2: report is of the core and names `crate::console::say`"]);
}

#[test]
fn only_the_owner_names_what_is_its_own() {
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
fn names_that_say_nothing_are_refused() {
    let expected =
        |file: &str, name: &str| [format!("{file}: a module is called {name}, which says nothing about what it owns")];
    assert_eq!(check("kafka/utils.rs", ""), expected("kafka/utils.rs", "utils"));
    assert_eq!(check("kafka/types/mod.rs", ""), expected("kafka/types/mod.rs", "types"));
    assert_eq!(check("kafka/mod.rs", "mod tests { mod helpers {} }"), expected("kafka/mod.rs", "helpers"));
}

#[test]
fn a_file_without_a_first_word_or_without_end_is_refused() {
    let silent = problems(&small_house(), "kafka/mod.rs", "use std::fmt;\n//! Late.\n");
    assert_eq!(silent, ["kafka/mod.rs:1: the first line does not say what the file owns (`//!`)"]);
    assert_eq!(check("kafka/mod.rs", &"\n".repeat(599)), Vec::<String>::new());
    assert_eq!(check("kafka/mod.rs", &"\n".repeat(600)), ["kafka/mod.rs: 601 lines, and 600 are the most"]);
}

#[test]
fn a_page_that_lies_is_caught() {
    let table =
        "| room | rank | owns |\n| --- | --- | --- |\n| `a/` | 0 | a |\n| `b.rs` | 5 | to come: b |\n| `c/` | 5 | c |";
    let plan = Plan::read(table).expect("the table is sound");
    let entries = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(plan_problems(&plan, &entries(&["a/", "c/"])), Vec::<String>::new());
    assert_eq!(plan_problems(&plan, &entries(&["a/"])), ["the table names c/, which is not in src/"]);
    assert_eq!(plan_problems(&plan, &entries(&["a/", "c/", "d/"])), ["src/d/ is not in the table of rooms"]);
    assert_eq!(
        plan_problems(&plan, &entries(&["a/", "b.rs", "c/"])),
        ["src/b.rs is built, and the table says it is to come"]
    );

    let page = "`a/`, `b.rs`, `a/x.rs`, `README.md`, `cargo test`, `process::exit` and `gone/y.rs`";
    let exists = |path: &str| ["src/a/", "src/a/x.rs", "README.md"].contains(&path);
    assert_eq!(dangling_paths(&plan, page, exists), ["the page names gone/y.rs, which does not exist"]);
}
