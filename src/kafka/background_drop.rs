//! Clients that are destroyed on a thread of their own: the library's destructor waits for brokers and can take long, or
//! forever (librdkafka issues 4041 and 4884), and nothing here has to wait for it.

use std::ops::Deref;

/// A value that is dropped aside.
#[derive(Debug)]
pub struct BackgroundDrop<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> BackgroundDrop<T> {
    /// Holds a value.
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T: Send + 'static> Deref for BackgroundDrop<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            // Taken in `drop` only.
            None => unreachable!("the value is there until it is dropped"),
        }
    }
}

impl<T: Send + 'static> std::ops::DerefMut for BackgroundDrop<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(value) => value,
            None => unreachable!("the value is there until it is dropped"),
        }
    }
}

impl<T: Send + 'static> Drop for BackgroundDrop<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        // Without a thread to be had it is leaked, and ends with the process.
        drop(std::thread::Builder::new().name("close client".to_owned()).spawn(move || drop(value)));
    }
}
