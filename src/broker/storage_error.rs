//! Owns the words for data that could not be written: what is short, and where to get more of it.

use std::io;

use rustix::io::Errno;

/// Why something could not be written, as people say it, with the system's own words.
#[must_use]
pub fn describe_io_error(error: &io::Error) -> String {
    let short = match Errno::from_io_error(error) {
        Some(Errno::NOSPC) => "the disk is full",
        Some(Errno::DQUOT) => "this user's share of the disk is used up",
        Some(Errno::FBIG) => "a file would become larger than this process may write (`ulimit -f`)",
        Some(Errno::MFILE) => "this process can open no more files (`ulimit -n`)",
        Some(Errno::NFILE) => "the system can open no more files",
        Some(Errno::ROFS) => "the file system can only be read",
        _ => return error.to_string(),
    };
    format!("{short}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_short_is_said_and_the_systems_words_are_kept() {
        let said = |errno: Errno| describe_io_error(&io::Error::from(errno));
        assert!(said(Errno::NOSPC).starts_with("the disk is full: No space left on device"));
        assert!(said(Errno::FBIG).contains("`ulimit -f`"));
        assert!(said(Errno::MFILE).contains("`ulimit -n`"));
        assert_eq!(describe_io_error(&io::Error::other("torn")), "torn");
    }
}
