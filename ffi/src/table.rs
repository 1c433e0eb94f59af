//! Handles: numbers that can be wrong without harm. The only user of `arc-swap` here.
//!
//! ```text
//! 63            48 47                                  12 11         0
//! ┌───────────────┬──────────────────────────────────────┬────────────┐
//! │ check, random │ generation, counts openings from 1   │ index      │
//! └───────────────┴──────────────────────────────────────┴────────────┘
//! ```
//!
//! No generation is ever used twice, so a handle that was closed stays wrong forever, and the check makes a guessed one
//! wrong too. Looking up takes no lock: one load of a slot, which also keeps the entry alive while it is used.
//! Opening and closing take none either, because a child forked meanwhile would find it locked for good.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::{ArcSwapOption, Guard};

use crate::guard::Failure;
use crate::types::mg_result;

const INDEX_BITS: u32 = 12;
const GENERATION_BITS: u32 = 36;
const SLOTS: usize = 1 << INDEX_BITS;

/// What is open, by handle.
pub(crate) struct Table<T> {
    slots: [ArcSwapOption<Entry<T>>; SLOTS],
    generations: AtomicU64,
}

/// What a slot holds.
pub(crate) struct Entry<T> {
    /// The handle without its index.
    id: u64,
    value: T,
}

impl<T> Table<T> {
    pub(crate) const fn new() -> Self {
        Self { slots: [const { ArcSwapOption::const_empty() }; SLOTS], generations: AtomicU64::new(1) }
    }

    /// Keeps `value`, and gives its handle.
    pub(crate) fn insert(&self, value: T) -> Result<u64, Failure> {
        let full = || Failure::new(mg_result::MG_TOO_MANY_EDGES, format!("{SLOTS} edges are open; close some"));
        let next = |n: u64| (n < 1 << GENERATION_BITS).then_some(n + 1);
        let generation =
            self.generations.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).map_err(|_| full())?;
        let check = RandomState::new().hash_one(generation) << GENERATION_BITS;
        // Shifted so that only the check's 16 bits remain above the generation once the index is added.
        let id = (check | generation) & (u64::MAX >> INDEX_BITS);
        let entry = Arc::new(Entry { id, value });
        // Starting elsewhere each time, so that the first look usually finds a free slot.
        let start = generation as usize % SLOTS;
        let (before, after) = self.slots.split_at(start);
        for (slot, index) in after.iter().chain(before).zip((start..SLOTS).chain(0..start)) {
            let empty = None::<Arc<Entry<T>>>;
            if slot.load().is_none() && slot.compare_and_swap(&empty, Some(Arc::clone(&entry))).is_none() {
                return Ok(id << INDEX_BITS | index as u64);
            }
        }
        Err(full())
    }

    /// Lends what `handle` names. It stays alive until `with` returns, whoever closes it meanwhile.
    pub(crate) fn with<R>(&self, handle: u64, with: impl FnOnce(&T) -> R) -> Result<R, Failure> {
        let held = self.find(handle)?;
        match held.as_deref() {
            Some(entry) => Ok(with(&entry.value)),
            None => Err(unknown()),
        }
    }

    /// Takes what `handle` names out of the table. Who holds the last reference drops it.
    pub(crate) fn remove(&self, handle: u64) -> Result<Removed<T>, Failure> {
        let held = self.find(handle)?;
        let slot = self.slot(handle)?;
        let before = slot.compare_and_swap(&held, None);
        // Somebody else may have closed it since it was found. While it is held here, no other entry has its address.
        match (held.as_ref(), Guard::into_inner(before)) {
            (Some(found), Some(taken)) if Arc::ptr_eq(found, &taken) => Ok(Removed(taken)),
            _ => Err(unknown()),
        }
    }

    fn find(&self, handle: u64) -> Result<Guard<Option<Arc<Entry<T>>>>, Failure> {
        let held = self.slot(handle)?.load();
        match held.as_deref() {
            Some(entry) if entry.id == handle >> INDEX_BITS => Ok(held),
            _ => Err(unknown()),
        }
    }

    fn slot(&self, handle: u64) -> Result<&ArcSwapOption<Entry<T>>, Failure> {
        self.slots.get(handle as usize % SLOTS).ok_or_else(unknown)
    }
}

/// What was taken out of a table. Calls that began before may still be using it.
pub(crate) struct Removed<T>(Arc<Entry<T>>);

impl<T> std::ops::Deref for Removed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0.value
    }
}

fn unknown() -> Failure {
    let text = "no such edge: it was closed already, or never opened in this process";
    Failure::new(mg_result::MG_BAD_HANDLE, text)
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    fn get(table: &Table<usize>, handle: u64) -> Option<usize> {
        table.with(handle, |value| *value).ok()
    }

    #[test]
    fn a_closed_handle_stays_wrong_when_its_slot_is_used_again() {
        static TABLE: Table<usize> = Table::new();
        let old = TABLE.insert(1).unwrap();
        assert_eq!(get(&TABLE, old), Some(1));
        assert_eq!(*TABLE.remove(old).unwrap(), 1);
        assert_eq!(TABLE.remove(old).err().unwrap().code, mg_result::MG_BAD_HANDLE);
        // Once around, so that the slot has a new tenant.
        for value in 2..SLOTS + 2 {
            let new = TABLE.insert(value).unwrap();
            assert_ne!(new, old);
            assert_eq!(get(&TABLE, new), Some(value));
            assert_eq!(get(&TABLE, old), None);
        }
    }

    #[test]
    fn a_forged_handle_names_nothing() {
        static TABLE: Table<usize> = Table::new();
        let handle = TABLE.insert(1).unwrap();
        for bit in 0..64 {
            assert_eq!(get(&TABLE, handle ^ 1 << bit), None, "bit {bit}");
        }
        for forged in [0, 1, u64::MAX, handle.swap_bytes()] {
            assert!(forged == handle || get(&TABLE, forged).is_none(), "{forged:#x}");
        }
    }

    #[test]
    fn a_full_table_says_so_and_takes_more_after_a_close() {
        static TABLE: Table<usize> = Table::new();
        let handles: Vec<u64> = (0..SLOTS).map(|value| TABLE.insert(value).unwrap()).collect();
        assert_eq!(TABLE.insert(0).unwrap_err().code, mg_result::MG_TOO_MANY_EDGES);
        TABLE.remove(handles[17]).unwrap();
        let again = TABLE.insert(9).unwrap();
        assert_eq!(get(&TABLE, again), Some(9));
        assert!(handles.iter().enumerate().all(|(value, &handle)| value == 17 || get(&TABLE, handle) == Some(value)));
    }

    #[test]
    fn of_many_who_close_one_handle_one_succeeds() {
        static TABLE: Table<usize> = Table::new();
        for _ in 0..200 {
            let handle = TABLE.insert(1).unwrap();
            let start = Barrier::new(4);
            let closed: usize = std::thread::scope(|scope| {
                let closers: Vec<_> = (0..4)
                    .map(|_| {
                        scope.spawn(|| {
                            start.wait();
                            usize::from(TABLE.remove(handle).is_ok())
                        })
                    })
                    .collect();
                closers.into_iter().map(|closer| closer.join().unwrap()).sum()
            });
            assert_eq!(closed, 1);
        }
    }
}
