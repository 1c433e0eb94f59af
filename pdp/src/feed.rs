//! One subscriber's stream: what gets it from the policy it has to the one it should have, then heartbeats.
//!
//! Level-triggered: the stream looks at the head when it has nothing else to do, so that heads which came while it was
//! sending collapse into the newest, and at most one update is under way.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use meshguard_engine::{Digest, Identity, Revision};
use meshguard_proto::v1::{self, policy_change_event::Event};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{StreamExt, StreamMap};
use tonic::Status;

use crate::auth::same_tenant;
use crate::failure::Failure;
use crate::fleet::{Connected, Key};
use crate::heads::Head;
use crate::limits::Open;
use crate::locks::read;
use crate::metrics::Counted;
use crate::state::State;
use crate::tenants::{DEFAULT_SCOPE, check_name};
use crate::versions::{self, Version};
use crate::wire;

/// Events that wait for the subscriber to read them.
const QUEUE: usize = 4;

/// A subscriber that doesn't take an event for so long is given up.
const SLOW_READER: Duration = Duration::from_secs(60);

/// The protocol this server speaks.
const PROTOCOL: u32 = 1;

/// The most scopes in one subscription.
const MAX_SCOPES: usize = 64;

/// How long after a goodbye the next stream may be opened, at random, in milliseconds.
const GOODBYE_JITTER_MS: u64 = 5_000;

/// How soon a stream that broke off may be opened again, in milliseconds.
const RESYNC_AFTER_MS: u64 = 1_000;

pub(crate) type Events = mpsc::Receiver<Result<v1::PolicyChangeEvent, Status>>;

/// Checks a subscription, and starts its stream.
pub(crate) async fn subscribe(
    state: &Arc<State>,
    identity: &Arc<Identity>,
    subscription: v1::PolicySubscription,
) -> Result<Events, Status> {
    same_tenant(identity, &subscription.tenant_id)?;
    if subscription.protocol != PROTOCOL {
        let text = format!("protocol {} isn't spoken here; speak {PROTOCOL}", subscription.protocol);
        return Err(Status::failed_precondition(text));
    }
    check_name("instance", &subscription.instance_id).map_err(Failure::bad_input)?;
    let names = scopes(state, identity, &subscription)?;
    let open = state.streams.open(identity.tenant())?;
    let keys: Vec<Key> = names
        .iter()
        .map(|scope| Key {
            tenant: identity.tenant().to_owned(),
            agent: identity.subject().to_owned(),
            instance: subscription.instance_id.clone(),
            scope: scope.clone(),
        })
        .collect();
    let asked = subscription.capabilities.as_ref().map_or(0, |capabilities| capabilities.inline_max_bytes);
    let inline_max = match (subscription.bodies_by_reference, asked) {
        (true, _) => 0,
        (false, 0) => state.limits.inline_bytes,
        (false, asked) => asked.min(state.limits.inline_bytes),
    };
    let named = keys.clone();
    let connected = state.on_disk(move |state| state.fleet.connect(named, &subscription)).await??;
    let (events, receiver) = mpsc::channel(QUEUE);
    let feed = Feed {
        scopes: keys.into_iter().map(|key| (key.scope.clone(), Scope::new(state, key))).collect(),
        outlet: Outlet { events, seq: 0, stopping: state.stopping.clone() },
        inline_max,
        identity: Arc::clone(identity),
        state: Arc::clone(state),
        _held: (open, connected, Counted::new(&state.metrics, |metrics| &metrics.subscriptions)),
    };
    tokio::spawn(feed.run());
    Ok(receiver)
}

fn scopes(state: &State, identity: &Identity, subscription: &v1::PolicySubscription) -> Result<Vec<String>, Failure> {
    let mut names = subscription.scopes.clone();
    if names.is_empty() {
        names =
            state.tenants.get(identity.tenant()).map(|t| read(&t.scopes).keys().cloned().collect()).unwrap_or_default();
    }
    if names.is_empty() {
        names.push(DEFAULT_SCOPE.to_owned());
    }
    names.sort();
    names.dedup();
    if names.len() > MAX_SCOPES {
        return Err(Failure::bad_input(format!("at most {MAX_SCOPES} scopes in one subscription")));
    }
    names.iter().try_for_each(|name| check_name("scope", name)).map_err(Failure::bad_input)?;
    Ok(names)
}

