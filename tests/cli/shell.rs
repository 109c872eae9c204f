//! Owns what shells and readers get: completions that complete, manual pages that man shows, help that fits a screen, and
//! colour only where it is wanted.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{foodstream, texts};

/// The first words after which help can be asked for, as the help itself lists them.
fn commands() -> Vec<String> {
    let output = foodstream(Path::new("."), &["--help"]).output().expect("ended");
    let (help, _) = texts(&output);
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' ')));
    names.filter_map(|line| line.split_whitespace().next().map(str::to_owned)).collect()
}

fn exists(program: &str) -> bool {
    Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

#[test]
fn every_help_shows_its_examples_before_its_usage_and_fits_a_screen_when_asked_for_the_short_form() {
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands.iter().map(String::as_str).chain([""]) {
        for flag in ["--help", "-h"] {
            let words: Vec<&str> = [command, flag].into_iter().filter(|word| !word.is_empty()).collect();
            let output = foodstream(Path::new("."), &words).env("COLUMNS", "100").output().expect("ended");
            let (help, _) = texts(&output);
            let place = |text: &str| help.find(text).unwrap_or_else(|| panic!("{words:?} has no {text:?}:\n{help}"));
            assert!(place("\nExamples:\n  foodstream") < place("\nUsage: foodstream"), "{words:?}:\n{help}");
            assert!(flag == "--help" || help.lines().count() <= 50, "{words:?}: {} lines", help.lines().count());
        }
        let asked = foodstream(Path::new("."), &["help", command]).output().expect("ended");
        let flagged = foodstream(Path::new("."), &[command, "--help"]).output().expect("ended");
        if !command.is_empty() {
            assert_eq!(texts(&asked), texts(&flagged), "help {command} is {command} --help");
        }
    }
}

#[test]
fn bash_completes_what_was_begun() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = foodstream(folder.path(), &["completions", "bash"]).output().expect("ended");
    let (script, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    std::fs::write(folder.path().join("foodstream.bash"), script).expect("written");
    for (typed, wanted) in [
        ("foodstream pro", "produce"),
        ("foodstream produce --cou", "--count"),
        ("foodstream lag --isolation read_c", "read_committed"),
        ("foodstream completions fi", "fish"),
        ("foodstream replay --bootstrap-ser", "--bootstrap-servers"),
    ] {
        let words: Vec<&str> = typed.split_whitespace().collect();
        let asks = format!(
            "set -eu; source foodstream.bash; COMP_WORDS=({typed}); COMP_CWORD={}; _foodstream foodstream {} {}; echo \"${{COMPREPLY[*]}}\"",
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2]
        );
        let output =
            Command::new("bash").args(["--norc", "-c", &asks]).current_dir(folder.path()).output().expect("bash");
        let (completed, stderr) = texts(&output);
        assert!(completed.split_whitespace().any(|word| word == wanted), "{typed}: {completed}{stderr}");
    }
    // The others are at least read by their shells, where there are such.
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        let output = foodstream(folder.path(), &["completions", shell]).output().expect("ended");
        assert!(output.status.success() && texts(&output).0.contains("produce"), "{shell}");
        if exists(shell) {
            std::fs::write(folder.path().join(shell), &output.stdout).expect("written");
            let read = Command::new(shell).args([check, shell]).current_dir(folder.path()).output().expect("ran");
            assert!(read.status.success(), "{shell}: {}", texts(&read).1);
        }
    }
}

#[test]
fn neither_completions_nor_the_manual_ask_for_a_broker_or_a_setting() {
    let folder = tempfile::tempdir().expect("a folder");
    for words in [["completions", "elvish"], ["completions", "powershell"], ["man", "."], ["help", "man"]] {
        // A wrong setting of the environment is in the way of every other command.
        let output = foodstream(folder.path(), &words)
            .env("FOODSTREAM_BOOTSTRAP_SERVERS", "embedded:")
            .env("FOODSTREAM_BROKER_IDLE", "soon")
            .output()
            .expect("ended");
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", texts(&output).1);
        assert!(!folder.path().join(".foodstream").exists(), "{words:?}");
    }
}

