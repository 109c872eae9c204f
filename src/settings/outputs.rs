//! Output files of a command line, to be checked before the work begins.

use std::path::{Component, Path, PathBuf};

use super::usage;
use crate::cli::{Cli, Command, Scenario, ScenarioCommand};
use crate::exit::Failure;

/// The files that a command writes at its end, including defaults. Fails with exit code 2 if two of them are the same.
pub fn outputs(arguments: &Cli) -> Result<Vec<PathBuf>, Failure> {
    let mut files: Vec<(&str, &Path)> = Vec::new();
    if let Some(report) = &arguments.global.report {
        files.push(("--report", report));
    }
    match &arguments.command {
        Command::Analytics(analytics) => files.push(("--metrics-file", &analytics.metrics_file)),
        Command::Replay(replay) => {
            if !replay.dry_run && !replay.undo {
                files.push(("--initial-file", &replay.initial_file));
                files.push(("--after-file", &replay.after_file));
            }
            files.extend(replay.export.as_deref().map(|csv| ("--export", csv)));
            files.extend(replay.html.as_deref().map(|page| ("--html", page)));
        }
        Command::Audit(audit) => {
            files.extend(audit.html.as_deref().map(|page| ("--html", page)));
            files.extend(audit.junit.as_deref().map(|xml| ("--junit", xml)));
        }
        Command::Lag(lag) => {
            files.extend(lag.csv.as_deref().map(|csv| ("--csv", csv)));
            files.extend(lag.html.as_deref().map(|page| ("--html", page)));
        }
        Command::Scenario(Scenario { command: ScenarioCommand::Run(run) }) => {
            files.extend(run.junit.as_deref().map(|xml| ("--junit", xml)));
            files.extend(run.svg.as_deref().map(|chart| ("--svg", chart)));
        }
        _ => {}
    }
    for (index, (flag, path)) in files.iter().enumerate() {
        if let Some((other, _)) = files[..index].iter().find(|(_, other)| is_same_file(other, path)) {
            return Err(usage(format!("{other} and {flag} name the same file, {}", path.display()))
                .hint("use a different file for each"));
        }
    }
    Ok(files.into_iter().map(|(_, path)| path.to_owned()).collect())
}

/// Whether two paths are equal as written; a device may be used twice.
#[must_use]
pub fn is_same_file(left: &Path, right: &Path) -> bool {
    let plain = |path: &Path| path.components().filter(|part| *part != Component::CurDir).collect::<PathBuf>();
    !left.starts_with("/dev") && plain(left) == plain(right)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli;

    /// Options for input files, directories, and the output of `man`, which checks its own files.
    const NO_OUTPUTS: &[&str] = &["config", "data", "folder", "from_file", "out"];

    fn found(args: &str) -> Result<Vec<String>, Failure> {
        let arguments = Cli::try_parse_from(args.split_whitespace()).expect("parses");
        outputs(&arguments).map(|paths| paths.iter().map(|path| path.display().to_string()).collect())
    }

    #[test]
    fn finds_every_option_with_an_output_file() {
        let command = cli::command();
        let mut flags = 0;
        let run = command.find_subcommand("scenario").and_then(|scenario| scenario.find_subcommand("run"));
        for sub in command.get_subcommands().filter(|sub| sub.get_name() != "scenario").chain(run) {
            for argument in sub.get_arguments().chain(command.get_arguments()) {
                let names = argument.get_value_names().unwrap_or_default();
                let id = argument.get_id().as_str();
                if !names.iter().any(|name| ["FILE", "DIR", "CSV"].contains(&name.as_str())) || NO_OUTPUTS.contains(&id)
                {
                    continue;
                }
                let flag = argument.get_long().expect("a flag");
                let name = if sub.get_name() == "run" { "scenario run script.toml" } else { sub.get_name() };
                let args = format!("foodstream {name} --{flag} some-file");
                if ["completions", "man", "help"].contains(&sub.get_name()) {
                    continue;
                }
                assert!(found(&args).expect("resolved").contains(&"some-file".to_owned()), "{args}");
                flags += 1;
            }
        }
        assert!(flags > 8, "{flags} flags");
    }

    #[test]
    fn one_file_for_two_outputs_is_refused() {
        for args in [
            "foodstream replay --initial-file same --after-file same",
            "foodstream replay --report ./metrics_initial.txt",
            "foodstream analytics --report x --metrics-file ./x",
        ] {
            let failure = found(args).expect_err(args);
            assert!(failure.message.contains("name the same file"), "{failure}");
        }
        assert!(found("foodstream replay --initial-file /dev/null --after-file /dev/null").is_ok());
        assert_eq!(
            found("foodstream replay --undo --report metrics_initial.txt"),
            Ok(vec!["metrics_initial.txt".into()])
        );
    }
}
