//! Limit on open files: raised to the hard limit, and checked before a command starts.

use std::io;
use std::os::fd::OwnedFd;

use rustix::io::{Errno, dup};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::exit::{Code, Failure};

/// The most that a command opens on a cluster of three brokers, rounded up: a connection and a pipe per client and
/// broker.
const NEEDED: usize = 80;

/// Used where the hard limit is "unlimited": macOS reports that and still refuses more than this per process.
const WITHOUT_HARD_LIMIT: u64 = 10_240;

/// Raises the soft limit to the hard limit, if the system allows it.
pub fn raise_limit() {
    let Rlimit { current: Some(current), maximum } = getrlimit(Resource::Nofile) else { return };
    // A system may report a hard limit and still refuse it, as macOS does beyond its own limit for a process.
    let limits = [maximum.unwrap_or(WITHOUT_HARD_LIMIT), WITHOUT_HARD_LIMIT];
    let wider = limits.into_iter().filter(|limit| *limit > current && maximum.is_none_or(|maximum| *limit <= maximum));
    for limit in wider {
        // Not an error: the present limit may be enough, which `check` finds out.
        if setrlimit(Resource::Nofile, Rlimit { current: Some(limit), maximum }).is_ok() {
            break;
        }
    }
}

/// Checks that a command can open the files that it needs, or fails with exit code 1 and both numbers.
///
/// librdkafka ignores a failed `pipe()` and then waits instead of working.
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

/// One more descriptor: the end of a pipe first, which needs no file, then copies of it.
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

pub const LIMIT_HINT: &str =
    "raise the limit in the shell that starts it, as in `ulimit -n 1024`, or with LimitNOFILE= of its service";

const SYSTEM_LIMIT_HINT: &str = "the whole system has too many files open: close something, or raise fs.file-max";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raises_the_soft_limit_to_the_hard_one() {
        raise_limit();
        let limit = getrlimit(Resource::Nofile);
        assert!(limit.current == limit.maximum || limit.current >= Some(WITHOUT_HARD_LIMIT), "{limit:?}");
        assert_eq!(check(), Ok(()), "a test can open enough files");
    }

    #[test]
    fn reports_both_numbers_and_a_fix() {
        let failure = too_few(25, Errno::MFILE);
        assert_eq!(failure.code, Code::Unexpected);
        assert!(failure.message.starts_with("this process can open 25 more files and needs 80: Too many open files"));
        assert!(failure.hint.expect("a hint").contains("ulimit -n 1024"));
        assert!(too_few(25, Errno::NFILE).hint.expect("a hint").contains("fs.file-max"));
    }
}
