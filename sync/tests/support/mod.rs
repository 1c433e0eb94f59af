//! A gateway on a loopback port that does what a test tells it to, and remembers what it was told.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use meshguard_engine::{Bundle, Digest, Revision, SignedBundle, SigningKey, Target};
use meshguard_proto::v1;
use meshguard_proto::v1::mesh_guard_pdp_server::{MeshGuardPdp, MeshGuardPdpServer};
use meshguard_proto::v1::mesh_guard_sync_server::{MeshGuardSync, MeshGuardSyncServer};
use meshguard_proto::v1::policy_change_event::Event;
use meshguard_sync::{EdgeConfig, Reconnect};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// Long enough for anything that happens at all.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const TOKEN: &str = "the-agents-token";

/// What the gateway does, and what it was told.
#[derive(Default)]
pub(crate) struct Script {
    /// What it publishes.
    pub(crate) head: Option<SignedBundle>,
    /// How each call fails, if it does.
    pub(crate) subscribe_fails: Option<Status>,
    pub(crate) report_fails: Option<Status>,
    /// Send files by reference instead of inline.
    pub(crate) by_reference: bool,
    /// Break off each fetch after so many bytes.
    pub(crate) fetch_breaks_after: Option<usize>,
    /// Answers to questions; none: silence.
    pub(crate) evaluate: Option<Result<v1::PolicyResponse, Status>>,
    /// Ask once for everything again from here.
    pub(crate) audit_need_from: Option<u64>,

    pub(crate) subscriptions: Vec<v1::PolicySubscription>,
    pub(crate) sent_paths: Vec<String>,
    pub(crate) fetches: Vec<v1::FetchRequest>,
    pub(crate) reports: Vec<v1::AgentReport>,
    pub(crate) questions: Vec<v1::PolicyRequest>,
    /// Records by chain and number, each kept once.
    pub(crate) records: HashMap<(Vec<u8>, u64), Bytes>,
    pub(crate) batches: u64,
    pub(crate) tokens: Vec<Option<String>>,
    /// The scopes that questions named.
    pub(crate) scopes: Vec<Option<String>>,
}

#[derive(Clone)]
pub(crate) struct Gateway {
    script: Arc<Mutex<Script>>,
    changed: watch::Sender<u64>,
}

/// A running gateway; dropped, its streams break.
pub(crate) struct Running {
    pub(crate) gateway: Gateway,
    pub(crate) addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

impl Running {
    pub(crate) fn start() -> Self {
        Self::start_at(Gateway::new(), "127.0.0.1:0".parse().unwrap())
    }

    /// At any free port, with TLS.
    pub(crate) fn start_with_tls(cert_pem: &str, key_pem: &str) -> Self {
        let tls = ServerTlsConfig::new().identity(Identity::from_pem(cert_pem, key_pem));
        Self::start_server(Gateway::new(), "127.0.0.1:0".parse().unwrap(), Some(tls))
    }

    pub(crate) fn start_at(gateway: Gateway, addr: SocketAddr) -> Self {
        Self::start_server(gateway, addr, None)
    }

    fn start_server(gateway: Gateway, addr: SocketAddr, tls: Option<ServerTlsConfig>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(addr)).unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let served = gateway.clone();
        runtime.spawn(async move {
            let mut server = Server::builder();
            if let Some(tls) = tls {
                server = server.tls_config(tls).unwrap();
            }
            let server = server
                .add_service(MeshGuardPdpServer::new(served.clone()))
                .add_service(MeshGuardSyncServer::new(served))
                .serve_with_incoming(TcpListenerStream::new(listener));
            tokio::select! {
                _ = server => {}
                _ = stopped => {}
            }
        });
        Self { gateway, addr, stop: Some(stop), runtime: Some(runtime) }
    }

