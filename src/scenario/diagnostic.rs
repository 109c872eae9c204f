//! Diagnostics of a script: each mistake with its position, the source line, and a hint, such as the known name that is
//! most similar to a misspelt one.

use std::ops::Range;

/// The most diagnostics that are shown.
const MAX_SHOWN: usize = 50;
/// The most characters of a line that are shown.
const MAX_WIDTH: usize = 120;
/// Characters shown before the position in a line that is too wide.
const LEAD: usize = 40;

/// One mistake of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// The line, counted from 1.
    pub line: usize,
    /// The column in characters, counted from 1.
    pub column: usize,
    /// What is wrong: lowercase, printable.
    pub message: String,
    /// What to do about it; printable.
    pub hint: Option<String>,
    excerpt: String,
    caret: Range<usize>,
}

/// All diagnostics of a script; at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostics {
    diagnostics: Vec<Diagnostic>,
    /// Number of further diagnostics.
    more: usize,
}

impl Diagnostic {
    /// `file:line:column: message; hint`
    #[must_use]
    pub fn on_one_line(&self, file: &str) -> String {
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!("; {hint}"));
        format!("{}:{}:{}: {}{hint}", visible(file), self.line, self.column, self.message)
    }
}

impl Diagnostics {
    /// For a script that did not parse for an unknown reason.
    pub(super) fn unknown() -> Self {
        let message = "not a script".to_owned();
        let diagnostic = Diagnostic { line: 1, column: 1, message, hint: None, excerpt: String::new(), caret: 0..1 };
        Self { diagnostics: vec![diagnostic], more: 0 }
    }

    /// The first 50 diagnostics, in the order of the script.
    #[must_use]
    pub fn all(&self) -> &[Diagnostic] {
        &self.diagnostics
    }

    /// The diagnostics as text: `file:line:column: message`, the source line, a caret, and the hint. Printable whatever
    /// the script contains.
    #[must_use]
    pub fn show(&self, file: &str) -> String {
        let file = visible(file);
        let mut lines = Vec::new();
        for diagnostic in &self.diagnostics {
            lines.push(format!("{file}:{}:{}: {}", diagnostic.line, diagnostic.column, diagnostic.message));
            let number = diagnostic.line.to_string();
            let margin = " ".repeat(number.len());
            let before = " ".repeat(diagnostic.caret.start);
            let carets = "^".repeat(diagnostic.caret.len().max(1));
            lines.push(format!("  {number} | {}", diagnostic.excerpt));
            lines.push(format!("  {margin} | {before}{carets}"));
            lines.extend(diagnostic.hint.iter().map(|hint| format!("  hint: {hint}")));
        }
        if self.more > 0 {
            lines.push(format!("{file}: and {} more", self.more));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Collects the diagnostics of a text.
pub(super) struct DiagnosticSink<'t> {
    text: &'t str,
    line_starts: Vec<usize>,
    found: Vec<(Range<usize>, String, Option<String>)>,
    warnings: Vec<(Range<usize>, String, Option<String>)>,
}

impl<'t> DiagnosticSink<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        let starts = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self { text, line_starts: std::iter::once(0).chain(starts).collect(), found: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn text(&self) -> &'t str {
        self.text
    }

    pub(super) fn add<'h>(&mut self, span: Range<usize>, message: impl Into<String>, hint: impl Into<Option<&'h str>>) {
        self.found.push((span, visible(&message.into()), hint.into().map(visible)));
    }

    /// Adds what is allowed, but probably not intended.
    pub(super) fn warn(&mut self, span: Range<usize>, message: &str, hint: &str) {
        self.warnings.push((span, visible(message), Some(visible(hint))));
    }

    /// The known name that is most similar. Not computed any more when there are too many diagnostics to show.
    pub(super) fn suggest<'k>(&self, written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
        if self.found.len() < MAX_SHOWN { closest_match(written, known) } else { None }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The line of a byte position, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= at)
    }

    /// All diagnostics in the order of the text, without duplicates; `None` if the text has no mistakes.
    pub(super) fn finish(&mut self) -> Option<Diagnostics> {
        let found = std::mem::take(&mut self.found);
        let (diagnostics, more) = self.in_order(found);
        (!diagnostics.is_empty()).then_some(Diagnostics { diagnostics, more })
    }

    /// The warnings, in the order of the text, without duplicates.
    pub(super) fn warnings(&mut self) -> Vec<Diagnostic> {
        let warnings = std::mem::take(&mut self.warnings);
        self.in_order(warnings).0
    }

    /// The first diagnostics in the order of the text, without duplicates, and the number of the others.
    fn in_order(&self, mut found: Vec<(Range<usize>, String, Option<String>)>) -> (Vec<Diagnostic>, usize) {
        found.sort_by(|left, right| (left.0.start, &left.1).cmp(&(right.0.start, &right.1)));
        found.dedup_by(|left, right| left.0.start == right.0.start && left.1 == right.1);
        let more = found.len().saturating_sub(MAX_SHOWN);
        // A line may be as long as the script, so only those that are shown are located.
        let shown = found.into_iter().take(MAX_SHOWN);
        (shown.map(|(span, message, hint)| self.locate(&span, message, hint)).collect(), more)
    }

    fn locate(&self, span: &Range<usize>, message: String, hint: Option<String>) -> Diagnostic {
        let at = floor(self.text, span.start);
        let line = self.line(at);
        let start = self.line_starts.get(line - 1).copied().unwrap_or_default();
        let rest = &self.text[start..];
        let rest = &rest[..rest.find('\n').unwrap_or(rest.len())];
        let whole = rest.strip_suffix('\r').unwrap_or(rest);
        let end = floor(self.text, span.end.max(at)).min(start + whole.len());
        // A position on the line break counts as the end of the line.
        let at = at.min(start + whole.len());
        let column = self.text[start..at].chars().count();
        let length = self.text[at..end.max(at)].chars().count().max(1);
        let skipped =
            if whole.chars().take(MAX_WIDTH + 1).count() > MAX_WIDTH { column.saturating_sub(LEAD) } else { 0 };
        let excerpt: String = whole.chars().skip(skipped).take(MAX_WIDTH).map(shown).collect();
        let caret = column - skipped..(column - skipped + length).min(MAX_WIDTH.max(column - skipped + 1));
        Diagnostic { line, column: column + 1, message, hint, excerpt, caret }
    }
}

