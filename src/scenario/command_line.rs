//! Command lines without a shell: splitting a line into words, and quoting words.

use std::ops::Range;

use super::diagnostic::quoted;
use crate::printable::shell_word;

/// A word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Its position in the line, in bytes.
    pub(super) span: Range<usize>,
}

/// An error in a command line, with its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

const NO_SHELL: &str =
    "a step is one foodstream command line, run without a shell; put the value in '…' to use it literally";

/// Splits a line into words, with quotes and backslashes as in POSIX. Fails on characters that a shell would interpret,
/// so that a line has the same meaning as in a shell.
pub(super) fn split(line: &str) -> Result<Vec<Word>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.char_indices().peekable();
    let error = |span, message: String, hint| Err(SplitError { span, message, hint });
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        if character == ' ' {
            words.extend(word.take());
            continue;
        }
        if character.is_control() {
            return error(
                at..end,
                format!("control character {} in a command line", quoted(&character.to_string())),
                NO_SHELL,
            );
        }
        if matches!(character, ';' | '|' | '&' | '<' | '>' | '`' | '$' | '(' | ')')
            || (character == '#' && word.is_none())
        {
            return error(
                at..end,
                format!("unquoted {}: steps run without a shell", quoted(&character.to_string())),
                NO_SHELL,
            );
        }
        let word = word.get_or_insert(Word { text: String::new(), span: at..at });
        word.span.end = end;
        match character {
            '\\' => match characters.next() {
                Some((at, escaped)) if !escaped.is_control() => {
                    word.text.push(escaped);
                    word.span.end = at + escaped.len_utf8();
                }
                _ => return error(at..end, "a backslash without a character after it".to_owned(), NO_SHELL),
            },
            '\'' | '"' => loop {
                let Some((inner, letter)) = characters.next() else {
                    let hint = "close the quote, or write it as \\' or \\\"";
                    return error(at..end, format!("missing closing `{character}`"), hint);
                };
                let end = inner + letter.len_utf8();
                word.span.end = end;
                match letter {
                    _ if letter == character => break,
                    _ if letter.is_control() => {
                        return error(
                            inner..end,
                            format!("control character {} in a command line", quoted(&letter.to_string())),
                            NO_SHELL,
                        );
                    }
                    '$' | '`' if character == '"' => {
                        return error(
                            inner..end,
                            format!("unquoted {}: steps run without a shell", quoted(&letter.to_string())),
                            NO_SHELL,
                        );
                    }
                    '\\' if character == '"' => match characters.peek() {
                        Some((_, next @ ('"' | '\\' | '$' | '`'))) => {
                            word.text.push(*next);
                            characters.next();
                        }
                        _ => word.text.push('\\'),
                    },
                    _ => word.text.push(letter),
                }
            },
            _ => word.text.push(character),
        }
    }
    words.extend(word);
    Ok(words)
}

/// Joins words to a command line, quoted for a POSIX shell and for a script.
#[must_use]
pub fn command_line<W: AsRef<str>>(words: &[W]) -> String {
    let typed = words.iter().map(|word| shell_word(word.as_ref()));
    typed.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(line: &str) -> Vec<String> {
        split(line).expect("splits").into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn splits_like_a_posix_shell() {
        assert_eq!(texts("produce  --count 10 "), ["produce", "--count", "10"]);
        assert_eq!(
            texts(r#"lag --fail-if '>1000' "a b" a\ b '' "it's" "\"\\" x'y'"z""#),
            ["lag", "--fail-if", ">1000", "a b", "a b", "", "it's", "\"\\", "xyz"]
        );
        assert_eq!(texts(r#""\n" a#b"#), ["\\n", "a#b"]);
        assert_eq!(texts(""), Vec::<String>::new());
    }

    #[test]
    fn shell_syntax_is_an_error() {
        for line in [
            "produce; rm -rf /",
            "produce | cat",
            "produce & produce",
            "produce > file",
            "produce $(rm)",
            "produce $HOME",
            "produce `rm`",
            "produce \"$(rm)\"",
            "produce \"`rm`\"",
            "produce # and more",
            "produce\nrm",
            "produce 'a\nb'",
            "produce \\",
            "produce 'a",
            "produce \"a",
        ] {
            let error = split(line).expect_err(line);
            assert!(line.get(error.span.clone()).is_some_and(|text| !text.is_empty()), "{line}: {error:?}");
        }
    }

    proptest! {
        #[test]
        fn quoted_words_round_trip(words in prop::collection::vec("[^\\p{Cc}]{0,8}", 0..5)) {
            let back: Vec<_> = split(&command_line(&words)).expect("splits").into_iter().map(|word| word.text).collect();
            prop_assert_eq!(back, words);
        }

        #[test]
        fn splitting_never_panics(line: String) {
            match split(&line) {
                Ok(words) => for word in words {
                    prop_assert!(line.get(word.span).is_some());
                },
                Err(error) => prop_assert!(line.get(error.span).is_some()),
            }
        }
    }
}
