//! `scenario`: finds, checks and runs scripts, and reports their results.

mod command_lines;
mod outputs;
mod scripts;

use serde::Serialize;

use super::Context;
use crate::cli;
use crate::exit::{Code, Failure, Outcome};
use crate::local_broker::BrokerTarget;
use crate::report;
use crate::scenario::{EmbeddedScript, ScenarioDocument, ScenarioVerdict, Script, summary};
use crate::scenario_runner::{Environment, RunContext, run_script};
use crate::units::counted;

use outputs::RunFiles;
use scripts::{ScriptFile, Source, find, read};

/// Schema `foodstream.scenarios/1`: the runs of several scripts.
#[derive(Debug, Serialize)]
struct ScenariosDocument<'a> {
    schema: &'static str,
    verdict: ScenarioVerdict,
    scenarios: &'a [ScenarioDocument],
}

/// Runs scripts one after another. Fails with exit code 2 for mistakes in any script before anything runs, 4 if the
/// cluster is unreachable, 8 if a report cannot be written.
pub fn run(context: &Context, arguments: &cli::ScenarioRun) -> Outcome {
    let files = read(context, chosen(context, &arguments.scripts)?)?;
    let report = context.open_report()?;
    let mut outputs = RunFiles::open(arguments, &files)?;
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Unexpected, format!("the path of this program is unknown: {error}")))?;
    let stage = RunContext { program, console: &context.console, shutdown: &context.shutdown };
    let mut documents: Vec<ScenarioDocument> = Vec::new();
    for (index, ScriptFile { source, script }) in files.iter().enumerate() {
        context.console.note(&format!("{}: {}", script.name, first_sentence(&script.description)));
        let document = run_one(context, arguments, script, &source.to_string(), &stage)?;
        outputs.write(index, &document)?;
        documents.push(document);
        if context.shutdown.requested().is_some() {
            break;
        }
    }
    outputs.finish(&documents)?;
    let verdict = overall(&documents);
    let reports = documents.iter().map(|document| report::scenario_report(document, &outputs.page(document)));
    let mut text = reports.collect::<Vec<_>>().join("\n");
    if files.len() > 1 {
        text.extend(["\n", &summary(&documents, files.len())]);
    }
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

/// The first sentence of a description, on one line.
fn first_sentence(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    let end = words.iter().position(|word| word.ends_with(['.', '!', '?'])).map_or(words.len(), |at| at + 1);
    words[..end].join(" ")
}

/// The scripts that arguments name, or all embedded ones.
fn chosen(context: &Context, arguments: &cli::ScenarioScripts) -> Result<Vec<Source>, Failure> {
    if arguments.all { Ok(Source::embedded()) } else { find(context, &arguments.scripts) }
}

fn run_one(
    context: &Context,
    arguments: &cli::ScenarioRun,
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
    if arguments.keep {
        context
            .console
            .note(&format!("topics and groups are kept: foodstream clean --prefix {}", environment.names.prefix()));
        return played;
    }
    // Also after a signal: the topics of this run are deleted.
    let removed = environment.remove();
    let document = played?;
    removed.map_err(|failure| {
        let prefix = environment.names.prefix();
        failure
            .context(format!("topics with prefix {prefix} were not deleted"))
            .hint(format!("foodstream clean --prefix {prefix}"))
    })?;
    Ok(document)
}

/// Reports all mistakes without running anything, with exit code 2.
pub fn check(context: &Context, arguments: &cli::ScenarioScripts) -> Outcome {
    print_scripts(context, chosen(context, arguments)?, |ScriptRow { file, steps, expectations, .. }| {
        format!(
            "{}: {}, {}, no mistakes\n",
            report::printable(file),
            counted(*steps as u64, "step"),
            counted(*expectations as u64, "expectation")
        )
    })
}

/// Lists the embedded scripts, or those of directories, with the first sentences of their descriptions.
pub fn list(context: &Context, arguments: &cli::ScenarioList) -> Outcome {
    let is_embedded = arguments.folders.is_empty();
    let sources = if is_embedded { Source::embedded() } else { find(context, &arguments.folders)? };
    let outcome = print_scripts(context, sources, |ScriptRow { name, description, file, embedded, .. }| {
        let path = if *embedded { String::new() } else { format!("{:<16} {}\n", "", report::printable(file)) };
        format!("{name:<16} {}\n{path}", first_sentence(description))
    })?;
    if is_embedded && context.console.stdout_is_terminal() && !context.common.json {
        context.console.note("next: foodstream scenario run crash, or foodstream scenario show crash > mine.toml");
    }
    Ok(outcome)
}

/// Prints an embedded script as it is.
pub fn show(context: &Context, arguments: &cli::ScenarioShow) -> Outcome {
    if context.common.json || context.common.report.is_some() {
        return Err(Failure::new(Code::Usage, "scenario show prints a script only").hint("omit --output and --report"));
    }
    // The parser accepts no other name.
    let script = EmbeddedScript::named(&arguments.name)
        .ok_or_else(|| Failure::new(Code::Usage, format!("{}: not an embedded script", arguments.name)))?;
    context.console.print(script.text).map(drop)?;
    Ok(Code::Done)
}

/// Schema `foodstream.scripts/1`: scripts without mistakes.
#[derive(Debug, Serialize)]
struct ScriptsDocument {
    schema: &'static str,
    scenarios: Vec<ScriptRow>,
}

/// Reads scripts and prints a text for each.
fn print_scripts(context: &Context, sources: Vec<Source>, describe: impl Fn(&ScriptRow) -> String) -> Outcome {
    let report = context.open_report()?;
    let scenarios: Vec<ScriptRow> = read(context, sources)?.iter().map(ScriptRow::of).collect();
    let text: String = scenarios.iter().map(describe).collect();
    context.print_document(&ScriptsDocument { schema: "foodstream.scripts/1", scenarios }, &text, report)?;
    Ok(Code::Done)
}

#[derive(Debug, Serialize)]
struct ScriptRow {
    name: String,
    description: String,
    file: String,
    embedded: bool,
    steps: usize,
    expectations: usize,
}

impl ScriptRow {
    fn of(file: &ScriptFile) -> Self {
        let ScriptFile { source, script } = file;
        Self {
            name: script.name.clone(),
            description: script.description.trim().to_owned(),
            file: source.to_string(),
            embedded: matches!(source, Source::Embedded(_)),
            steps: script.steps.len(),
            expectations: script.expectations.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::first_sentence;

    #[test]
    fn first_sentence_is_on_one_line() {
        assert_eq!(first_sentence("\nOne is\n1.5 times. Two."), "One is 1.5 times.");
        assert_eq!(first_sentence("No end"), "No end");
        assert_eq!(first_sentence(""), "");
    }
}
