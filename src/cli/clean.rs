//! Arguments of `clean`.

use clap::Args;

#[derive(Debug, Clone, Args)]
pub struct Clean {
    /// Delete without asking
    #[arg(long)]
    pub yes: bool,
    /// List what would be deleted, and delete nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
    /// List all groups that are kept
    #[arg(long)]
    pub full: bool,
}
