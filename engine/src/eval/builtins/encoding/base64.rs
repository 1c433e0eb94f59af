//! Base64 as Go's `encoding/base64` decodes it: line breaks anywhere, bits behind the last byte unlooked at, padding as
//! the alphabet's user says, and the position of what is wrong.

use ::base64::Engine as _;
use ::base64::engine::general_purpose;

use super::super::Failure;

/// An alphabet, and whether `=` fills up the last four digits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Alphabet {
    url: bool,
    padded: bool,
}

pub(crate) const STANDARD: Alphabet = Alphabet { url: false, padded: true };
pub(crate) const STANDARD_NO_PAD: Alphabet = Alphabet { url: false, padded: false };
pub(crate) const URL: Alphabet = Alphabet { url: true, padded: true };
pub(crate) const URL_NO_PAD: Alphabet = Alphabet { url: true, padded: false };

pub(crate) fn encode(bytes: &[u8]) -> String {
    general_purpose::STANDARD.encode(bytes)
}

pub(crate) fn encode_url(bytes: &[u8]) -> String {
    general_purpose::URL_SAFE.encode(bytes)
}

pub(crate) fn encode_url_no_pad(bytes: &[u8]) -> String {
    general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of a text.
///
/// # Errors
/// It isn't base64.
pub(crate) fn decode(text: &str, alphabet: Alphabet) -> Result<Vec<u8>, Failure> {
    decode_bytes(text.as_bytes(), alphabet)
        .map_err(|at| Failure::error(format!("illegal base64 data at input byte {at}")))
}

/// The bytes of a text in the alphabet of URLs, padded or not: `base64url.decode`.
///
/// # Errors
/// It isn't base64.
pub(crate) fn decode_url_lax(text: &str) -> Result<Vec<u8>, Failure> {
    let padding = match (text.ends_with('='), text.len() % 4) {
        (true, _) | (_, 0) => "",
        (_, 2) => "==",
        (_, 3) => "=",
        _ => return Err(Failure::error(format!("illegal base64url string: {text}"))),
    };
    if padding.is_empty() { decode(text, URL) } else { decode(&format!("{text}{padding}"), URL) }
}

/// The position of the first byte that is wrong, or of the end.
pub(crate) fn decode_bytes(text: &[u8], alphabet: Alphabet) -> Result<Vec<u8>, usize> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let mut at = 0;
    loop {
        let (mut bits, mut digits) = (0_u32, 0_usize);
        while digits < 4 {
            let Some(byte) = text.get(at).copied() else {
                return match digits {
                    0 => Ok(bytes),
                    1 => Err(at.saturating_sub(digits)),
                    _ if alphabet.padded => Err(at.saturating_sub(digits)),
                    _ => {
                        push(&mut bytes, bits, digits);
                        Ok(bytes)
                    }
                };
            };
            at += 1;
            if let Some(digit) = value(byte, alphabet.url) {
                bits = bits << 6 | digit;
                digits += 1;
            } else if matches!(byte, b'\n' | b'\r') {
            } else if byte == b'=' && alphabet.padded {
                return padding(text, at, digits).map(|()| {
                    push(&mut bytes, bits, digits);
                    bytes
                });
            } else {
                return Err(at - 1);
            }
        }
        push(&mut bytes, bits, 4);
    }
}

/// Behind the first `=`, which stands behind so many digits.
fn padding(text: &[u8], mut at: usize, digits: usize) -> Result<(), usize> {
    let breaks = |at: &mut usize| {
        while matches!(text.get(*at), Some(b'\n' | b'\r')) {
            *at += 1;
        }
    };
    match digits {
        0 | 1 => return Err(at - 1),
        2 => {
            breaks(&mut at);
            match text.get(at) {
                None => return Err(text.len()),
                Some(b'=') => at += 1,
                Some(_) => return Err(at - 1),
            }
        }
        _ => {}
    }
    breaks(&mut at);
    if at < text.len() { Err(at) } else { Ok(()) }
}

fn push(bytes: &mut Vec<u8>, bits: u32, digits: usize) {
    let [_, a, b, c] = (bits << (6 * (4 - digits.min(4)))).to_be_bytes();
    bytes.extend([a, b, c].into_iter().take(digits.saturating_sub(1)));
}

fn value(byte: u8, url: bool) -> Option<u32> {
    Some(u32::from(match (byte, url) {
        (b'A'..=b'Z', _) => byte - b'A',
        (b'a'..=b'z', _) => byte - b'a' + 26,
        (b'0'..=b'9', _) => byte - b'0' + 52,
        (b'+', false) | (b'-', true) => 62,
        (b'/', false) | (b'_', true) => 63,
        _ => return None,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_as_go() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YR==", b"a"),
            ("Y\nQ=\r\n=\n", b"a"),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("+/+/", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(decode_bytes(text.as_bytes(), STANDARD).as_deref(), Ok(bytes), "{text}");
        }
        for (text, at) in
            [("Y", 0), ("YQ", 0), ("YQ=", 3), ("YQ=x", 2), ("YQ==x", 4), ("=", 0), ("Y=", 1), ("YW J", 2), ("-_-_", 0)]
        {
            assert_eq!(decode_bytes(text.as_bytes(), STANDARD), Err(at), "{text}");
        }
        assert_eq!(decode_bytes(b"YQ", URL_NO_PAD).as_deref(), Ok(&b"a"[..]));
        assert_eq!(decode_bytes(b"YQ==", STANDARD_NO_PAD), Err(2));
        assert_eq!(decode_url_lax("YQ").as_deref(), Ok(&b"a"[..]));
        assert!(decode_url_lax("YQAAA").is_err());
    }
}
