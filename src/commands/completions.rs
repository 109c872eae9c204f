//! `completions`: shell completion scripts, printed or installed for the user.

use std::path::{Path, PathBuf};

use clap_complete::Shell;

use crate::cli;
use crate::console::Console;
use crate::exit::{Code, Failure, Outcome};
use crate::output::{OutputFile, create_folder};
use crate::printable;

/// Directories from the environment under which shells look for completions.
#[derive(Debug, Clone, Default)]
pub struct UserFolders {
    /// `HOME`
    pub home: Option<PathBuf>,
    /// `XDG_DATA_HOME`
    pub data: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`
    pub config: Option<PathBuf>,
    /// `BASH_COMPLETION_USER_DIR`
    pub bash_completion: Option<PathBuf>,
    /// `ZDOTDIR`
    pub zsh: Option<PathBuf>,
}

/// Prints the completion script of a shell, or writes it where the shell looks for it.
pub fn run(console: &Console, args: &cli::Completions, folders: &UserFolders) -> Outcome {
    let script = cli::completions(args.shell);
    if !args.install {
        // A closed reader is not an error.
        console.print(&script)?;
        return Ok(Code::Done);
    }
    let path = place(args.shell, folders)?;
    // For example a home that is read-only.
    install(&path, &script).map_err(|failure| {
        failure.hint(format!("redirect the script to a file: foodstream completions {} > FILE", args.shell))
    })?;
    console.print(&format!("{}\n{}\n", printable::path(&path), needed(args.shell, &path))).map(drop)?;
    Ok(Code::Done)
}

fn install(path: &Path, script: &str) -> Result<(), Failure> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    OutputFile::open(path)?.finish(script)
}

/// The file from which a shell loads the completions of `foodstream` for this user.
fn place(shell: Shell, folders: &UserFolders) -> Result<PathBuf, Failure> {
    let under_home = |folder: &Option<PathBuf>, path: &str| {
        folder.clone().or_else(|| folders.home.as_ref().map(|home| home.join(path)))
    };
    let path = match shell {
        Shell::Bash => folders
            .bash_completion
            .clone()
            .or_else(|| under_home(&folders.data, ".local/share").map(|data| data.join("bash-completion")))
            .map(|folder| folder.join("completions/foodstream")),
        Shell::Fish => {
            under_home(&folders.config, ".config").map(|config| config.join("fish/completions/foodstream.fish"))
        }
        // zsh has no directory of the user in $fpath. This name is the usual choice.
        Shell::Zsh => under_home(&folders.zsh, "").map(|folder| folder.join(".zfunc/_foodstream")),
        other => {
            return Err(Failure::new(Code::Usage, format!("--install: {other} reads no directory of completions"))
                .hint(format!("run foodstream completions {other}, and load its output in the shell's start file")));
        }
    };
    path.ok_or_else(|| {
        Failure::new(Code::Usage, "--install: the environment variable HOME is not set to an absolute path")
            .hint(format!("run foodstream completions {shell} and redirect it to a file"))
    })
}

/// What the user has to do besides, for people.
fn needed(shell: Shell, path: &Path) -> String {
    let folder = path.parent().unwrap_or(path);
    match shell {
        Shell::Bash => format!(
            "New bash shells read it if the package bash-completion is installed. If not, add this line to ~/.bashrc:\n  \
             source {}",
            quoted(path)
        ),
        Shell::Zsh => format!(
            "Unless ~/.zshrc has these lines, add them, the first one before compinit:\n  fpath=({} $fpath)\n  autoload -Uz \
             compinit && compinit",
            quoted(folder)
        ),
        _ => "New shells read it.".to_owned(),
    }
}

/// The path as a word of a shell.
fn quoted(path: &Path) -> String {
    printable::shell_word(&printable::path(path)).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn home() -> UserFolders {
        UserFolders { home: Some("/home/ada".into()), ..UserFolders::default() }
    }

    #[test]
    fn each_shell_has_its_file() {
        let set = UserFolders {
            data: Some("/data".into()),
            config: Some("/config".into()),
            zsh: Some("/zsh".into()),
            ..home()
        };
        let loader = UserFolders { bash_completion: Some("/loader".into()), ..set.clone() };
        for (shell, folders, path) in [
            (Shell::Bash, &home(), "/home/ada/.local/share/bash-completion/completions/foodstream"),
            (Shell::Bash, &set, "/data/bash-completion/completions/foodstream"),
            (Shell::Bash, &loader, "/loader/completions/foodstream"),
            (Shell::Fish, &home(), "/home/ada/.config/fish/completions/foodstream.fish"),
            (Shell::Fish, &set, "/config/fish/completions/foodstream.fish"),
            (Shell::Zsh, &home(), "/home/ada/.zfunc/_foodstream"),
            (Shell::Zsh, &set, "/zsh/.zfunc/_foodstream"),
        ] {
            assert_eq!(place(shell, folders), Ok(path.into()), "{shell}");
        }
    }

    #[test]
    fn other_shells_and_a_missing_home_are_refused() {
        for (shell, folders, named) in [
            (Shell::Elvish, home(), "elvish reads no directory"),
            (Shell::PowerShell, home(), "powershell reads no directory"),
            (Shell::Bash, UserFolders::default(), "HOME is not set"),
        ] {
            let failure = place(shell, &folders).expect_err("refused");
            assert_eq!(failure.code, Code::Usage);
            assert!(failure.message.contains(named), "{failure}");
        }
    }

    #[test]
    fn a_path_with_a_space_is_one_word() {
        assert_eq!(quoted(Path::new("/home/ada/x")), "/home/ada/x");
        assert_eq!(quoted(Path::new("/home/a da's/x")), r"'/home/a da'\''s/x'");
    }
}
