//! Owns how a command line falls into words without a shell, and how words are typed so that a shell takes them as they are.

use std::ops::Range;

use super::diagnostic::quoted;

/// A word of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// Where it stands in the line, in bytes.
    pub(super) span: Range<usize>,
}

/// What is no command line: where, what is wrong, and the way on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SplitError {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) hint: &'static str,
}

const NO_SHELL: &str = "a step is one command line of foodstream, without a shell; a value may stand in '…'";

/// The words of a line, with quotes and backslashes as in POSIX. What a shell would do something with is refused, so that a
/// line means here what it means when it is typed.
pub(super) fn split(line: &str) -> Result<Vec<Word>, SplitError> {
    let mut words = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.char_indices().peekable();
    let misfit = |span, message: String, hint| Err(SplitError { span, message, hint });
    while let Some((at, character)) = characters.next() {
        let end = at + character.len_utf8();
        if character == ' ' {
            words.extend(word.take());
            continue;
        }
        if character.is_control() {
            return misfit(at..end, format!("{} in a command line", quoted(&character.to_string())), NO_SHELL);
        }
        if matches!(character, ';' | '|' | '&' | '<' | '>' | '`' | '$' | '(' | ')')
            || (character == '#' && word.is_none())
        {
            return misfit(
                at..end,
                format!("{} is for a shell, and there is none", quoted(&character.to_string())),
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
                _ => return misfit(at..end, "a backslash before nothing".to_owned(), NO_SHELL),
            },
            '\'' | '"' => loop {
                let Some((inner, letter)) = characters.next() else {
                    let hint = "close the quote, or write it as \\' or \\\"";
                    return misfit(at..end, format!("`{character}` is opened and not closed"), hint);
                };
                let end = inner + letter.len_utf8();
                word.span.end = end;
                match letter {
                    _ if letter == character => break,
                    _ if letter.is_control() => {
                        return misfit(
                            inner..end,
                            format!("{} in a command line", quoted(&letter.to_string())),
                            NO_SHELL,
                        );
                    }
                    '$' | '`' if character == '"' => {
                        return misfit(
                            inner..end,
                            format!("{} is for a shell, and there is none", quoted(&letter.to_string())),
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

/// A command line that means these words, in a POSIX shell and in a script.
#[must_use]
pub fn command_line<W: AsRef<str>>(words: &[W]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:=,%+@".contains(&byte);
    let typed = words.iter().map(AsRef::as_ref).map(|word| {
        if !word.is_empty() && word.bytes().all(plain) {
            return word.to_owned();
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    });
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
    fn words_are_split_as_in_a_shell_with_quotes_and_backslashes() {
        assert_eq!(texts("produce  --count 10 "), ["produce", "--count", "10"]);
        assert_eq!(
            texts(r#"lag --fail-if '>1000' "a b" a\ b '' "it's" "\"\\" x'y'"z""#),
            ["lag", "--fail-if", ">1000", "a b", "a b", "", "it's", "\"\\", "xyz"]
        );
        assert_eq!(texts(r#""\n" a#b"#), ["\\n", "a#b"]);
        assert_eq!(texts(""), Vec::<String>::new());
    }

    #[test]
    fn what_a_shell_would_act_upon_is_refused() {
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
            let misfit = split(line).expect_err(line);
            assert!(line.get(misfit.span.clone()).is_some_and(|place| !place.is_empty()), "{line}: {misfit:?}");
        }
    }

    proptest! {
        #[test]
        fn words_survive_being_typed(words in prop::collection::vec("[^\\p{Cc}]{0,8}", 0..5)) {
            let back: Vec<_> = split(&command_line(&words)).expect("splits").into_iter().map(|word| word.text).collect();
            prop_assert_eq!(back, words);
        }

        #[test]
        fn no_line_makes_it_panic_and_every_place_is_inside(line: String) {
            match split(&line) {
                Ok(words) => for word in words {
                    prop_assert!(line.get(word.span).is_some());
                },
                Err(misfit) => prop_assert!(line.get(misfit.span).is_some()),
            }
        }
    }
}