// === impl Feed ===

struct Feed {
    scopes: BTreeMap<String, Scope>,
    outlet: Outlet,
    inline_max: u64,
    identity: Arc<Identity>,
    state: Arc<State>,
    _held: (Open, Connected, Counted),
}

/// The stream is over: nobody reads it any more, or it has to end.
struct Over;

impl Feed {
    async fn run(mut self) {
        let age = self.age();
        // However it ends, dropping the sender ends the stream.
        let _over = self.serve(age).await;
    }

    async fn serve(&mut self, age: Duration) -> Result<(), Over> {
        let end = tokio::time::sleep(age);
        tokio::pin!(end);
        self.hello(age).await?;
        let mut heads = StreamMap::new();
        for (name, scope) in &self.scopes {
            heads.insert(name.clone(), WatchStream::new(scope.heads.clone()));
        }
        let first = Instant::now() + self.state.heartbeat_interval;
        let mut heartbeat = tokio::time::interval_at(first, self.state.heartbeat_interval);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let state = Arc::clone(&self.state);
        let closed = self.outlet.events.clone();
        loop {
            tokio::select! {
                biased;
                () = state.stopped() => return self.goodbye(v1::goodbye::Reason::Drain).await,
                () = closed.closed() => return Err(Over),
                () = &mut end => return self.goodbye(v1::goodbye::Reason::MaxAge).await,
                Some((scope, head)) = heads.next() => self.update(&scope, head).await?,
                _ = heartbeat.tick() => self.heartbeats().await?,
            }
        }
    }

    async fn hello(&mut self, age: Duration) -> Result<(), Over> {
        let floors = self.scopes.values().filter_map(|scope| scope.history_floor(&self.state));
        let hello = v1::Hello {
            session_id: random_name(),
            server_time_unix_ms: self.state.clock.wall_ms(),
            heartbeat_interval_ms: millis(self.state.heartbeat_interval),
            keepalive_min_ms: 10_000,
            splay_window_ms: 0,
            max_age_ms: millis(age),
            inline_max_bytes: self.inline_max,
            history_floor: floors.max().unwrap_or(0),
        };
        self.outlet.send("", Event::Hello(hello)).await
    }

    /// Brings one scope to `head`, unless it is there.
    async fn update(&mut self, name: &str, head: Head) -> Result<(), Over> {
        let Some(scope) = self.scopes.get_mut(name) else { return Ok(()) };
        let Some(version) = head else { return Ok(()) };
        scope.refresh(&self.state);
        if scope.sent == Some(version.revision) {
            return Ok(());
        }
        if self.state.fleet.has_refused(&scope.key, &version.revision.manifest) {
            tracing::debug!(scope = name, revision = %version.revision, "not sent again: the edge refused it");
            return Ok(());
        }
        let plan = scope.plan(&self.state, &version);
        scope.sent = Some(version.revision);
        self.outlet.send(name, Event::Intent(plan.intent.clone())).await?;
        if plan.kind == v1::intent::Kind::UpToDate {
            return self.heartbeat(name).await;
        }
        let head = v1::Head { manifest: Some(wire::to_envelope(&version.envelope)), freshness: None };
        self.outlet.send(name, Event::Head(head)).await?;
        for file in version.manifest.files.iter().filter(|file| plan.sends(&file.path, &file.digest)) {
            let body = if file.size > self.inline_max || plan.holds(&file.digest) {
                v1::file_op::Body::ByReference(true)
            } else {
                let (tenant, digest) = (self.identity.tenant().to_owned(), file.digest);
                let read =
                    self.state.on_disk(move |state| versions::body(state.store.as_ref(), &tenant, &digest)).await;
                match read {
                    Ok(Ok(Some(bytes))) => v1::file_op::Body::Inline(bytes),
                    _ => return self.start_over().await,
                }
            };
            let put = v1::FileOp {
                kind: v1::file_op::Kind::Put.into(),
                path: file.path.clone(),
                digest: file.digest.as_bytes().to_vec(),
                size: file.size,
                codec: v1::Codec::Identity.into(),
                body: Some(body),
            };
            self.outlet.send(name, Event::FileOp(put)).await?;
        }
        let commit = v1::Commit { revision: Some(wire::to_revision(&version.revision)) };
        self.outlet.send(name, Event::Commit(commit)).await?;
        self.state.metrics.updates_sent.add(1);
        Ok(())
    }

