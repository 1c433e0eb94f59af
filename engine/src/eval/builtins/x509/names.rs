//! Names that certificates are for, and the constraints that authorities put on them (RFC 5280, section 4.2.1.10; Go's
//! `constraints.go` and `verify.go`).

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use super::certificate::{Certificate, NAME_CONSTRAINTS, SUBJECT_ALT_NAME, Subtrees};
use super::url::{Uri, parse_address};

/// Whether this can be a domain. In a constraint it may begin with a dot.
pub(super) fn is_domain(text: &[u8], constraint: bool) -> bool {
    if text.is_empty() {
        return true;
    }
    let labels = if constraint { text.strip_prefix(b".").unwrap_or(text) } else { text };
    let is_label = |label: &[u8]| !label.is_empty() && label.iter().all(|byte| (33..=126).contains(byte));
    // A dot alone ends with one.
    !text.ends_with(b".") && labels.split(|byte| *byte == b'.').all(is_label)
}

/// Whether a certificate is for this host: an address, or a name that one of its patterns matches.
pub(super) fn is_for_host(certificate: &Certificate, host: &str) -> bool {
    let names = &certificate.known.names;
    let unbracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).filter(|host| !host.is_empty());
    if let Ok(address) = unbracketed.unwrap_or(host).parse::<IpAddr>() {
        return names.addresses.iter().any(|candidate| to_address(candidate) == Some(address.to_canonical()));
    }
    let host = host.to_ascii_lowercase();
    let is_valid = is_hostname(host.strip_suffix('.').unwrap_or(&host), false);
    let parts: Vec<&str> = host.strip_suffix('.').unwrap_or(&host).split('.').collect();
    names.dns.iter().any(|pattern| {
        let lower = pattern.to_ascii_lowercase();
        if is_valid && is_hostname(pattern, true) {
            matches_host(&lower, &parts)
        } else {
            !matches!(lower.as_str(), "" | ".") && lower == host
        }
    })
}

fn to_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok().map(|address| address.to_canonical())
}

fn is_hostname(host: &str, pattern: bool) -> bool {
    let is_label = |(index, label): (usize, &str)| {
        let is_fit = |(at, byte): (usize, u8)| byte.is_ascii_alphanumeric() || byte == b'_' || (byte == b'-' && at > 0);
        (pattern && index == 0 && label == "*") || (!label.is_empty() && label.bytes().enumerate().all(is_fit))
    };
    !host.is_empty() && host != "*" && host.split('.').enumerate().all(is_label)
}

fn matches_host(pattern: &str, parts: &[&str]) -> bool {
    let pattern: Vec<&str> = pattern.split('.').collect();
    let matches =
        |(index, (pattern, part)): (usize, (&&str, &&str))| (index == 0 && *pattern == "*") || pattern == part;
    pattern.len() == parts.len() && pattern.iter().zip(parts).enumerate().all(matches)
}

/// Whether the names of a chain, its leaf first, are such as the authorities above them permit.
pub(super) fn are_permitted(chain: &[&Certificate]) -> bool {
    let is_constraining = |(_, certificate): &(usize, &&Certificate)| certificate.has_extension(NAME_CONSTRAINTS);
    let constraining: Vec<(usize, Constraints)> = chain
        .iter()
        .enumerate()
        .filter(is_constraining)
        .map(|(index, certificate)| (index, Constraints::of(certificate)))
        .collect();
    for (index, certificate) in chain.iter().enumerate() {
        if !certificate.has_extension(SUBJECT_ALT_NAME) {
            continue;
        }
        let mut above = constraining.iter().filter(|(at, _)| *at > index).peekable();
        if above.peek().is_none() {
            return true;
        }
        let names = &certificate.known.names;
        let Some(uris) = names.uris.iter().map(uri_domain).collect::<Option<Vec<_>>>() else { return false };
        let mailbox = |email: &String| {
            let mailbox = Mailbox::parse(email)?;
            Some(Mailbox { domain: mailbox.domain.to_ascii_lowercase(), ..mailbox })
        };
        let Some(emails) = names.emails.iter().map(mailbox).collect::<Option<Vec<_>>>() else { return false };
        let is_permitted = |(_, constraints): &(usize, Constraints)| {
            let domain = |domain: &str| is_domain(domain.as_bytes(), false);
            names.addresses.iter().all(|address| constraints.networks.allow(|set| set.contains(address)))
                && names.dns.iter().all(|name| domain(name) && constraints.dns.allow(|set| set.contains(name)))
                && uris.iter().all(|uri| domain(uri) && constraints.uris.allow(|set| set.contains(uri)))
                && emails
                    .iter()
                    .all(|email| domain(&email.domain) && constraints.emails.allow(|set| set.contains(email)))
        };
        if !above.all(is_permitted) {
            return false;
        }
    }
    true
}

