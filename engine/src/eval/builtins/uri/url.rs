//! URLs as Go 1.26's `net/url` parses, writes and resolves them, in bytes: an escape may stand for any of them.
//!
//! Like Go 1.26, and unlike Go before it, only one colon may stand in the host of an `http` URL.

use std::fmt::{self, Write as _};

use crate::eval::value::text::quoted;

/// Go's `url.URL`. The parts without a `raw_` are without escapes.
#[derive(Debug, Clone, Default)]
pub(in crate::eval) struct Url {
    pub(in crate::eval) scheme: Vec<u8>,
    /// What follows the scheme, where it doesn't begin with a slash.
    opaque: Vec<u8>,
    user: Option<User>,
    pub(in crate::eval) host: Vec<u8>,
    pub(in crate::eval) path: Vec<u8>,
    /// The path with its escapes, where they aren't those that this module would write.
    pub(in crate::eval) raw_path: Vec<u8>,
    /// There is a `?`, and nothing behind it.
    force_query: bool,
    pub(in crate::eval) raw_query: Vec<u8>,
    pub(in crate::eval) fragment: Vec<u8>,
    raw_fragment: Vec<u8>,
    /// There is a scheme, and no `//` behind it.
    omit_host: bool,
}

#[derive(Debug, Clone)]
struct User {
    name: Vec<u8>,
    password: Option<Vec<u8>>,
}

/// Why a text is no URL, in Go's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::eval) struct UrlError {
    /// Without its fragment, unless that is what is wrong.
    text: String,
    reason: String,
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "parse {}: {}", quoted(&self.text), self.reason)
    }
}

/// Where bytes stand: what has to be escaped differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Path,
    Host,
    /// Of an IPv6 address.
    Zone,
    User,
    Fragment,
}

// === impl Url ===

impl Url {
    pub(in crate::eval) fn parse(text: &str) -> Result<Self, UrlError> {
        let (without, fragment) = text.split_once('#').unwrap_or((text, ""));
        let error = |text: &str, reason: String| UrlError { text: text.to_owned(), reason };
        let mut url = Self::parse_without_fragment(without).map_err(|reason| error(without, reason))?;
        if !fragment.is_empty() {
            let plain = unescape(fragment.as_bytes(), Place::Fragment).map_err(|reason| error(text, reason))?;
            if escape(&plain, Place::Fragment) != fragment.as_bytes() {
                url.raw_fragment = fragment.into();
            }
            url.fragment = plain;
        }
        Ok(url)
    }

    fn parse_without_fragment(text: &str) -> Result<Self, String> {
        let text = text.as_bytes();
        if text.iter().any(u8::is_ascii_control) {
            return Err("net/url: invalid control character in URL".to_owned());
        }
        let mut url = Self::default();
        if text == b"*" {
            url.path = text.to_vec();
            return Ok(url);
        }
        let (scheme, mut rest) = split_scheme(text)?;
        url.scheme = scheme.to_ascii_lowercase();
        match split(rest, b'?') {
            Some((before, b"")) => {
                url.force_query = true;
                rest = before;
            }
            Some((before, query)) => {
                url.raw_query = query.to_vec();
                rest = before;
            }
            None => {}
        }
        if !rest.starts_with(b"/") {
            if !url.scheme.is_empty() {
                url.opaque = rest.to_vec();
                return Ok(url);
            }
            if first_segment(rest).contains(&b':') {
                return Err("first path segment in URL cannot contain colon".to_owned());
            }
        }
        if let Some(authority) = rest.strip_prefix(b"//")
            && (!url.scheme.is_empty() || !authority.starts_with(b"/"))
        {
            let authority_end = authority.iter().position(|byte| *byte == b'/').unwrap_or(authority.len());
            let (authority, path) = authority.split_at_checked(authority_end).unwrap_or((authority, b""));
            url.set_authority(authority)?;
            rest = path;
        } else if !url.scheme.is_empty() && rest.starts_with(b"/") {
            url.omit_host = true;
        }
        url.set_path(rest)?;
        Ok(url)
    }

