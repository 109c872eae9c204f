//! `completions`: shell completion scripts.

use clap_complete::Shell;

use crate::cli;
use crate::console::Console;
use crate::exit::{Code, Outcome};

/// Prints the completion script of a shell.
pub fn run(console: &Console, shell: Shell) -> Outcome {
    let mut command = cli::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "foodstream", &mut script);
    // A closed reader is not an error.
    console.print(&String::from_utf8_lossy(&script))?;
    Ok(Code::Done)
}
