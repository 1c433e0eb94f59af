//! The header of a token to be signed, read as leniently as OPA's library does it (valyala/fastjson): numbers of any of
//! their characters, strings with any escapes, the first of equal keys.

/// Composites within each other.
const MAX_DEPTH: usize = 300;

/// The fields of a header.
#[derive(Debug)]
pub(super) struct Headers<'a>(Vec<(&'a str, Field<'a>)>);

#[derive(Debug, Clone, Copy)]
enum Field<'a> {
    /// As it is written.
    String(&'a str),
    /// Something else, by its type.
    Other(&'static str),
}

impl<'a> Headers<'a> {
    /// Reads a text. What isn't an object has no fields.
    ///
    /// # Errors
    /// The text can't be read even so.
    pub(super) fn read(text: &'a str) -> Result<Self, String> {
        let mut reader = Reader { text, at: 0 };
        reader.space();
        let mut fields = vec![];
        let read = if reader.peek() == Some(b'{') { reader.object(&mut fields) } else { reader.value(0).map(|_| ()) };
        read.map_err(|what| format!("cannot parse JSON: {what}"))?;
        reader.space();
        if reader.at < text.len() {
            return Err(format!("unexpected tail: {}", crate::eval::value::text::quoted(reader.rest())));
        }
        Ok(Self(fields))
    }

    /// Whether there is a field of this name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The string under a name.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn string(&self, name: &str) -> Result<String, String> {
        match self.get(name) {
            None => Err(format!("jwsbb: header \"{name}\" not found")),
            Some(Field::String(raw)) => Ok(unescape(raw)),
            Some(Field::Other(kind)) => Err(format!("value doesn't contain string; it contains {kind}")),
        }
    }

    fn get(&self, name: &str) -> Option<Field<'a>> {
        let as_written = self.0.iter().find(|(key, _)| *key == name);
        as_written.or_else(|| self.0.iter().find(|(key, _)| unescape(key) == name)).map(|(_, field)| *field)
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    fn object(&mut self, fields: &mut Vec<(&'a str, Field<'a>)>) -> Result<(), String> {
        self.at += 1;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            let key = self.key()?;
            let start = self.at;
            let kind = self.value(1)?;
            let field = match kind {
                "string" => {
                    let raw = self.text.get(start..self.at).unwrap_or_default();
                    Field::String(raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or_default())
                }
                kind => Field::Other(kind),
            };
            fields.push((key, field));
            if !self.another(b'}', "object")? {
                return Ok(());
            }
        }
    }

    /// Passes a value and says of what type it is. Doesn't recurse.
    fn value(&mut self, outside: usize) -> Result<&'static str, String> {
        let mut open: Vec<u8> = vec![];
        let mut outermost = None;
        loop {
            if outside + open.len() >= MAX_DEPTH {
                return Err(format!("too big depth for the nested JSON; it exceeds {MAX_DEPTH}"));
            }
            let kind = match self.peek() {
                None => return Err("cannot parse empty string".to_owned()),
                Some(bracket @ (b'{' | b'[')) => {
                    self.at += 1;
                    self.space();
                    let (close, kind) = if bracket == b'{' { (b'}', "object") } else { (b']', "array") };
                    outermost = outermost.or(Some(kind));
                    if self.peek() == Some(close) {
                        self.at += 1;
                    } else {
                        open.push(close);
                        if close == b'}' {
                            self.key()?;
                        }
                        continue;
                    }
                    kind
                }
                Some(b'"') => {
                    self.at += 1;
                    self.string()?;
                    "string"
                }
                Some(b't') if self.word("true") => "true",
                Some(b'f') if self.word("false") => "false",
                Some(b'n') if self.word("null") => "null",
                Some(b'n') if self.is_named(&["nan"]) => {
                    self.at += 3;
                    "number"
                }
                Some(b't' | b'f' | b'n') => return Err("unexpected value found".to_owned()),
                Some(_) => {
                    self.number()?;
                    "number"
                }
            };
            outermost = outermost.or(Some(kind));
            loop {
                let Some(close) = open.last().copied() else { return Ok(outermost.unwrap_or(kind)) };
                if self.another(close, if close == b'}' { "object" } else { "array" })? {
                    if close == b'}' {
                        self.key()?;
                    }
                    break;
                }
                open.pop();
            }
        }
    }

    /// Behind an item: whether a comma follows; otherwise what closes has to.
    fn another(&mut self, close: u8, what: &str) -> Result<bool, String> {
        self.space();
        let byte = self.peek().ok_or_else(|| format!("unexpected end of {what}"))?;
        if byte != b',' && byte != close {
            return Err(format!("missing ',' after {what} value"));
        }
        self.at += 1;
        self.space();
        Ok(byte == b',')
    }

    /// A key and its colon, and the space behind them.
    fn key(&mut self) -> Result<&'a str, String> {
        self.space();
        if self.peek() != Some(b'"') {
            return Err("cannot find opening '\"\" for object key".to_owned());
        }
        self.at += 1;
        let key = self.string()?;
        self.space();
        if self.peek() != Some(b':') {
            return Err("missing ':' after object key".to_owned());
        }
        self.at += 1;
        self.space();
        Ok(key)
    }

    /// Behind the opening quote.
    fn string(&mut self) -> Result<&'a str, String> {
        let start = self.at;
        loop {
            match self.peek() {
                None => return Err("missing closing '\"'".to_owned()),
                Some(b'"') => {
                    self.at += 1;
                    return Ok(self.text.get(start..self.at - 1).unwrap_or_default());
                }
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
            }
        }
    }

    fn number(&mut self) -> Result<(), String> {
        let rest = self.rest().as_bytes();
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'.' | b'-' | b'e' | b'E' | b'+');
        let length = rest.iter().take_while(|byte| is_part(byte)).count();
        let signs_only = length == 0 || (length == 1 && matches!(rest.first(), Some(b'-' | b'+')));
        self.at += length;
        if signs_only && length < rest.len() {
            if !self.is_named(&["inf", "nan"]) {
                return Err("unexpected char".to_owned());
            }
            self.at += 3;
        }
        Ok(())
    }

    fn is_named(&self, names: &[&str]) -> bool {
        let rest = self.rest().as_bytes();
        rest.get(..3).is_some_and(|word| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes())))
    }

    fn word(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

/// Unknown escapes stay as they are.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((plain, escaped)) = rest.split_once('\\') {
        out.push_str(plain);
        let mut chars = escaped.chars();
        let char = chars.next();
        rest = chars.as_str();
        match char {
            Some(char @ ('"' | '\\' | '/')) => out.push(char),
            Some('b') => out.push('\u{8}'),
            Some('f') => out.push('\u{c}'),
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('u') => rest = unescape_unit(&mut out, rest),
            Some(char) => out.extend(['\\', char]),
            // A lone backslash at the end vanishes.
            None => {}
        }
    }
    out.push_str(rest);
    out
}

