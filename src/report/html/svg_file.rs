//! A lag chart as an SVG file of its own, for a README or a slide: title, chart, legend and style in one file.

use askama::Template;

use super::{
    format,
    lag::{self, LagView},
    page::CHART_STYLE,
    svg::{Anchor, Mark, Point, Size},
};
use crate::report::printable;

const MARGIN: f64 = 20.0;
/// The height of the title.
const TITLE: f64 = 46.0;
/// The height of the legend.
const LEGEND_HEIGHT: f64 = 30.0;

#[derive(Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {{ width }} {{ height }}" width="{{ width }}" height="{{ height }}" role="img" aria-labelledby="title desc">
<title id="title">{{ title }}</title>
<desc id="desc">{{ description }}</desc>
<style>
{{ CHART_STYLE|safe }}svg .paper { fill: var(--paper); }
svg .title { font-size: 17px; font-weight: 600; }
svg .legend { fill: var(--quiet); }
</style>
<rect class="paper" x="0" y="0" width="{{ width }}" height="{{ height }}" rx="8"/>
<text class="title" x="{{ MARGIN }}" y="31">{{ title }}</text>
<g transform="translate({{ MARGIN }} {{ TITLE }})">
{% for mark in marks %}{{ mark.element() }}
{% endfor %}
</g>
</svg>
"#
)]
struct SvgFile {
    width: f64,
    height: f64,
    title: String,
    description: String,
    marks: Vec<Mark>,
}

/// The chart of the busiest group of the scenario with this name.
pub(super) fn of(view: &LagView<'_>, scenario: &str) -> String {
    let scenario = format::cut(&printable(scenario));
    let (title, description, marks, height) = if let Some(group) = view.busiest() {
        let (chart, series) = (view.svg(group), &view.groups[group]);
        let name = format::cut(&printable(&series.group));
        let (mut marks, mut height) = (chart.marks, chart.height);
        if !series.predictions.is_empty() {
            height += LEGEND_HEIGHT;
            marks.extend(legend(height - 8.0));
        }
        (format!("{scenario}: lag of {name}"), chart.description, marks, height)
    } else {
        let sentence = "No group had lag.".to_owned();
        let at = Point(0.0, 14.0);
        let mark = Mark::Text { class: "legend", at, anchor: Anchor::Start, text: sentence.clone() };
        (format!("{scenario}: lag"), sentence, vec![mark], 20.0)
    };
    let file = SvgFile {
        width: Size::Wide.width() + 2.0 * MARGIN,
        height: (TITLE + height + MARGIN / 2.0).ceil(),
        title,
        description,
        marks,
    };
    // Only custom filters can fail, and this template has none.
    file.render().unwrap_or_default()
}

/// The legend in a row.
fn legend(y: f64) -> Vec<Mark> {
    let middle = y - 4.0;
    let lefts = [64.0, 390.0, 530.0];
    let line = Mark::line("predicted", Point(lefts[0], middle), Point(lefts[0] + 24.0, middle));
    let diamond = Mark::Diamond { class: "predicted-end", at: Point(lefts[1] + 14.0, middle), radius: 6.0 };
    let dot = Mark::Dot { class: "drained", at: Point(lefts[2] + 14.0, middle), radius: 4.5 };
    let text = |(text, left): (&str, f64)| Mark::Text {
        class: "legend",
        at: Point(left + 30.0, y),
        anchor: Anchor::Start,
        text: text.to_owned(),
    };
    [line, diamond, dot].into_iter().chain(lag::LEGEND.into_iter().zip(lefts).map(text)).collect()
}