    fn set_authority(&mut self, authority: &[u8]) -> Result<(), String> {
        let (user, host) = match split_last(authority, b'@') {
            Some((user, host)) => (Some(user), host),
            None => (None, authority),
        };
        self.host = parse_host(&self.scheme, host)?;
        let Some(user) = user else { return Ok(()) };
        if !user.iter().all(|byte| is_user_info(*byte)) {
            return Err("net/url: invalid userinfo".to_owned());
        }
        let (name, password) = match split(user, b':') {
            Some((name, password)) => (name, Some(password)),
            None => (user, None),
        };
        let name = unescape(name, Place::User)?;
        self.user = Some(User { name, password: password.map(|text| unescape(text, Place::User)).transpose()? });
        Ok(())
    }

    fn set_path(&mut self, path: &[u8]) -> Result<(), String> {
        let plain = unescape(path, Place::Path)?;
        self.raw_path = if escape(&plain, Place::Path) == path { vec![] } else { path.to_vec() };
        self.path = plain;
        Ok(())
    }

    /// Without the brackets of an IPv6 address.
    pub(in crate::eval) fn host_and_port(&self) -> (&[u8], &[u8]) {
        let (host, port) = match self.host.iter().rposition(|byte| *byte == b':') {
            Some(colon) if self.host.get(colon..).is_some_and(is_optional_port) => {
                let (host, port) = self.host.split_at_checked(colon).unwrap_or((&self.host, b""));
                (host, port.get(1..).unwrap_or_default())
            }
            _ => (self.host.as_slice(), b"".as_slice()),
        };
        (host.strip_prefix(b"[").and_then(|host| host.strip_suffix(b"]")).unwrap_or(host), port)
    }

    /// What `reference` means where it stands in the document that this is the URL of.
    pub(in crate::eval) fn resolve(&self, reference: &Self) -> Self {
        let mut url = reference.clone();
        if reference.scheme.is_empty() {
            url.scheme.clone_from(&self.scheme);
        }
        if !reference.scheme.is_empty() || !reference.host.is_empty() || reference.user.is_some() {
            // What was escaped can be unescaped.
            let _ = url.set_path(&resolve_path(&reference.escaped_path(), b""));
            return url;
        }
        let without_host = |mut url: Self| {
            url.user = None;
            url.host = vec![];
            url.path = vec![];
            url
        };
        if !reference.opaque.is_empty() {
            return without_host(url);
        }
        if reference.path.is_empty() && !reference.force_query && reference.raw_query.is_empty() {
            url.raw_query.clone_from(&self.raw_query);
            if reference.fragment.is_empty() {
                url.fragment.clone_from(&self.fragment);
                url.raw_fragment.clone_from(&self.raw_fragment);
            }
        }
        if reference.path.is_empty() && !self.opaque.is_empty() {
            url.opaque.clone_from(&self.opaque);
            return without_host(url);
        }
        url.host.clone_from(&self.host);
        url.user.clone_from(&self.user);
        let _ = url.set_path(&resolve_path(&self.escaped_path(), &reference.escaped_path()));
        url
    }

    /// Without its fragment. Go keeps the raw one, which nothing shows then.
    pub(in crate::eval) fn without_fragment(mut self) -> Self {
        self.fragment = vec![];
        self
    }

    /// About how many bytes it has.
    pub(in crate::eval) fn len(&self) -> usize {
        let user = self.user.as_ref().map_or(0, |user| user.name.len() + user.password.as_ref().map_or(0, Vec::len));
        let parts =
            [&self.scheme, &self.opaque, &self.host, &self.path, &self.raw_path, &self.raw_query, &self.fragment];
        parts.iter().map(|part| part.len()).sum::<usize>() + user
    }

    fn escaped_path(&self) -> Vec<u8> {
        escaped(&self.path, &self.raw_path, Place::Path).unwrap_or_else(|| match self.path.as_slice() {
            b"*" => b"*".to_vec(),
            path => escape(path, Place::Path),
        })
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut out = vec![];
        if !self.scheme.is_empty() {
            out.extend(&self.scheme);
            out.push(b':');
        }
        if self.opaque.is_empty() {
            self.write_hierarchy(&mut out);
        } else {
            out.extend(&self.opaque);
        }
        if self.force_query || !self.raw_query.is_empty() {
            out.push(b'?');
            out.extend(&self.raw_query);
        }
        if !self.fragment.is_empty() {
            out.push(b'#');
            let fragment = escaped(&self.fragment, &self.raw_fragment, Place::Fragment);
            out.extend(fragment.unwrap_or_else(|| escape(&self.fragment, Place::Fragment)));
        }
        out
    }

