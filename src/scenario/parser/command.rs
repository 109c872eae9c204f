//! Owns which command lines a step may have: what the runner owns, what leads out of its folder and what never ends is refused.

use std::ops::Range;

use super::super::CheckLine;
use super::super::closest_match::closest_match;
use super::super::command_line::{Word, split};
use super::super::diagnostic::quoted;
use crate::topics::Names;

/// A command line that a step may have.
pub(super) struct Line {
    pub(super) words: Vec<String>,
    pub(super) throttled: bool,
    pub(super) group: Option<String>,
}

/// ParsedAction is wrong with a command line: where in it, what, and the way on.
pub(super) type Wrong = (Range<usize>, String, Option<String>);

/// The commands that a step may run.
const COMMANDS: [&str; 6] = ["produce", "inventory", "analytics", "replay", "lag", "audit"];

/// Options that the runner gives, or that a step has no use for: each with the reason.
const OWNED: [(&[&str], &str); 6] = [
    (&["-b", "--bootstrap-servers", "--bootstrap-server", "--brokers"], "the broker is chosen when the script is run"),
    (&["--prefix"], "each run has a prefix of its own"),
    (&["--output", "--report"], "each step writes its document for the run"),
    (&["-F", "--config", "--command-config"], "a script is the same for everybody who runs it"),
    (&["--leash"], "the run ends its steps itself"),
    (&["--progress", "--color", "-q", "--quiet", "-v", "--verbose"], "the run shows its progress itself"),
];

/// Options that answer instead of working.
const ANSWERS: [&str; 4] = ["-h", "--help", "-V", "--version"];

/// Properties of the client library that a script may set: those that tune, and none that names a file, a secret or a broker.
const TUNING: [&str; 21] = [
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

/// Reads a command line.
///
/// # Errors
///
/// Everything that is wrong with it.
pub(super) fn read(typed: &str, check: &CheckLine<'_>) -> Result<Line, Vec<Wrong>> {
    let words = split(typed).map_err(|misfit| vec![(misfit.span, misfit.message, Some(misfit.hint.to_owned()))])?;
    let Some(command) = words.first() else {
        return Err(vec![(0..typed.len(), "an empty command line".to_owned(), Some(allowed_commands()))]);
    };
    let mut wrong: Vec<Wrong> = unfit_command(command).into_iter().collect();
    wrong.extend(words.iter().enumerate().skip(1).filter_map(|(at, word)| unfit_option(&words, at, word)));
    wrong.extend(words.iter().filter_map(unfit_path));
    let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    if wrong.is_empty()
        && let Err(why) = check(&texts)
    {
        wrong.push(refused(typed, &why));
    }
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let names = Names::new("");
    let other = value_of(&texts, "--group");
    let group = match texts[0].as_str() {
        "inventory" => Some(names.inventory_group(other)),
        "analytics" | "replay" => Some(names.analytics_group(other)),
        _ => None,
    };
    Ok(Line { throttled: value_of(&texts, "--throttle").is_some(), group, words: texts })
}

fn allowed_commands() -> String {
    let (last, others) = COMMANDS.split_last().unwrap_or((&"", &[]));
    format!("a step runs {} or {last}", others.join(", "))
}

fn unfit_command(command: &Word) -> Option<Wrong> {
    let name = command.text.as_str();
    if COMMANDS.contains(&name) {
        return None;
    }
    let because = match name {
        "foodstream" => Some("leave the program's name out".to_owned()),
        "broker" => Some("the broker is chosen when the script is run".to_owned()),
        "clean" => Some("what a run leaves is removed at its end".to_owned()),
        _ if name.starts_with('-') => Some("the command comes first, its options behind it".to_owned()),
        _ => None,
    };
    let hint = because.unwrap_or_else(|| match closest_match(name, COMMANDS) {
        Some(meant) => format!("{meant}? {}", allowed_commands()),
        None => allowed_commands(),
    });
    Some((command.span.clone(), format!("{} is no command of a step", quoted(name)), Some(hint)))
}

fn unfit_option(words: &[Word], at: usize, word: &Word) -> Option<Wrong> {
    let text = word.text.as_str();
    let wrong = |message: String, hint: &str| Some((word.span.clone(), message, Some(hint.to_owned())));
    let not_here = |option: &str, reason: &str| wrong(format!("{} has no place in a step", quoted(option)), reason);
    if let Some(long) = text.strip_prefix("--") {
        let option = &text[..long.find('=').map_or(text.len(), |equals| equals + 2)];
        if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| owned.contains(&option)) {
            return not_here(option, reason);
        }
        if ANSWERS.contains(&option) {
            return not_here(option, "it answers and does nothing");
        }
        if words[0].text == "lag" && matches!(option, "--group" | "--topic") {
            return not_here(
                option,
                "it wants a name of the cluster, and the prefix is not known; without it `lag` tells of all",
            );
        }
        return None;
    }
    // Short options may stand together, and their value right behind them: -vbhost:9092.
    let cluster =
        text.strip_prefix('-').filter(|letters| letters.starts_with(|letter: char| letter.is_ascii_alphabetic()))?;
    for (place, letter) in cluster.char_indices() {
        let option = format!("-{letter}");
        if letter == 'X' {
            let attached = &cluster[place + 1..];
            let property = if attached.is_empty() { words.get(at + 1).map_or("", |word| &word.text) } else { attached };
            return unfit_property(word, property);
        }
        if let Some((_, reason)) = OWNED.iter().find(|(owned, _)| owned.contains(&option.as_str())) {
            return not_here(&option, reason);
        }
        if ANSWERS.contains(&option.as_str()) {
            return not_here(&option, "it answers and does nothing");
        }
    }
    None
}

