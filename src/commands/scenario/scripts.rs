//! Owns finding scripts and reading them: files and folders, each script with every mistake that is in it, before anything runs.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Parser;

use crate::cli::{Cli, explain_kafka_option};
use crate::exit::{Code, Failure};
use crate::printable;
use crate::scenario::Script;

/// A script and where it stands.
#[derive(Debug)]
pub(super) struct ScriptFile {
    pub path: PathBuf,
    pub script: Script,
}

/// Reads scripts: of a folder, every `.toml` file in the order of their names.
pub(super) fn read(typed: &[PathBuf]) -> Result<Vec<ScriptFile>, Failure> {
    let mut files: Vec<ScriptFile> = Vec::new();
    let mut mistakes = Vec::new();
    for path in found(typed)? {
        let text = bytes(&path)?;
        match Script::parse(&text, &takes) {
            Ok(script) => {
                if let Some(other) = files.iter().find(|other| other.script.name == script.name) {
                    let (name, first) = (&script.name, printable::path(&other.path));
                    mistakes
                        .push(format!("{}: a script of {first} has the name {name:?} too\n", printable::path(&path)));
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
    Err(Failure::new(Code::Usage, "nothing was run:")
        .details(lines.trim_end().lines().map(str::to_owned))
        .hint("docs/scenarios.md has every key; `foodstream scenario check FILE` looks again"))
}

fn found(typed: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        Failure::new(Code::Usage, format!("{} cannot be read: {error}", path.display()))
            .hint("name a script or a folder of scripts, as in `foodstream scenario run scenarios`")
    };
    let mut found: Vec<PathBuf> = Vec::new();
    for path in typed {
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
            return Err(Failure::new(Code::Usage, format!("{} holds no script", path.display()))
                .hint("a script is a file whose name ends in .toml; docs/scenarios.md says how to write one"));
        }
        within.sort();
        found.extend(within);
    }
    // Named twice, or by itself and by its folder: played once.
    let mut once = std::collections::HashSet::new();
    found.retain(|path| once.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())));
    Ok(found)
}

/// The bytes of a script, as far as one may be long.
fn bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        fs::File::open(path)?.take(Script::MAX_BYTES as u64 + 1).read_to_end(&mut text)?;
        Ok(text)
    };
    read().map_err(|error| Failure::new(Code::Usage, format!("{} cannot be read: {error}", path.display())))
}

/// Whether this program takes the words; what it says about them otherwise.
fn takes(words: &[String]) -> Result<(), String> {
    let line = std::iter::once("foodstream").chain(words.iter().map(String::as_str));
    match Cli::try_parse_from(line).map_err(explain_kafka_option) {
        Ok(_) => Ok(()),
        Err(error) => {
            let text = error.render().to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            // Usage and the pointer to --help say nothing about a script.
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let lines: Vec<&str> =
                lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more")).collect();
            Err(lines.join("\n"))
        }
    }
}
