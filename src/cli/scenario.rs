//! Owns what can be typed after `scenario`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `scenario`
#[derive(Debug, Clone, Args)]
pub struct Scenario {
    /// What to do with scripts.
    #[command(subcommand)]
    pub command: ScenarioCommand,
}

/// What can be done with scripts.
#[derive(Debug, Clone, Subcommand)]
pub enum ScenarioCommand {
    /// Play scripts, one after the other, and hold what was measured against what they expect
    #[command(after_help = "Examples:
  foodstream scenario run scenarios/ten-thousand.toml
  foodstream scenario run scenarios                       every script of the folder
  foodstream scenario run scenarios/bad-records.toml -b localhost:9092
  foodstream scenario run scenarios/ten-thousand.toml --junit results.xml --output json

Without -b each script has an embedded broker in memory of its own. With -b it works under a prefix of its own on that
cluster, which is deleted at the end unless --keep is given. Exit 3 when an expectation does not hold.")]
    Run(ScenarioRun),
    /// Look for every mistake in scripts, and run nothing
    #[command(after_help = "Examples:
  foodstream scenario check scenarios                     every mistake of every script, with its line and column
  foodstream scenario check scenarios/ten-thousand.toml --output json")]
    Check(ScenarioFiles),
    /// List the scripts of a folder and what they show
    #[command(after_help = "Examples:
  foodstream scenario list
  foodstream scenario list scenarios --output json        one JSON document on stdout")]
    List(ScenarioList),
}

/// `scenario run`
#[derive(Debug, Clone, Args)]
pub struct ScenarioRun {
    /// Scripts, or folders whose `.toml` files are scripts
    #[arg(value_name = "FILE|FOLDER", required = true)]
    pub files: Vec<PathBuf>,
    /// Folder of the reports: NAME.html to look at and NAME.json for each script; made if it is missing
    #[arg(long, value_name = "DIR", default_value = "scenario-report")]
    pub out: PathBuf,
    /// Leave topics and groups on the cluster
    #[arg(long)]
    pub keep: bool,
    /// Also write what held and what did not as `JUnit` XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
}

/// `scenario check`
#[derive(Debug, Clone, Args)]
pub struct ScenarioFiles {
    /// Scripts, or folders whose `.toml` files are scripts
    #[arg(value_name = "FILE|FOLDER", required = true)]
    pub files: Vec<PathBuf>,
}

/// `scenario list`
#[derive(Debug, Clone, Args)]
pub struct ScenarioList {
    /// Folders, or single scripts
    #[arg(value_name = "FOLDER", default_value = "scenarios")]
    pub files: Vec<PathBuf>,
}