/// The domain of a URI that constraints can be put on.
fn uri_domain(uri: &Uri) -> Option<String> {
    let host = String::from_utf8(uri.host.clone()).ok()?.to_ascii_lowercase();
    if host.is_empty() {
        return None;
    }
    let host = if host.contains(':') && !host.ends_with(']') { split_port(&host)? } else { host.as_str() };
    let is_address = parse_address(host.as_bytes()).is_some() || (host.starts_with('[') && host.ends_with(']'));
    (!is_address).then(|| host.to_owned())
}

/// The host of a host and a port (`net.SplitHostPort`).
fn split_port(text: &str) -> Option<&str> {
    let (before, _) = text.rsplit_once(':')?;
    match before.strip_prefix('[') {
        Some(host) => host.strip_suffix(']').filter(|host| !host.contains(['[', ']'])),
        None => (!before.contains([':', '[', ']'])).then_some(before),
    }
}

// === Constraints ===

/// What one authority permits and excludes.
struct Constraints {
    networks: Pair<Networks>,
    dns: Pair<Domains>,
    uris: Pair<Domains>,
    emails: Pair<Emails>,
}

struct Pair<T> {
    permitted: Option<T>,
    excluded: Option<T>,
}

impl<T> Pair<T> {
    fn allow(&self, contains: impl Fn(&T) -> bool) -> bool {
        self.permitted.as_ref().is_none_or(&contains) && !self.excluded.as_ref().is_some_and(&contains)
    }
}

impl Constraints {
    fn of(certificate: &Certificate) -> Self {
        let constraints = &certificate.known.constraints;
        let (permitted, excluded): (&Subtrees, &Subtrees) = (&constraints.permitted, &constraints.excluded);
        Self {
            networks: Pair {
                permitted: Networks::new(&permitted.networks),
                excluded: Networks::new(&excluded.networks),
            },
            dns: Pair { permitted: Domains::new(&permitted.dns, true), excluded: Domains::new(&excluded.dns, false) },
            uris: Pair {
                permitted: Domains::new(&permitted.uris, true),
                excluded: Domains::new(&excluded.uris, false),
            },
            emails: Pair {
                permitted: Emails::new(&permitted.emails, true),
                excluded: Emails::new(&excluded.emails, false),
            },
        }
    }
}

/// Sorted, each behind what contains it, and without what another contains. Looking for the one that contains a name
/// takes a binary search then.
fn pruned<T: Clone>(items: &[T], order: impl Fn(&T, &T) -> Ordering, contains: impl Fn(&T, &T) -> bool) -> Vec<T> {
    let mut items = items.to_vec();
    items.sort_by(order);
    items.dedup_by(|later, kept| contains(kept, later));
    items
}

/// The item that equals or may contain what is looked for.
fn candidate<T>(items: &[T], order: impl Fn(&T) -> Ordering) -> Option<(&T, bool)> {
    let at = items.partition_point(|item| order(item) == Ordering::Less);
    match items.get(at).filter(|item| order(item) == Ordering::Equal) {
        Some(item) => Some((item, true)),
        None => items.get(at.saturating_sub(1)).map(|item| (item, false)),
    }
}

