//! A server with a publisher and its agents.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use meshguard_engine::token::Claims;
use meshguard_engine::{Bundle, Clock, ManualClock, Revision, SignedBundle, SigningKey, Target, Tier};
use meshguard_pdp::{ServeConfig, Server};
use meshguard_proto::v1;
use meshguard_proto::v1::mesh_guard_pdp_client::MeshGuardPdpClient;
use meshguard_proto::v1::mesh_guard_sync_client::MeshGuardSyncClient;
use meshguard_proto::v1::policy_change_event::Event;
use serde_json::Value;
use tonic::metadata::MetadataValue;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status, Streaming};

/// Nothing that is waited for takes so long, unless it is broken.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

pub(crate) const POLICY: &str = r#"
package meshguard

default decision := {"effect": "deny", "reason": "nothing allows it", "rule": "default"}

decision := {"effect": "allow", "rule": "read"} if input.action == "files.read"

decision := {"effect": "allow", "rule": "write"} if {
	input.action == "files.write"
	input.actor.tier == "trusted"
}

decision := {"effect": "allow", "rule": "mail", "obligations": [{"id": "redact", "fields": ["to"]}]} if {
	input.action == "mail.send"
}

decision := {
	"effect": "require_approval", "rule": "pay", "reason": "somebody must agree",
	"approval": {"approvers": ["cfo"], "ttl_s": 600},
} if {
	input.action == "pay"
}

decision := {"effect": "allow", "rule": "approved"} if {
	input.action == "deploy"
	data.approvals[input.approval.id] == "granted"
}

default risky := false

risky if input.action == "files.read"
"#;

const MANIFEST: &str = r#"{"metadata": {"meshguard": {
    "entrypoints": {"data.meshguard.decision": {"max_staleness_ms": 1}, "data.meshguard.risky": {"defer": "always"}},
    "remote_roots": ["data.approvals"]
}}}"#;

pub(crate) type Pdp = MeshGuardPdpClient<InterceptedService<Channel, Bearer>>;
pub(crate) type Sync = MeshGuardSyncClient<InterceptedService<Channel, Bearer>>;

/// A running server, and who has to do with it.
pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) publisher: SigningKey,
    pub(crate) config: ServeConfig,
    pub(crate) server: Option<Server>,
    pub(crate) clock: Arc<ManualClock>,
}

