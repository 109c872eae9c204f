//! Owns what can be typed after `completions`, `man` and `help`: the commands that need no broker and start none.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `completions`
#[derive(Debug, Clone, Args)]
pub struct Completions {
    /// The shell that it is for
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// `man`
#[derive(Debug, Clone, Args)]
pub struct Man {
    /// Folder of the pages, as a man1 of MANPATH
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// `help`
#[derive(Debug, Clone, Args)]
pub struct Help {
    /// The command that it is about
    #[arg(value_name = "COMMAND")]
    pub words: Vec<String>,
}
