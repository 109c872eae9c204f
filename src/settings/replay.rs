//! Settings of `replay`: a duration is resolved to a time, and a file to its rows.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{check_group, usage};
use crate::cli;
use crate::domain::EventTime;
use crate::exit::Failure;
use crate::replay::{OffsetFile, Target, TopicFilter};
use crate::units::bytes;

/// In bytes: enough for hundreds of thousands of partitions, and a limit for endless input.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

#[derive(Debug, Clone)]
pub struct ReplaySettings {
    pub target: Target,
    /// Empty for all.
    pub topics: Vec<TopicFilter>,
    /// Do not change the group.
    pub shadow: bool,
    /// Wait this long for members to leave.
    pub wait_empty: Option<Duration>,
    /// `--group`
    pub group: Option<String>,
    /// Show all rows of the tables.
    pub full: bool,
    /// The file for the plan.
    pub export: Option<PathBuf>,
    pub html: Option<PathBuf>,
    /// The file for the metrics before.
    pub initial_file: PathBuf,
    /// The file for the metrics after.
    pub after_file: PathBuf,
}

/// Reads stdin to its end, at most this many bytes.
pub type ReadsStdin<'a> = &'a dyn Fn(u64) -> Result<Vec<u8>, Failure>;

/// Resolves the settings. `now` is in milliseconds since the epoch, `group` the full group name. Fails with exit code 2
/// and a fix.
pub fn replay(
    arguments: &cli::Replay,
    now: i64,
    group: &str,
    stdin: ReadsStdin<'_>,
) -> Result<ReplaySettings, Failure> {
    check_group(arguments.group.as_deref())?;
    let target = match arguments {
        cli::Replay { to_offset: Some(offset), .. } => Target::Offset(*offset),
        cli::Replay { to_datetime: Some(time), .. } => Target::Time(*time),
        cli::Replay { by_duration: Some(duration), .. } => Target::Time(before(now, (*duration).into())),
        cli::Replay { shift_by: Some(by), .. } => Target::ShiftBy(*by),
        cli::Replay { from_file: Some(path), .. } => Target::File(offset_file(path, group, stdin)?),
        _ => Target::Earliest,
    };
    Ok(ReplaySettings {
        target,
        topics: arguments.topic.clone(),
        shadow: arguments.shadow,
        wait_empty: arguments.wait_empty.map(Into::into),
        group: arguments.group.clone(),
        full: arguments.full,
        export: arguments.export.clone(),
        html: arguments.html.clone(),
        initial_file: arguments.initial_file.clone(),
        after_file: arguments.after_file.clone(),
    })
}

/// The time this long ago, at least 1970.
fn before(now: i64, duration: Duration) -> EventTime {
    let back = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    EventTime::from_millis(now.saturating_sub(back).max(0)).unwrap_or_default()
}

fn offset_file(path: &Path, group: &str, stdin: ReadsStdin<'_>) -> Result<OffsetFile, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        usage(format!("cannot read {}: {error}", path.display())).hint("check --from-file and the file's permissions")
    };
    let read = || -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    let content =
        if path == Path::new("-") { stdin(LARGEST_FILE + 1)? } else { read().map_err(|error| unreadable(&error))? };
    if content.len() as u64 > LARGEST_FILE {
        return Err(unreadable(&format_args!("it is larger than {}", bytes(LARGEST_FILE))));
    }
    OffsetFile::parse(&path.display().to_string(), &content, group).map_err(|error| {
        usage(error.to_string()).hint(
            "rows are topic,partition,offset, or group,topic,partition,offset, of which this group's are used; without a \
             header; `foodstream replay --dry-run --export FILE` and kafka-consumer-groups --export write this format",
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::exit::Code;

    const NOW: i64 = 1_800_000_000_000;

    fn resolve(args: &[&str]) -> Result<ReplaySettings, Failure> {
        let arguments = Cli::try_parse_from(["foodstream", "replay"].iter().chain(args)).expect("parses");
        let Command::Replay(replay) = arguments.command else { unreachable!("only replay is arguments here") };
        super::replay(&replay, NOW, "readers", &|_| Ok(b"readers,order-events,0,5\nothers,order-events,0,6\n".to_vec()))
    }

    #[test]
    fn a_duration_becomes_a_time() {
        let target = |args: &[&str]| resolve(args).expect("resolved").target.to_string();
        assert_eq!(target(&[]), "--to-earliest");
        assert_eq!(target(&["--to-datetime", "2026-11-22T13:00:00+01:00"]), "--to-datetime 2026-11-22T12:00:00.000Z");
        assert_eq!(target(&["--to-datetime", "2026-11-22T12:00:00.000"]), "--to-datetime 2026-11-22T12:00:00.000Z");
        let hour = "--to-datetime 2027-01-15T07:00:00.000Z";
        assert_eq!(target(&["--by-duration", "1h"]), hour);
        assert_eq!(target(&["--by-duration", "PT60M"]), hour);
        assert_eq!(target(&["--by-duration", "300y"]), "--to-datetime 1970-01-01T00:00:00.000Z");
        assert_eq!(target(&["--shift-by", "-5"]), "--shift-by -5");
        assert_eq!(target(&["--shift-by=-5"]), "--shift-by -5");
    }

    #[test]
    fn targets_exclude_each_other_and_undo() {
        let targets = [
            ["--to-earliest", ""],
            ["--to-offset", "5"],
            ["--to-datetime", "2026-11-22T12:00:00Z"],
            ["--by-duration", "1h"],
            ["--shift-by", "-5"],
            ["--from-file", "plan.csv"],
        ];
        let parses = |args: &[&str]| {
            let args = ["foodstream", "replay"].iter().chain(args).filter(|word| !word.is_empty());
            Cli::try_parse_from(args).is_ok()
        };
        for (index, one) in targets.iter().enumerate() {
            assert!(parses(one), "{one:?}");
            assert!(!parses(&[one[0], one[1], "--undo"]), "{one:?} --undo");
            for other in &targets[index + 1..] {
                assert!(!parses(&[one[0], one[1], other[0], other[1]]), "{one:?} {other:?}");
            }
        }
        assert!(!parses(&["--shift-by", "5"]) && !parses(&["--shift-by", "0"]));
    }

    #[test]
    fn a_file_is_read_or_reports_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.csv");
        let named = path.display().to_string();
        std::fs::write(&path, "order-events,0,5\norder-events,0,6\n").expect("written");
        let failure = resolve(&["--from-file", &named]).expect_err("refused");
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.message.contains("plan.csv:2: order-events/0"), "{failure}");
        std::fs::write(&path, "others,order-events,0,5\n").expect("written");
        let others = resolve(&["--from-file", &named]).expect_err("refused");
        assert!(others.message.contains("group readers"), "{others}");
        let from_stdin = resolve(&["--from-file", "-"]).expect("resolved").target;
        assert_eq!(from_stdin.to_string(), "--from-file -");
        let Target::File(file) = from_stdin else { panic!("{from_stdin:?}") };
        assert_eq!(file.offset("order-events", 0), Some(5));
        let missing = resolve(&["--from-file", "/nowhere/plan.csv"]).expect_err("refused");
        assert!(missing.message.starts_with("cannot read /nowhere/plan.csv"), "{missing}");
        let endless = resolve(&["--from-file", "/dev/zero"]).expect_err("refused");
        assert!(endless.message.contains("larger than 16 MiB"), "{endless}");
    }
}
