//! Table of bad records: each reason with its meaning and its number, and an example with its place and its bytes.

use askama::Template;

use super::format;
use crate::inventory::DeadLetterRow;
use crate::printable::line;
use crate::report::printable;
use crate::units::{bytes, grouped};

/// The most characters of a value that are shown: those at its start, and those at its end.
const SHOWN: [usize; 2] = [38, 26];

#[derive(Debug, Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r#"<div class="scroll" role="region" aria-label="Table" tabindex="0"><table class="dead-letters">
<caption>{{ caption }}</caption>
<thead><tr><th scope="col">reason</th><th scope="col" class="number">records</th><th scope="col">example</th></tr></thead>
<tbody>
{% for row in rows %}<tr><th scope="row"><code>{{ row.reason }}</code> <span class="quiet">{{ row.meaning }}</span></th>
<td class="number">{{ row.records }}</td>
<td>{% if let Some(value) = row.value %}<code>{{ value }}</code>{% endif %}
<span class="detail">{{ row.detail }}</span> <span class="quiet">{{ row.place }}</span></td></tr>
{% endfor %}
</tbody>
</table></div>
<p class="quiet">All of them were written to {{ topic }}, byte for byte, each with its reason and its place in the headers.</p>"#
)]
pub(super) struct DeadLetterTable {
    caption: &'static str,
    rows: Vec<Row>,
    topic: String,
}

#[derive(Debug)]
struct Row {
    reason: String,
    meaning: &'static str,
    records: String,
    value: Option<String>,
    place: String,
    detail: String,
}

impl DeadLetterTable {
    /// The table of these reasons. `topic` has the dead letters. It is incomplete if a process was killed.
    pub(super) fn new(rows: &[DeadLetterRow], topic: &str, is_complete: bool) -> Self {
        let row = |row: &DeadLetterRow| {
            let example = &row.example;
            Row {
                reason: format::cut(&printable(&row.reason)),
                meaning: meaning(&row.reason),
                records: grouped(row.records),
                value: example.value.as_deref().map(shown),
                place: format!(
                    "{} partition {}, offset {}, {}",
                    format::cut(&printable(&example.topic)),
                    example.partition,
                    format::grouped(example.offset),
                    bytes(example.value_bytes)
                ),
                detail: format::cut(&printable(&example.detail)),
            }
        };
        let caption = if is_complete {
            "Bad records by reason, each with an example"
        } else {
            "Bad records by reason, of the processes that were not killed, each with an example"
        };
        Self { caption, rows: rows.iter().map(row).collect(), topic: format::cut(&printable(topic)) }
    }
}

/// The start and the end of a value, which is escaped in the document. If it has a byte that is not UTF-8, its
/// surroundings are shown instead of the end.
fn shown(value: &str) -> String {
    let text = line(value);
    let [start, end] = SHOWN;
    let all = text.chars().count();
    if all <= start + end + 1 {
        return text.into_owned();
    }
    let invalid = text.find("\\x").map(|at| text[..at].chars().count());
    if let Some(at) = invalid.filter(|at| *at + 4 > start) {
        let from = at.saturating_sub(end).max(start / 2);
        let around: String = text.chars().skip(from).take(start + end - start / 2).collect();
        let first: String = text.chars().take(start / 2).collect();
        let cut = if from + around.chars().count() < all { "…" } else { "" };
        return format!("{first}…{around}{cut}");
    }
    let (first, last) = (text.chars().take(start), text.chars().skip(all - end));
    first.chain(['…']).chain(last).collect()
}

fn meaning(reason: &str) -> &'static str {
    match reason {
        "no_value" => "the record has no value",
        "not_utf8" => "the value is not UTF-8",
        "not_json" => "the value is not one JSON object",
        "too_deep" => "nested too deep",
        "duplicate_field" => "a field appears twice",
        "missing_field" => "a required field is missing",
        "wrong_type" => "a field has the wrong JSON type",
        "bad_value" => "a value is not allowed",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_keep_what_is_wrong_with_them() {
        assert_eq!(shown("{\"short\":1}"), "{\"short\":1}");
        let long = format!("{}{}", "a".repeat(200), "z".repeat(200));
        assert_eq!(shown(&long), format!("{}…{}", "a".repeat(38), "z".repeat(26)));
        let broken = format!("{}\\xff{}", "a".repeat(200), "z".repeat(200));
        let text = shown(&broken);
        assert!(text.contains("a\\xffz") && text.starts_with("aaaa") && text.ends_with('…'), "{text}");
        assert!(text.chars().count() <= 38 + 26 + 2, "{text}");
        assert!(shown(&format!("{}\\xff", "a".repeat(200))).ends_with("\\xff"));
        assert!(!shown("\u{1b}[2J").contains('\u{1b}'), "a document of another program");
    }
}
