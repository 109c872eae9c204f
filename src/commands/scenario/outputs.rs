//! Owns the files of a run: a page and a document per script, and `JUnit` XML; opened before anything is played.

use std::fs;
use std::path::{Path, PathBuf};

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::scripts::ScriptFile;
use crate::exit::{Code, Failure};
use crate::output::OutputFile;
use crate::printable::{self, printable};
use crate::report;
use crate::scenario::{ScenarioDocument, ScenarioVerdict};

/// The files of a run.
#[derive(Debug)]
pub(super) struct RunFiles {
    folder: PathBuf,
    /// Page and document of each script, until they are written.
    pairs: Vec<Option<(OutputFile, OutputFile)>>,
    junit: Option<OutputFile>,
}

impl RunFiles {
    /// Opens them all; a folder that is missing is made.
    ///
    /// # Errors
    ///
    /// With exit code 8 when one of them cannot be written.
    pub fn open(folder: &Path, junit: Option<&Path>, files: &[ScriptFile]) -> Result<Self, Failure> {
        fs::create_dir_all(folder).map_err(|error| {
            Failure::new(Code::Output, format!("{} cannot be made: {error}", folder.display()))
                .hint("name another folder with --out; nothing was run yet")
        })?;
        let pair = |file: &ScriptFile| -> Result<_, Failure> {
            let name = &file.script.name;
            let page = OutputFile::open(&folder.join(format!("{name}.html")))?;
            Ok(Some((page, OutputFile::open(&folder.join(format!("{name}.json")))?)))
        };
        let pairs = files.iter().map(pair).collect::<Result<_, _>>()?;
        Ok(Self { folder: folder.to_owned(), pairs, junit: junit.map(OutputFile::open).transpose()? })
    }

    /// Writes what one script came to.
    ///
    /// # Errors
    ///
    /// With exit code 8 when it cannot be written.
    pub fn write(&mut self, index: usize, document: &ScenarioDocument) -> Result<(), Failure> {
        let Some((page, json)) = self.pairs.get_mut(index).and_then(Option::take) else { return Ok(()) };
        page.finish(&report::html::scenario_page(document))?;
        json.finish(&crate::commands::json(document)?)
    }

    /// Writes what is told of all scripts together.
    ///
    /// # Errors
    ///
    /// With exit code 8 when it cannot be written.
    pub fn finish(&mut self, documents: &[ScenarioDocument]) -> Result<(), Failure> {
        let Some(file) = self.junit.take() else { return Ok(()) };
        let text = junit(documents)
            .to_string()
            .map_err(|error| Failure::new(Code::Unexpected, format!("no JUnit XML: {error}")))?;
        file.finish(&text)
    }

    /// Where the pages are.
    pub fn told(&self, documents: &[ScenarioDocument]) -> String {
        documents.iter().fold(String::new(), |text, document| {
            let page = self.folder.join(format!("{}.html", document.name));
            format!("{text}Report: {}\n", printable::path(&page))
        })
    }
}

/// A suite per script, a case per expectation.
fn junit(documents: &[ScenarioDocument]) -> Report {
    let mut report = Report::new("foodstream scenario");
    for document in documents {
        let mut suite = TestSuite::new(printable(&document.name).as_ref());
        suite.set_time(std::time::Duration::from_secs_f64(document.elapsed_seconds.max(0.0)));
        for outcome in &document.expectations {
            let status = if outcome.held {
                TestCaseStatus::success()
            } else {
                let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
                let why = outcome.why.as_deref().map_or_else(String::new, |why| format!("; {why}"));
                let message = format!("expected {}, seen {}{why}", outcome.expected, outcome.seen);
                status.set_message(printable(&message).as_ref());
                status
            };
            let name = format!("{} {} {} (line {})", outcome.about, outcome.value, outcome.expected, outcome.line);
            let mut case = TestCase::new(printable(&name).as_ref(), status);
            case.set_classname(printable(&document.name).as_ref());
            suite.add_test_case(case);
        }
        if document.verdict == ScenarioVerdict::Interrupted {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message("stopped by a signal before its end");
            suite.add_test_case(TestCase::new("the whole script was played", status));
        }
        report.add_test_suite(suite);
    }
    report
}