    fn write_hierarchy(&self, out: &mut Vec<u8>) {
        let has_host = !self.host.is_empty() || self.user.is_some();
        if has_host || !self.scheme.is_empty() && !self.omit_host {
            if has_host || !self.path.is_empty() {
                out.extend(b"//");
            }
            if let Some(user) = &self.user {
                out.extend(escape(&user.name, Place::User));
                if let Some(password) = &user.password {
                    out.push(b':');
                    out.extend(escape(password, Place::User));
                }
                out.push(b'@');
            }
            out.extend(escape(&self.host, Place::Host));
        }
        let path = self.escaped_path();
        if !path.is_empty() && !path.starts_with(b"/") && !self.host.is_empty() {
            out.push(b'/');
        }
        if out.is_empty() && first_segment(&path).contains(&b':') {
            // Else the segment would be read as a scheme.
            out.extend(b"./");
        }
        out.extend(path);
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.to_bytes()))
    }
}

fn split(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn split_last(text: &[u8], separator: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().rposition(|byte| *byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn first_segment(path: &[u8]) -> &[u8] {
    path.split(|byte| *byte == b'/').next().unwrap_or_default()
}

/// The scheme, if there is one, and what follows.
fn split_scheme(text: &[u8]) -> Result<(&[u8], &[u8]), String> {
    let in_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.');
    match split(text, b':') {
        Some((b"", _)) => Err("missing protocol scheme".to_owned()),
        Some((scheme, rest)) if scheme.iter().all(in_scheme) && scheme.first().is_some_and(u8::is_ascii_alphabetic) => {
            Ok((scheme, rest))
        }
        _ => Ok((b"", text)),
    }
}

/// Host and port, unescaped.
fn parse_host(scheme: &[u8], host: &[u8]) -> Result<Vec<u8>, String> {
    let invalid_port = |port: &[u8]| format!("invalid port {} after host", quoted(&String::from_utf8_lossy(port)));
    match host.iter().rposition(|byte| *byte == b'[') {
        Some(0) => {}
        Some(_) => return Err("invalid IP-literal".to_owned()),
        None => {
            let first = host.iter().position(|byte| *byte == b':');
            // Elsewhere a host may hold colons.
            let http = scheme == b"http" || scheme == b"https";
            let colon = if http { first } else { host.iter().rposition(|byte| *byte == b':') };
            if let Some(port) = colon.and_then(|colon| host.get(colon..)).filter(|port| !is_optional_port(port)) {
                return Err(invalid_port(port));
            }
            return unescape(host, Place::Host);
        }
    }
    let (literal, port) = split_last(host, b']').ok_or("missing ']' in host")?;
    let literal = literal.get(1..).unwrap_or_default();
    if !is_optional_port(port) {
        return Err(invalid_port(port));
    }
    let port = unescape(port, Place::Host)?;
    let zone = literal.windows(3).position(|escape| escape == b"%25").unwrap_or(literal.len());
    let (address, zone) = literal.split_at_checked(zone).unwrap_or((literal, b""));
    let literal = [unescape(address, Place::Host)?, unescape(zone, Place::Zone)?].concat();
    check_address(&literal)?;
    Ok([b"[", literal.as_slice(), b"]", port.as_slice()].concat())
}

/// That this is an IPv6 address, perhaps with a zone.
fn check_address(literal: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(literal);
    let (address, zone) = match text.split_once('%') {
        Some((address, zone)) => (address, Some(zone)),
        None => (&*text, None),
    };
    if address.parse::<std::net::Ipv6Addr>().is_ok() && zone != Some("") {
        return Ok(());
    }
    if text.parse::<std::net::Ipv4Addr>().is_ok() {
        return Err("invalid IP-literal".to_owned());
    }
    Err(format!("invalid host: ParseAddr({}): unable to parse IP", quoted(&text)))
}

/// Nothing, or a colon and digits, of which there may be none.
fn is_optional_port(text: &[u8]) -> bool {
    match text.split_first() {
        None => true,
        Some((b':', digits)) => digits.iter().all(u8::is_ascii_digit),
        Some(_) => false,
    }
}

fn is_user_info(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:~!$&'()*+,;=%@".contains(&byte)
}

fn resolve_path(base: &[u8], reference: &[u8]) -> Vec<u8> {
    let full = match reference.first() {
        None => base.to_vec(),
        Some(b'/') => reference.to_vec(),
        Some(_) => {
            let kept = base.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
            [base.get(..kept).unwrap_or_default(), reference].concat()
        }
    };
    if full.is_empty() {
        return full;
    }
    let mut path = b"/".to_vec();
    let mut first = true;
    let mut last: &[u8] = b"";
    for element in full.split(|byte| *byte == b'/') {
        last = element;
        match element {
            b"." => first = false,
            b".." => {
                let parent = path.iter().skip(1).rposition(|byte| *byte == b'/').map_or(1, |slash| slash + 1);
                path.truncate(parent);
                first = path.len() == 1;
            }
            _ => {
                if !first {
                    path.push(b'/');
                }
                path.extend(element);
                first = false;
            }
        }
    }
    if last == b"." || last == b".." {
        path.push(b'/');
    }
    if path.get(1) == Some(&b'/') {
        path.remove(0);
    }
    path
}

/// `raw`, if it is an escaped form of `plain`.
fn escaped(plain: &[u8], raw: &[u8], place: Place) -> Option<Vec<u8>> {
    let is_valid = !raw.is_empty()
        && raw.iter().all(|byte| b"!$&'()*+,;=:@[]%".contains(byte) || place.keeps(*byte))
        && unescape(raw, place).is_ok_and(|unescaped| unescaped == plain);
    is_valid.then(|| raw.to_vec())
}

fn unescape(text: &[u8], place: Place) -> Result<Vec<u8>, String> {
    let in_host = matches!(place, Place::Host | Place::Zone);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        if *first != b'%' {
            if in_host && first.is_ascii() && !place.keeps(*first) {
                let shown = String::from_utf8_lossy(std::slice::from_ref(first)).into_owned();
                return Err(format!("invalid character {} in host name", quoted(&shown)));
            }
            out.push(*first);
            rest = tail;
            continue;
        }
        let value = match tail {
            [high, low, ..] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let allowed = value.filter(|value| match place {
            // Only what isn't ASCII is escaped in a host; the percent sign is what a zone begins with.
            Place::Host => !value.is_ascii() || *value == b'%',
            Place::Zone => matches!(value, b'%' | b' ') || Place::Host.keeps(*value),
            _ => true,
        });
        let Some(value) = allowed else {
            let shown = rest.get(..3).unwrap_or(rest);
            return Err(format!("invalid URL escape {}", quoted_bytes(shown)));
        };
        out.push(value);
        rest = tail.get(2..).unwrap_or_default();
    }
    Ok(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

fn escape(text: &[u8], place: Place) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        if place.keeps(*byte) {
            out.push(*byte);
        } else {
            out.extend(format!("%{byte:02X}").bytes());
        }
    }
    out
}

/// As Go quotes bytes that may cut a character.
fn quoted_bytes(bytes: &[u8]) -> String {
    let mut out = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        let inner = quoted(chunk.valid());
        out.push_str(inner.get(1..inner.len() - 1).unwrap_or_default());
        for byte in chunk.invalid() {
            // Writing to a string doesn't fail.
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out.push('"');
    out
}

// === impl Place ===

impl Place {
    /// Whether a byte stands for itself.
    fn keeps(self, byte: u8) -> bool {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            return true;
        }
        let others: &[u8] = match self {
            Self::Path => b"$&+,/:;=@",
            Self::Host | Self::Zone => b"!\"$&'()*+,:;<=>[]",
            Self::User => b"$&+,;=",
            Self::Fragment => b"!$&()*+,/:;=?@",
        };
        others.contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolved_as_in_go() {
        for (base, reference, expected) in [
            ("http://a/b/c/d;p?q", "g:h", "g:h"),
            ("http://a/b/c/d;p?q", "../../../g?x#s", "http://a/g?x#s"),
            ("http://a/b/c/d;p?q", "", "http://a/b/c/d;p?q"),
            ("http://a/b/c/d;p?q", "#s", "http://a/b/c/d;p?q#s"),
            ("http://a/b/c/d;p?q", "//g", "http://g"),
            ("", "#/definitions/a%25b", "#/definitions/a%25b"),
            ("", "a:b", "a:b"),
            ("", "x", "/x"),
            ("urn:a:b", "#c", "urn:a:b#c"),
        ] {
            let resolved = Url::parse(base).unwrap().resolve(&Url::parse(reference).unwrap());
            assert_eq!(resolved.to_string(), expected, "{base} {reference}");
        }
    }
}
