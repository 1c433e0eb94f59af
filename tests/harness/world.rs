//! A control plane in this process, with its store on disk and a real port, and edges that use it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use meshguard_engine::token::Claims;
use meshguard_engine::{Bundle, SignedBundle, Target, Tier};
use meshguard_pdp::{ServeConfig, Server};
use meshguard_sync::{Edge, EdgeConfig, Reconnect};
use serde_json::Value;

use crate::{Publisher, TENANT};

/// How long anything that should take milliseconds may take, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct World {
    pub dir: tempfile::TempDir,
    pub publisher: Publisher,
    pub addr: SocketAddr,
    pub admin_token: String,
    pub identity_key: String,
    server: Option<Server>,
    http: ureq::Agent,
}

impl World {
    #[expect(clippy::new_without_default, reason = "it starts a server")]
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let publisher = Publisher::new();
        let server = serve(&dir, ([127, 0, 0, 1], 0).into());
        let http = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(PATIENCE)).build();
        let world = Self {
            addr: server.addr(),
            admin_token: server.admin_token().expose().to_owned(),
            identity_key: server.identity_key().to_pem(),
            server: Some(server),
            http: http.into(),
            publisher,
            dir,
        };
        world.trust(TENANT, &world.publisher);
        world
    }

    pub fn stop_server(&mut self) {
        self.server.take().unwrap().stop();
    }

    pub fn start_server(&mut self) {
        self.server = Some(serve(&self.dir, self.addr));
    }

    /// A token for `agent` of `tenant`.
    pub fn token(&self, tenant: &str, agent: &str) -> String {
        let claims = Claims::new(tenant, agent, Tier::Trusted, now_ms(), 3600);
        self.server.as_ref().unwrap().issue(&claims).unwrap()
    }

    pub fn trust(&self, tenant: &str, publisher: &Publisher) {
        let keys = serde_json::json!({ "keys": [publisher.public().to_pem()] });
        let path = format!("/api/v1/admin/tenants/{tenant}/publishers");
        assert_eq!(self.call("PUT", &path, &self.admin_token, keys.to_string().as_bytes()).0, 200);
    }

    pub fn set_data(&self, tenant: &str, data: &Value) {
        let path = format!("/api/v1/admin/tenants/{tenant}/data");
        let (status, answer) = self.call("PUT", &path, &self.admin_token, data.to_string().as_bytes());
        assert_eq!(status, 200, "{answer}");
    }

    pub fn sign(&self, bundle: Bundle, version: u64) -> SignedBundle {
        self.publisher.sign_for(bundle, &Target::new(TENANT, version, now_ms()))
    }

    /// Publishes, and insists that it is accepted.
    pub fn publish(&self, bundle: Bundle, version: u64) {
        let (status, answer) = self.try_publish(&self.sign(bundle, version));
        assert_eq!(status, 201, "{answer}");
    }

    pub fn try_publish(&self, signed: &SignedBundle) -> (u16, Value) {
        self.call("POST", "/api/v1/admin/policies", &self.admin_token, &signed.to_tar_gz().unwrap())
    }

    pub fn admin(&self, path: &str) -> Value {
        let (status, answer) = self.call("GET", &format!("/api/v1/admin/{path}"), &self.admin_token, b"");
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// Asks the control plane over HTTP.
    pub fn evaluate(&self, token: &str, request: &[u8]) -> (u16, Value) {
        self.call("POST", "/api/v1/pdp/evaluate", token, request)
    }

    pub fn call(&self, method: &str, path: &str, token: &str, body: &[u8]) -> (u16, Value) {
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.addr))
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(body)
            .unwrap();
        let mut response = self.http.run(request).unwrap();
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(64 << 20).read_to_string().unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    pub fn edge_dir(&self) -> PathBuf {
        self.dir.path().join("edge")
    }

    /// An edge of this world; its name is `edge-agent`.
    pub fn edge_config(&self) -> EdgeConfig {
        let soon = Duration::from_millis(200);
        EdgeConfig::new(TENANT)
            .gateway(format!("http://{}", self.addr))
            .agent_token(self.token(TENANT, "edge-agent"))
            .agent_id("edge-agent")
            .state_dir(self.edge_dir())
            .trusted_key(self.publisher.public().to_pem())
            .identity_key(self.identity_key.as_str())
            .obligation("redact")
            .obligation("max_rows")
            .reconnect(Reconnect { cap: soon, first: soon, ..Reconnect::default() })
    }

    pub fn open_edge(&self) -> Edge {
        Edge::open(self.edge_config()).unwrap()
    }
}

fn serve(dir: &tempfile::TempDir, addr: SocketAddr) -> Server {
    let mut config = ServeConfig::new(dir.path().join("control-plane"), addr);
    config.heartbeat_interval = Duration::from_millis(500);
    Server::start(config).unwrap()
}

pub fn now_ms() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap()
}

/// A folder of `examples/agent-tools`.
pub fn example(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../examples/agent-tools").join(path)
}
