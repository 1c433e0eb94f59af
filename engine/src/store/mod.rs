//! What survives a restart: a small ordered key-value store, every change one atomic batch.
//!
//! Two implementations: [`RocksStore`] on disk, [`MemoryStore`] for tests, simulation and hosts that want no disk. The
//! layout of keys is [`layout`]'s; floors are also kept apart from it, in [`FloorFiles`].

mod floors;
pub(crate) mod layout;
mod memory;
#[cfg(feature = "rocksdb")]
mod rocks;

pub use self::floors::FloorFiles;
pub use self::memory::MemoryStore;
#[cfg(feature = "rocksdb")]
pub use self::rocks::RocksStore;

/// An ordered map of byte strings.
///
/// Implementations are shared by threads and never called by a deciding one.
pub trait Store: Send + Sync {
    /// The value at `key`.
    ///
    /// # Errors
    /// The store can't be read.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// At most `limit` entries with `from <= key < to`, in the order of their keys.
    ///
    /// # Errors
    /// The store can't be read.
    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError>;

    /// Applies all of `batch`, or nothing.
    ///
    /// # Errors
    /// The store can't be written; nothing of the batch has happened.
    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError>;
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// What a completed write survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A killed process.
    Process,
    /// A power cut.
    Power,
}

/// Changes that happen together.
#[derive(Debug, Default, Clone)]
pub struct Batch {
    pub(crate) operations: Vec<Operation>,
}

#[derive(Debug, Clone)]
pub(crate) enum Operation {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    DeleteRange(Vec<u8>, Vec<u8>),
}

impl Batch {
    /// No changes yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.operations.is_empty()
    }

    /// Sets `key` to `value`.
    pub fn put(&mut self, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.operations.push(Operation::Put(key.into(), value.into()));
        self
    }

    /// Removes `key`.
    pub fn delete(&mut self, key: impl Into<Vec<u8>>) -> &mut Self {
        self.operations.push(Operation::Delete(key.into()));
        self
    }

    /// Removes every key with `from <= key < to`.
    pub fn delete_range(&mut self, from: impl Into<Vec<u8>>, to: impl Into<Vec<u8>>) -> &mut Self {
        self.operations.push(Operation::DeleteRange(from.into(), to.into()));
        self
    }
}

/// The first key after all keys that start with `prefix`.
pub fn end_of(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return end;
        }
    }
    // A prefix of nothing but 0xff: no such key is ever made.
    vec![0xff; prefix.len() + 1]
}

/// Why the store can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Another process has it open.
    #[error("the state in `{path}` is in use by another process; give each process a folder of its own")]
    Locked {
        /// Which folder.
        path: String,
    },
    /// A newer version wrote it.
    #[error(
        "the state in `{path}` was written by a newer version (format {found}, this version reads {known}); upgrade, or use another folder"
    )]
    TooNew {
        /// Which folder.
        path: String,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// The disk, or what is on it.
    #[error("the state can't be used: {0}; check the disk and its free space")]
    Io(String),
    /// A value isn't what its key says.
    #[error("the state holds something unreadable at {what}: {detail}")]
    Corrupt {
        /// Which value.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
}

#[cfg(test)]
pub(crate) mod conformance {
    //! What every store must do; each implementation's tests call it.

    use super::*;

    pub(crate) fn check(store: &dyn Store) {
        let mut batch = Batch::new();
        batch.put("a/1", "one").put("a/2", "two").put("b/1", "three").put("a/2", "zwei");
        store.write(batch, Durability::Power).unwrap();
        assert_eq!(store.get(b"a/2").unwrap().unwrap(), b"zwei");
        assert_eq!(store.get(b"a/3").unwrap(), None);

        let keys = |from: &[u8], to: &[u8], limit| -> Vec<String> {
            let entries = store.scan(from, to, limit).unwrap();
            entries.into_iter().map(|(key, _)| String::from_utf8(key).unwrap()).collect()
        };
        assert_eq!(keys(b"a/", &end_of(b"a/"), 10), ["a/1", "a/2"]);
        assert_eq!(keys(b"a/2", &end_of(b"b/"), 10), ["a/2", "b/1"]);
        assert_eq!(keys(b"a", b"c", 1), ["a/1"]);

        let mut batch = Batch::new();
        batch.delete_range("a/", end_of(b"a/")).put("a/9", "nine").delete("b/1");
        store.write(batch, Durability::Process).unwrap();
        assert_eq!(keys(b"a", b"c", 10), ["a/9"]);
    }

    #[test]
    fn end_of_a_prefix() {
        assert_eq!(end_of(b"a/"), b"a0");
        assert_eq!(end_of(&[1, 0xff]), [2]);
        assert_eq!(end_of(&[0xff]), [0xff, 0xff]);
    }
}
