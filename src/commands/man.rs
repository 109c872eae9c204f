//! Owns `man`: the manual as files, each whole or absent.

use std::path::Path;

use crate::cli;
use crate::console::Console;
use crate::exit::{Code, Failure, Outcome};
use crate::output::OutputFile;
use crate::printable;

/// Writes the pages into a folder and prints their paths.
///
/// # Errors
///
/// With exit code 8 when one cannot be written; before the first is, when the folder is not there or not writable.
pub fn run(console: &Console, folder: &Path) -> Outcome {
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

/// What these commands print is no document.
///
/// # Errors
///
/// With exit code 2 when one is asked for.
pub fn refuse_document(command: &str, global: &cli::Global) -> Result<(), Failure> {
    let flag = match global {
        cli::Global { output: cli::Output::Json, .. } => "--output json",
        cli::Global { report: Some(_), .. } => "--report",
        _ => return Ok(()),
    };
    Err(Failure::new(Code::Usage, format!("{flag}: {command} answers with text, and with no document"))
        .hint("leave it out"))
}
