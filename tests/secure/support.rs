//! Owns how long a single step of this suite may take.

use std::time::Duration;

/// No single step takes longer; whoever hits it has found a hang.
pub const STEP_TIMEOUT: Duration = Duration::from_mins(2);
