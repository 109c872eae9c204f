//! Page layout: head, style sheet, verdict and sections. A page runs no script and fetches nothing.

use std::fmt;

use askama::{Template, filters::HtmlSafe};

use super::svg::{Mark, Svg};

/// HTML that a template has rendered. Templates escape their values.
#[derive(Debug, Clone, Default)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn of(template: &impl Template) -> Self {
        // Only custom filters can fail, and these templates have none.
        Self(template.render().unwrap_or_default())
    }
}

impl fmt::Display for Html {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Html {}

/// The tone of a verdict, for its colour and its sign. The word is always shown too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    Good,
    Bad,
    Part,
    Plain,
}

impl Tone {
    pub(super) const fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Part => "part",
            Self::Plain => "plain",
        }
    }

    pub(super) const fn sign(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Part => "◐",
            Self::Plain => "●",
        }
    }
}

/// A key figure at the top of a page, and its label.
#[derive(Debug, Clone)]
pub(super) struct Tile {
    pub(super) number: String,
    pub(super) what: String,
}

#[derive(Debug, Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r##"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="foodstream">
<title>{{ tone.sign() }} {{ title }}: {{ word }}</title>
<style>
{{ STYLE|safe }}</style>
</head>
<body>
<header>
<p class="kind">{{ kind }}</p>
<h1>{{ title }}</h1>
{% if !when.is_empty() %}
<p class="when">{{ when }}</p>
{% endif %}
{% if let Some(warning) = warning %}
<p class="warning" role="note"><strong>This run was interrupted.</strong> {{ warning }}</p>
{% endif %}
<div class="verdict {{ tone.class() }}">
<p class="outcome"><strong class="word"><span class="sign" aria-hidden="true">{{ tone.sign() }}</span> {{ word }}</strong> {{ sentence }}</p>
{% if !story.is_empty() %}
<p class="story">{{ story }}</p>
{% endif %}
</div>
{{ first }}
{{ picture }}
{% if !tiles.is_empty() %}
<dl class="tiles">
{% for tile in tiles %}<div><dt>{{ tile.what }}</dt><dd>{{ tile.number }}</dd></div>
{% endfor %}
</dl>
{% endif %}
{{ below }}
{% for paragraph in description %}<p class="lead">{{ paragraph }}</p>
{% endfor %}
{% if sections.len() > 2 %}
<nav aria-label="On this page"><ul>
{% for section in sections %}<li><a href="#{{ section.id }}">{{ section.title }}</a></li>
{% endfor %}
</ul></nav>
{% endif %}
</header>
<main>
{% for section in sections %}
<section id="{{ section.id }}" aria-labelledby="{{ section.id }}-heading">
<h2 id="{{ section.id }}-heading">{{ section.title }}</h2>
{% for block in section.blocks %}{{ block }}
{% endfor %}
</section>
{% endfor %}
</main>
<footer>
<p>Made by foodstream {{ version }}. This page is one file: it loads nothing and runs no script.</p>
</footer>
</body>
</html>
"##
)]
pub(super) struct Page {
    /// The kind of page: `Scenario`, `Replay`, `Audit`, `Lag`.
    pub(super) kind: &'static str,
    pub(super) title: String,
    /// Start, duration and place of the run.
    pub(super) when: String,
    pub(super) tone: Tone,
    /// The verdict in a word.
    pub(super) word: &'static str,
    /// The reason for the verdict, in a sentence.
    pub(super) sentence: String,
    /// What happened, in a sentence or two.
    pub(super) story: String,
    /// The warning of an interrupted run, before everything else.
    pub(super) warning: Option<String>,
    /// Content right below the verdict.
    pub(super) first: Html,
    /// The picture that shows what happened.
    pub(super) picture: Html,
    pub(super) tiles: Vec<Tile>,
    /// Content right below the tiles.
    pub(super) below: Html,
    pub(super) description: Vec<String>,
    pub(super) sections: Vec<Section>,
    pub(super) version: String,
}

/// The style sheet, which is embedded in each page.
pub(super) const STYLE: &str =
    concat!(include_str!("colours.css"), include_str!("charts.css"), include_str!("style.css"));

/// The part of it that a chart needs.
pub(super) const CHART_STYLE: &str = concat!(include_str!("colours.css"), include_str!("charts.css"));

#[derive(Debug)]
pub(super) struct Section {
    /// Unique on its page; letters and dashes.
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    blocks: Vec<Html>,
}

impl Section {
    pub(super) const fn new(id: &'static str, title: &'static str) -> Self {
        Self { id, title, blocks: Vec::new() }
    }

    pub(super) fn add(&mut self, block: &impl Template) {
        self.blocks.push(Html::of(block));
    }

    /// Adds a block if there is one.
    pub(super) fn add_all(&mut self, block: Option<impl Template>) {
        self.blocks.extend(block.map(|block| Html::of(&block)));
    }

    pub(super) fn paragraph(&mut self, text: impl Into<String>) {
        self.add(&Paragraph { text: text.into() });
    }

    pub(super) fn heading(&mut self, text: impl Into<String>) {
        self.add(&Heading { text: text.into() });
    }
}

#[derive(Template)]
#[template(ext = "html", source = "<p>{{ text }}</p>")]
struct Paragraph {
    text: String,
}

#[derive(Template)]
#[template(ext = "html", source = "<h3>{{ text }}</h3>")]
struct Heading {
    text: String,
}

/// A list of sentences.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"<ul class="sentences">
{% for sentence in sentences %}<li>{{ sentence }}</li>
{% endfor %}</ul>"#
)]
pub(super) struct Sentences {
    pub(super) sentences: Vec<String>,
}

/// Names and values.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"<dl class="facts">
{% for (name, fact) in facts %}<div><dt>{{ name }}</dt><dd>{{ fact }}</dd></div>
{% endfor %}</dl>"#
)]
pub(super) struct FactList {
    pub(super) facts: Vec<(String, String)>,
}

/// A chart with its legend.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    whitespace = "minimize",
    source = r#"<figure>
{% for svg in charts %}{{ svg }}
{% endfor %}
<figcaption>{% if !legend.is_empty() %}<ul class="legend">
{% for (marks, text) in legend %}<li><svg viewBox="0 0 26 14" aria-hidden="true">{% for mark in marks %}{{ mark.element() }}{% endfor %}</svg> {{ text }}</li>
{% endfor %}
</ul>{% endif %}{% if !caption.is_empty() %}<p>{{ caption }}{% if !note.is_empty() %}<span class="on-screen">{{ note }}</span>{% endif %}</p>{% endif %}</figcaption>
</figure>"#
)]
pub(super) struct Figure {
    /// The same chart at each size that the page may need.
    pub(super) charts: Vec<Svg>,
    pub(super) legend: Vec<(Vec<Mark>, String)>,
    pub(super) caption: String,
    /// A sentence after the caption that is not printed: it refers to a table that is not on paper if it is collapsed.
    pub(super) note: &'static str,
}

/// Two blocks side by side if the page is wide enough.
#[derive(Debug, Template)]
#[template(
    ext = "html",
    source = r#"<div class="pair">
{% for (heading, block) in sides %}<div><p class="side">{{ heading }}</p>
{{ block }}</div>
{% endfor %}</div>"#
)]
pub(super) struct Pair {
    pub(super) sides: Vec<(String, Html)>,
}
