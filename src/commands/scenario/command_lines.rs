//! Check of a step's command line: by the program's parser, and then by the settings of its command.

use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::cli::{Cli, Command, explain_kafka_option};
use crate::clock;
use crate::exit::Failure;
use crate::kafka::{Connection, LogSink};
use crate::scenario::CommandMistake;
use crate::settings;

/// Finds the mistakes in a command line. The parser reports one at a time, so an argument that it rejects is removed
/// before the next attempt. Settings are only checked if it rejects none.
pub(super) fn check(arguments: &[String], connection: &Connection) -> Vec<CommandMistake> {
    let mut left: Vec<(usize, &str)> = arguments.iter().map(String::as_str).enumerate().collect();
    let mut mistakes = Vec::new();
    loop {
        let line = std::iter::once("foodstream").chain(left.iter().map(|(_, word)| *word));
        let error = match Cli::try_parse_from(line).map_err(explain_kafka_option) {
            Ok(parsed) if mistakes.is_empty() => {
                let failure = check_settings(&parsed, connection).err();
                return failure.into_iter().map(|Failure { message, hint, .. }| whole(message, hint)).collect();
            }
            Ok(_) => return mistakes,
            Err(error) => error,
        };
        let (message, hint) = message_and_tip(&error);
        let Some(at) = rejected(&error, &left) else {
            mistakes.push(whole(message, hint));
            return mistakes;
        };
        mistakes.push(CommandMistake { argument: Some(left[at].0), message, hint });
        remove(at, error.kind(), &mut left);
    }
}

fn whole(message: String, hint: Option<String>) -> CommandMistake {
    CommandMistake { argument: None, message, hint }
}

/// The place of the argument that the parser rejects.
fn rejected(error: &clap::Error, words: &[(usize, &str)]) -> Option<usize> {
    let argument = match error.get(ContextKind::InvalidArg)? {
        ContextValue::String(one) => one,
        ContextValue::Strings(several) => several.first()?,
        _ => return None,
    };
    // `--count <NUMBER>` in most errors, `-X <KEY=VALUE>`, the word itself for an unknown one.
    let name = argument.split([' ', '=']).next()?;
    let is_named = |word: &str| {
        let rest = word.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('=') || name.len() == 2 && name.starts_with('-'))
    };
    // The last one: an argument that is given twice is rejected where it is repeated.
    (1..words.len()).rev().find(|at| is_named(words[*at].1))
}

/// Removes an argument and its value.
fn remove(at: usize, kind: ErrorKind, left: &mut Vec<(usize, &str)>) {
    let (_, word) = left.remove(at);
    let has_value = word.starts_with('-') && !word.contains('=');
    if !has_value {
        return;
    }
    let is_value = |word: &str| match kind {
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => true,
        _ => !word.starts_with('-'),
    };
    if left.get(at).is_some_and(|(_, word)| is_value(word)) {
        left.remove(at);
    }
}

/// The message of an error, and its tip, without the usage and the pointer to --help.
fn message_and_tip(error: &clap::Error) -> (String, Option<String>) {
    let text = error.render().to_string();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut lines = lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let first = lines.next().unwrap_or("not a foodstream command line");
    let message = first.strip_prefix("error: ").unwrap_or(first).to_owned();
    let mut tips = Vec::new();
    let mut others = Vec::new();
    for line in lines {
        match line.strip_prefix("tip: ").or_else(|| line.strip_prefix("hint: ")) {
            Some(tip) => tips.push(tip),
            None => others.push(line),
        }
    }
    let message = if message.ends_with(':') { format!("{message} {}", others.join(", ")) } else { message };
    let values = others.iter().find(|line| line.starts_with("[possible values"));
    (message, tips.first().copied().or(values.copied()).map(str::to_owned))
}

