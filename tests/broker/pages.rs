//! README.md and the guides in `docs/`: console blocks are run and compared, shell blocks are checked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Parser;
use clap::error::ErrorKind;
use foodstream::cli::Cli;

use super::Case;
use super::support::{Run, TestEnv};

pub const CASES: &[Case] = &[
    ("pages::readme", |env| console_blocks(env, "README.md")),
    ("pages::analytics", |env| console_blocks(env, "docs/guide/analytics.md")),
    ("pages::audit", |env| console_blocks(env, "docs/guide/audit.md")),
    ("pages::broker", |env| console_blocks(env, "docs/guide/broker.md")),
    ("pages::clean", |env| console_blocks(env, "docs/guide/clean.md")),
    ("pages::grading", |env| console_blocks(env, "docs/guide/grading.md")),
    ("pages::inventory", |env| console_blocks(env, "docs/guide/inventory.md")),
    ("pages::lag", |env| console_blocks(env, "docs/guide/lag.md")),
    ("pages::produce", |env| console_blocks(env, "docs/guide/produce.md")),
    ("pages::replay", |env| console_blocks(env, "docs/guide/replay.md")),
    ("pages::scenario", |env| console_blocks(env, "docs/guide/scenario.md")),
    ("pages::troubleshooting", |env| console_blocks(env, "docs/troubleshooting.md")),
    ("pages::each_page_is_run", each_page_is_run),
    ("pages::shell_blocks_are_valid", shell_blocks),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(page: &str) -> String {
    std::fs::read_to_string(root().join(page)).unwrap_or_else(|error| panic!("{page}: {error}"))
}

/// README.md and every page of `docs/`, except the reference.
fn pages() -> Vec<String> {
    let mut pages = vec!["README.md".to_owned()];
    for folder in ["docs", "docs/guide"] {
        let entries = std::fs::read_dir(root().join(folder)).expect("a directory");
        let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
        pages.extend(
            names
                .filter(|name| Path::new(name).extension().is_some_and(|extension| extension == "md"))
                .map(|name| format!("{folder}/{name}")),
        );
    }
    pages
}

/// The lines of every fenced block of a language, with the number of the first line.
fn blocks(text: &str, language: &str) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    let mut open: Option<(bool, usize, Vec<String>)> = None;
    for (number, line) in (1..).zip(text.lines()) {
        match (line.strip_prefix("```"), &mut open) {
            (Some(name), None) => open = Some((name == language, number + 1, Vec::new())),
            (Some(_), Some(_)) => {
                if let Some((true, first, lines)) = open.take() {
                    found.push((first, lines));
                }
            }
            (None, Some((_, _, lines))) => lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found
}

/// A command of a console block and its expected output.
struct Shown {
    line: usize,
    args: String,
    printed: Vec<String>,
}

fn shown(text: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    for (first, lines) in blocks(text, "console") {
        assert!(lines.first().is_some_and(|line| line.starts_with("$ ")), "line {first} does not start with `$ `");
        for (line, text) in (first..).zip(lines) {
            match text.strip_prefix("$ ") {
                Some(args) => commands.push(Shown { line, args: args.to_owned(), printed: Vec::new() }),
                None => commands.last_mut().expect("a command").printed.push(text),
            }
        }
    }
    commands
}

/// Whether a line matches a pattern in which `[..]` matches anything and blanks match any number of blanks.
fn line_fits(shown: &str, line: &str) -> bool {
    let single = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (shown, line) = (single(shown), single(line));
    let mut rest = line.as_str();
    for (index, part) in shown.split("[..]").enumerate() {
        match (index, rest.find(part)) {
            (0, Some(0)) => rest = &rest[part.len()..],
            (0, _) | (_, None) => return false,
            (_, Some(at)) => rest = &rest[at + part.len()..],
        }
    }
    rest.is_empty() || shown.ends_with("[..]")
}

/// Whether lines match a pattern in which `...` matches any number of lines.
fn fits(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, shown)) if first == "..." => (0..=lines.len()).any(|skipped| fits(shown, &lines[skipped..])),
        Some((first, shown)) => lines.first().is_some_and(|line| line_fits(first, line) && fits(shown, &lines[1..])),
    }
}

/// The words of a command. The topic and the group of another service are full names, so they get this test's prefix.
fn words(env: &TestEnv, args: &str) -> Vec<String> {
    let are_full = args.contains("--decisions ");
    let mut last = "";
    let mut words = Vec::new();
    for word in args.split_whitespace() {
        let is_full = are_full && ["--decisions", "--group"].contains(&last);
        last = word;
        // Conditions are quoted, because a shell would take `>` for a redirection.
        let word = word.trim_matches('\'');
        words.push(if is_full { env.topic(word) } else { word.to_owned() });
    }
    words
}

