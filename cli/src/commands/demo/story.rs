//! The demo's steps, in order.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use meshguard_engine::token::Claims;
use meshguard_engine::{AtLeast, Bundle, Decision, Effect, ReasonCode, Request, SigningKey, Source, Target, Tier};
use meshguard_pdp::{ServeConfig, Server};
use meshguard_sync::{Edge, EdgeConfig, Reconnect};
use serde_json::Value;

use super::examples::{self, Case};
use super::report::{ProgressBar, Report};
use crate::admin::Admin;
use crate::commands::now_ms;
use crate::failure::Failure;

const TENANT: &str = "acme";
const AGENT: &str = "demo-agent";
/// What the example's policy asks the host to do; the demo says that it would.
const OBLIGATIONS: [&str; 2] = ["redact", "max_rows"];
/// How long anything that should take milliseconds may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Of the measured requests, one in this many needs what only the control plane holds.
const UNCERTAIN_EVERY: u32 = 1000;
/// Decisions made while the control plane is down.
const OFFLINE_DECISIONS: u32 = 5_000;

/// The people and things of the story.
pub(super) struct Story {
    world: World,
    publisher: SigningKey,
    server: Server,
    admin: Admin,
    cases: Vec<Case>,
    uncertain: Request,
}

/// What outlives a control plane and an edge.
struct World {
    dir: tempfile::TempDir,
    addr: SocketAddr,
    publisher_key: String,
    identity_key: String,
    agent_token: String,
}

impl Story {
    /// Starts a control plane and makes the keys.
    pub(super) fn begin(report: &mut Report) -> Result<Self, Failure> {
        let dir = tempfile::tempdir()?;
        let start = Instant::now();
        let server = serve(&dir, ([127, 0, 0, 1], 0).into())?;
        report.timed("control plane started", true, start.elapsed());

        let publisher = SigningKey::generate()?;
        let claims = Claims::new(TENANT, AGENT, Tier::Trusted, now_ms(), 3600);
        let world = World {
            addr: server.addr(),
            publisher_key: publisher.public()?.to_pem(),
            identity_key: server.identity_key().to_pem(),
            agent_token: server.issue(&claims)?,
            dir,
        };
        let admin = Admin::connect(&format!("http://{}", server.addr()), server.admin_token().expose(), None)?;
        admin.set_publishers(TENANT, std::slice::from_ref(&world.publisher_key))?;
        admin.set_data(TENANT, examples::remote_data()?)?;
        report.step(
            "keys made: the publisher's, and a token for the agent (a demo plays both)",
            true,
            publisher.public()?.id(),
            "",
        );
        Ok(Self { world, publisher, server, admin, cases: examples::cases()?, uncertain: examples::uncertain()? })
    }

    /// Tells it to the end.
    pub(super) fn tell(self, decisions: u32, report: &mut Report) -> Result<(), Failure> {
        self.publish("policy", 1, report)?;
        let start = Instant::now();
        let edge = self.world.open_edge()?;
        let live = edge.wait_until_live(PATIENCE) && edge.wait_for_revision(version(1), PATIENCE);
        report.timed("edge subscribed, verified and serving", live, start.elapsed());

        self.decide_many(&edge, decisions, report);
        self.update(&edge, report)?;

        let Self { world, server, cases, uncertain, .. } = self;
        server.stop();
        report.step("control plane stopped", true, world.addr.to_string(), "");
        offline(&edge, &cases, &uncertain, report);

        edge.close();
        let written = edge_records(&edge);
        drop(edge);
        let start = Instant::now();
        let edge = world.open_edge()?;
        let opened = start.elapsed();
        let held = cases.first().is_some_and(|case| edge.decide(&case.request).effect() == case.v2);
        report.timed("edge restarted, control plane down: open", held, opened);
        report.timed("edge restarted, control plane down: first decision", held, start.elapsed());

        let server = serve(&world.dir, world.addr)?;
        let start = Instant::now();
        let live = edge.wait_until_live(PATIENCE);
        let current = edge.status().engine.revision.is_some_and(|revision| revision.version == 2);
        report.timed("control plane back: resumed with nothing to send", live && current, start.elapsed());

        let start = Instant::now();
        let flushed = edge.flush_audit(PATIENCE);
        report.timed("control plane back: audit shipped", flushed, start.elapsed());
        let admin = Admin::connect(&format!("http://{}", server.addr()), server.admin_token().expose(), None)?;
        let on_server = server_records(&admin)?;
        report.audit(written + edge_records(&edge), on_server);
        edge.close();
        drop(edge);
        server.stop();
        Ok(())
    }

    fn publish(&self, folder: &str, version: u64, report: &mut Report) -> Result<Instant, Failure> {
        let bundle = examples::policy(folder)?;
        let rules = rules_of(&bundle)?;
        let signed = bundle.sign(&Target::new(TENANT, version, now_ms()), &self.publisher)?;
        let start = Instant::now();
        self.admin.publish(&signed.to_tar_gz()?)?;
        report.step(&format!("policy version {version} signed and published"), rules >= 40, rules, "rules");
        Ok(start)
    }