impl World {
    /// Tenant `acme` has a publisher; nothing is published.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut ServeConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let publisher = SigningKey::generate().unwrap();
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis();
        let clock = Arc::new(ManualClock::at(i64::try_from(now).unwrap()));
        let mut config = ServeConfig::new(dir.path(), "127.0.0.1:0".parse().unwrap());
        config.publishers = [("acme".to_owned(), vec![publisher.public().unwrap()])].into();
        config.clock = Arc::clone(&clock) as Arc<dyn Clock>;
        // A test's client doesn't read while its thread stops the server.
        config.drain = Duration::from_millis(300);
        change(&mut config);
        let server = Some(Server::start(config.clone()).unwrap());
        Self { dir, publisher, config, server, clock }
    }

    /// The same with version 1 of the policy.
    pub(crate) fn published() -> Self {
        let world = Self::new();
        world.publish(1, POLICY);
        world
    }

    pub(crate) fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub(crate) fn stop(&mut self) {
        self.server.take().unwrap().stop();
    }

    pub(crate) fn restart(&mut self) {
        if self.server.is_some() {
            self.stop();
        }
        self.server = Some(Server::start(self.config.clone()).unwrap());
    }

    pub(crate) fn token(&self, tenant: &str, agent: &str) -> String {
        let claims = Claims::new(tenant, agent, Tier::Trusted, self.clock.wall_ms(), 3600);
        self.server().issue(&claims).unwrap()
    }

    pub(crate) fn signed(&self, version: u64, policy: &str) -> SignedBundle {
        let target = Target::new("acme", version, self.clock.wall_ms());
        bundle(policy).sign(&target, &self.publisher).unwrap()
    }

    pub(crate) fn publish(&self, version: u64, policy: &str) -> Revision {
        let (status, body) = self.post_bundle(&self.signed(version, policy));
        assert_eq!(status, 201, "{body}");
        serde_json::from_value(body["revision"].clone()).unwrap()
    }

    pub(crate) fn post_bundle(&self, signed: &SignedBundle) -> (u16, Value) {
        self.post_archive(signed.to_tar_gz().unwrap())
    }

    pub(crate) fn post_archive(&self, archive: Vec<u8>) -> (u16, Value) {
        self.admin("POST", "/api/v1/admin/policies", archive).json()
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let bearer = format!("Bearer {}", self.server().admin_token().expose());
        self.call(method, path, &[("authorization", &bearer)], body)
    }

    pub(crate) fn agent(&self, method: &str, path: &str, body: impl Into<Vec<u8>>) -> Answer {
        let bearer = format!("Bearer {}", self.token("acme", "agent-7"));
        self.call(method, path, &[("authorization", &bearer)], body)
    }

    pub(crate) fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> Answer {
        let mut request =
            ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.server().addr()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(DEADLINE))
            .allow_non_standard_methods(true)
            .build()
            .into();
        let mut response = agent.run(request.body(body.into()).unwrap()).unwrap();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap_or_default().to_owned()))
            .collect();
        let status = response.status().as_u16();
        Answer { status, headers, body: response.body_mut().read_to_vec().unwrap() }
    }

    /// A GET with headers that no well-behaved client sends.
    pub(crate) fn raw(&self, path: &str, headers: &[(&str, &str)]) -> (u16, Value) {
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let mut stream = TcpStream::connect(self.server().addr()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\n{headers}\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    pub(crate) async fn channel(&self) -> Channel {
        let endpoint = Channel::from_shared(format!("http://{}", self.server().addr())).unwrap();
        within(endpoint.connect()).await.unwrap()
    }

    pub(crate) async fn pdp(&self) -> Pdp {
        self.pdp_as(&self.token("acme", "agent-7")).await
    }

    pub(crate) async fn pdp_as(&self, token: &str) -> Pdp {
        MeshGuardPdpClient::with_interceptor(self.channel().await, Bearer(token.to_owned()))
    }

    pub(crate) async fn sync(&self) -> Sync {
        self.sync_as(&self.token("acme", "agent-7")).await
    }

    pub(crate) async fn sync_as(&self, token: &str) -> Sync {
        MeshGuardSyncClient::with_interceptor(self.channel().await, Bearer(token.to_owned()))
    }
}

/// A bundle of one policy, a second file that never changes, and the settings above.
pub(crate) fn bundle(policy: &str) -> Bundle {
    let files = [(".manifest", MANIFEST), ("policy.rego", policy), ("constant/data.json", r#"{"never": "changes"}"#)];
    Bundle::from_files(files.map(|(path, body)| (path.to_owned(), body.to_owned().into())).into()).unwrap()
}

/// The policy with a comment more: another body, the same answers.
pub(crate) fn policy_with(comment: &str) -> String {
    format!("{POLICY}\n# {comment}\n")
}

/// An answer over HTTP.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn json(&self) -> (u16, Value) {
        let body = serde_json::from_slice(&self.body);
        (self.status, body.unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&self.body).into())))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }
}

/// Adds a token to each call; none if it is empty.
#[derive(Clone)]
pub(crate) struct Bearer(pub(crate) String);

impl tonic::service::Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if !self.0.is_empty() {
            let value: MetadataValue<_> = format!("Bearer {}", self.0).parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("this took too long")
}

/// The next event of a stream, heartbeats passed over.
pub(crate) async fn next(events: &mut Streaming<v1::PolicyChangeEvent>) -> Event {
    loop {
        match within(events.message()).await.unwrap().expect("the stream goes on").event.unwrap() {
            Event::Heartbeat(_) => {}
            event => return event,
        }
    }
}

/// Asks until it is so.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !is_so() {
        assert!(started.elapsed() < DEADLINE, "not in time: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn request(action: &str) -> v1::PolicyRequest {
    v1::PolicyRequest { request_id: "r".into(), action: action.into(), ..Default::default() }
}

pub(crate) fn wire(revision: Revision) -> v1::Revision {
    v1::Revision {
        key_epoch: revision.key_epoch,
        version: revision.version,
        manifest_digest: revision.manifest.as_bytes().to_vec(),
    }
}
