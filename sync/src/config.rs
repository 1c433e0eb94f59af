//! How an edge is opened: every option, its unit and its default.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use meshguard_engine::Clock;
use meshguard_engine::store::{FloorFiles, Store};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// What happens to an uncertain decision that the remote PDP can't be asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureMode {
    /// It is a deny.
    #[default]
    Closed,
    /// It is what the policy in hand says, but only where that is an allow that is merely too old, only where the gateway
    /// couldn't be reached or didn't answer in time, and only until the time allotted after its first use. The exception
    /// is recorded durably before the decision returns.
    Open,
}

impl FailureMode {
    /// The name used in configuration and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

/// How long to wait before trying the gateway again: a random time between nothing and a bound that doubles with every
/// failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconnect {
    /// The bound after the first failure; 250 ms unless said.
    pub base: Duration,
    /// What the bound never exceeds, nor a wait that the gateway asks for; 30 s unless said. Keep it below the soft TTL of
    /// your bundles.
    pub cap: Duration,
    /// The shortest wait; 50 ms unless said.
    pub floor: Duration,
    /// The bound for the first attempt after a healthy stream ended, so that the many edges of a lost server don't come
    /// back at once; 5 s unless said.
    pub first: Duration,
    /// How long a stream must last to count as healthy and to reset the doubling; 60 s unless said.
    pub healthy_after: Duration,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            base: Duration::from_millis(250),
            cap: Duration::from_secs(30),
            floor: Duration::from_millis(50),
            first: Duration::from_secs(5),
            healthy_after: Duration::from_secs(60),
        }
    }
}

/// What a configured time may be.
const LEAST_TIME: Duration = Duration::from_millis(1);
const MOST_TIME: Duration = Duration::from_secs(24 * 60 * 60);

/// How an [`Edge`](crate::Edge) is opened. Every choice has a default but the tenant.
///
/// ```
/// use std::time::Duration;
///
/// use meshguard_sync::{EdgeConfig, FailureMode};
///
/// let config = EdgeConfig::new("acme")
///     .gateway("https://pdp.example.com")
///     .agent_token("eyJ…")
///     .state_dir("/var/lib/my-agent/meshguard")
///     .failure_mode(FailureMode::Closed)
///     .defer_timeout(Duration::from_millis(50));
/// assert!(!format!("{config:?}").contains("eyJ"));
/// ```
pub struct EdgeConfig {
    pub(crate) tenant: String,
    pub(crate) scope: String,
    pub(crate) gateway: Option<String>,
    pub(crate) agent_token: Option<Secret>,
    pub(crate) agent_id: String,
    pub(crate) state_dir: Option<PathBuf>,
    pub(crate) store: Option<(Arc<dyn Store>, FloorFiles)>,
    pub(crate) trusted_keys: Vec<String>,
    pub(crate) identity_keys: Vec<String>,
    pub(crate) ca_pem: Option<String>,
    pub(crate) allow_plaintext: bool,
    pub(crate) failure_mode: FailureMode,
    pub(crate) fail_open_for: Duration,
    pub(crate) defer_timeout: Duration,
    pub(crate) obligations: BTreeSet<String>,
    pub(crate) bundle_path: Option<PathBuf>,
    pub(crate) max_pending_records: Option<u64>,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) reconnect: Reconnect,
    pub(crate) audit_interval: Duration,
    pub(crate) report_interval: Duration,
    pub(crate) seed: Option<u64>,
    pub(crate) clock: Option<Arc<dyn Clock>>,
}

impl EdgeConfig {
    /// An edge of `tenant` with nothing else chosen: no gateway, no keys, nothing kept on disk. It denies everything.
    pub fn new(tenant: impl Into<String>) -> Self {
        Self {
            tenant: tenant.into(),
            scope: "default".to_owned(),
            gateway: None,
            agent_token: None,
            agent_id: String::new(),
            state_dir: None,
            store: None,
            trusted_keys: Vec::new(),
            identity_keys: Vec::new(),
            ca_pem: None,
            allow_plaintext: false,
            failure_mode: FailureMode::default(),
            fail_open_for: Duration::from_secs(24 * 60 * 60),
            defer_timeout: Duration::from_millis(50),
            obligations: BTreeSet::new(),
            bundle_path: None,
            max_pending_records: None,
            heartbeat_interval: None,
            reconnect: Reconnect::default(),
            audit_interval: Duration::from_secs(1),
            report_interval: Duration::from_secs(60),
            seed: None,
            clock: None,
        }
    }

