//! Audit records, as edges deliver them: at least once, kept once.
//!
//! A record is named by its chain and its number in it. A chain is taken in order, and a duplicate is a number below the
//! next one expected. A chain belongs to the agent that began it: another agent of the tenant can't fill its numbers with
//! records of its own.
//!
//! There are no holes either, but for one reason. An edge trims what was acknowledged; where the ledger lost that since
//! (its disk, or it was put back to an older copy), nobody has it any more. A chain that isn't known at all is therefore
//! taken from wherever it begins here. One that is known is asked for from where it stops, once; an edge that then comes
//! with the same number again can't go back. Either way what is missing gets one record of its own, at the first missing
//! number: of the kind `gap`, from `from_seq` up to, and not with, `to_seq`. The loss is there for everybody to read, and
//! the records behind it aren't held up for ever. What comes for those numbers later is a duplicate.

use std::collections::HashMap;
use std::collections::hash_map;
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
    /// One writer for each tenant at a time.
    writers: Mutex<HashMap<String, Arc<Mutex<Writer>>>>,
    max_record_bytes: usize,
}

#[derive(Default)]
struct Writer {
    /// The number of the next arrival, once it is known.
    next_arrival: Option<u64>,
    /// Chains that came with a gap and were asked to go back, and the lowest number they came with. Forgotten by a restart:
    /// then they are asked once more.
    asked_back: HashMap<Digest, u64>,
}

/// A run of records of one chain.
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
    /// Records before the delivery that are missing for good, as is recorded now.
    pub(crate) lost: u64,
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
    /// How many of the numbers below that nobody has a record for any more.
    #[serde(default)]
    pub(crate) lost: u64,
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
        let mut writer = lock(&writer);
        let known = self.chain(tenant, &chain)?;
        if known.as_ref().is_some_and(|known| known.agent_id != agent) {
            return Err(Failure::denied("chain_owner", "the chain was begun by another agent"));
        }
        let next = known.as_ref().map_or(0, |known| known.next_seq);
        let lost = first_seq.saturating_sub(next);
        if lost > 0 && (records.is_empty() || known.is_some() && writer.asks_back(chain, first_seq)) {
            return Ok(Taken { next, gap: true, ..Taken::default() });
        }
        let duplicates = end.min(next).saturating_sub(first_seq);
        let mut taken = Taken { next: next.max(end), lost, duplicates, ..Taken::default() };
        let mut arrival = match writer.next_arrival {
            Some(number) => number,
            None => self.next_arrival(tenant)?,
        };
        let at_ms = self.clock.wall_ms();
        let mut batch = Batch::new();
        let mut put = |seq: u64, record: &[u8]| {
            batch.put(layout::record(tenant, &chain, seq), record);
            let came = Arrival { chain, seq, agent: agent.to_owned(), at_ms };
            batch.put(layout::arrival(tenant, arrival), to_json(&came)?);
            arrival += 1;
            Ok::<(), Failure>(())
        };
        if lost > 0 {
            tracing::error!(tenant, agent, %chain, from_seq = next, to_seq = first_seq, "audit records are lost");
            put(next, &gap(tenant, at_ms, next, first_seq)?)?;
        }
        for (seq, record) in (first_seq..).zip(records).filter(|(seq, _)| *seq >= next) {
            let kept = match self.check(tenant, seq, record) {
                Ok(()) => record.clone(),
                Err(code) => {
                    taken.rejects.push((seq, code));
                    placeholder(tenant, seq, at_ms, code, record)?
                }
            };
            put(seq, &kept)?;
            taken.stored += 1;
        }
        if taken.stored > 0 {
            let moved = Chain {
                chain_id: chain,
                agent_id: agent.to_owned(),
                next_seq: taken.next,
                lost: known.map_or(0, |known| known.lost) + lost,
                last_ms: at_ms,
            };
            batch.put(layout::chain(tenant, &chain), to_json(&moved)?);
            batch.put(layout::next_arrival(tenant), arrival.to_be_bytes());
            self.store.write(batch, Durability::Power)?;
        }
        writer.next_arrival = Some(arrival);
        writer.asked_back.remove(&chain);
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

// === impl Writer ===