struct Networks {
    v4: Vec<(Vec<u8>, Vec<u8>)>,
    v6: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Networks {
    fn new(networks: &[(Vec<u8>, Vec<u8>)]) -> Option<Self> {
        let of = |length: usize| {
            let networks: Vec<_> = networks.iter().filter(|(address, _)| address.len() == length).cloned().collect();
            pruned(&networks, Ord::cmp, |a, b| {
                let last: Vec<u8> = b.0.iter().zip(&b.1).map(|(byte, mask)| byte | !mask).collect();
                is_within(&b.0, a) && is_within(&last, a)
            })
        };
        (!networks.is_empty()).then(|| Self { v4: of(4), v6: of(16) })
    }

    fn contains(&self, address: &[u8]) -> bool {
        let networks = if address.len() == 4 { &self.v4 } else { &self.v6 };
        candidate(networks, |(network, _)| network.as_slice().cmp(address))
            .is_some_and(|(network, equal)| equal || is_within(address, network))
    }
}

/// Go takes an address of version 6 that maps one of version 4 for that one here.
fn is_within(address: &[u8], (network, mask): &(Vec<u8>, Vec<u8>)) -> bool {
    let unmapped = |bytes: &[u8]| match bytes {
        [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, rest @ ..] if rest.len() == 4 => rest.to_vec(),
        bytes => bytes.to_vec(),
    };
    let (address, network) = (unmapped(address), unmapped(network));
    let mask =
        if network.len() == 4 && mask.len() == 16 { mask.get(12..).unwrap_or_default() } else { mask.as_slice() };
    address.len() == network.len()
        && mask.len() == network.len()
        && address.iter().zip(&network).zip(mask).all(|((a, b), mask)| a & mask == b & mask)
}

/// Domains and all below them.
struct Domains {
    /// Whether it is all domains.
    all: bool,
    permitted: bool,
    domains: Vec<String>,
    /// Of what is excluded: the domains right above, which a pattern can stand for.
    parents: HashSet<String>,
}

impl Domains {
    fn new(domains: &[String], permitted: bool) -> Option<Self> {
        if domains.is_empty() {
            return None;
        }
        if domains.iter().any(String::is_empty) {
            return Some(Self { all: true, permitted, domains: vec![], parents: HashSet::new() });
        }
        let domains = pruned(domains, |a, b| compare_domains(a, b), |a, b| is_below(a, b));
        let parent = |domain: &String| above(domain).map(str::to_ascii_lowercase);
        let parents = if permitted { HashSet::new() } else { domains.iter().filter_map(parent).collect() };
        Some(Self { all: false, permitted, domains, parents })
    }

    fn contains(&self, name: &str) -> bool {
        let found = || {
            let found = candidate(&self.domains, |domain| compare_domains(domain, name));
            found.is_some_and(|(domain, equal)| equal || is_below(domain, name))
        };
        let by_pattern = || {
            let parent = above(name).map(str::to_ascii_lowercase);
            !self.permitted && name.starts_with('*') && parent.is_some_and(|parent| self.parents.contains(&parent))
        };
        self.all || found() || by_pattern()
    }
}

/// What follows the first label, its dot included.
fn above(domain: &str) -> Option<&str> {
    domain.find('.').and_then(|dot| domain.get(dot..))
}

/// By the labels from the last one on; the dot before all other characters.
fn compare_domains(a: &str, b: &str) -> Ordering {
    let key = |byte: u8| if byte == b'.' { 0 } else { byte.to_ascii_lowercase() };
    a.bytes().rev().map(key).cmp(b.bytes().rev().map(key))
}

/// Whether `name` is `domain` or below it.
fn is_below(domain: &str, name: &str) -> bool {
    let Some(offset) = name.len().checked_sub(domain.len()) else { return false };
    let Some((front, back)) = name.as_bytes().split_at_checked(offset) else { return false };
    let at_label = front.is_empty() || domain.starts_with('.') || front.ends_with(b".");
    back.eq_ignore_ascii_case(domain.as_bytes()) && at_label
}

struct Emails {
    domains: Option<Domains>,
    /// Domains by the names that have a mailbox there.
    mailboxes: HashMap<Vec<u8>, HashSet<String>>,
}

impl Emails {
    fn new(emails: &[String], permitted: bool) -> Option<Self> {
        if emails.is_empty() {
            return None;
        }
        let (exact, domains): (Vec<&String>, Vec<&String>) = emails.iter().partition(|email| email.contains('@'));
        let domains: Vec<String> = domains.into_iter().cloned().collect();
        let mut mailboxes = HashMap::<_, HashSet<_>>::new();
        for mailbox in exact.into_iter().filter_map(|email| Mailbox::parse(email)) {
            mailboxes.entry(mailbox.local).or_default().insert(mailbox.domain.to_ascii_lowercase());
        }
        Some(Self { domains: Domains::new(&domains, permitted), mailboxes })
    }

