//! Shares of a scan: how many threads read, and access to what each of them has read.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// How many threads read these ranges: one per core, because the client's own threads keep the cores busy already.
pub(super) fn threads(ranges: usize) -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(ranges).max(1)
}

/// Locks a share. After a panic the scan fails anyway, and the share is not used.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