    /// Reads a configuration from one JSON object, the form in which the C interface and the bindings take it.
    ///
    /// | field | type | unless said |
    /// |---|---|---|
    /// | `tenant` | text | required |
    /// | `scope` | text | `default` |
    /// | `gateway` | URL | none: purely local |
    /// | `agent_token` | text, secret | none |
    /// | `agent_id` | text | the token's subject |
    /// | `state_dir` | path | kept in memory |
    /// | `trusted_keys` | texts, PEM | none: no bundle is acceptable |
    /// | `identity_keys` | texts, PEM | none: the token's claims aren't used locally |
    /// | `ca_pem` | text, PEM | the system's certificates |
    /// | `failure_mode` | `closed` or `open` (with a `state_dir`) | `closed` |
    /// | `fail_open_hours` | number | 24 |
    /// | `defer_timeout_ms` | number | 50 |
    /// | `obligations` | texts | none |
    /// | `allow_plaintext` | boolean | `false` |
    /// | `bundle_path` | path | none |
    /// | `max_pending_records` | number | a million |
    /// | `heartbeat_interval_ms` | number | what the gateway announces |
    /// | `reconnect_cap_ms` | number | 30000 |
    /// | `reconnect_first_ms` | number | 5000 |
    /// | `audit_interval_ms` | number | 1000 |
    /// | `report_interval_ms` | number | 60000 |
    ///
    /// # Errors
    /// The text is no such object, or holds an unknown field, or one twice. The message never holds a value.
    pub fn from_json(json: &[u8]) -> Result<Self, Error> {
        let json: Json = serde_json::from_slice(json).map_err(|e| Error::Config(explain(&e)))?;
        json.into_config()
    }

