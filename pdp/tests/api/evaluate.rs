//! Asking: the same answer by every door.

use meshguard_engine::{Clock, Tier, token::Claims};
use meshguard_proto::v1::{self, Effect};
use serde_json::{Value, json};
use tonic::Code;

use crate::common::{POLICY, World, bundle, policy_with, request, within};

fn ask(world: &World, body: Value) -> (u16, Value) {
    world.agent("POST", "/api/v1/pdp/evaluate", body.to_string()).json()
}

#[tokio::test]
async fn http_and_grpc_agree() {
    let world = World::published();
    let mut pdp = world.pdp().await;
    // Long after the publication: what the control plane serves is current by definition, however short-lived an edge's
    // allow is.
    world.clock.advance_ms(60_000);
    for action in ["files.read", "files.write", "mail.send", "pay", "shell.exec", "deploy"] {
        let grpc = within(pdp.evaluate(request(action))).await.unwrap().into_inner();
        let (status, http) = ask(&world, json!({"requestId": "r", "action": action}));
        assert_eq!(status, 200, "{http}");
        assert_eq!(http["effect"], grpc.effect().as_str_name(), "{action}");
        assert_eq!(http["matchedRule"], grpc.matched_rule.as_str());
        assert_eq!(http["policyVersion"], grpc.policy_version.as_str());
        assert_eq!(http["requestId"], "r");
        assert_eq!(http["reasons"].as_array().unwrap().len(), grpc.reasons.len());
        assert_eq!(http["source"], "SOURCE_REMOTE");
    }
    let (_, pay) = ask(&world, json!({"action": "pay"}));
    assert_eq!((&pay["decision"], &pay["approval"]["approvers"]), (&json!("require_approval"), &json!(["cfo"])));
    assert_eq!(pay["reason"], "somebody must agree");
}

#[tokio::test]
async fn obligations_are_passed_on() {
    let world = World::published();
    let answer = within(world.pdp().await.evaluate(request("mail.send"))).await.unwrap().into_inner();
    assert_eq!(answer.effect(), Effect::Allow);
    assert_eq!(answer.obligations[0].name, "redact");
    let (_, http) = ask(&world, json!({"action": "mail.send"}));
    assert_eq!(http["obligations"], json!([{"name": "redact", "params": {"fields": ["to"]}}]));
}

#[test]
fn what_edges_always_defer_is_answered_here() {
    let world = World::published();
    let (status, answer) = ask(&world, json!({"action": "files.read", "entrypoint": "data.meshguard.risky"}));
    assert_eq!((status, &answer["decision"]), (200, &json!("allow")), "{answer}");
}

#[test]
fn remote_data_is_held_here() {
    let mut world = World::published();
    let deploy = json!({"action": "deploy", "approvalId": "a-1"});
    assert_eq!(ask(&world, deploy.clone()).1["decision"], "deny");
    let set =
        |world: &World, data: Value| world.admin("PUT", "/api/v1/admin/tenants/acme/data", data.to_string()).json();
    assert_eq!(set(&world, json!({"approvals": {"a-1": "granted"}})).0, 200);
    assert_eq!(ask(&world, deploy.clone()).1["matchedRule"], "approved");
    world.restart();
    assert_eq!(ask(&world, deploy.clone()).1["matchedRule"], "approved");
    world.publish(2, &policy_with("two"));
    assert_eq!(ask(&world, deploy.clone()).1["matchedRule"], "approved");
    assert_eq!(set(&world, json!({"approvals": {}})).0, 200);
    assert_eq!(ask(&world, deploy).1["decision"], "deny");
    assert_eq!(set(&world, json!([])).0, 400);
    assert_eq!(world.admin("PUT", "/api/v1/admin/tenants/umbrella/data", "{}").status, 404);
}

#[tokio::test]
async fn claims_make_the_tier_and_hints_do_not() {
    let world = World::published();
    let write = |actor: &str| json!({"action": "files.write", "actor": {"id": actor, "trustTier": "trusted"}});
    assert_eq!(ask(&world, write("")).1["decision"], "allow");
    assert_eq!(ask(&world, write("agent-7")).1["decision"], "allow");
    assert_eq!(ask(&world, write("somebody-else")).1["decision"], "deny");
    let low = world.server().issue(&Claims::new("acme", "low", Tier::Verified, world.clock.wall_ms(), 60)).unwrap();
    let answer = within(world.pdp_as(&low).await.evaluate(request("files.write"))).await.unwrap().into_inner();
    assert_eq!(answer.effect(), Effect::Deny);
}

#[tokio::test]
async fn what_cannot_be_judged_is_an_error_and_never_an_allow() {
    let world = World::new();
    let asked = json!({"action": "files.read"});
    let code = |answer: (u16, Value)| (answer.0, answer.1["decision"].clone(), answer.1["error"]["code"].clone());
    assert_eq!(code(ask(&world, asked.clone())), (503, json!("error"), json!("no_bundle")));
    let answer = within(world.pdp().await.evaluate(request("files.read"))).await.unwrap().into_inner();
    assert_eq!(answer.effect(), Effect::Error);
    assert!(answer.error.unwrap().retryable);

    world.publish(1, POLICY);
    let newer = json!({"action": "files.read", "atLeastRevision": {"keyEpoch": "1", "version": "2"}});
    assert_eq!(code(ask(&world, newer)), (503, json!("error"), json!("below_requested")));
    world.clock.advance_ms(25 * 60 * 60 * 1000);
    assert_eq!(code(ask(&world, asked)), (503, json!("error"), json!("expired")));
}

