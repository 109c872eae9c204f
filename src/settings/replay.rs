//! Owns what was meant by `replay`.

use super::check_group;
use crate::cli;
use crate::exit::Failure;

/// Checks what `replay` was given beyond its target.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong.
pub fn replay(typed: &cli::Replay) -> Result<(), Failure> {
    check_group(typed.group.as_deref())
}