    /// Which of the tenant's bundles to serve; `default` unless said.
    #[must_use]
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = scope.into();
        self
    }

    /// The control plane to be kept current by, e.g. `https://pdp.example.com:8443`. Unless said there is none, no thread
    /// is started, and every decision is made from what is held here.
    #[must_use]
    pub fn gateway(mut self, url: impl Into<String>) -> Self {
        self.gateway = Some(url.into());
        self
    }

    /// The agent's token, sent to the gateway with every call. Kept out of `Debug` and logs. To be replaced before it
    /// ends, see [`Edge::set_agent_token`](crate::Edge::set_agent_token).
    #[must_use]
    pub fn agent_token(mut self, token: impl Into<String>) -> Self {
        self.agent_token = Some(Secret(token.into()));
        self
    }

    /// What the gateway lists this edge as; the token's subject unless said.
    #[must_use]
    pub fn agent_id(mut self, id: impl Into<String>) -> Self {
        self.agent_id = id.into();
        self
    }

    /// The folder for bundles, floors and records, which belongs to one process at a time. Unless said they are kept in
    /// memory and forgotten.
    #[must_use]
    pub fn state_dir(mut self, dir: impl Into<PathBuf>) -> Self {
        self.state_dir = Some(dir.into());
        self
    }

    /// Keeps them in this store instead of a folder; for tests, simulation, and several edges in one process.
    #[must_use]
    pub fn store(mut self, store: Arc<dyn Store>, floors: FloorFiles) -> Self {
        self.store = Some((store, floors));
        self
    }

    /// Adds a publisher's public key, as PEM: its signature makes a bundle acceptable. Without any, none is.
    #[must_use]
    pub fn trusted_key(mut self, pem: impl Into<String>) -> Self {
        self.trusted_keys.push(pem.into());
        self
    }

    /// Adds a public key, as PEM, that agent tokens are signed with. With it the token's claims (tier, score, tags) apply to
    /// local decisions about the token's own subject; without any, every actor has the lowest tier.
    #[must_use]
    pub fn identity_key(mut self, pem: impl Into<String>) -> Self {
        self.identity_keys.push(pem.into());
        self
    }

    /// The authorities, as PEM, that the gateway's certificate must come from; the system's unless said.
    #[must_use]
    pub fn ca_pem(mut self, pem: impl Into<String>) -> Self {
        self.ca_pem = Some(pem.into());
        self
    }

    /// Whether a gateway elsewhere may be spoken to without TLS, so that anybody on the way reads the token. On loopback
    /// it always may. `false` unless said.
    #[must_use]
    pub fn allow_plaintext(mut self, allow: bool) -> Self {
        self.allow_plaintext = allow;
        self
    }

    /// What happens to an uncertain decision that the gateway can't be asked about; [`FailureMode::Closed`] unless said.
    /// [`FailureMode::Open`] needs a [`state_dir`](Self::state_dir), so that its time ends in spite of restarts.
    #[must_use]
    pub fn failure_mode(mut self, mode: FailureMode) -> Self {
        self.failure_mode = mode;
        self
    }

    /// For how long after its first use here [`FailureMode::Open`] allows; 24 hours unless said. Not renewed by a restart.
    #[must_use]
    pub fn fail_open_for(mut self, time: Duration) -> Self {
        self.fail_open_for = time;
        self
    }

    /// How long an uncertain decision may take in all, the network included; 50 ms unless said.
    #[must_use]
    pub fn defer_timeout(mut self, time: Duration) -> Self {
        self.defer_timeout = time;
        self
    }

    /// Registers an obligation that the host enforces. A decision that carries another becomes a deny.
    #[must_use]
    pub fn obligation(mut self, id: impl Into<String>) -> Self {
        self.obligations.insert(id.into());
        self
    }

    /// A signed bundle (`.tar.gz`) to serve from the start, if nothing newer is held.
    #[must_use]
    pub fn bundle_path(mut self, path: impl Into<PathBuf>) -> Self {
        self.bundle_path = Some(path.into());
        self
    }

    /// How many records may wait for the gateway before decisions are denied; a million unless said. Without a gateway
    /// nobody ships them, and the oldest go instead.
    #[must_use]
    pub fn max_pending_records(mut self, records: u64) -> Self {
        self.max_pending_records = Some(records);
        self
    }

    /// How often to expect a heartbeat, instead of what the gateway announces; three missed ones end the stream. For tests.
    #[must_use]
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = Some(interval);
        self
    }

    /// How long to wait before trying the gateway again.
    #[must_use]
    pub fn reconnect(mut self, reconnect: Reconnect) -> Self {
        self.reconnect = reconnect;
        self
    }

    /// How long a record waits at most before it is sent, the gateway permitting; 1 s unless said.
    #[must_use]
    pub fn audit_interval(mut self, interval: Duration) -> Self {
        self.audit_interval = interval;
        self
    }

    /// How often the edge says where it stands, give or take a fifth; 60 s unless said. Outcomes are said at once.
    #[must_use]
    pub fn report_interval(mut self, interval: Duration) -> Self {
        self.report_interval = interval;
        self
    }

    /// Makes the random waits repeatable; for tests and simulation.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The clock to decide by; the machine's unless said.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Refuses what can't work, before anything is opened.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |text: &str| Err(Error::Config(text.to_owned()));
        if self.tenant.is_empty() || self.scope.is_empty() {
            return refuse("`tenant` and `scope` must be named");
        }
        if self.state_dir.is_some() && self.store.is_some() {
            return refuse("choose a `state_dir` or a store, not both");
        }
        if self.failure_mode == FailureMode::Open && self.state_dir.is_none() && self.store.is_none() {
            return refuse("`failure_mode` open needs a `state_dir`: when its time ends must survive a restart");
        }
        let pace = &self.reconnect;
        let times = [
            ("defer_timeout", self.defer_timeout),
            ("reconnect.base", pace.base),
            ("reconnect.cap", pace.cap),
            ("audit_interval", self.audit_interval),
            ("report_interval", self.report_interval),
            ("heartbeat_interval", self.heartbeat_interval.unwrap_or(LEAST_TIME)),
        ];
        if let Some((name, _)) = times.iter().find(|(_, time)| !(LEAST_TIME..=MOST_TIME).contains(time)) {
            return refuse(&format!("`{name}` must be between a millisecond and a day"));
        }
        if pace.floor > pace.cap || pace.first > MOST_TIME {
            return refuse("`reconnect`: the floor must not exceed the cap, and the first wait not a day");
        }
        Ok(())
    }
}

