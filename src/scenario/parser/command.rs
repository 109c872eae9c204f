//! Command lines of steps: rejects other commands, options that the runner sets, and paths outside the run's directory.

use std::collections::BTreeSet;
use std::ops::Range;

use super::super::closest_match;
use super::super::command_line::{Word, split};
use super::super::diagnostic::quoted;
use super::super::group_steps::{group_of, value_of};
use super::super::{CheckCommand, CommandDocument, CommandMistake};

/// A valid command line of a step.
pub(super) struct ParsedLine {
    pub(super) arguments: Vec<String>,
    pub(super) throttled: bool,
    pub(super) group: Option<String>,
}

/// A mistake in a command line: its position, the message, and a hint.
pub(super) type LineError = (Range<usize>, String, Option<String>);

/// The commands that a step may run.
const COMMANDS: [&str; 6] = ["produce", "inventory", "analytics", "replay", "lag", "audit"];

/// Options that the runner sets, or that make no sense in a step, with the reason.
const RUNNER_OPTIONS: [(&[&str], &str); 6] = [
    (&["-b", "--bootstrap-servers", "--bootstrap-server", "--brokers"], "the broker is chosen when the script is run"),
    (&["--prefix"], "the runner sets the prefix"),
    (&["--output", "--report"], "the runner reads the document of each step"),
    (&["-F", "--config", "--command-config"], "a script must not depend on local files"),
    (&["--leash"], "the runner stops its steps"),
    (&["--progress", "--color", "-q", "--quiet", "-v", "--verbose"], "the runner shows the progress"),
];

/// Options of `audit` with the full name of a topic.
const FULL_NAMES: [&str; 3] = ["--decisions", "--in", "--out"];

/// Options that print information and do nothing else.
const HELP_OPTIONS: [&str; 4] = ["-h", "--help", "-V", "--version"];

/// Client properties that a script may set: those for tuning, and none that names a file, a secret or a broker.
const TUNING_PROPERTIES: [&str; 21] = [
    "batch.num.messages",
    "batch.size",
    "compression.codec",
    "compression.level",
    "compression.type",
    "fetch.error.backoff.ms",
    "fetch.max.bytes",
    "fetch.message.max.bytes",
    "fetch.min.bytes",
    "fetch.queue.backoff.ms",
    "fetch.wait.max.ms",
    "heartbeat.interval.ms",
    "linger.ms",
    "max.in.flight",
    "max.partition.fetch.bytes",
    "message.max.bytes",
    "queue.buffering.max.messages",
    "queue.buffering.max.ms",
    "queued.min.messages",
    "session.timeout.ms",
    "transaction.timeout.ms",
];

