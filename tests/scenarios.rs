//! Tests of the scripts in `scenarios/`, which are part of the program, of every block in `docs/scenarios.md`, and of the
//! commands that need no broker.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use clap::{CommandFactory, Parser};
use foodstream::cli::Cli;
use foodstream::scenario::{CommandDocument, CommandMistake, Diagnostics, EmbeddedScript, Script};
use serde_json::Value;

/// Checks a command line with the program's parser.
fn check(words: &[String]) -> Vec<CommandMistake> {
    let line = std::iter::once("foodstream").chain(words.iter().map(String::as_str));
    let mistake = |error: clap::Error| {
        let text = error.render().to_string();
        let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        CommandMistake { argument: None, message, hint: None }
    };
    Cli::try_parse_from(line).map_err(mistake).err().into_iter().collect()
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

/// Runs the program in a directory, without a broker.
fn foodstream(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_foodstream"))
        .args(args)
        .current_dir(folder)
        .env_remove("FOODSTREAM_BOOTSTRAP_SERVERS")
        .output()
        .expect("started")
}

/// Exit code, stdout and stderr.
fn texts(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("UTF-8");
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

fn names() -> Vec<&'static str> {
    EmbeddedScript::ALL.map(|script| script.name).to_vec()
}

#[test]
fn scripts_have_no_mistakes() {
    for EmbeddedScript { name, text } in EmbeddedScript::ALL {
        let script = parse(text).unwrap_or_else(|mistakes| panic!("{}", mistakes.show(name)));
        assert_eq!(script.name, name);
        assert!(text.starts_with("# ") && text.contains("# What to see here:"), "{name} says what to look for");
        assert!(script.expectations.len() >= 5, "{name}");
        assert_eq!(script.warnings, [], "{name}");
    }
}

#[test]
fn every_script_of_the_folder_is_embedded() {
    let entries = fs::read_dir(root().join("scenarios")).expect("a folder");
    let files: BTreeSet<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8")).collect();
    let embedded: BTreeSet<_> = names().iter().map(|name| format!("{name}.toml")).collect();
    assert_eq!(files, embedded);
    for name in names() {
        let (code, stdout, stderr) = texts(&foodstream(root(), &["scenario", "show", name]));
        assert_eq!((code, stderr.as_str()), (Some(0), ""));
        assert_eq!(stdout, read(&format!("scenarios/{name}.toml")), "`show` changes nothing");
    }
}

/// A folder without a checkout: everything about embedded scripts works, and nothing is created.
#[test]
fn embedded_scripts_need_no_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = |args: &[&str]| texts(&foodstream(folder.path(), args));
    let (code, stdout, _) = run(&["scenario", "list"]);
    assert_eq!(code, Some(0));
    assert_eq!(stdout.lines().filter_map(|line| line.split(' ').next()).collect::<Vec<_>>(), names());
    for args in [&["scenario", "list"][..], &["scenario", "check", "--all"]] {
        let (code, stdout, _) = run(&[args, &["--output", "json"]].concat());
        assert_eq!(code, Some(0));
        let document: Value = serde_json::from_str(&stdout).expect("JSON");
        let rows = document["scenarios"].as_array().expect("a list");
        let files: Vec<_> = rows.iter().map(|row| row["file"].as_str().expect("a name")).collect();
        assert_eq!(files, names());
        assert!(rows.iter().all(|row| row["embedded"] == true), "{document:#}");
    }
    let (code, stdout, stderr) = run(&["scenario", "check", "crash", "crash", "replay"]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(stdout.lines().count(), 2, "{stdout}");
    assert!(stdout.starts_with("crash: ") && stdout.contains("no mistakes"), "{stdout}");
    assert_eq!(fs::read_dir(folder.path()).expect("listed").count(), 0);
}

#[test]
fn unknown_names_have_a_suggestion() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("crash.txt"), "").expect("written");
    let all = names().join(", ");
    for (args, parts) in [
        (&["run", "crahs"][..], &["crahs: neither a file nor an embedded script", "did you mean crash?", &all][..]),
        (&["check", "nothing-like-it"], &["neither a file nor an embedded script", &all, "--all"]),
        (&["run", "scenarios"], &["scenarios: neither a file nor an embedded script", "--all means all of them"]),
        (
            &["run", "crash.toml"],
            &["crash.toml cannot be read", "`foodstream scenario run crash` runs the embedded script"],
        ),
        (&["run", "scenarios/replay.toml"], &["cannot be read", "scenario show replay` prints it"]),
        (&["run", "lab/mine.toml"], &["lab/mine.toml cannot be read", "give a script, a directory of scripts"]),
        (
            &["check", "crahs", "rpelay", "crash"],
            &["these scripts cannot be read", "crahs: neither", "rpelay: neither"],
        ),
        (&["show", "crahs"], &["invalid value 'crahs'", "'crash'", "ten-thousand"]),
        (&["run"], &["required", "NAME|FILE|FOLDER"]),
        (&["run", "--all", "crash"], &["cannot be used with"]),
    ] {
        let (code, stdout, stderr) = texts(&foodstream(folder.path(), &[&["scenario"], args].concat()));
        assert_eq!((code, stdout.as_str()), (Some(2), ""), "{args:?}: {stderr}");
        for part in parts {
            assert!(stderr.contains(part), "{args:?}: no {part:?} in {stderr}");
        }
    }
    assert!(!folder.path().join("scenario-report").exists());
}

