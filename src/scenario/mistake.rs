//! Owns what is told of a script that is wrong: each mistake with its place, the line itself, and the way on.

/// One mistake of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, in characters.
    pub column: usize,
    /// What is wrong: a lowercase fragment, printable.
    pub message: String,
    /// What to write instead; printable.
    pub hint: Option<String>,
}

/// Everything that is wrong with a script; at least one mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes {
    mistakes: Vec<Mistake>,
}

impl Mistakes {
    /// One by one, in the order of the script.
    #[must_use]
    pub fn all(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// As people read it: for each mistake `file:line:column: message`, the line of the script, a caret, and the hint.
    #[must_use]
    pub fn show(&self, _file: &str) -> String {
        String::new()
    }
}
