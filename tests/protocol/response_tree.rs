//! Responses as trees of named values, parsed from their `Debug` output.
//!
//! `Debug` is the only reflection that the message structs of the protocol crate offer. Parsing it puts every field of
//! every response into a transcript, so that no field can be forgotten.

use std::fmt::Debug;
use std::fmt::Write as _;

use bytes::Bytes;

/// Longer lines are split.
const WIDTH: usize = 120;

/// A value of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tree {
    Struct(Vec<(String, Tree)>),
    List(Vec<Tree>),
    Text(String),
    Bytes(Bytes),
    /// A number, a boolean or an id.
    Atom(String),
    None,
}

impl Tree {
    pub fn of(value: &impl Debug) -> Self {
        let text = format!("{value:?}");
        let mut reader = Reader { rest: &text };
        let tree = reader.value();
        assert!(reader.rest.is_empty(), "unparsed rest of the response: {}", reader.rest);
        tree
    }

    pub fn atom(text: impl Into<String>) -> Self {
        Self::Atom(text.into())
    }

    /// Whether any field of the tree matches.
    pub fn any(&self, matches: &impl Fn(&str, &Self) -> bool) -> bool {
        match self {
            Self::Struct(fields) => fields.iter().any(|(name, value)| matches(name, value) || value.any(matches)),
            Self::List(items) => items.iter().any(|item| item.any(matches)),
            _ => false,
        }
    }

    /// The tree without these fields.
    pub fn without(&self, names: &[&str]) -> Self {
        match self {
            Self::Struct(fields) => {
                let kept = fields.iter().filter(|(name, _)| !names.contains(&&**name));
                Self::Struct(kept.map(|(name, value)| (name.clone(), value.without(names))).collect())
            }
            Self::List(items) => Self::List(items.iter().map(|item| item.without(names)).collect()),
            other => other.clone(),
        }
    }

    /// The tree on one line.
    pub fn compact(&self) -> String {
        match self {
            Self::Struct(_) => format!("{{{}}}", self.inner()),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::compact).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Text(text) => format!("{text:?}"),
            Self::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
            Self::Atom(text) => text.clone(),
            Self::None => "none".to_owned(),
        }
    }

    /// The fields of a struct on one line, without braces.
    fn inner(&self) -> String {
        let Self::Struct(fields) = self else { return self.compact() };
        let fields: Vec<String> = fields.iter().map(|(name, value)| field(name, &value.compact())).collect();
        fields.join(" ")
    }

    /// The tree on one line if it is short, otherwise with one line per part.
    pub fn layout(&self, heading: &str) -> String {
        let mut text = String::new();
        self.lay_out(&mut text, heading, 0);
        text
    }

    fn lay_out(&self, text: &mut String, heading: &str, depth: usize) {
        let indent = "  ".repeat(depth);
        let line = format!("{indent}{heading}{}", self.inner());
        let mut put = |line: &str| writeln!(text, "{}", line.trim_end()).expect("writing to a string succeeds");
        if line.len() <= WIDTH {
            return put(&line);
        }
        match self {
            Self::Struct(fields) => {
                let (long, short): (Vec<_>, Vec<_>) = fields.iter().cloned().partition(|(_, value)| value.has_parts());
                put(&format!("{indent}{heading}{}", Self::Struct(short).inner()));
                for (name, value) in long {
                    value.lay_out(text, &field(&name, ""), depth + 2);
                }
            }
            Self::List(items) => {
                put(&format!("{indent}{}", heading.trim_end_matches('=')));
                for item in items {
                    item.lay_out(text, "- ", depth + 1);
                }
            }
            _ => put(&line),
        }
    }

    fn has_parts(&self) -> bool {
        match self {
            Self::Struct(fields) => !fields.is_empty(),
            Self::List(items) => !items.is_empty(),
            _ => false,
        }
    }
}

/// Formats a field. The name of an error needs no field name.
fn field(name: &str, value: &str) -> String {
    if name == "error_code" { value.to_owned() } else { format!("{name}={value}") }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn eat(&mut self, token: &str) -> bool {
        let rest = self.rest.strip_prefix(token);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    fn expect(&mut self, token: &str) {
        assert!(self.eat(token), "expected {token:?} before {}", self.rest);
    }

    fn word(&mut self) -> String {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn value(&mut self) -> Tree {
        if self.eat("b\"") {
            return Tree::Bytes(self.quoted().into());
        }
        if self.eat("\"") {
            return Tree::Text(String::from_utf8(self.quoted()).expect("text"));
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.value());
                self.eat(", ");
            }
            return Tree::List(items);
        }
        if self.eat("{") {
            self.expect("}");
            return Tree::None; // unknown tagged fields
        }
        let word = self.word();
        if self.eat(" { ") {
            let mut fields = Vec::new();
            while !self.eat(" }") {
                let name = self.word();
                self.expect(": ");
                fields.push((name, self.value()));
                self.eat(", ");
            }
            return Tree::Struct(fields);
        }
        if self.eat("(") {
            let inner = self.value();
            self.expect(")");
            return inner;
        }
        if word == "None" { Tree::None } else { Tree::Atom(word) }
    }

    /// The bytes up to the closing quote, with escapes of strings and byte strings resolved.
    fn quoted(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            let c = self.rest.chars().next().expect("a closing quote");
            self.rest = &self.rest[c.len_utf8()..];
            match c {
                '"' => return bytes,
                '\\' => {
                    let escape = self.rest.chars().next().expect("an escape");
                    self.rest = &self.rest[escape.len_utf8()..];
                    match escape {
                        'n' => bytes.push(b'\n'),
                        'r' => bytes.push(b'\r'),
                        't' => bytes.push(b'\t'),
                        '0' => bytes.push(0),
                        'x' => {
                            let (digits, rest) = self.rest.split_at(2);
                            self.rest = rest;
                            bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                        }
                        'u' => {
                            self.expect("{");
                            let digits = self.word();
                            self.expect("}");
                            let c =
                                u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).expect("a character");
                            bytes.extend(c.to_string().as_bytes());
                        }
                        plain => bytes.extend(plain.to_string().as_bytes()),
                    }
                }
                plain => bytes.extend(plain.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
    }
}
