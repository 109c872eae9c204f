//! Parser of `sasl.jaas.config`: one login module with its options.
//!
//! The syntax is Kafka's, as far as real files use it: quoted values with `\"` and `\\`, words without quotes, and
//! comments. Anything that Java would read differently is an error, so that no password changes silently.

use std::iter::Peekable;
use std::str::Chars;

/// A login module; the last option of a name wins.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct LoginModule {
    pub class: String,
    /// Name and value.
    pub options: Vec<(String, String)>,
}

impl LoginModule {
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|(option, _)| option == name).map(|(_, value)| value.as_str())
    }
}

#[derive(PartialEq, Eq)]
enum Token {
    /// A word or a quoted text.
    Text(String),
    /// Any other character except blanks. A digit is one too, because a number is not a valid value.
    Sign(char),
}

struct Tokens<'a>(Peekable<Chars<'a>>);

impl Tokens<'_> {
    /// The next token; `None` at the end.
    fn next(&mut self) -> Result<Option<Token>, &'static str> {
        while let Some(character) = self.0.next() {
            return Ok(Some(match character {
                '\0'..=' ' => continue,
                '/' => {
                    self.skip_comment();
                    continue;
                }
                '"' | '\'' => Token::Text(self.quoted(character)?),
                '$' | '_' | '\u{a0}'.. | 'a'..='z' | 'A'..='Z' => {
                    let mut word = String::from(character);
                    while let Some(next) = self.0.next_if(|next| {
                        next.is_ascii_alphanumeric() || matches!(next, '-' | '_' | '$' | '.' | '\u{a0}'..)
                    }) {
                        word.push(next);
                    }
                    Token::Text(word)
                }
                other => Token::Sign(other),
            }));
        }
        Ok(None)
    }

    /// Skips to the end of the line, or of `/* … */`.
    fn skip_comment(&mut self) {
        let is_block = self.0.next_if_eq(&'*').is_some();
        let mut previous = '\0';
        for character in self.0.by_ref() {
            let ends = if is_block { (previous, character) == ('*', '/') } else { matches!(character, '\r' | '\n') };
            if ends {
                break;
            }
            previous = character;
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, &'static str> {
        let mut text = String::new();
        loop {
            match self.0.next() {
                None | Some('\r' | '\n') => return Err("a quote is not closed"),
                Some('\\') => match self.0.next().filter(|escaped| !escaped.is_ascii_alphanumeric()) {
                    Some(escaped) => text.push(escaped),
                    None => return Err("a backslash in quotes must be written \\\\"),
                },
                Some(end) if end == quote => return Ok(text),
                Some(other) => text.push(other),
            }
        }
    }
}

/// Parses the only login module. The error quotes nothing of the text.
pub(super) fn login_module(text: &str) -> Result<LoginModule, &'static str> {
    let mut tokens = Tokens(text.chars().peekable());
    let class = match tokens.next()? {
        Some(Token::Text(class)) => class,
        Some(Token::Sign(_)) => return Err("it does not begin with the class of a login module"),
        None => return Err("it is empty"),
    };
    let known = ["required", "requisite", "sufficient", "optional"];
    if !matches!(tokens.next()?, Some(Token::Text(flag)) if known.iter().any(|known| flag.eq_ignore_ascii_case(known)))
    {
        return Err("`required` is missing after the class");
    }
    let mut options: Vec<(String, String)> = Vec::new();
    loop {
        let name = match tokens.next()? {
            Some(Token::Sign(';')) => break,
            Some(Token::Text(name)) => name,
            Some(Token::Sign(_)) => return Err("an option has no name, or a value needs quotes"),
            None => return Err("the semicolon at its end is missing"),
        };
        let equals = tokens.next()? == Some(Token::Sign('='));
        let Some(Token::Text(value)) = tokens.next()?.filter(|_| equals) else {
            return Err("an option has no value, or one that needs quotes");
        };
        options.retain(|(option, _)| *option != name);
        options.push((name, value));
    }
    if tokens.next()?.is_some() {
        return Err("something follows the semicolon");
    }
    Ok(LoginModule { class, options })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde::Deserialize;

    use super::*;

    /// A text and the result of the Java client of Kafka 4.1; neither module nor options if it refused.
    #[derive(Deserialize)]
    struct Recorded {
        text: String,
        module: Option<String>,
        options: Option<BTreeMap<String, String>>,
    }

    #[test]
    fn reads_all_recorded_texts_like_java() {
        let recorded: Vec<Recorded> =
            serde_json::from_str(include_str!("../../tests/java/jaas.json")).expect("recorded");
        assert!(recorded.len() > 50);
        for Recorded { text, module, options } in recorded {
            let read = login_module(&text).ok();
            assert_eq!(read.as_ref().map(|read| read.class.clone()), module, "{text:?}");
            assert_eq!(read.map(|read| read.options.into_iter().collect()), options, "{text:?}");
        }
    }

    #[test]
    fn an_error_says_what_is_missing() {
        for (text, wanted) in [
            ("", "it is empty"),
            ("x.Module", "`required` is missing after the class"),
            ("x.Module required password=\"hush\"", "the semicolon at its end is missing"),
            ("x.Module required password=9hush;", "an option has no value, or one that needs quotes"),
            ("x.Module required password=hu#sh;", "an option has no name, or a value needs quotes"),
            ("x.Module required a=b; x.Module required;", "something follows the semicolon"),
            // Java reads these as a tab, an octal number and a shorter text.
            ("x.Module required password=\"hu\\tsh\";", "a backslash in quotes must be written \\\\"),
            ("x.Module required password=\"hu\\101\";", "a backslash in quotes must be written \\\\"),
            ("x.Module required password=\"hu\nsh\";", "a quote is not closed"),
        ] {
            assert_eq!(login_module(text).err(), Some(wanted), "{text}");
        }
    }

    proptest! {
        #[test]
        fn reads_quoted_text_with_escapes(password in "[^\r\n\0]{0,40}") {
            let quoted = password.replace('\\', "\\\\").replace('"', "\\\"");
            let text = format!("x.Module required username='a' password=\"{quoted}\";");
            let read = login_module(&text).expect("read");
            prop_assert_eq!(read.option("password"), Some(password.as_str()));
        }
    }
}
