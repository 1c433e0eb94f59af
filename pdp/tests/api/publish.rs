//! What is published, and what isn't.

use meshguard_engine::{Clock, SigningKey, Target};
use serde_json::{Value, json};

use crate::common::{POLICY, World, bundle, policy_with};

fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or("none"))
}

#[test]
fn refusals_change_nothing() {
    let world = World::published();
    world.publish(3, &policy_with("three"));
    let now = world.clock.wall_ms();
    let at = |version| Target::new("acme", version, now);
    let sign = |target: &Target| bundle(POLICY).sign(target, &world.publisher).unwrap();

    let unsigned = meshguard_engine::Bundle::from_tar_gz(&world.signed(4, POLICY).to_tar_gz().unwrap()).unwrap();
    assert_eq!(code(&world.post_archive(unsigned.to_tar_gz().unwrap())), (422, "unsigned"));
    assert_eq!(code(&world.post_archive(b"rubbish".to_vec())), (422, "archive"));

    let stranger = SigningKey::generate().unwrap();
    assert_eq!(code(&world.post_bundle(&bundle(POLICY).sign(&at(4), &stranger).unwrap())), (422, "signature"));
    let umbrella = Target::new("umbrella", 1, now);
    assert_eq!(code(&world.post_bundle(&sign(&umbrella))), (422, "no_publisher"));

    assert_eq!(code(&world.post_bundle(&sign(&at(2)))), (409, "rollback"));
    assert_eq!(code(&world.post_bundle(&sign(&at(3)))), (409, "equivocation"));
    let expired = Target { issued_at_ms: now - 10_000, hard_ttl_ms: 5_000, ..at(4) };
    assert_eq!(code(&world.post_bundle(&sign(&expired))), (422, "expired"));

    let mut cut = world.signed(4, POLICY);
    cut.files.remove("policy.rego");
    assert_eq!(code(&world.post_bundle(&cut)), (422, "missing"));
    let bad_rego = world.signed(5, "package meshguard\n\ndecision := this is no rego\n");
    let answer = world.post_bundle(&bad_rego);
    assert_eq!((answer.0, answer.1["stage"].as_str()), (422, Some("parse")), "{}", answer.1);

    let (_, manifest) = world.admin("GET", "/api/v1/admin/policies/acme/default", "").json();
    assert_eq!(manifest["version"], 3);
    let (_, list) = world.admin("GET", "/api/v1/admin/policies?tenant=acme", "").json();
    let versions: Vec<_> = list.as_array().unwrap().iter().map(|p| (&p["revision"]["version"], &p["active"])).collect();
    assert_eq!(versions, [(&json!(1), &json!(false)), (&json!(3), &json!(true))]);
}

#[test]
fn the_same_again_is_no_error() {
    let world = World::new();
    let signed = world.signed(1, POLICY);
    let first = world.post_bundle(&signed);
    assert_eq!((first.0, first.1["files"].as_u64()), (201, Some(2)), "{}", first.1);
    assert_eq!(world.post_bundle(&signed), first);
}

