//! The next command of a first run, as a line for a shell.

use std::ffi::OsStr;
use std::path::Path;

use crate::cli;
use crate::kafka::is_secret;
use crate::printable;
use crate::secrets::Secrets;

/// Writes command lines that use the same program, broker and topics as this command.
#[derive(Debug, Clone)]
pub struct NextCommand {
    /// The program as it was called: it need not be on the path.
    program: String,
    /// The options of this command that select broker and topics; `None` if they contain a secret or another text that
    /// must not be printed.
    options: Option<Vec<String>>,
}

impl NextCommand {
    /// `program` is the first word of the command line. `None` if it cannot be printed.
    #[must_use]
    pub fn new(program: &OsStr, global: &cli::Global, secrets: &Secrets) -> Option<Self> {
        // Another name may be an alias that a shell does not find.
        let named = Path::new(program).file_name().is_some_and(|name| name == "foodstream");
        let program = if named { program.to_str()? } else { "foodstream" };
        Some(Self { program: word(program)?, options: options(global, secrets) })
    }

    /// The line of a command on this broker and these topics, if it can be printed.
    #[must_use]
    pub fn on_this_broker(&self, arguments: &[&str]) -> Option<String> {
        self.line(arguments, self.options.as_deref()?)
    }

    /// The line of a command that uses a broker of its own.
    #[must_use]
    pub fn anywhere(&self, arguments: &[&str]) -> Option<String> {
        self.line(arguments, &[])
    }

    fn line(&self, arguments: &[&str], options: &[String]) -> Option<String> {
        let mut words = vec![self.program.clone()];
        for argument in arguments {
            words.push(word(argument)?);
        }
        words.extend_from_slice(options);
        Some(words.join(" "))
    }
}

fn options(global: &cli::Global, secrets: &Secrets) -> Option<Vec<String>> {
    let mut words: Vec<String> = Vec::new();
    if let Some(servers) = &global.bootstrap_servers {
        words.extend(["-b".to_owned(), word(servers)?]);
    }
    if let Some(file) = &global.config {
        words.extend(["-F".to_owned(), word(file.to_str()?)?]);
    }
    for property in &global.properties {
        let property = property.as_str();
        let name = property.split('=').next().unwrap_or_default();
        if is_secret(name.trim()) {
            return None;
        }
        words.extend(["-X".to_owned(), word(property)?]);
    }
    if let Some(prefix) = global.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
        words.extend(["--prefix".to_owned(), word(prefix)?]);
    }
    if let Some(timeout) = global.timeout {
        words.extend(["--timeout".to_owned(), word(&timeout.to_string())?]);
    }
    let line = words.join(" ");
    (secrets.redact(&line) == line).then_some(words)
}

/// A word as a POSIX shell reads it. `None` if a part of it would be shown escaped.
fn word(text: &str) -> Option<String> {
    if printable::line(text) != text {
        return None;
    }
    Some(printable::shell_word(text).into_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::Cli;

    fn next(program: &str, args: &[&str], secrets: &Secrets) -> Option<String> {
        let words = ["foodstream", "produce"].iter().chain(args);
        let parsed = Cli::try_parse_from(words).expect("parses");
        NextCommand::new(OsStr::new(program), &parsed.global, secrets)?.on_this_broker(&["inventory", "--until-end"])
    }

    fn line(args: &[&str]) -> Option<String> {
        next("foodstream", args, &Secrets::default())
    }

    #[test]
    fn keeps_what_selects_broker_and_topics() {
        assert_eq!(
            line(&["--count", "5", "-v", "--color", "never"]).as_deref(),
            Some("foodstream inventory --until-end")
        );
        assert_eq!(
            line(&["-b", "embedded:my dir", "--prefix", "lab1."]).as_deref(),
            Some("foodstream inventory --until-end -b 'embedded:my dir' --prefix lab1.")
        );
        assert_eq!(
            line(&["-X", "linger.ms=20", "-F", "it's.properties", "--timeout", "90s"]).as_deref(),
            Some(r"foodstream inventory --until-end -F 'it'\''s.properties' -X linger.ms=20 --timeout '1m 30s'")
        );
        assert_eq!(line(&["--prefix", ""]).as_deref(), Some("foodstream inventory --until-end"));
    }

    #[test]
    fn names_the_program_as_it_was_called() {
        let called = |program| next(program, &[], &Secrets::default());
        assert_eq!(called("./foodstream").as_deref(), Some("./foodstream inventory --until-end"));
        assert_eq!(called("/a b/foodstream").as_deref(), Some("'/a b/foodstream' inventory --until-end"));
        for other in ["", "fs", "-foodstream", "/tmp/x"] {
            assert_eq!(called(other).as_deref(), Some("foodstream inventory --until-end"), "{other}");
        }
    }

    #[test]
    fn a_line_with_a_secret_is_not_written() {
        assert_eq!(line(&["-X", "sasl.password=hush-hush"]), None);
        assert_eq!(line(&["-X", "SASL.PASSWORD =hush-hush"]), None);
        let mut secrets = Secrets::default();
        secrets.add("hush-hush");
        assert_eq!(next("foodstream", &["--prefix", "hush-hush"], &secrets), None);
        assert_eq!(line(&["-b", "a\u{1b}[2J"]), None, "it would be shown escaped");
    }

    #[test]
    fn a_scenario_needs_no_options() {
        let parsed = Cli::try_parse_from(["foodstream", "replay", "-X", "sasl.password=hush"]).expect("parses");
        let next = NextCommand::new(OsStr::new("foodstream"), &parsed.global, &Secrets::default()).expect("a line");
        assert_eq!(next.anywhere(&["scenario", "run", "crash"]).as_deref(), Some("foodstream scenario run crash"));
    }

    #[test]
    fn a_shell_reads_every_word_unchanged() {
        for text in ["lab1.", "", "a b", "it's", "$HOME", "`x`", "a\\b", "*", "~", "!x", "a;b", "#a", "é"] {
            let script = format!("printf %s {}", word(text).expect("a word"));
            let shown = std::process::Command::new("sh").args(["-c", &script]).output().expect("a shell");
            assert_eq!(String::from_utf8_lossy(&shown.stdout), text);
        }
    }
}
