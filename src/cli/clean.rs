//! Owns what can be typed after `clean`.

use clap::Args;

/// `clean`
#[derive(Debug, Clone, Args)]
pub struct Clean {
    /// Delete without asking
    #[arg(long)]
    pub yes: bool,
    /// List what would be deleted, and delete nothing
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}