#[test]
fn bad_input_is_said_to_be() {
    let world = World::published();
    for body in [
        "",
        "rubbish",
        "{}",
        r#"{"action":"x","onlyIfMonday":true}"#,
        r#"{"action":"x","requestId":"a","request_id":"b"}"#,
        r#"{"action":"x","context":{"a":1,"a":2}}"#,
        r#"{"action":"x","actor":{"trustScore":2}}"#,
        r#"{"action":"x","contextHash":"00"}"#,
    ] {
        let (status, answer) = world.agent("POST", "/api/v1/pdp/evaluate", body).json();
        assert_eq!((status, answer["error"]["code"].as_str()), (400, Some("bad_input")), "{body}: {answer}");
    }
}

#[tokio::test]
async fn sizes_are_bounded() {
    let world = World::with(|config| {
        config.limits.message_bytes = 10_000;
        config.limits.batch_requests = 2;
        config.limits.bundle_bytes = 20_000;
    });
    world.publish(1, POLICY);
    let large = "x".repeat(11_000);
    let (status, answer) = ask(&world, json!({"action": "x", "resource": large}));
    assert_eq!((status, answer["error"]["code"].as_str()), (413, Some("too_large")));
    let asked = v1::PolicyRequest { resource: large, ..request("x") };
    let status = within(world.pdp().await.evaluate(asked)).await.unwrap_err();
    assert!(matches!(status.code(), Code::OutOfRange | Code::ResourceExhausted), "{status}");
    let three = json!({"requests": [{"action": "x"}, {"action": "x"}, {"action": "x"}]}).to_string();
    assert_eq!(world.agent("POST", "/api/v1/pdp/evaluate/batch", three).status, 413);
    assert_eq!(world.post_archive(vec![0; 21_000]).0, 413);
    // What is larger than a message may still be a bundle.
    assert_eq!(world.post_archive(vec![0; 11_000]).0, 422);
}

