//! Who may do what.

use meshguard_engine::token::Claims;
use meshguard_engine::{Clock, SigningKey, Tier};
use meshguard_proto::v1;
use tonic::Code;

use crate::common::{World, request, within};

const AGENT_CALLS: [(&str, &str); 6] = [
    ("POST", "/api/v1/pdp/evaluate"),
    ("POST", "/api/v1/pdp/evaluate/batch"),
    ("GET", "/api/v1/pdp/policy/head"),
    ("POST", "/api/v1/audit/batch"),
    ("GET", "/v1/bundles/default.tar.gz"),
    ("GET", "/proxy/check"),
];

const ADMIN_CALLS: [(&str, &str); 8] = [
    ("POST", "/api/v1/admin/policies"),
    ("GET", "/api/v1/admin/policies"),
    ("GET", "/api/v1/admin/policies/acme/default"),
    ("PUT", "/api/v1/admin/tenants/acme/publishers"),
    ("PUT", "/api/v1/admin/tenants/acme/data"),
    ("GET", "/api/v1/admin/edges"),
    ("GET", "/api/v1/admin/audit?tenant=acme"),
    ("GET", "/api/v1/admin/audit/chains?tenant=acme"),
];

/// Credentials that open no door, or only the other one.
fn bad_tokens(world: &World) -> Vec<(&'static str, String)> {
    let now = world.clock.wall_ms();
    let stranger = SigningKey::generate().unwrap();
    let expired = Claims::new("acme", "agent-7", Tier::Trusted, now - 7_200_000, 3600);
    vec![
        ("none", String::new()),
        ("rubbish", "rubbish".into()),
        ("expired", world.server().issue(&expired).unwrap()),
        ("a stranger's", Claims::new("acme", "agent-7", Tier::Trusted, now, 3600).sign(&stranger).unwrap()),
    ]
}

#[test]
fn http() {
    let world = World::published();
    let status = |method: &str, path: &str, token: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str())];
        world.call(method, path, if token.is_empty() { &[] } else { &headers }, "{}").status
    };
    for (what, token) in bad_tokens(&world) {
        for (method, path) in AGENT_CALLS.into_iter().chain(ADMIN_CALLS) {
            assert_eq!(status(method, path, &token), 401, "{what}: {method} {path}");
        }
    }
    let (agent, admin) = (world.token("acme", "agent-7"), world.server().admin_token().expose().to_owned());
    for (method, path) in ADMIN_CALLS {
        assert_eq!(status(method, path, &agent), 403, "an agent's token: {method} {path}");
        assert_ne!(status(method, path, &admin) / 100, 5, "{method} {path}");
        assert!(![401, 403].contains(&status(method, path, &admin)), "{method} {path}");
    }
    for (method, path) in AGENT_CALLS {
        assert_eq!(status(method, path, &admin), 401, "the admin token: {method} {path}");
        assert!(![401, 403].contains(&status(method, path, &agent)), "{method} {path}");
    }
    for path in ["/health", "/ready", "/metrics"] {
        assert_eq!(status("GET", path, ""), 200, "{path}");
    }
}

