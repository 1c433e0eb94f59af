//! One pass over a document's text that keeps what is wanted and checks the rest.
//!
//! It takes and refuses exactly what [`json::read`] does, but makes no tree: of a string without escapes it keeps the place,
//! of an integer the value, and of what nobody wants nothing.

use super::fields::{Field, NodeId, Wanted};
use super::scratch::Scratch;
use crate::eval::value::json::{self, JsonError, Kind, Refused, Tokens, Word};

/// Reads one document and keeps what lies at the wanted places below `at`; without a place, nothing. Fields of which nothing is found are left as they
/// are.
///
/// # Errors
/// [`json::read`] would refuse it. Some fields may have been set.
pub(crate) fn scan<'i>(
    text: &'i str,
    wanted: &Wanted,
    at: Option<NodeId>,
    fields: &mut [Field<'i>],
    scratch: &mut Scratch,
) -> Result<(), JsonError> {
    #[cfg(test)]
    crate::eval::fault::point();
    let mut scan = Scan { tokens: Tokens::new(text, json::STRICT), wanted, fields, scratch };
    let read = scan.value(at, 0).and_then(|()| scan.tokens.end());
    scan.scratch.clear();
    Ok(read?)
}

/// A document that is being read.
pub(super) struct Scan<'s, 'i> {
    pub(super) tokens: Tokens<'i>,
    pub(super) wanted: &'s Wanted,
    pub(super) fields: &'s mut [Field<'i>],
    pub(super) scratch: &'s mut Scratch,
}

