//! Shell completions, manual pages, length of the help and colours.

use std::collections::BTreeSet;
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

/// What a real bash offers for the last word of a line, in order, with the script in `foodstream.bash`. Like bash, calls
/// the function that `complete -p` names. `compopt` works only while bash completes.
fn offered_by_bash(folder: &Path, line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split(' ').collect();
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let asks = format!(
        "set -eu; compopt() {{ :; }}; source foodstream.bash; function=$(complete -p foodstream | grep -o -- '-F [^ ]*' | cut -c 4-)
         COMP_WORDS=({}); COMP_CWORD={}; $function foodstream {} {}; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        quoted.join(" "),
        words.len() - 1,
        quoted[words.len() - 1],
        quoted[words.len() - 2]
    );
    let output = Command::new("bash").args(["--norc", "-c", &asks]).current_dir(folder).output().expect("bash");
    let (completed, stderr) = texts(&output);
    assert_eq!(stderr, "", "{line}");
    completed.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

fn script_for(shell: &str, folder: &Path) -> String {
    let output = foodstream(folder, &["completions", shell]).output().expect("ended");
    let (script, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    script
}

#[test]
fn bash_completes_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("foodstream.bash"), script_for("bash", folder.path())).expect("written");
    for (line, wanted) in [
        ("foodstream pro", "produce"),
        ("foodstream produce --cou", "--count"),
        ("foodstream lag --isolation read_c", "read_committed"),
        ("foodstream completions fi", "fish"),
        ("foodstream replay --bootstrap-ser", "--bootstrap-servers"),
        ("foodstream scenario ch", "check"),
    ] {
        let offered = offered_by_bash(folder.path(), line);
        assert!(offered.iter().any(|word| word == wanted), "{line}: {offered:?}");
    }
    // The scripts of other shells are at least parsed, if the shells are installed.
    for (shell, check) in [("zsh", "-n"), ("fish", "--no-execute")] {
        let script = script_for(shell, folder.path());
        assert!(script.contains("produce"), "{shell}");
        if exists(shell) {
            std::fs::write(folder.path().join(shell), script).expect("written");
            let read = Command::new(shell).args([check, shell]).current_dir(folder.path()).output().expect("ran");
            assert!(read.status.success(), "{shell}: {}", texts(&read).1);
        }
    }
}

#[test]
fn bash_offers_commands_before_options() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("foodstream.bash"), script_for("bash", folder.path())).expect("written");
    let offered = |line| offered_by_bash(folder.path(), line);
    assert_eq!(offered("foodstream "), commands(), "an empty word is a command");
    assert_eq!(offered("foodstream --prefix lab1. "), commands(), "also after a global option");
    assert_eq!(offered("foodstream help "), commands());
    assert_eq!(offered("foodstream completions "), ["bash", "elvish", "fish", "powershell", "zsh"]);
    let position = |words: &[String], word: &str| {
        words.iter().position(|offered| offered == word).unwrap_or_else(|| panic!("no {word} in {words:?}"))
    };
    for line in ["foodstream produce ", "foodstream produce -", "foodstream produce --"] {
        let words = offered(line);
        assert!(position(&words, "--count") < position(&words, "--bootstrap-servers"), "{line}: {words:?}");
        assert!(words[0].starts_with("--"), "short options are last: {words:?}");
    }
    // A path is completed by bash itself (`-o default`), if the function offers nothing.
    for line in ["foodstream man ", "foodstream scenario run mine.toml "] {
        assert_eq!(offered(line), [""; 0], "{line}");
    }
    std::fs::write(folder.path().join("crossed out.toml"), "").expect("written");
    for line in ["foodstream scenario run cr", "foodstream scenario check cr"] {
        assert_eq!(offered(line), ["crash", "crossed out.toml"], "{line}");
    }
    assert!(offered("foodstream scenario run --ou").contains(&"--out".to_owned()));
    // Files are not offered for numbers.
    std::fs::write(folder.path().join("10-orders.txt"), "").expect("written");
    assert_eq!(offered("foodstream produce --count 10"), ["10"]);
    assert_eq!(offered("foodstream analytics --metrics-file 10"), ["10-orders.txt"]);
}

/// The long options in a text.
fn options_of(text: &str) -> BTreeSet<&str> {
    let letter = |character: char| character.is_ascii_alphanumeric() || character == '-';
    text.split(|character| !letter(character)).filter(|word| word.starts_with("--")).collect()
}

