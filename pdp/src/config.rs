//! What a server is told at start.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use meshguard_engine::{Clock, Digest, PublicKey, SystemClock};

use crate::error::Error;

/// The shortest admin token accepted: 16 bytes, which nobody guesses if they are random.
const MIN_ADMIN_TOKEN: usize = 16;

/// What a server is told at start. [`new`](Self::new) sets everything but the two that have no default.
#[derive(Clone)]
pub struct ServeConfig {
    /// Where everything is kept: the store, the identity key, the admin token. One process at a time.
    pub data_dir: PathBuf,
    /// Where to listen; port 0 takes a free one, see [`Server::addr`](crate::Server::addr).
    pub listen: SocketAddr,
    /// Certificate and key. Without them the server speaks plain text.
    pub tls: Option<Tls>,
    /// Plain text on another address than loopback: only where something else encrypts.
    pub allow_plaintext: bool,
    /// What admin calls must show. None: the one in `admin.token` in the data folder, generated at the first start.
    pub admin_token: Option<AdminToken>,
    /// Keys whose signature makes a tenant's policy acceptable, in addition to those registered before.
    pub publishers: BTreeMap<String, Vec<PublicKey>>,
    /// How often an idle stream says that it lives. The protocol wants 5 to 60 s; shorter is for tests.
    pub heartbeat_interval: Duration,
    /// After this, give or take a tenth, a stream is told goodbye, so that edges spread over servers.
    pub max_stream_age: Duration,
    /// How long an edge that went away is still listed.
    pub edge_retention: Duration,
    /// How long a stop waits for streams and requests to end.
    pub drain: Duration,
    /// How much of everything is accepted.
    pub limits: Limits,
    /// The clock that tokens and expiries are checked against; the machine's unless said.
    pub clock: Arc<dyn Clock>,
}

impl ServeConfig {
    /// The defaults, for a data folder and an address.
    pub fn new(data_dir: impl Into<PathBuf>, listen: SocketAddr) -> Self {
        Self {
            data_dir: data_dir.into(),
            listen,
            tls: None,
            allow_plaintext: false,
            admin_token: None,
            publishers: BTreeMap::new(),
            heartbeat_interval: Duration::from_secs(15),
            max_stream_age: Duration::from_secs(30 * 60),
            edge_retention: Duration::from_secs(24 * 60 * 60),
            drain: Duration::from_secs(5),
            limits: Limits::default(),
            clock: Arc::new(SystemClock::new()),
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        let refuse = |text: String| Err(Error::Config(text));
        if self.tls.is_none() && !self.listen.ip().is_loopback() && !self.allow_plaintext {
            return refuse(format!(
                "{} isn't loopback and there is no certificate: tokens would travel in the clear; give a certificate and \
                 key, or allow plain text if something else encrypts",
                self.listen
            ));
        }
        let heartbeat = self.heartbeat_interval;
        if heartbeat.is_zero() || heartbeat > Duration::from_secs(60) {
            return refuse(format!("a heartbeat every {heartbeat:?}; choose 5 to 60 s"));
        }
        if self.max_stream_age < 2 * heartbeat {
            return refuse("streams would end before their second heartbeat; raise max_stream_age".to_owned());
        }
        if self.publishers.keys().any(String::is_empty) {
            return refuse("a tenant must have a name".to_owned());
        }
        Ok(())
    }
}

impl fmt::Debug for ServeConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServeConfig")
            .field("data_dir", &self.data_dir)
            .field("listen", &self.listen)
            .field("tls", &self.tls)
            .field("allow_plaintext", &self.allow_plaintext)
            .field("admin_token", &self.admin_token)
            .field("publishers", &self.publishers)
            .field("heartbeat_interval", &self.heartbeat_interval)
            .field("max_stream_age", &self.max_stream_age)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

// === impl Tls ===

/// A certificate and its key.
#[derive(Clone)]
pub struct Tls {
    /// The certificate, then those that lead to its root, in PEM.
    pub cert_pem: Vec<u8>,
    /// The private key, in PEM.
    pub key_pem: Vec<u8>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls(secret)")
    }
}

// === impl AdminToken ===

/// The secret of whoever may administer the server. Never printed by `Debug`, and compared in constant time.
#[derive(Clone)]
pub struct AdminToken(String);

