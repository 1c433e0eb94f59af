//! Edges: what each last said, whether it is connected, and what it refused.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meshguard_engine::store::{Batch, Durability, Store, StoreError, end_of};
use meshguard_engine::{Clock, Digest, Refusal, Revision, Stage, State};
use meshguard_proto::v1;
use prost::Message;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::layout;
use crate::locks::lock;
use crate::wire;

/// Every edge that was heard of lately.
pub(crate) struct Fleet {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    retention: Duration,
    per_tenant: usize,
    edges: Mutex<BTreeMap<Key, Known>>,
}

/// Which edge: one scope in one process of one agent.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) tenant: String,
    pub(crate) agent: String,
    pub(crate) instance: String,
    pub(crate) scope: String,
}

struct Known {
    edge: Edge,
    connections: usize,
}

/// What an edge last said. The JSON that admin calls give and the store holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Edge {
    tenant: String,
    agent_id: String,
    instance_id: String,
    scope: String,
    revision: Option<Revision>,
    state: State,
    behind: bool,
    last_outcome: Option<LastOutcome>,
    last_seen_ms: i64,
    #[serde(default)]
    connected: bool,
    audit: Option<Audit>,
    decisions: Option<Decisions>,
    engine_version: String,
    /// What it refused, with which capabilities: not sent again until either changes.
    refused: Option<(Digest, Digest)>,
    /// The manifest for which it got other bytes than named: a delta won't do, whatever it says to have.
    #[serde(default)]
    mismatched: Option<Digest>,
    #[serde(default = "no_capabilities")]
    capabilities: Digest,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
enum LastOutcome {
    Ack {
        revision: Option<Revision>,
        duration_us: u64,
    },
    Nack {
        revision: Option<Revision>,
        duration_us: u64,
        #[serde(flatten)]
        refusal: Refusal,
    },
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Audit {
    chain_id: Option<Digest>,
    next_seq: u64,
    acked_seq: u64,
    pending: u64,
    dropped: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Decisions {
    allow: u64,
    deny: u64,
    require_approval: u64,
    error: u64,
    deferred: u64,
    cached: u64,
    fail_closed: u64,
    fail_open: u64,
}

/// Keeps edges listed as connected while it lives.
pub(crate) struct Connected {
    fleet: Arc<Fleet>,
    keys: Vec<Key>,
}

/// What a report came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reported {
    Nothing,
    Acked,
    Refused,
}

impl Fleet {
    /// Remembers what the store holds.
    pub(crate) fn open(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        retention: Duration,
        per_tenant: usize,
    ) -> Result<Self, StoreError> {
        let mut edges = BTreeMap::new();
        for (key, value) in store.scan(&layout::edges(), &end_of(&layout::edges()), usize::MAX)? {
            // Only what an edge said of itself: it will say it again.
            match serde_json::from_slice::<Edge>(&value) {
                Ok(edge) => {
                    let edge = Edge { connected: false, ..edge };
                    edges.insert(edge.key(), Known { edge, connections: 0 });
                }
                Err(error) => {
                    tracing::warn!(%error, key = %String::from_utf8_lossy(&key), "an edge's entry can't be read")
                }
            }
        }
        Ok(Self { store, clock, retention, per_tenant, edges: Mutex::new(edges) })
    }

