//! Descriptions of I/O errors for users.

use std::io;

use rustix::io::Errno;

/// The cause in plain words where it is a limit or a full disk, followed by the system's message.
#[must_use]
pub fn describe_io_error(error: &io::Error) -> String {
    let short = match Errno::from_io_error(error) {
        Some(Errno::NOSPC) => "the disk is full",
        Some(Errno::DQUOT) => "the disk quota of this user is used up",
        Some(Errno::FBIG) => "a file would exceed the file size limit of this process (`ulimit -f`)",
        Some(Errno::MFILE) => "this process has too many open files (`ulimit -n`)",
        Some(Errno::NFILE) => "the system has too many open files",
        Some(Errno::ROFS) => "the file system is read-only",
        _ => return error.to_string(),
    };
    format!("{short}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn describes_the_limit_and_keeps_the_system_message() {
        let said = |errno: Errno| describe_io_error(&io::Error::from(errno));
        assert!(said(Errno::NOSPC).starts_with("the disk is full: No space left on device"));
        assert!(said(Errno::FBIG).contains("`ulimit -f`"));
        assert!(said(Errno::MFILE).contains("`ulimit -n`"));
        assert_eq!(describe_io_error(&io::Error::other("torn")), "torn");
    }
}
