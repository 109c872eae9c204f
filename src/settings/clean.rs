//! Owns what was meant by `clean`: whether it deletes, and who says yes to that.

use super::usage;
use crate::cli;
use crate::exit::Failure;

/// Who agrees that something is deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consent {
    /// `--yes` has said so.
    Given,
    /// Whoever sits at the terminal is asked.
    Asked,
    /// Nothing is deleted.
    DryRun,
}

/// The consent of `clean`, for a process that has somebody to ask, or nobody.
///
/// # Errors
///
/// With exit code 2 when nobody can be asked and nothing was said.
pub fn clean(typed: &cli::Clean, at_a_terminal: bool) -> Result<Consent, Failure> {
    match (typed.dry_run, typed.yes, at_a_terminal) {
        (true, _, _) => Ok(Consent::DryRun),
        (_, true, _) => Ok(Consent::Given),
        (_, _, true) => Ok(Consent::Asked),
        _ => Err(usage("clean deletes topics and groups, and there is no terminal to ask at")
            .hint("add --yes to delete them, or --dry-run to see what they are")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_deleted_that_nobody_agreed_to() {
        let consent = |yes, dry_run, terminal| clean(&cli::Clean { yes, dry_run }, terminal).ok();
        assert_eq!(consent(false, false, true), Some(Consent::Asked));
        assert_eq!(consent(false, false, false), None);
        for terminal in [false, true] {
            assert_eq!(consent(true, false, terminal), Some(Consent::Given));
            assert_eq!(consent(false, true, terminal), Some(Consent::DryRun));
        }
    }
}
