//! Owns `scenario`: scripts found, read and checked as a whole, then played, judged and reported.

mod outputs;
mod scripts;

use std::path::PathBuf;

use serde::Serialize;

use super::Context;
use crate::cli;
use crate::exit::{Code, Failure, Outcome};
use crate::local_broker::BrokerTarget;
use crate::report;
use crate::scenario::{ScenarioDocument, ScenarioVerdict, Script};
use crate::scenario_runner::{Environment, RunContext, run_script};

use outputs::RunFiles;
use scripts::{ScriptFile, read};

/// `foodstream.scenarios/1`: the runs of several scripts.
#[derive(Debug, Serialize)]
struct ScenariosDocument<'a> {
    schema: &'static str,
    verdict: ScenarioVerdict,
    scenarios: &'a [ScenarioDocument],
}

/// Plays scripts, one after the other.
///
/// # Errors
///
/// With exit code 2 for mistakes in any of them, before anything is run; 4 when the cluster cannot be reached, 8 when a
/// report cannot be written.
pub fn run(context: &Context, typed: &cli::ScenarioRun) -> Outcome {
    let files = read(&typed.files)?;
    let report = context.open_report()?;
    let mut outputs = RunFiles::open(&typed.out, typed.junit.as_deref(), &files)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Unexpected, format!("this program does not find itself: {error}")))?;
    let stage = RunContext { program, console: &context.console, shutdown: &context.shutdown };
    let mut documents: Vec<ScenarioDocument> = Vec::new();
    for (index, ScriptFile { path, script }) in files.iter().enumerate() {
        context.console.note(&format!("{}: {}", script.name, first_line(&script.description)));
        let document = run_one(context, typed, script, &path.display().to_string(), &stage)?;
        outputs.write(index, &document)?;
        documents.push(document);
        if context.shutdown.requested().is_some() {
            break;
        }
    }
    outputs.finish(&documents)?;
    let verdict = overall(&documents);
    let mut text: String = documents.iter().map(report::scenario_report).collect();
    text.push_str(&outputs.told(&documents));
    match documents.as_slice() {
        [document] if files.len() == 1 => context.print_document(document, &text, report)?,
        _ => {
            let all = ScenariosDocument { schema: "foodstream.scenarios/1", verdict, scenarios: &documents };
            context.print_document(&all, &text, report)?;
        }
    }
    Ok(match verdict {
        ScenarioVerdict::Passed => Code::Done,
        ScenarioVerdict::Failed => Code::Different,
        ScenarioVerdict::Interrupted => {
            context.shutdown.requested().map_or(Code::Different, crate::shutdown::Signal::code)
        }
    })
}

fn overall(documents: &[ScenarioDocument]) -> ScenarioVerdict {
    let any = |verdict| documents.iter().any(|document| document.verdict == verdict);
    if any(ScenarioVerdict::Interrupted) {
        ScenarioVerdict::Interrupted
    } else if any(ScenarioVerdict::Failed) {
        ScenarioVerdict::Failed
    } else {
        ScenarioVerdict::Passed
    }
}

fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

fn run_one(
    context: &Context,
    typed: &cli::ScenarioRun,
    script: &Script,
    file: &str,
    stage: &RunContext<'_>,
) -> Result<ScenarioDocument, Failure> {
    let common = &context.common;
    if common.wanted == BrokerTarget::Auto {
        let environment = Environment::embedded(&common.connection, common.names.prefix(), &context.runtime)?;
        return run_script(script, file, &environment, stage);
    }
    let prefix = format!("{}{}-{}.", common.names.prefix(), script.name, &context.process_id[..8]);
    let environment = Environment::cluster(&common.connection, prefix, &context.runtime)?;
    let played = run_script(script, file, &environment, stage);
    if typed.keep {
        context
            .console
            .note(&format!("topics and groups are kept: foodstream clean --prefix {}", environment.names.prefix()));
        return played;
    }
    // Also when a signal asked to stop: what was begun here is taken back.
    let removed = environment.remove();
    let document = played?;
    removed.map_err(|failure| {
        let prefix = environment.names.prefix();
        failure
            .context(format!("topics of {prefix} were left behind"))
            .hint(format!("foodstream clean --prefix {prefix}"))
    })?;
    Ok(document)
}

/// Looks for every mistake, and runs nothing.
///
/// # Errors
///
/// With exit code 2 and every mistake.
pub fn check(context: &Context, typed: &cli::ScenarioFiles) -> Outcome {
    tell_scripts(context, &typed.files, |ScriptRow { file, steps, expectations, .. }| {
        format!("{}: {steps} steps, {expectations} expectations, no mistakes\n", report::printable(file))
    })
}

/// `foodstream.scripts/1`: scripts without a mistake.
#[derive(Debug, Serialize)]
struct ScriptsDocument {
    schema: &'static str,
    scenarios: Vec<ScriptRow>,
}

/// Reads scripts and tells what they are, each in the words of `told`.
fn tell_scripts(context: &Context, files: &[PathBuf], told: impl Fn(&ScriptRow) -> String) -> Outcome {
    let report = context.open_report()?;
    let scenarios: Vec<ScriptRow> = read(files)?.iter().map(ScriptRow::of).collect();
    let text: String = scenarios.iter().map(told).collect();
    context.print_document(&ScriptsDocument { schema: "foodstream.scripts/1", scenarios }, &text, report)?;
    Ok(Code::Done)
}

/// A script of a list.
#[derive(Debug, Serialize)]
struct ScriptRow {
    name: String,
    description: String,
    file: String,
    steps: usize,
    expectations: usize,
}

impl ScriptRow {
    fn of(file: &ScriptFile) -> Self {
        let ScriptFile { path, script } = file;
        Self {
            name: script.name.clone(),
            description: script.description.trim().to_owned(),
            file: path.display().to_string(),
            steps: script.steps.len(),
            expectations: script.expectations.len(),
        }
    }
}

/// Lists the scripts of folders and what they show.
///
/// # Errors
///
/// With exit code 2 for a folder that cannot be read and for every mistake.
pub fn list(context: &Context, typed: &cli::ScenarioList) -> Outcome {
    tell_scripts(context, &typed.files, |ScriptRow { name, description, file, .. }| {
        format!("{name:<20} {}\n{:<20} {}\n", first_line(description), "", report::printable(file))
    })
}
