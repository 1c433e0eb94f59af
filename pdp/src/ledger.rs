//! Audit records, as edges deliver them: at least once, kept once.
//!
//! A record is named by its chain and its number in it. A chain is taken in order and without holes, so what is kept of
//! one is always a prefix, and a duplicate is a number below the next one expected. A chain belongs to the agent that
//! began it: another agent of the tenant can't fill its numbers with records of its own.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use meshguard_engine::store::{Batch, Durability, Store, end_of};
use meshguard_engine::{Clock, Digest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::layout;
use crate::locks::lock;

/// What the server says of a record's delivery.
const DELIVERY: [&str; 3] = ["chain_id", "agent_id", "received_at_ms"];

/// Every tenant's audit records.
pub(crate) struct Ledger {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// One writer for each tenant at a time; its value is the number of the next arrival, once it is known.
    writers: Mutex<HashMap<String, Arc<Mutex<Option<u64>>>>>,
    max_record_bytes: usize,
}

/// A run of records of one chain, without holes.
pub(crate) struct Delivery<'a> {
    pub(crate) tenant: &'a str,
    pub(crate) agent: &'a str,
    pub(crate) chain: Digest,
    pub(crate) first_seq: u64,
    pub(crate) records: &'a [Bytes],
}

/// How far a chain is kept after a delivery.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Taken {
    /// The next number expected; every lower one survives a power cut.
    pub(crate) next: u64,
    /// The delivery began later than that, and nothing of it was taken.
    pub(crate) gap: bool,
    /// Records kept now.
    pub(crate) stored: u64,
    /// Records that were kept before.
    pub(crate) duplicates: u64,
    /// Records that can't be taken, and why; a placeholder is kept in their place.
    pub(crate) rejects: Vec<(u64, &'static str)>,
}

/// A chain, as the store has it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Chain {
    pub(crate) chain_id: Digest,
    pub(crate) agent_id: String,
    pub(crate) next_seq: u64,
    /// When a record of it last came, in milliseconds since the Unix epoch.
    pub(crate) last_ms: i64,
}

/// One record, for reading: what it says, and by whom and when it was delivered.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    #[serde(flatten)]
    pub(crate) record: Map<String, Value>,
    pub(crate) chain_id: Digest,
    pub(crate) agent_id: String,
    pub(crate) received_at_ms: i64,
}

#[derive(Serialize, Deserialize)]
struct Arrival {
    chain: Digest,
    seq: u64,
    agent: String,
    at_ms: i64,
}

