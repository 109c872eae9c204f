//! Owns `lag`: how far behind a consumer group is.

use super::Context;
use crate::cli;
use crate::exit::{Code, Failure, Outcome};

/// To come.
///
/// # Errors
///
/// Always, for now.
pub fn run(_context: &Context, _typed: &cli::Lag) -> Outcome {
    Err(Failure::new(Code::Unexpected, "not there yet"))
}
