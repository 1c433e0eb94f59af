//! Gates: who may come in now, who waits, who is sent away. Nothing queues without end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::failure::Failure;
use crate::locks::lock;

// === impl Gate ===

/// Lets so many in at once, and so many wait.
pub(crate) struct Gate {
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    max_waiting: usize,
}

impl Gate {
    pub(crate) fn new(at_once: usize, max_waiting: usize) -> Self {
        Self { permits: Arc::new(Semaphore::new(at_once)), waiting: AtomicUsize::new(0), max_waiting }
    }

    /// Waits for a turn; refuses when too many wait already.
    pub(crate) async fn enter(&self) -> Result<OwnedSemaphorePermit, Failure> {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return Ok(permit);
        }
        let waits = Waits::new(&self.waiting);
        if waits.before >= self.max_waiting {
            return Err(Failure::busy("too many calls wait for their turn; try again"));
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        permit.map_err(|_| Failure::unavailable("stopping", "the server is stopping"))
    }
}

/// Counts one that waits, also when it gives up.
struct Waits<'a> {
    count: &'a AtomicUsize,
    before: usize,
}

impl<'a> Waits<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        Self { count, before: count.fetch_add(1, Ordering::Relaxed) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

// === impl Streams ===

/// Counts each tenant's open streams.
pub(crate) struct Streams {
    open: Mutex<HashMap<String, usize>>,
    per_tenant: usize,
}

/// An open stream; closes when dropped.
pub(crate) struct Open {
    streams: Arc<Streams>,
    tenant: String,
}

impl Streams {
    pub(crate) fn new(per_tenant: usize) -> Self {
        Self { open: Mutex::default(), per_tenant }
    }

    pub(crate) fn open(self: &Arc<Self>, tenant: &str) -> Result<Open, Failure> {
        let mut open = lock(&self.open);
        let count = open.entry(tenant.to_owned()).or_default();
        if *count >= self.per_tenant {
            return Err(Failure::busy(format!("the tenant has {count} streams open already; try again later")));
        }
        *count += 1;
        Ok(Open { streams: Arc::clone(self), tenant: tenant.to_owned() })
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let mut open = lock(&self.streams.open);
        if let Some(count) = open.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_counted_by_tenant() {
        let streams = Arc::new(Streams::new(2));
        let held = [streams.open("acme").unwrap(), streams.open("acme").unwrap()];
        assert_eq!(streams.open("acme").err().unwrap().code(), "busy");
        assert!(streams.open("umbrella").is_ok());
        drop(held);
        assert!(streams.open("acme").is_ok());
        assert!(lock(&streams.open).is_empty());
    }

    #[tokio::test]
    async fn a_gate_lets_some_wait_and_sends_the_rest_away() {
        let gate = Arc::new(Gate::new(1, 1));
        let inside = gate.enter().await.unwrap();
        let waiting = tokio::spawn({
            let gate = Arc::clone(&gate);
            async move { gate.enter().await.is_ok() }
        });
        while gate.waiting.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.enter().await.err().unwrap().code(), "busy");
        drop(inside);
        assert!(waiting.await.unwrap());
        assert_eq!(gate.waiting.load(Ordering::Relaxed), 0);
    }
}