fn unfit_property(word: &Word, property: &str) -> Option<Wrong> {
    let key = property.split('=').next().unwrap_or_default().trim();
    if TUNING.contains(&key) {
        return None;
    }
    let hint = match closest_match(key, TUNING) {
        Some(meant) => format!("{meant}?"),
        None => {
            "a script may only tune, as with linger.ms, batch.size, compression.type or session.timeout.ms".to_owned()
        }
    };
    Some((word.span.clone(), format!("the property {} has no place in a step", quoted(key)), Some(hint)))
}

/// Every value is looked at, whatever it means: nothing that a step takes has to begin at the root or lead upwards.
fn unfit_path(word: &Word) -> Option<Wrong> {
    let value = match word.text.split_once('=') {
        Some((option, value)) if option.starts_with('-') => value,
        _ => &word.text,
    };
    let drive = value.as_bytes().get(1..3).is_some_and(|rest| rest == b":\\" || rest == b":/");
    let up = value.split(['/', '\\']).any(|part| part == "..");
    if !(value.starts_with(['/', '\\']) || drive || up) {
        return None;
    }
    let message = format!("{} leads out of the run's folder", quoted(value));
    Some((word.span.clone(), message, Some("name the file alone, as in metrics.txt".to_owned())))
}

/// The program's own words: what is wrong on the first line, a tip on one of the next.
fn refused(typed: &str, why: &str) -> Wrong {
    let mut lines = why.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or("not a command line of foodstream");
    let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let mut tips = lines.filter_map(|line| line.strip_prefix("tip: ").or_else(|| line.strip_prefix("hint: ")));
    (0..typed.len(), message, tips.next().map(str::to_owned))
}

/// The value of an option, written as `--option value` or `--option=value`.
fn value_of<'w>(words: &'w [String], option: &str) -> Option<&'w str> {
    let at = words
        .iter()
        .position(|word| word.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('=')))?;
    match words[at].split_once('=') {
        Some((_, value)) => Some(value),
        None => words.get(at + 1).map(String::as_str),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrong(line: &str) -> Vec<(String, String)> {
        let wrong = read(line, &|_| Ok(())).err().unwrap_or_default();
        wrong.into_iter().map(|(span, message, _)| (line[span].to_owned(), message)).collect()
    }

    #[test]
    fn a_line_tells_its_group_and_whether_it_is_throttled() {
        let facts = |line| read(line, &|_| Ok(())).map(|line| (line.group, line.throttled)).unwrap_or_default();
        assert_eq!(facts("produce --count 10"), (None, false));
        assert_eq!(facts("inventory --throttle 5/s"), (Some("inventory-consumer-group".into()), true));
        assert_eq!(facts("inventory --throttle=5/s --group=mine"), (Some("mine".into()), true));
        assert_eq!(facts("replay --group other"), (Some("other".into()), false));
    }

    #[test]
    fn what_the_runner_owns_is_refused_however_it_is_spelt() {
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
            assert_eq!(wrong(&format!("produce {option}")).len(), 1, "{option}");
        }
        assert_eq!(wrong("produce -X linger.ms=20 -Xcompression.type=lz4 --count -5"), []);
        assert_eq!(wrong("lag --group x").len(), 1);
        assert_eq!(wrong("analytics --group x"), []);
    }

    #[test]
    fn only_commands_that_do_the_work_are_run() {
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
            assert!(!wrong(line).is_empty(), "{line}");
        }
        assert_eq!(wrong("prodcue"), [("prodcue".into(), "\"prodcue\" is no command of a step".into())]);
    }

    #[test]
    fn a_file_outside_of_the_runs_folder_is_refused() {
        for value in ["/etc/passwd", "../x", "a/../../x", "..", "\\\\host\\x", "C:\\x", "a\\..\\x"] {
            let line = format!("analytics --until-end --metrics-file '{value}'");
            assert_eq!(wrong(&line).len(), 1, "{value}");
            assert_eq!(wrong(&format!("analytics --until-end '--metrics-file={value}'")).len(), 1, "{value}");
        }
        assert_eq!(wrong("analytics --metrics-file a/b..txt"), []);
        assert_eq!(wrong("produce --start-time 2026-11-22T12:00:00Z"), []);
    }

    #[test]
    fn the_programs_own_refusal_is_told_with_its_tip() {
        let check = |_: &[String]| {
            Err("error: unexpected argument '--cuont' found\n\n  tip: a similar argument exists: '--count'\n\nUsage: …"
                .to_owned())
        };
        let wrong = read("produce --cuont 5", &check).err().unwrap_or_default();
        assert_eq!(
            wrong,
            [(
                0..17,
                "unexpected argument '--cuont' found".into(),
                Some("a similar argument exists: '--count'".into())
            )]
        );
    }
}
