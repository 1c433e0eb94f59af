//! A restart keeps everything.

use std::fs;

use meshguard_pdp::{Error, Server};
use meshguard_proto::v1;
use prost::Message;

use crate::common::{POLICY, World, policy_with};

#[test]
fn policies_audit_edges_and_secrets() {
    let mut world = World::published();
    let two = world.publish(2, &policy_with("two"));
    let chain = v1::AuditBatch {
        chain_id: vec![7; 32],
        events: vec![r#"{"seq":0,"tenant":"acme"}"#.into(), r#"{"seq":1,"tenant":"acme"}"#.into()],
        ..Default::default()
    };
    assert_eq!(world.agent("POST", "/api/v1/audit/batch", chain.encode_to_vec()).status, 200);
    assert_eq!(world.agent("POST", "/api/v1/pdp/evaluate", r#"{"action":"files.read"}"#).status, 200);
    let (token, admin) = (world.token("acme", "agent-7"), world.server().admin_token().expose().to_owned());
    let list = world.admin("GET", "/api/v1/admin/policies", "").json();

    world.config.publishers.clear();
    world.restart();
    assert_eq!(world.server().admin_token().expose(), admin);
    assert_eq!(world.admin("GET", "/api/v1/admin/policies", "").json(), list);
    let bearer = format!("Bearer {token}");
    let body = r#"{"action":"files.read"}"#;
    let (status, answer) = world.call("POST", "/api/v1/pdp/evaluate", &[("authorization", &bearer)], body).json();
    assert_eq!((status, answer["policyVersion"].as_str()), (200, Some("1.2")), "{answer}");

    // Neither an older version nor a hole is taken now.
    assert_eq!(world.post_bundle(&world.signed(1, POLICY)).0, 409);
    let again = v1::AuditBatch { first_seq: 3, ..chain };
    let ack = world.agent("POST", "/api/v1/audit/batch", again.encode_to_vec()).body;
    assert_eq!(v1::AuditAck::decode(ack.as_slice()).unwrap().need_from, Some(2));

    // What was decided before the stop was recorded before it ended.
    let (_, page) = world.admin("GET", "/api/v1/admin/audit?tenant=acme", "").json();
    let own = page["records"].as_array().unwrap().iter().filter(|r| r["agent_id"] == "control-plane");
    let decided = own.filter(|r| r["kind"] == "decision" && r["revision"]["version"] == two.version).count();
    assert_eq!(decided, 1, "{page}");
    assert_eq!(world.publish(3, &policy_with("three")).version, 3);
}

#[test]
fn one_process_at_a_time() {
    let world = World::new();
    let error = Server::start(world.config.clone()).unwrap_err();
    assert!(error.to_string().contains("in use"), "{error}");
}

#[test]
fn an_address_in_use_is_named() {
    let world = World::new();
    let other = tempfile::tempdir().unwrap();
    let mut config = world.config.clone();
    config.data_dir = other.path().join("data");
    config.listen = world.server().addr();
    assert!(matches!(Server::start(config), Err(Error::Listen { .. })));
}

#[test]
fn nothing_of_a_stopped_server_is_left() {
    let mut world = World::published();
    let addr = world.server().addr();
    world.stop();
    assert!(std::net::TcpStream::connect(addr).is_err());
    for name in ["identity.key", "identity.pub", "admin.token"] {
        assert!(fs::metadata(world.dir.path().join(name)).is_ok(), "{name}");
    }
    world.restart();
}
