//! Arguments of `scenario`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

#[derive(Debug, Clone, Args)]
pub struct Scenario {
    #[command(subcommand)]
    pub command: ScenarioCommand,
}

#[derive(Debug, Clone, Subcommand)]
pub enum ScenarioCommand {
    /// Run scripts one after another, and check their results against expectations
    #[command(after_help = "Examples:
  foodstream scenario run scenarios/ten-thousand.toml
  foodstream scenario run scenarios                       all scripts of the directory
  foodstream scenario run scenarios/bad-records.toml -b localhost:9092
  foodstream scenario run scenarios/ten-thousand.toml --junit results.xml --output json

Without -b, each script gets its own in-memory broker. With -b, each script uses its own prefix on that
cluster, and its topics and groups are deleted at the end unless --keep is given. The exit code is 3 if an expectation fails.")]
    Run(ScenarioRun),
    /// Check scripts for mistakes without running them
    #[command(after_help = "Examples:
  foodstream scenario check scenarios                     all mistakes, with line and column
  foodstream scenario check scenarios/ten-thousand.toml --output json")]
    Check(ScenarioFiles),
    /// List scripts with their descriptions
    #[command(after_help = "Examples:
  foodstream scenario list
  foodstream scenario list scenarios --output json        one JSON document on stdout")]
    List(ScenarioList),
}

#[derive(Debug, Clone, Args)]
pub struct ScenarioRun {
    /// Scripts, or directories of `.toml` scripts
    #[arg(value_name = "FILE|FOLDER", required = true)]
    pub files: Vec<PathBuf>,
    /// Directory for the reports, NAME.html and NAME.json for each script; created if missing
    #[arg(long, value_name = "DIR", default_value = "scenario-report")]
    pub out: PathBuf,
    /// Keep topics and groups on the cluster
    #[arg(long)]
    pub keep: bool,
    /// Also write the results of all expectations as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct ScenarioFiles {
    /// Scripts, or directories of `.toml` scripts
    #[arg(value_name = "FILE|FOLDER", required = true)]
    pub files: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct ScenarioList {
    /// Directories of `.toml` scripts, or scripts
    #[arg(value_name = "FOLDER", default_value = "scenarios")]
    pub files: Vec<PathBuf>,
}
