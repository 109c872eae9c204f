//! The scripts of `scenarios/`, which are part of the program.

/// A script that is part of the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedScript {
    /// The script's name, which is also the name of its file without `.toml`.
    pub name: &'static str,
    /// The script, as it is in its file.
    pub text: &'static str,
}

macro_rules! embedded {
    ($($name:literal),*) => {
        [$(EmbeddedScript { name: $name, text: include_str!(concat!("../../scenarios/", $name, ".toml")) }),*]
    };
}

impl EmbeddedScript {
    /// All of them, in alphabetical order.
    pub const ALL: [Self; 6] =
        embedded!["bad-records", "crash", "replay", "scale-out", "ten-thousand", "throttled-lag"];

    /// The script with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|script| script.name == name)
    }
}
