//! The edge's own tokio runtime: two threads, never the host's, and never started without a gateway.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};

use crate::error::Error;

/// Threads that drive the network, and threads at most that compile or touch the disk for it.
const WORKERS: usize = 2;
const MAX_BLOCKING: usize = 4;
const NAME: &str = "meshguard-sync";

/// A runtime that can be ended from anywhere: twice, and inside another runtime.
#[derive(Debug)]
pub(crate) struct Runtime {
    handle: Handle,
    inner: Mutex<Option<tokio::runtime::Runtime>>,
}

impl Runtime {
    /// # Errors
    /// The threads can't be started.
    pub(crate) fn start() -> Result<Self, Error> {
        let inner = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .max_blocking_threads(MAX_BLOCKING)
            .thread_name(NAME)
            .enable_all()
            .build()
            .map_err(Error::Threads)?;
        Ok(Self { handle: inner.handle().clone(), inner: Mutex::new(Some(inner)) })
    }

    /// For putting work on it.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Ends it: tasks are dropped where they wait, and what blocks has `patience` to end. What doesn't is left behind and
    /// ends by itself.
    pub(crate) fn stop(&self, patience: Duration) {
        let Some(inner) = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take() else { return };
        // Waiting for a runtime inside another one panics; a thread of its own may always wait.
        let slot = std::sync::Arc::new(Mutex::new(Some(inner)));
        let waiting = std::sync::Arc::clone(&slot);
        let take =
            |slot: &Mutex<Option<tokio::runtime::Runtime>>| slot.lock().unwrap_or_else(PoisonError::into_inner).take();
        let waiter = thread::Builder::new().name(format!("{NAME}-stop")).spawn(move || {
            if let Some(inner) = take(&waiting) {
                inner.shutdown_timeout(patience);
            }
        });
        match waiter {
            Ok(waiter) => {
                let _ = waiter.join();
            }
            Err(_) => {
                if let Some(inner) = take(&slot) {
                    inner.shutdown_background();
                }
            }
        }
    }
}

impl Drop for Runtime {
    /// tokio's own drop panics inside another runtime.
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn has_two_named_threads() {
        let runtime = Runtime::start().unwrap();
        let (sender, names) = mpsc::channel();
        runtime.handle().spawn(async move { sender.send(thread::current().name().map(str::to_owned)).unwrap() });
        assert_eq!(names.recv().unwrap().as_deref(), Some("meshguard-sync"));
        assert_eq!(runtime.handle().metrics().num_workers(), 2);
        runtime.stop(Duration::from_secs(1));
    }

    #[test]
    fn stops_inside_another_runtime_and_twice() {
        let host = Builder::new_current_thread().build().unwrap();
        host.block_on(async {
            let runtime = Runtime::start().unwrap();
            runtime.stop(Duration::from_secs(1));
            runtime.stop(Duration::from_secs(1));
        });
    }

    #[test]
    fn does_not_wait_for_what_never_ends() {
        let runtime = Runtime::start().unwrap();
        let (release, held) = mpsc::channel::<()>();
        let (sender, started) = mpsc::channel();
        runtime.handle().spawn(std::future::pending::<()>());
        runtime.handle().spawn_blocking(move || {
            sender.send(()).unwrap();
            let _ = held.recv();
        });
        started.recv().unwrap();
        let began = Instant::now();
        runtime.stop(Duration::from_millis(20));
        assert!(began.elapsed() < Duration::from_secs(10));
        drop(release);
    }
}
