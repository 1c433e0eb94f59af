//! PEM blocks as Go's `encoding/pem` finds them: blocks may be preceded by anything, have headers, and are passed over
//! where their text isn't base64.

use super::super::encoding::base64::{STANDARD, decode_bytes};

#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Block<'a> {
    /// What stands behind `BEGIN`.
    pub(in super::super) label: &'a [u8],
    pub(in super::super) bytes: Vec<u8>,
}

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"\n-----END ";
const DASHES: &[u8] = b"-----";

/// The first block, and what follows it.
pub(in super::super) fn decode(data: &[u8]) -> Option<(Block<'_>, &[u8])> {
    // All positions count from the beginning of `data`; what is looked at begins at `rest`.
    let (mut rest, mut trailer) = (0, 0);
    loop {
        if trailer < rest {
            return None;
        }
        rest = trailer;
        let end = rest + find(data.get(rest..)?, END)?;
        trailer = end + END.len();
        let Some(begin) = rfind(data.get(rest..end)?, BEGIN).map(|begin| rest + begin) else { continue };
        if begin > rest && data.get(begin - 1) != Some(&b'\n') {
            continue;
        }
        rest = begin + BEGIN.len();
        let (line, next) = line(data, rest);
        rest = next;
        let Some(label) = line.strip_suffix(DASHES) else { continue };
        let mut headers = false;
        loop {
            if rest >= data.len() {
                return None;
            }
            let (line, next) = self::line(data, rest);
            if !line.contains(&b':') {
                break;
            }
            headers = true;
            rest = next;
        }
        if headers && end < rest {
            continue;
        }
        let Some(ending) = data.get(trailer..).and_then(|ending| ending.strip_prefix(label)) else { continue };
        let Some(behind) = ending.strip_prefix(DASHES) else { continue };
        if !self::line(behind, 0).0.is_empty() {
            continue;
        }
        let bytes = match data.get(rest..end) {
            Some(body) => {
                let body: Vec<u8> = body.iter().copied().filter(|byte| !matches!(byte, b' ' | b'\t')).collect();
                match decode_bytes(&body, STANDARD) {
                    Ok(bytes) => bytes,
                    Err(_) => continue,
                }
            }
            None => vec![],
        };
        let (_, after) = self::line(data, end + END.len() - 1);
        return Some((Block { label, bytes }, data.get(after..).unwrap_or_default()));
    }
}

/// The line at `at` without space at its end, and where the next one begins.
fn line(data: &[u8], at: usize) -> (&[u8], usize) {
    let rest = data.get(at..).unwrap_or_default();
    let (line, next) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(end) => {
            let line = rest.get(..end).unwrap_or_default();
            (line.strip_suffix(b"\r").unwrap_or(line), at + end + 1)
        }
        None => (rest, data.len()),
    };
    let blank = line.iter().rev().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (line.get(..line.len() - blank).unwrap_or_default(), next)
}

fn find(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).position(|window| window == what)
}

fn rfind(data: &[u8], what: &[u8]) -> Option<usize> {
    data.windows(what.len()).rposition(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(text: &str) -> Option<(String, Vec<u8>, String)> {
        let (block, rest) = decode(text.as_bytes())?;
        Some((String::from_utf8(block.label.to_vec()).unwrap(), block.bytes, String::from_utf8(rest.to_vec()).unwrap()))
    }

    #[test]
    fn blocks() {
        let block = |bytes: &[u8], rest: &str| Some(("A".to_owned(), bytes.to_vec(), rest.to_owned()));
        assert_eq!(decoded("-----BEGIN A-----\nYQ==\n-----END A-----\nrest"), block(b"a", "rest"));
        assert_eq!(decoded("x\n-----BEGIN A-----\r\nk: v\r\n\r\nYQ==\r\n-----END A-----\r\n"), block(b"a", ""));
        assert_eq!(decoded("-----BEGIN A-----\n-----END A-----"), block(b"", ""));
        assert_eq!(
            decoded("-----BEGIN B-----\n!\n-----END B-----\n-----BEGIN A-----\nYQ==\n-----END A-----"),
            block(b"a", "")
        );
        for none in [
            "",
            "-----BEGIN A-----\nYQ==",
            "-----BEGIN A-----\nYQ==\n-----END B-----\n",
            "x-----BEGIN A-----\nYQ==\n-----END A-----",
        ] {
            assert_eq!(decoded(none), None, "{none}");
        }
    }
}
