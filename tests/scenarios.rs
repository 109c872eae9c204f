//! Tests of the scripts in `scenarios/`, and of every block in `docs/scenarios.md`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use clap::{CommandFactory, Parser};
use foodstream::cli::Cli;
use foodstream::scenario::{Diagnostics, Script};

/// Checks a command line with the program's parser.
fn check(words: &[String]) -> Result<(), String> {
    let line = std::iter::once("foodstream").chain(words.iter().map(String::as_str));
    Cli::try_parse_from(line).map(drop).map_err(|error| error.render().to_string())
}

fn parse(text: &str) -> Result<Script, Diagnostics> {
    Script::parse(text.as_bytes(), &check)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const SIX: [&str; 6] = ["bad-records", "crash", "replay", "scale-out", "ten-thousand", "throttled-lag"];

#[test]
fn scripts_have_no_mistakes() {
    let entries = fs::read_dir(root().join("scenarios")).expect("a folder");
    let names: BTreeSet<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    for name in SIX {
        let file = format!("scenarios/{name}.toml");
        assert!(names.contains(&format!("{name}.toml")), "{file} is missing: {names:?}");
        let text = read(&file);
        let script = parse(&text).unwrap_or_else(|mistakes| panic!("{}", mistakes.show(&file)));
        assert_eq!(script.name, name);
        assert!(text.starts_with("# ") && text.contains("# What to see here:"), "{file} says what to look for");
        assert!(script.expectations.len() >= 5, "{file}");
    }
}

#[test]
fn misspelt_keys_are_reported() {
    for name in SIX {
        let file = format!("scenarios/{name}.toml");
        let text = read(&file);
        for (key, misspelt) in [
            ("\nname = ", "\nnmae = "),
            ("\nrun = ", "\nrnu = "),
            ("\n[[expect]]", "\n[[exepct]]"),
            ("\nvalue = ", "\nvaleu = "),
        ] {
            let at = text.find(key).unwrap_or_else(|| panic!("{file} has {key:?}"));
            let line = text[..=at].lines().count() + 1;
            let diagnostics = parse(&text.replacen(key, misspelt, 1)).expect_err("a misspelt key");
            let text = diagnostics.show(&file);
            let first = diagnostics.all().iter().find(|diagnostic| diagnostic.line == line);
            assert!(
                first.is_some_and(|diagnostic| diagnostic.message.starts_with("unknown key")),
                "{key:?} on line {line}:\n{text}"
            );
            assert!(text.contains(misspelt.trim()), "the source line is shown:\n{text}");
        }
    }
}

#[test]
fn unknown_flag_has_the_parsers_message() {
    let text = read("scenarios/ten-thousand.toml").replace("--count", "--cuont");
    let diagnostics = parse(&text).expect_err("an unknown flag");
    let diagnostic = &diagnostics.all()[0];
    assert_eq!(diagnostic.message, "unexpected argument '--cuont' found");
    assert_eq!(diagnostic.hint.as_deref(), Some("a similar argument exists: '--count'"));
}

#[test]
fn global_options_are_rejected_except_timeout_and_x() {
    let cli = Cli::command();
    let mut tried = 0;
    for option in cli.get_arguments().filter(|option| option.is_global_set()) {
        let longs = option.get_long_and_visible_aliases().unwrap_or_default();
        let shorts = option.get_short_and_visible_aliases().unwrap_or_default();
        let spelt = longs.iter().map(|long| format!("--{long}")).chain(shorts.iter().map(|short| format!("-{short}")));
        for spelt in spelt.filter(|spelt| !matches!(spelt.as_str(), "--timeout" | "-X")) {
            let text =
                read("scenarios/ten-thousand.toml").replace("--count 10000", &format!("--count 10000 {spelt} x"));
            let diagnostics = parse(&text).expect_err(&spelt);
            let rejected =
                diagnostics.all().iter().any(|diagnostic| diagnostic.message.ends_with("is not allowed in a step"));
            assert!(rejected, "{}", diagnostics.show("ten-thousand.toml"));
            tried += 1;
        }
    }
    assert!(tried >= 12, "{tried}");
}

/// The code blocks of the page, with their lines.
fn blocks(page: &str, language: &str) -> Vec<(usize, String)> {
    let mut blocks = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (line, text) in (1..).zip(page.lines()) {
        match (&mut open, text.strip_prefix("```")) {
            (None, Some(kind)) => open = Some((line, if kind == language { String::new() } else { "\0".to_owned() })),
            (Some(_), Some(_)) => blocks.extend(open.take().filter(|(_, block)| !block.starts_with('\0'))),
            (Some((_, block)), None) => block.extend([text, "\n"]),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    blocks
}

/// A script with the steps that the parts on the page refer to.
const AROUND: &str = "name = \"around\"\ndescription = \"The script around a part.\"
[[step]]\nname = \"orders\"\nrun = \"produce\"
[[step]]\nname = \"more-orders\"\nrun = \"produce\"
[[step]]\nname = \"live\"\nrun = \"inventory\"\nbackground = true
[[step]]\nname = \"metrics\"\nrun = \"analytics --from-beginning\"
[[expect]]\nstep = \"orders\"\nvalue = \"produced\"\nat_least = 1\n";

#[test]
fn blocks_of_the_page_are_valid() {
    let page = read("docs/scenarios.md");
    let blocks = blocks(&page, "toml");
    assert!(blocks.len() >= 9, "{} blocks", blocks.len());
    for (line, block) in &blocks {
        let whole = if block.starts_with("name = ") { block.clone() } else { format!("{AROUND}{block}") };
        if let Err(diagnostics) = parse(&whole) {
            panic!("docs/scenarios.md:{line}:\n{}", diagnostics.show("block"));
        }
    }
}

#[test]
fn page_explains_every_key_and_value() {
    let page = read("docs/scenarios.md");
    let strange = format!(
        "zzz = 1\n{AROUND}zzz = 1\n[[step]]\nzzz = 1\nrun = \"produce\"\nname = \"x\"
[[step]]\nwait = {{ records = \"order-events\", at_least = 1, zzz = 1 }}
[[expect]]\nstep = \"orders\"\nvalue = \"run.zzzzzzzzzz\"\nequals = 1
[[expect]]\ngroup = \"inventory-consumer-group\"\nvalue = \"lag.zzzzzzzzzzzzzzzz\"\nequals = 1\n"
    );
    let diagnostics = parse(&strange).expect_err("unknown keys");
    let hints: Vec<_> = diagnostics.all().iter().filter_map(|diagnostic| diagnostic.hint.as_deref()).collect();
    let lists = hints.iter().filter_map(|hint| hint.strip_prefix("expected one of "));
    let keys: BTreeSet<_> = lists.flat_map(|list| list.split(", ")).collect();
    assert!(
        ["name", "background", "uncommitted", "within", "run.uncommitted", "lag.peak"]
            .iter()
            .all(|key| keys.contains(key)),
        "{keys:?}"
    );
    for key in keys {
        assert!(
            page.contains(&format!("`{key}`")) || page.contains(&format!("`{key} = ")),
            "docs/scenarios.md does not explain {key}"
        );
    }
}

#[test]
fn mistake_on_the_page_is_current() {
    let page = read("docs/scenarios.md");
    let shown = blocks(&page, "text").pop().expect("one").1;
    let script = "name = \"lab\"\ndescription = \"d\"\n\n[[expect]]\nstep = \"live\"\nvalue = \"orders\"\nat_least = 1\n\n[[step]]\nname = \"live\"\nrun = \"inventory\"\nbackgruond = true\n";
    assert_eq!(parse(script).expect_err("a mistake").show("scenarios/lab.toml"), shown);
}
