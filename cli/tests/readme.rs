//! README's two shells, run as printed: but for the port, and once for each of the three effects.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

#[test]
fn three_ways_to_ask_give_one_answer() {
    if Command::new("curl").arg("--version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "curl is missing");
        return println!("skipped: README's two shells (no curl)");
    }
    let (first, second) = two_shells();
    let [keys, serve] = first.as_slice() else { panic!("the first shell: {first:?}") };
    assert!(serve.starts_with("meshguard serve"), "{serve}");
    let ask = second.iter().position(|command| command.starts_with("tr ")).unwrap();
    let (prepare, ask) = second.split_at(ask);
    assert_eq!(ask.len(), 3, "edge, curl, eval: {ask:?}");

    let dir = tempfile::tempdir().unwrap();
    symlink(repository().join("examples"), dir.path().join("examples")).unwrap();
    let url = format!("127.0.0.1:{}", free_port());
    let mut script = format!("set -euo pipefail\n{keys}\n{serve} --listen {url} 2>serve.log &\n");
    script.push_str("server=$!\ntrap 'kill $server' EXIT\n");
    script.push_str(&format!("until curl -sf http://{url}/health >/dev/null; do kill -0 $server; done\n"));
    script.push_str(&prepare.join("\n").replace("127.0.0.1:7420", &url));
    for effect in ["allow", "deny", "require_approval"] {
        for command in ask {
            script.push_str(&format!("\necho '@@'\n{}\n", command.replace("deny.json", &format!("{effect}.json"))));
        }
    }
    script.push_str("\necho '@@'\nmeshguard status --json\necho '@@'\nmeshguard --json audit tail --tenant acme\n");
    script.push_str("echo '@@'\nmeshguard policy list --json\n");
    let output = bash(dir.path(), &script);

    let answers: Vec<&str> = output.split("@@\n").skip(1).map(str::trim).collect();
    let json =
        |at: usize| -> Value { serde_json::from_str(answers[at]).unwrap_or_else(|e| panic!("{e}: {}", answers[at])) };
    for (at, effect) in ["allow", "deny", "require_approval"].into_iter().enumerate() {
        let (edge, http, folder) = (json(at * 3), json(at * 3 + 1), json(at * 3 + 2));
        assert_eq!(edge["effect"], effect, "{edge}");
        assert_eq!(http["decision"], effect, "{http}");
        assert_eq!(folder["effect"], effect, "{folder}");
        assert_eq!((&edge["rule"], &edge["rule"]), (&http["matchedRule"], &folder["rule"]));
    }
    let edges = json(9);
    assert_eq!(edges[0]["agent_id"], "my-agent", "{edges}");
    assert_eq!(edges[0]["revision"]["version"], 1, "{edges}");
    // What the edge decided was shipped before it ended; what curl asked the control plane records in its own time.
    let of_edge = |line: &&str| line.contains(r#""kind":"decision""#) && line.contains(r#""agent_id":"my-agent""#);
    assert_eq!(answers[10].lines().filter(of_edge).count(), 3, "{}", answers[10]);
    assert_eq!(json(11)[0]["tenant"], "acme");
}

/// The commands of the section's two blocks.
fn two_shells() -> (Vec<String>, Vec<String>) {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme.split("## Two shells").nth(1).unwrap().split("\n## ").next().unwrap();
    let mut blocks = section.split("```console\n").skip(1).map(|block| commands(block.split("```").next().unwrap()));
    let first = blocks.next().unwrap();
    (first, blocks.flatten().collect())
}

/// What follows a `$`, with its continued lines.
fn commands(block: &str) -> Vec<String> {
    block.split("$ ").filter(|text| !text.trim().is_empty()).fold(Vec::new(), |mut commands, text| {
        // `$` also starts a variable: only a `$ ` at the start of a line begins a command, which README keeps to.
        commands.push(text.trim().to_owned());
        commands
    })
}

fn bash(dir: &Path, script: &str) -> String {
    let meshguard = PathBuf::from(env!("CARGO_BIN_EXE_meshguard"));
    let path = format!("{}:{}", meshguard.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash").args(["-c", script]).current_dir(dir).env("PATH", path).output().unwrap();
    let log = fs::read_to_string(dir.join("serve.log")).unwrap_or_default();
    assert!(
        output.status.success(),
        "{}\n--- server\n{log}\n--- script\n{script}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}
