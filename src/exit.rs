//! Owns how the program ends: the exit codes, and a failure as a message with the way on.

use std::fmt;

/// How a command ended, as the shell sees it. The numbers are part of the contract with scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done; or ran until it was stopped, and was stopped cleanly.
    Done = 0,
    /// Something nobody foresaw.
    Unexpected = 1,
    /// The command line or the configuration is wrong.
    Usage = 2,
    /// A verification failed: what was to be proved does not hold.
    Different = 3,
    /// The broker is unreachable, or did not answer within `--timeout`.
    Unreachable = 4,
    /// Authentication or an ACL refused.
    Denied = 5,
    /// Another process took over.
    Fenced = 6,
    /// Refused to protect data.
    Refused = 7,
    /// An output could not be written.
    Output = 8,
    /// Stopped before its goal by SIGHUP.
    HungUp = 129,
    /// Stopped before its goal by SIGINT.
    Interrupted = 130,
    /// Stopped before its goal by SIGTERM.
    Terminated = 143,
}

impl Code {
    /// The number for the shell.
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code of a number, as another process of this program told it.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        use Code::{
            Denied, Different, Done, Fenced, HungUp, Interrupted, Output, Refused, Terminated, Unexpected, Unreachable,
            Usage,
        };
        let all = [
            Done,
            Unexpected,
            Usage,
            Different,
            Unreachable,
            Denied,
            Fenced,
            Refused,
            Output,
            HungUp,
            Interrupted,
            Terminated,
        ];
        all.into_iter().find(|code| code.number() == number)
    }

    /// Whether it says that a signal stopped the command.
    #[must_use]
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::HungUp | Self::Interrupted | Self::Terminated)
    }
}

/// Why a command could not do what it was asked, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// A lowercase fragment that names what is wrong, in one line.
    pub message: String,
    /// What is wrong one by one, where that are many lines.
    pub details: Vec<String>,
    /// The way on: a command to type or a thing to check.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a way on.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), hint: None }
    }

    /// The same failure with the way on.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same failure with what is wrong one by one, a line each.
    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// The same failure, told from further away: `context: message`.
    #[must_use]
    pub fn context(mut self, context: impl fmt::Display) -> Self {
        self.message = format!("{context}: {}", self.message);
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for line in &self.details {
            write!(f, "\n{line}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// What a command returns.
pub type Outcome = Result<Code, Failure>;

/// Ends the process at once, from any thread, where unwinding in order is no longer possible: a second signal, or a
/// call into the Kafka client that outlived every bound.
pub fn exit_now(code: Code) -> ! {
    #[allow(clippy::exit, clippy::disallowed_methods, reason = "this function is the owner of that call")]
    std::process::exit(i32::from(code.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_shows_its_hint_on_a_line_of_its_own() {
        let failure = Failure::new(Code::Refused, "topic is gone").hint("run produce").context("inventory");
        assert_eq!(failure.to_string(), "inventory: topic is gone\n  hint: run produce");
        assert_eq!(failure.code.number(), 7);
        assert_eq!(Code::of(7), Some(Code::Refused));
        assert_eq!(Code::of(129), Some(Code::HungUp));
        assert_eq!(Code::of(9), None);
    }
}
