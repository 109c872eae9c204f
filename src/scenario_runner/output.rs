//! Progress output of a run: a live screen on a terminal, otherwise a line per event.

use std::path::PathBuf;
use std::time::Duration;

use crate::console::Console;
use crate::report;
use crate::scenario::{RunEvent, ScenarioDocument};
use crate::screen::Screen;
use crate::shutdown::Shutdown;

/// What a run needs from the process that starts it.
#[derive(Debug)]
pub struct RunContext<'a> {
    /// The executable that the steps run: this program.
    pub program: PathBuf,
    /// Where progress is shown.
    pub console: &'a Console,
    /// Stops the run on a signal.
    pub shutdown: &'a Shutdown,
}

/// Progress output of one run.
pub(super) struct LiveOutput<'a> {
    console: &'a Console,
    screen: Option<Screen>,
}

impl<'a> LiveOutput<'a> {
    pub fn new(context: &RunContext<'a>) -> Self {
        Self { console: context.console, screen: context.console.progress_screen(context.shutdown) }
    }

    pub fn event(&self, event: &RunEvent) {
        if self.screen.is_none() {
            self.console.note(&format!("{:8.1} s  {}", event.at_seconds, report::printable(&event.text)));
        }
    }

    pub fn redraw(&self, document: &ScenarioDocument, now_seconds: f64, every: Duration) {
        if let Some(screen) = &self.screen {
            // A closed terminal also sends a signal, which ends the run.
            let _is_open = screen.draw(report::scenario_frame(document, now_seconds, every));
        }
    }
}