/// Parses a command line. Everything that `check` finds is reported too, except about arguments that are not allowed
/// anyway.
///
/// # Errors
///
/// All mistakes; only the first one if the line cannot be split into words.
pub(super) fn read(typed: &str, check: &CheckCommand<'_>) -> Result<ParsedLine, Vec<LineError>> {
    let words = split(typed).map_err(|misfit| vec![(misfit.span, misfit.message, Some(misfit.hint.to_owned()))])?;
    let Some(command) = words.first() else {
        return Err(vec![(0..typed.len(), "the command line is empty".to_owned(), Some(allowed_commands()))]);
    };
    let mut errors: Vec<LineError> = check_command(command).into_iter().collect();
    let is_command = errors.is_empty();
    errors.extend(words.iter().enumerate().skip(1).filter_map(|(at, word)| check_option(&words, at, word)));
    errors.extend(words.iter().filter_map(check_path));
    let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    if is_command {
        check_arguments(&words, &texts, check, &mut errors);
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    // The prefix of the run is not known yet.
    let (throttled, group) = (value_of(&texts, "--throttle").is_some(), group_of(&texts, ""));
    Ok(ParsedLine { throttled, group, arguments: texts })
}

/// The document of a command line, which may have mistakes.
pub(super) fn document(typed: &str) -> Option<CommandDocument> {
    let words: Vec<String> = split(typed).ok()?.into_iter().map(|word| word.text).collect();
    CommandDocument::of(&words)
}

/// Adds what the program's parser finds. Options that only print information are left out: they end its check. So are
/// properties that are not allowed: a check of their values could load a file.
fn check_arguments(words: &[Word], texts: &[String], check: &CheckCommand<'_>, errors: &mut Vec<LineError>) {
    let refused: BTreeSet<usize> = (1..words.len()).flat_map(|at| refused_property(words, at)).collect();
    let asked = texts.iter().enumerate();
    let asked = asked.filter(|(at, text)| !HELP_OPTIONS.contains(&text.as_str()) && !refused.contains(at));
    let (places, asked): (Vec<usize>, Vec<String>) = asked.map(|(at, text)| (at, text.clone())).unzip();
    for CommandMistake { argument, message, hint } in check(&asked) {
        let word = argument.and_then(|at| words.get(*places.get(at)?));
        let span = word.map_or(0..words.last().map_or(0, |last| last.span.end), |word| word.span.clone());
        if !errors.iter().any(|(reported, ..)| *reported == span) {
            errors.push((span, message, hint));
        }
    }
}

fn allowed_commands() -> String {
    let (last, others) = COMMANDS.split_last().unwrap_or((&"", &[]));
    format!("a step runs {} or {last}", others.join(", "))
}

fn check_command(command: &Word) -> Option<LineError> {
    let name = command.text.as_str();
    // Tests of the evaluation need a command without a known document.
    if COMMANDS.contains(&name) || cfg!(test) && name == "undocumented" {
        return None;
    }
    let because = match name {
        "foodstream" => Some("leave out the program's name".to_owned()),
        "broker" => Some("the broker is chosen when the script is run".to_owned()),
        "clean" => Some("the runner deletes topics and groups at the end".to_owned()),
        _ if name.starts_with('-') => Some("put the command before its options".to_owned()),
        _ => None,
    };
    let hint = because.unwrap_or_else(|| match closest_match(name, COMMANDS) {
        Some(name) => format!("did you mean {name}? {}", allowed_commands()),
        None => allowed_commands(),
    });
    Some((command.span.clone(), format!("a step cannot run {}", quoted(name)), Some(hint)))
}

fn check_option(words: &[Word], at: usize, word: &Word) -> Option<LineError> {
    let text = word.text.as_str();
    let errors = |message: String, hint: &str| Some((word.span.clone(), message, Some(hint.to_owned())));
    let not_allowed =
        |option: &str, reason: &str| errors(format!("option {} is not allowed in a step", quoted(option)), reason);
    if let Some(long) = text.strip_prefix("--") {
        let option = &text[..long.find('=').map_or(text.len(), |equals| equals + 2)];
        if let Some((_, reason)) = RUNNER_OPTIONS.iter().find(|(owned, _)| owned.contains(&option)) {
            return not_allowed(option, reason);
        }
        if HELP_OPTIONS.contains(&option) {
            return not_allowed(option, "it only prints information");
        }
        if words[0].text == "lag" && matches!(option, "--group" | "--topic") {
            return not_allowed(
                option,
                "it takes a full name, but the prefix is not known yet; without it `lag` shows all groups of the run",
            );
        }
        if words[0].text == "audit" && FULL_NAMES.contains(&option) {
            return not_allowed(
                option,
                "it takes a full name, but the prefix is not known yet; without it `audit` judges the topics of the run",
            );
        }
        return None;
    }
    // Short options may be combined and followed by a value: -vbhost:9092.
    let cluster =
        text.strip_prefix('-').filter(|letters| letters.starts_with(|letter: char| letter.is_ascii_alphabetic()))?;
    for (place, letter) in cluster.char_indices() {
        let option = format!("-{letter}");
        if letter == 'X' {
            return check_property(word, property_at(words, at, &cluster[place + 1..]));
        }
        if let Some((_, reason)) = RUNNER_OPTIONS.iter().find(|(owned, _)| owned.contains(&option.as_str())) {
            return not_allowed(&option, reason);
        }
        if HELP_OPTIONS.contains(&option.as_str()) {
            return not_allowed(&option, "it only prints information");
        }
    }
    None
}

/// The property of the `-X` in this word: attached to it, or the next word.
fn property_at<'w>(words: &'w [Word], at: usize, attached: &'w str) -> &'w str {
    if attached.is_empty() { words.get(at + 1).map_or("", |word| &word.text) } else { attached }
}

/// The words of a `-X` with a property that is not allowed.
fn refused_property(words: &[Word], at: usize) -> Range<usize> {
    let cluster = words[at].text.strip_prefix('-').filter(|letters| !letters.starts_with('-')).unwrap_or_default();
    let Some((_, attached)) = cluster.split_once('X') else { return at..at };
    match check_property(&words[at], property_at(words, at, attached)) {
        Some(_) if attached.is_empty() => at..at + 2,
        Some(_) => at..at + 1,
        None => at..at,
    }
}

fn check_property(word: &Word, property: &str) -> Option<LineError> {
    let key = property.split('=').next().unwrap_or_default().trim();
    if TUNING_PROPERTIES.contains(&key) {
        return None;
    }
    let hint = match closest_match(key, TUNING_PROPERTIES) {
        Some(name) => format!("did you mean {name}?"),
        None => {
            "only tuning is allowed, as with linger.ms, batch.size, compression.type or session.timeout.ms".to_owned()
        }
    };
    Some((word.span.clone(), format!("property {} is not allowed in a step", quoted(key)), Some(hint)))
}

/// Checks every argument, whatever it means: no valid argument is an absolute path or leads to a parent directory.
fn check_path(word: &Word) -> Option<LineError> {
    let value = match word.text.split_once('=') {
        Some((option, value)) if option.starts_with('-') => value,
        _ => &word.text,
    };
    let drive = value.as_bytes().get(1..3).is_some_and(|rest| rest == b":\\" || rest == b":/");
    let up = value.split(['/', '\\']).any(|part| part == "..");
    if !(value.starts_with(['/', '\\']) || drive || up) {
        return None;
    }
    let message = format!("{} is outside the run's directory", quoted(value));
    Some((word.span.clone(), message, Some("use a plain file name, as in metrics.txt".to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(line: &str) -> Vec<(String, String)> {
        let errors = read(line, &|_| Vec::new()).err().unwrap_or_default();
        errors.into_iter().map(|(span, message, _)| (line[span].to_owned(), message)).collect()
    }

    #[test]
    fn parses_group_and_throttle() {
        let facts = |line| read(line, &|_| Vec::new()).map(|line| (line.group, line.throttled)).unwrap_or_default();
        assert_eq!(facts("produce --count 10"), (None, false));
        assert_eq!(facts("inventory --throttle 5/s"), (Some("inventory-consumer-group".into()), true));
        assert_eq!(facts("inventory --throttle=5/s --group=mine"), (Some("mine".into()), true));
        assert_eq!(facts("replay --group other"), (Some("other".into()), false));
    }

    #[test]
    fn runner_options_are_rejected() {
        for option in [
            "-b x",
            "-bx",
            "-vbx",
            "--bootstrap-servers x",
            "--bootstrap-servers=x",
            "--brokers=x",
            "--prefix p",
            "--prefix=p",
            "--output json",
            "--output=json",
            "--report f",
            "--command-config f",
            "-F f",
            "-Ff",
            "--config f",
            "-q",
            "-v",
            "--help",
            "-h",
            "-V",
            "-X bootstrap.servers=x",
            "-Xbootstrap.servers=x",
            "-X plugin.library.paths=evil",
            "-qX ssl.ca.location=f",
            "-X",
        ] {
            assert_eq!(errors(&format!("produce {option}")).len(), 1, "{option}");
        }
        assert_eq!(errors("produce -X linger.ms=20 -Xcompression.type=lz4 --count -5"), []);
        assert_eq!(errors("lag --group x").len(), 1);
        assert_eq!(errors("audit --decisions=x --group y").len(), 1);
        assert_eq!(errors("audit --in x --out y --match key").len(), 2);
        assert_eq!(errors("audit --group x --witnesses 3"), []);
        assert_eq!(errors("analytics --group x"), []);
    }

    #[test]
    fn other_commands_are_rejected() {
        for line in [
            "scenario run x",
            "broker",
            "completions bash",
            "man x",
            "clean --yes",
            "rm -rf x",
            "foodstream produce",
            "-v produce",
            "help",
        ] {
            assert!(!errors(line).is_empty(), "{line}");
        }
        assert_eq!(errors("prodcue"), [("prodcue".into(), "a step cannot run \"prodcue\"".into())]);
    }

    #[test]
    fn paths_outside_the_directory_are_rejected() {
        for value in ["/etc/passwd", "../x", "a/../../x", "..", "\\\\host\\x", "C:\\x", "a\\..\\x"] {
            let line = format!("analytics --until-end --metrics-file '{value}'");
            assert_eq!(errors(&line).len(), 1, "{value}");
            assert_eq!(errors(&format!("analytics --until-end '--metrics-file={value}'")).len(), 1, "{value}");
        }
        assert_eq!(errors("analytics --metrics-file a/b..txt"), []);
        assert_eq!(errors("produce --start-time 2026-11-22T12:00:00Z"), []);
    }

    #[test]
    fn refused_properties_are_not_checked_again() {
        let check = |words: &[String]| {
            assert_eq!(words, ["produce", "-X", "linger.ms=5", "--count", "5"]);
            Vec::new()
        };
        let line = "produce -X plugin.library.paths=x -X linger.ms=5 -Xssl.ca.location=f --count 5 -qX foo=1";
        assert_eq!(read(line, &check).err().unwrap_or_default().len(), 3);
    }

    #[test]
    fn mistakes_of_the_check_have_the_place_of_their_argument() {
        let mistake = |argument, message: &str| CommandMistake { argument, message: message.to_owned(), hint: None };
        // The line without --help, which the check does not get.
        let check = |words: &[String]| {
            assert_eq!(words, ["produce", "-b", "--cuont", "5"]);
            vec![mistake(Some(2), "unknown"), mistake(None, "incomplete"), mistake(Some(1), "no value")]
        };
        let line = "produce --help -b --cuont 5";
        let errors = read(line, &check).err().unwrap_or_default();
        let shown: Vec<_> =
            errors.iter().map(|(span, message, _)| format!("{}: {message}", &line[span.clone()])).collect();
        assert_eq!(
            shown,
            [
                "--help: option \"--help\" is not allowed in a step",
                "-b: option \"-b\" is not allowed in a step",
                "--cuont: unknown",
                "produce --help -b --cuont 5: incomplete",
            ]
        );
    }
}
