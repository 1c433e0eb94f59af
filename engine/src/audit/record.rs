//! One record, as it lies in the journal and travels to the control plane: JSON, its bytes never rewritten.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::bundle::Revision;
use crate::decision::{Decision, DecisionId, Effect, Reason, ReasonCode, Source};
use crate::digest::Digest;
use crate::error::Stage;
use crate::identity::Identity;
use crate::request::Request;

/// One audited event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The format: 1.
    pub v: u32,
    /// Its number in its chain, from 0.
    pub seq: u64,
    /// Milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// Whose.
    pub tenant: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// A decision was made.
    Decision(Box<DecisionRecord>),
    /// A bundle began to serve.
    Activated {
        /// Which.
        revision: Revision,
        /// In whose place.
        from: Option<Revision>,
    },
    /// A bundle was refused; the one before keeps serving.
    Refused {
        /// Which, if its manifest could be read.
        revision: Option<Revision>,
        /// Where it failed.
        stage: Stage,
        /// The refusal's code.
        code: String,
    },
    /// The control plane withdrew this edge's authorisation, or gave it back.
    Withdrawn {
        /// Whether it is withdrawn now.
        withdrawn: bool,
    },
    /// The journal was full, nobody ships it, and its oldest records were removed.
    Forgotten {
        /// How many.
        records: u64,
    },
    /// Fail-open answered in place of a PDP that couldn't be reached. Durable before the answer returned.
    FailOpen(Box<DecisionRecord>),
}

/// A decision, without what needs masking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// The decision's id.
    pub decision_id: String,
    /// The rule asked.
    pub entrypoint: String,
    /// What was answered.
    pub effect: Effect,
    /// In mode `audit`, what would have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_be_effect: Option<Effect>,
    /// Whose credential the question came with; not always who wants to act.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_by: Option<String>,
    /// Why, as codes; the texts may quote the input.
    pub reasons: Vec<ReasonCode>,
    /// The policy's name for the rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// Where the answer came from.
    pub source: Source,
    /// Whether the local answer was certain.
    pub certain: bool,
    /// The revision that decided.
    pub revision: Option<Revision>,
    /// Nanoseconds from question to answer.
    pub latency_ns: u64,
    /// The caller's name for the request.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// W3C trace id.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// Of the whole request; tells whether two records are of one question, not what it was.
    pub request_digest: Digest,
    /// The fields that the manifest lists as plain, by JSON pointer.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub plain: BTreeMap<String, serde_json::Value>,
}

/// What a record says beyond the decision and its request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked<'a> {
    /// The credential that the question came with.
    pub(crate) identity: Option<&'a Identity>,
    /// The fields that the manifest lists as plain.
    pub(crate) plain: PlainId,
}

/// A list of plain fields, as the recorder knows it. The default is the empty list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct PlainId(pub(super) u32);

/// What a record says of the decision itself, but for reasons and texts: of a fixed size, to be copied into a ring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Facts {
    pub(super) at_ms: i64,
    id: DecisionId,
    effect: Effect,
    would_be_effect: Option<Effect>,
    source: Source,
    certain: bool,
    revision: Option<Revision>,
    latency_ns: u64,
}

/// The codes of a decision's reasons, if they are as few as almost always.
#[derive(Debug, Clone, Copy)]
pub(super) struct FewReasons {
    codes: [ReasonCode; 7],
    count: u8,
}

impl Facts {
    #[inline]
    pub(super) fn of(decision: &Decision) -> Self {
        Self {
            at_ms: decision.at_ms,
            id: decision.id,
            effect: decision.verdict.effect,
            would_be_effect: decision.would_be_effect,
            source: decision.source,
            certain: decision.certain,
            revision: decision.revision,
            latency_ns: decision.latency_ns,
        }
    }
}

impl FewReasons {
    /// None when there are more.
    #[inline]
    pub(super) fn of(reasons: &[Reason]) -> Option<Self> {
        let mut codes = [ReasonCode::Policy; 7];
        for (place, reason) in codes.iter_mut().zip(reasons) {
            *place = reason.code;
        }
        let count = u8::try_from(reasons.len()).ok()?;
        (reasons.len() <= codes.len()).then_some(Self { codes, count })
    }

    pub(super) fn codes(&self) -> &[ReasonCode] {
        self.codes.get(..usize::from(self.count)).unwrap_or_default()
    }
}

/// The longest text of a name in a record, in bytes. Requests with longer ones are denied; their records stay small too.
const MAX_TEXT: usize = 1024;

impl DecisionRecord {
    /// `plain` is the manifest's list.
    pub(super) fn new(
        facts: &Facts,
        reasons: Vec<ReasonCode>,
        rule: Option<&str>,
        asked_by: Option<&str>,
        request: &Request,
        plain: &[String],
    ) -> Self {
        let bytes = serde_json::to_vec(request).unwrap_or_default();
        let entrypoint = &request.entrypoint;
        Self {
            decision_id: facts.id.to_string(),
            entrypoint: if entrypoint.is_empty() { crate::bundle::DEFAULT_ENTRYPOINT } else { entrypoint }.to_owned(),
            effect: facts.effect,
            would_be_effect: facts.would_be_effect,
            asked_by: asked_by.map(clipped),
            reasons,
            rule: rule.map(clipped),
            source: facts.source,
            certain: facts.certain,
            revision: facts.revision,
            latency_ns: facts.latency_ns,
            request_id: clipped(&request.request_id),
            trace_id: clipped(&request.trace_id),
            request_digest: Digest::of(&bytes),
            plain: plain.iter().filter_map(|pointer| Some((pointer.clone(), small(at(&bytes, pointer)?)))).collect(),
        }
    }

