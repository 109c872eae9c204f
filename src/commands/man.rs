//! `man`: writes manual pages, each complete or absent.

use std::path::Path;

use crate::cli;
use crate::console::Console;
use crate::exit::{Code, Failure, Outcome};
use crate::output::{OutputFile, create_folder};
use crate::printable;

/// Writes the pages into a directory, which is created if missing, and prints their paths. Opens all files before it
/// writes the first.
pub fn run(console: &Console, folder: &Path) -> Outcome {
    create_folder(folder)?;
    let mut files = Vec::new();
    for (name, page) in cli::manual() {
        let path = folder.join(name);
        files.push((OutputFile::open(&path)?, path, page));
    }
    let mut paths = Vec::new();
    for (file, path, page) in files {
        file.finish(&page)?;
        paths.push(printable::path(&path) + "\n");
    }
    console.print(&paths.concat()).map(drop)?;
    Ok(Code::Done)
}

/// Fails with exit code 2 if a document is requested from a command that prints text only.
pub fn refuse_document(command: &str, global: &cli::Global) -> Result<(), Failure> {
    let flag = match global {
        cli::Global { output: cli::Output::Json, .. } => "--output json",
        cli::Global { report: Some(_), .. } => "--report",
        _ => return Ok(()),
    };
    Err(Failure::new(Code::Usage, format!("{flag}: {command} prints text only")).hint("omit it"))
}
