//! Comparison of sorted entries, which a stop ends.

use std::time::Duration;

use crate::audit::Entry;
use crate::clock::Deadline;
use crate::exit::Failure;
use crate::external_sort::SortedEntries;
use crate::shutdown::Shutdown;

/// How long entries are still compared after a stop. What was read in a short time is judged within it.
const AFTER_STOP: Duration = Duration::from_secs(2);

/// After how many entries a stop is looked for.
const LOOK: usize = 4_096;

/// Why claims are missing after a comparison that did not reach the last entry.
pub(super) const NOT_COMPARED: &str = "stopped before the records that were read were compared";

/// Passes all entries on, in their order. Returns whether the last one was reached: not if a stop was requested a while
/// before.
pub(super) fn each_entry(
    shutdown: &Shutdown,
    entries: SortedEntries,
    add: impl FnMut(Entry) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    each_entry_until(shutdown, AFTER_STOP, entries, add)
}

fn each_entry_until(
    shutdown: &Shutdown,
    after_stop: Duration,
    entries: SortedEntries,
    mut add: impl FnMut(Entry) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    let mut end = None;
    for (number, entry) in entries.enumerate() {
        if number % LOOK == 0
            && shutdown.requested().is_some()
            && end.get_or_insert_with(|| Deadline::after(after_stop)).has_passed()
        {
            return Ok(false);
        }
        add(entry?)?;
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::{Place, Side};
    use crate::external_sort::{ExternalSorter, merge};
    use crate::shutdown::Signal;

    /// Compares 10,000 entries, with a stop at one of them. Returns how many were passed on, and whether all were.
    fn compared(stop_at: usize, after_stop: Duration) -> (usize, bool) {
        let mut sorter = ExternalSorter::new(0);
        for offset in 0..10_000 {
            sorter.push(Entry { key: 0, place: Place::new(Side::Cause, 0, offset), detail: 0 }).expect("pushed");
        }
        let (shutdown, mut passed) = (Shutdown::default(), 0);
        let all = each_entry_until(&shutdown, after_stop, merge(vec![sorter]).expect("merged"), |_| {
            passed += 1;
            if passed == stop_at {
                assert!(shutdown.request(Signal::Interrupt), "the first one");
            }
            Ok(())
        });
        (passed, all.expect("read"))
    }

    #[test]
    fn a_stop_ends_the_comparison() {
        assert_eq!(compared(1, Duration::ZERO), (LOOK, false));
        assert_eq!(compared(LOOK + 1, Duration::ZERO), (2 * LOOK, false));
        // What is nearly done is finished.
        assert_eq!(compared(9_999, Duration::ZERO), (10_000, true));
        assert_eq!(compared(1, Duration::from_hours(1)), (10_000, true));
        assert_eq!(compared(20_000, Duration::ZERO), (10_000, true));
    }
}
