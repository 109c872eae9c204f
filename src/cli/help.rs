//! Owns how the command line presents itself: examples before everything else, the versions, colour, manual pages.
//!
//! The examples of a command stand in its `after_help`; here they are put in front, and here they are found again.

use std::borrow::Cow;
use std::ffi::OsString;
use std::sync::OnceLock;

use clap::builder::Styles;
use clap::error::ContextValue;
use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, Color, Command, explain_kafka_option};
use crate::{kafka, printable};

/// About, examples, usage, flags.
const TEMPLATE: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}";

/// The same for a command that takes none of the global options.
const TEMPLATE_WITHOUT_OPTIONS: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\nArguments:\n{positionals}";

/// What ends the program's own help.
const EXIT_CODES: &[(&str, &str)] = &[
    ("0", "done; or ran until stopped, and was stopped cleanly"),
    ("1", "unexpected"),
    ("2", "the command line or the configuration is wrong"),
    ("3", "a verification failed"),
    ("4", "the broker is unreachable, or did not answer within --timeout"),
    ("5", "authentication or an ACL refused"),
    ("6", "fenced: another process took over this --instance-id"),
    ("7", "refused to protect data; the message says the way on"),
    ("8", "an output could not be written"),
    ("129, 130, 143", "stopped before the goal by SIGHUP, SIGINT, SIGTERM"),
];

/// Commands that talk to no broker.
pub(super) const WITHOUT_BROKER: &[&str] = &["completions", "man", "help"];

/// The whole command line, as it is parsed and as it presents itself.
#[must_use]
pub fn command() -> clap::Command {
    let codes: Vec<String> = EXIT_CODES.iter().map(|(code, meaning)| format!("  {code:<13}  {meaning}")).collect();
    // The slot in front of the help is free, as its place in the template is at the end; the summary of -h does without.
    arranged(Cli::command())
        .long_version(versions())
        .before_long_help(format!("Exit codes:\n{}", codes.join("\n")))
        .help_template(format!("{TEMPLATE}\n\n{{before-help}}"))
}

fn arranged(mut command: clap::Command) -> clap::Command {
    let names: Vec<String> = command.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    for name in names {
        command = command.mut_subcommand(name, arranged);
    }
    let template = if WITHOUT_BROKER.contains(&command.get_name()) { TEMPLATE_WITHOUT_OPTIONS } else { TEMPLATE };
    command.help_template(template)
}

/// What `--version` says after the name: this version, and the client library with what it was built with.
fn versions() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let (version, features) = kafka::librdkafka_info();
        format!("{}\nlibrdkafka {version}: {}", env!("CARGO_PKG_VERSION"), features.replace(',', ", "))
    })
}

/// Reads a command line; `no_color` is the wish of the environment, which a typed `--color` overrules.
///
/// # Errors
///
/// What is to be printed instead: help, versions, or what is wrong and what it may have been meant to be.
pub fn parse(arguments: Vec<OsString>, no_color: bool) -> Result<Cli, clap::Error> {
    let steers = |word: &OsString| matches!(printable::line(&word.to_string_lossy()), Cow::Owned(_));
    if !arguments.iter().any(steers) {
        return parse_with(command(), arguments, no_color);
    }
    // Without colours whatever steers a terminal is the words'.
    parse_with(command().styles(Styles::plain()), arguments, no_color).map_err(shown)
}

/// What is wrong, with the words that were typed as they may be shown.
fn shown(mut error: clap::Error) -> clap::Error {
    let text = |text: &str| printable::line(text).into_owned();
    let values: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in values {
        let value = match value {
            ContextValue::String(typed) => ContextValue::String(text(&typed)),
            ContextValue::Strings(typed) => ContextValue::Strings(typed.iter().map(|typed| text(typed)).collect()),
            ContextValue::StyledStrs(tips) => {
                ContextValue::StyledStrs(tips.iter().map(|tip| text(&tip.ansi().to_string()).into()).collect())
            }
            // Usage, with the name of the program as it was called.
            ContextValue::StyledStr(usage) => {
                ContextValue::StyledStr(printable::lines(&usage.ansi().to_string()).into_owned().into())
            }
            other => other,
        };
        error.insert(kind, value);
    }
    error
}

