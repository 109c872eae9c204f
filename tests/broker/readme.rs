//! Owns that README.md tells the truth: its console blocks are run in order, its shell blocks and links are looked at.

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

/// The lines of every fenced block of a language, with the number of their first line.
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

/// A command line of a console block and what is to be printed.
struct Shown {
    line: usize,
    args: String,
    printed: Vec<String>,
}

fn shown(text: &str) -> Vec<Shown> {
    let mut commands: Vec<Shown> = Vec::new();
    for (first, lines) in blocks(text, "console") {
        assert!(lines.first().is_some_and(|line| line.starts_with("$ ")), "line {first} is no command");
        for (line, text) in (first..).zip(lines) {
            match text.strip_prefix("$ ") {
                Some(args) => commands.push(Shown { line, args: args.to_owned(), printed: Vec::new() }),
                None => commands.last_mut().expect("a command").printed.push(text),
            }
        }
    }
    commands
}

/// Whether a line fits one in which `[..]` stands for anything, and blanks for any number of them.
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

/// Whether lines fit those shown, in which `...` stands for any number of them.
fn fits(shown: &[String], lines: &[&str]) -> bool {
    match shown.split_first() {
        None => lines.is_empty(),
        Some((first, shown)) if first == "..." => (0..=lines.len()).any(|skipped| fits(shown, &lines[skipped..])),
        Some((first, shown)) => lines.first().is_some_and(|line| line_fits(first, line) && fits(shown, &lines[1..])),
    }
}

fn run(env: &TestEnv, args: &str) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_foodstream"))
        // A condition stands in quotes, or a shell would take it for a file.
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
        assert!(commands.iter().find(runs).is_some_and(|shown| shown.printed.len() > 2), "{name} is not shown");
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
        assert!(last == 0 || documented, "README.md:{line}: exit {last}, and the page does not say so\n{}", run.stderr);
        // A person sees both streams; notes come before the answer.
        let seen = format!("{}{}", run.stderr, run.stdout).replace(&env.prefix, "");
        let seen: Vec<&str> = seen.lines().collect();
        assert!(fits(printed, &seen), "README.md:{line} shows\n{}\nand it is\n{}", printed.join("\n"), seen.join("\n"));
    }
}

fn shell_blocks(_: &TestEnv) {
    let text = readme();
    let blocks = blocks(&text, "sh");
    let lines: Vec<String> = blocks.iter().flat_map(|(_, lines)| lines.clone()).collect();
    for wanted in ["cargo run -- produce --count 10000 --seed 7", "cargo test"] {
        assert!(lines.iter().any(|line| line == wanted), "`{wanted}` is what a newcomer looks for");
    }
    for (first, lines) in blocks {
        let script = lines.join("\n");
        let checked = Command::new("bash").args(["-n", "-c", &script]).status().expect("bash");
        assert!(checked.success(), "README.md:{first}: {script}");
        for word in script.split_whitespace().filter(|word| word.starts_with("scripts/") || word.starts_with(".ci/")) {
            assert!(root().join(word).is_file(), "README.md:{first}: there is no {word}");
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
        assert!(exists, "there is no {link}");
    }
}

fn has_heading(page: &str, anchor: &str) -> bool {
    page.lines().any(|line| {
        let heading = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
        line.starts_with('#') && heading == anchor
    })
}
