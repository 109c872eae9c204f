//! Owns reading JSON text strictly, forward, in one pass; which fields there are and what they mean is `decode`'s.
//!
//! It stands in for `serde_json`'s reader because the contract asks of *every* part of a record, also of the parts that
//! nobody reads, what that reader asks only of the parts it keeps (bounded nesting, paired surrogates), and because a
//! fault must name its byte without quoting the record. The grammar is RFC 8259; tests hold it against `serde_json`.

use std::borrow::Cow;

use super::fault::{Fault, Place, Problem, Syntax};
use super::plain::plain_length;

/// Arrays and objects may be nested that deep, counted from the outer object; as deep as `serde_json` reads.
const DEEPEST: u32 = 127;

/// A place in a JSON text, in front of a value or behind one.
pub(super) struct JsonReader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// What ended the reading; means nothing before something is [`Broken`].
    fault: Fault,
}

/// The reading is over, and [`JsonReader::fault`] tells why. Empty, so that a step's result fits in registers; only the
/// reader makes one, when it keeps a fault.
#[derive(Debug)]
pub(super) struct Broken(());

impl<'a> JsonReader<'a> {
    /// A reader in front of the text's first value.
    pub(super) const fn new(text: &'a str) -> Self {
        let fault = Fault { place: Place::Byte(0), problem: Problem::Syntax(Syntax::NoValue) };
        Self { text, at: 0, depth: 0, fault }
    }

    /// Ends the reading with that fault.
    #[cold]
    pub(super) const fn fail(&mut self, fault: Fault) -> Broken {
        self.fault = fault;
        Broken(())
    }

    /// The fault that ended the reading.
    pub(super) const fn fault(&self, _: Broken) -> Fault {
        self.fault
    }

    /// Keeps another telling of the fault that ended the reading.
    #[cold]
    pub(super) fn refine(&mut self, _: Broken, telling: impl FnOnce(Fault) -> Fault) -> Broken {
        self.fail(telling(self.fault))
    }

    /// The next byte that is no white space; tells which kind of value begins here without taking it.
    #[inline]
    pub(super) fn peek(&mut self) -> Result<u8, Broken> {
        self.peek_or_end().ok_or_else(|| self.malformed(Syntax::EndsEarly))
    }

