//! One pass over a request's bytes: its names, and of its context what is wanted.
//!
//! Only for requests as hosts usually write them. Whatever is wrong or unusual is left to [`Request::from_json`], which says
//! what is wrong with it.
//!
//! [`Request::from_json`]: crate::Request::from_json

use std::borrow::Cow;

use super::fields::{Field, NodeId, Wanted};
use super::parts::Parts;
use super::scan::{Scan, scan};
use super::scratch::Scratch;
use crate::eval::value::json::{self, Kind, Tokens};
use crate::request::{MAX_NAME_BYTES, MAX_REQUEST_BYTES, MAX_TAGS};

/// A request's names; an absent one is empty.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Scanned<'i> {
    pub(crate) tenant_id: Cow<'i, str>,
    pub(crate) request_id: Cow<'i, str>,
    pub(crate) actor_id: Cow<'i, str>,
    pub(crate) action: Cow<'i, str>,
    pub(crate) resource: Cow<'i, str>,
    pub(crate) trace_id: Cow<'i, str>,
    pub(crate) timestamp: Cow<'i, str>,
    pub(crate) delegation: Cow<'i, str>,
    pub(crate) approval_id: Cow<'i, str>,
    pub(crate) context_hash: Cow<'i, str>,
    pub(crate) stage: Cow<'i, str>,
    pub(crate) mcp_tool: Cow<'i, str>,
    pub(crate) idempotency_key: Cow<'i, str>,
    pub(crate) entrypoint: Cow<'i, str>,
    /// Its exact text; `{}` if it is absent.
    pub(crate) context: &'i str,
}

impl Scanned<'_> {
    /// What it says beside its context.
    pub(crate) fn parts(&self) -> Parts<'_> {
        Parts {
            actor: &self.actor_id,
            action: &self.action,
            resource: &self.resource,
            stage: &self.stage,
            delegation: &self.delegation,
            approval: &self.approval_id,
            mcp_tool: &self.mcp_tool,
            request_id: &self.request_id,
        }
    }
}

/// Reads a request, and keeps what is wanted of its context below the place `context`; without a place, nothing.
///
/// `None` if it isn't sure that [`Request::from_json`](crate::Request::from_json) reads the same. Some fields may have been
/// set then.
pub(crate) fn request<'i>(
    json: &'i [u8],
    wanted: &Wanted,
    context: Option<NodeId>,
    fields: &mut [Field<'i>],
    scratch: &mut Scratch,
) -> Option<Scanned<'i>> {
    #[cfg(test)]
    crate::eval::fault::point();
    if json.len() > MAX_REQUEST_BYTES {
        return None;
    }
    let text = std::str::from_utf8(json).ok()?;
    let mut found = Scanned::default();
    let scanning = Scan { tokens: Tokens::new(text, json::STRICT), wanted, fields, scratch };
    let mut reader = Reader { scan: scanning, seen: 0, found: &mut found };
    let read = reader.request(context);
    reader.scan.scratch.clear();
    read?;
    if found.context.is_empty() {
        found.context = "{}";
        if let Some(context) = context {
            scan(found.context, wanted, Some(context), fields, scratch).ok()?;
        }
    }
    Some(found)
}

struct Reader<'s, 'i> {
    scan: Scan<'s, 'i>,
    /// A bit per name: one that stands twice is refused.
    seen: u32,
    found: &'s mut Scanned<'i>,
}