impl Writer {
    /// Whether a known chain that comes with a gap before `first_seq` is to be asked to go back. Batches that were under way
    /// behind the first one are, too, whence the lowest: an edge that starts over starts with that.
    fn asks_back(&mut self, chain: Digest, first_seq: u64) -> bool {
        match self.asked_back.entry(chain) {
            hash_map::Entry::Vacant(entry) => {
                entry.insert(first_seq);
                true
            }
            hash_map::Entry::Occupied(mut entry) => {
                let lowest = *entry.get();
                entry.insert(lowest.min(first_seq));
                first_seq != lowest
            }
        }
    }
}

/// Stands for records that nobody has any more.
fn gap(tenant: &str, at_ms: i64, from_seq: u64, to_seq: u64) -> Result<Vec<u8>, Failure> {
    to_json(&serde_json::json!({
        "v": 1, "seq": from_seq, "at_ms": at_ms, "tenant": tenant, "kind": "gap", "from_seq": from_seq, "to_seq": to_seq,
    }))
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

    /// What is kept of a chain: each record's number and kind, and of a gap its end.
    fn kept(ledger: &Ledger, chain: &[u8]) -> Vec<(u64, String, Option<u64>)> {
        let (entries, _) = ledger.read("acme", 0, 100).unwrap();
        let of_chain = entries.iter().filter(|entry| entry.chain_id == Digest::of(chain)).map(|entry| &entry.record);
        let number = |record: &Map<String, Value>, name: &str| record.get(name).and_then(Value::as_u64);
        of_chain
            .map(|r| (number(r, "seq").unwrap(), r["kind"].as_str().unwrap().to_owned(), number(r, "to_seq")))
            .collect()
    }

    fn record(seq: u64) -> (u64, String, Option<u64>) {
        (seq, "x".into(), None)
    }

    fn hole(from_seq: u64, to_seq: u64) -> (u64, String, Option<u64>) {
        (from_seq, "gap".into(), Some(to_seq))
    }

    #[test]
    fn a_chain_that_is_not_known_goes_on_with_a_gap_on_record() {
        let ledger = ledger(&Arc::new(MemoryStore::new()));
        assert_eq!(
            take(&ledger, b"one", 7, &[]),
            Taken { next: 0, gap: true, ..Taken::default() },
            "no word of a loss"
        );
        assert!(kept(&ledger, b"one").is_empty());
        let taken = take(&ledger, b"one", 7, &records(7..9));
        assert_eq!(taken, Taken { next: 9, stored: 2, lost: 7, ..Taken::default() });
        // However often it comes again, and whatever comes late.
        assert_eq!(take(&ledger, b"one", 7, &records(7..9)), Taken { next: 9, duplicates: 2, ..Taken::default() });
        assert_eq!(take(&ledger, b"one", 0, &records(0..3)), Taken { next: 9, duplicates: 3, ..Taken::default() });
        assert_eq!(take(&ledger, b"one", 9, &records(9..10)).next, 10);
        assert_eq!(kept(&ledger, b"one"), [hole(0, 7), record(7), record(8), record(9)]);
        let (entries, _) = ledger.read("acme", 0, 1).unwrap();
        assert_eq!((entries[0].chain_id, entries[0].agent_id.as_str()), (Digest::of(b"one"), "a"));
    }

    #[test]
    fn a_known_chain_is_asked_to_go_back_and_taken_if_it_cannot() {
        let ledger = ledger(&Arc::new(MemoryStore::new()));
        take(&ledger, b"one", 0, &records(0..2));
        let asks = Taken { next: 2, gap: true, ..Taken::default() };
        // What was under way behind the first one is no second attempt.
        for first_seq in [5, 6, 7] {
            assert_eq!(take(&ledger, b"one", first_seq, &records(first_seq..first_seq + 1)), asks);
        }
        let taken = take(&ledger, b"one", 5, &records(5..7));
        assert_eq!(taken, Taken { next: 7, stored: 2, lost: 3, ..Taken::default() });
        assert_eq!(take(&ledger, b"one", 5, &records(5..7)), Taken { next: 7, duplicates: 2, ..Taken::default() });
        assert_eq!(kept(&ledger, b"one"), [record(0), record(1), hole(2, 5), record(5), record(6)]);
        // The next gap is asked about anew; one that is closed leaves no trace.
        assert!(take(&ledger, b"one", 9, &records(9..10)).gap);
        assert_eq!(take(&ledger, b"one", 7, &records(7..10)).next, 10);
        assert!(take(&ledger, b"one", 12, &records(12..13)).gap);
        assert_eq!(kept(&ledger, b"one").iter().filter(|(_, kind, _)| kind == "gap").count(), 1);
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
