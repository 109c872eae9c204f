//! Owns `completions`: what a shell needs to complete this command line.

use clap_complete::Shell;

use crate::cli;
use crate::console::Console;
use crate::exit::{Code, Outcome};

/// Prints the completions of a shell.
///
/// # Errors
///
/// With exit code 8 when stdout cannot be written.
pub fn run(console: &Console, shell: Shell) -> Outcome {
    let mut command = cli::command();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "foodstream", &mut script);
    // Nobody reading any more is no failure.
    console.print(&String::from_utf8_lossy(&script))?;
    Ok(Code::Done)
}
