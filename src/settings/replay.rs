//! Owns what was meant by `replay`: a target in which a duration is a time and a file is its rows.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{check_group, usage};
use crate::cli;
use crate::domain::EventTime;
use crate::exit::Failure;
use crate::replay::{OffsetFile, Target, TopicFilter};

/// The largest file of offsets, in bytes: hundreds of thousands of partitions, and an end to what has none.
const LARGEST_FILE: u64 = 16 * 1024 * 1024;

/// What a replay is to do.
#[derive(Debug, Clone)]
pub struct ReplaySettings {
    /// Where to rewind to.
    pub target: Target,
    /// What the target is limited to; everything where there are none.
    pub topics: Vec<TopicFilter>,
    /// Leave the group alone.
    pub shadow: bool,
    /// Wait this long for members to leave.
    pub wait_empty: Option<Duration>,
    /// The user's own group name.
    pub group: Option<String>,
    /// All rows of the document's tables.
    pub full: bool,
    /// Where the plan goes as a file of offsets.
    pub export: Option<PathBuf>,
    /// Where the page goes.
    pub html: Option<PathBuf>,
    /// Where the report from before goes.
    pub initial_file: PathBuf,
    /// Where the report from after goes.
    pub after_file: PathBuf,
}

/// What reads stdin to its end, as far as that many bytes.
pub type ReadsStdin<'a> = &'a dyn Fn(u64) -> Result<Vec<u8>, Failure>;

/// The settings of `replay`; `now` is the wall clock, in milliseconds since the epoch, `group` the group as the cluster knows it.
///
/// # Errors
///
/// With exit code 2 and the fix for whatever is wrong, a file of offsets with its line.
pub fn replay(typed: &cli::Replay, now: i64, group: &str, stdin: ReadsStdin<'_>) -> Result<ReplaySettings, Failure> {
    check_group(typed.group.as_deref())?;
    let target = match typed {
        cli::Replay { to_offset: Some(offset), .. } => Target::Offset(*offset),
        cli::Replay { to_datetime: Some(time), .. } => Target::Time(*time),
        cli::Replay { by_duration: Some(duration), .. } => Target::Time(before(now, (*duration).into())),
        cli::Replay { shift_by: Some(by), .. } => Target::ShiftBy(*by),
        cli::Replay { from_file: Some(path), .. } => Target::File(offset_file(path, group, stdin)?),
        _ => Target::Earliest,
    };
    Ok(ReplaySettings {
        target,
        topics: typed.topic.clone(),
        shadow: typed.shadow,
        wait_empty: typed.wait_empty.map(Into::into),
        group: typed.group.clone(),
        full: typed.full,
        export: typed.export.clone(),
        html: typed.html.clone(),
        initial_file: typed.initial_file.clone(),
        after_file: typed.after_file.clone(),
    })
}

/// The instant that lies so far back; what lies before 1970 is 1970, where no record is.
fn before(now: i64, duration: Duration) -> EventTime {
    let back = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    EventTime::from_millis(now.saturating_sub(back).max(0)).unwrap_or_default()
}

fn offset_file(path: &Path, group: &str, stdin: ReadsStdin<'_>) -> Result<OffsetFile, Failure> {
    let unreadable = |error: &dyn std::fmt::Display| {
        usage(format!("{} cannot be read: {error}", path.display()))
            .hint("check --from-file and the file's permissions")
    };
    let read = || -> std::io::Result<Vec<u8>> {
        let mut content = Vec::new();
        std::fs::File::open(path)?.take(LARGEST_FILE + 1).read_to_end(&mut content)?;
        Ok(content)
    };
    let content =
        if path == Path::new("-") { stdin(LARGEST_FILE + 1)? } else { read().map_err(|error| unreadable(&error))? };
    if content.len() as u64 > LARGEST_FILE {
        return Err(unreadable(&format_args!("it is larger than {} MiB", LARGEST_FILE >> 20)));
    }
    OffsetFile::parse(&path.display().to_string(), &content, group).map_err(|error| {
        usage(error.to_string()).hint(
            "a row is topic,partition,offset, or group,topic,partition,offset of which this group's are taken, without a \
             header, as `foodstream replay --dry-run --export FILE` and kafka-consumer-groups --export write it",
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

    fn meant(words: &[&str]) -> Result<ReplaySettings, Failure> {
        let typed = Cli::try_parse_from(["foodstream", "replay"].iter().chain(words)).expect("parses");
        let Command::Replay(replay) = typed.command else { unreachable!("only replay is typed here") };
        super::replay(&replay, NOW, "readers", &|_| Ok(b"readers,order-events,0,5\nothers,order-events,0,6\n".to_vec()))
    }

    #[test]
    fn a_duration_is_a_time_and_both_spellings_of_a_time_are_one() {
        let target = |words: &[&str]| meant(words).expect("meant").target.to_string();
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
    fn two_targets_or_one_with_undo_are_refused() {
        let targets = [
            ["--to-earliest", ""],
            ["--to-offset", "5"],
            ["--to-datetime", "2026-11-22T12:00:00Z"],
            ["--by-duration", "1h"],
            ["--shift-by", "-5"],
            ["--from-file", "plan.csv"],
        ];
        let parses = |words: &[&str]| {
            let words = ["foodstream", "replay"].iter().chain(words).filter(|word| !word.is_empty());
            Cli::try_parse_from(words).is_ok()
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
    fn a_file_is_read_whole_or_told_with_its_line() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("plan.csv");
        let named = path.display().to_string();
        std::fs::write(&path, "order-events,0,5\norder-events,0,6\n").expect("written");
        let failure = meant(&["--from-file", &named]).expect_err("refused");
        assert_eq!(failure.code, Code::Usage);
        assert!(failure.message.ends_with("plan.csv:2: order-events/0 is already in line 1"), "{failure}");
        std::fs::write(&path, "others,order-events,0,5\n").expect("written");
        let others = meant(&["--from-file", &named]).expect_err("refused");
        assert!(
            others.message.ends_with("no row belongs to the group readers: the file has rows of others"),
            "{others}"
        );
        let from_stdin = meant(&["--from-file", "-"]).expect("meant").target;
        assert_eq!(from_stdin.to_string(), "--from-file -");
        let Target::File(file) = from_stdin else { panic!("{from_stdin:?}") };
        assert_eq!(file.offset("order-events", 0), Some(5));
        let missing = meant(&["--from-file", "/nowhere/plan.csv"]).expect_err("refused");
        assert!(missing.message.starts_with("/nowhere/plan.csv cannot be read"), "{missing}");
        let endless = meant(&["--from-file", "/dev/zero"]).expect_err("refused");
        assert!(endless.message.contains("larger than 16 MiB"), "{endless}");
    }
}