#[test]
fn the_manual_has_a_page_for_each_command_that_man_shows() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = foodstream(folder.path(), &["man", "."]).output().expect("ended");
    let (written, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    for command in commands().into_iter().map(|command| format!("-{command}")).chain([String::new()]) {
        let name = format!("foodstream{command}.1");
        assert!(written.lines().any(|line| line == format!("./{name}")), "{name} is not among {written}");
        let page = std::fs::read_to_string(folder.path().join(&name)).expect("a page");
        for section in ["NAME", "EXAMPLES", "SYNOPSIS"] {
            assert!(page.contains(&format!(".SH {section}\n")), "{name} has no {section}");
        }
        if exists("groff") {
            // Warnings are what a page that is broken somewhere makes.
            let shown = Command::new("groff")
                .args(["-man", "-Tutf8", "-ww", "-z", &name])
                .current_dir(folder.path())
                .output()
                .expect("groff");
            assert_eq!(texts(&shown).1, "", "{name}");
        }
    }
    if exists("man") {
        let shown = Command::new("man")
            .args(["-l", "foodstream-replay.1"])
            .env("MANPAGER", "cat")
            .current_dir(folder.path())
            .output()
            .expect("man");
        // Bold is a letter, a step back and the letter again.
        let (mut plain, mut letters) = (String::new(), texts(&shown).0);
        letters.push(' ');
        for pair in letters.chars().collect::<Vec<_>>().windows(2) {
            if pair[0] != '\u{8}' && pair[1] != '\u{8}' {
                plain.push(pair[0]);
            }
        }
        for words in ["foodstream replay --dry-run", "librdkafka's messages included", "Also write the answer"] {
            assert!(plain.contains(words), "{words} is not shown:\n{plain}");
        }
    }
}

#[test]
fn the_long_version_tells_what_the_client_library_can() {
    let output = |flag| texts(&foodstream(Path::new("."), &[flag]).output().expect("ended")).0;
    assert_eq!(output("-V"), format!("foodstream {}\n", env!("CARGO_PKG_VERSION")));
    let long = output("--version");
    assert!(long.starts_with(&output("-V")), "{long}");
    for word in ["librdkafka 2.", "ssl", "sasl_scram", "sasl_oauthbearer", "zstd"] {
        assert!(long.contains(word), "{long}");
    }
}

#[test]
fn colour_is_for_those_who_want_it() {
    const ESCAPE: char = '\u{1b}';
    let refused: &[&str] = &["clean", "-b", "127.0.0.1:1"];
    for (words, no_color, coloured) in [
        (&["--help", "--color", "always"][..], None, true),
        (&["--help", "--color=always"][..], Some("1"), true),
        (&["--help"][..], None, false),
        (&["prodce", "--color", "always"][..], None, true),
        (&["prodce", "--color", "never"][..], None, false),
        // The last one counts nowhere, as two are refused; what stands behind `--` is no flag.
        (&["help", "--", "--color=always"][..], None, false),
        (&[refused[0], refused[1], refused[2], "--color", "always"][..], Some("1"), true),
        (refused, None, false),
    ] {
        let mut command = foodstream(Path::new("."), words);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let (stdout, stderr) = texts(&command.output().expect("ended"));
        assert_eq!(stdout.contains(ESCAPE) || stderr.contains(ESCAPE), coloured, "{words:?}: {stdout}{stderr}");
    }
}

/// `script` of util-linux gives the program a terminal; elsewhere there is nothing to look at.
#[test]
fn on_a_terminal_the_environment_can_turn_colour_off() {
    let shown = |words: &str, no_color: &str| {
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_foodstream"));
        let output = Command::new("script")
            .args(["-qec", &line, "/dev/null"])
            .env("TERM", "xterm-256color")
            .env("NO_COLOR", no_color)
            .stdin(Stdio::null())
            .output();
        output.ok().map(|output| String::from_utf8_lossy(&output.stdout).contains("\u{1b}["))
    };
    if !exists("script") {
        return;
    }
    for words in ["--help", "prodce", "clean --timeout 1s -b ''"] {
        assert_eq!(shown(words, ""), Some(true), "{words}: an empty NO_COLOR says nothing");
        assert_eq!(shown(words, "1"), Some(false), "{words}");
        assert_eq!(shown(&format!("{words} --color always"), "1"), Some(true), "{words}");
        assert_eq!(shown(&format!("{words} --color never"), ""), Some(false), "{words}");
    }
}
