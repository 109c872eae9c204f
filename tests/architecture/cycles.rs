//! Circles of imports: within a module, its parts do not use each other in a circle, but for the circles listed here.

use std::collections::{BTreeMap, BTreeSet};

use super::{crate_path, module_path, root, scanner, sources};

/// Circles that exist: the module, and the parts of it that use each other. New ones are refused, and so is an entry without a circle.
const KNOWN: [(&str, &[&str]); 9] = [
    (
        "broker",
        &["controlled_shutdown", "core", "fetch", "groups", "journal", "journal_recovery", "topics", "transactions"],
    ),
    ("broker::groups", &["group", "offsets"]),
    ("broker::log", &["recorded_end", "recovery"]),
    ("commands", &["topic_set", "topic_settings"]),
    ("domain::decode", &["values", "visitor"]),
    ("kafka", &["scan", "scan_worker"]),
    ("kafka", &["transaction", "transaction_error"]),
    ("processors", &["dead_letter", "inventory_processor"]),
    ("stream", &["end_offsets", "poll_loop", "start_position", "tasks", "topic_ids"]),
];

/// For each module with parts, which part names which.
type Uses = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Adds what one file uses; `modules` is its own path.
fn add(uses: &mut Uses, modules: &[String], source: &str) {
    for path in scanner::paths(source) {
        let Some(target) = crate_path(modules, &path) else { continue };
        let common = modules.iter().zip(&target).take_while(|(own, other)| own == other).count();
        if let (Some(own), Some(other)) = (modules.get(common), target.get(common)) {
            let parts = uses.entry(modules[..common].join("::")).or_default();
            parts.entry(own.clone()).or_default().insert((*other).to_owned());
        }
    }
}

/// The circles of each module: sets of parts from which each reaches the others. Names that are not parts are left out.
fn circles(uses: &Uses, is_part: impl Fn(&str, &str) -> bool) -> BTreeSet<(String, Vec<String>)> {
    let mut found = BTreeSet::new();
    for (module, parts) in uses {
        let reach = |from: &str| {
            let (mut seen, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
            while let Some(part) = next.pop() {
                for used in parts.get(&part).into_iter().flatten().filter(|used| is_part(module, used)) {
                    if seen.insert(used.clone()) {
                        next.push(used.clone());
                    }
                }
            }
            seen
        };
        let reached: BTreeMap<_, _> = parts.keys().map(|part| (part.clone(), reach(part))).collect();
        for (part, seen) in &reached {
            let circle: Vec<_> = seen
                .iter()
                .filter(|other| reached.get(*other).is_some_and(|back| back.contains(part)))
                .cloned()
                .collect();
            if circle.len() > 1 {
                found.insert((module.clone(), circle));
            }
        }
    }
    found
}

#[test]
fn parts_of_a_module_have_no_new_circles() {
    let src = root().join("src");
    let mut uses = Uses::new();
    for (file, source) in sources() {
        // Tests may use whatever they test.
        if file.ends_with("tests.rs") || file.contains("test_support") {
            continue;
        }
        let code = source.split("\n#[cfg(test)]\nmod ").next().unwrap_or(&source);
        add(&mut uses, &module_path(&file), code);
    }
    let exists = |module: &str, part: &str| {
        let directory =
            module.split("::").filter(|name| !name.is_empty()).fold(src.clone(), |path, name| path.join(name));
        directory.join(part).is_dir() || directory.join(format!("{part}.rs")).is_file()
    };
    let found = circles(&uses, exists);
    let known: BTreeSet<_> = KNOWN
        .iter()
        .map(|(module, parts)| ((*module).to_owned(), parts.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>()))
        .collect();
    let new: Vec<_> = found.difference(&known).collect();
    let gone: Vec<_> = known.difference(&found).collect();
    assert!(new.is_empty() && gone.is_empty(), "new circles: {new:#?}\nlisted, but not found: {gone:#?}");
}

#[test]
fn a_circle_is_found_and_a_line_is_not() {
    let mut uses = Uses::new();
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    add(&mut uses, &path("kafka::a"), "use super::b::B; use crate::domain::X;");
    add(&mut uses, &path("kafka::b"), "use crate::kafka::c;");
    add(&mut uses, &path("kafka::c"), "fn f() { super::Whole::new() }");
    assert_eq!(circles(&uses, |_, _| true), BTreeSet::new());
    add(&mut uses, &path("kafka::c::deep"), "use super::super::a::A;");
    let circle = ("kafka".to_owned(), ["a", "b", "c"].map(str::to_owned).to_vec());
    assert_eq!(circles(&uses, |_, _| true), BTreeSet::from([circle]));
}
