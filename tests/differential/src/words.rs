//! Constants: a few of each kind for one policy, so that policies, data and inputs meet.

use crate::rng::Rng;
use crate::shape::{Flavor, Shape};
use crate::tree::{Tree, items, join, list, term, text};

/// Which notation a constant is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notation {
    /// Rego's, which has sets, raw strings and keys of any type.
    Rego,
    /// JSON.
    Json,
}

const WORDS: [&str; 34] = [
    "alice",
    "bob",
    "Alice",
    "ALICE",
    "admin",
    "admins",
    "read",
    "write",
    "readwrite",
    "",
    "a",
    "ab",
    "abc",
    "b",
    "A",
    "é",
    "aéc",
    "e\u{301}",
    "ß",
    "SS",
    "ΑΣ",
    "ας",
    "\u{212a}",
    "k",
    "日本",
    "\u{1f600}",
    " a ",
    "a b",
    "*",
    "true",
    "null",
    "a\"b",
    "a\\b",
    "a\nb",
];
const PATHS: [&str; 22] = [
    "read:a",
    "read:a:b",
    "read:",
    "tool.exec",
    "tool.exec.rm",
    "tool",
    "a/b/c",
    "a/c",
    "a",
    "/v1/users",
    "/v1/users/7",
    "/v1/",
    "a.b.c",
    "a..b",
    "A/B",
    "api:read:é",
    "x@example.com",
    "https://a.b/c?d=e&f",
    "v1.2.3",
    "a,b,c",
    "a/b",
    "a:b/c.d",
];
const NETS: [&str; 18] = [
    "10.1.2.3",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "192.168.0.1",
    "192.168.0.0/16",
    "::1",
    "::/0",
    "fe80::1",
    "2001:db8::/32",
    "2001:DB8::1",
    "::ffff:10.1.1.1",
    "010.1.1.1",
    "10.1.2",
    "10.1.2.3/33",
    "0.0.0.0/0",
    "1.2.3.4/32",
    "fe80::1%eth0",
    "x",
];
const TIMES: [&str; 10] = [
    "2024-01-02T03:04:05Z",
    "2024-01-02T03:04:05.123456789Z",
    "2024-02-29T23:59:60Z",
    "2024-01-02T03:04:05+02:00",
    "2024-01-02",
    "1969-12-31T23:59:59Z",
    "2262-04-11T23:47:17Z",
    "2024-13-01T00:00:00Z",
    "2025-06-30T12:00:00-07:30",
    "",
];
const DIGITS: [&str; 20] = [
    "0",
    "1",
    "7",
    "01",
    "+1",
    "-1",
    "1.0",
    "1e0",
    "1E2",
    "0x10",
    "0b1",
    " 1",
    "1 ",
    "9007199254740993",
    "1e400",
    "Inf",
    "NaN",
    "1_000",
    ".5",
    "5.",
];
const NUMBERS: [&str; 44] = [
    "0",
    "1",
    "2",
    "3",
    "5",
    "7",
    "10",
    "100",
    "-1",
    "-0",
    "1.0",
    "1e0",
    "10e-1",
    "0.1",
    "0.2",
    "0.3",
    "0.30000000000000004",
    "1.5",
    "2.5",
    "-2.5",
    "0.5",
    "1E2",
    "1e2",
    "100.00",
    "1e-7",
    "0.0",
    "9007199254740991",
    "9007199254740992",
    "9007199254740993",
    "9007199254740992.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "18446744073709551617",
    "100000000000000000000000000000001",
    "1.0000000000000000000000001",
    "1e21",
    "1e22",
    "123456789.123456789",
    "4294967296",
    "700",
    "701",
];

/// The constants of one policy.
#[derive(Debug, Clone)]
pub struct Words {
    words: Vec<&'static str>,
    paths: Vec<&'static str>,
    nets: Vec<&'static str>,
    times: Vec<&'static str>,
    digits: Vec<&'static str>,
    numbers: Vec<&'static str>,
}

