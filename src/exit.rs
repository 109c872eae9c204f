//! Exit codes, and failures with a message and a hint.

use std::fmt;
use std::sync::OnceLock;

/// Defines [`Code`]: each number, name and meaning is written only here. Help, manual and the check of
/// docs/reference/exit-codes.md use them.
macro_rules! codes {
    ($($variant:ident = $number:literal, $name:literal, $meaning:literal;)*) => {
        /// How a command ended, for the shell. Scripts rely on the numbers.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $meaning] $variant = $number,)*
        }

        impl Code {
            /// All codes, by number.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            #[must_use]
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$variant => $meaning,)* }
            }
        }
    };
}

codes! {
    Done = 0, "done", "success; or a command that runs until stopped was stopped";
    Unexpected = 1, "unexpected", "an unexpected error";
    Usage = 2, "usage", "the command line or the configuration is wrong";
    Different = 3, "different", "a verification failed";
    Unreachable = 4, "unreachable", "the broker is unreachable, or did not respond within --timeout";
    Denied = 5, "denied", "authentication failed, or an ACL denied access";
    Fenced = 6, "fenced", "another process took over this --instance-id";
    Refused = 7, "refused", "refused in order to protect data; the message says what to do";
    Output = 8, "output", "an output could not be written";
    HungUp = 129, "hung up", "stopped by SIGHUP before the work was done";
    Interrupted = 130, "interrupted", "stopped by SIGINT before the work was done";
    Terminated = 143, "terminated", "stopped by SIGTERM before the work was done";
}

impl Code {
    #[must_use]
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The code of a number that another process of this program reported.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.number() == number)
    }

    /// Whether a signal stopped the command.
    #[must_use]
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::HungUp | Self::Interrupted | Self::Terminated)
    }
}

/// Why a command failed, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    /// One lower-case line that says what is wrong.
    pub message: String,
    /// Further lines, one per problem.
    pub details: Vec<String>,
    /// What to run or check next.
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), details: Vec::new(), hint: None }
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn details(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(lines);
        self
    }

    /// Puts `context: ` before the message.
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

pub type Outcome = Result<Code, Failure>;

/// Called before [`exit_now`] exits.
static BEFORE_EXIT: OnceLock<fn()> = OnceLock::new();

/// Sets what [`exit_now`] does first.
pub fn before_exit(hook: fn()) {
    // The only hook restores the terminal; setting it again changes nothing.
    let _is_first = BEFORE_EXIT.set(hook);
}

/// Exits at once, from any thread: after a second signal, or when a call into librdkafka does not return.
pub fn exit_now(code: Code) -> ! {
    if let Some(hook) = BEFORE_EXIT.get() {
        hook();
    }
    #[allow(clippy::exit, clippy::disallowed_methods, reason = "the only caller")]
    std::process::exit(i32::from(code.number()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hint_is_on_its_own_line() {
        let failure = Failure::new(Code::Refused, "no such topic").hint("run produce").context("inventory");
        assert_eq!(failure.to_string(), "inventory: no such topic\n  hint: run produce");
        assert_eq!(failure.code.number(), 7);
        assert_eq!(Code::of(7), Some(Code::Refused));
        assert_eq!(Code::of(129), Some(Code::HungUp));
        assert_eq!(Code::of(9), None);
        assert!(Code::ALL.is_sorted_by_key(|code| code.number()));
    }
}