#[test]
fn a_batch_is_one_revision() {
    let world = World::published();
    let actions = ["files.read", "shell.exec", "pay"];
    let requests: Vec<_> = actions.iter().map(|action| json!({"action": action, "requestId": action})).collect();
    let body = json!({ "requests": requests }).to_string();
    let (status, answer) = world.agent("POST", "/api/v1/pdp/evaluate/batch", body.clone()).json();
    assert_eq!(status, 200, "{answer}");
    let decisions: Vec<_> = answer["responses"].as_array().unwrap().iter().map(|r| r["decision"].clone()).collect();
    assert_eq!(decisions, ["allow", "deny", "require_approval"]);
    assert_eq!(answer["revision"]["version"], "1");

    // While versions come and go, no batch mixes them.
    std::thread::scope(|threads| {
        let publishing = threads.spawn(|| {
            for version in 2..12 {
                world.publish(version, &policy_with(&version.to_string()));
            }
        });
        while !publishing.is_finished() {
            let (status, answer) = world.agent("POST", "/api/v1/pdp/evaluate/batch", body.clone()).json();
            assert_eq!(status, 200, "{answer}");
            let of = |r: &Value| r["revision"].clone();
            assert!(answer["responses"].as_array().unwrap().iter().all(|r| of(r) == answer["revision"]));
        }
    });
    let (status, answer) =
        world.agent("POST", "/api/v1/pdp/evaluate/batch", r#"{"requests":[{"action":"x"},{}]}"#).json();
    assert_eq!(status, 400, "{answer}");
    assert_eq!(World::new().agent("POST", "/api/v1/pdp/evaluate/batch", body).status, 503);
}

#[tokio::test]
async fn a_stream_of_questions() {
    let world = World::published();
    let questions: Vec<_> = (0..100)
        .map(|i| v1::PolicyRequest {
            request_id: i.to_string(),
            tenant_id: if i == 50 { "umbrella".into() } else { String::new() },
            ..request(if i % 2 == 0 { "files.read" } else { "shell.exec" })
        })
        .collect();
    let stream = world.pdp().await.evaluate_stream(tokio_stream::iter(questions)).await;
    let mut answers = stream.unwrap().into_inner();
    let mut seen = std::collections::BTreeMap::new();
    while let Some(answer) = within(answers.message()).await.unwrap() {
        seen.insert(answer.request_id.parse::<u32>().unwrap(), answer.effect());
    }
    assert_eq!(seen.len(), 100);
    for (i, effect) in seen {
        let expected = match i {
            50 => Effect::Error,
            i if i % 2 == 0 => Effect::Allow,
            _ => Effect::Deny,
        };
        assert_eq!(effect, expected, "question {i}");
    }
    let nameless = v1::PolicyRequest { request_id: String::new(), ..request("files.read") };
    let stream = world.pdp().await.evaluate_stream(tokio_stream::once(nameless)).await;
    let status = within(stream.unwrap().into_inner().message()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[test]
fn proxy_check_says_2xx_for_an_allow_only() {
    let world = World::published();
    let bearer = format!("Bearer {}", world.token("acme", "agent-7"));
    let check = |world: &World, action: &str| {
        let headers =
            [("authorization", bearer.as_str()), ("x-meshguard-action", action), ("x-meshguard-trace-id", "t")];
        let answer = world.call("GET", "/proxy/check", &headers, "");
        let (status, body) = answer.json();
        (status, body["decision"].as_str().unwrap_or_default().to_owned(), body)
    };
    let (status, decision, body) = check(&world, "files.read");
    assert_eq!((status, decision.as_str(), body["traceId"].as_str()), (200, "allow", Some("t")));
    assert_eq!(check(&world, "shell.exec").0, 403);
    let (status, decision, body) = check(&world, "pay");
    assert_eq!((status, decision.as_str(), body["approval_id"].is_string()), (403, "require_approval", true));
    let (status, _, body) = check(&world, "mail.send");
    assert_eq!((status, body["error"].as_str()), (403, Some("unknown_obligation")), "it can't meet an obligation");
    assert_eq!(check(&world, "").0, 400);
    world.clock.advance_ms(25 * 60 * 60 * 1000);
    let headers = [
        ("authorization", format!("Bearer {}", world.token("acme", "a"))),
        ("x-meshguard-action", "files.read".into()),
    ];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(world.call("GET", "/proxy/check", &headers, "").status, 503);
}

#[test]
fn headers_that_cannot_be_read_are_not_as_if_absent() {
    let world = World::published();
    let bearer = format!("Bearer {}", world.token("acme", "agent-7"));
    let good = [
        ("authorization", bearer.as_str()),
        ("x-meshguard-action", "files.read"),
        ("x-meshguard-agent-id", "agent-7"),
        ("x-meshguard-resource", "r"),
        ("x-meshguard-trace-id", "t"),
        ("x-meshguard-meta", "{}"),
        ("x-meshguard-scope", "default"),
    ];
    let check = |headers: &[(&str, &str)]| world.raw("/proxy/check", headers);
    assert_eq!(check(&good).0, 200);
    for (at, (name, value)) in good.into_iter().enumerate() {
        let expected = if name == "authorization" { (401, "bad_token") } else { (400, "bad_input") };
        let odd = format!("{value}é");
        let mut unreadable = good;
        unreadable[at].1 = &odd;
        let doubled = [&good[..], &[(name, value)]].concat();
        for headers in [&unreadable[..], &doubled[..]] {
            let (status, body) = check(headers);
            assert_eq!((status, body["error"]["code"].as_str().unwrap()), expected, "{name}: {body}");
            assert!(!body.to_string().contains(&bearer), "{body}");
        }
    }
    let admin = format!("Bearer {}", world.server().admin_token().expose());
    let twice = [("authorization", admin.as_str()), ("authorization", admin.as_str())];
    assert_eq!(world.raw("/api/v1/admin/edges", &twice[..1]).0, 200);
    assert_eq!(world.raw("/api/v1/admin/edges", &twice).0, 401);
}

#[tokio::test]
async fn metadata_that_cannot_be_read_is_not_as_if_absent() {
    let world = World::published();
    let bearer = format!("Bearer {}", world.token("acme", "agent-7"));
    let ask = async |metadata: &[(&'static str, &[u8])]| {
        let mut asked = tonic::Request::new(request("files.read"));
        let mut headers = http::HeaderMap::new();
        for (name, value) in metadata {
            headers.append(*name, http::HeaderValue::from_bytes(value).unwrap());
        }
        *asked.metadata_mut() = tonic::metadata::MetadataMap::from_headers(headers);
        let mut pdp = v1::mesh_guard_pdp_client::MeshGuardPdpClient::new(world.channel().await);
        within(pdp.evaluate(asked)).await.map(|_| ()).map_err(|status| status.code())
    };
    let (token, scope) = (("authorization", bearer.as_bytes()), ("x-meshguard-scope", &b"default"[..]));
    assert_eq!(ask(&[token, scope]).await, Ok(()));
    assert_eq!(ask(&[token, token]).await, Err(Code::Unauthenticated));
    assert_eq!(ask(&[token, scope, scope]).await, Err(Code::InvalidArgument));
    assert_eq!(ask(&[token, ("x-meshguard-scope", b"default\xe9")]).await, Err(Code::InvalidArgument));
}

#[test]
fn metrics_count() {
    let world = World::published();
    let _ = ask(&world, json!({"action": "files.read"}));
    let answer = world.call("GET", "/metrics", &[], "");
    let text = String::from_utf8(answer.body).unwrap();
    for line in ["meshguard_pdp_decisions_total{effect=\"allow\"} 1", "meshguard_pdp_published_total 1"] {
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }
    assert!(!text.contains("acme"));
    assert_eq!(bundle(POLICY).files.len(), 2);
}
