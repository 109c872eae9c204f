//! Links: every link of a document, and every page that a comment or a message names, leads to a file and a heading.

use std::path::Path;

use regex_lite::Regex;

use super::{files, root};

/// The anchor that a heading gets on a forge: lower case, blanks as dashes, no punctuation.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c.to_ascii_lowercase() }).collect()
}

fn has_anchor(page: &str, wanted: &str) -> bool {
    let mut in_block = false;
    page.lines().any(|line| {
        in_block ^= line.starts_with("```");
        !in_block && line.starts_with('#') && anchor(line.trim_start_matches('#')) == wanted
    })
}

/// Why a link from a file does not work; `read` gives the content of a file below the root.
fn dead(from: &str, link: &str, read: impl Fn(&str) -> Option<String>) -> Option<String> {
    let (path, wanted) = link.split_once('#').map_or((link, None), |(path, anchor)| (path, Some(anchor)));
    let mut parts: Vec<&str> = if path.is_empty() {
        from.split('/').collect()
    } else {
        from.split('/').rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect()
    };
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    let target = parts.join("/");
    match (read(&target), wanted) {
        (None, _) => Some(format!("{from}: {target} does not exist")),
        (Some(page), Some(wanted)) if !has_anchor(&page, wanted) => {
            Some(format!("{from}: {target} has no heading #{wanted}"))
        }
        _ => None,
    }
}

/// Files give their content, directories an empty one.
fn read(path: &str) -> Option<String> {
    let path = root().join(path);
    if path.is_dir() {
        Some(String::new())
    } else {
        std::fs::read(path).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[test]
fn links_of_documents_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let (mut problems, mut checked) = (Vec::new(), 0);
    for file in files(&["md"]) {
        let page = read(&file).expect("the page can be read");
        for found in link.captures_iter(&page) {
            let target = &found[1];
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            checked += 1;
            problems.extend(dead(&file, target, read));
        }
    }
    assert!(checked > 20, "only {checked} links were checked");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Table rows and indented code cannot be wrapped.
#[test]
fn lines_of_documents_fit_a_screen() {
    let is_exempt = |line: &str| line.starts_with('|') || line.starts_with("    ");
    let wide: Vec<_> = files(&["md"])
        .iter()
        // Scripts without an extension are among the files.
        .filter(|file| Path::new(file).extension().is_some())
        .flat_map(|file| {
            let page = read(file).expect("the page can be read");
            let lines = page.lines().map(str::to_owned).zip(1..);
            let wide = lines.filter(|(line, _)| !is_exempt(line) && line.chars().count() > 120);
            wide.map(|(_, number)| format!("{file}:{number}: longer than 120 characters")).collect::<Vec<_>>()
        })
        .collect();
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}

#[test]
fn pages_named_in_code_exist() {
    let page = Regex::new(r"\bdocs/[A-Za-z0-9_/-]+\.md(#[a-z0-9_-]+)?").expect("a pattern");
    let (mut problems, mut checked) = (Vec::new(), 0);
    for file in files(&["rs", "json", "toml", "sh"]) {
        // Its own examples are invented.
        if Path::new(&file) == Path::new("tests/architecture/links.rs") {
            continue;
        }
        for found in page.find_iter(&read(&file).expect("the file can be read")) {
            checked += 1;
            problems.extend(dead("", found.as_str(), read).map(|problem| format!("{file}{problem}")));
        }
    }
    assert!(checked > 10, "only {checked} pages were checked");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn dead_links_are_found() {
    let read = |path: &str| match path {
        "docs/a.md" => Some("# One\n## Two words, and `code`\n```\n# no heading\n```\n".to_owned()),
        "README.md" => Some(String::new()),
        _ => None,
    };
    for link in ["a.md", "../README.md", "a.md#one", "a.md#two-words-and-code", "#one"] {
        assert_eq!(dead("docs/a.md", link, read), None, "{link}");
    }
    assert_eq!(dead("docs/a.md", "b.md", read).as_deref(), Some("docs/a.md: docs/b.md does not exist"));
    assert_eq!(
        dead("docs/a.md", "#no-heading", read).as_deref(),
        Some("docs/a.md: docs/a.md has no heading #no-heading")
    );
}
