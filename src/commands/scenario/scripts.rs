//! Scripts of a command line: finding, reading and checking them all before anything runs.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::command_lines;
use crate::commands::Context;
use crate::exit::{Code, Failure};
use crate::printable;
use crate::scenario::{EmbeddedScript, Script, closest_match};

/// Where a script comes from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// From the program.
    Embedded(EmbeddedScript),
    /// From a file.
    File(PathBuf),
}

/// The name of an embedded script, or the path of a file as given.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Embedded(script) => f.write_str(script.name),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

impl Source {
    /// All embedded scripts.
    pub fn embedded() -> Vec<Self> {
        EmbeddedScript::ALL.into_iter().map(Self::Embedded).collect()
    }

    /// Whether both are the same script.
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Embedded(one), Self::Embedded(other)) => one.name == other.name,
            (Self::File(one), Self::File(other)) => {
                let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
                real(one) == real(other)
            }
            _ => false,
        }
    }

    /// The script, of a file at most one byte more than a script may have.
    fn bytes(&self) -> Result<Vec<u8>, Failure> {
        match self {
            Self::Embedded(script) => Ok(script.text.as_bytes().to_vec()),
            Self::File(path) => {
                let mut text = Vec::new();
                fs::File::open(path)
                    .and_then(|file| file.take(Script::MAX_BYTES as u64 + 1).read_to_end(&mut text))
                    .map_err(|error| unreadable(path, &error))?;
                Ok(text)
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct ScriptFile {
    pub source: Source,
    pub script: Script,
}

/// Reads and checks scripts, and prints their warnings.
pub(super) fn read(context: &Context, sources: Vec<Source>) -> Result<Vec<ScriptFile>, Failure> {
    let mut files: Vec<ScriptFile> = Vec::new();
    let mut mistakes = Vec::new();
    let check = |arguments: &[String]| command_lines::check(arguments, &context.common.connection);
    for source in sources {
        let shown = printable::printable(&source.to_string()).into_owned();
        match Script::parse(&source.bytes()?, &check) {
            Ok(script) => {
                if let Some(other) = files.iter().find(|other| other.script.name == script.name) {
                    let (name, first) = (&script.name, other.source.to_string());
                    let first = printable::printable(&first);
                    mistakes.push(format!("{shown}: the script in {first} also has the name {name:?}\n"));
                }
                for warning in &script.warnings {
                    context.console.warn(&warning.on_one_line(&shown));
                }
                files.push(ScriptFile { source, script });
            }
            Err(found) => mistakes.push(found.show(&shown)),
        }
    }
    if mistakes.is_empty() {
        return Ok(files);
    }
    let lines = mistakes.join("\n");
    Err(Failure::new(Code::Usage, "the scripts have mistakes, and nothing was run:")
        .details(lines.trim_end().lines().map(str::to_owned))
        .hint("docs/scenarios.md lists all keys, and `foodstream scenario show crash` prints an example"))
}

/// The scripts that arguments name: files, `.toml` files of directories sorted by name, and embedded scripts. A file or
/// directory takes precedence over an embedded script of the same name. A script that is named twice, or also through
/// its directory, is there once.
pub(super) fn find(context: &Context, arguments: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut found: Vec<Source> = Vec::new();
    let mut missing = Vec::new();
    for path in arguments {
        match named(context, path) {
            Ok(sources) => {
                for source in sources {
                    if !found.iter().any(|other| other.is(&source)) {
                        found.push(source);
                    }
                }
            }
            Err(failure) => missing.push(failure),
        }
    }
    match missing.len() {
        0 => Ok(found),
        1 => Err(missing.remove(0)),
        _ => {
            let hint = missing.iter_mut().rev().find_map(|failure| failure.hint.take());
            let failure = Failure::new(Code::Usage, "these scripts cannot be read:")
                .details(missing.into_iter().map(|failure| printable::line(&failure.message).into_owned()));
            Err(Failure { hint, ..failure })
        }
    }
}

fn named(context: &Context, path: &Path) -> Result<Vec<Source>, Failure> {
    let embedded = path.to_str().and_then(EmbeddedScript::named);
    match fs::metadata(path) {
        Ok(found) => {
            if let Some(script) = embedded {
                let kind = if found.is_dir() { "the directory" } else { "the file" };
                let name = script.name;
                context.console.note(&format!("{kind} {name} is used, and not the embedded script of the same name"));
            }
            if found.is_dir() { folder(path) } else { Ok(vec![Source::File(path.to_owned())]) }
        }
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unreadable(path, &error)),
        Err(error) => {
            let Some(script) = embedded else { return Err(unknown(path, &error)) };
            let file = format!("{}.toml", script.name);
            if Path::new(&file).exists() {
                context
                    .console
                    .note(&format!("the embedded script {} is used; to run the file, write {file}", script.name));
            }
            Ok(vec![Source::Embedded(script)])
        }
    }
}

fn folder(path: &Path) -> Result<Vec<Source>, Failure> {
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
    Ok(within.into_iter().map(Source::File).collect())
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(Code::Usage, format!("{} cannot be read: {error}", path.display()))
        .hint("give a script, a directory of scripts, or the name of an embedded script")
}

/// Neither a file nor an embedded script. A plain word is taken for a name, anything else for a path.
fn unknown(path: &Path, error: &io::Error) -> Failure {
    let names = EmbeddedScript::ALL.map(|script| script.name);
    let is_path = path.components().count() != 1 || path.extension().is_some_and(|extension| extension == "toml");
    if !is_path && let Some(written) = path.to_str() {
        let list = format!("the embedded scripts are {}; --all means all of them", names.join(", "));
        let hint = match closest_match(written, names) {
            Some(name) => format!("did you mean {name}? {list}"),
            None => list,
        };
        return Failure::new(Code::Usage, format!("{written}: neither a file nor an embedded script")).hint(hint);
    }
    let meant = path.file_stem().and_then(OsStr::to_str).and_then(|stem| closest_match(stem, names));
    let failure = unreadable(path, error);
    match meant {
        Some(name) => failure.hint(format!(
            "`foodstream scenario run {name}` runs the embedded script, `foodstream scenario show {name}` prints it"
        )),
        None => failure,
    }
}
