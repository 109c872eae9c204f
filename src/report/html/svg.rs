//! SVG charts: marks in a view box, rendered as inline SVG with a title and a description.

use std::fmt;

use askama::{Template, filters::HtmlSafe};

use super::scale::drawable;

/// The width of a letter at font size 12, estimated for wide fonts. Labels are laid out with it.
pub(super) const LETTER: f64 = 7.0;

/// The width of a chart. A unit is about a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// For desktop and paper.
    Wide,
    /// For a phone.
    Narrow,
    /// One of two charts, side by side on a desktop and stacked on a phone.
    Half,
}

impl Size {
    pub(super) const fn width(self) -> f64 {
        match self {
            Self::Wide => 920.0,
            Self::Narrow => 360.0,
            Self::Half => 440.0,
        }
    }

    const fn units(self) -> Coordinate {
        Coordinate(self.width())
    }

    const fn class(self) -> &'static str {
        match self {
            Self::Wide => "wide",
            Self::Narrow => "narrow",
            Self::Half => "half",
        }
    }
}

/// A point of a chart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Point(pub(super) f64, pub(super) f64);

#[allow(clippy::trivially_copy_pass_by_ref, reason = "a template hands over what a mark holds by reference")]
impl Point {
    const fn x(&self) -> Coordinate {
        Coordinate(self.0)
    }

    const fn y(&self) -> Coordinate {
        Coordinate(self.1)
    }

    /// The path of a diamond around it.
    fn diamond(&self, radius: &f64) -> String {
        let Self(x, y) = *self;
        format!("M{} {} {} {}Z", Self(x - radius, y), Self(x, y - radius), Self(x + radius, y), Self(x, y + radius))
    }

    /// The path of a cross at it.
    fn cross(&self, radius: &f64) -> String {
        let Self(x, y) = *self;
        let falling = format!("M{} {}", Self(x - radius, y - radius), Self(x + radius, y + radius));
        format!("{falling}M{} {}", Self(x - radius, y + radius), Self(x + radius, y - radius))
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", Coordinate(self.0), Coordinate(self.1))
    }
}

/// A coordinate, rounded to a tenth of a unit.
#[derive(Debug, Clone, Copy)]
struct Coordinate(f64);

#[allow(clippy::trivially_copy_pass_by_ref, reason = "a template hands over what a mark holds by reference")]
impl Coordinate {
    const fn of(number: &f64) -> Self {
        Self(*number)
    }
}

impl fmt::Display for Coordinate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (drawable(self.0).unwrap_or_default() * 10.0).round() / 10.0;
        // Adding zero removes the sign of -0.
        write!(f, "{}", tenths + 0.0)
    }
}

/// The alignment of a text at its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Anchor {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// An element of a chart. The style sheet decides how its class looks.
#[derive(Debug, Clone)]
pub(super) enum Mark {
    Area { class: &'static str, at: Point, width: f64, height: f64 },
    Lines { class: &'static str, lines: Vec<Vec<Point>> },
    Dot { class: &'static str, at: Point, radius: f64 },
    Diamond { class: &'static str, at: Point, radius: f64 },
    Cross { class: &'static str, at: Point, radius: f64 },
    Text { class: &'static str, at: Point, anchor: Anchor, text: String },
}

impl Mark {
    pub(super) fn line(class: &'static str, from: Point, to: Point) -> Self {
        Self::Lines { class, lines: vec![vec![from, to]] }
    }

    pub(super) fn element(&self) -> Element<'_> {
        Element { mark: self }
    }
}

#[derive(Template)]
#[template(
    ext = "html",
    source = r#"
{%- match mark -%}
{%- when Mark::Area { class, at, width, height } -%}
<rect class="{{ class }}" x="{{ at.x() }}" y="{{ at.y() }}" width="{{ Coordinate::of(width) }}" height="{{ Coordinate::of(height) }}"/>
{%- when Mark::Lines { class, lines } -%}
<path class="{{ class }}" d="{% for line in lines %}M{% for place in line %}{% if !loop.first %} {% endif %}{{ place }}{% endfor %}{% endfor %}"/>
{%- when Mark::Dot { class, at, radius } -%}
<circle class="{{ class }}" cx="{{ at.x() }}" cy="{{ at.y() }}" r="{{ Coordinate::of(radius) }}"/>
{%- when Mark::Diamond { class, at, radius } -%}
<path class="{{ class }}" d="{{ at.diamond(radius) }}"/>
{%- when Mark::Cross { class, at, radius } -%}
<path class="{{ class }}" d="{{ at.cross(radius) }}"/>
{%- when Mark::Text { class, at, anchor, text } -%}
<text class="{{ class }}" x="{{ at.x() }}" y="{{ at.y() }}" text-anchor="{{ anchor.word() }}">{{ text }}</text>
{%- endmatch -%}
"#
)]
pub(super) struct Element<'a> {
    mark: &'a Mark,
}

impl HtmlSafe for Element<'_> {}
impl HtmlSafe for Coordinate {}
impl HtmlSafe for Point {}

/// A chart at one size.
#[derive(Debug, Clone, Template)]
#[template(
    ext = "html",
    source = r#"<svg class="{{ size.class() }}" viewBox="0 0 {{ size.units() }} {{ Coordinate::of(height) }}" role="img" aria-labelledby="{{ id }}-{{ size.class() }}-title {{ id }}-{{ size.class() }}-desc">
<title id="{{ id }}-{{ size.class() }}-title">{{ title }}</title>
<desc id="{{ id }}-{{ size.class() }}-desc">{{ description }}</desc>
{% for mark in marks %}{{ mark.element() }}
{% endfor -%}
</svg>"#
)]
pub(super) struct Svg {
    /// Unique on its page; letters and digits.
    pub(super) id: String,
    pub(super) size: Size,
    pub(super) height: f64,
    pub(super) title: String,
    /// The description for screen readers.
    pub(super) description: String,
    pub(super) marks: Vec<Mark>,
}