impl<'i> Scan<'_, 'i> {
    /// The value that follows, which lies at the wanted place `at`, if at any, and stands in `depth` others. Recurses by
    /// depth, which is bounded.
    pub(super) fn value(&mut self, at: Option<NodeId>, depth: usize) -> Result<(), Refused> {
        match at.and_then(|at| self.wanted.field(at)) {
            Some(field) => self.keep(field, depth),
            None => self.pass(at, depth),
        }
    }

    /// A value that is wanted.
    fn keep(&mut self, field: u32, depth: usize) -> Result<(), Refused> {
        let found = match self.tokens.kind() {
            Kind::Array | Kind::Object => Field::Tree(json::read_value(&mut self.tokens, depth)?),
            kind => {
                self.tokens.count(1)?;
                match kind {
                    Kind::Text => Field::Text(self.tokens.string()?),
                    Kind::Number => Field::Number(self.tokens.number()?),
                    _ => match self.tokens.word()? {
                        Word::Null => Field::Null,
                        Word::Bool(value) => Field::Bool(value),
                    },
                }
            }
        };
        if let Some(field) = self.fields.get_mut(field as usize) {
            *field = found;
        }
        Ok(())
    }

    /// A value that isn't wanted itself; something in it may be.
    fn pass(&mut self, at: Option<NodeId>, depth: usize) -> Result<(), Refused> {
        match self.tokens.value()? {
            Kind::Object => self.object(at, depth),
            Kind::Array => self.array(depth),
            Kind::Text => self.scratch.skip_string(&mut self.tokens),
            Kind::Number => self.tokens.skip_number(),
            Kind::Word => self.tokens.word().map(|_| ()),
        }
    }

    fn object(&mut self, at: Option<NodeId>, depth: usize) -> Result<(), Refused> {
        if !self.tokens.open(b'}', depth)? {
            return Ok(());
        }
        let mark = self.scratch.open();
        loop {
            let key = self.scratch.key(&mut self.tokens)?;
            let child = at.and_then(|at| self.wanted.child(at, key));
            self.value(child, depth + 1)?;
            if !self.tokens.another(b'}')? {
                return self.scratch.close(mark, &self.tokens);
            }
        }
    }

    /// Paths lead through keys only, so nothing in an array is wanted by itself.
    fn array(&mut self, depth: usize) -> Result<(), Refused> {
        if !self.tokens.open(b']', depth)? {
            return Ok(());
        }
        loop {
            self.pass(None, depth + 1)?;
            if !self.tokens.another(b']')? {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::eval::input::agree;

    /// Scans with memory that has been used before, for whatever a refused document may have left there.
    fn agree_on(text: &str) {
        let mut scratch = Scratch::default();
        for text in [r#"{"\u0061":{"b":[{"c":"#, text] {
            assert_eq!(agree::document(text, &mut scratch), Ok(()), "{:.200}", text);
        }
    }

    #[test]
    fn depth_is_that_of_the_whole_document() {
        let nested = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
        let lists = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        let below = |json: String| format!(r#"{{"a":{json}}}"#);
        for (deepest, too_deep) in
            [(nested(32), nested(33)), (lists(32), lists(33)), (below(lists(31)), below(lists(32)))]
        {
            assert!(json::read(&deepest, json::STRICT).is_ok(), "{deepest}");
            assert!(json::read(&too_deep, json::STRICT).is_err(), "{too_deep}");
            agree_on(&deepest);
            agree_on(&too_deep);
        }
    }

    #[test]
    fn values_are_those_of_the_whole_document() {
        let long = "9".repeat(64);
        for (item, counts) in
            [("1", 1), (r#""a""#, 1), ("{}", 1), ("[]", 1), ("1.5", 2), (&long, 4), ("[0]", 4), (r#"{"k":null}"#, 5)]
        {
            // Two objects and an array with content count for three each, and there are four keys and two values more.
            let left = json::STRICT.max_values - 9 - 6;
            let document = |more: usize| {
                let items = vec![item; left / counts].join(",");
                let rest = ",0".repeat(left % counts + more);
                format!(r#"{{"z":{{"y":[{items}{rest}]}},"a":true,"b":"c"}}"#)
            };
            assert!(json::read(&document(0), json::STRICT).is_ok(), "{item}");
            assert!(json::read(&document(1), json::STRICT).unwrap_err().is_limit, "{item}");
            agree_on(&document(0));
            agree_on(&document(1));
        }
    }

    #[test]
    fn keys_are_different_however_they_are_written() {
        let keys = |n: usize| (0..n).map(|i| format!(r#""k{i}":{i}"#)).collect::<Vec<_>>().join(",");
        for n in [0, 1, 7, 8, 9, 100, 10_000] {
            for last in
                [r#""k0":1"#, r#""\u006b0":1"#, r#""\u006b-":1,"k-":1"#, r#""\u006bx":1,"\u006b\u0078":2"#, r#""z":0"#]
            {
                let object = format!("{{{}{}{last}}}", keys(n), if n > 0 { "," } else { "" });
                for json in [object.clone(), format!(r#"[[{object}],{{"a":{{"b":{object}}},"b":0}}]"#)] {
                    agree_on(&json);
                }
            }
        }
        let twice = scan(
            r#"{"a":{"x":1,"\u0078":1}}"#,
            &Wanted::default(),
            Some(Wanted::ROOT),
            &mut [],
            &mut Scratch::default(),
        );
        assert!(twice.unwrap_err().what.contains("`x` stands twice"));
    }

    #[test]
    fn memory_of_one_large_document_is_given_back() {
        let mut scratch = Scratch::default();
        let keys: Vec<_> = (0..50_000).map(|i| format!(r#""\u006b{i}":0"#)).collect();
        let large = format!("{{{}}}", keys.join(","));
        scan(&large, &Wanted::default(), Some(Wanted::ROOT), &mut [], &mut scratch).unwrap();
        assert!(scratch.bytes() < 200_000, "{}", scratch.bytes());
    }

    #[test]
    fn texts_are_borrowed() {
        let wanted = Wanted::new(&[["a".into()].into(), ["b".into()].into()]);
        let json = r#"{"a":"plain é","b":"\u0065scaped"}"#;
        let mut fields = vec![Field::Absent; 2];
        scan(json, &wanted, Some(Wanted::ROOT), &mut fields, &mut Scratch::default()).unwrap();
        assert!(matches!(&fields[0], Field::Text(std::borrow::Cow::Borrowed("plain é"))));
        assert!(matches!(&fields[1], Field::Text(std::borrow::Cow::Owned(text)) if text == "escaped"));
    }

    #[test]
    fn many_wanted_keys() {
        let paths: Vec<Box<[Arc<str>]>> = (0..30).map(|i| [format!("k{i}").into()].into()).collect();
        let wanted = Wanted::new(&paths);
        let mut fields = vec![Field::Absent; 30];
        scan(r#"{"k3":3,"k29":29,"k":0}"#, &wanted, Some(Wanted::ROOT), &mut fields, &mut Scratch::default()).unwrap();
        for (i, field) in (0_i64..).zip(&fields) {
            let due = if i == 3 || i == 29 { Field::Number(i.into()) } else { Field::Absent };
            assert_eq!(*field, due);
        }
    }

    /// Documents with keys and strings that repeat, in several spellings, and numbers of all sorts.
    fn documents() -> impl Strategy<Value = String> {
        let string = prop_oneof![
            4 => "[a-c]{0,2}",
            1 => "[a-zé€😀]{7,20}",
            1 => r#"(\\u006[1-3]|[a-c]|\\n|\\"|\\\\|\\/|\\ud83d\\ude00){1,12}"#,
            1 => prop::sample::select(vec![r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud800x", r"\u12", r"\x", "\u{1}", "\u{7f}"])
                .prop_map(str::to_owned),
        ];
        let string = string.prop_map(|text| format!("\"{text}\"")).boxed();
        let number = prop_oneof![
            4 => any::<i16>().prop_map(|n| n.to_string()),
            2 => "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,4})?",
            1 => any::<i64>().prop_map(|n| n.to_string()),
            1 => any::<f64>().prop_map(|n| n.to_string()),
            1 => prop::sample::select(vec!["-0", "00", "01", "1.", ".5", "-", "1e", "9223372036854775807", "9223372036854775808",
                "-9223372036854775808", "999999999999999999", "1000000000000000000", "-999999999999999999", "1e5000", "0e5000",
                "0e99999999999"]).prop_map(str::to_owned),
            1 => (4090_usize..4100).prop_map(|n| "1".repeat(n)),
        ];
        let word = prop::sample::select(vec!["null", "true", "false", "nul", ""]).prop_map(str::to_owned);
        let scalar = prop_oneof![4 => string.clone(), 4 => number, 2 => word];
        let space = || prop::sample::select(vec!["", "", "", " ", "\n\t ", "\r"]);
        scalar.prop_recursive(6, 60, 12, move |inner| {
            let value = (space(), inner, space()).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
            let values = prop::collection::vec(value.clone(), 0..12);
            let entry =
                (string.clone(), space(), value).prop_map(|(key, space, value)| format!("{key}{space}:{value}"));
            prop_oneof![
                1 => values.prop_map(|values| format!("[{}]", values.join(","))),
                2 => prop::collection::vec(entry, 0..12).prop_map(|entries| format!("{{{}}}", entries.join(","))),
            ]
        })
    }

    /// Objects whose keys are all different, so that something is accepted.
    fn values() -> impl Strategy<Value = serde_json::Value> {
        let scalar = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            ".{0,12}".prop_map(Into::into),
        ];
        scalar.prop_recursive(8, 80, 12, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..12).prop_map(Into::into),
                prop::collection::btree_map("[a-c\"]{0,3}", inner, 0..12)
                    .prop_map(|entries| entries.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn takes_what_the_reader_takes(json in documents()) {
            agree_on(&json);
        }

        #[test]
        fn finds_what_the_reader_finds(value in values()) {
            prop_assert!(json::read(&value.to_string(), json::STRICT).is_ok());
            agree_on(&value.to_string());
        }

        #[test]
        fn bent_documents(value in values(), at in any::<prop::sample::Index>(), with in "[\\[\\]{}:,\"a\\\\0-9.eE+ \u{0}-]{0,3}", cut in 0_usize..4) {
            let mut bytes = value.to_string().into_bytes();
            let start = at.index(bytes.len() + 1);
            let end = (start + cut).min(bytes.len());
            bytes.splice(start..end, with.bytes());
            agree_on(&String::from_utf8_lossy(&bytes));
            bytes.truncate(start);
            agree_on(&String::from_utf8_lossy(&bytes));
        }

        #[test]
        fn any_text(json in "[\\[\\]{}:,\"a\\\\0-9.eE+ -]{0,40}") {
            agree_on(&json);
        }
    }
}
