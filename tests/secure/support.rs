//! Time limit of a single step.

use std::time::Duration;

/// Time limit of a single step.
pub const STEP_TIMEOUT: Duration = Duration::from_mins(2);