/// Behind `\u`; gives what is left.
fn unescape_unit<'a>(out: &mut String, rest: &'a str) -> &'a str {
    let unit = |text: &'a str| {
        let digits = text.get(..4).filter(|digits| !digits.starts_with('+'))?;
        Some((digits, u16::from_str_radix(digits, 16).ok()?, text.get(4..)?))
    };
    let Some((digits, high, behind)) = unit(rest) else {
        out.push_str("\\u");
        return rest;
    };
    if let Some(char) = char::from_u32(u32::from(high)) {
        out.push(char);
        return behind;
    }
    let Some((_, low, after)) = behind.strip_prefix("\\u").and_then(unit) else {
        out.push_str("\\u");
        out.push_str(digits);
        return behind;
    };
    out.extend(char::decode_utf16([high, low]).take(1).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER)));
    after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lenient() {
        let headers =
            Headers::read(r#" {"alg":"RS\u0032","alg":"x","n":+-1.e,"t\u0079p":"J\wT","i":[inf, -nan, {}]} "#).unwrap();
        assert_eq!(headers.string("alg").as_deref(), Ok("RS2"));
        assert_eq!(headers.string("typ").as_deref(), Ok("J\\wT"));
        assert_eq!(headers.string("n").unwrap_err(), "value doesn't contain string; it contains number");
        assert!(!headers.has("x") && headers.has("i"));
        assert_eq!(Headers::read("e").unwrap().string("alg").unwrap_err(), "jwsbb: header \"alg\" not found");
        assert_eq!(Headers::read("").unwrap_err(), "cannot parse JSON: cannot parse empty string");
        for bad in [r#"{"typ:"JWT"}"#, "{", "[1,]", "{} x", "tru", &"[".repeat(400)] {
            assert!(Headers::read(bad).is_err(), "{bad:.20}");
        }
    }
}