/// A file with the name of an embedded script takes precedence, and both cases are reported.
#[test]
fn files_take_precedence_over_embedded_scripts() {
    let folder = tempfile::tempdir().expect("a folder");
    let mine = AROUND.replace("name = \"around\"", "name = \"mine\"");
    fs::write(folder.path().join("crash"), &mine).expect("written");
    fs::write(folder.path().join("replay.toml"), &mine).expect("written");
    fs::create_dir(folder.path().join("scale-out")).expect("made");
    fs::write(folder.path().join("scale-out/one.toml"), &mine).expect("written");
    let run = |name: &str| texts(&foodstream(folder.path(), &["scenario", "check", name]));
    let (code, stdout, stderr) = run("crash");
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with("crash: 4 steps, 1 expectation,"), "{stdout}");
    assert!(stderr.contains("the file crash is used, and not the embedded script"), "{stderr}");
    let (_, stdout, stderr) = run("scale-out");
    assert!(stdout.starts_with("scale-out/one.toml: 4 steps"), "{stdout}");
    assert!(stderr.contains("the directory scale-out is used"), "{stderr}");
    let (_, stdout, stderr) = run("replay");
    assert!(stdout.starts_with("replay: 8 steps"), "{stdout}");
    assert!(stderr.contains("the embedded script replay is used; to run the file, write replay.toml"), "{stderr}");
}

