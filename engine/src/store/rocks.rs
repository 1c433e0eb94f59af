//! The store on disk. The only user of `rocksdb`.

use std::fs;
use std::path::{Path, PathBuf};

use rocksdb::{DB, DBCompressionType, DBRecoveryMode, IteratorMode, Options, ReadOptions, WriteBatch, WriteOptions};

use super::{Batch, Durability, Entry, Operation, Store, StoreError};

/// The version of the layout; see [`layout`](super::layout).
const FORMAT: u32 = 1;
const FORMAT_KEY: &[u8] = b"format";

/// A store in a folder, held by one process at a time.
pub struct RocksStore {
    db: DB,
}

impl RocksStore {
    /// Opens the store in `dir`, making it if there is none.
    ///
    /// A store that is damaged beyond opening is moved aside, and an empty one takes its place: what it held is signed
    /// elsewhere and fetched again, and floors are kept apart. The second value says where the damaged one is.
    ///
    /// # Errors
    /// Another process has it open, a newer version wrote it, or the disk refuses.
    pub fn open(dir: &Path) -> Result<(Self, Option<PathBuf>), StoreError> {
        fs::create_dir_all(dir).map_err(|e| StoreError::Io(format!("`{}`: {e}", dir.display())))?;
        let path = dir.join("db");
        let (db, aside) = match DB::open(&options(), &path) {
            Ok(db) => (db, None),
            Err(error) if is_locked(&error) => {
                return Err(StoreError::Locked { path: dir.display().to_string() });
            }
            Err(error) if is_damage(&error) => {
                let aside = unused_name(dir);
                fs::rename(&path, &aside).map_err(|e| StoreError::Io(format!("moving a damaged store aside: {e}")))?;
                tracing::warn!(%error, moved_to = %aside.display(), "the store is damaged; starting with an empty one");
                (DB::open(&options(), &path).map_err(io)?, Some(aside))
            }
            Err(error) => return Err(io(error)),
        };
        let store = Self { db };
        store.check_format(dir)?;
        Ok((store, aside))
    }

    fn check_format(&self, dir: &Path) -> Result<(), StoreError> {
        match self.get(FORMAT_KEY)? {
            None => {
                let mut batch = Batch::new();
                batch.put(FORMAT_KEY, FORMAT.to_be_bytes());
                self.write(batch, Durability::Power)
            }
            Some(bytes) => match <[u8; 4]>::try_from(bytes.as_slice()).map(u32::from_be_bytes) {
                Ok(FORMAT) => Ok(()),
                Ok(found) => Err(StoreError::TooNew { path: dir.display().to_string(), found, known: FORMAT }),
                Err(_) => Err(StoreError::Corrupt { what: "format".into(), detail: "not four bytes".into() }),
            },
        }
    }
}

impl Store for RocksStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.db.get(key).map_err(io)
    }

    fn scan(&self, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StoreError> {
        if from >= to {
            return Ok(vec![]);
        }
        let mut options = ReadOptions::default();
        options.set_iterate_range(from.to_vec()..to.to_vec());
        self.db
            .iterator_opt(IteratorMode::Start, options)
            .take(limit)
            .map(|entry| entry.map(|(key, value)| (key.into_vec(), value.into_vec())).map_err(io))
            .collect()
    }

    fn write(&self, batch: Batch, durability: Durability) -> Result<(), StoreError> {
        let mut writes = WriteBatch::default();
        for operation in batch.operations {
            match operation {
                Operation::Put(key, value) => writes.put(key, value),
                Operation::Delete(key) => writes.delete(key),
                Operation::DeleteRange(from, to) => writes.delete_range(from, to),
            }
        }
        let mut options = WriteOptions::default();
        options.set_sync(durability == Durability::Power);
        self.db.write_opt(writes, &options).map_err(io)
    }
}

impl std::fmt::Debug for RocksStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RocksStore({})", self.db.path().display())
    }
}

/// Small: the defaults are for servers (64 MiB write buffers, every file open, unlimited logs).
fn options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_write_buffer_size(4 * 1024 * 1024);
    options.set_max_write_buffer_number(2);
    options.set_max_total_wal_size(16 * 1024 * 1024);
    options.set_max_open_files(64);
    options.set_max_background_jobs(2);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1024 * 1024);
    options.set_stats_dump_period_sec(0);
    options.set_compression_type(DBCompressionType::Lz4);
    // A torn tail costs the last unsynced writes, not the store; floors and signatures are checked again on top.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_paranoid_checks(true);
    options
}

fn io(error: rocksdb::Error) -> StoreError {
    StoreError::Io(error.into_string())
}

/// RocksDB has no error kind for this; the text is that of its `LockFile` (util/env_posix.cc).
fn is_locked(error: &rocksdb::Error) -> bool {
    let text = error.as_ref();
    text.contains("lock hold by current process") || text.contains("While lock file")
}

fn is_damage(error: &rocksdb::Error) -> bool {
    matches!(
        error.kind(),
        rocksdb::ErrorKind::Corruption | rocksdb::ErrorKind::InvalidArgument | rocksdb::ErrorKind::NotFound
    ) || error.as_ref().contains("Corruption")
        || error.as_ref().contains("No such file")
}

fn unused_name(dir: &Path) -> PathBuf {
    let mut number = 1;
    loop {
        let path = dir.join(format!("db.damaged-{number}"));
        if !path.exists() {
            return path;
        }
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conforms() {
        let dir = tempfile::tempdir().unwrap();
        super::super::conformance::check(&RocksStore::open(dir.path()).unwrap().0);
    }

    #[test]
    fn survives_reopening_and_refuses_a_second_opener() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = RocksStore::open(dir.path()).unwrap();
        let mut batch = Batch::new();
        batch.put("k", "v");
        store.write(batch, Durability::Power).unwrap();
        assert!(matches!(RocksStore::open(dir.path()), Err(StoreError::Locked { .. })));
        drop(store);
        let (store, aside) = RocksStore::open(dir.path()).unwrap();
        assert_eq!((store.get(b"k").unwrap().unwrap(), aside), (b"v".to_vec(), None));
    }

    #[test]
    fn a_damaged_store_is_moved_aside() {
        let dir = tempfile::tempdir().unwrap();
        drop(RocksStore::open(dir.path()).unwrap());
        fs::write(dir.path().join("db/CURRENT"), "MANIFEST-rubbish\n").unwrap();
        let (store, aside) = RocksStore::open(dir.path()).unwrap();
        assert!(aside.unwrap().exists());
        assert_eq!(store.get(b"k").unwrap(), None);
    }

    #[test]
    fn a_newer_format_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let (store, _) = RocksStore::open(dir.path()).unwrap();
        let mut batch = Batch::new();
        batch.put(FORMAT_KEY, 2_u32.to_be_bytes());
        store.write(batch, Durability::Power).unwrap();
        drop(store);
        assert!(matches!(RocksStore::open(dir.path()), Err(StoreError::TooNew { found: 2, .. })));
    }
}