/// The last character boundary at or before a position.
fn floor(text: &str, at: usize) -> usize {
    let at = at.min(text.len());
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

/// Replaces a character that is not printable, keeping the columns.
fn shown(character: char) -> char {
    match character {
        '\t' => ' ',
        _ if is_visible(character) => character,
        _ => char::REPLACEMENT_CHARACTER,
    }
}

fn is_visible(character: char) -> bool {
    // Rust escapes what is invisible or controls the terminal, and also quotes and backslash, which are visible.
    matches!(character, '\'' | '"' | '\\') || character.escape_debug().count() == 1
}

/// Text without characters that control a terminal.
pub(super) fn visible(text: &str) -> String {
    text.chars().map(shown).collect()
}

/// A part of a script for a message: quoted, escaped, and shortened.
pub(super) fn quoted(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    let dots = if short.len() < text.len() { "…" } else { "" };
    format!("{:?}", format!("{short}{dots}"))
}

/// The longest name that is compared.
const LONGEST: usize = 64;

/// The known name with the smallest edit distance (insertions, deletions, replacements, and swaps of neighbours), if it
/// is similar enough.
#[must_use]
pub fn closest_match<'k>(written: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let written = written.to_lowercase();
    if written.len() > LONGEST {
        return None;
    }
    let known = known.into_iter().filter(|known| known.len() <= LONGEST);
    let (distance, name) =
        known.map(|known| (strsim::osa_distance(&written, known), known)).min_by_key(|(distance, _)| *distance)?;
    // At most a third of the letters may be wrong.
    let limit = (written.chars().count().max(name.chars().count()) / 3).max(1);
    (distance <= limit).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_typos_but_not_other_words() {
        let known = ["step", "expect", "deadline", "at_least", "at_most"];
        for (written, expected) in [("setp", "step"), ("steps", "step"), ("Expect", "expect"), ("atleast", "at_least")]
        {
            assert_eq!(closest_match(written, known), Some(expected), "{written}");
        }
        for written in ["sleep", "shell", "", &"x".repeat(1000)] {
            assert_eq!(closest_match(written, known), None, "{written}");
        }
        assert_eq!(closest_match("tap", ["apt"]), None, "a third of three letters is one");
        assert_eq!(closest_match("crahs", ["crash"]), Some("crash"), "a swap counts once");
    }

    fn shown_at(text: &str, span: Range<usize>) -> String {
        let mut sink = DiagnosticSink::of(text);
        sink.add(span, "something is wrong", "write it differently");
        sink.finish().expect("one").show("a.toml")
    }

    #[test]
    fn shows_position_line_caret_and_hint() {
        insta::assert_snapshot!(shown_at("name = \"é\"\nwrong = true\n", 12..17), @r#"
        a.toml:2:1: something is wrong
          2 | wrong = true
            | ^^^^^
          hint: write it differently
        "#);
    }

    #[test]
    fn columns_count_characters() {
        assert!(shown_at("é = \"é\" x", 9..10).starts_with("a.toml:1:8: "));
        insta::assert_snapshot!(shown_at("a = ", 4..4), @r"
        a.toml:1:5: something is wrong
          1 | a = 
            |     ^
          hint: write it differently
        ");
        assert!(shown_at("", 0..0).starts_with("a.toml:1:1: "));
        assert!(shown_at("a\n", 2..2).starts_with("a.toml:2:1: "));
    }

    #[test]
    fn wide_line_is_cut_and_escaped() {
        let text = format!("{}\u{1b}[31mx\u{202e}\n", "a".repeat(1000));
        let shown = shown_at(&text, 1005..1006);
        assert!(shown.lines().all(|line| line.chars().count() < 140), "{shown}");
        assert!(!shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown:?}");
    }

    #[test]
    fn diagnostics_are_sorted_unique_and_limited() {
        let mut sink = DiagnosticSink::of("a\nb\nc\n");
        for at in [4, 0, 2, 2] {
            sink.add(at..at + 1, format!("at {at}"), None);
        }
        let lines: Vec<_> = sink.finish().expect("some").all().iter().map(|diagnostic| diagnostic.line).collect();
        assert_eq!(lines, [1, 2, 3]);

        let text = "x\n".repeat(1000);
        let mut sink = DiagnosticSink::of(&text);
        (0..1000).for_each(|line| sink.add(line * 2..line * 2 + 1, "no", None));
        assert!(sink.finish().expect("some").show("a.toml").ends_with("a.toml: and 950 more\n"));
    }
}
