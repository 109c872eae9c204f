//! A scanner for Rust source: the paths that a file names, without comments and strings.
//!
//! It knows tokens, `use` groups and inline modules. That is enough to find the module that a path leads to.

/// A path as written, with `use` groups expanded, and its place in the file.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedPath {
    /// Line in the file, from 1.
    pub line: usize,
    /// Inline modules around it, outermost first.
    pub inside: Vec<String>,
    /// The parts between the `::`; `*`, `self` and a renaming `as` count as segments at the end.
    pub segments: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// `::`
    Through,
    Sign(char),
}

/// Every path in a source file, in order.
pub fn paths(source: &str) -> Vec<NamedPath> {
    let tokens = tokens(source);
    let mut walk = Walk { tokens: &tokens, at: 0, found: Vec::new(), modules: Vec::new(), depth: 0 };
    while walk.at < tokens.len() {
        walk.step();
    }
    walk.found
}

/// Names of the modules that a source file opens inline or declares.
pub fn modules(source: &str) -> Vec<String> {
    let tokens = tokens(source);
    let pairs = tokens.windows(2).filter_map(|pair| match (pair[0].1, pair[1].1) {
        (Token::Word("mod"), Token::Word(name)) => Some(name.to_owned()),
        _ => None,
    });
    pairs.collect()
}

struct Walk<'a> {
    tokens: &'a [(usize, Token<'a>)],
    at: usize,
    found: Vec<NamedPath>,
    /// Inline modules that are open, with the brace depth of their inside.
    modules: Vec<(String, usize)>,
    depth: usize,
}

impl<'a> Walk<'a> {
    fn token(&self, ahead: usize) -> Option<Token<'a>> {
        self.tokens.get(self.at + ahead).map(|(_, token)| *token)
    }

    fn step(&mut self) {
        match self.token(0) {
            Some(Token::Word("mod")) => {
                if let (Some(Token::Word(name)), Some(Token::Sign('{'))) = (self.token(1), self.token(2)) {
                    self.depth += 1;
                    self.modules.push((name.to_owned(), self.depth));
                    self.at += 2;
                }
                self.at += 1;
            }
            Some(Token::Word(_)) => self.path(&[]),
            Some(Token::Sign('{')) => {
                self.depth += 1;
                self.at += 1;
            }
            Some(Token::Sign('}')) => {
                self.modules.retain(|(_, depth)| *depth < self.depth);
                self.depth = self.depth.saturating_sub(1);
                self.at += 1;
            }
            _ => self.at += 1,
        }
    }

    /// Reads one path, or one entry of a group whose path so far is `before`.
    fn path(&mut self, before: &[String]) {
        let mut segments = before.to_vec();
        let line = self.tokens[self.at].0;
        loop {
            match self.token(0) {
                Some(Token::Word(word)) => segments.push(word.to_owned()),
                Some(Token::Sign('*')) => segments.push("*".to_owned()),
                Some(Token::Sign('{')) => return self.group(&segments),
                _ => break,
            }
            self.at += 1;
            if self.token(0) != Some(Token::Through) {
                break;
            }
            self.at += 1;
        }
        if self.token(0) == Some(Token::Word("as")) {
            // `crate as other` must be reported. `crate::module as other` already names the module.
            segments.push("as".to_owned());
        }
        let inside = self.modules.iter().map(|(name, _)| name.clone()).collect();
        self.found.push(NamedPath { line, inside, segments });
    }

    fn group(&mut self, before: &[String]) {
        self.at += 1;
        loop {
            match self.token(0) {
                None => return,
                Some(Token::Sign('}')) => {
                    self.at += 1;
                    return;
                }
                Some(Token::Word("as")) => self.at += 2,
                Some(Token::Word(_) | Token::Sign('*' | '{')) => self.path(before),
                _ => self.at += 1,
            }
        }
    }
}

/// Words, `::` and signs with their lines, without comments, strings, characters and blanks.
fn tokens(source: &str) -> Vec<(usize, Token<'_>)> {
    pieces(source)
        .filter_map(|(line, piece)| match piece {
            Piece::Token(token) => Some((line, token)),
            Piece::Text(_) | Piece::Other => None,
        })
        .collect()
}

/// Comments and strings, each with the number of its first line.
pub fn texts(source: &str) -> Vec<(usize, &str)> {
    pieces(source)
        .filter_map(|(line, piece)| match piece {
            Piece::Text(text) => Some((line, text)),
            Piece::Token(_) | Piece::Other => None,
        })
        .collect()
}