    /// A body can't be read: the head has moved on in the meantime, or the disk is at fault. Either way the next stream
    /// knows better.
    async fn start_over(&mut self) -> Result<(), Over> {
        let resync = v1::Resync { reason: "a file couldn't be read in time".into(), after_ms: RESYNC_AFTER_MS };
        self.outlet.send("", Event::Resync(resync)).await?;
        Err(Over)
    }

    async fn heartbeats(&mut self) -> Result<(), Over> {
        let names: Vec<String> = self.scopes.keys().cloned().collect();
        for name in names {
            self.heartbeat(&name).await?;
        }
        Ok(())
    }

    /// Names the head that is served here now. It isn't signed, so it can only keep or lower what the edge thinks of its
    /// own.
    async fn heartbeat(&mut self, name: &str) -> Result<(), Over> {
        let head = self.scopes.get(name).and_then(|scope| scope.heads.borrow().as_ref().map(|v| v.revision));
        let heartbeat = v1::Heartbeat {
            freshness: None,
            head: head.as_ref().map(wire::to_revision),
            server_time_unix_ms: self.state.clock.wall_ms(),
        };
        self.outlet.send(name, Event::Heartbeat(heartbeat)).await
    }

    async fn goodbye(&mut self, reason: v1::goodbye::Reason) -> Result<(), Over> {
        let goodbye = v1::Goodbye {
            reason: reason.into(),
            retry_after_ms: 0,
            jitter_ms: GOODBYE_JITTER_MS,
            catastrophic: false,
            alternate_endpoints: vec![],
            message: String::new(),
        };
        self.outlet.send("", Event::Goodbye(goodbye)).await
    }

    /// How long the stream may live: give or take a tenth, so that streams opened together don't end together; and never
    /// longer than the credential.
    fn age(&self) -> Duration {
        let mut byte = [0];
        // Without randomness they end together, which is a pity and no fault.
        let _ = getrandom::fill(&mut byte);
        let [byte] = byte;
        let tenth = self.state.max_stream_age / 10;
        let age = self.state.max_stream_age - tenth + (2 * tenth) * u32::from(byte) / 255;
        let left = self.identity.expires_at_ms().saturating_sub(self.state.clock.wall_ms());
        age.min(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }
}

// === impl Scope ===

/// One scope of a stream.
struct Scope {
    key: Key,
    heads: watch::Receiver<Head>,
    /// What the edge has in force, as far as it said.
    have: Option<Revision>,
    /// What was sent last on this stream, or was there already.
    sent: Option<Revision>,
}

impl Scope {
    fn new(state: &State, key: Key) -> Self {
        let heads = state.tenants.heads.watch(&key.tenant, &key.scope);
        Self { have: state.fleet.active(&key), heads, sent: None, key }
    }

    /// Learns what the edge has reported since.
    fn refresh(&mut self, state: &State) {
        self.have = state.fleet.active(&self.key);
    }

    fn history_floor(&self, state: &State) -> Option<u64> {
        let epoch = self.heads.borrow().as_ref()?.revision.key_epoch;
        let scope = state.tenants.scope(&self.key.tenant, &self.key.scope)?;
        read(&scope.history).keys().find(|at| at.key_epoch == epoch).map(|at| at.version)
    }