impl Ledger {
    pub(crate) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, max_record_bytes: usize) -> Self {
        Self { store, clock, writers: Mutex::default(), max_record_bytes }
    }

    /// Takes a delivery. When it returns, what it says is kept survives a power cut.
    pub(crate) fn take(&self, delivery: &Delivery<'_>) -> Result<Taken, Failure> {
        let Delivery { tenant, agent, chain, first_seq, records } = *delivery;
        let end = first_seq
            .checked_add(records.len() as u64)
            .ok_or_else(|| Failure::bad_input("a record's number is too large"))?;
        let writer = Arc::clone(lock(&self.writers).entry(tenant.to_owned()).or_default());
        let mut next_arrival = lock(&writer);
        let known = self.chain(tenant, &chain)?;
        if known.as_ref().is_some_and(|known| known.agent_id != agent) {
            return Err(Failure::denied("chain_owner", "the chain was begun by another agent"));
        }
        let next = known.map_or(0, |known| known.next_seq);
        if first_seq > next {
            return Ok(Taken { next, gap: true, ..Taken::default() });
        }
        let mut taken = Taken { next: next.max(end), duplicates: end.min(next) - first_seq, ..Taken::default() };
        let mut arrival = match *next_arrival {
            Some(number) => number,
            None => self.next_arrival(tenant)?,
        };
        let at_ms = self.clock.wall_ms();
        let mut batch = Batch::new();
        for (seq, record) in (first_seq..).zip(records).filter(|(seq, _)| *seq >= next) {
            let kept = match self.check(tenant, seq, record) {
                Ok(()) => record.clone(),
                Err(code) => {
                    taken.rejects.push((seq, code));
                    placeholder(tenant, seq, at_ms, code, record)?
                }
            };
            batch.put(layout::record(tenant, &chain, seq), kept.as_ref());
            let came = Arrival { chain, seq, agent: agent.to_owned(), at_ms };
            batch.put(layout::arrival(tenant, arrival), to_json(&came)?);
            arrival += 1;
            taken.stored += 1;
        }
        if taken.stored > 0 {
            let moved = Chain { chain_id: chain, agent_id: agent.to_owned(), next_seq: taken.next, last_ms: at_ms };
            batch.put(layout::chain(tenant, &chain), to_json(&moved)?);
            batch.put(layout::next_arrival(tenant), arrival.to_be_bytes());
            self.store.write(batch, Durability::Power)?;
        }
        *next_arrival = Some(arrival);
        Ok(taken)
    }

    /// Records in the order of their arrival, from `after` on, and the cursor to go on from.
    pub(crate) fn read(&self, tenant: &str, after: u64, limit: usize) -> Result<(Vec<Entry>, u64), Failure> {
        let end = end_of(&layout::arrivals(tenant));
        let mut cursor = after;
        let mut entries = vec![];
        for (key, value) in self.store.scan(&layout::arrival(tenant, after), &end, limit)? {
            let came: Arrival = from_json(&value)?;
            let bytes = self.store.get(&layout::record(tenant, &came.chain, came.seq))?;
            let bytes = bytes.ok_or_else(|| Failure::internal(&"an audit record isn't in the store"))?;
            let mut record: Map<String, Value> = from_json(&bytes)?;
            // What a record says about its own delivery is not to be believed.
            DELIVERY.iter().for_each(|name| drop(record.remove(*name)));
            entries.push(Entry { record, chain_id: came.chain, agent_id: came.agent, received_at_ms: came.at_ms });
            cursor = key.last_chunk::<8>().map_or(cursor, |number| u64::from_be_bytes(*number) + 1);
        }
        Ok((entries, cursor))
    }

    /// The cursor behind the newest record.
    pub(crate) fn end(&self, tenant: &str) -> Result<u64, Failure> {
        self.next_arrival(tenant)
    }

    /// Every chain of a tenant.
    pub(crate) fn chains(&self, tenant: &str) -> Result<Vec<Chain>, Failure> {
        let prefix = layout::chains(tenant);
        let rows = self.store.scan(&prefix, &end_of(&prefix), usize::MAX)?;
        rows.iter().map(|(_, value)| from_json(value)).collect()
    }

    fn chain(&self, tenant: &str, chain: &Digest) -> Result<Option<Chain>, Failure> {
        self.store.get(&layout::chain(tenant, chain))?.map(|value| from_json(&value)).transpose()
    }

    fn next_arrival(&self, tenant: &str) -> Result<u64, Failure> {
        match self.store.get(&layout::next_arrival(tenant))? {
            None => Ok(0),
            Some(bytes) => {
                let number = bytes.as_slice().try_into().map(u64::from_be_bytes);
                number.map_err(|_| Failure::internal(&"the number of the next arrival can't be read"))
            }
        }
    }

    /// What makes a record one: a JSON object of bounded size that says to be this tenant's and of this number. Read as it
    /// will be read again, so that none is kept that nobody can list.
    fn check(&self, tenant: &str, seq: u64, record: &[u8]) -> Result<(), &'static str> {
        if record.len() > self.max_record_bytes {
            return Err("too_large");
        }
        let record: Map<String, Value> = serde_json::from_slice(record).map_err(|_| "unreadable")?;
        let says = |name: &str| record.get(name).unwrap_or(&Value::Null);
        if says("tenant") != tenant {
            return Err("tenant");
        }
        if says("seq").as_u64() == Some(seq) { Ok(()) } else { Err("seq") }
    }
}

/// Stands for a record that can't be taken, so that the chain has no hole; names it by digest.
fn placeholder(tenant: &str, seq: u64, at_ms: i64, code: &str, record: &[u8]) -> Result<Bytes, Failure> {
    let value = serde_json::json!({
        "v": 1, "seq": seq, "at_ms": at_ms, "tenant": tenant, "kind": "rejected", "code": code,
        "digest": Digest::of(record), "bytes": record.len(),
    });
    to_json(&value).map(Bytes::from)
}

fn from_json<T: serde::de::DeserializeOwned>(json: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(json).map_err(|error| Failure::internal(&error))
}

fn to_json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(value).map_err(|error| Failure::internal(&error))
}

#[cfg(test)]
mod tests {
    use meshguard_engine::ManualClock;
    use meshguard_engine::store::MemoryStore;

    use super::*;

    fn ledger(store: &Arc<MemoryStore>) -> Ledger {
        Ledger::new(Arc::clone(store) as Arc<dyn Store>, Arc::new(ManualClock::at(1_000)), 200)
    }

