//! Age of what is shown while the cluster does not answer.

use std::time::Duration;

/// What is said beside figures that are older than they should be.
#[must_use]
pub fn stale_note(age: Duration) -> String {
    format!("stale: no answer from the cluster for {} s", age.as_secs())
}