impl Words {
    /// Chooses them.
    pub fn new(rng: &mut Rng) -> Self {
        let mut some = |from: &[&'static str], count: usize| (0..count).map(|_| rng.one(from)).collect::<Vec<_>>();
        Self {
            words: some(&WORDS, 6),
            paths: some(&PATHS, 5),
            nets: some(&NETS, 4),
            times: some(&TIMES, 3),
            digits: some(&DIGITS, 4),
            numbers: [some(&NUMBERS[..8], 3), some(&NUMBERS, 5)].concat(),
        }
    }

    /// One of the policy's strings.
    pub fn string(&self, rng: &mut Rng, flavor: Flavor) -> &'static str {
        // Now and then from all there are.
        let rare = rng.percent(4);
        let of = |few: &Vec<&'static str>, all: &[&'static str], rng: &mut Rng| rng.one(if rare { all } else { few });
        match flavor {
            Flavor::Word => of(&self.words, &WORDS, rng),
            Flavor::Path => of(&self.paths, &PATHS, rng),
            Flavor::Net => of(&self.nets, &NETS, rng),
            Flavor::Time => of(&self.times, &TIMES, rng),
            Flavor::Digits => of(&self.digits, &DIGITS, rng),
        }
    }

    /// One of the policy's numbers.
    pub fn number(&self, rng: &mut Rng) -> &'static str {
        let rare = rng.percent(4);
        rng.one(if rare { &NUMBERS } else { &self.numbers })
    }

    /// A constant.
    pub fn literal(&self, rng: &mut Rng, shape: &Shape, notation: Notation) -> Tree {
        match shape {
            Shape::Any => {
                let shape = any_shape(rng, 2);
                self.literal(rng, &shape, notation)
            }
            Shape::Null => text("null"),
            Shape::Bool => text(rng.one(&["true", "false"])),
            Shape::Num => text(self.number(rng)),
            Shape::Str(flavor) => {
                let content = self.string(rng, *flavor);
                text(quoted(rng, content, notation))
            }
            Shape::Array(item) => self.array(rng, item, notation),
            Shape::Set(item) if notation == Notation::Json => self.array(rng, item, notation),
            Shape::Set(item) => match self.several(rng, item, notation) {
                none if none.is_empty() => text("set()"),
                some => Tree::Term(vec![items("{", some, ", ", "}", 1)]),
            },
            Shape::Map(key, value) => {
                let key = if notation == Notation::Json { Shape::word() } else { (**key).clone() };
                let mut entries = vec![];
                let mut keys = vec![];
                for _ in 0..rng.below(4) {
                    // In JSON each key in one spelling: a document with a key twice is refused.
                    let key = match (&key, notation) {
                        (Shape::Str(flavor), Notation::Json) => {
                            serde_json::Value::from(self.string(rng, *flavor)).to_string()
                        }
                        _ => self.literal(rng, &key, notation).render(),
                    };
                    if !keys.contains(&key) {
                        entries.push(join("~: ~", [text(key.clone()), self.literal(rng, value, notation)]));
                        keys.push(key);
                    }
                }
                Tree::Term(vec![list("{", entries, "}")])
            }
            Shape::Record(fields) => {
                let mut entries = vec![];
                for (name, shape) in fields {
                    if !rng.percent(12) {
                        entries.push(join("~: ~", [text(format!("\"{name}\"")), self.literal(rng, shape, notation)]));
                    }
                }
                Tree::Term(vec![list("{", entries, "}")])
            }
        }
    }

    fn array(&self, rng: &mut Rng, item: &Shape, notation: Notation) -> Tree {
        Tree::Term(vec![list("[", self.several(rng, item, notation), "]")])
    }

    fn several(&self, rng: &mut Rng, item: &Shape, notation: Notation) -> Vec<Tree> {
        let count = rng.weighted(&[15, 25, 30, 20, 10]);
        (0..count).map(|_| self.literal(rng, item, notation)).collect()
    }
}