/// Resolves the settings as the command does, except for those that depend on files of the run.
fn check_settings(parsed: &Cli, connection: &Connection) -> Result<(), Failure> {
    settings::outputs(parsed)?;
    let log = LogSink(std::sync::Arc::new(|_| {}));
    let own = settings::common(&parsed.global, settings::Environment::default(), log)?.connection;
    let connection = if parsed.global.properties.is_empty() { connection } else { &own };
    match &parsed.command {
        Command::Produce(produce) => settings::produce(produce, clock::wall_millis(), 0).map(drop),
        Command::Inventory(inventory) => settings::inventory(inventory, connection).map(drop),
        Command::Analytics(analytics) => settings::analytics(analytics, connection).map(drop),
        Command::Lag(lag) => settings::lag(lag).map(drop),
        // The file may be written by an earlier step.
        Command::Replay(replay) if replay.from_file.as_ref().is_some_and(|file| file.as_os_str() != "-") => Ok(()),
        Command::Replay(replay) => {
            let stdin = |_| {
                Err(Failure::new(crate::exit::Code::Usage, "--from-file -: a step has no stdin").hint("name a file"))
            };
            settings::replay(replay, clock::wall_millis(), "", &stdin).map(drop)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(line: &str) -> Vec<String> {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let log = LogSink(std::sync::Arc::new(|_| {}));
        let global = Cli::try_parse_from(["foodstream", "lag"]).expect("parses").global;
        let connection = settings::common(&global, settings::Environment::default(), log).expect("defaults").connection;
        let shown = |mistake: CommandMistake| {
            let place = mistake.argument.map_or("-", |at| words[at].as_str());
            let hint = mistake.hint.map_or_else(String::new, |hint| format!("; {hint}"));
            format!("{place}: {}{hint}", mistake.message)
        };
        check(&words, &connection).into_iter().map(shown).collect()
    }

    #[test]
    fn all_mistakes_of_a_line_have_their_argument() {
        insta::assert_snapshot!(found("produce --cuont 5 --rate 5 --seed x --failure-rate=200% extra --count 7").join("\n"), @r#"
        --cuont: unexpected argument '--cuont' found; a similar argument exists: '--count'
        --seed: invalid value 'x' for '--seed <N>': expected an integer between 0 and 18446744073709551615
        --failure-rate=200%: invalid value '200%' for '--failure-rate <SHARE>': expected a percentage from 0% to 100% or a number from 0 to 1, in steps of one billionth
        extra: unexpected argument 'extra' found
        "#);
        insta::assert_snapshot!(found("replay --undo --to-offset 5 --shift-by --nosuch").join("\n"), @r#"
        --shift-by: invalid value '--nosuch' for '--shift-by <-N>': expected a negative integer, as in -500
        --undo: the argument '--undo' cannot be used with '--to-offset <OFFSET>'
        "#);
        insta::assert_snapshot!(found("lag --isolation read_comitted").join("\n"), @"--isolation: invalid value 'read_comitted' for '--isolation <ISOLATION>'; a similar value exists: 'read_committed'");
    }

    #[test]
    fn settings_are_checked_too() {
        insta::assert_snapshot!([
            "produce --rate 5/s --orders-per-minute 3",
            "lag --watch 1ms",
            "lag --fail-if many",
            "inventory --instance-id a/b",
            "inventory -X transaction.timeout.ms=soon",
            "replay --from-file -",
            "replay --initial-file a --after-file a",
        ].map(|line| found(line).join("\n")).join("\n"), @r#"
        -: --orders-per-minute has no effect with --rate: event time follows the rate; add --start-time to choose the event time, or omit --orders-per-minute
        -: --watch: the interval must be at least 50 ms; as in --watch 1s
        -: --fail-if "many": invalid condition; use '>1000' or '>=10' (messages), or '>30s' (time behind)
        -: --instance-id "a/b" cannot be used in topic names; use at most 200 letters, digits, '.', '_' and '-'
        -: -X transaction.timeout.ms=soon: Invalid value for configuration property "transaction.timeout.ms"; see the allowed values of transaction.timeout.ms in librdkafka's CONFIGURATION.md
        -: --from-file -: a step has no stdin; name a file
        -: --initial-file and --after-file name the same file, a; use a different file for each
        "#);
        for line in ["replay --from-file plan.csv", "inventory --throttle 5/s", "produce", "lag --fail-if >5"] {
            assert_eq!(found(line), Vec::<String>::new(), "{line}");
        }
    }
}
