//! Step sections of a page: the timeline, the commands, the seeds, and how each process ended.

use askama::Template;
use serde_json::Value;

use super::{
    bar_charts::{Span, timeline_chart},
    format,
    page::{FactList, Figure, Section},
    svg::{Mark, Point, Size},
    table::{Cell, Collapse, HtmlTable},
    time_axis::TimeAxis,
};
use crate::report::printable;
use crate::scenario::{EndedBy, ScenarioDocument, StepOutcome};
use crate::units;

/// The most steps on the timeline. The table has all of them.
const DRAWN: usize = 40;

pub(super) fn timeline_section(document: &ScenarioDocument, axis: &TimeAxis) -> Option<Section> {
    if document.steps.is_empty() {
        return None;
    }
    let steps = &document.steps;
    let mut section = Section::new("timeline", "Timeline");
    let spans: Vec<_> = steps.iter().take(DRAWN).map(span).collect();
    let title = "Timeline of processes";
    let description = format!("Bars of {} processes over {}.", spans.len(), format::seconds(document.elapsed_seconds));
    let texts = ("timeline", title, description.as_str());
    let chart = |size| timeline_chart(texts, &spans, axis, document.elapsed_seconds, size);
    let bar = |class| vec![Mark::Area { class, at: Point(1.0, 2.0), width: 24.0, height: 10.0 }];
    let has = |wanted: &dyn Fn(&Span) -> bool| spans.iter().any(wanted);
    let candidates = [
        (has(&|span| !span.background && !span.failed), bar("span"), "in the foreground"),
        (has(&|span| span.background && !span.failed), bar("span background"), "in the background"),
        (has(&|span| span.failed), bar("span failed"), "ended with an exit code other than 0"),
        (
            has(&|span| span.ended_by == Some(EndedBy::Stop)),
            vec![Mark::Diamond { class: "stopped", at: Point(13.0, 7.0), radius: 5.0 }],
            "stopped by the script",
        ),
        (
            has(&|span| span.ended_by == Some(EndedBy::Kill)),
            vec![Mark::Cross { class: "killed", at: Point(13.0, 7.0), radius: 5.0 }],
            "killed by the script",
        ),
    ];
    let legend = candidates.into_iter().filter(|(is_shown, ..)| *is_shown);
    section.add(&Figure {
        charts: vec![chart(Size::Wide), chart(Size::Narrow)],
        legend: legend.map(|(_, marks, text)| (marks, text.to_owned())).collect(),
        caption: match steps.len() {
            all if all > DRAWN => format!("The first {DRAWN} of {} processes.", format::grouped(all as u64)),
            _ => String::new(),
        },
        note: "",
    });
    section.add(&steps_table(steps));
    Some(section)
}

fn span(step: &StepOutcome) -> Span {
    Span {
        name: format::cut(&printable(&step.name)),
        from: step.started_seconds,
        to: step.ended_seconds,
        background: step.background,
        ended_by: step.ended_by,
        failed: step.exit_code.is_some_and(|code| code != 0),
    }
}

fn steps_table(steps: &[StepOutcome]) -> HtmlTable {
    let rows = steps.iter().map(|step| {
        let took = step.ended_seconds.map(|ended| format::seconds(ended - step.started_seconds));
        vec![
            Cell::Text(format::cut(&printable(&step.name))),
            Cell::Number(format::seconds(step.started_seconds)),
            Cell::Number(took.unwrap_or_else(|| format::NOTHING.to_owned())),
            Cell::Number(step.exit_code.map_or_else(|| format::NOTHING.to_owned(), |code| code.to_string())),
            Cell::Text(how_it_ended(step).to_owned()),
        ]
    });
    HtmlTable {
        class: "",
        caption: "All processes".to_owned(),
        heads: vec![("step", false), ("start", true), ("duration", true), ("exit code", true), ("ended", false)],
        rows: rows.collect(),
        fold: Collapse::Always,
    }
}

const fn how_it_ended(step: &StepOutcome) -> &'static str {
    match step.ended_by {
        Some(EndedBy::Itself) => "by itself",
        Some(EndedBy::Stop) => "stopped by the script",
        Some(EndedBy::Kill) => "killed by the script",
        Some(EndedBy::End) => "at the end of the run",
        None => "end not seen",
    }
}