impl fmt::Debug for EdgeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EdgeConfig")
            .field("tenant", &self.tenant)
            .field("scope", &self.scope)
            .field("agent_token", &self.agent_token)
            .field("state_dir", &self.state_dir)
            .field("failure_mode", &self.failure_mode)
            .field("defer_timeout", &self.defer_timeout)
            .finish_non_exhaustive()
    }
}

/// A text that is never shown.
#[derive(Clone)]
pub(crate) struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// The configuration as JSON.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Json {
    tenant: String,
    scope: Option<String>,
    gateway: Option<String>,
    agent_token: Option<String>,
    agent_id: Option<String>,
    state_dir: Option<PathBuf>,
    #[serde(default)]
    trusted_keys: Vec<String>,
    #[serde(default)]
    identity_keys: Vec<String>,
    ca_pem: Option<String>,
    #[serde(default)]
    failure_mode: FailureMode,
    fail_open_hours: Option<f64>,
    defer_timeout_ms: Option<u64>,
    #[serde(default)]
    obligations: BTreeSet<String>,
    #[serde(default)]
    allow_plaintext: bool,
    bundle_path: Option<PathBuf>,
    max_pending_records: Option<u64>,
    heartbeat_interval_ms: Option<u64>,
    reconnect_cap_ms: Option<u64>,
    reconnect_first_ms: Option<u64>,
    audit_interval_ms: Option<u64>,
    report_interval_ms: Option<u64>,
}

impl Json {
    fn into_config(self) -> Result<EdgeConfig, Error> {
        let default = EdgeConfig::new(self.tenant);
        let or = |given: Option<u64>, default: Duration| given.map_or(default, Duration::from_millis);
        let hours = self.fail_open_hours.unwrap_or(24.0);
        let fail_open_for = Duration::try_from_secs_f64(hours * 3600.0)
            .map_err(|_| Error::Config("`fail_open_hours` must be a number of hours, 0 or more".into()))?;
        Ok(EdgeConfig {
            scope: self.scope.unwrap_or(default.scope),
            gateway: self.gateway,
            agent_token: self.agent_token.map(Secret),
            agent_id: self.agent_id.unwrap_or_default(),
            state_dir: self.state_dir,
            trusted_keys: self.trusted_keys,
            identity_keys: self.identity_keys,
            ca_pem: self.ca_pem,
            allow_plaintext: self.allow_plaintext,
            failure_mode: self.failure_mode,
            fail_open_for,
            defer_timeout: or(self.defer_timeout_ms, default.defer_timeout),
            obligations: self.obligations,
            bundle_path: self.bundle_path,
            max_pending_records: self.max_pending_records,
            heartbeat_interval: self.heartbeat_interval_ms.map(Duration::from_millis),
            reconnect: Reconnect {
                cap: or(self.reconnect_cap_ms, default.reconnect.cap),
                first: or(self.reconnect_first_ms, default.reconnect.first),
                ..default.reconnect
            },
            audit_interval: or(self.audit_interval_ms, default.audit_interval),
            report_interval: or(self.report_interval_ms, default.report_interval),
            tenant: default.tenant,
            store: None,
            seed: None,
            clock: None,
        })
    }
}