#[test]
fn what_a_removed_key_signed_is_not_served() {
    let world = World::published();
    let ask = || world.agent("POST", "/api/v1/pdp/evaluate", r#"{"action":"files.read"}"#).status;
    let set = |key: &SigningKey| {
        let body = json!({"keys": [key.public().unwrap().to_pem()]}).to_string();
        assert_eq!(world.admin("PUT", "/api/v1/admin/tenants/acme/publishers", body).status, 200);
    };
    assert_eq!(ask(), 200);
    set(&SigningKey::generate().unwrap());
    assert_eq!(ask(), 503);
    assert_eq!(world.agent("GET", "/api/v1/pdp/policy/head", "").status, 404);
    set(&world.publisher);
    assert_eq!(ask(), 200);
    assert_eq!(world.agent("GET", "/api/v1/pdp/policy/head", "").status, 200);
}

#[test]
fn bodies_that_no_version_names_are_let_go() {
    let world = World::with(|config| config.limits.history = 2);
    let mut digests = vec![];
    for version in 1..=3 {
        let policy = policy_with(&version.to_string());
        let manifest = world.signed(version, &policy).manifest().unwrap();
        digests.push(manifest.files.iter().find(|file| file.path == "policy.rego").unwrap().digest);
        world.publish(version, &policy);
    }
    let found = digests.iter().map(|digest| world.agent("GET", &format!("/api/v1/pdp/blob/{digest}"), "").status);
    assert_eq!(found.collect::<Vec<_>>(), [404, 200, 200]);
}

#[test]
fn heads_bundles_and_etags() {
    let world = World::published();
    let head = world.agent("GET", "/api/v1/pdp/policy/head?scope=default", "");
    let etag = head.header("etag").unwrap().to_owned();
    let envelope = serde_json::to_vec(&head.json().1["manifest"]).unwrap();
    let envelope = meshguard_engine::Envelope::from_json(&envelope).unwrap();
    let key = world.publisher.public().unwrap();
    assert!(envelope.verify(meshguard_engine::bundle::MANIFEST_TYPE, &[key]).is_ok());

    let bearer = format!("Bearer {}", world.token("acme", "agent-7"));
    let with = |path: &str, more: &[(&str, &str)]| {
        let headers: Vec<_> = [("authorization", bearer.as_str())].into_iter().chain(more.iter().copied()).collect();
        world.call("GET", path, &headers, "")
    };
    let known = [("if-none-match", etag.as_str())];
    assert_eq!(with("/api/v1/pdp/policy/head", &known).status, 304);
    assert_eq!(with("/v1/bundles/default.tar.gz", &known).status, 304);
    assert_eq!(with("/v1/bundles/other.tar.gz", &[]).status, 404);
    assert_eq!(with("/api/v1/pdp/policy/head?scope=other", &[]).status, 404);
    let archive = with("/v1/bundles/default.tar.gz", &[]);
    assert_eq!(archive.header("etag"), Some(etag.as_str()));
    assert_eq!(meshguard_engine::Bundle::from_tar_gz(&archive.body).unwrap(), bundle(POLICY));

    // A long poll hears of the next version; without one it says so when its time is up.
    let wait = [("if-none-match", etag.as_str()), ("prefer", "wait=30")];
    std::thread::scope(|threads| {
        let poll = threads.spawn(|| with("/api/v1/pdp/policy/head", &wait));
        world.publish(2, &policy_with("two"));
        let news = poll.join().unwrap();
        assert_eq!((news.status, news.json().1["revision"]["version"].as_str()), (200, Some("2")));
    });
    let etag = with("/api/v1/pdp/policy/head", &[]).header("etag").unwrap().to_owned();
    assert_eq!(with("/api/v1/pdp/policy/head", &[("if-none-match", &etag), ("prefer", "wait=1")]).status, 304);
}

#[test]
fn scopes_are_apart() {
    let world = World::published();
    let other = "package meshguard\n\ndecision := true\n";
    let target = Target { scope: "payments".into(), ..Target::new("acme", 1, world.clock.wall_ms()) };
    let signed = meshguard_engine::Bundle::from_files([("a.rego".to_owned(), other.into())].into()).unwrap();
    assert_eq!(world.post_bundle(&signed.sign(&target, &world.publisher).unwrap()).0, 201);
    let bearer = format!("Bearer {}", world.token("acme", "agent-7"));
    let ask = |scope: &str| {
        let headers = [("authorization", bearer.as_str()), ("x-meshguard-scope", scope)];
        let answer = world.call("POST", "/api/v1/pdp/evaluate", &headers, r#"{"action":"shell.exec"}"#);
        answer.json().1["decision"].as_str().map(str::to_owned)
    };
    assert_eq!((ask("default").as_deref(), ask("payments").as_deref()), (Some("deny"), Some("allow")));
    assert_eq!(ask("nothing").as_deref(), Some("error"));
}
