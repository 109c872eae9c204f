//! Owns the files that the process may have open: as many as the system allows, and enough of them before the work begins.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, dup};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::{Code, Failure};

/// What a command opens at most on a cluster of three brokers, rounded up: its clients have a connection to each broker,
/// and a pipe beside each connection.
const NEEDED: usize = 80;

/// What a system grants that names no hard limit: macOS refuses more than this to a process, and says "unlimited".
const WITHOUT_HARD_LIMIT: u64 = 10_240;

/// Raises the soft limit to the hard one. Where that is refused the limit stays as it was.
pub fn raise_limit() {
    let Rlimit { current: Some(current), maximum } = getrlimit(Resource::Nofile) else { return };
    // A system may name a hard limit and refuse it all the same, as macOS beyond its own limit for a process.
    let limits = [maximum.unwrap_or(WITHOUT_HARD_LIMIT), WITHOUT_HARD_LIMIT];
    let wider = limits.into_iter().filter(|limit| *limit > current && maximum.is_none_or(|maximum| *limit <= maximum));
    for limit in wider {
        // A limit that stays is no failure: it may be enough, which is looked at before the work.
        if setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).is_ok() {
            break;
        }
    }
}

/// Makes sure that a command can open the files that it needs, and opens none.
///
/// The Kafka client does not notice when it gets no pipe, and then waits where it should work.
///
/// # Errors
///
/// With exit code 1 and both numbers when there are too few.
pub fn check() -> Result<(), Failure> {
    let mut open = Vec::with_capacity(NEEDED);
    while open.len() < NEEDED {
        match another(&open) {
            Ok(file) => open.push(file),
            Err(error) => return Err(too_few(open.len(), error)),
        }
    }
    Ok(())
}

/// One more descriptor: the end of a pipe at first, which needs no file, and copies of it then.
fn another(open: &[OwnedFd]) -> Result<OwnedFd, Errno> {
    match open.first() {
        Some(first) => dup(first),
        None => io::pipe()
            .map(|(reader, _)| reader.into())
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::MFILE)),
    }
}

fn too_few(left: usize, error: Errno) -> Failure {
    let reason = io::Error::from(error);
    Failure::new(Code::Unexpected, format!("this process can open {left} more files and needs {NEEDED}: {reason}"))
        .hint(if error == Errno::NFILE { SYSTEM_LIMIT_HINT } else { LIMIT_HINT })
}

/// What to do about the limit of a process.
pub const LIMIT_HINT: &str =
    "raise the limit in the shell that starts it, as in `ulimit -n 1024`, or with LimitNOFILE= of its service";

/// What to do about the limit of the system.
const SYSTEM_LIMIT_HINT: &str = "the whole system has too many files open: close something, or raise fs.file-max";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.current == limit.maximum || limit.current >= Some(WITHOUT_HARD_LIMIT), "{limit:?}");
        assert_eq!(check(), Ok(()), "a test has room");
    }

    #[test]
    fn too_few_files_are_told_with_both_numbers_and_the_way_out() {
        let failure = too_few(25, Errno::MFILE);
        assert_eq!(failure.code, Code::Unexpected);
        assert!(failure.message.starts_with("this process can open 25 more files and needs 80: Too many open files"));
        assert!(failure.hint.expect("a hint").contains("ulimit -n 1024"));
        assert!(too_few(25, Errno::NFILE).hint.expect("a hint").contains("fs.file-max"));
    }
}
