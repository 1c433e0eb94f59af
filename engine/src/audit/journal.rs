//! Where records wait, and how far they were shipped.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::Error;
use crate::store::layout::{Layout, trailing_number};
use crate::store::{Batch, Durability, Store, StoreError, end_of};

/// The name of a chain of records: random, one for each opening of an engine.
pub type ChainId = Digest;

/// The records of one tenant and scope, in a store.
pub struct Journal {
    store: Arc<dyn Store>,
    layout: Layout,
    chains: Mutex<VecDeque<Chain>>,
}

/// One chain. All but the last belong to earlier openings, and only wait to be shipped.
#[derive(Debug, Clone, Copy)]
struct Chain {
    ordinal: u64,
    id: ChainId,
    /// The first record not yet acknowledged.
    acked: u64,
    /// The next record's number.
    next: u64,
}

#[derive(Serialize, Deserialize)]
struct StoredChain {
    id: ChainId,
    acked: u64,
}

/// Records to ship, all of one chain, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditBatch {
    /// Their chain.
    pub chain: ChainId,
    /// The number of the first one.
    pub first_seq: u64,
    /// Their bytes.
    pub records: Vec<Vec<u8>>,
}

/// How far shipping is. The default is that of no journal at all.
#[derive(Default, Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The chain being written.
    pub chain: ChainId,
    /// How many records this opening has written.
    pub next_seq: u64,
    /// The first of them that isn't acknowledged.
    pub acked_seq: u64,
    /// Records not yet acknowledged, earlier openings' included.
    pub pending: u64,
}

impl Journal {
    /// Opens the journal and starts a chain.
    ///
    /// # Errors
    /// The store can't be read or written.
    pub(crate) fn open(store: Arc<dyn Store>, layout: Layout, id: ChainId) -> Result<Self, Error> {
        let mut chains = VecDeque::new();
        let mut batch = Batch::new();
        let mut last = 0;
        for (key, value) in store.scan(&layout.chains(), &end_of(&layout.chains()), usize::MAX)? {
            let corrupt = |detail: String| StoreError::Corrupt { what: "an audit chain".into(), detail };
            let ordinal = trailing_number(&key).ok_or_else(|| corrupt("no ordinal".into()))?;
            let stored: StoredChain = serde_json::from_slice(&value).map_err(|e| corrupt(e.to_string()))?;
            last = last.max(ordinal);
            let next = end_of_chain(store.as_ref(), &layout, ordinal, stored.acked)?;
            if next == stored.acked {
                batch.delete(key);
            } else {
                chains.push_back(Chain { ordinal, id: stored.id, acked: stored.acked, next });
            }
        }
        let current = Chain { ordinal: last + 1, id, acked: 0, next: 0 };
        batch.put(layout.chain(current.ordinal), stored(&current)?);
        store.write(batch, Durability::Process)?;
        chains.push_back(current);
        Ok(Self { store, layout, chains: Mutex::new(chains) })
    }

    /// The next record's number, and how many wait.
    pub fn progress(&self) -> Progress {
        let chains = self.chains();
        let pending = chains.iter().map(|chain| chain.next - chain.acked).sum();
        match chains.back() {
            Some(current) => Progress { chain: current.id, next_seq: current.next, acked_seq: current.acked, pending },
            None => Progress { pending, ..Progress::default() },
        }
    }

    /// Appends to the current chain. `render` is given each record's number.
    pub(crate) fn append(
        &self,
        count: usize,
        durability: Durability,
        mut render: impl FnMut(usize, u64) -> Vec<u8>,
    ) -> Result<(), StoreError> {
        // Only the writer thread appends, so the number can't have moved between the two looks at it.
        let Some(current) = self.chains().back().copied() else {
            return Err(StoreError::Io("the journal has no chain".into()));
        };
        let mut batch = Batch::new();
        for (seq, at) in (current.next..).zip(0..count) {
            batch.put(self.layout.record(current.ordinal, seq), render(at, seq));
        }
        self.store.write(batch, durability)?;
        if let Some(chain) = self.chains().back_mut() {
            chain.next += count as u64;
        }
        Ok(())
    }

