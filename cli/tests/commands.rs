//! Commands by themselves: what they print, and the exit codes that scripts rely on.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

fn meshguard(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_meshguard"))
        .args(arguments)
        .current_dir(dir)
        .env_remove("MESHGUARD_GATEWAY_URL")
        .env_remove("MESHGUARD_ADMIN_TOKEN")
        .env_remove("MESHGUARD_AGENT_TOKEN")
        .env_remove("MESHGUARD_TENANT_ID")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[track_caller]
fn assert_fails(output: &Output, code: i32, text: &str) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{stderr}");
    assert!(stderr.contains(text), "{stderr}");
}

/// A folder with a policy, a key, and what signing makes of them.
fn scene() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("policy")).unwrap();
    let policy = "package meshguard\ndefault decision := false\ndecision if input.action == \"files.read\"\n";
    fs::write(dir.path().join("policy/p.rego"), policy).unwrap();
    json(&meshguard(dir.path(), &["--json", "keys", "generate"]));
    dir
}

#[test]
fn sign_verify_inspect_diff() {
    let dir = scene();
    let run = |arguments: &[&str]| meshguard(dir.path(), arguments);
    let sign = [
        "--json",
        "bundle",
        "sign",
        "policy",
        "-o",
        "b.tar.gz",
        "--key",
        "publisher.key",
        "--tenant",
        "acme",
        "--version",
        "7",
    ];
    assert_eq!(json(&run(&sign))["revision"]["version"], 7);
    assert_eq!(json(&run(&["--json", "bundle", "verify", "b.tar.gz", "--key", "publisher.pub"]))["ok"], true);
    let inspected = json(&run(&["--json", "bundle", "inspect", "b.tar.gz"]));
    assert_eq!((&inspected["signed"]["tenant"], &inspected["files"][0]["path"]), (&"acme".into(), &"p.rego".into()));
    assert_eq!(json(&run(&["--json", "bundle", "diff", "policy", "b.tar.gz"])), Value::Array(vec![]));

    json(&run(&["--json", "keys", "generate", "--out", "other"]));
    assert_fails(&run(&["bundle", "verify", "b.tar.gz", "--key", "other.pub"]), 4, "not signed by a trusted key");
    fs::write(dir.path().join("b.tar.gz"), "rubbish").unwrap();
    assert_fails(&run(&["bundle", "verify", "b.tar.gz", "--key", "publisher.pub"]), 4, "archive");
}

#[test]
fn a_policy_that_cannot_serve_is_refused_before_it_is_signed() {
    let dir = scene();
    fs::write(dir.path().join("policy/p.rego"), "package meshguard\ndecision := nope(1)\n").unwrap();
    let output = meshguard(dir.path(), &["bundle", "build", "policy", "-o", "b.tar.gz"]);
    assert_fails(&output, 4, "line 2: undefined function nope");
    assert!(!dir.path().join("b.tar.gz").exists());
}

/// Whoever signed it didn't look.
#[test]
fn verify_says_what_an_edge_would() {
    use meshguard_engine::{Bundle, SigningKey, Target};

    let dir = scene();
    fs::write(dir.path().join("policy/p.rego"), "package meshguard\ndecision := http.send({}).status == 200\n")
        .unwrap();
    let key = SigningKey::from_pem(&fs::read_to_string(dir.path().join("publisher.key")).unwrap()).unwrap();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let target = Target::new("acme", 1, i64::try_from(now_ms).unwrap());
    let signed = Bundle::from_path(&dir.path().join("policy")).unwrap().sign(&target, &key).unwrap();
    fs::write(dir.path().join("b.tar.gz"), signed.to_tar_gz().unwrap()).unwrap();
    let output = meshguard(dir.path(), &["bundle", "verify", "b.tar.gz", "--key", "publisher.pub"]);
    assert_fails(&output, 4, "`p.rego`: line 2: `http.send` isn't available");
}