    /// Notes that an edge subscribed, with what it said about itself.
    pub(crate) fn connect(
        self: &Arc<Self>,
        keys: Vec<Key>,
        subscription: &v1::PolicySubscription,
    ) -> Result<Connected, Failure> {
        let capabilities = match &subscription.capabilities {
            Some(capabilities) => Digest::of(&capabilities.encode_to_vec()),
            None => no_capabilities(),
        };
        let mut haves = vec![];
        for key in &keys {
            let have = subscription.have.iter().find(|have| have.scope == key.scope);
            haves.push(wire::revision(have.and_then(|have| have.revision.as_ref()))?);
        }
        let outcome = subscription.last_outcome.as_ref().map(Outcome::new).transpose()?;
        let mut edges = lock(&self.edges);
        // Every entry first, so that a refusal leaves none counted.
        for key in &keys {
            self.entry(&mut edges, key)?;
        }
        for (key, have) in keys.iter().zip(haves) {
            let Some(known) = edges.get_mut(key) else { continue };
            known.connections += 1;
            let edge = &mut known.edge;
            edge.last_seen_ms = self.clock.wall_ms();
            edge.state = wire::state(subscription.state());
            edge.revision = have;
            edge.capabilities = capabilities;
            if let Some(said) = &subscription.capabilities {
                edge.engine_version = wire::clip(&said.engine_version, 64);
            }
            if let Some(outcome) = &outcome {
                edge.take_outcome(outcome.clone());
            }
            self.write(edge);
        }
        drop(edges);
        Ok(Connected { fleet: Arc::clone(self), keys })
    }

    /// Takes a report.
    pub(crate) fn report(&self, key: &Key, report: &v1::AgentReport) -> Result<Reported, Failure> {
        let active = wire::revision(report.active.as_ref())?;
        let chain = match &report.audit {
            Some(audit) if !audit.chain_id.is_empty() => Some(wire::digest("chain_id", &audit.chain_id)?),
            _ => None,
        };
        let outcome = report.outcome.as_ref().map(Outcome::new).transpose()?;
        let mut edges = lock(&self.edges);
        let edge = &mut self.entry(&mut edges, key)?.edge;
        let reported = outcome.map_or(Reported::Nothing, |outcome| edge.take_outcome(outcome));
        edge.last_seen_ms = self.clock.wall_ms();
        edge.revision = active;
        edge.state = wire::state(report.state());
        edge.behind = report.behind;
        edge.engine_version = wire::clip(&report.engine_version, 64);
        edge.audit = report.audit.as_ref().map(|audit| Audit {
            chain_id: chain,
            next_seq: audit.next_seq,
            acked_seq: audit.acked_seq,
            pending: audit.pending,
            dropped: audit.dropped,
        });
        edge.decisions = report.decisions.as_ref().map(|counts| Decisions {
            allow: counts.allow,
            deny: counts.deny,
            require_approval: counts.require_approval,
            error: counts.error,
            deferred: counts.deferred,
            cached: counts.cached,
            fail_closed: counts.fail_closed,
            fail_open: counts.fail_open,
        });
        self.write(edge);
        Ok(reported)
    }

    /// What an edge said to have in force.
    pub(crate) fn active(&self, key: &Key) -> Option<Revision> {
        lock(&self.edges).get(key).and_then(|known| known.edge.revision)
    }

    /// Whether an edge refused this manifest, being what it is now.
    pub(crate) fn has_refused(&self, key: &Key, manifest: &Digest) -> bool {
        let edges = lock(&self.edges);
        edges.get(key).is_some_and(|known| known.edge.refused == Some((*manifest, known.edge.capabilities)))
    }

    /// Whether an edge must be sent this manifest whole.
    pub(crate) fn needs_snapshot(&self, key: &Key, manifest: &Digest) -> bool {
        lock(&self.edges).get(key).is_some_and(|known| known.edge.mismatched == Some(*manifest))
    }

    /// Every edge, of one tenant or of all.
    pub(crate) fn list(&self, tenant: Option<&str>) -> Vec<Edge> {
        let edges = lock(&self.edges);
        edges
            .iter()
            .filter(|(key, _)| tenant.is_none_or(|tenant| key.tenant == tenant))
            .map(|(_, known)| Edge { connected: known.connections > 0, ..known.edge.clone() })
            .collect()
    }

