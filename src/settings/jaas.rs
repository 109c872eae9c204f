//! Owns the text of `sasl.jaas.config`: one login module with its options, in the syntax that Kafka's Java client reads.
//!
//! Kafka reads it with `java.io.StreamTokenizer`, whose habits are kept here: `"` and `'` quote, `\` escapes as in C, `/`
//! begins a comment, and a bare value is a word, which a digit, a dot or a minus does not begin.

use std::iter::Peekable;
use std::str::Chars;

/// A login module and its options, the last one of a name winning.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct LoginModule {
    /// The class.
    pub class: String,
    /// Name and value.
    pub options: Vec<(String, String)>,
}

impl LoginModule {
    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }
}

#[derive(PartialEq, Eq)]
enum Token {
    /// A word or a quoted text.
    Text(String),
    /// Anything else that is not blank; digits too, which are no value.
    Sign(char),
}

struct Tokens<'a>(Peekable<Chars<'a>>);

fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '-' | '_' | '$' | '.') || character >= '\u{a0}'
}

impl Iterator for Tokens<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        loop {
            let character = self.0.next()?;
            match character {
                '\0'..=' ' => {}
                '/' => self.comment()?,
                '"' | '\'' => return Some(Token::Text(self.quoted(character))),
                '-' if !self.0.peek().is_some_and(|next| *next == '.' || next.is_ascii_digit()) => {
                    return Some(Token::Sign('-'));
                }
                '-' | '.' | '0'..='9' => {
                    self.number(character == '.');
                    return Some(Token::Sign('0'));
                }
                first if is_word(first) => {
                    let mut word = String::from(first);
                    while let Some(next) = self.0.next_if(|next| is_word(*next)) {
                        word.push(next);
                    }
                    return Some(Token::Text(word));
                }
                other => return Some(Token::Sign(other)),
            }
        }
    }
}

impl Tokens<'_> {
    /// A number ends where a second dot or no digit stands.
    fn number(&mut self, mut dot: bool) {
        while let Some(next) = self.0.next_if(|next| next.is_ascii_digit() || (*next == '.' && !dot)) {
            dot |= next == '.';
        }
    }

    /// To the end of the line, or of `/* … */`; `None` when the text is over before.
    fn comment(&mut self) -> Option<()> {
        if self.0.next_if_eq(&'*').is_some() {
            let mut before = '\0';
            loop {
                let character = self.0.next()?;
                if before == '*' && character == '/' {
                    return Some(());
                }
                before = character;
            }
        }
        while self.0.next_if(|next| !matches!(next, '\r' | '\n')).is_some() {}
        Some(())
    }

    /// A quoted text ends with its quote, or with the line.
    fn quoted(&mut self, quote: char) -> String {
        let mut text = String::new();
        while let Some(character) = self.0.next_if(|next| !matches!(next, '\r' | '\n')) {
            if character == quote {
                break;
            }
            if character != '\\' {
                text.push(character);
                continue;
            }
            match self.0.next() {
                Some('a') => text.push('\u{7}'),
                Some('b') => text.push('\u{8}'),
                Some('f') => text.push('\u{c}'),
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('v') => text.push('\u{b}'),
                Some(first @ '0'..='7') => text.push(self.octal(first)),
                Some(other) => text.push(other),
                None => {}
            }
        }
        text
    }

    /// Up to three digits, the first of three at most 3.
    fn octal(&mut self, first: char) -> char {
        let mut value = first.to_digit(8).unwrap_or(0);
        for further in 1..3 {
            if further == 2 && first > '3' {
                break;
            }
            match self.0.next_if(|next| next.is_digit(8)) {
                Some(digit) => value = value * 8 + digit.to_digit(8).unwrap_or(0),
                None => break,
            }
        }
        char::from_u32(value).unwrap_or(char::REPLACEMENT_CHARACTER)
    }
}

/// The one login module of a text; a lowercase fragment that quotes nothing of it where Kafka's client refuses it too.
pub(super) fn login_module(text: &str) -> Result<LoginModule, &'static str> {
    let mut tokens = Tokens(text.chars().peekable());
    let module = match tokens.next() {
        Some(Token::Text(class)) => class,
        Some(Token::Sign(_)) => return Err("it does not begin with the class of a login module"),
        None => return Err("it is empty"),
    };
    let flag = tokens.next();
    let known = ["required", "requisite", "sufficient", "optional"];
    if !matches!(&flag, Some(Token::Text(flag)) if known.iter().any(|known| flag.eq_ignore_ascii_case(known))) {
        return Err("`required` is missing after the class");
    }
    let mut options: Vec<(String, String)> = Vec::new();
    loop {
        let name = match tokens.next() {
            Some(Token::Sign(';')) => break,
            Some(Token::Text(name)) => name,
            Some(Token::Sign(_)) => return Err("an option has no name, or a value needs quotes"),
            None => return Err("the semicolon at its end is missing"),
        };
        let equals = tokens.next() == Some(Token::Sign('='));
        let Some(Token::Text(value)) = tokens.next().filter(|_| equals) else {
            return Err("an option has no value, or one that needs quotes");
        };
        match options.iter_mut().find(|(option, _)| *option == name) {
            Some(option) => option.1 = value,
            None => options.push((name, value)),
        }
    }
    if tokens.next().is_some() {
        return Err("something follows the semicolon");
    }
    Ok(LoginModule { class: module, options })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// A text and what the Java client of Kafka 4.1 made of it; neither module nor options where it refused.
    #[derive(Deserialize)]
    struct Recorded {
        text: String,
        module: Option<String>,
        options: Option<BTreeMap<String, String>>,
    }

    #[test]
    fn every_recorded_text_is_read_as_kafkas_java_client_reads_it() {
        let recorded: Vec<Recorded> =
            serde_json::from_str(include_str!("../../tests/java/jaas.json")).expect("recorded");
        assert!(recorded.len() > 500);
        for Recorded { text, module, options } in recorded {
            let read = login_module(&text).ok();
            assert_eq!(read.as_ref().map(|read| read.class.clone()), module, "{text:?}");
            assert_eq!(read.map(|read| read.options.into_iter().collect()), options, "{text:?}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_missing_and_quotes_nothing() {
        for (text, wanted) in [
            ("", "it is empty"),
            ("x.Module", "`required` is missing after the class"),
            ("x.Module required password=\"hush\"", "the semicolon at its end is missing"),
            ("x.Module required password=9hush;", "an option has no value, or one that needs quotes"),
            ("x.Module required password=hu#sh;", "an option has no name, or a value needs quotes"),
            ("x.Module required a=b; x.Module required;", "something follows the semicolon"),
        ] {
            assert_eq!(login_module(text).err(), Some(wanted), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_quoted_with_its_escapes_comes_back(password in "[^\r\n\0]{0,40}") {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("x.Module required username='a' password=\"{quoted}\";");
            let read = login_module(&text).expect("read");
            prop_assert_eq!(read.option("password"), Some(password.as_str()));
        }
    }
}
