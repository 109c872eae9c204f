//! `audit`: proves that nothing was lost and nothing done twice, or shows what was.

mod chain;
mod comparing;
mod frozen_topic;
mod prefix;
mod scan_folds;
mod service;
mod watched_scan;
mod witness_records;

use super::Context;
use crate::audit::{AuditDocument, AuditVerdict, Subject};
use crate::exit::{Code, Failure, Outcome};
use crate::output::OutputFile;
use crate::printable::shell_word;
use crate::report::{self, Detail};
use crate::settings::{AuditSettings, AuditSubject};

/// Judges, and shows the verdict with its evidence. After a stop it shows what was judged until then.
pub fn run(context: &Context, settings: &AuditSettings) -> Outcome {
    let report = context.open_report()?;
    let html = settings.html.as_deref().map(OutputFile::open).transpose()?;
    let junit = settings.junit.as_deref().map(OutputFile::open).transpose()?;
    let (subject, judged) = match &settings.subject {
        AuditSubject::Prefix { group } => (Subject::Prefix, prefix::audit(context, settings, group.as_deref())),
        AuditSubject::Service(service) => (Subject::Service, service::audit(context, settings, service)),
        AuditSubject::Chain(chain) => (Subject::Chain, chain::audit(context, settings, chain)),
    };
    let mut document = match judged {
        Err(failure) if failure.code.is_stop() => AuditDocument::new(subject),
        judged => judged?,
    };
    let options = settings.subject.options().into_iter();
    document.options = options.map(|(name, value)| (name.replace('-', "_"), value)).collect();
    // A stop may come after the reading, or before it. A later one changes nothing.
    let stop = context.shutdown.requested();
    if stop.is_some() && !document.unproved.iter().any(|reason| reason.starts_with("stopped ")) {
        document.unproved.push("stopped before everything was judged".to_owned());
        document.judge();
    }
    if document.unproved.is_empty() && document.uncommitted > 0 && document.covered_orders() == 0 {
        document
            .unproved
            .push("the group has committed none of what is there: nothing is claimed to be done".to_owned());
        document.judge();
    }
    if let Some(html) = html {
        html.finish(&report::html::audit_page(&document, &page_facts(context, settings, &document)))?;
    }
    if let Some(junit) = junit {
        let text = report::audit_junit(&document)
            .map_err(|error| Failure::new(Code::Unexpected, format!("cannot write JUnit XML: {error}")))?;
        junit.finish(&text)?;
    }
    let text =
        report::audit_report(&document, Detail::of(settings.full), &context.files(settings.html.as_deref().as_slice()));
    context.print_document(&document, &text, report)?;
    Ok(match (stop, document.verdict) {
        (Some(signal), _) => signal.code(),
        (None, AuditVerdict::Clean) => Code::Done,
        (None, AuditVerdict::Violated | AuditVerdict::Unproved) => Code::Different,
    })
}

/// The command line on a page, without `-X` and `-F`, which may contain secrets.
fn page_facts(context: &Context, settings: &AuditSettings, document: &AuditDocument) -> report::html::CommandFacts {
    let mut command = "foodstream audit".to_owned();
    for (name, value) in settings.subject.options() {
        command.extend([" --", name, " ", &shell_word(&value)]);
    }
    context.page_facts(command, document.group.clone().unwrap_or_default())
}