    /// The oldest records not yet acknowledged; none if all are.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn next_batch(&self, max_records: usize, max_bytes: usize) -> Result<Option<AuditBatch>, Error> {
        self.batch_from(None, max_records, max_bytes)
    }

    /// Like [`next_batch`](Self::next_batch), but of the current shipping position `after` (a chain and the number of its
    /// first record still to send), so that several batches can be under way at once.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn batch_from(
        &self,
        after: Option<(ChainId, u64)>,
        max_records: usize,
        max_bytes: usize,
    ) -> Result<Option<AuditBatch>, Error> {
        let chains: Vec<Chain> = self.chains().iter().copied().collect();
        let start = after.and_then(|(id, _)| chains.iter().position(|chain| chain.id == id)).unwrap_or(0);
        for chain in chains.iter().skip(start) {
            let from = match after {
                Some((id, seq)) if id == chain.id => seq.max(chain.acked),
                _ => chain.acked,
            };
            if from >= chain.next {
                continue;
            }
            let range = (self.layout.record(chain.ordinal, from), self.layout.record(chain.ordinal, chain.next));
            let mut records = vec![];
            let mut bytes = 0;
            for (_, record) in self.store.scan(&range.0, &range.1, max_records)? {
                bytes += record.len();
                if bytes > max_bytes && !records.is_empty() {
                    break;
                }
                records.push(record);
            }
            if !records.is_empty() {
                return Ok(Some(AuditBatch { chain: chain.id, first_seq: from, records }));
            }
        }
        Ok(None)
    }

    /// The control plane has every record of `chain` before `next_seq`: they are removed, and won't be sent again.
    ///
    /// An acknowledgement of what was never sent is ignored; it can only be a mistake.
    ///
    /// # Errors
    /// The store can't be written; the records will be sent again, and are kept once.
    pub fn ack(&self, chain: ChainId, next_seq: u64) -> Result<(), Error> {
        let mut chains = self.chains();
        let Some(at) = chains.iter().position(|candidate| candidate.id == chain) else {
            return Ok(());
        };
        let is_current = at + 1 == chains.len();
        let Some(chain) = chains.get_mut(at) else { return Ok(()) };
        if next_seq <= chain.acked || next_seq > chain.next {
            return Ok(());
        }
        let mut moved = *chain;
        moved.acked = next_seq;
        let mut batch = Batch::new();
        batch.delete_range(self.layout.record(chain.ordinal, 0), self.layout.record(chain.ordinal, next_seq));
        let finished = !is_current && moved.acked == moved.next;
        if finished {
            batch.delete(self.layout.chain(chain.ordinal));
        } else {
            batch.put(self.layout.chain(chain.ordinal), stored(&moved)?);
        }
        self.store.write(batch, Durability::Process)?;
        *chain = moved;
        if finished {
            chains.remove(at);
        }
        Ok(())
    }

    /// Removes at least the `count` oldest records, shipped or not, as far as there are any. Says how many went.
    pub(crate) fn forget_oldest(&self, count: u64) -> Result<u64, Error> {
        let mut forgotten = 0;
        while forgotten < count {
            let Some(oldest) = self.chains().iter().find(|chain| chain.acked < chain.next).copied() else { break };
            let going = (oldest.next - oldest.acked).min(count - forgotten);
            self.ack(oldest.id, oldest.acked + going)?;
            forgotten += going;
        }
        Ok(forgotten)
    }

    /// The newest records that are still here, oldest first.
    ///
    /// # Errors
    /// The store can't be read.
    pub fn tail(&self, count: usize) -> Result<Vec<Vec<u8>>, Error> {
        let chains: Vec<Chain> = self.chains().iter().copied().collect();
        let mut records: VecDeque<Vec<u8>> = VecDeque::new();
        for chain in chains.iter().rev() {
            let wanted = (count - records.len().min(count)) as u64;
            let from = chain.next.saturating_sub(wanted).max(chain.acked);
            let range = (self.layout.record(chain.ordinal, from), self.layout.record(chain.ordinal, chain.next));
            for (_, record) in self.store.scan(&range.0, &range.1, count)?.into_iter().rev() {
                records.push_front(record);
            }
        }
        Ok(records.into())
    }

    fn chains(&self) -> MutexGuard<'_, VecDeque<Chain>> {
        self.chains.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({:?})", self.progress())
    }
}

fn stored(chain: &Chain) -> Result<Vec<u8>, Error> {
    serde_json::to_vec(&StoredChain { id: chain.id, acked: chain.acked }).map_err(|e| Error::Internal(e.to_string()))
}