    /// Stops it, and gives back what is needed to start it again at the same place.
    pub(crate) fn stop(mut self) -> (Gateway, SocketAddr) {
        self.end();
        (self.gateway.clone(), self.addr)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Gateway {
    pub(crate) fn new() -> Self {
        Self { script: Arc::default(), changed: watch::channel(0).0 }
    }

    /// What it does and was told; changes take effect at once.
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap()
    }

    pub(crate) fn publish(&self, bundle: SignedBundle) {
        self.script().head = Some(bundle);
        self.note();
    }

    /// Waits until what it was told satisfies `holds`.
    pub(crate) fn wait(&self, what: &str, mut holds: impl FnMut(&Script) -> bool) {
        let mut changed = self.changed.subscribe();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let waited = runtime.block_on(async {
            let happens = async {
                while !holds(&self.script()) {
                    changed.changed().await.unwrap();
                }
            };
            tokio::time::timeout(PATIENCE, happens).await
        });
        assert!(waited.is_ok(), "{what} didn't happen");
    }

    fn note(&self) {
        self.changed.send_modify(|count| *count += 1);
    }

    fn authorise<T>(&self, request: &Request<T>) {
        let token = request.metadata().get("authorization").map(|token| token.to_str().unwrap().to_owned());
        self.script().tokens.push(token);
    }

    /// Everything that brings a stream to the head, and what it is then.
    fn update(&self) -> (Vec<Event>, Option<Revision>) {
        let mut script = self.script();
        let Some(head) = script.head.clone() else { return (vec![], None) };
        let held = script.subscriptions.last().and_then(|s| s.have.first()).and_then(|have| have.revision.clone());
        let revision = revision(&head);
        let to = Some(wire(revision));
        if held.is_some_and(|held| held.manifest_digest == revision.manifest.as_bytes()) {
            let kind = v1::intent::Kind::UpToDate.into();
            let intent = v1::Intent { kind, to: to.clone(), ..v1::Intent::default() };
            return (vec![Event::Intent(intent), heartbeat(revision)], Some(revision));
        }
        let kind = v1::intent::Kind::Snapshot.into();
        let mut events = vec![
            Event::Intent(v1::Intent { kind, to: to.clone(), ..v1::Intent::default() }),
            Event::Head(v1::Head { manifest: Some(envelope(&head)), freshness: None }),
        ];
        for file in head.manifest().unwrap().files {
            let body = head.files[&file.path].clone();
            let body = if script.by_reference {
                v1::file_op::Body::ByReference(true)
            } else {
                v1::file_op::Body::Inline(body)
            };
            script.sent_paths.push(file.path.clone());
            events.push(Event::FileOp(v1::FileOp {
                kind: v1::file_op::Kind::Put.into(),
                path: file.path,
                digest: file.digest.as_bytes().to_vec(),
                size: file.size,
                codec: v1::Codec::Identity.into(),
                body: Some(body),
            }));
        }
        events.push(Event::Commit(v1::Commit { revision: to }));
        (events, Some(revision))
    }
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl MeshGuardPdp for Gateway {
    type EvaluateStreamStream = Events<v1::PolicyResponse>;
    type SubscribeStream = Events<v1::PolicyChangeEvent>;

    async fn evaluate(&self, request: Request<v1::PolicyRequest>) -> Result<Response<v1::PolicyResponse>, Status> {
        self.authorise(&request);
        let answer = {
            let mut script = self.script();
            let scope = request.metadata().get("x-meshguard-scope").map(|scope| scope.to_str().unwrap().to_owned());
            script.scopes.push(scope);
            script.questions.push(request.into_inner());
            script.evaluate.clone()
        };
        self.note();
        match answer {
            Some(answer) => answer.map(Response::new),
            None => std::future::pending().await,
        }
    }

    async fn evaluate_stream(
        &self,
        _: Request<Streaming<v1::PolicyRequest>>,
    ) -> Result<Response<Self::EvaluateStreamStream>, Status> {
        Err(Status::unimplemented("not in these tests"))
    }

    async fn subscribe(
        &self,
        request: Request<v1::PolicySubscription>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.authorise(&request);
        let fails = {
            let mut script = self.script();
            script.subscriptions.push(request.into_inner());
            script.subscribe_fails.clone()
        };
        self.note();
        if let Some(status) = fails {
            return Err(status);
        }
        let (events, stream) = mpsc::channel(64);
        tokio::spawn(serve(self.clone(), events));
        Ok(Response::new(Box::pin(ReceiverStream::new(stream))))
    }
}

/// One stream: a hello, then each new head as it comes.
async fn serve(gateway: Gateway, events: mpsc::Sender<Result<v1::PolicyChangeEvent, Status>>) -> Option<()> {
    let mut changed = gateway.changed.subscribe();
    let mut seq = 0;
    let mut next = |scope: &str, event| {
        seq += 1;
        Ok(v1::PolicyChangeEvent { event_seq: seq, scope: scope.to_owned(), event: Some(event) })
    };
    let hello = v1::Hello { session_id: "session".into(), heartbeat_interval_ms: 60_000, ..v1::Hello::default() };
    events.send(next("", Event::Hello(hello))).await.ok()?;
    let mut sent = None;
    loop {
        changed.borrow_and_update();
        let (update, head) = gateway.update();
        if head != sent {
            for event in update {
                events.send(next("default", event)).await.ok()?;
            }
            sent = head;
        }
        tokio::select! {
            () = events.closed() => return None,
            changed = changed.changed() => changed.ok()?,
        }
    }
}

#[tonic::async_trait]
impl MeshGuardSync for Gateway {
    type FetchStream = Events<v1::Chunk>;
    type IngestAuditStream = Events<v1::AuditAck>;

    async fn fetch(&self, request: Request<v1::FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let request = request.into_inner();
        let mut script = self.script();
        script.fetches.push(request.clone());
        let digest = Digest::from_slice(&request.digest).unwrap();
        let head = script.head.as_ref().unwrap();
        let Some(body) = head.files.values().find(|body| Digest::of(body) == digest) else {
            return Err(Status::not_found("no such body"));
        };
        let offset = request.offset as usize;
        let end = script.fetch_breaks_after.map_or(body.len(), |count| (offset + count).min(body.len()));
        let mut pieces = vec![Ok(v1::Chunk {
            digest: request.digest,
            offset: request.offset,
            total_size: body.len() as u64,
            data: body.slice(offset..end),
        })];
        if end < body.len() {
            pieces.push(Err(Status::unavailable("broken off")));
        }
        Ok(Response::new(Box::pin(tokio_stream::iter(pieces))))
    }

    async fn report(&self, request: Request<v1::AgentReport>) -> Result<Response<v1::ReportDirective>, Status> {
        let fails = {
            let mut script = self.script();
            script.reports.push(request.into_inner());
            script.report_fails.clone()
        };
        self.note();
        fails.map_or_else(|| Ok(Response::new(v1::ReportDirective::default())), Err)
    }

    async fn ingest_audit(
        &self,
        request: Request<Streaming<v1::AuditBatch>>,
    ) -> Result<Response<Self::IngestAuditStream>, Status> {
        self.authorise(&request);
        let gateway = self.clone();
        let acks = request.into_inner().map(move |batch| batch.map(|batch| gateway.ingest(batch)));
        Ok(Response::new(Box::pin(acks)))
    }
}

impl Gateway {
    fn ingest(&self, batch: v1::AuditBatch) -> v1::AuditAck {
        let mut script = self.script();
        script.batches += 1;
        let ack = match script.audit_need_from.take() {
            Some(seq) => v1::AuditAck { need_from: Some(seq), ..v1::AuditAck::default() },
            None => {
                let end = batch.first_seq + batch.events.len() as u64;
                for (seq, event) in (batch.first_seq..).zip(batch.events) {
                    script.records.insert((batch.chain_id.clone(), seq), event);
                }
                v1::AuditAck { acked_through: Some(end), ..v1::AuditAck::default() }
            }
        };
        drop(script);
        self.note();
        v1::AuditAck { chain_id: batch.chain_id, batch_id: batch.batch_id, ..ack }
    }
}

/// The publisher of all bundles of one test.
pub(crate) struct Publisher(SigningKey);

impl Publisher {
    pub(crate) fn new() -> Self {
        Self(SigningKey::generate().unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.public().unwrap().to_pem()
    }

    pub(crate) fn sign(&self, version: u64, files: &[(&str, &str)]) -> SignedBundle {
        let now_ms = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as i64;
        let files = files.iter().map(|(path, body)| ((*path).to_owned(), Bytes::copy_from_slice(body.as_bytes())));
        let bundle = Bundle::from_files(files.collect()).unwrap();
        bundle.sign(&Target::new("acme", version, now_ms), &self.0).unwrap()
    }

    /// An edge's configuration that comes back quickly.
    pub(crate) fn config(&self, gateway: &str) -> EdgeConfig {
        let reconnect = Reconnect {
            base: Duration::from_millis(20),
            cap: Duration::from_millis(200),
            floor: Duration::from_millis(5),
            first: Duration::from_millis(50),
            ..Reconnect::default()
        };
        EdgeConfig::new("acme")
            .gateway(gateway)
            .agent_token(TOKEN)
            .trusted_key(self.pem())
            .reconnect(reconnect)
            .audit_interval(Duration::from_millis(10))
            .seed(7)
    }
}

pub(crate) fn revision(signed: &SignedBundle) -> Revision {
    signed.manifest().unwrap().revision(Digest::of(&signed.envelope.payload))
}

pub(crate) fn wire(revision: Revision) -> v1::Revision {
    v1::Revision {
        key_epoch: revision.key_epoch,
        version: revision.version,
        manifest_digest: revision.manifest.as_bytes().to_vec(),
    }
}

fn heartbeat(head: Revision) -> Event {
    Event::Heartbeat(v1::Heartbeat { head: Some(wire(head)), ..v1::Heartbeat::default() })
}

fn envelope(signed: &SignedBundle) -> v1::Envelope {
    let signatures = signed.envelope.signatures.iter();
    v1::Envelope {
        payload_type: signed.envelope.payload_type.clone(),
        payload: signed.envelope.payload.clone(),
        signatures: signatures
            .map(|signature| v1::Signature { key_id: signature.key_id.clone(), sig: signature.sig.to_vec() })
            .collect(),
    }
}