fn run(env: &TestEnv, args: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_foodstream"))
        .args(words(env, args))
        .args(["--prefix", &env.prefix])
        .env("FOODSTREAM_BOOTSTRAP_SERVERS", &env.broker)
        .current_dir(env.dir())
        .stdin(Stdio::null())
        .output()
        .expect("ended");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn console_blocks(env: &TestEnv, page: &str) {
    let commands = shown(&read(page));
    assert!(!commands.is_empty(), "{page} has no console block");
    let mut last = 0;
    for (index, Shown { line, args, printed }) in commands.iter().enumerate() {
        if args == "echo $?" {
            assert_eq!(printed, &[last.to_string()], "{page}:{line}");
            last = 0;
            continue;
        }
        let args = args.strip_prefix("foodstream ").unwrap_or_else(|| panic!("{page}:{line} runs {args}"));
        let run = run(env, args);
        last = run.code();
        let documented = commands.get(index + 1).is_some_and(|next| next.args == "echo $?");
        assert!(last == 0 || documented, "{page}:{line}: undocumented exit {last}\n{}", run.stderr);
        // A terminal shows both streams; notes on stderr come first.
        let seen = format!("{}{}", run.stderr, run.stdout).replace(&env.prefix, "");
        // On a slow broker a command says what it waits for.
        let is_wait = |line: &&str| line.starts_with("still ") || line.starts_with("waiting for ");
        let seen: Vec<&str> = seen.lines().filter(|line| !is_wait(line)).collect();
        assert!(
            fits(printed, &seen),
            "{page}:{line} shows\n{}\nbut the output is\n{}",
            printed.join("\n"),
            seen.join("\n")
        );
    }
}

fn each_page_is_run(_: &TestEnv) {
    let with_blocks = pages().into_iter().filter(|page| !blocks(&read(page), "console").is_empty());
    // tests/scenarios.rs checks the blocks of docs/scenarios.md.
    for page in with_blocks.filter(|page| page != "docs/scenarios.md") {
        let name = Path::new(&page).file_stem().and_then(|name| name.to_str()).expect("a name").to_lowercase();
        assert!(CASES.iter().any(|(case, _)| *case == format!("pages::{name}")), "{page} has no case");
    }
    for name in ["produce", "inventory", "analytics", "replay", "audit", "lag", "scenario", "broker", "clean"] {
        let shows = |shown: &Shown| shown.args.starts_with(&format!("foodstream {name}")) && shown.printed.len() > 2;
        assert!(
            shown(&read(&format!("docs/guide/{name}.md"))).iter().any(shows),
            "the guide of {name} shows no output of it"
        );
    }
}

fn shell_blocks(_: &TestEnv) {
    let lines: Vec<String> = blocks(&read("README.md"), "sh").into_iter().flat_map(|(_, lines)| lines).collect();
    for wanted in ["cargo run -- produce --count 10000 --seed 7", "cargo test"] {
        assert!(lines.iter().any(|line| line == wanted), "README.md does not contain `{wanted}`");
    }
    for page in pages() {
        for (first, lines) in blocks(&read(&page), "sh") {
            let script = lines.join("\n");
            let checked = Command::new("bash").args(["-n", "-c", &script]).status().expect("bash");
            assert!(checked.success(), "{page}:{first}: {script}");
            for word in
                script.split_whitespace().filter(|word| word.starts_with("scripts/") || word.starts_with(".ci/"))
            {
                assert!(root().join(word).is_file(), "{page}:{first}: {word} does not exist");
            }
            for line in &lines {
                if let Err(error) = parse_command(line) {
                    panic!("{page}:{first}: {line}\n{error}");
                }
            }
        }
    }
}

/// Parses the command line of a line that runs foodstream, up to its comment, pipe or redirection.
fn parse_command(line: &str) -> Result<(), clap::Error> {
    let words = line.split_whitespace().take_while(|word| !matches!(*word, "#" | "|" | ">" | "&"));
    let words: Vec<&str> = words.map(|word| word.trim_matches('\'')).collect();
    if words.first() != Some(&"foodstream") {
        return Ok(());
    }
    match Cli::try_parse_from(words) {
        Err(error) if error.kind() != ErrorKind::DisplayHelp && error.kind() != ErrorKind::DisplayVersion => Err(error),
        _ => Ok(()),
    }
}
