//! Completion scripts: what a user may type, without hidden options, and subcommands before options.

use clap::ValueHint;
use clap::builder::PossibleValuesParser;
use clap_complete::Shell;

use super::command;
use crate::scenario::EmbeddedScript;

/// The completion script of a shell.
#[must_use]
pub fn completions(shell: Shell) -> String {
    let commands = offered(&command());
    let names: Vec<&'static str> = commands.get_subcommands().map(name).collect();
    let mut commands = commands.mut_subcommand("help", |help| {
        help.mut_args(|argument| argument.value_parser(PossibleValuesParser::new(&names)))
    });
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut commands, "foodstream", &mut script);
    let script = String::from_utf8_lossy(&script).into_owned();
    match shell {
        Shell::Bash => names_first(&script),
        Shell::Zsh => script.replace(
            SCRIPTS_IN_ZSH,
            &format!(
                "{} _alternative \"names:embedded script:({})\" \"files:script:_files\"'",
                SCRIPTS_IN_ZSH.trim_end_matches("_files'"),
                script_names(" ")
            ),
        ),
        Shell::Fish => script + &positionals_in_fish(&commands),
        _ => script,
    }
}

/// Arguments that are names of embedded scripts or paths, in the script for zsh.
const SCRIPTS_IN_ZSH: &str = "or directories of `.toml` scripts:_files'";

/// The subcommands of `scenario` with such arguments.
const TAKE_SCRIPTS: [&str; 2] = ["run", "check"];

fn script_names(separator: &str) -> String {
    EmbeddedScript::ALL.map(|script| script.name).join(separator)
}

/// The values of arguments without a name, which the generator for fish leaves out.
fn positionals_in_fish(command: &clap::Command) -> String {
    fn add(command: &clap::Command, condition: &str, lines: &mut String) {
        for command in command.get_subcommands() {
            let condition = match condition {
                "" => format!("__fish_foodstream_using_subcommand {}", command.get_name()),
                outer => format!("{outer}; and __fish_seen_subcommand_from {}", command.get_name()),
            };
            let values: Vec<_> = command.get_positionals().flat_map(clap::Arg::get_possible_values).collect();
            let names: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
            if !names.is_empty() {
                lines.extend(["complete -c foodstream -n \"", &condition, "\" -f -a \"", &names.join(" "), "\"\n"]);
            }
            add(command, &condition, lines);
        }
    }
    let mut lines = String::new();
    add(command, "", &mut lines);
    // Files are offered too.
    let scenario = "__fish_foodstream_using_subcommand scenario; and __fish_seen_subcommand_from";
    let (commands, names) = (TAKE_SCRIPTS.join(" "), script_names(" "));
    lines + &format!("complete -c foodstream -n \"{scenario} {commands}\" -a \"{names}\"\n")
}

/// The name of a command. clap accepts an owned name only with a feature that makes every name larger. These are a few
/// bytes, once in a process.
fn name(command: &clap::Command) -> &'static str {
    command.get_name().to_owned().leak()
}

/// A copy of a command with what completions offer. The generators of `clap_complete` also offer hidden options, and an
/// argument cannot be removed from a command.
fn offered(command: &clap::Command) -> clap::Command {
    let mut copy = clap::Command::new(name(command)).disable_help_subcommand(true);
    if let Some(version) = command.get_version() {
        let version: &'static str = version.to_owned().leak();
        copy = copy.version(version);
    }
    if let Some(about) = command.get_about() {
        copy = copy.about(about.clone());
    }
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set());
    let commands = command.get_subcommands().filter(|command| !command.is_hide_set());
    copy.args(arguments.map(with_hint)).subcommands(commands.map(offered))
}

/// The argument with a hint at its values. Without a hint, shells offer files for every value, also for numbers.
fn with_hint(argument: &clap::Arg) -> clap::Arg {
    if !argument.get_action().takes_values() || !argument.get_possible_values().is_empty() {
        return argument.clone();
    }
    let names = argument.get_value_names().unwrap_or_default();
    let mentions = |word: &str| names.iter().any(|name| name.contains(word));
    let hint = match () {
        () if mentions("FILE") || mentions("CSV") => ValueHint::FilePath,
        () if mentions("DIR") || mentions("FOLDER") => ValueHint::DirPath,
        () => ValueHint::Other,
    };
    argument.clone().value_hint(hint)
}

