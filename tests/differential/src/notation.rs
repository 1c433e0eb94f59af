//! Values in Rego's notation, read again.

/// A value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doc {
    /// `null`, `true` or `false`.
    Word(String),
    /// A number: its digits without zeros around them, and the exponent of the last one; negative or not.
    Number {
        /// Whether it is below zero.
        negative: bool,
        /// Its digits.
        digits: String,
        /// The power of ten that the last digit stands for.
        exponent: i64,
        /// As it was written.
        text: String,
    },
    /// A string.
    Text(String),
    /// An array.
    Array(Vec<Doc>),
    /// A set.
    Set(Vec<Doc>),
    /// An object.
    Object(Vec<(Doc, Doc)>),
}

/// Whether two texts are the same value, in whatever order and however numbers are written.
pub fn same(a: &str, b: &str) -> bool {
    match (read(a), read(b)) {
        (Some(a), Some(b)) => plain(&a) == plain(&b),
        _ => a == b,
    }
}

/// Without what doesn't matter.
fn plain(doc: &Doc) -> Doc {
    match doc {
        Doc::Number { negative, digits, exponent, .. } => {
            Doc::Number { negative: *negative, digits: digits.clone(), exponent: *exponent, text: String::new() }
        }
        Doc::Array(items) => Doc::Array(items.iter().map(plain).collect()),
        Doc::Set(items) => {
            let mut items: Vec<Doc> = items.iter().map(plain).collect();
            items.sort();
            Doc::Set(items)
        }
        Doc::Object(entries) => {
            let mut entries: Vec<(Doc, Doc)> = entries.iter().map(|(key, value)| (plain(key), plain(value))).collect();
            entries.sort();
            Doc::Object(entries)
        }
        other => other.clone(),
    }
}

/// Reads a value.
pub fn read(text: &str) -> Option<Doc> {
    let mut reader = Reader { chars: text.chars().collect(), at: 0 };
    let doc = reader.value()?;
    reader.space();
    (reader.at == reader.chars.len()).then_some(doc)
}

impl Doc {
    /// As JSON: sets are arrays.
    pub fn to_json(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Number { text, .. } => text.clone(),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Array(items) | Self::Set(items) => {
                format!("[{}]", items.iter().map(Self::to_json).collect::<Vec<_>>().join(", "))
            }
            Self::Object(entries) => {
                let entries = entries.iter().map(|(key, value)| {
                    let key = if matches!(key, Self::Text(_)) {
                        key.to_json()
                    } else {
                        serde_json::Value::from(key.to_json()).to_string()
                    };
                    format!("{key}: {}", value.to_json())
                });
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

struct Reader {
    chars: Vec<char>,
    at: usize,
}

impl Reader {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    fn eats(&mut self, text: &str) -> bool {
        let found = text.chars().enumerate().all(|(offset, c)| self.chars.get(self.at + offset) == Some(&c));
        if found {
            self.at += text.chars().count();
        }
        found
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|c| matches!(c, ' ' | '\n' | '\t' | '\r')) {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Option<Doc> {
        self.space();
        for word in ["null", "true", "false"] {
            if self.eats(word) {
                return Some(Doc::Word(word.to_owned()));
            }
        }
        if self.eats("set()") {
            return Some(Doc::Set(vec![]));
        }
        match self.peek()? {
            '"' => self.string().map(Doc::Text),
            '[' => {
                self.at += 1;
                let mut items = vec![];
                while !self.closes(']') {
                    items.push(self.value()?);
                    self.comma();
                }
                Some(Doc::Array(items))
            }
            '{' => {
                self.at += 1;
                self.braces()
            }
            _ => self.number(),
        }
    }

    fn closes(&mut self, close: char) -> bool {
        self.space();
        let closes = self.peek() == Some(close);
        if closes {
            self.at += 1;
        }
        closes
    }

    fn comma(&mut self) {
        self.space();
        self.eats(",");
    }

    fn braces(&mut self) -> Option<Doc> {
        if self.closes('}') {
            return Some(Doc::Object(vec![]));
        }
        let first = self.value()?;
        self.space();
        if self.eats(":") {
            let mut entries = vec![(first, self.value()?)];
            self.comma();
            while !self.closes('}') {
                let key = self.value()?;
                self.space();
                self.eats(":").then_some(())?;
                entries.push((key, self.value()?));
                self.comma();
            }
            return Some(Doc::Object(entries));
        }
        let mut items = vec![first];
        self.comma();
        while !self.closes('}') {
            items.push(self.value()?);
            self.comma();
        }
        Some(Doc::Set(items))
    }

    /// Go's escapes, which JSON's are some of.
    fn string(&mut self) -> Option<String> {
        self.at += 1;
        let mut units: Vec<u16> = vec![];
        loop {
            match self.next()? {
                '"' => return Some(String::from_utf16_lossy(&units)),
                '\\' => {
                    let code = match self.next()? {
                        'n' => 0x0a,
                        't' => 0x09,
                        'r' => 0x0d,
                        'b' => 0x08,
                        'f' => 0x0c,
                        'a' => 0x07,
                        'v' => 0x0b,
                        'x' => self.hex(2)?,
                        'u' => self.hex(4)?,
                        'U' => self.hex(8)?,
                        other => u32::from(other),
                    };
                    match char::from_u32(code) {
                        Some(c) => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
                        None => units.push(u16::try_from(code).ok()?),
                    }
                }
                c => units.extend(c.encode_utf16(&mut [0; 2]).iter()),
            }
        }
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + self.next()?.to_digit(16)?;
        }
        Some(code)
    }

    fn number(&mut self) -> Option<Doc> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E')) {
            self.at += 1;
        }
        let text: String = self.chars.get(start..self.at)?.iter().collect();
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (text.as_str(), 0_i64),
        };
        let negative = mantissa.starts_with('-');
        let (whole, fraction) =
            mantissa.trim_start_matches('-').split_once('.').unwrap_or((mantissa.trim_start_matches('-'), ""));
        if whole.is_empty() {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let kept = all.trim_end_matches('0');
        let mut exponent =
            exponent - i64::try_from(fraction.len()).ok()? + i64::try_from(all.len() - kept.len()).ok()?;
        let digits = kept.trim_start_matches('0').to_owned();
        let negative = negative && !digits.is_empty();
        if digits.is_empty() {
            exponent = 0;
        }
        Some(Doc::Number { negative, digits, exponent, text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_and_order_do_not_matter() {
        for (a, b) in [
            ("1", "1.0"),
            ("1e2", "100"),
            ("{1, \"a\"}", "{\"a\", 10e-1}"),
            ("-0", "0"),
            ("{\"a\": 1.50}", "{\"a\": 1.5}"),
        ] {
            assert!(same(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("1", "1.1"),
            ("{1}", "[1]"),
            ("\"1\"", "1"),
            ("set()", "{}"),
            ("18446744073709551616", "18446744073709551617"),
        ] {
            assert!(!same(a, b), "{a} {b}");
        }
        assert_eq!(read(r#"{"a": {"\u00e9\x0a"}, 1: [null]}"#).unwrap().to_json(), r#"{"a": ["é\n"], "1": [null]}"#);
    }
}