    fn contains(&self, mailbox: &Mailbox) -> bool {
        self.mailboxes.get(&mailbox.local).is_some_and(|domains| domains.contains(&mailbox.domain))
            || self.domains.as_ref().is_some_and(|domains| domains.contains(&mailbox.domain))
    }
}

/// An address of e-mail (RFC 2821, section 4.1.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mailbox {
    /// Without quotes and escapes.
    local: Vec<u8>,
    domain: String,
}

impl Mailbox {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (local, length) = if bytes.first() == Some(&b'"') { quoted(bytes)? } else { unquoted(bytes)? };
        let domain = text.get(length..)?.strip_prefix('@')?;
        let is_label = |label: &str| !label.is_empty() && label.chars().all(|char| ('!'..='~').contains(&char));
        (domain.is_empty() || domain.split('.').all(is_label)).then(|| Self { local, domain: domain.to_owned() })
    }
}

/// The local part in quotes, and how long it is.
fn quoted(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut local = vec![];
    let mut at = 1;
    loop {
        let byte = *text.get(at)?;
        at += 1;
        match byte {
            b'"' => return Some((local, at)),
            b'\\' => {
                let escaped = *text.get(at)?;
                at += 1;
                matches!(escaped, 1..=9 | 11 | 12 | 14..=127).then(|| local.push(escaped))?;
            }
            1..=8 | 11 | 12 | 14..=33 | 35..=91 | 93..=127 => local.push(byte),
            _ => return None,
        }
    }
}

fn unquoted(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut local = vec![];
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'\\' => {
                local.push(*text.get(at + 1)?);
                at += 2;
            }
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                local.push(*byte);
                at += 1;
            }
            byte if b"!#$%&'*+-/=?^_`{|}~.".contains(byte) => {
                local.push(*byte);
                at += 1;
            }
            _ => break,
        }
    }
    let dots = local.starts_with(b".") || local.ends_with(b".") || local.windows(2).any(|pair| pair == b"..");
    (!local.is_empty() && !dots).then_some((local, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains() {
        for (text, constraint, valid) in [
            ("", false, true),
            (".a", true, true),
            (".a", false, false),
            ("a.", true, false),
            (".", true, false),
            ("a..b", true, false),
            ("a b", false, false),
            ("a_b.c", false, true),
        ] {
            assert_eq!(is_domain(text.as_bytes(), constraint), valid, "{text}");
        }
        assert!(
            is_below("b.c", "a.B.c") && is_below("b.c", "b.c") && !is_below("b.c", "ab.c") && is_below(".b.c", "a.b.c")
        );
        assert!(!is_below(".b.c", "b.c"));
        let domains = Domains::new(&["b.c".to_owned(), "x.y".to_owned(), "a.b.c".to_owned()], false).unwrap();
        assert!(
            domains.contains("a.b.c") && domains.contains("b.c") && domains.contains("*.y") && !domains.contains("c")
        );
    }

    #[test]
    fn mailboxes() {
        let parse =
            |text| Mailbox::parse(text).map(|mailbox| (String::from_utf8(mailbox.local).unwrap(), mailbox.domain));
        assert_eq!(parse("a.b@c.d"), Some(("a.b".to_owned(), "c.d".to_owned())));
        assert_eq!(parse(r#""a \"b"@c"#), Some(("a \"b".to_owned(), "c".to_owned())));
        for bad in ["", "a", "@b", ".a@b", "a..b@c", "a@b..c", "a@b.", "a b@c", "\"a@b"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
