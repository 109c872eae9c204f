//! Settings of `clean`: whether it deletes and who confirms.

use super::usage;
use crate::cli;
use crate::exit::Failure;

/// Who confirms the deletion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// Confirmed by `--yes`.
    Given,
    /// The user at the terminal is asked.
    Asked,
    DryRun,
}

/// Fails with exit code 2 without a terminal to ask at and without options.
pub fn clean(arguments: &cli::Clean, at_a_terminal: bool) -> Result<Consent, Failure> {
    match (arguments.dry_run, arguments.yes, at_a_terminal) {
        (true, _, _) => Ok(Consent::DryRun),
        (_, true, _) => Ok(Consent::Given),
        (_, _, true) => Ok(Consent::Asked),
        _ => Err(usage("clean deletes topics and groups, and cannot ask for confirmation without a terminal")
            .hint("add --yes to delete them, or --dry-run to list them")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletes_nothing_without_consent() {
        let consent = |yes, dry_run, terminal| clean(&cli::Clean { yes, dry_run, full: false }, terminal).ok();
        assert_eq!(consent(false, false, true), Some(Consent::Asked));
        assert_eq!(consent(false, false, false), None);
        for terminal in [false, true] {
            assert_eq!(consent(true, false, terminal), Some(Consent::Given));
            assert_eq!(consent(false, true, terminal), Some(Consent::DryRun));
        }
    }
}