#[test]
fn secrets_are_private_and_never_overwritten() {
    use std::os::unix::fs::PermissionsExt;
    let dir = scene();
    let mode = fs::metadata(dir.path().join("publisher.key")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let before = fs::read(dir.path().join("publisher.key")).unwrap();
    assert_fails(&meshguard(dir.path(), &["keys", "generate"]), 1, "publisher.key");
    assert_eq!(fs::read(dir.path().join("publisher.key")).unwrap(), before);
}

#[test]
fn eval_prints_the_value_and_the_decision() {
    let dir = scene();
    fs::write(dir.path().join("input.json"), r#"{"action": "files.read"}"#).unwrap();
    let result = json(&meshguard(dir.path(), &["eval", "-b", "policy", "-i", "input.json"]));
    assert_eq!(
        (&result["result"], &result["effect"], &result["defined"]),
        (&true.into(), &"allow".into(), &true.into())
    );
    let bench = json(&meshguard(dir.path(), &["eval", "-b", "policy", "-i", "input.json", "--bench", "200"]));
    assert_eq!(bench["n"], 200);
    assert!(bench["p50_ns"].as_u64().unwrap() > 0);
    fs::write(dir.path().join("twice.json"), r#"{"action": 1, "action": 2}"#).unwrap();
    assert_fails(&meshguard(dir.path(), &["eval", "-b", "policy", "-i", "twice.json"]), 1, "stands twice");
}

#[test]
fn eval_gives_opas_value_and_denies_past_a_swallowed_error() {
    let dir = scene();
    let policy = "package meshguard\nbad if to_number(input.x) == 1\ndecision if not bad\n";
    fs::write(dir.path().join("policy/p.rego"), policy).unwrap();
    fs::write(dir.path().join("input.json"), r#"{"x": "zz"}"#).unwrap();
    let result = json(&meshguard(dir.path(), &["eval", "-b", "policy", "-i", "input.json"]));
    assert_eq!((&result["result"], &result["effect"]), (&true.into(), &"deny".into()));
    let strict = meshguard(dir.path(), &["eval", "-b", "policy", "-i", "input.json", "--strict-builtin-errors"]);
    assert_fails(&strict, 1, "to_number");
}

#[test]
fn exit_codes() {
    let dir = scene();
    let run = |arguments: &[&str]| meshguard(dir.path(), arguments);
    assert_eq!(run(&["no-such-command"]).status.code(), Some(2));
    assert_fails(&run(&["status"]), 2, "--gateway");
    assert_fails(&run(&["status", "--gateway", "http://127.0.0.1:9"]), 3, "admin token");
    let unreachable = ["status", "--gateway", "http://127.0.0.1:9", "--token", "0123456789abcdef"];
    assert_fails(&run(&unreachable), 5, "meshguard serve");
    assert_fails(&run(&["bundle", "build", "nowhere", "-o", "b"]), 1, "nowhere");
    assert_fails(&run(&["status", "--gateway", "localhost:7420"]), 2, "a gateway is http://… or https://…");
    assert_fails(
        &run(&["status", "--gateway", "https://127.0.0.1:9", "--token", "t", "--ca", "nope.pem"]),
        2,
        "nope.pem",
    );
    let as_json = run(&["--json", "status"]);
    assert!(serde_json::from_slice::<Value>(&as_json.stderr).unwrap()["error"]["message"].is_string());
}

#[test]
fn https_without_a_ca_trusts_whom_the_system_trusts() {
    let dir = scene();
    let status = ["status", "--gateway", "https://127.0.0.1:9", "--token", "0123456789abcdef"];
    let output = meshguard(dir.path(), &status);
    match output.status.code() {
        Some(2) => assert_fails(&output, 2, "--ca"),
        _ => assert_fails(&output, 5, "refused"),
    }
}

#[test]
fn a_chain_of_certificates_is_read_whole() {
    let dir = scene();
    let own = fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../pdp/tests/data/localhost.pem")).unwrap();
    fs::write(dir.path().join("chain.pem"), own.repeat(2)).unwrap();
    let status = |ca| ["status", "--gateway", "https://127.0.0.1:9", "--token", "0123456789abcdef", "--ca", ca];
    assert_fails(&meshguard(dir.path(), &status("chain.pem")), 5, "refused");
    assert_fails(&meshguard(dir.path(), &status("publisher.pub")), 2, "`publisher.pub` holds no PEM certificate");
}

#[test]
fn an_edge_with_a_control_plane_needs_a_token() {
    let dir = scene();
    let edge = |rest: &[&str]| {
        let arguments = ["edge", "--tenant", "acme", "--state", "state", "--trust-key", "publisher.pub"];
        meshguard(dir.path(), &[&arguments[..], rest].concat())
    };
    let gateway = ["--gateway", "http://127.0.0.1:9"];
    assert_fails(&edge(&gateway), 3, "--agent-token or MESHGUARD_AGENT_TOKEN");
    assert_fails(&edge(&[&gateway[..], &["--agent-token", "rubbish"]].concat()), 3, "is no token");
    let unreachable = edge(&[&gateway[..], &["--agent-token", "a.b.c", "--wait", "1"]].concat());
    assert_fails(&unreachable, 5, "not in touch with the control plane");
    assert!(edge(&[]).status.success(), "without a control plane it decides from what it holds");
}

#[test]
fn inspect_prints_words_and_eval_says_what_it_does_not_check() {
    let dir = scene();
    let run = |arguments: &[&str]| meshguard(dir.path(), arguments);
    let inspected = run(&["bundle", "inspect", "policy"]);
    assert!(String::from_utf8_lossy(&inspected.stdout).contains("defer uncertain, durable no"), "{inspected:?}");
    let sign = ["bundle", "sign", "policy", "-o", "b.tar.gz", "--key", "publisher.key", "--tenant", "acme"];
    assert!(run(&[&sign[..], &["--version", "1"]].concat()).status.success());
    fs::write(dir.path().join("input.json"), r#"{"action": "files.read"}"#).unwrap();
    let evaluated = run(&["eval", "-b", "b.tar.gz", "-i", "input.json"]);
    assert!(String::from_utf8_lossy(&evaluated.stderr).contains("signature isn't checked"), "{evaluated:?}");
    assert_eq!(json(&evaluated)["effect"], "allow");
}

#[test]
fn an_external_signer_signs() {
    let dir = scene();
    if Command::new("openssl").arg("version").output().is_err() {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "openssl is missing");
        return println!("skipped: an external signer (no openssl)");
    }
    // Nothing listens there: the signature is made and checked first, so the failure is the network's.
    let apply = |signer: &str| {
        let arguments = ["policy", "apply", "policy", "--tenant", "acme", "--version", "1", "--signer", signer];
        let rest = ["--signer-key", "publisher.pub", "--gateway", "http://127.0.0.1:9", "--token", "0123456789abcdef"];
        meshguard(dir.path(), &[&arguments[..], &rest[..]].concat())
    };
    let openssl = "cat > tbs; openssl pkeyutl -sign -rawin -inkey publisher.key -in tbs";
    assert_fails(&apply(openssl), 5, "can't be reached");
    assert_fails(&apply("cat > /dev/null; echo no"), 1, "no signature");
    assert_fails(&apply("false"), 1, "ended with");
}
