//! HTML tables with a caption and scoped headers, collapsed if they are long.

use askama::Template;

use crate::units::counted;

/// The most rows of a table that is expanded.
const UNFOLDED: usize = 24;

/// The content of a cell.
#[derive(Debug, Clone)]
pub(super) enum Cell {
    Text(String),
    Number(String),
    Code(String),
    /// A word with a sign before it; the class says how it looks.
    Word {
        class: &'static str,
        sign: &'static str,
        text: String,
    },
}

impl Cell {
    fn class(&self) -> &'static str {
        match self {
            Self::Text(_) => "",
            Self::Number(_) => "number",
            Self::Code(_) => "code",
            Self::Word { class, .. } => class,
        }
    }
}

/// Whether a table is collapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Collapse {
    Always,
    WhenLong,
    Never,
}

/// A table. The first cell of each row is its heading.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r#"{% if folded() %}<details>
<summary>{{ caption }} <span class="rows">({{ row_count() }})</span></summary>
{% endif %}<div class="scroll" role="region" aria-label="Table" tabindex="0"><table class="{{ class }}">
<caption>{{ caption }}</caption>
<thead><tr>{% for (text, is_number) in heads %}<th scope="col"{% if *is_number %} class="number"{% endif %}>{{ text }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in rows %}<tr>{% for cell in row %}{% if loop.first %}<th scope="row"{% else %}<td{% endif %}{% if !cell.class().is_empty() %} class="{{ cell.class() }}"{% endif %}>{% match cell %}{% when Cell::Text(text) %}{{ text }}{% when Cell::Number(text) %}{{ text }}{% when Cell::Code(text) %}<code>{{ text }}</code>{% when Cell::Word with { class, sign, text } %}<span aria-hidden="true">{{ sign }}</span> {{ text }}{% endmatch %}{% if loop.first %}</th>{% else %}</td>{% endif %}{% endfor %}</tr>
{% endfor %}
</tbody>
</table></div>{% if folded() %}
</details>{% endif %}"#
)]
pub(super) struct HtmlTable {
    /// A class of the style sheet.
    pub(super) class: &'static str,
    pub(super) caption: String,
    /// Each header, and whether its column has numbers.
    pub(super) heads: Vec<(&'static str, bool)>,
    pub(super) rows: Vec<Vec<Cell>>,
    pub(super) fold: Collapse,
}

impl HtmlTable {
    fn row_count(&self) -> String {
        counted(self.rows.len() as u64, "row")
    }

    fn folded(&self) -> bool {
        match self.fold {
            Collapse::Always => true,
            Collapse::WhenLong => self.rows.len() > UNFOLDED,
            Collapse::Never => false,
        }
    }
}