    fn records(seqs: std::ops::Range<u64>) -> Vec<Bytes> {
        seqs.map(|seq| format!(r#"{{"v":1,"seq":{seq},"tenant":"acme","kind":"x"}}"#).into()).collect()
    }

    fn take(ledger: &Ledger, chain: &[u8], first_seq: u64, records: &[Bytes]) -> Taken {
        let chain = Digest::of(chain);
        ledger.take(&Delivery { tenant: "acme", agent: "a", chain, first_seq, records }).unwrap()
    }

    #[test]
    fn kept_once_in_order_and_without_holes() {
        let store = Arc::new(MemoryStore::new());
        let ledger = ledger(&store);
        let done = |next, stored, duplicates| Taken { next, stored, duplicates, ..Taken::default() };
        assert_eq!(take(&ledger, b"one", 0, &records(0..3)), done(3, 3, 0));
        assert_eq!(take(&ledger, b"one", 0, &records(0..3)), done(3, 0, 3));
        assert_eq!(take(&ledger, b"one", 1, &records(1..5)), done(5, 2, 2));
        assert_eq!(take(&ledger, b"one", 9, &records(9..10)), Taken { next: 5, gap: true, ..Taken::default() });
        assert_eq!(take(&ledger, b"one", 5, &[]), done(5, 0, 0));
        assert_eq!(take(&ledger, b"two", 1, &records(1..2)), Taken { next: 0, gap: true, ..Taken::default() });
        assert_eq!(take(&ledger, b"two", 0, &records(0..1)), done(1, 1, 0));

        let (first, cursor) = ledger.read("acme", 0, 4).unwrap();
        assert_eq!(first.iter().map(|entry| &entry.record["seq"]).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let (rest, end) = ledger.read("acme", cursor, 100).unwrap();
        assert_eq!(
            rest.iter().map(|entry| (entry.chain_id, entry.record["seq"].as_u64())).collect::<Vec<_>>(),
            [(Digest::of(b"one"), Some(4)), (Digest::of(b"two"), Some(0)),]
        );
        assert_eq!(ledger.read("acme", end, 100).unwrap().0.len(), 0);
        assert_eq!(ledger.read("umbrella", 0, 100).unwrap().0.len(), 0);
    }

    #[test]
    fn a_new_ledger_goes_on_where_the_old_one_stopped() {
        let store = Arc::new(MemoryStore::new());
        take(&ledger(&store), b"one", 0, &records(0..3));
        let again = ledger(&store);
        assert_eq!(take(&again, b"one", 2, &records(2..4)).next, 4);
        assert_eq!(again.read("acme", 0, 100).unwrap().0.len(), 4);
        assert_eq!(again.chains("acme").unwrap().first().unwrap().next_seq, 4);
    }

    #[test]
    fn another_agent_cannot_write_into_a_chain() {
        let ledger = ledger(&Arc::new(MemoryStore::new()));
        take(&ledger, b"one", 0, &records(0..1));
        let delivery =
            Delivery { tenant: "acme", agent: "b", chain: Digest::of(b"one"), first_seq: 1, records: &records(1..2) };
        assert_eq!(ledger.take(&delivery).unwrap_err().code(), "chain_owner");
    }

    #[test]
    fn what_cannot_be_taken_leaves_a_placeholder() {
        let ledger = ledger(&Arc::new(MemoryStore::new()));
        let bad = [
            Bytes::from_static(b"no json"),
            Bytes::from_static(br#"{"v":1,"seq":1,"tenant":"umbrella"}"#),
            Bytes::from_static(br#"{"v":1,"seq":7,"tenant":"acme"}"#),
            Bytes::from_static(br#"[3,"acme"]"#),
            Bytes::from_static(br#"{"v":1,"seq":4,"tenant":"acme","x":"\ud800"}"#),
            Bytes::from(format!(r#"{{"v":1,"seq":5,"tenant":"acme","x":"{}"}}"#, "x".repeat(200))),
        ];
        let taken = take(&ledger, b"one", 0, &bad);
        assert_eq!((taken.next, taken.stored), (6, 6));
        assert_eq!(
            taken.rejects,
            [(0, "unreadable"), (1, "tenant"), (2, "seq"), (3, "unreadable"), (4, "unreadable"), (5, "too_large"),]
        );
        let (entries, _) = ledger.read("acme", 0, 10).unwrap();
        assert!(entries.iter().all(|entry| entry.record["kind"] == "rejected"));
    }

    #[test]
    fn numbers_do_not_overflow() {
        let ledger = ledger(&Arc::new(MemoryStore::new()));
        let records = records(0..2);
        let delivery =
            Delivery { tenant: "acme", agent: "a", chain: Digest::of(b"one"), first_seq: u64::MAX, records: &records };
        assert_eq!(ledger.take(&delivery).unwrap_err().code(), "bad_input");
    }
}