enum Piece<'a> {
    Token(Token<'a>),
    /// A comment or a string.
    Text(&'a str),
    /// A blank or a character.
    Other,
}

fn pieces(source: &str) -> impl Iterator<Item = (usize, Piece<'_>)> {
    let (mut rest, mut line) = (source, 1);
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let (length, piece) = piece(rest, first);
        let at = line;
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
        Some((at, piece))
    })
}

fn piece(rest: &str, first: char) -> (usize, Piece<'_>) {
    let text = |length: usize| (length, Piece::Text(&rest[..length]));
    if rest.starts_with("//") {
        text(rest.find('\n').unwrap_or(rest.len()))
    } else if rest.starts_with("/*") {
        text(block_comment(rest))
    } else if let Some(length) = raw_string(rest) {
        text(length)
    } else if first == '"' {
        text(quoted(rest, '"'))
    } else if first == '\'' {
        (character(rest), Piece::Other)
    } else if first.is_alphanumeric() || first == '_' {
        let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        (length, Piece::Token(Token::Word(&rest[..length])))
    } else if rest.starts_with("::") {
        (2, Piece::Token(Token::Through))
    } else {
        let sign = if first.is_whitespace() { Piece::Other } else { Piece::Token(Token::Sign(first)) };
        (first.len_utf8(), sign)
    }
}

/// Length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// Length of a raw string such as `r#"…"#`, if the text begins with one.
fn raw_string(text: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"]
        .into_iter()
        .find(|prefix| text.strip_prefix(prefix).is_some_and(|rest| rest.trim_start_matches('#').starts_with('"')))?;
    let fence = text[prefix.len()..].chars().take_while(|c| *c == '#').count();
    let end = format!("\"{}", "#".repeat(fence));
    let body = prefix.len() + fence + 1;
    Some(text[body..].find(&end).map_or(text.len(), |at| body + at + end.len()))
}

/// Length of a quoted string or character, with its escapes.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    text.len()
}

/// Length of a character, or of the name of a lifetime.
fn character(text: &str) -> usize {
    let mut ahead = text.chars().skip(1);
    match (ahead.next(), ahead.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(text, '\''),
        _ => 1 + text[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len() - 1),
    }
}

#[test]
fn ignores_comments_strings_and_characters() {
    let source = r##"
        // crate::line
        /* crate::block /* crate::nested */ crate::still */
        /// [`crate::doc`]
        let a = "crate::string \" crate::escaped";
        let b = r#"crate::raw " crate::raw"#;
        let c = b"crate::bytes";
        let d: &'static str = f('"', '\'', 'x', "crate::after");
    "##;
    let named: Vec<_> = paths(source).into_iter().filter(|path| path.segments.len() > 1).collect();
    assert_eq!(named, []);
}

#[test]
fn reads_code_after_a_character_or_lifetime() {
    let source = "fn f<'a>(x: &'a str) { g('\"'); crate::kafka::go('}', '\\u{7d}'); super::x() }";
    let named: Vec<_> =
        paths(source).into_iter().map(|path| path.segments.join("::")).filter(|path| path.contains("::")).collect();
    assert_eq!(named, ["crate::kafka::go", "super::x"]);
}

#[test]
fn expands_groups_and_reports_renames() {
    let source = "use crate::{a::{B, c::*}, d as e, self}; use crate as other;";
    let named: Vec<_> = paths(source).into_iter().map(|path| path.segments.join("::")).collect();
    let expected =
        ["use", "crate::a::B", "crate::a::c::*", "crate::d::as", "crate::self", "use", "crate::as", "as", "other"];
    assert_eq!(named, expected);
}

#[test]
fn paths_have_lines_and_inline_modules() {
    let source = "mod outer {\n    fn f() { super::x(); }\n    mod inner {\n        use super::super::y;\n    }\n}\nuse super::z;";
    let named: Vec<_> = paths(source).into_iter().filter(|path| path.segments[0] == "super").collect();
    let position = |path: &NamedPath| (path.line, path.inside.join("/"), path.segments.join("::"));
    assert_eq!(
        named.iter().map(position).collect::<Vec<_>>(),
        [
            (2, "outer".to_owned(), "super::x".to_owned()),
            (4, "outer/inner".to_owned(), "super::super::y".to_owned()),
            (7, String::new(), "super::z".to_owned()),
        ]
    );
}

#[test]
fn lists_modules() {
    assert_eq!(modules("mod a; pub mod b { mod c {} } // mod d;"), ["a", "b", "c"]);
}

#[test]
fn lists_comments_and_strings() {
    let source = "// one\nlet a = \"two\"; /* three */ 'x' b\n/// four";
    assert_eq!(texts(source), [(1, "// one"), (2, "\"two\""), (2, "/* three */"), (3, "/// four")]);
}
