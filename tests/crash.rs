//! `kill -9` of an edge in the middle of an update, fifty times: it starts again with the last revision that it had
//! activated or the one in flight, never an older one, and never with none.
//!
//! This program is its own edge: it starts itself with `edge` as the first argument, and kills that.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use harness::world::{PATIENCE, World};
use harness::{TENANT, files};
use meshguard_engine::{AtLeast, Bundle, Engine, Request, State};
use meshguard_sync::{Edge, EdgeConfig, Reconnect};

const KILLS: u64 = 50;

fn main() {
    let mut arguments = std::env::args().skip(1);
    if arguments.next().as_deref() == Some("edge") {
        return edge();
    }
    // `cargo test -- --list` and filters that don't mean this test.
    if std::env::args().any(|argument| argument == "--list") {
        return println!("killed_in_the_middle_of_an_update: test");
    }
    killed_in_the_middle_of_an_update();
    println!(
        "\ntest killed_in_the_middle_of_an_update ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n"
    );
}

/// The part that is killed: an edge that follows, and says what it serves once that is so.
fn edge() {
    let soon = Duration::from_millis(50);
    let config =
        EdgeConfig::from_json(std::env::var("EDGE_CONFIG").unwrap().as_bytes()).unwrap().reconnect(Reconnect {
            base: soon,
            cap: soon,
            floor: Duration::from_millis(1),
            first: soon,
            ..Reconnect::default()
        });
    let edge = Edge::open(config).unwrap();
    let mut next = edge.status().engine.revision.map_or(0, |revision| revision.version);
    println!("{next}");
    loop {
        next += 1;
        if edge.wait_for_revision(AtLeast { key_epoch: 1, version: next }, PATIENCE) {
            next = edge.status().engine.revision.map_or(next, |revision| revision.version);
            println!("{next}");
        }
    }
}

fn killed_in_the_middle_of_an_update() {
    let seed: u64 = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5EED);
    println!("seed {seed} (set SEED to repeat another)");
    let mut random = Random(seed);
    let world = World::new();
    world.publish(large(0), 1);
    let mut published = 1;
    let mut in_flight = 0;
    for round in 0..KILLS {
        let (mut child, served) = spawn(&world);
        let mut activated = wait_for(&served, published);
        published += 1;
        world.publish(large(published), published);
        // From before the edge hears of it to after it is done.
        std::thread::park_timeout(Duration::from_micros(random.below(80_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        while let Ok(version) = served.try_recv() {
            activated = activated.max(version);
        }
        let engine = Engine::builder(TENANT)
            .trust(world.publisher.public())
            .state_dir(world.edge_dir())
            .open()
            .unwrap_or_else(|error| panic!("round {round}: {error}"));
        let status = engine.status();
        let restarted = status.revision.map_or(0, |revision| revision.version);
        assert!(status.behind.is_none(), "round {round}: {:?}", status.behind);
        assert!(
            (activated..=published).contains(&restarted),
            "round {round}: served {activated}, published {published}, restarted with {restarted}"
        );
        assert!(matches!(status.state, State::Cached | State::Live), "round {round}: {:?}", status.state);
        assert!(engine.decide(&Request::new("agent-7", "act:3")).is_allowed(), "round {round}");
        in_flight += u64::from(restarted < published);
    }
    println!("{KILLS} kills; after {in_flight} of them the edge restarted with the version before the one in flight");
    // The control that this test could fail: kills must land on both sides of the activation.
    assert!(in_flight > 0, "no kill came before the activation; the delays are too long for this machine");
    assert!(in_flight < KILLS, "no kill came after the activation; the delays are too short for this machine");
}

fn spawn(world: &World) -> (Child, Receiver<u64>) {
    let config = serde_json::json!({
        "tenant": TENANT,
        "gateway": format!("http://{}", world.addr),
        "agent_token": world.token(TENANT, "edge-agent"),
        "state_dir": world.edge_dir(),
        "trusted_keys": [world.publisher.public().to_pem()],
    });
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("edge")
        .env("EDGE_CONFIG", config.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let _ = sender.send(line.parse().unwrap());
        }
    });
    (child, receiver)
}

fn wait_for(served: &Receiver<u64>, version: u64) -> u64 {
    loop {
        let now = served.recv_timeout(PATIENCE).expect("the edge follows");
        if now >= version {
            return now;
        }
    }
}

/// Large enough that verifying, compiling and writing take a while to be killed in.
fn large(version: u64) -> Bundle {
    let rules: String =
        (0..300).map(|i| format!("decision if {{ input.action == \"act:{i}\"; data.limit >= {i} }}\n")).collect();
    let rows: BTreeMap<String, String> =
        (0..2000).map(|i| (format!("row-{i}"), format!("value {i} of version {version}"))).collect();
    let data = serde_json::json!({ "limit": 1000, "rows": rows }).to_string();
    files(&[("policy.rego", &format!("package meshguard\ndefault decision := false\n{rules}")), ("data.json", &data)])
}

/// A seeded source; xorshift64* (Vigna, 2016).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}