impl<'i> Reader<'_, 'i> {
    fn request(&mut self, context: Option<NodeId>) -> Option<()> {
        if self.scan.tokens.value().ok()? != Kind::Object {
            return None;
        }
        let mut more = self.scan.tokens.open(b'}', 0).ok()?;
        while more {
            match self.key()? {
                "context" => self.context(context)?,
                "actor" => self.actor()?,
                key => self.name(key)?,
            }
            more = self.scan.tokens.another(b'}').ok()?;
        }
        self.scan.tokens.end().ok()
    }

    fn name(&mut self, key: &str) -> Option<()> {
        let text = self.text()?;
        let found = &mut *self.found;
        let (bit, name) = match key {
            "request_id" | "requestId" => (0, &mut found.request_id),
            "action" => (1, &mut found.action),
            "resource" => (2, &mut found.resource),
            "tenant_id" | "tenantId" => (3, &mut found.tenant_id),
            "trace_id" | "traceId" => (4, &mut found.trace_id),
            "timestamp" => (5, &mut found.timestamp),
            "entrypoint" => (6, &mut found.entrypoint),
            "stage" => (7, &mut found.stage),
            "mcp_tool" | "mcpTool" => (8, &mut found.mcp_tool),
            "delegation" => (9, &mut found.delegation),
            "approval_id" | "approvalId" => (10, &mut found.approval_id),
            "context_hash" | "contextHash" => (11, &mut found.context_hash),
            "idempotency_key" | "idempotencyKey" => (12, &mut found.idempotency_key),
            _ => return None,
        };
        *name = text;
        self.first(bit)
    }

    /// The context is a document of its own, with its own limits.
    fn context(&mut self, context: Option<NodeId>) -> Option<()> {
        self.first(13)?;
        self.scan.tokens.restart();
        self.scan.tokens.space();
        let start = self.scan.tokens.at();
        self.scan.value(context, 0).ok()?;
        self.found.context = self.scan.tokens.text().get(start..self.scan.tokens.at())?;
        Some(())
    }

    fn actor(&mut self) -> Option<()> {
        self.first(14)?;
        if self.scan.tokens.value().ok()? != Kind::Object {
            return None;
        }
        let mut more = self.scan.tokens.open(b'}', 1).ok()?;
        while more {
            match self.key()? {
                "id" => {
                    self.first(15)?;
                    self.found.actor_id = self.text()?;
                }
                key => self.hint(key)?,
            }
            more = self.scan.tokens.another(b'}').ok()?;
        }
        Some(())
    }

    /// What a host says about the actor beyond its id decides nothing, but has to be in order.
    fn hint(&mut self, key: &str) -> Option<()> {
        match key {
            "spiffe_id" | "spiffeId" => self.first(16).and_then(|()| self.text()).map(|_| ()),
            "name" => self.first(17).and_then(|()| self.text()).map(|_| ()),
            "trust_tier" | "trustTier" => self.first(18).and_then(|()| self.text()).map(|_| ()),
            "org_id" | "orgId" => self.first(19).and_then(|()| self.text()).map(|_| ()),
            "trust_score" | "trustScore" => self.first(20).and_then(|()| self.score()),
            "tags" => self.first(21).and_then(|()| self.tags()),
            _ => None,
        }
    }

    /// A short number without an exponent: one that any reader of doubles takes.
    fn score(&mut self) -> Option<()> {
        if self.scan.tokens.value().ok()? != Kind::Number {
            return None;
        }
        let start = self.scan.tokens.at();
        self.scan.tokens.skip_number().ok()?;
        let text = self.scan.tokens.text().get(start..self.scan.tokens.at())?;
        (text.len() <= 20 && !text.contains(['e', 'E'])).then_some(())
    }

    fn tags(&mut self) -> Option<()> {
        if self.scan.tokens.value().ok()? != Kind::Array {
            return None;
        }
        let mut more = self.scan.tokens.open(b']', 2).ok()?;
        let mut tags = 0;
        while more {
            tags += 1;
            if tags > MAX_TAGS {
                return None;
            }
            self.text()?;
            more = self.scan.tokens.another(b']').ok()?;
        }
        Some(())
    }

    /// A key without escapes, and the colon behind it.
    fn key(&mut self) -> Option<&'i str> {
        self.scan.tokens.key().ok()?;
        let key = self.scan.tokens.plain().ok()??;
        self.scan.tokens.colon().ok()?;
        Some(key)
    }

    /// A string that isn't too long.
    fn text(&mut self) -> Option<Cow<'i, str>> {
        if self.scan.tokens.value().ok()? != Kind::Text {
            return None;
        }
        self.scan.tokens.string().ok().filter(|text| text.len() <= MAX_NAME_BYTES)
    }

    fn first(&mut self, bit: u32) -> Option<()> {
        let before = self.seen;
        self.seen |= 1 << bit;
        (self.seen != before).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::eval::input::agree;

    /// Whether the quick way takes it. If it does, it reads what the slow way reads.
    fn is_quick(json: &[u8]) -> bool {
        let mut scratch = Scratch::default();
        let _ = scan(r#"{"a":{"b":"#, &Wanted::default(), Some(Wanted::ROOT), &mut [], &mut scratch);
        agree::whole_request(json, &mut scratch).unwrap()
    }

    #[test]
    fn ordinary_requests_are_read_quickly() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/agent-tools/requests.jsonl");
        let requests = std::fs::read_to_string(file).unwrap();
        assert!(requests.lines().count() > 500);
        for json in requests.lines() {
            assert!(is_quick(json.as_bytes()), "{json}");
        }
        for json in [
            "{}",
            r#" { "action" : "\u0061ct" , "context" : null } "#,
            r#"{"action":"a","context":{"deep":[[{"x":"\ud83d\ude00"}]],"n":1.5e3}}"#,
            r#"{"tenantId":"t","requestId":"r","actor":{"id":"x","spiffeId":"s","name":"n","trustTier":"t","trustScore":0.5,"tags":["a","b"],"orgId":"o"},"action":"a","resource":"r"}"#,
            r#"{"trace_id":"a","timestamp":"b","delegation":"c","approval_id":"d","context_hash":"e","stage":"f","mcp_tool":"g","idempotency_key":"h","entrypoint":"i","tenant_id":"j","actor":{}}"#,
        ] {
            assert!(is_quick(json.as_bytes()), "{json}");
        }
    }

    #[test]
    fn what_is_wrong_or_unusual_is_left_to_others() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        let tags = vec![r#""t""#; MAX_TAGS + 1].join(",");
        for json in [
            "",
            "[]",
            "null",
            "{} {}",
            "{",
            r#"{"action":1}"#,
            r#"{"action":"a","action":"a"}"#,
            r#"{"tenantId":"a","tenant_id":"a"}"#,
            r#"{"context":{},"context":{}}"#,
            r#"{"actor":{},"actor":{}}"#,
            r#"{"actor":{"id":"a","id":"a"}}"#,
            r#"{"actor":{"tags":[],"tags":[]}}"#,
            r#"{"actor":null}"#,
            r#"{"actor":["x"]}"#,
            r#"{"actor":{"role":"x"}}"#,
            r#"{"actor":{"tags":[1]}}"#,
            r#"{"actor":{"trust_score":1e400}}"#,
            r#"{"actor":{"trust_score":"1"}}"#,
            r#"{"only_if_monday":true}"#,
            r#"{"only_if_monday":"yes"}"#,
            r#"{"at_least_revision":{"key_epoch":1,"version":2}}"#,
            r#"{"\u0061ction":"a"}"#,
            r#"{"context":{"a":1,"a":2}}"#,
            r#"{"context":{"a":"\ud800"}}"#,
            r#"{"context":1e5000}"#,
            "\u{feff}{}",
            &format!(r#"{{"action":"{long}"}}"#),
            &format!(r#"{{"actor":{{"tags":["{long}"]}}}}"#),
            &format!(r#"{{"actor":{{"tags":[{tags}]}}}}"#),
            &format!(r#"{{"context":{}1{}}}"#, "[".repeat(33), "]".repeat(33)),
            &format!(r#"{{"context":"{}"}}"#, "x".repeat(MAX_REQUEST_BYTES)),
        ] {
            assert!(!is_quick(json.as_bytes()), "{json:.80}");
        }
        assert!(!is_quick(b"{\"action\":\"\xff\"}"));
        let deepest = format!(r#"{{"context":{}1{}}}"#, "[".repeat(32), "]".repeat(32));
        let largest = format!(r#"{{"action":"a","context":[0{}]}}"#, ",0".repeat(json::STRICT.max_values - 4));
        for json in [deepest, largest] {
            assert!(is_quick(json.as_bytes()), "a context is a document of its own: {json:.80}");
        }
    }

    #[test]
    fn an_absent_context_is_an_empty_object() {
        let wanted = Wanted::new(&[["context".into()].into()]);
        let mut fields = [Field::Absent];
        let context = wanted.child(Wanted::ROOT, "context");
        request(b"{}", &wanted, context, &mut fields, &mut Scratch::default()).unwrap();
        assert!(matches!(&fields[0], Field::Tree(value) if value.to_json() == "{}"));
    }

    fn requests() -> impl Strategy<Value = String> {
        let string = || prop_oneof![4 => "[a-z]{0,6}", 1 => r"(\\u00e9|\\n|é|\\ud800|\\ud83d\\ude00){0,3}"];
        let name = prop::sample::select(vec![
            "tenant_id",
            "tenantId",
            "request_id",
            "requestId",
            "action",
            "action",
            "resource",
            "trace_id",
            "traceId",
            "timestamp",
            "delegation",
            "approval_id",
            "approvalId",
            "context_hash",
            "contextHash",
            "stage",
            "mcp_tool",
            "mcpTool",
            "idempotency_key",
            "idempotencyKey",
            "entrypoint",
            "at_least_revision",
            "identity",
        ]);
        let named = (name, string()).prop_map(|(name, text)| format!(r#""{name}":"{text}""#));
        let hint = prop::sample::select(vec![
            "id",
            "spiffe_id",
            "spiffeId",
            "name",
            "trust_tier",
            "trustTier",
            "org_id",
            "orgId",
            "x",
        ]);
        let hint = prop_oneof![
            4 => (hint, string()).prop_map(|(name, text)| format!(r#""{name}":"{text}""#)),
            1 => prop::sample::select(vec!["0", "0.5", "-1", "1e2", "null", "1e999", "01", "123456789012345678901"])
                .prop_map(|score| format!(r#""trust_score":{score}"#)),
            1 => prop::collection::vec(string(), 0..3).prop_map(|tags| format!(r#""tags":{tags:?}"#)),
        ];
        let actor = prop::collection::vec(hint, 0..4).prop_map(|hints| format!(r#""actor":{{{}}}"#, hints.join(",")));
        let context = prop_oneof![
            (string(), any::<i32>(), string())
                .prop_map(|(key, n, text)| format!(r#"{{"n":{n},"{key}":["{text}",{{}}]}}"#)),
            prop::sample::select(vec![
                "{}",
                "null",
                "[1, 2]",
                "7",
                r#"{"a": {"b": 1.50, "c": null}, "d": "e"}"#,
                "{\"a\":1,\"a\":2}"
            ])
            .prop_map(str::to_owned),
        ];
        let context = context.prop_map(|context| format!(r#""context": {context} "#));
        prop::collection::vec(prop_oneof![4 => named, 1 => actor, 1 => context], 0..6)
            .prop_map(|members| format!("{{{}}}", members.join(", ")))
    }

    proptest! {
        #[test]
        fn reads_what_the_slow_way_reads(json in requests()) {
            is_quick(json.as_bytes());
        }

        #[test]
        fn bent_requests(json in requests(), at in any::<prop::sample::Index>(), with in prop::collection::vec(any::<u8>(), 0..3), cut in 0_usize..4) {
            let mut bytes = json.into_bytes();
            let start = at.index(bytes.len() + 1);
            let end = (start + cut).min(bytes.len());
            bytes.splice(start..end, with);
            is_quick(&bytes);
        }
    }
}