    /// Of a decision that is at hand.
    pub(super) fn of(decision: &Decision, request: &Request, asked_by: Option<&str>, plain: &[String]) -> Self {
        let verdict = &decision.verdict;
        let reasons = verdict.reasons.iter().map(|reason| reason.code).collect();
        Self::new(&Facts::of(decision), reasons, verdict.rule.as_deref(), asked_by, request, plain)
    }

    /// With the digest of a question that can't be read: nothing of it can be shown, but still whether two are the same.
    pub(super) fn about_unreadable(self, question: &[u8]) -> Self {
        Self { request_digest: Digest::of(question), ..self }
    }
}

fn clipped(text: &str) -> String {
    if text.len() <= MAX_TEXT {
        return text.to_owned();
    }
    let end = (0..=MAX_TEXT).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// A plain field as it is recorded: as it was, unless it is large.
fn small(value: &RawValue) -> serde_json::Value {
    let text = value.get();
    if text.len() > MAX_TEXT && !text.starts_with('"') {
        return "(large)".into();
    }
    match serde_json::from_str(text) {
        Ok(serde_json::Value::String(text)) => clipped(&text).into(),
        value => value.unwrap_or_default(),
    }
}

/// What a pointer leads to. The rest of the text is skipped: to make values of it could take a hundred times its size.
fn at<'a>(json: &'a [u8], pointer: &str) -> Option<&'a RawValue> {
    let mut place: &RawValue = serde_json::from_slice(json).ok()?;
    for part in pointer.split('/').skip(1) {
        let name = part.replace("~1", "/").replace("~0", "~");
        place = Child(&name).deserialize(&mut serde_json::Deserializer::from_str(place.get())).ok().flatten()?;
    }
    Some(place)
}

/// Reads an object's or array's one child.
struct Child<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Child<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Child<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        // As JSON pointers have it: no sign, no zeros in front.
        let index: Option<usize> = self.0.parse().ok().filter(|index: &usize| index.to_string() == self.0);
        let mut found = None;
        for at in 0.. {
            if Some(at) == index {
                found = seq.next_element()?;
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Verdict;

    fn decision() -> Decision {
        let mut verdict = Verdict::deny(Reason::new(ReasonCode::Policy, "no access to hunter2"));
        verdict.rule = Some("secrets".into());
        Decision {
            id: DecisionId(7),
            request_id: "r".into(),
            verdict: verdict.into(),
            certain: true,
            source: Source::Local,
            revision: None,
            would_be_effect: None,
            policy_age_ms: None,
            at_ms: 1,
            latency_ns: 2,
            recorded: true,
        }
    }

    #[test]
    fn nothing_but_the_plain_fields_is_written() {
        let request = Request::new("agent-7", "files.read")
            .resource("file:/srv/hunter2")
            .context(r#"{"password":"hunter2","size":3}"#)
            .unwrap();
        let plain = ["/action", "/context/size", "/context/absent"].map(str::to_owned);
        let record = DecisionRecord::of(&decision(), &request, None, &plain);
        let text = serde_json::to_string(&record).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(record.plain.get("/action").unwrap(), "files.read");
        assert_eq!(record.plain.get("/context/size").unwrap(), 3);
        assert_eq!(record.plain.len(), 2);
    }

    #[test]
    fn pointers_lead_where_serde_jsons_do() {
        let text = r#"{"a":{"b/c":[1,{"~":"x"},[2]],"":null,"a":{"a":true}},"\u0062":1.50,"l":[[]],"k":1,"k":2}"#;
        let value: serde_json::Value = serde_json::from_str(text).unwrap();
        for pointer in [
            "",
            "/",
            "/a/a",
            "/a/a/a",
            "/a/b~1c/1/~0",
            "/a/b~1c/0",
            "/a/b~1c/00",
            "/a/b~1c/+1",
            "/a/b~1c/2/0",
            "/a/b~1c/3",
            "/a/",
            "/b",
            "/b/x",
            "/l/0",
            "/l/0/0",
            "/k",
            "/absent",
            "/a/b~1c/-",
            "/a//a",
        ] {
            let found = at(text.as_bytes(), pointer).map(|found| serde_json::from_str(found.get()).unwrap());
            assert_eq!(found.as_ref(), value.pointer(pointer), "{pointer}");
        }
    }

    #[test]
    fn records_stay_small() {
        let long = "ü".repeat(300_000);
        let mut request = Request::new(long.as_str(), long.as_str());
        request.request_id.clone_from(&long);
        request.trace_id.clone_from(&long);
        let plain = ["/action", "/actor", "/actor/id"].map(str::to_owned);
        let record = DecisionRecord::of(&decision(), &request, None, &plain);
        assert!(serde_json::to_vec(&record).unwrap().len() < 8 * 1024);
    }

    #[test]
    fn few_reasons_are_all_or_none() {
        let reasons = |count: usize| vec![Reason::from(ReasonCode::Stale); count];
        for count in 0..=7 {
            assert_eq!(FewReasons::of(&reasons(count)).unwrap().codes(), vec![ReasonCode::Stale; count]);
        }
        assert!(FewReasons::of(&reasons(8)).is_none());
        assert!(FewReasons::of(&reasons(300)).is_none());
    }

    #[test]
    fn round_trip() {
        let request = Request::new("a", "b");
        let event = Event::Decision(Box::new(DecisionRecord::of(&decision(), &request, None, &[])));
        let record = Record { v: 1, seq: 3, at_ms: 4, tenant: "acme".into(), event };
        let text = serde_json::to_string(&record).unwrap();
        assert!(text.contains(r#""kind":"decision""#), "{text}");
        assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    }
}
