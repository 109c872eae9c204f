//! Scripts of a command line: finding, reading and checking them all before anything runs.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::cli::{Cli, explain_kafka_option};
use crate::exit::{Code, Failure};
use crate::printable;
use crate::scenario::Script;

#[derive(Debug)]
pub(super) struct ScriptFile {
    pub path: PathBuf,
    pub script: Script,
}

/// Reads scripts; of a directory, all `.toml` files sorted by name.
pub(super) fn read(arguments: &[PathBuf]) -> Result<Vec<ScriptFile>, Failure> {
    let mut files: Vec<ScriptFile> = Vec::new();
    let mut mistakes = Vec::new();
    for path in script_paths(arguments)? {
        let text = bytes(&path)?;
        match Script::parse(&text, &check_command) {
            Ok(script) => {
                if let Some(other) = files.iter().find(|other| other.script.name == script.name) {
                    let (name, first) = (&script.name, printable::path(&other.path));
                    mistakes.push(format!(
                        "{}: the script in {first} also has the name {name:?}\n",
                        printable::path(&path)
                    ));
                }
                files.push(ScriptFile { path, script });
            }
            Err(found) => mistakes.push(found.show(&printable::path(&path))),
        }
    }
    if mistakes.is_empty() {
        return Ok(files);
    }
    let lines = mistakes.join("\n");
    Err(Failure::new(Code::Usage, "the scripts have mistakes, and nothing was run:")
        .details(lines.trim_end().lines().map(str::to_owned))
        .hint("docs/scenarios.md lists all keys; `foodstream scenario check FILE` checks again"))
}

fn script_paths(arguments: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        Failure::new(Code::Usage, format!("{} cannot be read: {error}", path.display()))
            .hint("give a script or a directory of scripts, as in `foodstream scenario run scenarios`")
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for path in arguments {
        if !fs::metadata(path).map_err(|error| unreadable(path, &error))?.is_dir() {
            found.push(path.clone());
            continue;
        }
        let mut within = Vec::new();
        for entry in fs::read_dir(path).map_err(|error| unreadable(path, &error))? {
            let entry = entry.map_err(|error| unreadable(path, &error))?.path();
            if entry.extension().is_some_and(|extension| extension == "toml") && entry.is_file() {
                within.push(entry);
            }
        }
        if within.is_empty() {
            return Err(Failure::new(Code::Usage, format!("{} contains no script", path.display()))
                .hint("scripts are files with names ending in .toml; see docs/scenarios.md"));
        }
        within.sort();
        found.extend(within);
    }
    // A script named twice, or also through its directory, runs once.
    let mut once = std::collections::HashSet::new();
    found.retain(|path| once.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    Ok(found)
}

/// Reads at most one byte more than a script may have.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        fs::File::open(path)?.take(Script::MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| Failure::new(Code::Usage, format!("{} cannot be read: {error}", path.display())))
}

/// Checks a step's command line, or returns the error without usage and pointer to --help.
fn check_command(args: &[String]) -> Result<(), String> {
    let line = std::iter::once("foodstream").chain(args.iter().map(String::as_str));
    match Cli::try_parse_from(line).map_err(explain_kafka_option) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let lines: Vec<&str> =
                lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more")).collect();
            Err(lines.join("\n"))
        }
    }
}