impl AdminToken {
    /// Takes a token that the operator chose.
    ///
    /// # Errors
    /// It is too short, or isn't printable ASCII without spaces, which a header can't carry.
    pub fn new(token: impl Into<String>) -> Result<Self, Error> {
        let token = token.into();
        if token.len() < MIN_ADMIN_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Error::Config(format!(
                "an admin token has at least {MIN_ADMIN_TOKEN} printable ASCII characters and no spaces; leave it out to \
                 have one generated"
            )));
        }
        Ok(Self(token))
    }

    pub(crate) fn generate() -> Result<Self, Error> {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(|e| Error::Config(format!("the system gives no randomness: {e}")))?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// The token itself, for handing it to whoever administers.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this token. Takes as long for any wrong one.
    #[must_use]
    pub fn matches(&self, presented: &str) -> bool {
        // Digests have one length, so that not even the token's is told.
        let (own, other) = (Digest::of(self.0.as_bytes()), Digest::of(presented.as_bytes()));
        aws_lc_rs::constant_time::verify_slices_are_equal(own.as_bytes(), other.as_bytes()).is_ok()
    }
}

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(secret)")
    }
}

// === impl Limits ===

/// How much of everything is accepted. More is refused with a code that says so; nothing queues without end.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Open calls on one HTTP/2 connection.
    pub calls_per_connection: u32,
    /// Open streams of one tenant: subscriptions, evaluations and audit together.
    pub streams_per_tenant: usize,
    /// Requests being decided at once, in the whole server.
    pub evaluations: usize,
    /// Requests that wait for their turn to be decided; one more is refused as too many.
    pub waiting_evaluations: usize,
    /// Requests of one evaluation stream being decided at once.
    pub evaluations_per_stream: usize,
    /// Requests in one HTTP batch.
    pub batch_requests: usize,
    /// Bytes of one gRPC message, and of one HTTP body other than a bundle.
    pub message_bytes: usize,
    /// Bytes of a published bundle's archive.
    pub bundle_bytes: usize,
    /// Records in one audit batch.
    pub audit_records: usize,
    /// Bytes of one audit record.
    pub audit_record_bytes: usize,
    /// Largest file sent inside an event; larger ones are fetched.
    pub inline_bytes: u64,
    /// Versions kept of each scope; from an older one an edge gets a snapshot.
    pub history: usize,
    /// Scopes of one tenant.
    pub scopes_per_tenant: usize,
    /// Edges remembered of one tenant.
    pub edges_per_tenant: usize,
    /// How long the handshake, a request's head, or its body may take.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            calls_per_connection: 256,
            streams_per_tenant: 10_000,
            evaluations: 64,
            waiting_evaluations: 1024,
            evaluations_per_stream: 32,
            batch_requests: 1000,
            message_bytes: 4 * 1024 * 1024,
            bundle_bytes: 64 * 1024 * 1024,
            audit_records: 4096,
            audit_record_bytes: 256 * 1024,
            inline_bytes: 256 * 1024,
            history: 64,
            scopes_per_tenant: 64,
            edges_per_tenant: 10_000,
            patience: Duration::from_secs(20),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(listen: &str) -> ServeConfig {
        ServeConfig::new("/nowhere", listen.parse().unwrap())
    }

    #[test]
    fn plain_text_is_refused_off_loopback() {
        assert!(config("127.0.0.1:0").check().is_ok());
        assert!(config("[::1]:0").check().is_ok());
        assert!(config("0.0.0.0:0").check().is_err());
        assert!(config("192.0.2.1:0").check().is_err());
        assert!(ServeConfig { allow_plaintext: true, ..config("0.0.0.0:0") }.check().is_ok());
        let tls = Some(Tls { cert_pem: vec![], key_pem: vec![] });
        assert!(ServeConfig { tls, ..config("0.0.0.0:0") }.check().is_ok());
    }

    #[test]
    fn secrets_are_not_printed() {
        let mut config = config("127.0.0.1:0");
        config.admin_token = Some(AdminToken::new("correct-horse-battery").unwrap());
        config.tls = Some(Tls { cert_pem: b"cert".to_vec(), key_pem: b"canary".to_vec() });
        let text = format!("{config:?}");
        assert!(!text.contains("horse") && !text.contains("canary"), "{text}");
    }

    #[test]
    fn admin_tokens() {
        assert!(AdminToken::new("short").is_err());
        assert!(AdminToken::new("with a space in it, and long").is_err());
        let token = AdminToken::generate().unwrap();
        assert_eq!(token.expose().len(), 64);
        assert!(token.matches(token.expose()));
        for wrong in ["", "x", token.expose().get(1..).unwrap(), &format!("{}0", token.expose())] {
            assert!(!token.matches(wrong));
        }
    }
}
