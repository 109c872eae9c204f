//! Time limit of test cases: a case that hangs fails by name, and the others still run.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

use libtest_mimic::{Failed, Trial};

/// Time limit of a case on any machine.
const CASE_TIMEOUT: Duration = Duration::from_mins(12);

/// A test with the time limit.
pub fn trial(name: impl Into<String>, case: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    let name = name.into();
    Trial::test(name.clone(), move || within(CASE_TIMEOUT, &name, case))
}

/// Runs a case on its own thread. A thread that hangs is left running until the process ends.
pub fn within(
    limit: Duration,
    name: &str,
    case: impl FnOnce() -> Result<(), Failed> + Send + 'static,
) -> Result<(), Failed> {
    let (running, ended) = channel::<()>();
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Dropped when the case returns or panics, which closes the channel.
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
