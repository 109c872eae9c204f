//! Owns playing a script: its processes, the waits between them, lag sampled meanwhile, and the document of it all.
//!
//! Rank 37. A script is data by the time it comes here; what is run is this program and nothing else. Whatever happens, no
//! process that was started here is left behind: a signal ends them in order, a death closes the pipe that is their leash.

mod caveats;
mod child;
mod environment;
mod lag_sampling;
mod output;
mod runner;

pub use environment::Environment;
pub use output::RunContext;
pub use runner::run_script;
