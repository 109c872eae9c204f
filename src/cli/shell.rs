//! Arguments of `completions`, `man` and `help`, which need no broker.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// Shell to complete for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
    /// Write the script to the file that the shell reads, and print what else is needed
    #[arg(long)]
    pub install: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Man {
    /// Directory for the pages, such as man1 in MANPATH; created if missing
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

#[derive(Debug, Clone, Args)]
pub struct Help {
    /// Command to explain
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
}
