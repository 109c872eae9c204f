//! Clients destroyed on a background thread: librdkafka's destructor waits for brokers and can take long, or forever
//! (librdkafka issues 4041 and 4884).

use std::ops::Deref;

/// A value that a background thread drops.
#[derive(Debug)]
pub struct BackgroundDrop<T: Send + 'static>(Option<T>);

impl<T: Send + 'static> BackgroundDrop<T> {
    pub fn new(value: T) -> Self {
        Self(Some(value))
    }
}

impl<T: Send + 'static> Deref for BackgroundDrop<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            // `None` only in `drop`.
            None => unreachable!("the value is present until it is dropped"),
        }
    }
}

impl<T: Send + 'static> std::ops::DerefMut for BackgroundDrop<T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Some(value) => value,
            None => unreachable!("the value is present until it is dropped"),
        }
    }
}

impl<T: Send + 'static> Drop for BackgroundDrop<T> {
    fn drop(&mut self) {
        let value = self.0.take();
        // If no thread can be started, the value is leaked until the process ends.
        drop(std::thread::Builder::new().name("close client".to_owned()).spawn(move || drop(value)));
    }
}