#[test]
fn completions_have_no_hidden_option() {
    assert_eq!(options_of("-q, --output <FORMAT>, `--all`"), BTreeSet::from(["--output", "--all"]));
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("foodstream.bash"), script_for("bash", folder.path())).expect("written");
    for line in commands().iter().map(String::as_str).chain(["scenario run", "scenario check"]) {
        let words = offered_by_bash(folder.path(), &format!("foodstream {line} --"));
        let help = texts(
            &foodstream(folder.path(), &[&["help"], &*line.split(' ').collect::<Vec<_>>()].concat())
                .output()
                .expect("ended"),
        )
        .0;
        let global = texts(&foodstream(folder.path(), &["--help"]).output().expect("ended")).0;
        let shown = &options_of(&help) | &options_of(&global);
        for word in words.iter().filter(|word| word.starts_with("--")) {
            assert!(shown.contains(word.as_str()), "{line}: {word} is not in the help");
        }
    }
}

/// The commands of the README, in a home without any directory.
#[test]
fn completions_and_manual_install_into_a_fresh_home() {
    let home = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| {
        let mut command = foodstream(home.path(), args);
        for variable in ["XDG_DATA_HOME", "XDG_CONFIG_HOME", "BASH_COMPLETION_USER_DIR", "ZDOTDIR"] {
            command.env_remove(variable);
        }
        command.env("HOME", home.path()).output().expect("ended")
    };
    for (shell, path) in [
        ("bash", ".local/share/bash-completion/completions/foodstream"),
        ("zsh", ".zfunc/_foodstream"),
        ("fish", ".config/fish/completions/foodstream.fish"),
    ] {
        // The second time replaces the file.
        for _ in 0..2 {
            let output = run(&["completions", "--install", shell]);
            let (stdout, stderr) = texts(&output);
            assert_eq!(output.status.code(), Some(0), "{stderr}");
            let path = home.path().join(path);
            assert_eq!(stdout.lines().next(), path.to_str(), "{shell}");
            assert!(stdout.lines().count() > 1, "says what else is needed: {stdout}");
            assert_eq!(std::fs::read_to_string(path).expect("installed"), script_for(shell, home.path()));
        }
    }
    let output = run(&["man", ".local/share/man/man1"]);
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
    assert!(home.path().join(".local/share/man/man1/foodstream-produce.1").is_file());
    for args in [&["completions", "--install", "elvish"][..], &["completions", "--install", "powershell"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", texts(&output).1);
    }
    let blocked = home.path().join("file");
    std::fs::write(&blocked, "").expect("written");
    let output = foodstream(home.path(), &["completions", "--install", "zsh"]).env("ZDOTDIR", &blocked).output();
    let (_, stderr) = texts(output.as_ref().expect("ended"));
    assert_eq!(output.expect("ended").status.code(), Some(8), "{stderr}");
    assert!(stderr.ends_with("hint: redirect the script to a file: foodstream completions zsh > FILE\n"), "{stderr}");
    let output = run(&["man", "file/man1"]);
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(8), "{stderr}");
    assert!(stderr.contains("file/man1 cannot be created: "), "{stderr}");
}

/// bash-completion loads the installed file by the name of the command, if it is on this machine.
#[test]
fn bash_completion_finds_the_installed_script() {
    let loader = "/usr/share/bash-completion/bash_completion";
    if !Path::new(loader).exists() {
        return;
    }
    let home = tempfile::tempdir().expect("a folder");
    let output = foodstream(home.path(), &["completions", "--install", "bash"])
        .env("HOME", home.path())
        .env_remove("XDG_DATA_HOME")
        .env_remove("BASH_COMPLETION_USER_DIR")
        .output()
        .expect("ended");
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);
    // Exit code 124 of the loader makes bash complete again, with the function that it has loaded.
    let asks = format!("source {loader}; _completion_loader foodstream; test $? = 124 && complete -p foodstream");
    let output = Command::new("bash")
        .args(["--norc", "-c", &asks])
        .env("HOME", home.path())
        .env_remove("XDG_DATA_HOME")
        .env_remove("BASH_COMPLETION_USER_DIR")
        .current_dir(home.path())
        .output()
        .expect("bash");
    let (registered, stderr) = texts(&output);
    assert!(registered.contains("-F _foodstream"), "{registered}{stderr}");
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
