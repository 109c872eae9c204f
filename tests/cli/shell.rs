//! Shell completions, manual pages, length of the help and colours.

use std::path::Path;
use std::process::{Command, Stdio};

use super::{foodstream, texts};

/// The commands listed in the help.
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
fn help_shows_examples_first() {
    let commands = commands();
    assert!(commands.len() >= 10, "{commands:?}");
    for command in commands.iter().map(String::as_str).chain([""]) {
        for flag in ["--help", "-h"] {
            let args: Vec<&str> = [command, flag].into_iter().filter(|word| !word.is_empty()).collect();
            let output = foodstream(Path::new("."), &args).env("COLUMNS", "100").output().expect("ended");
            let (help, _) = texts(&output);
            let place = |text: &str| help.find(text).unwrap_or_else(|| panic!("{args:?} has no {text:?}:\n{help}"));
            assert!(place("\nExamples:\n  foodstream") < place("\nUsage: foodstream"), "{args:?}:\n{help}");
            assert!(flag == "--help" || help.lines().count() <= 50, "{args:?}: {} lines", help.lines().count());
        }
        let asked = foodstream(Path::new("."), &["help", command]).output().expect("ended");
        let flagged = foodstream(Path::new("."), &[command, "--help"]).output().expect("ended");
        if !command.is_empty() {
            assert_eq!(texts(&asked), texts(&flagged), "help {command} is {command} --help");
        }
    }
}

/// `help.trycmd` records the global options once, for `foodstream --help`.
#[test]
fn every_command_has_the_same_global_options() {
    let global_options = |command: &str| {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let output = foodstream(Path::new("."), &args).env("COLUMNS", "120").output().expect("ended");
        let (help, _) = texts(&output);
        let (_, options) = help.split_once("\nGlobal options:\n").unwrap_or_else(|| panic!("{command}:\n{help}"));
        options.split("\n\nExit codes:").next().expect("a part").trim_end().to_owned()
    };
    let expected = global_options("");
    let without_broker = ["completions", "man", "help"];
    let nested = ["scenario run", "scenario check", "scenario list", "scenario show"].map(str::to_owned);
    for command in commands().into_iter().filter(|name| !without_broker.contains(&name.as_str())).chain(nested) {
        assert_eq!(global_options(&command), expected, "{command}");
    }
}

#[test]
fn bash_completes_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = foodstream(folder.path(), &["completions", "bash"]).output().expect("ended");
    let (script, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    std::fs::write(folder.path().join("foodstream.bash"), script).expect("written");
    for (extra, wanted) in [
        ("foodstream pro", "produce"),
        ("foodstream produce --cou", "--count"),
        ("foodstream lag --isolation read_c", "read_committed"),
        ("foodstream completions fi", "fish"),
        ("foodstream replay --bootstrap-ser", "--bootstrap-servers"),
    ] {
        let args: Vec<&str> = extra.split_whitespace().collect();
        let asks = format!(
            "set -eu; source foodstream.bash; COMP_WORDS=({extra}); COMP_CWORD={}; _foodstream foodstream {} {}; echo \"${{COMPREPLY[*]}}\"",
            args.len() - 1,
            args[args.len() - 1],
            args[args.len() - 2]
        );
        let output =
            Command::new("bash").args(["--norc", "-c", &asks]).current_dir(folder.path()).output().expect("bash");
        let (completed, stderr) = texts(&output);
        assert!(completed.split_whitespace().any(|word| word == wanted), "{extra}: {completed}{stderr}");
    }
    // The scripts of other shells are at least parsed, if the shells are installed.
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
fn completions_and_manual_need_no_broker() {
    let folder = tempfile::tempdir().expect("a folder");
    for args in [["completions", "elvish"], ["completions", "powershell"], ["man", "."], ["help", "man"]] {
        // A wrong setting in the environment, which fails any other command.
        let output = foodstream(folder.path(), &args)
            .env("FOODSTREAM_BOOTSTRAP_SERVERS", "embedded:")
            .env("FOODSTREAM_BROKER_IDLE", "soon")
            .output()
            .expect("ended");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", texts(&output).1);
        assert!(!folder.path().join(".foodstream").exists(), "{args:?}");
    }
}

#[test]
fn man_shows_a_page_for_each_command() {
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
            // groff warns about a malformed page.
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
        // Bold is a character, a backspace and the character again.
        let (mut plain, mut letters) = (String::new(), texts(&shown).0);
        letters.push(' ');
        for pair in letters.chars().collect::<Vec<_>>().windows(2) {
            if pair[0] != '\u{8}' && pair[1] != '\u{8}' {
                plain.push(pair[0]);
            }
        }
        for args in ["foodstream replay --dry-run", "including librdkafka's log", "Also write the JSON"] {
            assert!(plain.contains(args), "{args} is not shown:\n{plain}");
        }
    }
}

#[test]
fn the_long_version_shows_library_features() {
    let output = |flag| texts(&foodstream(Path::new("."), &[flag]).output().expect("ended")).0;
    assert_eq!(output("-V"), format!("foodstream {}\n", env!("CARGO_PKG_VERSION")));
    let long = output("--version");
    assert!(long.starts_with(&output("-V")), "{long}");
    for word in ["librdkafka 2.", "sasl_plain", "zstd"] {
        assert!(long.contains(word), "{long}");
    }
    for word in [" ssl,", "sasl_scram", "sasl_oauthbearer", "\nTLS: built in\n"] {
        assert_eq!(long.contains(word), cfg!(feature = "tls"), "{word}: {long}");
    }
    assert!(cfg!(feature = "tls") || long.ends_with("\nTLS: not built in (cargo feature `tls`)\n"), "{long}");
}

#[test]
fn colour_follows_the_options() {
    const ESCAPE: char = '\u{1b}';
    let refused: &[&str] = &["clean", "-b", "127.0.0.1:1"];
    for (args, no_color, coloured) in [
        (&["--help", "--color", "always"][..], None, true),
        (&["--help", "--color=always"][..], Some("1"), true),
        (&["--help"][..], None, false),
        (&["prodce", "--color", "always"][..], None, true),
        (&["prodce", "--color", "never"][..], None, false),
        // Arguments after `--` are not options.
        (&["help", "--", "--color=always"][..], None, false),
        (&[refused[0], refused[1], refused[2], "--color", "always"][..], Some("1"), true),
        (refused, None, false),
    ] {
        let mut command = foodstream(Path::new("."), args);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE");
        if let Some(value) = no_color {
            command.env("NO_COLOR", value);
        }
        let (stdout, stderr) = texts(&command.output().expect("ended"));
        assert_eq!(stdout.contains(ESCAPE) || stderr.contains(ESCAPE), coloured, "{args:?}: {stdout}{stderr}");
    }
}

/// `script` of util-linux provides a terminal; without it the test is skipped.
#[test]
fn no_color_turns_off_colour_on_a_terminal() {
    let shown = |args: &str, no_color: &str| {
        let line = format!("{} {args}", env!("CARGO_BIN_EXE_foodstream"));
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
    for args in ["--help", "prodce", "clean --timeout 1s -b ''"] {
        assert_eq!(shown(args, ""), Some(true), "{args}: an empty NO_COLOR says nothing");
        assert_eq!(shown(args, "1"), Some(false), "{args}");
        assert_eq!(shown(&format!("{args} --color always"), "1"), Some(true), "{args}");
        assert_eq!(shown(&format!("{args} --color never"), ""), Some(false), "{args}");
    }
}
