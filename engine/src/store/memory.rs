//! A store in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Batch, Durability, Entry, Operation, Store, StoreError};

/// A store that forgets when dropped.
#[derive(Debug, Default)]
pub struct MemoryStore {
    entries: Mutex<BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Vec<u8>>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.entries().get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        if from >= to {
            return Ok(vec![]);
        }
        let entries = self.entries();
        let range = entries.range(from.to_vec()..to.to_vec());
        Ok(range.take(limit).map(|(key, value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, batch: Batch, _durability: Durability) -> Result<(), StoreError> {
        let mut entries = self.entries();
        for operation in batch.operations {
            match operation {
                Operation::Put(key, value) => {
                    entries.insert(key, value);
                }
                Operation::Delete(key) => {
                    entries.remove(&key);
                }
                Operation::DeleteRange(from, to) => {
                    entries.retain(|key, _| !(from.as_slice() <= key.as_slice() && key.as_slice() < to.as_slice()));
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conforms() {
        super::super::conformance::check(&MemoryStore::new());
    }
}
