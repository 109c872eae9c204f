//! Owns reading JSON text strictly, forward, in one pass; which fields there are and what they mean is `decode`'s.
//!
//! It stands in for `serde_json`'s reader because the contract asks of *every* part of a record, also of the parts that
//! nobody reads, what that reader asks only of the parts it keeps (bounded nesting, paired surrogates), and because a
//! fault must name its byte without quoting the record. The grammar is RFC 8259; tests hold it against `serde_json`.

use std::borrow::Cow;

use super::bad_record::{BadReason, Fault};

/// Arrays and objects may be nested that deep, counted from the outer object; as deep as `serde_json` reads.
pub(super) const DEEPEST: u32 = 127;

/// A place in a JSON text, in front of a value or behind one.
pub(super) struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> JsonReader<'a> {
    /// A reader in front of the text's first value.
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    /// The next byte that is no white space; tells which kind of value begins here without taking it.
    pub(super) fn peek(&mut self) -> Result<u8, Fault> {
        self.peek_or_end().ok_or_else(|| self.malformed("the text ends early"))
    }

    /// Requires that nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        match self.peek_or_end() {
            None => Ok(()),
            Some(_) => Err(self.malformed("something follows the object")),
        }
    }

    /// The fault that the text breaks at the byte where the reader stands.
    pub(super) const fn malformed(&self, problem: &'static str) -> Fault {
        Fault::at_byte(self.at, BadReason::NotJson, problem)
    }

    /// Takes an object, handing each field's key to `field`, which must take the value.
    pub(super) fn object(&mut self, mut field: impl FnMut(&mut Self, &str) -> Result<(), Fault>) -> Result<(), Fault> {
        self.open(b'{')?;
        if self.peek()? == b'}' {
            self.close();
            return Ok(());
        }
        loop {
            let key = self.key()?;
            field(self, &key)?;
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => {
                    self.close();
                    return Ok(());
                }
                _ => return Err(self.malformed("neither a comma nor the end of the object")),
            }
        }
    }

    /// Takes an array, calling `element` in front of each element, which it must take.
    pub(super) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Fault>) -> Result<(), Fault> {
        self.open(b'[')?;
        if self.peek()? == b']' {
            self.close();
            return Ok(());
        }
        loop {
            element(self)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => {
                    self.close();
                    return Ok(());
                }
                _ => return Err(self.malformed("neither a comma nor the end of the array")),
            }
        }
    }

    /// Takes a string; borrowed unless it holds escapes.
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.expect(b'"', "no string begins here")?;
        let first = self.plain_run();
        if self.string_ends()? {
            return Ok(Cow::Borrowed(first));
        }
        let mut owned = String::from(first);
        loop {
            owned.push(self.escape()?);
            owned.push_str(self.plain_run());
            if self.string_ends()? {
                return Ok(Cow::Owned(owned));
            }
        }
    }

    /// Takes a number and gives its text, which follows the grammar of JSON.
    pub(super) fn number(&mut self) -> Result<&'a str, Fault> {
        let start = self.at;
        self.take_if(b"-");
        if !self.take_if(b"0") {
            self.digits()?;
        }
        if self.take_if(b".") {
            self.digits()?;
        }
        if self.take_if(b"eE") {
            self.take_if(b"+-");
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// Takes one value of any kind and forgets it, having judged all of it; needs no stack, however deep it is.
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        let floor = self.depth;
        // Bit d tells whether the container open at depth d is an object.
        let mut objects = 0_u128;
        'value: loop {
            match self.peek()? {
                b'"' => self.skip_string()?,
                b'-' | b'0'..=b'9' => {
                    self.number()?;
                }
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                b'{' => {
                    self.open(b'{')?;
                    objects |= 1 << self.depth;
                    if self.peek()? == b'}' {
                        self.close();
                    } else {
                        self.skip_key()?;
                        continue 'value;
                    }
                }
                b'[' => {
                    self.open(b'[')?;
                    objects &= !(1 << self.depth);
                    if self.peek()? == b']' {
                        self.close();
                    } else {
                        continue 'value;
                    }
                }
                _ => return Err(self.malformed("no value begins here")),
            }
            while self.depth > floor {
                let in_object = objects & (1 << self.depth) != 0;
                match self.peek()? {
                    b',' => {
                        self.at += 1;
                        if in_object {
                            self.skip_key()?;
                        }
                        continue 'value;
                    }
                    b'}' if in_object => self.close(),
                    b']' if !in_object => self.close(),
                    _ => return Err(self.malformed("neither a comma nor the end of what is open")),
                }
            }
            return Ok(());
        }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn peek_or_end(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    fn expect(&mut self, wanted: u8, problem: &'static str) -> Result<(), Fault> {
        if self.peek()? != wanted {
            return Err(self.malformed(problem));
        }
        self.at += 1;
        Ok(())
    }

    fn open(&mut self, bracket: u8) -> Result<(), Fault> {
        self.expect(bracket, "another kind of value begins here")?;
        if self.depth == DEEPEST {
            return Err(Fault::at_byte(self.at - 1, BadReason::TooDeep, "nesting over 127"));
        }
        self.depth += 1;
        Ok(())
    }

    const fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    fn key(&mut self) -> Result<Cow<'a, str>, Fault> {
        let key = self.string()?;
        self.expect(b':', "no colon after the key")?;
        Ok(key)
    }

    fn skip_key(&mut self) -> Result<(), Fault> {
        self.skip_string()?;
        self.expect(b':', "no colon after the key")
    }

    fn skip_string(&mut self) -> Result<(), Fault> {
        self.expect(b'"', "no string begins here")?;
        loop {
            self.plain_run();
            if self.string_ends()? {
                return Ok(());
            }
            self.escape()?;
        }
    }

    /// Takes what stands up to the next quote, backslash or control character.
    fn plain_run(&mut self) -> &'a str {
        let start = self.at;
        self.at += plain_length(&self.text.as_bytes()[start..]);
        &self.text[start..self.at]
    }

    /// Behind a plain run: takes the closing quote if it is there; `false` in front of an escape.
    fn string_ends(&mut self) -> Result<bool, Fault> {
        match self.byte() {
            Some(b'"') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'\\') => Ok(false),
            Some(_) => Err(self.malformed("a bare control character in a string")),
            None => Err(self.malformed("the text ends inside a string")),
        }
    }

    /// Takes one escape, from its backslash on: two of them when they are a surrogate pair.
    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        self.at += 1;
        let kind = self.byte().ok_or_else(|| self.malformed("the text ends inside a string"))?;
        self.at += 1;
        let plain = match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(start),
            _ => return Err(Fault::at_byte(start, BadReason::NotJson, "no such escape")),
        };
        Ok(plain)
    }

    /// Takes the digits of a `\u` escape, and the second half where the first one needs it.
    fn unicode_escape(&mut self, start: usize) -> Result<char, Fault> {
        let lone = Fault::at_byte(start, BadReason::NotJson, "a lone surrogate");
        let unit = self.four_hex_digits()?;
        let code = if (0xD800..0xDC00).contains(&unit) {
            if !self.text.as_bytes()[self.at..].starts_with(b"\\u") {
                return Err(lone);
            }
            self.at += 2;
            let low = self.four_hex_digits()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err(lone);
            }
            0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00)
        } else {
            unit
        };
        char::from_u32(code).ok_or(lone)
    }

    fn four_hex_digits(&mut self) -> Result<u32, Fault> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.malformed("an escape without four hexadecimal digits"))?;
            self.at += 1;
        }
        Ok(unit)
    }

    fn take_if(&mut self, wanted: &[u8]) -> bool {
        let found = self.byte().is_some_and(|byte| wanted.contains(&byte));
        self.at += usize::from(found);
        found
    }

    fn digits(&mut self) -> Result<(), Fault> {
        let start = self.at;
        while self.byte().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.malformed("a number lacks digits")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &str) -> Result<(), Fault> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.malformed("no value begins here"));
        }
        self.at += word.len();
        Ok(())
    }
}

/// How many bytes stand before the first one that a JSON string cannot hold bare: a quote, a backslash, a control
/// character. Eight at a time: most of a record is in its strings.
pub(super) fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    // The highest bit of a byte that is zero; a borrow can mark a byte falsely, but only above one marked rightly.
    const fn zeros(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word
    }
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let quotes = zeros(word ^ (ONES * b'"' as u64));
        let backslashes = zeros(word ^ (ONES * b'\\' as u64));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        let found = (quotes | backslashes | controls) & HIGHS;
        if found != 0 {
            return index * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let tail = rest.iter().position(|&byte| byte == b'"' || byte == b'\\' || byte < 0x20);
    words.len() * 8 + tail.unwrap_or(rest.len())
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