    /// The edge's entry, made if there is none; those that went away long ago make room.
    fn entry<'a>(&self, edges: &'a mut BTreeMap<Key, Known>, key: &Key) -> Result<&'a mut Known, Failure> {
        if !edges.contains_key(key) {
            self.make_room(edges, &key.tenant)?;
        }
        Ok(edges.entry(key.clone()).or_insert_with(|| Known { edge: Edge::new(key), connections: 0 }))
    }

    fn make_room(&self, edges: &mut BTreeMap<Key, Known>, tenant: &str) -> Result<(), Failure> {
        let retention = i64::try_from(self.retention.as_millis()).unwrap_or(i64::MAX);
        let since = self.clock.wall_ms().saturating_sub(retention);
        let mut gone: Vec<(i64, Key)> = edges
            .iter()
            .filter(|(key, known)| key.tenant == tenant && known.connections == 0)
            .map(|(key, known)| (known.edge.last_seen_ms, key.clone()))
            .collect();
        gone.sort();
        let count = edges.keys().filter(|key| key.tenant == tenant).count();
        let over = (count + 1).saturating_sub(self.per_tenant);
        if over > gone.len() {
            return Err(Failure::busy(format!("{count} edges of this tenant are connected; that is the limit")));
        }
        for (at, (seen, key)) in gone.into_iter().enumerate() {
            if at < over || seen < since {
                edges.remove(&key);
                let mut batch = Batch::new();
                batch.delete(layout::edge(&key.tenant, &key.agent, &key.instance, &key.scope));
                self.try_write(batch);
            }
        }
        Ok(())
    }

    fn write(&self, edge: &Edge) {
        let key = edge.key();
        if let Ok(json) = serde_json::to_vec(edge) {
            let mut batch = Batch::new();
            batch.put(layout::edge(&key.tenant, &key.agent, &key.instance, &key.scope), json);
            self.try_write(batch);
        }
    }

    /// An entry that is lost will be said again.
    fn try_write(&self, batch: Batch) {
        if let Err(error) = self.store.write(batch, Durability::Process) {
            tracing::warn!(%error, "what an edge said can't be written down");
        }
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let mut edges = lock(&self.fleet.edges);
        for key in &self.keys {
            if let Some(known) = edges.get_mut(key) {
                known.connections = known.connections.saturating_sub(1);
                known.edge.last_seen_ms = self.fleet.clock.wall_ms();
            }
        }
    }
}

// === impl Edge ===

impl Edge {
    fn new(key: &Key) -> Self {
        Self {
            tenant: key.tenant.clone(),
            agent_id: key.agent.clone(),
            instance_id: key.instance.clone(),
            scope: key.scope.clone(),
            revision: None,
            state: State::Empty,
            behind: false,
            last_outcome: None,
            last_seen_ms: 0,
            connected: false,
            audit: None,
            decisions: None,
            engine_version: String::new(),
            refused: None,
            mismatched: None,
            capabilities: no_capabilities(),
        }
    }

    fn key(&self) -> Key {
        Key {
            tenant: self.tenant.clone(),
            agent: self.agent_id.clone(),
            instance: self.instance_id.clone(),
            scope: self.scope.clone(),
        }
    }

    fn take_outcome(&mut self, outcome: Outcome) -> Reported {
        let Outcome { revision, duration_us, verdict } = outcome;
        match verdict {
            Some(Ok(())) => {
                (self.refused, self.mismatched) = (None, None);
                self.last_outcome = Some(LastOutcome::Ack { revision, duration_us });
                Reported::Acked
            }
            Some(Err(refusal)) => {
                // Quoted: the words are an agent's.
                tracing::warn!(tenant = self.tenant, agent = self.agent_id, ?refusal, "an edge refused a revision");
                let manifest = revision.map(|revision| revision.manifest);
                let lasts = manifest.filter(|_| is_lasting(refusal.stage));
                self.refused = lasts.map(|manifest| (manifest, self.capabilities));
                self.mismatched = manifest.filter(|_| refusal.stage == Stage::Digest);
                self.last_outcome = Some(LastOutcome::Nack { revision, duration_us, refusal });
                Reported::Refused
            }
            None => Reported::Nothing,
        }
    }
}

// === impl Outcome ===

/// How an attempt ended, read from the wire.
#[derive(Clone)]
struct Outcome {
    revision: Option<Revision>,
    duration_us: u64,
    /// None: nothing is known about it.
    verdict: Option<Result<(), Refusal>>,
}

