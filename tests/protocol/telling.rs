//! Owns the telling of any answer as a tree of named values.
//!
//! The message structs of the protocol crate offer no reflection but `Debug`. It is read back here, so that a transcript
//! has every field of every answer without a line of code for each of them, and none can be forgotten.

use std::fmt::Debug;
use std::fmt::Write as _;

use bytes::Bytes;

/// A line longer than this is told in several.
const WIDTH: usize = 120;

/// A value of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    Struct(Vec<(String, Told)>),
    List(Vec<Told>),
    Text(String),
    Bytes(Bytes),
    /// A number, a truth value or an id.
    Word(String),
    Nothing,
}

impl Told {
    pub fn of(value: &impl Debug) -> Self {
        let text = format!("{value:?}");
        let mut reader = Reader { rest: &text };
        let told = reader.value();
        assert!(reader.rest.is_empty(), "left of the answer: {}", reader.rest);
        told
    }

    pub fn word(text: impl Into<String>) -> Self {
        Self::Word(text.into())
    }

    /// Whether any field of the tree fits.
    pub fn any(&self, fits: &impl Fn(&str, &Self) -> bool) -> bool {
        match self {
            Self::Struct(fields) => fields.iter().any(|(name, value)| fits(name, value) || value.any(fits)),
            Self::List(items) => items.iter().any(|item| item.any(fits)),
            _ => false,
        }
    }

    /// The tree without some fields.
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

    /// On one line.
    pub fn compact(&self) -> String {
        match self {
            Self::Struct(_) => format!("{{{}}}", self.inner()),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::compact).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Text(text) => format!("{text:?}"),
            Self::Bytes(bytes) => format!("{:?}", String::from_utf8_lossy(bytes)),
            Self::Word(word) => word.clone(),
            Self::Nothing => "none".to_owned(),
        }
    }

    /// A struct's fields on one line, without its braces.
    fn inner(&self) -> String {
        let Self::Struct(fields) = self else { return self.compact() };
        let fields: Vec<String> = fields.iter().map(|(name, value)| field(name, &value.compact())).collect();
        fields.join(" ")
    }

    /// On one line if it is short, and else a line for every part.
    pub fn layout(&self, heading: &str) -> String {
        let mut text = String::new();
        self.lay_out(&mut text, heading, 0);
        text
    }

    fn lay_out(&self, text: &mut String, heading: &str, depth: usize) {
        let indent = "  ".repeat(depth);
        let line = format!("{indent}{heading}{}", self.inner());
        let mut put = |line: &str| writeln!(text, "{}", line.trim_end()).expect("a string takes all");
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

/// An error's name speaks for itself.
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
        assert!(self.eat(token), "{token:?} is missing before {}", self.rest);
    }

    fn word(&mut self) -> String {
        let end =
            self.rest.find(|c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c))).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word.to_owned()
    }

    fn value(&mut self) -> Told {
        if self.eat("b\"") {
            return Told::Bytes(self.quoted().into());
        }
        if self.eat("\"") {
            return Told::Text(String::from_utf8(self.quoted()).expect("text"));
        }
        if self.eat("[") {
            let mut items = Vec::new();
            while !self.eat("]") {
                items.push(self.value());
                self.eat(", ");
            }
            return Told::List(items);
        }
        if self.eat("{") {
            self.expect("}");
            return Told::Nothing; // unknown tagged fields, of which there are none
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
            return Told::Struct(fields);
        }
        if self.eat("(") {
            let inner = self.value();
            self.expect(")");
            return inner;
        }
        if word == "None" { Told::Nothing } else { Told::Word(word) }
    }

    /// What stands before the closing quote, with the escapes of strings and byte strings undone.
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