impl HtmlSafe for Svg {}

/// Text shortened to a width, with an ellipsis if it was cut.
pub(super) fn fitting(text: &str, width: f64) -> String {
    let length = text.chars().count();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few hundred letters at most")]
    let most = (width / LETTER).max(1.0) as usize;
    if length <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

/// The maximal width of a text.
pub(super) fn width_of(text: &str) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "a few hundred letters at most")]
    let letters = text.chars().count() as f64;
    letters * LETTER
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// The marks outside of the view box. Must be empty.
    pub(crate) fn outside(svg: &Svg) -> Vec<Mark> {
        let (width, height) = (svg.size.width(), svg.height);
        let inside = |Point(x, y): Point| (0.0..=width).contains(&x) && (0.0..=height).contains(&y);
        let around = |Point(x, y): Point, radius: f64| {
            inside(Point(x - radius, y - radius)) && inside(Point(x + radius, y + radius))
        };
        let is_outside = |mark: &&Mark| match mark {
            Mark::Area { at, width, height, .. } => {
                !inside(*at) || !inside(Point(at.0 + width, at.1 + height)) || *width < 0.0 || *height < 0.0
            }
            Mark::Lines { lines, .. } => !lines.iter().flatten().all(|place| inside(*place)),
            Mark::Dot { at, radius, .. } | Mark::Diamond { at, radius, .. } | Mark::Cross { at, radius, .. } => {
                !around(*at, *radius)
            }
            Mark::Text { at, anchor, text, .. } => {
                let width = width_of(text);
                let left = match anchor {
                    Anchor::Start => at.0,
                    Anchor::Middle => at.0 - width / 2.0,
                    Anchor::End => at.0 - width,
                };
                !inside(Point(left, at.1 - 10.0)) || !inside(Point(left + width, at.1))
            }
        };
        svg.marks.iter().filter(is_outside).cloned().collect()
    }

    /// Pairs of overlapping texts. Must be empty.
    pub(crate) fn overlapping(svg: &Svg) -> Vec<(String, String)> {
        let boxes: Vec<_> = svg
            .marks
            .iter()
            .filter_map(|mark| match mark {
                Mark::Text { at, anchor, text, .. } => {
                    // The average letter is narrower than the widest.
                    let width = width_of(text) * 0.9;
                    let left = match anchor {
                        Anchor::Start => at.0,
                        Anchor::Middle => at.0 - width / 2.0,
                        Anchor::End => at.0 - width,
                    };
                    Some((text.clone(), left, left + width, at.1 - 9.0, at.1))
                }
                _ => None,
            })
            .collect();
        let mut found = Vec::new();
        for (index, one) in boxes.iter().enumerate() {
            for other in &boxes[index + 1..] {
                if one.1 < other.2 && other.1 < one.2 && one.3 < other.4 && other.3 < one.4 {
                    found.push((one.0.clone(), other.0.clone()));
                }
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn svg_has_a_title_and_escaped_text() {
        let svg = Svg {
            id: "lag1".to_owned(),
            size: Size::Narrow,
            height: 50.0,
            title: "Lag of <b>".to_owned(),
            description: "It \"rises\".".to_owned(),
            marks: vec![
                Mark::line("axis", Point(0.0, -0.04), Point(10.0, 20.26)),
                Mark::Text {
                    class: "tick",
                    at: Point(1.0, 2.0),
                    anchor: Anchor::End,
                    text: "</svg><script>".to_owned(),
                },
            ],
        };
        insta::assert_snapshot!(svg.to_string(), @r#"
        <svg class="narrow" viewBox="0 0 360 50" role="img" aria-labelledby="lag1-narrow-title lag1-narrow-desc">
        <title id="lag1-narrow-title">Lag of &#60;b&#62;</title>
        <desc id="lag1-narrow-desc">It &#34;rises&#34;.</desc>
        <path class="axis" d="M0,0 10,20.3"/>
        <text class="tick" x="1" y="2" text-anchor="end">&#60;/svg&#62;&#60;script&#62;</text>
        </svg>
        "#);
    }

    #[test]
    fn long_text_is_cut_with_an_ellipsis() {
        assert_eq!(fitting("restaurant_01", 200.0), "restaurant_01");
        assert_eq!(fitting("restaurant_01", 70.0), "restauran…");
        assert_eq!(fitting("restaurant_01", 0.0), "…");
    }
}
