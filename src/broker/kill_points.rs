//! Owns the moments between two writes at which a test looks at the files, as a kill of the process would leave them.
//!
//! Outside of tests a moment is nothing.

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

    /// A moment has come.
    pub fn passed() {
        WATCHER.with_borrow_mut(|watcher| watcher.as_mut().map(|watch| watch()));
    }

    /// Calls this at each moment of what is done on this thread.
    pub fn watch<T>(watcher: impl FnMut() + 'static, work: impl FnOnce() -> T) -> T {
        WATCHER.set(Some(Box::new(watcher)));
        let done = work();
        WATCHER.set(None);
        done
    }
}
