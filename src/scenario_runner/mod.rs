//! Scenario runner: runs a script's processes, waits for its conditions, samples lag, and returns the document of the
//! run.
//!
//! Layer 37. Only this program is run, never a shell. No process outlives the run: on a signal the processes are
//! stopped in order, and if this process dies, they notice that the pipe on their stdin (the leash) was closed.

mod child;
mod environment;
mod lag_sampling;
mod output;
mod runner;

pub use environment::Environment;
pub use output::RunContext;
pub use runner::run_script;
