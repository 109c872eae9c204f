//! Owns `clean`: the end of a prefix, its topics and its groups.

use super::Context;
use crate::cli;
use crate::exit::{Code, Failure, Outcome};

/// To come.
///
/// # Errors
///
/// Always, for now.
pub fn run(_context: &Context, _typed: &cli::Clean) -> Outcome {
    Err(Failure::new(Code::Unexpected, "not there yet"))
}