    /// What is to be sent to reach `to`.
    fn plan(&self, state: &State, to: &Version) -> Plan {
        use v1::intent::{Kind, Reason};
        let Some(have) = self.have else { return Plan::snapshot(to, Reason::NoBase) };
        if have == to.revision {
            return Plan::new(Kind::UpToDate, Reason::UpToDate, None, to, None);
        }
        if have.order() > to.revision.order() {
            // It will refuse what it is sent, and say so: that is how an operator learns of it. Bodies would be wasted.
            tracing::warn!(edge = ?self.key, %have, here = %to.revision, "an edge has a newer revision than this server");
            return Plan { bodies: false, ..Plan::snapshot(to, Reason::ClientAhead) };
        }
        if state.fleet.needs_snapshot(&self.key, &to.revision.manifest) {
            return Plan::snapshot(to, Reason::NoBase);
        }
        let base = state.tenants.scope(&self.key.tenant, &self.key.scope).and_then(|scope| scope.version(&have));
        match base {
            None => Plan::snapshot(to, Reason::Gone),
            Some(base) => {
                let rotated = have.key_epoch != to.revision.key_epoch;
                let reason = if rotated { Reason::EpochChanged } else { Reason::Behind };
                Plan::new(Kind::Delta, reason, Some(have), to, Some(base))
            }
        }
    }
}

// === impl Plan ===

/// What is sent of a version, and what the edge has of it already.
struct Plan {
    kind: v1::intent::Kind,
    intent: v1::Intent,
    /// What the base of a delta has, by path.
    base: HashMap<String, Digest>,
    /// The contents that the edge has, under whatever path.
    held: HashSet<Digest>,
    bodies: bool,
}

impl Plan {
    fn new(
        kind: v1::intent::Kind,
        reason: v1::intent::Reason,
        from: Option<Revision>,
        to: &Version,
        base: Option<Arc<Version>>,
    ) -> Self {
        let from = from.as_ref().map(wire::to_revision);
        let intent =
            v1::Intent { kind: kind.into(), reason: reason.into(), from, to: Some(wire::to_revision(&to.revision)) };
        let files = base.iter().flat_map(|base| &base.manifest.files);
        let base: HashMap<_, _> = files.map(|file| (file.path.clone(), file.digest)).collect();
        let held = base.values().copied().collect();
        Self { kind, intent, base, held, bodies: true }
    }

    fn snapshot(to: &Version, reason: v1::intent::Reason) -> Self {
        Self::new(v1::intent::Kind::Snapshot, reason, None, to, None)
    }

    /// Whether a file is sent at all: in a delta, only if the base has another content at its path.
    fn sends(&self, path: &str, digest: &Digest) -> bool {
        self.base.get(path) != Some(digest)
    }

    /// Whether the edge has the content, or has no use for it.
    fn holds(&self, digest: &Digest) -> bool {
        !self.bodies || self.held.contains(digest)
    }
}

// === impl Outlet ===

/// Where events go, numbered.
struct Outlet {
    events: mpsc::Sender<Result<v1::PolicyChangeEvent, Status>>,
    seq: u64,
    stopping: watch::Receiver<bool>,
}

impl Outlet {
    /// Sends one event; waits while the subscriber doesn't read, but not for ever.
    async fn send(&mut self, scope: &str, event: Event) -> Result<(), Over> {
        self.seq += 1;
        let event = v1::PolicyChangeEvent { event_seq: self.seq, scope: scope.to_owned(), event: Some(event) };
        let patience = if *self.stopping.borrow() { Duration::from_secs(1) } else { SLOW_READER };
        match tokio::time::timeout(patience, self.events.send(Ok(event))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Over),
            Err(_) => {
                tracing::info!("a subscriber reads too slowly; its stream ends");
                Err(Over)
            }
        }
    }
}

fn random_name() -> String {
    let mut bytes = [0; 16];
    // A name for support; without randomness it is a poor one.
    let _ = getrandom::fill(&mut bytes);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