    /// The measured decisions, each held against OPA's answer. One that nobody gave in time isn't OPA's to judge: a busy
    /// machine makes the control plane late, and how often it was is a step of its own.
    fn decide_many(&self, edge: &Edge, n: u32, report: &mut Report) {
        let bar = ProgressBar::new(report);
        let (mut wrong, mut asked, mut answered) = (0_u64, 0_u64, 0_u64);
        let start = Instant::now();
        for i in 0..n {
            let uncertain = i % UNCERTAIN_EVERY == UNCERTAIN_EVERY - 1;
            let (request, expected) = match draw(&self.cases, i) {
                Some(case) if !uncertain => (&case.request, case.v1),
                _ => (&self.uncertain, Effect::Allow),
            };
            let began = Instant::now();
            let decision = edge.decide(request);
            report.count(&decision, began.elapsed());
            asked += u64::from(uncertain || decision.source != Source::Local);
            answered += u64::from(decision.source == Source::Remote);
            if decision.source != Source::FailureMode && decision.effect() != expected {
                wrong += 1;
                if wrong == 1 {
                    bar.clear();
                    report.say(&format!(
                        "          differs: request {}, expected {expected}, got {} ({})",
                        request.request_id,
                        decision.effect(),
                        reasons(&decision)
                    ));
                }
            }
            if i % 1000 == 0 {
                bar.show(i, n);
            }
        }
        bar.clear();
        let seconds = start.elapsed().as_secs_f64();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate, rounded for people")]
        let rate = (f64::from(n) / seconds).round() as u64;
        report.step(&format!("{n} decisions on one thread, audit on"), true, rate, "decisions/s");
        report.step("decisions that differ from OPA's", wrong == 0, wrong, "");
        let in_time = answered * 10 >= asked * 9;
        report.step("asked of the control plane, and answered in time", in_time, format!("{answered} of {asked}"), "");
        report.measured();
    }

    /// Version 2: from the call that publishes it to the edge deciding by it.
    fn update(&self, edge: &Edge, report: &mut Report) -> Result<(), Failure> {
        let start = self.publish("policy-v2", 2, report)?;
        let active = edge.wait_for_revision(version(2), PATIENCE);
        report.timed("version 2: from publish to active on the edge", active, start.elapsed());
        let differ = self.cases.iter().filter(|case| case.v1 != case.v2).count();
        let right = self.cases.iter().all(|case| edge.decide(&case.request).effect() == case.v2);
        report.step("version 2: requests whose answer changed, as OPA says", right && differ > 0, differ, "");
        Ok(())
    }
}

/// The control plane is down: what can be decided is decided, what can't is denied with its reasons.
fn offline(edge: &Edge, cases: &[Case], uncertain: &Request, report: &mut Report) {
    let right = |i: u32| {
        draw(cases, i).is_some_and(|case| {
            let decision = edge.decide(&case.request);
            decision.effect() == case.v2 && decision.source == Source::Local
        })
    };
    let held = (0..OFFLINE_DECISIONS).filter(|i| right(*i)).count();
    report.step("offline: decisions that went on, and are right", held == OFFLINE_DECISIONS as usize, held, "");

    let start = Instant::now();
    let decision = edge.decide(uncertain);
    let took = start.elapsed();
    let closed = decision.effect() == Effect::Deny
        && decision.has_reason(ReasonCode::RemoteData)
        && decision.has_reason(ReasonCode::RemoteUnavailable);
    report.step("offline: what only the control plane knows is denied", closed, reasons(&decision), "");
    report.timed("offline: and takes no longer than its budget", took < Duration::from_millis(100), took);
}

fn serve(dir: &tempfile::TempDir, addr: SocketAddr) -> Result<Server, Failure> {
    let mut config = ServeConfig::new(dir.path().join("control-plane"), addr);
    // Shorter than the protocol's usual 15 s, so that the story takes less than a minute.
    config.heartbeat_interval = Duration::from_secs(2);
    Ok(Server::start(config)?)
}

// === impl World ===

impl World {
    fn open_edge(&self) -> Result<Edge, Failure> {
        let soon = Duration::from_millis(500);
        let mut config = EdgeConfig::new(TENANT)
            .gateway(format!("http://{}", self.addr))
            .agent_token(self.agent_token.as_str())
            .agent_id(AGENT)
            .state_dir(self.dir.path().join("edge"))
            .trusted_key(self.publisher_key.as_str())
            .identity_key(self.identity_key.as_str())
            // A fleet spreads its return over seconds; one edge in a demo needn't.
            .reconnect(Reconnect { cap: soon, first: soon, ..Reconnect::default() });
        for obligation in OBLIGATIONS {
            config = config.obligation(obligation);
        }
        Ok(Edge::open(config)?)
    }
}

/// Spreads the cases evenly and out of order.
fn draw(cases: &[Case], i: u32) -> Option<&Case> {
    cases.get((i as usize).wrapping_mul(7919).checked_rem(cases.len())?)
}

fn version(version: u64) -> AtLeast {
    AtLeast { key_epoch: 1, version }
}

fn rules_of(bundle: &Bundle) -> Result<usize, Failure> {
    let engine = meshguard_engine::Engine::builder(TENANT).unsigned_bundle(bundle.clone()).open()?;
    Ok(engine.status().rules)
}

fn reasons(decision: &Decision) -> String {
    decision.reasons().iter().map(|reason| reason.code.as_str()).collect::<Vec<_>>().join(", ")
}

/// Records that this opening of the edge has made.
fn edge_records(edge: &Edge) -> u64 {
    edge.engine().flush(PATIENCE);
    edge.engine().journal().progress().next_seq
}

/// Records of the edge that the control plane holds, over all its chains.
fn server_records(admin: &Admin) -> Result<u64, Failure> {
    let chains = admin.get("audit/chains", &[("tenant", TENANT)])?;
    let of_edge = |chain: &&Value| chain.pointer("/agent_id").and_then(Value::as_str) == Some(AGENT);
    let records = |chain: &Value| chain.pointer("/records").and_then(Value::as_u64).unwrap_or(0);
    Ok(chains.as_array().into_iter().flatten().filter(of_edge).map(records).sum())
}