/// A string in quotes, in one of the ways to write it.
pub fn quoted(rng: &mut Rng, content: &str, notation: Notation) -> String {
    let rego = notation == Notation::Rego;
    if rego && rng.percent(10) && !content.contains('`') {
        return format!("`{content}`");
    }
    if rng.percent(4) {
        let escaped: String = content.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
        return format!("\"{escaped}\"");
    }
    serde_json::Value::from(content).to_string()
}

/// Any shape, composites at most `depth` deep.
pub fn any_shape(rng: &mut Rng, depth: usize) -> Shape {
    let composites = if depth == 0 { 0 } else { 10 };
    match rng.weighted(&[6, 12, 22, 35, composites, composites / 2, composites]) {
        0 => Shape::Null,
        1 => Shape::Bool,
        2 => Shape::Num,
        3 => Shape::Str(flavor(rng)),
        4 => Shape::array(any_shape(rng, depth - 1)),
        5 => Shape::set(any_shape(rng, depth - 1)),
        _ => Shape::map(any_shape(rng, depth - 1)),
    }
}

/// Any flavor of string, words most often.
pub fn flavor(rng: &mut Rng) -> Flavor {
    match rng.weighted(&[55, 20, 8, 5, 12]) {
        0 => Flavor::Word,
        1 => Flavor::Path,
        2 => Flavor::Net,
        3 => Flavor::Time,
        _ => Flavor::Digits,
    }
}

/// Something near to a constant, which isn't it or is it in another spelling. Both in JSON.
pub fn near(rng: &mut Rng, constant: &str) -> String {
    match serde_json::from_str::<serde_json::Value>(constant) {
        Ok(serde_json::Value::String(content)) => serde_json::Value::from(near_string(rng, &content)).to_string(),
        Ok(serde_json::Value::Number(_)) => near_number(rng, constant),
        Ok(serde_json::Value::Bool(yes)) => (!yes).to_string(),
        Ok(serde_json::Value::Null) => rng.one(&["false", "\"null\"", "{}", "0"]).to_owned(),
        _ => rng.one(&["[]", "{}", "\"\"", "null"]).to_owned(),
    }
}

fn near_string(rng: &mut Rng, content: &str) -> String {
    match rng.below(9) {
        0 => content.to_uppercase(),
        1 => content.to_lowercase(),
        2 => format!("{content}{}", rng.one(&["a", " ", ":b", "/b", ".b", "é", "\n"])),
        3 => format!("{}{content}", rng.one(&["a", " ", "/", "x:", "é"])),
        4 => content.chars().skip(1).collect(),
        5 => content.chars().rev().skip(1).collect::<Vec<_>>().into_iter().rev().collect(),
        6 => content.replace('e', "é").replace('a', "á"),
        7 => content.replace([':', '.', '/'], rng.one(&[":", ".", "/"])),
        _ => content.trim().to_owned(),
    }
}

fn near_number(rng: &mut Rng, constant: &str) -> String {
    let integer = !constant.contains(['.', 'e', 'E']);
    match rng.below(7) {
        0 if integer => format!("{constant}.0"),
        1 => format!("{constant}{}", if constant.contains(['e', 'E']) { "" } else { "e0" }),
        2 if integer => format!("{constant}.0000000000000000001"),
        3 => match constant.parse::<i128>() {
            Ok(number) => (number + 1).to_string(),
            Err(_) => constant.to_owned(),
        },
        4 => match constant.parse::<i128>() {
            Ok(number) => (number - 1).to_string(),
            Err(_) => constant.to_owned(),
        },
        5 => format!("\"{constant}\""),
        _ => constant.to_owned(),
    }
}

/// A constant as an expression of its own.
pub fn constant(content: impl Into<String>) -> Tree {
    term("~", [text(content.into())])
}
