//! Progress output of a run: a live text on a terminal, otherwise a line per event.

use std::path::PathBuf;

use crate::console::{Console, LiveText};
use crate::report;
use crate::scenario::{RunEvent, ScenarioDocument};
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
    text: Option<LiveText<'a>>,
}

impl<'a> LiveOutput<'a> {
    pub fn new(console: &'a Console) -> Self {
        Self { console, text: console.live_text() }
    }

    pub fn event(&self, event: &RunEvent) {
        if self.text.is_none() {
            self.console.note(&format!("{:8.1} s  {}", event.at_seconds, report::printable(&event.text)));
        }
    }

    pub fn redraw(&mut self, document: &ScenarioDocument, now_seconds: f64) {
        if let Some(text) = &mut self.text {
            text.draw(|| report::scenario_live_text(document, now_seconds));
        }
    }
}
