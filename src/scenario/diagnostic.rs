//! Owns what is told of a script that is wrong: each mistake with its place, the line itself, and the way on.

use std::ops::Range;

use super::closest_match::closest_match;

/// The most mistakes that are shown one by one.
const MOST_SHOWN: usize = 50;
/// The most characters of a line that are shown.
const WIDEST: usize = 120;
/// Characters shown before a mistake where a line is too wide.
const LEAD: usize = 40;

/// One mistake of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong: a lowercase fragment, printable.
    pub message: String,
    /// What to write instead; printable.
    pub hint: Option<String>,
    excerpt: String,
    caret: Range<usize>,
}

/// Everything that is wrong with a script; at least one mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    mistakes: Vec<Diagnostic>,
    /// How many were found beyond these.
    more: usize,
}

impl Diagnostics {
    /// A script that is none, and nobody said why: rather refused than run.
    pub(super) fn unexplained() -> Self {
        let message = "not a script".to_owned();
        let mistake = Diagnostic { line: 1, column: 1, message, hint: None, excerpt: String::new(), caret: 0..1 };
        Self { mistakes: vec![mistake], more: 0 }
    }

    /// One by one, in the order of the script: the first 50 of them.
    #[must_use]
    pub fn all(&self) -> &[Diagnostic] {
        &self.mistakes
    }

    /// As people read it: for each mistake `file:line:column: message`, the line of the script, a caret, and the hint. Printable
    /// whatever stands in the script.
    #[must_use]
    pub fn show(&self, file: &str) -> String {
        let file = visible(file);
        let mut lines = Vec::new();
        for mistake in &self.mistakes {
            lines.push(format!("{file}:{}:{}: {}", mistake.line, mistake.column, mistake.message));
            let number = mistake.line.to_string();
            let margin = " ".repeat(number.len());
            let before = " ".repeat(mistake.caret.start);
            let carets = "^".repeat(mistake.caret.len().max(1));
            lines.push(format!("  {number} | {}", mistake.excerpt));
            lines.push(format!("  {margin} | {before}{carets}"));
            lines.extend(mistake.hint.iter().map(|hint| format!("  hint: {hint}")));
        }
        if self.more > 0 {
            lines.push(format!("{file}: and {} more", self.more));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// The mistakes that have been found so far, and the text that they are in.
pub(super) struct DiagnosticSink<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    found: Vec<(Range<usize>, String, Option<String>)>,
}

impl<'t> DiagnosticSink<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, line_starts: std::iter::once(0).chain(starts).collect(), found: Vec::new() }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    /// Notes a mistake at a place of the text.
    pub(super) fn add<'h>(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<Option<&'h str>>) {
        self.found.push((span, visible(&message.into()), hint.into().map(visible)));
    }

    /// The known name that may have been meant; no longer looked for where so much is wrong that nobody reads it.
    pub(super) fn meant<'k>(&self, written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        if self.found.len() < MOST_SHOWN { closest_match(written, known) } else { None }
    }

    pub(super) fn none(&self) -> bool {
        self.found.is_empty()
    }

    /// The line of a place, from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// All of them in the order of the text, each once; `None` if there are none.
    pub(super) fn mistakes(mut self) -> Option<Diagnostics> {
        let mut found = std::mem::take(&mut self.found);
        found.sort_by(|left, right| (left.0.start, &left.1).cmp(&(right.0.start, &right.1)));
        found.dedup_by(|left, right| left.0.start == right.0.start && left.1 == right.1);
        let more = found.len().saturating_sub(MOST_SHOWN);
        // A line may be as long as the script: it is not looked at for each of a hundred thousand.
        let shown = found.into_iter().take(MOST_SHOWN);
        let mistakes: Vec<_> = shown.map(|(span, message, hint)| self.placed(&span, message, hint)).collect();
        (!mistakes.is_empty()).then_some(Diagnostics { mistakes, more })
    }

    fn placed(&self, span: &Range<usize>, message: String, hint: Option<String>) -> Diagnostic {
        let at = floor(self.text, span.start);
        let line = self.line(at);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let rest = &self.text[start..];
        let rest = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let whole = rest.strip_suffix('\r').unwrap_or(rest);
        let end = floor(self.text, span.end.max(at)).min(start + whole.len());
        // A mistake at the very end of a line may stand on its line break.
        let at = at.min(start + whole.len());
        let column = self.text[start..at].chars().count();
        let length = self.text[at..end.max(at)].chars().count().max(1);
        let skipped = if whole.chars().take(WIDEST + 1).count() > WIDEST { column.saturating_sub(LEAD) } else { 0 };
        let excerpt: String = whole.chars().skip(skipped).take(WIDEST).map(shown).collect();
        let caret = column - skipped..(column - skipped + length).min(WIDEST.max(column - skipped + 1));
        Diagnostic { line, column: column + 1, message, hint, excerpt, caret }
    }
}

/// The closest_match place at or before this one that is inside of the text and between two characters.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// One column for each character, whatever it would do to a terminal.
fn shown(character: char) -> char {
    match character {
        '\t' => ' ',
        _ if is_visible(character) => character,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn is_visible(character: char) -> bool {
    // What Rust would escape in a literal has no picture of its own or steers those around it; quotes and backslash have one.
    matches!(character, '\'' | '"' | '\\') || character.escape_debug().count() == 1
}

/// Text that steers no terminal.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// A piece of a script in a message: in quotes, escaped, and not too long.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}", format!("{short}{dots}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_at(text: &str, span: Range<usize>) -> String {
        let mut sink = DiagnosticSink::of(text);
        sink.add(span, "something is wrong", "write it rightly");
        sink.mistakes().expect("one").show("a.toml")
    }

    #[test]
    fn a_mistake_shows_its_place_its_line_a_caret_and_the_way_on() {
        insta::assert_snapshot!(shown_at("name = \"é\"\nwrong = true\n", 12..17), @r#"
        a.toml:2:1: something is wrong
          2 | wrong = true
            | ^^^^^
          hint: write it rightly
        "#);
    }

    #[test]
    fn columns_are_characters_and_an_end_of_text_is_a_place() {
        assert!(shown_at("é = \"é\" x", 9..10).starts_with("a.toml:1:8: "));
        insta::assert_snapshot!(shown_at("a = ", 4..4), @r"
        a.toml:1:5: something is wrong
          1 | a = 
            |     ^
          hint: write it rightly
        ");
        assert!(shown_at("", 0..0).starts_with("a.toml:1:1: "));
        assert!(shown_at("a\n", 2..2).starts_with("a.toml:2:1: "));
    }

    #[test]
    fn a_wide_line_is_shown_around_its_mistake_and_nothing_in_it_steers_a_terminal() {
        let text = format!("{}\u{1b}[31mx\u{202e}\n", "a".repeat(1000));
        let shown = shown_at(&text, 1005..1006);
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    }

    #[test]
    fn mistakes_stand_in_the_order_of_the_text_each_once_and_not_too_many() {
        let mut sink = DiagnosticSink::of("a\nb\nc\n");
        for at in [4, 0, 2, 2] {
            sink.add(at..at + 1, format!("at {at}"), None);
        }
        let lines: Vec<_> = sink.mistakes().expect("some").all().iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [1, 2, 3]);

        let text = "x\n".repeat(1000);
        let mut sink = DiagnosticSink::of(&text);
        (0..1000).for_each(|line| sink.add(line * 2..line * 2 + 1, "no", None));
        assert!(sink.mistakes().expect("some").show("a.toml").ends_with("a.toml: and 950 more\n"));
    }
}
