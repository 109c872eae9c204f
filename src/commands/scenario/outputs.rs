//! Files of a scenario run: a page and a document per script, and `JUnit` XML. All are opened before the first script
//! runs.

use std::fs;
use std::path::PathBuf;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use super::scripts::ScriptFile;
use crate::cli;
use crate::exit::{Code, Failure};
use crate::output::OutputFile;
use crate::printable::{self, printable};
use crate::report;
use crate::scenario::{ScenarioDocument, ScenarioVerdict};
use crate::settings;

#[derive(Debug)]
pub(super) struct RunFiles {
    folder: PathBuf,
    /// Page and document of each script, until written.
    pairs: Vec<Option<(OutputFile, OutputFile)>>,
    junit: Option<OutputFile>,
    svg: Option<OutputFile>,
}

impl RunFiles {
    /// Opens all files and creates the directory if necessary. Fails with exit code 8 if one of them cannot be written.
    pub fn open(arguments: &cli::ScenarioRun, files: &[ScriptFile]) -> Result<Self, Failure> {
        let cli::ScenarioRun { out: folder, junit, svg, .. } = arguments;
        if svg.is_some() && files.len() != 1 {
            return Err(Failure::new(Code::Usage, "--svg writes the chart of a single script, but there are several")
                .hint("give one script, and run the others without --svg"));
        }
        let names = || files.iter().map(|file| &file.script.name);
        let own = names().flat_map(|name| ["html", "json"].map(|kind| folder.join(format!("{name}.{kind}"))));
        for (flag, path) in [("--junit", junit), ("--svg", svg)] {
            let Some(path) = path else { continue };
            if let Some(own) = own.clone().find(|own| settings::is_same_file(own, path)) {
                let message = format!("--out and {flag} name the same file, {}", own.display());
                return Err(Failure::new(Code::Usage, message).hint("use a different file for each"));
            }
        }
        fs::create_dir_all(folder).map_err(|error| {
            Failure::new(Code::Output, format!("{} cannot be created: {error}", folder.display()))
                .hint("choose another directory with --out; nothing has been run yet")
        })?;
        let pair = |file: &ScriptFile| -> Result<_, Failure> {
            let name = &file.script.name;
            let page = OutputFile::open(&folder.join(format!("{name}.html")))?;
            Ok(Some((page, OutputFile::open(&folder.join(format!("{name}.json")))?)))
        };
        let pairs = files.iter().map(pair).collect::<Result<_, _>>()?;
        let open = |path: &Option<PathBuf>| path.as_deref().map(OutputFile::open).transpose();
        Ok(Self { folder: folder.clone(), pairs, junit: open(junit)?, svg: open(svg)? })
    }

    pub fn write(&mut self, index: usize, document: &ScenarioDocument) -> Result<(), Failure> {
        let Some((page, json)) = self.pairs.get_mut(index).and_then(Option::take) else { return Ok(()) };
        page.finish(&report::html::scenario_page(document))?;
        json.finish(&crate::commands::json(document)?)
    }

    pub fn finish(&mut self, documents: &[ScenarioDocument]) -> Result<(), Failure> {
        if let (Some(file), [document]) = (self.svg.take(), documents) {
            file.finish(&report::html::lag_svg(document))?;
        }
        let Some(file) = self.junit.take() else { return Ok(()) };
        let text = junit(documents)
            .to_string()
            .map_err(|error| Failure::new(Code::Unexpected, format!("cannot write JUnit XML: {error}")))?;
        file.finish(&text)
    }

    /// The path of the page of a run.
    pub fn page(&self, document: &ScenarioDocument) -> String {
        printable::path(&self.folder.join(format!("{}.html", document.name)))
    }
}

/// A test suite per script, a test case per expectation.
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
                let message = format!("expected {}, seen {}{why}", outcome.expected, outcome.seen_text());
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