    /// Requires that nothing but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Broken> {
        match self.peek_or_end() {
            None => Ok(()),
            Some(_) => Err(self.malformed(Syntax::Trailing)),
        }
    }

    /// Takes an object: calls `known` in front of the value of each field that `fields` names, which must take it, and
    /// skips the rest. A known field that stands twice is a fault.
    ///
    /// Where the fields stand in the order of `fields`, as our own writer leaves them, keys are compared and not parsed.
    #[inline]
    pub(super) fn object<F: Copy>(
        &mut self,
        fields: &[(&'static str, F)],
        mut known: impl FnMut(&mut Self, F) -> Result<(), Broken>,
    ) -> Result<(), Broken> {
        debug_assert!(fields.len() <= 32, "a bit each");
        self.open(b'{', Syntax::NoObject)?;
        if self.peek()? == b'}' {
            self.close();
            return Ok(());
        }
        let mut seen = 0_u32;
        let mut expected = 0;
        loop {
            match self.key(fields, expected)? {
                Some(index) => {
                    let (name, field) = fields[index];
                    if seen & (1 << index) != 0 {
                        return Err(self.fail(Fault::of_field(name, Problem::Duplicate)));
                    }
                    seen |= 1 << index;
                    expected = index + 1;
                    known(self, field)?;
                }
                None => self.skip()?,
            }
            if self.closes(b'}')? {
                return Ok(());
            }
        }
    }

    /// Takes an array, calling `element` in front of each element, which it must take.
    #[inline]
    pub(super) fn array(&mut self, mut element: impl FnMut(&mut Self) -> Result<(), Broken>) -> Result<(), Broken> {
        self.open(b'[', Syntax::NoArray)?;
        if self.peek()? == b']' {
            self.close();
            return Ok(());
        }
        loop {
            element(self)?;
            if self.closes(b']')? {
                return Ok(());
            }
        }
    }

    /// Takes a string; borrowed unless it holds escapes.
    #[inline]
    pub(super) fn string(&mut self) -> Result<Cow<'a, str>, Broken> {
        self.expect(b'"', Syntax::NoString)?;
        let plain = self.plain_run();
        if self.byte() == Some(b'"') {
            self.at += 1;
            return Ok(Cow::Borrowed(plain));
        }
        self.rest_of_string(plain).map(Cow::Owned)
    }

    /// Takes a number and gives its text, which follows the grammar of JSON.
    #[inline]
    pub(super) fn number(&mut self) -> Result<&'a str, Broken> {
        let start = self.at;
        self.take_if(|byte| byte == b'-');
        if !self.take_if(|byte| byte == b'0') {
            self.digits()?;
        }
        if self.take_if(|byte| byte == b'.') {
            self.digits()?;
        }
        if self.take_if(|byte| matches!(byte, b'e' | b'E')) {
            self.take_if(|byte| matches!(byte, b'+' | b'-'));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    /// Takes one value of any kind and forgets it, having judged all of it; needs no stack, however deep it is.
    pub(super) fn skip(&mut self) -> Result<(), Broken> {
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
                    self.open(b'{', Syntax::NoObject)?;
                    objects |= 1 << self.depth;
                    if self.peek()? != b'}' {
                        self.skip_key()?;
                        continue 'value;
                    }
                    self.close();
                }
                b'[' => {
                    self.open(b'[', Syntax::NoArray)?;
                    objects &= !(1 << self.depth);
                    if self.peek()? != b']' {
                        continue 'value;
                    }
                    self.close();
                }
                _ => return Err(self.malformed(Syntax::NoValue)),
            }
            while self.depth > floor {
                let in_object = objects & (1 << self.depth) != 0;
                if !self.closes(if in_object { b'}' } else { b']' })? {
                    if in_object {
                        self.skip_key()?;
                    }
                    continue 'value;
                }
            }
            return Ok(());
        }
    }

    #[cold]
    const fn malformed(&mut self, syntax: Syntax) -> Broken {
        self.fail(Fault { place: Place::Byte(self.at), problem: Problem::Syntax(syntax) })
    }

    #[inline]
    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    #[inline]
    fn peek_or_end(&mut self) -> Option<u8> {
        loop {
            match self.byte() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    #[inline]
    fn expect(&mut self, wanted: u8, otherwise: Syntax) -> Result<(), Broken> {
        if self.peek()? != wanted {
            return Err(self.malformed(otherwise));
        }
        self.at += 1;
        Ok(())
    }

    #[inline]
    fn open(&mut self, bracket: u8, otherwise: Syntax) -> Result<(), Broken> {
        self.expect(bracket, otherwise)?;
        if self.depth == DEEPEST {
            return Err(self.fail(Fault { place: Place::Byte(self.at - 1), problem: Problem::TooDeep }));
        }
        self.depth += 1;
        Ok(())
    }

    #[inline]
    const fn close(&mut self) {
        self.at += 1;
        self.depth -= 1;
    }

    /// Takes a key and its colon: which of `fields` it names. `expected` is tried first, on the bare bytes.
    #[inline]
    fn key<F>(&mut self, fields: &[(&'static str, F)], expected: usize) -> Result<Option<usize>, Broken> {
        if self.peek()? == b'"'
            && let Some((name, _)) = fields.get(expected)
            && let Some(rest) = self.text.as_bytes()[self.at + 1..].strip_prefix(name.as_bytes())
            && let [b'"', b':', ..] = rest
        {
            self.at += name.len() + 3;
            return Ok(Some(expected));
        }
        let key = self.string()?;
        self.expect(b':', Syntax::NoColon)?;
        Ok(fields.iter().position(|(name, _)| key == *name))
    }

    /// Behind an element: takes the bracket that closes what is open, or the comma in front of the next element.
    #[inline]
    fn closes(&mut self, bracket: u8) -> Result<bool, Broken> {
        match self.peek()? {
            b',' => {
                self.at += 1;
                Ok(false)
            }
            byte if byte == bracket => {
                self.close();
                Ok(true)
            }
            _ => Err(self.malformed(Syntax::NoCommaOrEnd)),
        }
    }

    fn skip_key(&mut self) -> Result<(), Broken> {
        self.skip_string()?;
        self.expect(b':', Syntax::NoColon)
    }

    fn skip_string(&mut self) -> Result<(), Broken> {
        self.expect(b'"', Syntax::NoString)?;
        loop {
            self.plain_run();
            if self.string_ends()? {
                return Ok(());
            }
            self.escape()?;
        }
    }

    #[cold]
    fn rest_of_string(&mut self, plain: &str) -> Result<String, Broken> {
        let mut string = plain.to_owned();
        while !self.string_ends()? {
            string.push(self.escape()?);
            string.push_str(self.plain_run());
        }
        Ok(string)
    }

    /// Takes what stands up to the next quote, backslash or control character.
    #[inline]
    fn plain_run(&mut self) -> &'a str {
        let start = self.at;
        self.at += plain_length(&self.text.as_bytes()[start..]);
        &self.text[start..self.at]
    }

    /// Behind a plain run: takes the closing quote if it is there; `false` in front of an escape.
    fn string_ends(&mut self) -> Result<bool, Broken> {
        match self.byte() {
            Some(b'"') => {
                self.at += 1;
                Ok(true)
            }
            Some(b'\\') => Ok(false),
            Some(_) => Err(self.malformed(Syntax::BareControl)),
            None => Err(self.malformed(Syntax::EndsEarly)),
        }
    }

    /// Takes one escape, from its backslash on: two of them when they are a surrogate pair.
    fn escape(&mut self) -> Result<char, Broken> {
        self.at += 1;
        let plain = match self.byte() {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                self.at += 1;
                return self.unicode_escape();
            }
            Some(_) => return Err(self.malformed(Syntax::NoEscape)),
            None => return Err(self.malformed(Syntax::EndsEarly)),
        };
        self.at += 1;
        Ok(plain)
    }

    /// Takes the digits of a `\u` escape, and the second half where the first one needs it.
    fn unicode_escape(&mut self) -> Result<char, Broken> {
        let unit = self.four_hex_digits()?;
        let mut code = unit;
        if (0xD800..0xDC00).contains(&unit) && self.text.as_bytes()[self.at..].starts_with(b"\\u") {
            self.at += 2;
            let low = self.four_hex_digits()?;
            if (0xDC00..0xE000).contains(&low) {
                code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
            }
        }
        // A surrogate that found no partner is no character.
        char::from_u32(code).ok_or_else(|| self.malformed(Syntax::LoneSurrogate))
    }

    fn four_hex_digits(&mut self) -> Result<u32, Broken> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.byte().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.malformed(Syntax::NoHexDigits))?;
            self.at += 1;
        }
        Ok(unit)
    }

    #[inline]
    fn take_if(&mut self, wanted: impl FnOnce(u8) -> bool) -> bool {
        let found = self.byte().is_some_and(wanted);
        self.at += usize::from(found);
        found
    }

    #[inline]
    fn digits(&mut self) -> Result<(), Broken> {
        let start = self.at;
        while self.take_if(|byte| byte.is_ascii_digit()) {}
        if self.at == start { Err(self.malformed(Syntax::NoDigits)) } else { Ok(()) }
    }

    fn literal(&mut self, word: &str) -> Result<(), Broken> {
        if !self.text.as_bytes()[self.at..].starts_with(word.as_bytes()) {
            return Err(self.malformed(Syntax::NoValue));
        }
        self.at += word.len();
        Ok(())
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
