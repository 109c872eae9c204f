//! Owns the bound on a case: one that hangs fails by its name, and the others are run.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

/// No case takes longer on any machine; whoever hits it has found a hang.
const CASE_TIMEOUT: Duration = Duration::from_mins(12);

/// A test that ends, whatever its case does.
pub fn trial(name: impl Into<String>, case: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    let name = name.into();
    Trial::test(name.clone(), move || within(CASE_TIMEOUT, &name, case))
}

/// Runs a case on a thread of its own; that of a case that hangs is left behind, and ends with the process.
pub fn within(
    limit: Duration,
    name: &str,
    case: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Result<(), Failed> {
    let (running, ended) = channel::<()>();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Dropped, and so heard of, also when the case panics.
        let _running = running;
        case()
    })?;
    match ended.recv_timeout(limit) {
        Err(RecvTimeoutError::Timeout) => Err(format!("{name} hangs: it has not ended within {limit:?}").into()),
        Ok(()) | Err(RecvTimeoutError::Disconnected) => {
            thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }
    }
}
