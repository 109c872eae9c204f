//! Arguments of `scenario`.

use std::path::PathBuf;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};

use crate::scenario::EmbeddedScript;

#[derive(Debug, Clone, Args)]
pub struct Scenario {
    #[command(subcommand)]
    pub command: ScenarioCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ScenarioCommand {
    /// Run scripts one after another, and check their results against expectations
    #[command(after_help = "Examples:
  foodstream scenario run crash                 an embedded script
  foodstream scenario run --all                 all embedded scripts
  foodstream scenario run mine.toml             a file
  foodstream scenario run lab                   all .toml files of a directory
  foodstream scenario run bad-records -b localhost:9092
  foodstream scenario run mine.toml --junit results.xml --output json

A file or directory takes precedence over an embedded script of the same name.

Without -b, each script gets its own in-memory broker. With -b, each script uses its own prefix on that \
cluster, and its topics and groups are deleted at the end unless --keep is given. The exit code is 3 if an expectation \
fails.")]
    Run(ScenarioRun),
    /// Check scripts for mistakes without running them
    #[command(after_help = "Examples:
  foodstream scenario check mine.toml           all mistakes, with line and column
  foodstream scenario check lab --output json   the scripts of a directory; one JSON document on stdout
  foodstream scenario check --all               the embedded scripts

Warnings are about what is allowed, but probably not intended. They are on stderr and do not change the exit code.")]
    Check(ScenarioScripts),
    /// List the embedded scripts, or those of directories, with their descriptions
    #[command(after_help = "Examples:
  foodstream scenario list
  foodstream scenario list lab                  the scripts of a directory
  foodstream scenario list --output json        one JSON document on stdout")]
    List(ScenarioList),
    /// Print an embedded script, to be changed and run
    #[command(after_help = "Examples:
  foodstream scenario show crash > mine.toml
  foodstream scenario run mine.toml")]
    Show(ScenarioShow),
}

#[derive(Debug, Clone, Args)]
pub struct ScenarioRun {
    #[command(flatten)]
    pub scripts: ScenarioScripts,
    /// Directory for the reports, NAME.html and NAME.json for each script; created if missing
    #[arg(long, value_name = "DIR", default_value = "scenario-report")]
    pub out: PathBuf,
    /// Keep topics and groups on the cluster
    #[arg(long)]
    pub keep: bool,
    /// Also write the results of all expectations as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Also write the lag chart of the busiest group as an SVG file; for a single script
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct ScenarioScripts {
    /// Names of embedded scripts, script files, or directories of `.toml` scripts
    #[arg(value_name = "NAME|FILE|FOLDER", required_unless_present = "all")]
    pub scripts: Vec<PathBuf>,
    /// All embedded scripts
    #[arg(long, conflicts_with = "scripts")]
    pub all: bool,
}

#[derive(Debug, Clone, Args)]
pub struct ScenarioList {
    /// Directories of `.toml` scripts, or scripts; the embedded scripts by default
    #[arg(value_name = "FOLDER")]
    pub folders: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct ScenarioShow {
    /// Name of the script
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(EmbeddedScript::ALL.map(|script| script.name)))]
    pub name: String,
}
