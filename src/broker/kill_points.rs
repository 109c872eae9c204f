//! Points between two writes where tests copy the files, as a kill of the process would leave them. No-ops outside of
//! tests.

#[cfg(not(test))]
pub fn passed() {}

#[cfg(test)]
pub use watched::{passed, watch};

#[cfg(test)]
mod watched {
    use std::cell::RefCell;

    type Watcher = Box<dyn FnMut()>;

    thread_local! {
        static WATCHER: RefCell<Option<Watcher>> = const { RefCell::new(None) };
    }

    pub fn passed() {
        WATCHER.with_borrow_mut(|watcher| watcher.as_mut().map(|watch| watch()));
    }

    /// Calls the watcher at each kill point of this thread.
    pub fn watch<T>(watcher: impl FnMut() + 'static, work: impl FnOnce() -> T) -> T {
        WATCHER.set(Some(Box::new(watcher)));
        let done = work();
        WATCHER.set(None);
        done
    }
}