impl Outcome {
    fn new(message: &v1::Outcome) -> Result<Self, Failure> {
        let verdict = message.verdict.as_ref().map(|verdict| match verdict {
            v1::outcome::Verdict::Ack(_) => Ok(()),
            v1::outcome::Verdict::Nack(nack) => Err(wire::refusal(nack)),
        });
        Ok(Self { revision: wire::revision(message.revision.as_ref())?, duration_us: message.duration_us, verdict })
    }
}

/// Whether the same edge would refuse the same manifest again. A full disk, a damaged transfer, a clock or a floor may be
/// another tomorrow.
fn is_lasting(stage: Stage) -> bool {
    match stage {
        Stage::Signature | Stage::Tenant | Stage::Limit | Stage::Parse | Stage::Compile | Stage::Smoke => true,
        Stage::Version | Stage::Expired | Stage::Digest | Stage::Store => false,
    }
}

fn no_capabilities() -> Digest {
    Digest::of(b"")
}

#[cfg(test)]
mod tests {
    use meshguard_engine::ManualClock;
    use meshguard_engine::store::MemoryStore;

    use super::*;

    fn key(instance: &str) -> Key {
        Key { tenant: "acme".into(), agent: "a".into(), instance: instance.into(), scope: "default".into() }
    }

    fn fleet(store: &Arc<MemoryStore>, clock: &Arc<ManualClock>, per_tenant: usize) -> Arc<Fleet> {
        let store = Arc::clone(store) as Arc<dyn Store>;
        let clock = Arc::clone(clock) as Arc<dyn Clock>;
        Arc::new(Fleet::open(store, clock, Duration::from_secs(60), per_tenant).unwrap())
    }

    fn nack(manifest: Digest) -> v1::AgentReport {
        let revision = Some(v1::Revision { key_epoch: 1, version: 2, manifest_digest: manifest.as_bytes().to_vec() });
        let verdict = Some(v1::outcome::Verdict::Nack(v1::Nack::default()));
        v1::AgentReport { outcome: Some(v1::Outcome { revision, verdict, duration_us: 1 }), ..Default::default() }
    }

    #[test]
    fn a_refusal_is_remembered_until_capabilities_change() {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::at(1_000)));
        let fleet = fleet(&store, &clock, 10);
        let bad = Digest::of(b"bad");
        assert_eq!(fleet.report(&key("i"), &nack(bad)).unwrap(), Reported::Refused);
        assert!(fleet.has_refused(&key("i"), &bad));
        assert!(!fleet.has_refused(&key("i"), &Digest::of(b"good")) && !fleet.has_refused(&key("j"), &bad));
        let upgraded = v1::PolicySubscription {
            capabilities: Some(v1::Capabilities { engine_version: "9".into(), ..Default::default() }),
            ..Default::default()
        };
        let connected = fleet.connect(vec![key("i")], &upgraded).unwrap();
        assert!(!fleet.has_refused(&key("i"), &bad));
        drop(connected);
    }

    #[test]
    fn survives_a_restart_as_not_connected() {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::at(1_000)));
        let first = fleet(&store, &clock, 10);
        let connected = first.connect(vec![key("i")], &v1::PolicySubscription::default()).unwrap();
        assert!(first.list(None).first().unwrap().connected);
        let again = fleet(&store, &clock, 10);
        assert!(!again.list(Some("acme")).first().unwrap().connected);
        assert!(again.list(Some("umbrella")).is_empty());
        drop(connected);
    }

    #[test]
    fn the_gone_make_room_and_the_connected_stay() {
        let (store, clock) = (Arc::new(MemoryStore::new()), Arc::new(ManualClock::at(1_000)));
        let fleet = fleet(&store, &clock, 2);
        let subscription = v1::PolicySubscription::default();
        drop(fleet.connect(vec![key("old")], &subscription).unwrap());
        let _one = fleet.connect(vec![key("one")], &subscription).unwrap();
        let _two = fleet.connect(vec![key("two")], &subscription).unwrap();
        assert_eq!(fleet.list(None).len(), 2);
        assert_eq!(fleet.connect(vec![key("three")], &subscription).err().unwrap().code(), "busy");
    }
}
