//! Presentation of the command line: examples first, versions, colours and manual pages.
//!
//! The examples are in each command's `after_help`; the template puts them first.

use std::borrow::Cow;
use std::ffi::OsString;
use std::sync::OnceLock;

use clap::builder::Styles;
use clap::error::ContextValue;
use clap::{ColorChoice, CommandFactory, FromArgMatches, ValueEnum};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::{Cli, Color, Command, explain_kafka_option};
use crate::exit::Code;
use crate::{kafka, printable};

/// About, examples, usage, options.
const TEMPLATE: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\n{all-args}";

/// The same for a command without global options. Its own options follow: `{options}` would include the global ones.
const TEMPLATE_WITHOUT_GLOBAL: &str = "{about}{after-help}\n\n{usage-heading} {usage}\n\nArguments:\n{positionals}";

/// Number, name and meaning of each exit code.
#[must_use]
pub fn exit_codes() -> Vec<(u8, &'static str, &'static str)> {
    Code::ALL.iter().map(|code| (code.number(), code.name(), code.meaning())).collect()
}

pub(super) const WITHOUT_BROKER: &[&str] = &["completions", "man", "help"];

/// The complete command line, with its help templates.
#[must_use]
pub fn command() -> clap::Command {
    let codes: Vec<String> =
        exit_codes().into_iter().map(|(number, _, meaning)| format!("  {number:<3}  {meaning}")).collect();
    // `before_help` is free, because the template places it at the end. `-h` omits it.
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
    if !WITHOUT_BROKER.contains(&command.get_name()) {
        return command.help_template(TEMPLATE);
    }
    let option = |argument: &clap::Arg| {
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        argument.get_long().map(|name| format!("      --{name}\n          {help}"))
    };
    let options: Vec<String> = command.get_arguments().filter_map(option).collect();
    let template = match options.as_slice() {
        [] => TEMPLATE_WITHOUT_GLOBAL.to_owned(),
        options => format!("{TEMPLATE_WITHOUT_GLOBAL}\n\nOptions:\n{}", options.join("\n\n")),
    };
    command.help_template(template)
}

/// The text after the name in `--version`: this version, then librdkafka's with its features, then whether TLS is built in.
fn versions() -> &'static str {
    static TEXT: OnceLock<String> = OnceLock::new();
    TEXT.get_or_init(|| {
        let (version, features) = kafka::librdkafka_info();
        format!(
            "{}\nlibrdkafka {version}: {}\nTLS: {}",
            env!("CARGO_PKG_VERSION"),
            features.replace(',', ", "),
            if kafka::HAS_TLS { "built in" } else { "not built in (cargo feature `tls`)" }
        )
    })
}

/// Parses a command line. `no_color` comes from the environment; an explicit `--color` overrides it.
///
/// # Errors
///
/// What to print instead: the help, the version or an error with suggestions.
pub fn parse(arguments: Vec<OsString>, no_color: bool) -> Result<Cli, clap::Error> {
    let steers = |word: &OsString| matches!(printable::line(&word.to_string_lossy()), Cow::Owned(_));
    if !arguments.iter().any(steers) {
        return parse_with(command(), arguments, no_color);
    }
    // Without styles, every escape sequence in the error comes from the arguments.
    parse_with(command().styles(Styles::plain()), arguments, no_color).map_err(shown)
}

/// The error with escaped arguments.
fn shown(mut error: clap::Error) -> clap::Error {
    let text = |text: &str| printable::line(text).into_owned();
    let values: Vec<_> = error.context().map(|(kind, value)| (kind, value.clone())).collect();
    for (kind, value) in values {
        let value = match value {
            ContextValue::String(value) => ContextValue::String(text(&value)),
            ContextValue::Strings(values) => ContextValue::Strings(values.iter().map(|value| text(value)).collect()),
            ContextValue::StyledStrs(tips) => {
                ContextValue::StyledStrs(tips.iter().map(|tip| text(&tip.ansi().to_string()).into()).collect())
            }
            // The usage contains the name under which the program was called.
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
    // Searched before parsing, because parse errors are coloured too.
    let color = match (color_argument(&arguments), no_color) {
        (Some(Color::Always), _) => ColorChoice::Always,
        (Some(Color::Never), _) | (_, true) => ColorChoice::Never,
        (_, false) => ColorChoice::Auto,
    };
    let program = arguments.first().cloned().unwrap_or_else(|| "foodstream".into());
    let command = command.color(color);
    let matches = command.clone().try_get_matches_from(arguments).map_err(explain_kafka_option)?;
    let cli = Cli::from_arg_matches(&matches)?;
    if let Command::Help(help) = &cli.command {
        // `help replay` is `replay --help`, with the same suggestions for an unknown command.
        let args = help.command.iter().map(OsString::from);
        let args = std::iter::once(program).chain(args).chain(std::iter::once("--help".into()));
        command.try_get_matches_from(args)?;
    }
    Ok(cli)
}

fn color_argument(arguments: &[OsString]) -> Option<Color> {
    let args: Vec<&str> =
        arguments.iter().map(|word| word.to_str().unwrap_or("")).take_while(|word| *word != "--").collect();
    let mut values = args.iter().enumerate().filter_map(|(index, word)| match word.strip_prefix("--color") {
        Some("") => args.get(index + 1).copied(),
        Some(value) => value.strip_prefix('='),
        None => None,
    });
    values.next_back().and_then(|value| Color::from_str(value, false).ok())
}

/// A command's example lines, each with its description.
#[must_use]
pub fn examples(command: &clap::Command) -> Vec<(String, String)> {
    let text = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let lines = text.lines().filter(|line| line.starts_with("  "));
    lines
        .map(|line| {
            let line = line.trim();
            let (args, about) = line.split_once("  ").unwrap_or((line, ""));
            (args.to_owned(), about.trim().to_owned())
        })
        .collect()
}

/// The manual: file name and content of a page for the program and one for each command.
#[must_use]
pub fn manual() -> Vec<(String, String)> {
    // The manual also has the options that `-h` omits.
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
    // Each option has its own paragraph below.
    let usage = command.clone().render_usage().to_string();
    let man = Man::new(command.override_usage(usage.trim_start_matches("Usage:").trim().to_owned()))
        .source(concat!("foodstream ", env!("CARGO_PKG_VERSION")))
        .manual("foodstream");
    let mut page = Vec::new();
    // Writing to a vector cannot fail.
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
    for (args, about) in examples {
        roff.control("TP", []);
        roff.text([bold(args.as_str())]);
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
        for (number, _, meaning) in exit_codes() {
            roff.control("TP", []);
            roff.text([bold(number.to_string())]);
            roff.text([roman(meaning)]);
        }
        roff.to_writer(out)?;
    }
    Ok(())
}
