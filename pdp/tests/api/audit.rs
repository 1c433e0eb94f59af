//! Records arrive at least once and are kept once.

use bytes::Bytes;
use meshguard_proto::v1;
use prost::Message;
use tonic::Code;

use crate::common::{World, until, within};

fn batch(chain: u8, seqs: std::ops::Range<u64>) -> v1::AuditBatch {
    v1::AuditBatch {
        batch_id: format!("{chain}/{}", seqs.start),
        chain_id: vec![chain; 32],
        first_seq: seqs.start,
        events: seqs.map(|seq| format!(r#"{{"v":1,"seq":{seq},"tenant":"acme","kind":"x"}}"#).into()).collect(),
        ..Default::default()
    }
}

fn stored(world: &World, agent: &str) -> Vec<u64> {
    let (status, page) = world.admin("GET", "/api/v1/admin/audit?tenant=acme&after=", "").json();
    assert_eq!(status, 200, "{page}");
    let records = page["records"].as_array().unwrap();
    records.iter().filter(|r| r["agent_id"] == agent).map(|record| record["seq"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn duplicates_gaps_and_retries() {
    let world = World::new();
    let batches = [batch(1, 0..3), batch(1, 0..3), batch(1, 2..5), batch(1, 7..9), batch(1, 5..6), batch(2, 0..1)];
    let stream = tokio_stream::iter(batches);
    let mut acks = within(world.sync().await.ingest_audit(stream)).await.unwrap().into_inner();
    let mut got = vec![];
    while let Some(ack) = within(acks.message()).await.unwrap() {
        got.push((ack.batch_id, ack.acked_through, ack.need_from));
    }
    let expected =
        [("1/0", 3, None), ("1/0", 3, None), ("1/2", 5, None), ("1/7", 5, Some(5)), ("1/5", 6, None), ("2/0", 1, None)];
    assert_eq!(got, expected.map(|(id, next, need)| (id.to_owned(), Some(next), need)));
    assert_eq!(stored(&world, "agent-7"), [0, 1, 2, 3, 4, 5, 0]);

    let (_, chains) = world.admin("GET", "/api/v1/admin/audit/chains?tenant=acme", "").json();
    let chains: Vec<_> =
        chains.as_array().unwrap().iter().map(|c| (c["next_seq"].as_u64(), c["records"].as_u64())).collect();
    assert_eq!(chains, [(Some(6), Some(6)), (Some(1), Some(1))]);
}

#[tokio::test]
async fn records_that_nobody_has_leave_a_gap_on_record() {
    let world = World::new();
    // The ledger is new, the edges aren't; the first chain is also one that has to be asked back.
    let batches = [batch(1, 4..6), batch(1, 4..6), batch(1, 8..9), batch(1, 9..10), batch(1, 8..9), batch(1, 8..10)];
    let stream = tokio_stream::iter(batches);
    let mut acks = within(world.sync().await.ingest_audit(stream)).await.unwrap().into_inner();
    let mut got = vec![];
    while let Some(ack) = within(acks.message()).await.unwrap() {
        got.push((ack.acked_through, ack.need_from));
    }
    let expected = [(6, None), (6, None), (6, Some(6)), (6, Some(6)), (9, None), (10, None)];
    assert_eq!(got, expected.map(|(next, need)| (Some(next), need)));

    let (_, page) = world.admin("GET", "/api/v1/admin/audit?tenant=acme", "").json();
    let records = page["records"].as_array().unwrap();
    assert_eq!(stored(&world, "agent-7"), [0, 4, 5, 6, 8, 9]);
    let gaps: Vec<_> = records.iter().filter(|record| record["kind"] == "gap").collect();
    let of = |gap: &serde_json::Value| (gap["from_seq"].as_u64(), gap["to_seq"].as_u64());
    assert_eq!(gaps.iter().map(|gap| of(gap)).collect::<Vec<_>>(), [(Some(0), Some(4)), (Some(6), Some(8))]);
    assert!(gaps.iter().all(|gap| gap["chain_id"] == "01".repeat(32)));
    let (_, chains) = world.admin("GET", "/api/v1/admin/audit/chains?tenant=acme", "").json();
    let count = |name: &str| chains[0][name].as_u64();
    assert_eq!([count("next_seq"), count("records"), count("lost")], [Some(10), Some(4), Some(6)]);
    let metrics = String::from_utf8(world.call("GET", "/metrics", &[], "").body).unwrap();
    assert!(metrics.lines().any(|line| line == "meshguard_pdp_audit_lost_total 6"), "{metrics}");
}

#[test]
fn http_takes_the_same_bytes() {
    let world = World::new();
    let post = |batch: &v1::AuditBatch| {
        let answer = world.agent("POST", "/api/v1/audit/batch", batch.encode_to_vec());
        assert_eq!(answer.status, 200, "{:?}", answer.json());
        v1::AuditAck::decode(Bytes::from(answer.body)).unwrap()
    };
    assert_eq!(post(&batch(1, 0..2)).acked_through, Some(2));
    assert_eq!(post(&batch(1, 1..4)).acked_through, Some(4));
    let gap = post(&batch(1, 9..10));
    assert_eq!((gap.acked_through, gap.need_from), (Some(4), Some(4)));
    assert_eq!(stored(&world, "agent-7"), [0, 1, 2, 3]);
    assert_eq!(world.agent("POST", "/api/v1/audit/batch", "rubbish").status, 400);
    let bad_chain = v1::AuditBatch { chain_id: vec![1; 31], ..batch(1, 0..1) };
    assert_eq!(world.agent("POST", "/api/v1/audit/batch", bad_chain.encode_to_vec()).status, 400);
}

#[test]
fn pages_go_on_where_they_stopped() {
    let world = World::new();
    assert_eq!(world.agent("POST", "/api/v1/audit/batch", batch(1, 0..10).encode_to_vec()).status, 200);
    let mut cursor = String::new();
    let mut seen = vec![];
    loop {
        let path = format!("/api/v1/admin/audit?tenant=acme&limit=4&after={cursor}");
        let (_, page) = world.admin("GET", &path, "").json();
        let records = page["records"].as_array().unwrap();
        if records.is_empty() {
            break;
        }
        seen.extend(records.iter().map(|record| record["seq"].as_u64().unwrap()));
        cursor = page["next"].as_str().unwrap().to_owned();
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    assert_eq!(world.admin("GET", "/api/v1/admin/audit?tenant=acme&after=x", "").status, 400);
    assert_eq!(world.admin("GET", "/api/v1/admin/audit", "").status, 400);
}

#[tokio::test]
async fn limits_and_owners() {
    let world = World::with(|config| config.limits.audit_records = 2);
    let post = |token: &str, batch: &v1::AuditBatch| {
        let bearer = format!("Bearer {token}");
        world.call("POST", "/api/v1/audit/batch", &[("authorization", &bearer)], batch.encode_to_vec()).status
    };
    let (own, other) = (world.token("acme", "agent-7"), world.token("acme", "agent-8"));
    assert_eq!(post(&own, &batch(1, 0..3)), 413);
    assert_eq!(post(&own, &batch(1, 0..2)), 200);
    assert_eq!(post(&other, &batch(1, 2..3)), 403);
    let once = tokio_stream::once(batch(1, 2..3));
    let mut acks = within(world.sync_as(&other).await.ingest_audit(once)).await.unwrap().into_inner();
    assert_eq!(within(acks.message()).await.unwrap_err().code(), Code::PermissionDenied);
}

#[test]
fn own_decisions_are_records_too() {
    let world = World::published();
    for action in ["files.read", "shell.exec"] {
        let body = format!(r#"{{"action":"{action}"}}"#);
        assert_eq!(world.agent("POST", "/api/v1/pdp/evaluate", body).status, 200);
    }
    // The activation, and the two.
    until("own records are taken over", || stored(&world, "control-plane") == [0, 1, 2]);
    let (_, page) = world.admin("GET", "/api/v1/admin/audit?tenant=acme", "").json();
    let kinds: Vec<_> = page["records"].as_array().unwrap().iter().map(|r| (&r["kind"], &r["effect"])).collect();
    assert_eq!(kinds[1..], [(&"decision".into(), &"allow".into()), (&"decision".into(), &"deny".into())]);
}