/// What is wrong with the JSON. The library's own words may quote a value, and a value may be a token in the wrong place.
fn explain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let names_only = ["unknown field", "missing field", "duplicate field"].iter().any(|start| text.starts_with(start));
    if names_only || !error.is_data() {
        text
    } else {
        format!("a value of the wrong type or an unknown word at line {}, column {}", error.line(), error.column())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_means_what_the_builder_means() {
        let json = br#"{"tenant":"acme","scope":"s","gateway":"http://localhost:1","agent_token":"tok","agent_id":"a",
            "state_dir":"/tmp/x","trusted_keys":["k"],"identity_keys":["i"],"ca_pem":"c","failure_mode":"open",
            "fail_open_hours":0.5,"defer_timeout_ms":20,"obligations":["redact"],"allow_plaintext":true,
            "bundle_path":"b.tar.gz","max_pending_records":9,"heartbeat_interval_ms":100,"reconnect_cap_ms":1000,
            "reconnect_first_ms":10,"audit_interval_ms":5,"report_interval_ms":6}"#;
        let config = EdgeConfig::from_json(json).unwrap();
        assert_eq!((config.tenant.as_str(), config.scope.as_str()), ("acme", "s"));
        assert_eq!(config.agent_token.as_ref().map(|t| t.0.as_str()), Some("tok"));
        assert_eq!(config.failure_mode, FailureMode::Open);
        assert_eq!(config.fail_open_for, Duration::from_secs(1800));
        assert_eq!(config.defer_timeout, Duration::from_millis(20));
        assert_eq!(config.reconnect.cap, Duration::from_secs(1));
        assert_eq!(config.reconnect.base, Reconnect::default().base);
        assert!(config.allow_plaintext && config.obligations.contains("redact"));
        config.check().unwrap();
    }

    #[test]
    fn defaults_are_the_careful_ones() {
        let config = EdgeConfig::from_json(br#"{"tenant":"acme"}"#).unwrap();
        assert_eq!(config.failure_mode, FailureMode::Closed);
        assert_eq!(config.defer_timeout, Duration::from_millis(50));
        assert_eq!(config.fail_open_for, Duration::from_secs(24 * 3600));
        assert!(!config.allow_plaintext && config.trusted_keys.is_empty() && config.gateway.is_none());
    }

    #[test]
    fn what_is_not_known_is_refused_by_name() {
        let error = EdgeConfig::from_json(br#"{"tenant":"a","fail_open":true}"#).unwrap_err().to_string();
        assert!(error.contains("fail_open"), "{error}");
        assert!(EdgeConfig::from_json(br#"{"tenant":"a","fail_open_hours":-1}"#).is_err());
        assert!(EdgeConfig::from_json(br#"{"tenant":"a","tenant":"b"}"#).is_err());
        assert!(EdgeConfig::from_json(br#"{"tenant":"a","failure_mode":"maybe"}"#).is_err());
    }

    #[test]
    fn no_text_holds_a_token() {
        let config = EdgeConfig::new("acme").agent_token("hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
        for misplaced in [r#"{"tenant":"a","allow_plaintext":"hunter2"}"#, r#"{"tenant":"a","failure_mode":"hunter2"}"#]
        {
            let error = EdgeConfig::from_json(misplaced.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn the_impossible_is_refused() {
        let zero = Reconnect { base: Duration::ZERO, ..Reconnect::default() };
        let cases = [
            EdgeConfig::new(""),
            EdgeConfig::new("a").scope(""),
            EdgeConfig::new("a").defer_timeout(Duration::ZERO),
            EdgeConfig::new("a").defer_timeout(Duration::MAX),
            EdgeConfig::new("a").heartbeat_interval(Duration::MAX),
            EdgeConfig::new("a").reconnect(zero),
            EdgeConfig::new("a").audit_interval(Duration::ZERO),
            EdgeConfig::new("a").failure_mode(FailureMode::Open),
        ];
        for config in cases {
            assert!(matches!(config.check(), Err(Error::Config(_))), "{config:?}");
        }
        let open = || EdgeConfig::new("a").failure_mode(FailureMode::Open);
        open().state_dir("state").check().unwrap();
        let store = Arc::new(meshguard_engine::store::MemoryStore::new());
        open().store(store, FloorFiles::in_memory()).check().unwrap();
    }
}