#[test]
fn errors_say_nothing_of_the_token() {
    let world = World::published();
    let token = world.token("acme", "canary-4711") + "x";
    let answer = world.call("GET", "/v1/bundles/default.tar.gz", &[("authorization", &format!("Bearer {token}"))], "");
    let (status, body) = answer.json();
    assert_eq!((status, body["error"]["code"].as_str()), (401, Some("bad_token")));
    assert!(!body.to_string().contains(&token) && !body.to_string().contains("canary"), "{body}");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn grpc() {
    let world = World::published();
    let mut tokens = bad_tokens(&world);
    tokens.push(("the admin token", world.server().admin_token().expose().to_owned()));
    for (what, token) in tokens {
        let (mut pdp, mut sync) = (world.pdp_as(&token).await, world.sync_as(&token).await);
        let fetch = v1::FetchRequest { digest: vec![0; 32], ..Default::default() };
        let codes = [
            within(pdp.evaluate(request("files.read"))).await.map(|_| ()),
            within(pdp.evaluate_stream(tokio_stream::empty())).await.map(|_| ()),
            within(pdp.subscribe(v1::PolicySubscription::default())).await.map(|_| ()),
            within(sync.fetch(fetch)).await.map(|_| ()),
            within(sync.report(v1::AgentReport::default())).await.map(|_| ()),
            within(sync.ingest_audit(tokio_stream::empty())).await.map(|_| ()),
        ]
        .map(|result| result.unwrap_err().code());
        assert_eq!(codes, [Code::Unauthenticated; 6], "{what}");
    }
}

#[tokio::test]
async fn another_tenant_in_a_message_is_refused() {
    let world = World::published();
    let (mut pdp, mut sync) = (world.pdp().await, world.sync().await);
    let tenant_id = "umbrella".to_owned();
    let subscription = v1::PolicySubscription {
        protocol: 1,
        tenant_id: tenant_id.clone(),
        instance_id: "i".into(),
        ..Default::default()
    };
    let asked = v1::PolicyRequest { tenant_id: tenant_id.clone(), ..request("files.read") };
    let fetch = v1::FetchRequest { tenant_id: tenant_id.clone(), digest: vec![0; 32], ..Default::default() };
    let report = v1::AgentReport { tenant_id: tenant_id.clone(), ..Default::default() };
    let batch = v1::AuditBatch { tenant_id, chain_id: vec![1; 32], ..Default::default() };
    let mut acks = within(sync.ingest_audit(tokio_stream::once(batch))).await.unwrap().into_inner();
    let codes = [
        within(pdp.evaluate(asked)).await.map(|_| ()),
        within(pdp.subscribe(subscription)).await.map(|_| ()),
        within(sync.fetch(fetch)).await.map(|_| ()),
        within(sync.report(report)).await.map(|_| ()),
        within(acks.message()).await.map(|_| ()),
    ]
    .map(|result| result.unwrap_err().code());
    assert_eq!(codes, [Code::PermissionDenied; 5]);

    let body = r#"{"tenantId":"umbrella","action":"files.read"}"#;
    assert_eq!(world.agent("POST", "/api/v1/pdp/evaluate", body).status, 403);
}

#[tokio::test]
async fn a_tenant_sees_nothing_of_another() {
    let world = World::published();
    let digest = world.signed(1, crate::common::POLICY).manifest().unwrap().files[0].digest;
    let mut sync = world.sync_as(&world.token("umbrella", "agent-7")).await;
    let fetch = v1::FetchRequest { digest: digest.as_bytes().to_vec(), ..Default::default() };
    assert_eq!(within(sync.fetch(fetch)).await.unwrap_err().code(), Code::NotFound);
    let bearer = format!("Bearer {}", world.token("umbrella", "agent-7"));
    for path in [&format!("/api/v1/pdp/blob/{digest}"), "/api/v1/pdp/policy/head", "/v1/bundles/default.tar.gz"] {
        assert_eq!(world.call("GET", path, &[("authorization", &bearer)], "").status, 404, "{path}");
        assert_eq!(world.agent("GET", path, "").status, 200, "{path}");
    }
    // A policy of another tenant never answers.
    let body = r#"{"action":"files.read"}"#;
    let answer = world.call("POST", "/api/v1/pdp/evaluate", &[("authorization", &bearer)], body).json();
    assert_eq!((answer.0, answer.1["error"]["code"].as_str()), (503, Some("no_bundle")));
}

#[tokio::test]
async fn what_is_not_served_is_unimplemented() {
    use meshguard_proto::v1::mesh_guard_trust_client::MeshGuardTrustClient;
    let world = World::new();
    let mut trust = MeshGuardTrustClient::new(world.channel().await);
    let status = within(trust.get(v1::GetTrustRequest::default())).await.unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(world.agent("GET", "/nothing/here", "").json().1["error"]["code"], "not_found");
    assert_eq!(world.agent("DELETE", "/health", "").status, 405);
}