/// Where an earlier opening's chain ends: its records are numbered without holes, so it is searched by halves.
fn end_of_chain(store: &dyn Store, layout: &Layout, ordinal: u64, acked: u64) -> Result<u64, StoreError> {
    let exists = |seq: u64| Ok::<_, StoreError>(store.get(&layout.record(ordinal, seq))?.is_some());
    if !exists(acked)? {
        return Ok(acked);
    }
    let (mut present, mut step) = (acked, 1);
    while exists(present + step)? {
        present += step;
        step *= 2;
    }
    let mut absent = present + step;
    while present + 1 < absent {
        let middle = present + (absent - present) / 2;
        if exists(middle)? {
            present = middle;
        } else {
            absent = middle;
        }
    }
    Ok(absent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryStore;

    fn open(store: &Arc<MemoryStore>, name: &str) -> Journal {
        let store: Arc<dyn Store> = Arc::clone(store) as Arc<dyn Store>;
        Journal::open(store, Layout::new("acme", "default"), Digest::of(name.as_bytes())).unwrap()
    }

    fn append(journal: &Journal, count: usize) {
        journal.append(count, Durability::Process, |_, seq| format!("r{seq}").into_bytes()).unwrap();
    }

    #[test]
    fn append_ship_acknowledge() {
        let store = Arc::new(MemoryStore::new());
        let journal = open(&store, "one");
        append(&journal, 5);
        let batch = journal.next_batch(3, 1024).unwrap().unwrap();
        assert_eq!((batch.first_seq, batch.records.len()), (0, 3));
        let ahead = journal.batch_from(Some((batch.chain, 3)), 3, 1024).unwrap().unwrap();
        assert_eq!((ahead.first_seq, ahead.records.len()), (3, 2));
        journal.ack(batch.chain, 3).unwrap();
        assert_eq!(journal.progress().pending, 2);
        assert_eq!(journal.next_batch(9, 1024).unwrap().unwrap().first_seq, 3);
        journal.ack(batch.chain, 5).unwrap();
        assert_eq!(journal.next_batch(9, 1024).unwrap(), None);
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_but_never_empty() {
        let store = Arc::new(MemoryStore::new());
        let journal = open(&store, "one");
        append(&journal, 5);
        assert_eq!(journal.next_batch(9, 4).unwrap().unwrap().records.len(), 2);
        assert_eq!(journal.next_batch(9, 0).unwrap().unwrap().records.len(), 1);
    }

    #[test]
    fn earlier_openings_are_shipped_first_and_then_forgotten() {
        let store = Arc::new(MemoryStore::new());
        let first = open(&store, "one");
        append(&first, 100);
        first.ack(Digest::of(b"one"), 37).unwrap();
        drop(first);
        let second = open(&store, "two");
        append(&second, 2);
        assert_eq!(second.progress().pending, 63 + 2);
        let batch = second.next_batch(1000, 1 << 20).unwrap().unwrap();
        assert_eq!((batch.chain, batch.first_seq, batch.records.len()), (Digest::of(b"one"), 37, 63));
        assert_eq!(batch.records[0], b"r37");
        second.ack(batch.chain, 100).unwrap();
        assert_eq!(second.next_batch(9, 1024).unwrap().unwrap().chain, Digest::of(b"two"));
        drop(second);
        let third = open(&store, "three");
        assert_eq!(third.progress().pending, 2);
    }

    #[test]
    fn forgetting_starts_with_the_oldest_chain() {
        let store = Arc::new(MemoryStore::new());
        append(&open(&store, "one"), 3);
        let journal = open(&store, "two");
        append(&journal, 5);
        assert_eq!(journal.forget_oldest(4).unwrap(), 4);
        let batch = journal.next_batch(9, 1024).unwrap().unwrap();
        assert_eq!((batch.chain, batch.first_seq, batch.records.len()), (Digest::of(b"two"), 1, 4));
        assert_eq!(journal.forget_oldest(9).unwrap(), 4);
        assert_eq!(journal.progress().pending, 0);
    }

    #[test]
    fn mistaken_acknowledgements_change_nothing() {
        let store = Arc::new(MemoryStore::new());
        let journal = open(&store, "one");
        append(&journal, 2);
        journal.ack(Digest::of(b"stranger"), 1).unwrap();
        journal.ack(Digest::of(b"one"), 3).unwrap();
        journal.ack(Digest::of(b"one"), 0).unwrap();
        assert_eq!(journal.progress().pending, 2);
    }

    #[test]
    fn tail_goes_back_through_chains() {
        let store = Arc::new(MemoryStore::new());
        append(&open(&store, "one"), 3);
        let journal = open(&store, "two");
        append(&journal, 2);
        let tail = journal.tail(4).unwrap();
        assert_eq!(tail, [b"r1", b"r2", b"r0", b"r1"].map(|r| r.to_vec()));
    }
}
