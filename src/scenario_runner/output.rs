//! Owns what is shown while a script is played: a picture on a terminal, elsewhere a line per event.

use std::path::PathBuf;

use crate::console::{Console, LiveText};
use crate::report;
use crate::scenario::{RunEvent, ScenarioDocument};
use crate::shutdown::Shutdown;

/// What a script is played with.
#[derive(Debug)]
pub struct RunContext<'a> {
    /// This program, which is what its steps run.
    pub program: PathBuf,
    /// Where it is shown.
    pub console: &'a Console,
    /// The wish to stop.
    pub shutdown: &'a Shutdown,
}

/// What is shown of one play.
pub(super) struct LiveOutput<'a> {
    console: &'a Console,
    picture: Option<LiveText<'a>>,
}

impl<'a> LiveOutput<'a> {
    pub fn begin(console: &'a Console) -> Self {
        Self { console, picture: console.live_text() }
    }

    /// Something happened.
    pub fn event(&self, event: &RunEvent) {
        if self.picture.is_none() {
            self.console.note(&format!("{:8.1} s  {}", event.at_seconds, report::printable(&event.text)));
        }
    }

    /// Time passed.
    pub fn redraw(&mut self, document: &ScenarioDocument, now_seconds: f64) {
        if let Some(picture) = &mut self.picture {
            picture.draw(|| report::scenario_live_text(document, now_seconds));
        }
    }
}