#[test]
fn misspelt_keys_are_reported() {
    for name in names() {
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

/// Every mistake is reported at once, with line, column and a suggestion.
#[test]
fn all_mistakes_are_reported_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let text = "name = \"lab\"
description = \"Many mistakes.\"
dedline = \"5s\"

[[step]]
name = \"orders\"
run = \"produce --cuont 10 --rate x -b x:1\"

[[step]]
name = \"till\"
run = \"inventory --throttle 5/s\"
background = \"yes\"

[[step]]
wait = { lag = \"inventory-consumer-grop\", at_most = 0 }

[[step]]
wait = \"2m\"

[[step]]
stop = \"tlil\"

[[step]]
kill = \"elsewhere\"

[[step]]
wait = { records = \"order-evnts\", at_least = -1 }

[[step]]
name = \"tuned\"
run = \"produce -X plugin.library.paths=none\"

[[step]]
run = \"produce --rate 5/s --orders-per-minute 3\"

[[step]]
name = \"again\"
run = \"replay\"

[[expect]]
step = \"ordres\"
value = \"acknowledged\"
equals = 10

[[expect]]
step = \"orders\"
value = \"partitions.0.recrods\"
at_least = 1

[[expect]]
step = \"again\"
value = \"verdict\"
equals = \"identcal\"

[[expect]]
step = \"again\"
value = \"verdict\"
at_least = 1

[[expect]]
step = \"again\"
sum = \"after.by_restaurant.*.restaurant\"
equals = 1

[[expect]]
step = \"again\"
count = \"records\"
equals = 1
";
    fs::write(folder.path().join("lab.toml"), text).expect("written");
    let (code, stdout, stderr) = texts(&foodstream(folder.path(), &["scenario", "check", "lab.toml"]));
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    let heads: Vec<&str> = stderr.lines().filter(|line| line.starts_with("lab.toml:")).collect();
    assert_eq!(
        heads,
        [
            "lab.toml:3:1: unknown key \"dedline\"",
            "lab.toml:7:16: unexpected argument '--cuont' found",
            "lab.toml:7:27: invalid value 'x' for '--rate <RATE>': expected a number of events per time, as in 500/s, 30/m or 1/10s; without a unit it is per second",
            "lab.toml:7:36: option \"-b\" is not allowed in a step",
            "lab.toml:12:14: expected true or false, found a string",
            "lab.toml:15:16: no step uses the group \"inventory-consumer-grop\"",
            "lab.toml:18:8: wait must be between 1ms and 1m, not 2m",
            "lab.toml:21:8: unknown step \"tlil\"",
            "lab.toml:24:8: unknown step \"elsewhere\"",
            "lab.toml:27:20: unknown topic \"order-evnts\"",
            "lab.toml:27:46: expected an integer of 0 or more",
            "lab.toml:31:16: property \"plugin.library.paths\" is not allowed in a step",
            "lab.toml:34:8: --orders-per-minute has no effect with --rate: event time follows the rate",
            "lab.toml:41:8: unknown step \"ordres\"",
            "lab.toml:47:23: orders: \"partitions.0\" has no \"recrods\"",
            "lab.toml:53:10: \"verdict\" is never \"identcal\"",
            "lab.toml:58:1: \"verdict\" is a string, so at_least cannot hold",
            "lab.toml:62:7: \"after.by_restaurant.*.restaurant\" is a string, which cannot be added up",
            "lab.toml:67:9: \"records\" is an integer, which has no members to count",
        ],
        "{stderr}"
    );
    let hints = stderr.lines().filter(|line| line.starts_with("  hint: ")).count();
    // Most have a hint; a wrong type has none.
    assert!(hints >= heads.len() - 2, "{stderr}");
    for hint in [
        "did you mean deadline?",
        "'--count'",
        "did you mean records?",
        "did you mean \"identical\"?",
        "did you mean orders?",
    ] {
        assert!(stderr.contains(hint), "no {hint} in {stderr}");
    }
}

/// Every path of the recorded documents is valid in an expectation about its command, and a misspelt one is not.
#[test]
fn paths_of_documents_are_valid() {
    for (file, run, document) in [
        ("produce", "produce", CommandDocument::Produce),
        ("inventory", "inventory --until-end", CommandDocument::Inventory),
        ("metrics", "analytics --from-beginning", CommandDocument::Metrics),
        ("metrics", "replay --undo", CommandDocument::Metrics),
        ("replay", "replay", CommandDocument::Replay),
        ("plan", "replay --dry-run", CommandDocument::Plan),
        ("lag-several", "lag", CommandDocument::Lag),
        ("audit-service", "audit", CommandDocument::Audit),
    ] {
        let words: Vec<String> = run.split(' ').map(str::to_owned).collect();
        assert_eq!(CommandDocument::of(&words), Some(document));
        let recorded: Value = serde_json::from_str(&read(&format!("tests/documents/{file}.json"))).expect("JSON");
        assert_eq!(recorded["schema"], format!("foodstream.{}/1", document.name()), "{run}");
        let mut paths = Vec::new();
        all_paths(&recorded, "", &mut paths);
        assert!(paths.len() > 5, "{run}: {paths:?}");
        let script = |path: &str| {
            format!(
                "name = \"x\"\ndescription = \"x\"\n[[step]]\nname = \"one\"\nrun = \"{run}\"\n[[step]]\nname = \"two\"\nrun = \"{run} --timeout 5s\"\n[[expect]]\nstep = \"one\"\nvalue = {path:?}\nsame_as = \"two\"\n"
            )
        };
        for path in paths {
            if let Err(diagnostics) = parse(&script(&path)) {
                panic!("{run}: {}", diagnostics.show("script"));
            }
            let fields = path.split('.').filter(|part| part.parse::<usize>().is_err());
            let misspelt = format!("{}.{}", path, "zzz");
            assert!(fields.count() > 0 && parse(&script(&misspelt)).is_err(), "{run}: {misspelt}");
        }
        let mistake = parse(&script("zzz")).expect_err("unknown");
        assert_eq!(mistake.all().len(), 1, "once for the same document: {}", mistake.show("script"));
        assert_eq!((mistake.all()[0].line, mistake.all()[0].column), (11, 10), "{}", mistake.show("script"));
    }
}

/// The paths of everything in a document, except of maps whose keys are data.
fn all_paths(value: &Value, walked: &str, paths: &mut Vec<String>) {
    let below = |part: &str| if walked.is_empty() { part.to_owned() } else { format!("{walked}.{part}") };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| all_paths(value, &below(name), paths)),
        Value::Array(members) => {
            members.iter().take(2).enumerate().for_each(|(at, value)| all_paths(value, &below(&at.to_string()), paths));
        }
        _ => paths.push(walked.to_owned()),
    }
}

/// A member that is paused stalls a rebalance of its group; other groups and resumed members do not matter.
#[test]
fn a_paused_member_in_a_rebalance_is_a_warning() {
    let member = |name: &str, run: &str| format!("[[step]]\nname = \"{name}\"\nrun = \"{run}\"\nbackground = true\n");
    let does = |verb: &str, name: &str| format!("[[step]]\n{verb} = \"{name}\"\n");
    let two = [member("first", "inventory"), member("second", "inventory"), does("pause", "first")].concat();
    let warnings = |steps: &str| {
        let expect = "[[expect]]\nstep = \"first\"\nvalue = \"run.seconds\"\nat_least = 0\n";
        let text = format!("name = \"x\"\ndescription = \"x\"\n{steps}{expect}");
        let script = parse(&text).unwrap_or_else(|mistakes| panic!("{}", mistakes.show("x")));
        script.warnings.iter().map(|warning| warning.on_one_line("x")).collect::<Vec<_>>()
    };
    for (verb, event) in [
        (member("third", "inventory"), "14:8: third joins"),
        (does("stop", "second"), "14:8: second leaves"),
        (does("kill", "second"), "14:8: second leaves"),
        ("[[step]]\nwait = { ended = \"second\" }\n".to_owned(), "14:18: second leaves"),
        ("[[step]]\nname = \"third\"\nrun = \"inventory --until-end\"\n".to_owned(), "14:8: third joins"),
    ] {
        let found = warnings(&[two.as_str(), &verb, &does("resume", "first")].concat());
        assert_eq!(found.len(), 1, "{verb}: {found:?}");
        let expected = format!("x:{event} inventory-consumer-group while its member first is paused");
        assert!(found[0].starts_with(&expected), "{verb}: {found:?}");
    }
    let own = [two.as_str(), &does("kill", "first"), &does("stop", "second")].concat();
    let resumed = [two.as_str(), &does("resume", "first"), &does("stop", "second")].concat();
    let other = [
        two.as_str(),
        &member("other", "analytics"),
        &member("third", "inventory --group x"),
        &does("resume", "first"),
    ]
    .concat();
    for steps in [own, resumed, other] {
        assert_eq!(warnings(&steps), Vec::<String>::new(), "{steps}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let script = format!(
        "name = \"x\"\ndescription = \"x\"\n{two}{}{}[[expect]]\nstep = \"first\"\nvalue = \"orders\"\nequals = 0\n",
        does("stop", "second"),
        does("resume", "first")
    );
    fs::write(folder.path().join("x.toml"), script).expect("written");
    let (code, stdout, stderr) = texts(&foodstream(folder.path(), &["scenario", "check", "x.toml"]));
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("no mistakes"), "{stdout}");
    assert!(
        stderr.starts_with("warning: x.toml:14:8: second leaves") && stderr.contains("; resume or kill first"),
        "{stderr}"
    );
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

/// The commands on the page are those that it begins with: each has valid arguments.
#[test]
fn commands_of_the_page_are_valid() {
    let page = read("docs/scenarios.md");
    let block = blocks(&page, "console").into_iter().next().expect("a block").1;
    let commands: Vec<&str> = block.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(commands.contains(&"foodstream scenario show crash > mine.toml"), "{commands:?}");
    for command in commands {
        let words = command.split(' ').take_while(|word| *word != ">");
        Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{command}: {error}"));
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