pub(super) fn commands_section(document: &ScenarioDocument) -> Section {
    let mut section = Section::new("commands", "Commands");
    section.paragraph("To repeat the whole run with its expectations:");
    section.add(&Code { text: format!("foodstream scenario run {}", shown(&document.file)) });
    if document.steps.is_empty() {
        return section;
    }
    section.paragraph(if document.broker.embedded {
        "Or step by step. The private broker of this run has ended; start this one in another terminal instead:"
    } else {
        "Or step by step, against the same broker:"
    });
    if document.broker.embedded {
        section.add(&Code { text: format!("foodstream broker --memory --listen {}", shown(&document.broker.address)) });
    }
    let commands = document.steps.iter().map(|step| Command {
        name: format::cut(&printable(&step.name)),
        line: shown(&step.command),
        story: story(step),
        stderr: step.stderr.iter().map(|line| shown(line)).collect(),
    });
    section.add(&Commands { commands: commands.collect() });
    section
}

/// A command line or a line of output, complete and printable.
fn shown(text: &str) -> String {
    printable(text).into_owned()
}

fn story(step: &StepOutcome) -> String {
    let background = if step.background { "in the background; " } else { "" };
    let started = format::seconds(step.started_seconds);
    let ended = match (step.ended_by, step.ended_seconds) {
        (Some(_), Some(at)) => format!("{} after {}", how_it_ended(step), format::seconds(at)),
        _ => how_it_ended(step).to_owned(),
    };
    let code = step.exit_code.map(|code| format!(", exit code {code}")).unwrap_or_default();
    let open = match step.uncommitted {
        Some(records) if records > 0 => {
            format!("; {} in an open transaction", units::counted(records, "offset"))
        }
        Some(_) => "; no transaction was open".to_owned(),
        None => String::new(),
    };
    format!("{background}started at {started}; ended: {ended}{code}{open}")
}

#[derive(Template)]
#[template(ext = "html", source = "<pre><code>{{ text }}</code></pre>")]
struct Code {
    text: String,
}

struct Command {
    name: String,
    line: String,
    story: String,
    stderr: Vec<String>,
}

#[derive(Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r#"<ol class="commands">
{% for command in commands %}<li>
<p><strong>{{ command.name }}</strong> <span class="quiet">{{ command.story }}</span></p>
<pre><code>{{ command.line }}</code></pre>
{% if !command.stderr.is_empty() %}<details><summary>Its last words on stderr</summary>
<pre>{% for line in command.stderr %}{{ line }}
{% endfor %}</pre></details>
{% endif %}</li>
{% endfor %}
</ol>"#
)]
struct Commands {
    commands: Vec<Command>,
}

pub(super) fn facts_section(document: &ScenarioDocument) -> Section {
    let mut section = Section::new("facts", "Seeds and versions");
    let broker = &document.broker;
    let mut facts = vec![
        ("script".to_owned(), format::cut(&printable(&document.file))),
        ("started".to_owned(), format::cut(&printable(&document.started))),
        ("took".to_owned(), format::seconds(document.elapsed_seconds)),
        ("foodstream".to_owned(), format::cut(&printable(&document.version))),
        ("librdkafka".to_owned(), format::cut(&printable(&document.librdkafka))),
        (
            "broker".to_owned(),
            format!(
                "{}{}",
                format::cut(&printable(&broker.address)),
                if broker.embedded { ", embedded, private to this run" } else { "" }
            ),
        ),
        (
            "prefix".to_owned(),
            if broker.prefix.is_empty() { "none".to_owned() } else { format::cut(&printable(&broker.prefix)) },
        ),
    ];
    for step in &document.steps {
        // Without separators, so that it can be copied.
        if let Some(seed) = step.document.as_ref().and_then(|document| document.get("seed")).and_then(Value::as_u64) {
            facts.push((format!("seed of “{}”", format::cut(&printable(&step.name))), seed.to_string()));
        }
    }
    section.add(&FactList { facts });
    section
}
