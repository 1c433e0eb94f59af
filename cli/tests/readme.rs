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
    // A key that didn't sign what is served; and no control plane, but a bundle that is held.
    script.push_str("meshguard keys generate --out other >/dev/null\ncode=0\n");
    script.push_str("meshguard edge --state state/other --wait 1 --trust-key other.pub </dev/null 2>&1 || code=$?\n");
    script.push_str("echo \"exit code $code\"\necho '@@'\n");
    script.push_str("meshguard edge --state state/edge --wait 1 --trust-key publisher.pub ");
    script.push_str("--gateway http://127.0.0.1:9 </dev/null 2>&1\n");
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
        let reason = &edge["reasons"][0]["message"];
        assert_eq!((reason, reason), (&http["reason"], &folder["reasons"][0]["message"]));
    }
    let edges = json(9);
    assert_eq!(edges[0]["agent_id"], "my-agent", "{edges}");
    assert_eq!(edges[0]["revision"]["version"], 1, "{edges}");
    // What the edge decided was shipped before it ended; what curl asked the control plane records in its own time.
    let of_edge = |line: &&str| line.contains(r#""kind":"decision""#) && line.contains(r#""agent_id":"my-agent""#);
    assert_eq!(answers[10].lines().filter(of_edge).count(), 3, "{}", answers[10]);
    let (list, refused) = answers[11].split_once('\n').unwrap();
    assert_eq!(serde_json::from_str::<Value>(list).unwrap()[0]["tenant"], "acme");
    assert!(refused.contains("not signed by a trusted key") && refused.ends_with("exit code 4"), "{refused}");
    assert!(answers[12].contains("deciding from what is held"), "{}", answers[12]);
    assert!(!refused.contains('\x1b') && !answers[12].contains('\x1b'), "colours are for terminals");
}

#[test]
fn tls_with_a_certificate_of_ones_own() {
    if ["curl", "openssl"].iter().any(|tool| Command::new(tool).arg("version").output().is_err()) {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "curl or openssl is missing");
        return println!("skipped: README's TLS (no curl or openssl)");
    }
    let [openssl, serve, status] = section("TLS").remove(0).try_into().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("127.0.0.1:{}", free_port());
    // What a client shows is not what a server accepts: `serve` makes a token of its own.
    let script = format!(
        "set -euo pipefail\nmeshguard keys generate >/dev/null\n{openssl} 2>/dev/null\n\
         MESHGUARD_ADMIN_TOKEN=of-another-server {serve} --listen {url} 2>serve.log &\n\
         server=$!\ntrap 'kill $server' EXIT\n\
         until curl -sf --cacert tls.crt https://{url}/health >/dev/null; do kill -0 $server; done\n\
         export MESHGUARD_ADMIN_TOKEN=$(cat state/control-plane/admin.token)\n{}\n\
         meshguard status --gateway http://{url} 2>&1 || echo \"exit code $?\"\n",
        status.replace("127.0.0.1:7420", &url)
    );
    let output = bash(dir.path(), &script);
    assert!(output.contains("tenant") && output.contains("does it speak https?"), "{output}");
    assert!(output.ends_with("exit code 5\n"), "{output}");
}

/// The commands of the first shell, and those of the second.
fn two_shells() -> (Vec<String>, Vec<String>) {
    let mut blocks = section("Two shells").into_iter();
    let first = blocks.next().unwrap();
    (first, blocks.flatten().collect())
}

/// The commands of a section's blocks.
fn section(name: &str) -> Vec<Vec<String>> {
    let readme = fs::read_to_string(repository().join("README.md")).unwrap();
    let section = readme.split(&format!("\n## {name}\n")).nth(1).unwrap().split("\n## ").next().unwrap();
    section.split("```console\n").skip(1).map(|block| commands(block.split("```").next().unwrap())).collect()
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