fn parse_with(command: clap::Command, arguments: Vec<OsString>, no_color: bool) -> Result<Cli, clap::Error> {
    // Looked for by hand: what is wrong with a command line is told in colour or not as well.
    let color = match (typed_color(&arguments), no_color) {
        (Some(Color::Always), _) => ColorChoice::Always,
        (Some(Color::Never), _) | (_, true) => ColorChoice::Never,
        (_, false) => ColorChoice::Auto,
    };
    let program = arguments.first().cloned().unwrap_or_else(|| "foodstream".into());
    let command = command.color(color);
    let matches = command.clone().try_get_matches_from(arguments).map_err(explain_kafka_option)?;
    let cli = Cli::from_arg_matches(&matches)?;
    if let Command::Help(help) = &cli.command {
        // `help replay` is `replay --help`, with the same suggestions for a word that is none.
        let words = help.words.iter().map(OsString::from);
        let words = std::iter::once(program).chain(words).chain(std::iter::once("--help".into()));
        command.try_get_matches_from(words)?;
    }
    Ok(cli)
}

fn typed_color(arguments: &[OsString]) -> Option<Color> {
    let words: Vec<&str> =
        arguments.iter().map(|word| word.to_str().unwrap_or("")).take_while(|word| *word != "--").collect();
    let mut values = words.iter().enumerate().filter_map(|(index, word)| match word.strip_prefix("--color") {
        Some("") => words.get(index + 1).copied(),
        Some(value) => value.strip_prefix('='),
        None => None,
    });
    values.next_back().and_then(|value| Color::from_str(value, false).ok())
}

/// The command lines among a command's examples, and what is said about each.
#[must_use]
pub fn examples(command: &clap::Command) -> Vec<(String, String)> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("  "));
    lines
        .map(|line| {
            let line = line.trim();
            let (words, about) = line.split_once("  ").unwrap_or((line, ""));
            (words.to_owned(), about.trim().to_owned())
        })
        .collect()
}

/// The manual: a page for the program and one for each command, as file name and content.
#[must_use]
pub fn manual() -> Vec<(String, String)> {
    // What the summary of -h leaves out is of the manual as well.
    let mut command = command().mut_args(|argument| argument.hide_short_help(false));
    command.build();
    let mut pages = Vec::new();
    add_pages(command, &mut pages);
    pages
}

fn add_pages(command: clap::Command, pages: &mut Vec<(String, String)>) {
    let deeper: Vec<clap::Command> =
        command.get_subcommands().filter(|command| !command.is_hide_set()).cloned().collect();
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let root = !name.contains('-');
    let examples = examples(&command);
    // Every flag has its paragraph below; here they would be a wall.
    let usage = command.clone().render_usage().to_string();
    let man = Man::new(command.override_usage(usage.trim_start_matches("Usage:").trim().to_owned()))
        .source(concat!("foodstream ", env!("CARGO_PKG_VERSION")))
        .manual("foodstream");
    let mut page = Vec::new();
    // A vector takes everything.
    drop(write_page(&man, &examples, root, !deeper.is_empty(), &mut page));
    pages.push((format!("{name}.1"), String::from_utf8_lossy(&page).into_owned()));
    for command in deeper {
        add_pages(command, pages);
    }
}

fn write_page(
    man: &Man,
    examples: &[(String, String)],
    root: bool,
    has_commands: bool,
    out: &mut Vec<u8>,
) -> std::io::Result<()> {
    man.render_title(out)?;
    man.render_name_section(out)?;
    let mut roff = Roff::default();
    roff.control("SH", ["EXAMPLES"]);
    for (words, about) in examples {
        roff.control("TP", []);
        roff.text([bold(words.as_str())]);
        roff.text([roman(about.as_str())]);
    }
    roff.to_writer(out)?;
    man.render_synopsis_section(out)?;
    man.render_description_section(out)?;
    if has_commands {
        man.render_subcommands_section(out)?;
    }
    man.render_options_section(out)?;
    if root {
        let mut roff = Roff::default();
        roff.control("SH", ["EXIT STATUS"]);
        for (code, meaning) in EXIT_CODES {
            roff.control("TP", []);
            roff.text([bold(*code)]);
            roff.text([roman(*meaning)]);
        }
        roff.to_writer(out)?;
    }
    Ok(())
}