/// The bash script that offers subcommands and values for a word that does not begin with `-`, and for others the
/// options of the command before those of all commands.
///
/// The generated script has all of them in one list for each command, short options first. A command without
/// subcommands and values offers its options for an empty word. If it has an argument that is a path, the list is empty,
/// so that bash offers files. The first script of `scenario run` and `check` is an embedded script or a file.
fn names_first(script: &str) -> String {
    let paths = commands_with_paths();
    let mut current = "";
    let mut lines = Vec::new();
    for line in script.lines() {
        let text = line.trim_start();
        let indent = &line[..line.len() - text.len()];
        if let Some(label) = text.strip_suffix(')') {
            current = label;
        }
        let list = text.strip_prefix("opts=\"").and_then(|rest| rest.strip_suffix('"')).filter(|list| !list.is_empty());
        let Some(list) = list else {
            lines.push(line.to_owned());
            continue;
        };
        let (mut options, names): (Vec<&str>, Vec<&str>) = list.split(' ').partition(|word| word.starts_with('-'));
        // Stable: the order within the groups is that of the help.
        options.sort_by_key(|word| !word.starts_with("--"));
        lines.push(format!("{indent}opts=\"{}\"", options.join(" ")));
        if TAKE_SCRIPTS.iter().any(|name| current == format!("foodstream__subcmd__scenario__subcmd__{name}")) {
            let names = script_names("\\n");
            lines.push(format!("{indent}if [[ ${{cur}} != -* && ${{COMP_CWORD}} -eq 3 ]]; then"));
            lines.push(format!("{indent}    local IFS=$'\\n'"));
            lines.push(format!(
                "{indent}    COMPREPLY=( $(compgen -W $'{names}' -- \"${{cur}}\") $(compgen -f -- \"${{cur}}\") )"
            ));
            lines.push(format!("{indent}    if [[ \"${{BASH_VERSINFO[0]}}\" -ge 4 ]]; then compopt -o filenames; fi"));
            lines.push(format!("{indent}    return 0"));
            lines.push(format!("{indent}fi"));
        }
        if !names.is_empty() || paths.iter().any(|path| path == current) {
            lines.push(format!("{indent}if [[ ${{cur}} != -* ]]; then opts=\"{}\"; fi", names.join(" ")));
        }
    }
    lines.join("\n") + "\n"
}

/// The commands with an argument that is a path, by their labels in the bash script.
fn commands_with_paths() -> Vec<String> {
    fn add(command: &clap::Command, label: &str, labels: &mut Vec<String>) {
        let is_path =
            |argument: &clap::Arg| matches!(argument.get_value_hint(), ValueHint::FilePath | ValueHint::DirPath);
        if command.get_positionals().any(is_path) {
            labels.push(label.to_owned());
        }
        for command in command.get_subcommands() {
            add(command, &format!("{label}__subcmd__{}", command.get_name()), labels);
        }
    }
    let mut labels = Vec::new();
    add(&offered(&command()), "foodstream", &mut labels);
    labels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_script_offers_hidden_options() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = completions(shell);
            for (word, offered) in
                [("metrics-file", true), ("bootstrap-servers", true), ("leash", false), ("background", false)]
            {
                // "background" is also a word of descriptions.
                let found = [format!("--{word}"), format!("-l {word}")].iter().any(|option| script.contains(option));
                assert_eq!(found, offered, "{shell}: {word}");
            }
        }
    }

    #[test]
    fn positionals_with_known_values_are_offered() {
        let fish = completions(Shell::Fish);
        let scenario = "\"__fish_foodstream_using_subcommand scenario; and __fish_seen_subcommand_from";
        for (condition, values) in [
            ("\"__fish_foodstream_using_subcommand completions\"", "-f -a \"bash elvish fish powershell zsh\""),
            ("\"__fish_foodstream_using_subcommand help\"", "-f -a \"produce inventory analytics"),
            (&format!("{scenario} show\""), "-f -a \"bad-records crash"),
            (&format!("{scenario} run check\""), "-a \"bad-records crash"),
        ] {
            let line = format!("complete -c foodstream -n {condition} {values}");
            assert!(fish.lines().any(|other| other.starts_with(&line)), "{line}");
        }
        let zsh = completions(Shell::Zsh);
        assert_eq!(zsh.matches("_alternative \"names:embedded script:(bad-records crash").count(), TAKE_SCRIPTS.len());
    }

    #[test]
    fn names_are_separate_from_options() {
        let script = names_first("    foodstream)\n        opts=\"-b --output run list\"\n");
        assert_eq!(
            script,
            "    foodstream)\n        opts=\"--output -b\"\n        if [[ ${cur} != -* ]]; then opts=\"run list\"; fi\n"
        );
        let labels = commands_with_paths();
        assert!(labels.iter().any(|label| label == "foodstream__subcmd__man"), "{labels:?}");
        assert!(labels.iter().any(|label| label == "foodstream__subcmd__scenario__subcmd__run"), "{labels:?}");
    }
}
