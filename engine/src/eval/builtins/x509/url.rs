//! URIs of certificates, by the rules of Go's `net/url` (`Parse`, `String`), and as `encoding/json` shows its
//! structure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::super::Failure;
use super::super::crypto::keys::object;
use crate::eval::value::Value;

/// A URI in its parts, unescaped where Go unescapes them.
#[derive(Debug, Clone, Default)]
pub(super) struct Uri {
    scheme: Vec<u8>,
    opaque: Vec<u8>,
    /// The escaped form.
    user: Option<Vec<u8>>,
    pub(super) host: Vec<u8>,
    path: Vec<u8>,
    fragment: Vec<u8>,
    query: Vec<u8>,
    raw_path: Vec<u8>,
    raw_fragment: Vec<u8>,
    force_query: bool,
    omit_host: bool,
}

/// Which characters stand for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Host,
    Zone,
    Path,
    User,
    Fragment,
}

impl Uri {
    /// Reads a URI of ASCII characters.
    ///
    /// # Errors
    /// It isn't one.
    pub(super) fn parse(text: &[u8]) -> Result<Self, Failure> {
        let parsed = || {
            let (text, fragment) = cut(text, b'#');
            let mut uri = Self::without_fragment(text)?;
            uri.fragment = unescape(fragment, Part::Fragment)?;
            if escape(&uri.fragment, Part::Fragment) != fragment {
                uri.raw_fragment = fragment.to_vec();
            }
            Some(uri)
        };
        let text = String::from_utf8_lossy(text);
        parsed().ok_or_else(|| Failure::error(format!("x509: cannot parse URI \"{text}\"")))
    }

    fn without_fragment(text: &[u8]) -> Option<Self> {
        if text.iter().any(u8::is_ascii_control) {
            return None;
        }
        let mut uri = Self::default();
        if text == b"*" {
            uri.path = text.to_vec();
            return Some(uri);
        }
        let (scheme, mut rest) = split_scheme(text)?;
        uri.scheme = scheme.to_ascii_lowercase();
        match rest.strip_suffix(b"?").filter(|before| !before.contains(&b'?')) {
            Some(before) => {
                uri.force_query = true;
                rest = before;
            }
            None => {
                let (before, query) = cut(rest, b'?');
                uri.query = query.to_vec();
                rest = before;
            }
        }
        if !rest.starts_with(b"/") {
            if !uri.scheme.is_empty() {
                uri.opaque = rest.to_vec();
                return Some(uri);
            }
            if cut(rest, b'/').0.contains(&b':') {
                return None;
            }
        }
        let has_authority = rest.starts_with(b"//") && (!uri.scheme.is_empty() || !rest.starts_with(b"///"));
        if has_authority {
            let authority = rest.get(2..).unwrap_or_default();
            let end = authority.iter().position(|byte| *byte == b'/').unwrap_or(authority.len());
            let (authority, path) = authority.split_at_checked(end)?;
            uri.authority(authority)?;
            rest = path;
        } else if !uri.scheme.is_empty() && rest.starts_with(b"/") {
            uri.omit_host = true;
        }
        uri.path = unescape(rest, Part::Path)?;
        if escape(&uri.path, Part::Path) != rest {
            uri.raw_path = rest.to_vec();
        }
        Some(uri)
    }

    fn authority(&mut self, authority: &[u8]) -> Option<()> {
        let at = authority.iter().rposition(|byte| *byte == b'@');
        let host = authority.get(at.map_or(0, |at| at + 1)..)?;
        self.host = parse_host(&self.scheme, host)?;
        let Some(user) = at.and_then(|at| authority.get(..at)) else { return Some(()) };
        let is_valid = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(byte);
        if !user.iter().all(is_valid) {
            return None;
        }
        let (name, password) = cut(user, b':');
        let mut escaped = escape(&unescape(name, Part::User)?, Part::User);
        if user.contains(&b':') {
            escaped.push(b':');
            escaped.extend(escape(&unescape(password, Part::User)?, Part::User));
        }
        self.user = Some(escaped);
        Some(())
    }

    /// The URI as text again.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut out = vec![];
        if !self.scheme.is_empty() {
            out.extend(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            let has_authority = !self.host.is_empty() || self.user.is_some();
            if has_authority || (!self.scheme.is_empty() && !self.omit_host) {
                if has_authority || !self.path.is_empty() {
                    out.extend(b"//");
                }
                if let Some(user) = &self.user {
                    out.extend(user);
                    out.push(b'@');
                }
                out.extend(escape(&self.host, Part::Host));
            }
            let path = self.escaped_path();
            if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
                out.push(b'/');
            }
            if out.is_empty() && cut(&path, b'/').0.contains(&b':') {
                out.extend(b"./");
            }
            out.extend(path);
        } else {
            out.extend(&self.opaque);
        }
        if self.force_query || !self.query.is_empty() {
            out.push(b'?');
            out.extend(&self.query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            out.extend(escaped(&self.raw_fragment, &self.fragment, Part::Fragment));
        }
        out
    }

    fn escaped_path(&self) -> Vec<u8> {
        if self.path == b"*" && self.raw_path.is_empty() {
            return self.path.clone();
        }
        escaped(&self.raw_path, &self.path, Part::Path)
    }

