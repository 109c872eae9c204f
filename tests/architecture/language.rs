//! The language of comments, strings and documents: words that this project does not use (`CONTRIBUTING.md` says why).

use std::path::Path;

use regex_lite::Regex;

use super::{files, root, scanner};

/// Words that hide what happens, each with plain ones to use. [`NAMES`] may be used.
const WORDS: [(&str, &str); 11] = [
    (r"\b(told|tells?|telling)\b", "say what happens: prints, reports, returns, sends"),
    (r"\b(stands?|stood)\b", "is, are, was"),
    (r"\b(nobody|somebody|everybody|whoever)\b", "name the thread, the process, the client or the user"),
    (r"\b(is|are) (no|none)\b", "is not, does not exist, invalid"),
    (r"\banew\b", "again"),
    (r"\bmeanwhile\b", "in the meantime, at the same time"),
    (r"\bbeside\b", "next to, in addition to"),
    (r"\ball the same\b", "anyway"),
    (r"\b(way on|goes? on|comes? along)\b", "next step, continue, arrive"),
    (r"\b(house|wing|door|rim|hall)\b", "module, client layer, edge"),
    (r"^//! Owns\b", "begin the file with a noun phrase for its contents"),
];

/// Phrases with another meaning: a value of Python, "no longer", and a user of Unix.
const NAMES: [&str; 4] = ["is None", "is no longer", "are no longer", "nobody (uid"];

/// This file quotes the words.
const EXEMPT: &str = "tests/architecture/language.rs";

/// The words found in a text: line number and advice.
fn found(text: &str, first_line: usize) -> Vec<(usize, String)> {
    let mut problems = Vec::new();
    for (pattern, advice) in WORDS {
        let pattern = Regex::new(&format!("(?i){pattern}")).expect("a pattern");
        for (index, line) in text.lines().enumerate() {
            let line = NAMES.iter().fold(line.to_owned(), |line, name| line.replace(name, ""));
            if let Some(word) = pattern.find(&line) {
                problems.push((first_line + index, format!("{:?}: {advice}", word.as_str())));
            }
        }
    }
    problems.sort();
    problems
}

fn problems(file: &str, content: &str) -> Vec<String> {
    let problems = if Path::new(file).extension().is_some_and(|extension| extension == "rs") {
        scanner::texts(content).into_iter().flat_map(|(line, text)| found(text, line)).collect()
    } else {
        found(content, 1)
    };
    problems.into_iter().map(|(line, problem)| format!("{file}:{line}: {problem}")).collect()
}

#[test]
fn comments_messages_and_documents_are_plain() {
    let files = files(&["rs", "md", "trycmd", "toml", "sh", "bash", "py", "html", "properties"]);
    assert!(files.len() > 300, "only {} files were checked", files.len());
    let problems: Vec<_> = files
        .iter()
        .filter(|file| *file != EXEMPT)
        .flat_map(|file| problems(file, &std::fs::read_to_string(root().join(file)).expect("the file can be read")))
        .collect();
    assert!(problems.is_empty(), "{}\n{} places", problems.join("\n"), problems.len());
}

#[test]
fn each_word_is_found() {
    let code = "//! Owns it.\nfn told() { stands(); }\nlet a = \"there is no x\"; // nobody\n/// no longer, it is no longer so\n";
    let places: Vec<_> = problems("src/a.rs", code)
        .into_iter()
        .map(|problem| problem[..problem.rfind(": ").expect("advice")].to_owned())
        .collect();
    assert_eq!(places, ["src/a.rs:1: \"//! Owns\"", "src/a.rs:3: \"is no\"", "src/a.rs:3: \"nobody\""]);
    assert_eq!(problems("a.md", "It goes on,\nall the same.").len(), 2);
    assert_eq!(problems("a.md", "It continues anyway.").len(), 0);
}
