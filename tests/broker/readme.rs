//! README.md: console blocks are run and compared, shell blocks and links are checked.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Case;
use super::support::{Run, TestEnv};

pub const CASES: &[Case] = &[
    ("readme::console_blocks_match_the_output", console_blocks),
    ("readme::shell_blocks_and_links_are_valid", shell_blocks),
];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn readme() -> String {
    std::fs::read_to_string(root().join("README.md")).expect("README.md")
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

fn run(env: &TestEnv, args: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_foodstream"))
        // Conditions are quoted, because a shell would take `>` for a redirection.
        .args(args.split_whitespace().map(|word| word.trim_matches('\'')))
        .args(["--prefix", &env.prefix])
        .env("FOODSTREAM_BOOTSTRAP_SERVERS", &env.broker)
        .current_dir(env.dir())
        .stdin(Stdio::null())
        .output()
        .expect("ended");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Run { status: output.status, stdout: text(&output.stdout), stderr: text(&output.stderr) }
}

fn console_blocks(env: &TestEnv) {
    let commands = shown(&readme());
    assert!(commands.len() >= 15, "{} commands", commands.len());
    for name in ["produce", "inventory", "analytics", "replay", "lag", "scenario"] {
        let runs = |shown: &&Shown| shown.args.starts_with(&format!("foodstream {name}"));
        assert!(
            commands.iter().find(runs).is_some_and(|shown| shown.printed.len() > 2),
            "no output of {name} is shown"
        );
    }
    let scenarios = env.dir().join("scenarios");
    std::fs::create_dir(&scenarios).expect("created");
    std::fs::copy(root().join("scenarios/ten-thousand.toml"), scenarios.join("ten-thousand.toml")).expect("copied");
    let mut last = 0;
    for (index, Shown { line, args, printed }) in commands.iter().enumerate() {
        if args == "echo $?" {
            assert_eq!(printed, &[last.to_string()], "README.md:{line}");
            last = 0;
            continue;
        }
        let args = args.strip_prefix("foodstream ").unwrap_or_else(|| panic!("README.md:{line} runs {args}"));
        let run = run(env, args);
        last = run.code();
        let documented = commands.get(index + 1).is_some_and(|next| next.args == "echo $?");
        assert!(last == 0 || documented, "README.md:{line}: undocumented exit {last}\n{}", run.stderr);
        // A terminal shows both streams; notes on stderr come first.
        let seen = format!("{}{}", run.stderr, run.stdout).replace(&env.prefix, "");
        let seen: Vec<&str> = seen.lines().collect();
        assert!(
            fits(printed, &seen),
            "README.md:{line} shows\n{}\nbut the output is\n{}",
            printed.join("\n"),
            seen.join("\n")
        );
    }
}

fn shell_blocks(_: &TestEnv) {
    let text = readme();
    let blocks = blocks(&text, "sh");
    let lines: Vec<String> = blocks.iter().flat_map(|(_, lines)| lines.clone()).collect();
    for wanted in ["cargo run -- produce --count 10000 --seed 7", "cargo test"] {
        assert!(lines.iter().any(|line| line == wanted), "README.md does not contain `{wanted}`");
    }
    for (first, lines) in blocks {
        let script = lines.join("\n");
        let checked = Command::new("bash").args(["-n", "-c", &script]).status().expect("bash");
        assert!(checked.success(), "README.md:{first}: {script}");
        for word in script.split_whitespace().filter(|word| word.starts_with("scripts/") || word.starts_with(".ci/")) {
            assert!(root().join(word).is_file(), "README.md:{first}: {word} does not exist");
        }
        if script.contains("docker compose") {
            assert!(root().join("docker-compose.yml").is_file());
        }
    }
    for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
        let exists = match link.split_once('#') {
            Some(("", anchor)) => has_heading(&text, anchor),
            Some((page, anchor)) => {
                has_heading(&std::fs::read_to_string(root().join(page)).unwrap_or_default(), anchor)
            }
            None => link.starts_with("http") || root().join(Path::new(link)).is_file(),
        };
        assert!(exists, "broken link: {link}");
    }
}

fn has_heading(page: &str, anchor: &str) -> bool {
    page.lines().any(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        line.starts_with('#') && heading == anchor
    })
}