    pub(super) fn to_value(&self) -> Value {
        let text = |bytes: &[u8]| Value::from(super::lossy(bytes));
        object(vec![
            ("Scheme", text(&self.scheme)),
            ("Opaque", text(&self.opaque)),
            ("User", self.user.as_ref().map_or(Value::Null, |_| object(vec![]))),
            ("Host", text(&self.host)),
            ("Path", text(&self.path)),
            ("Fragment", text(&self.fragment)),
            ("RawQuery", text(&self.query)),
            ("RawPath", text(&self.raw_path)),
            ("RawFragment", text(&self.raw_fragment)),
            ("ForceQuery", Value::Bool(self.force_query)),
            ("OmitHost", Value::Bool(self.omit_host)),
        ])
    }
}

/// An address as Go's `netip.ParseAddr` reads it: one of version 6 may have a zone.
pub(super) fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse::<Ipv4Addr>() {
        return Some(IpAddr::V4(address));
    }
    let address = match text.split_once('%') {
        Some((_, "")) => return None,
        Some((address, _)) => address,
        None => text,
    };
    address.parse::<Ipv6Addr>().ok().map(IpAddr::V6)
}

fn cut(text: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut parts = text.splitn(2, |byte| *byte == at);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The scheme, empty if there is none, and what follows it.
fn split_scheme(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let length = text.iter().take_while(|byte| is_scheme(byte)).count();
    if text.get(length) != Some(&b':')
        || text.first().is_some_and(|first| first.is_ascii_digit() || b"+-.".contains(first))
    {
        return Some((&[], text));
    }
    // A colon in front is neither.
    if length == 0 { None } else { Some((text.get(..length)?, text.get(length + 1..)?)) }
}

fn parse_host(scheme: &[u8], host: &[u8]) -> Option<Vec<u8>> {
    let is_port = |port: &[u8]| match port.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    };
    match host.iter().rposition(|byte| *byte == b'[') {
        Some(0) => {
            let close = host.iter().rposition(|byte| *byte == b']')?;
            let port = host.get(close + 1..)?;
            if !is_port(port) {
                return None;
            }
            let name = host.get(1..close)?;
            let zone = name.windows(3).position(|window| window == b"%25").unwrap_or(name.len());
            let (address, zone) = name.split_at_checked(zone)?;
            let name = [unescape(address, Part::Host)?, unescape(zone, Part::Zone)?].concat();
            match parse_address(&name)? {
                IpAddr::V4(_) => None,
                IpAddr::V6(_) => Some([&b"["[..], &name, b"]", port].concat()),
            }
        }
        Some(_) => None,
        None => {
            if let Some(first) = host.iter().position(|byte| *byte == b':') {
                let last = host.iter().rposition(|byte| *byte == b':').unwrap_or(first);
                let strict = scheme == b"http" || scheme == b"https";
                if !is_port(host.get(if strict { first } else { last }..)?) {
                    return None;
                }
            }
            unescape(host, Part::Host)
        }
    }
}

fn is_plain(byte: u8, part: Part) -> bool {
    match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => true,
        b'!' | b'(' | b')' | b'*' => matches!(part, Part::Host | Part::Zone | Part::Fragment),
        b'$' | b'&' | b'+' | b',' | b';' | b'=' => true,
        b':' => part != Part::User,
        b'\'' | b'[' | b']' | b'<' | b'>' | b'"' => matches!(part, Part::Host | Part::Zone),
        b'/' | b'@' => matches!(part, Part::Path | Part::Fragment),
        b'?' => part == Part::Fragment,
        _ => false,
    }
}

fn escape(text: &[u8], part: Part) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if is_plain(*byte, part) {
            out.push(*byte);
        } else {
            out.extend(format!("%{byte:02X}").into_bytes());
        }
    }
    out
}

/// The form that something was written in, if that is one; else its usual one.
fn escaped(raw: &[u8], text: &[u8], part: Part) -> Vec<u8> {
    let is_valid = |byte: &u8| b"!$&'()*+,;=:@[]%".contains(byte) || is_plain(*byte, part);
    if !raw.is_empty() && raw.iter().all(is_valid) && unescape(raw, part).is_some_and(|unescaped| unescaped == text) {
        return raw.to_vec();
    }
    escape(text, part)
}

fn unescape(text: &[u8], part: Part) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        if *byte == b'%' {
            let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
            let byte = u8::try_from(digit(at + 1)? << 4 | digit(at + 2)?).ok()?;
            let fits = match part {
                Part::Host => byte >= 0x80 || byte == b'%',
                Part::Zone => byte == b'%' || byte == b' ' || is_plain(byte, Part::Host),
                _ => true,
            };
            fits.then(|| out.push(byte))?;
            at += 3;
        } else {
            if matches!(part, Part::Host | Part::Zone) && byte.is_ascii() && !is_plain(*byte, part) {
                return None;
            }
            out.push(*byte);
            at += 1;
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_to_text() {
        for text in [
            "spiffe://example.com/a",
            "http://u:p@h:80/a%2Fb?q#f",
            "mailto:a@b",
            "/a/b",
            "urn:x?",
            "file:///etc",
            "a:/b",
            "http://[::1%25eth0]:8/",
            "*",
        ] {
            assert_eq!(String::from_utf8(Uri::parse(text.as_bytes()).unwrap().text()).unwrap(), text);
        }
        for text in
            ["http://a b/", ":x", "a:b\u{7f}", "http://h:x/", "http://[1.2.3.4]/", "x/%zz", "a%:b", "http://[::1"]
        {
            assert!(Uri::parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
