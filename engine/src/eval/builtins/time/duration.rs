//! Durations as Go's `time.ParseDuration` reads them, and days, weeks and years of OPA's.

use super::layout::quoted_bytes;
use crate::eval::value::text::quoted;

/// Nanoseconds.
const UNITS: [(&[u8], u64); 8] = [
    (b"ns", 1),
    (b"us", 1_000),
    ("\u{b5}s".as_bytes(), 1_000),
    ("\u{3bc}s".as_bytes(), 1_000),
    (b"ms", 1_000_000),
    (b"s", 1_000_000_000),
    (b"m", 60_000_000_000),
    (b"h", 3_600_000_000_000),
];

/// Units that only OPA has, in hours.
const LONG_UNITS: [(&str, f64); 3] = [("d", 24.0), ("w", 168.0), ("y", 8_760.0)];

const MAX: u64 = 1 << 63;

/// Nanoseconds.
///
/// # Errors
/// With Go's message.
pub(super) fn parse(text: &str) -> Result<i64, String> {
    let invalid = || format!("time: invalid duration {}", quoted(text));
    if text.is_empty() {
        return Err(invalid());
    }
    if !text.contains(['d', 'w', 'y']) {
        return parse_short(text.as_bytes()).map_err(|what| format!("time: {what} {}", quoted_bytes(text.as_bytes())));
    }
    let in_hours = in_hours(text).ok_or_else(invalid)?;
    parse_short(in_hours.as_bytes()).map_err(|what| format!("time: {what} {}", quoted(text)))
}

/// The duration without OPA's own units.
fn in_hours(text: &str) -> Option<String> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let mut out = text.get(..text.len() - unsigned.len())?.to_owned();
    let mut rest = unsigned;
    while !rest.is_empty() {
        let digits_end = rest.find(|char: char| !char.is_ascii_digit() && char != '.')?;
        let (digits, tail) = rest.split_at_checked(digits_end).filter(|(digits, _)| !digits.is_empty())?;
        let long = ["ms", "us", "\u{b5}s", "ns"].into_iter().find(|unit| tail.starts_with(unit));
        let unit_len = match long {
            Some(unit) => unit.len(),
            None if tail.starts_with(|char: char| char.is_ascii_lowercase()) => 1,
            None => return None,
        };
        let (unit, tail) = tail.split_at_checked(unit_len)?;
        match LONG_UNITS.iter().find(|(name, _)| *name == unit) {
            Some((_, hours)) => {
                let value: f64 = digits.parse().ok().filter(|value: &f64| value.is_finite())?;
                let hours = value * hours;
                out.push_str(&if hours.is_finite() { hours.to_string() } else { "+Inf".to_owned() });
                out.push('h');
            }
            None => {
                out.push_str(digits);
                out.push_str(unit);
            }
        }
        rest = tail;
    }
    Some(out)
}

/// Errors are without the duration.
fn parse_short(text: &[u8]) -> Result<i64, String> {
    const INVALID: &str = "invalid duration";
    let (negative, mut rest) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some((b'+', rest)) => (false, rest),
        _ => (false, text),
    };
    if rest == b"0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(INVALID.to_owned());
    }
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let (whole, tail) = leading_integer(rest).ok_or(INVALID)?;
        let mut has_digits = tail.len() < rest.len();
        let (mut fraction, mut scale) = (0, 1.0);
        rest = tail;
        if let Some(tail) = rest.strip_prefix(b".") {
            (fraction, scale, rest) = leading_fraction(tail);
            has_digits |= rest.len() < tail.len();
        }
        if !has_digits {
            return Err(INVALID.to_owned());
        }
        let unit_end = rest.iter().position(|byte| *byte == b'.' || byte.is_ascii_digit()).unwrap_or(rest.len());
        let (unit, tail) = rest.split_at_checked(unit_end).unwrap_or((rest, b""));
        if unit.is_empty() {
            return Err("missing unit in duration".to_owned());
        }
        rest = tail;
        let Some((_, nanos)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(format!("unknown unit {} in duration", quoted_bytes(unit)));
        };
        let value = whole.checked_mul(*nanos).filter(|value| *value <= MAX).ok_or(INVALID)?;
        let value = value.saturating_add(fraction_of(*nanos, fraction, scale));
        if value > MAX {
            return Err(INVALID.to_owned());
        }
        sum = sum.wrapping_add(value);
        if sum > MAX {
            return Err(INVALID.to_owned());
        }
    }
    match (negative, i64::try_from(sum)) {
        (true, _) => Ok(sum.cast_signed().wrapping_neg()),
        (false, Ok(sum)) => Ok(sum),
        (false, Err(_)) => Err(INVALID.to_owned()),
    }
}

/// In doubles, as Go computes it.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "Go rounds and cuts just so; the result is less than an hour"
)]
fn fraction_of(nanos: u64, fraction: u64, scale: f64) -> u64 {
    if fraction == 0 { 0 } else { (fraction as f64 * (nanos as f64 / scale)) as u64 }
}

/// Digits, if they make at most 2^63, and what follows them.
fn leading_integer(text: &[u8]) -> Option<(u64, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    let value = digits.iter().try_fold(0_u64, |value, digit| {
        value.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|value| *value <= MAX)
    })?;
    Some((value, rest))
}

/// As many digits as fit, the power of ten they are to be divided by, and what follows all of them.
fn leading_fraction(text: &[u8]) -> (u64, f64, &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end).unwrap_or((text, b""));
    let (mut value, mut scale) = (0_u64, 1.0);
    for digit in digits {
        if value > (MAX - 1) / 10 {
            break;
        }
        let next = value * 10 + u64::from(digit - b'0');
        if next > MAX {
            break;
        }
        value = next;
        scale *= 10.0;
    }
    (value, scale, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_opa_reads_them() {
        for (text, expected) in [
            ("0", 0),
            ("1h", 3_600_000_000_000),
            ("-1.5h", -5_400_000_000_000),
            ("+.5s1.ms", 501_000_000),
            ("1\u{b5}s1\u{3bc}s1us", 3_000),
            ("1d", 86_400_000_000_000),
            ("1w2d3h", 788_400_000_000_000),
            ("-0.5y", -15_768_000_000_000_000),
            ("-9223372036854775808ns", i64::MIN),
            ("9223372036854775807ns", i64::MAX),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for (text, expected) in [
            ("", r#"time: invalid duration """#),
            ("1", r#"time: missing unit in duration "1""#),
            ("1q", r#"time: unknown unit "q" in duration "1q""#),
            ("1d1q", r#"time: unknown unit "q" in duration "1d1q""#),
            ("1dd", r#"time: invalid duration "1dd""#),
            ("d", r#"time: invalid duration "d""#),
            ("300y", r#"time: invalid duration "300y""#),
            ("9223372036854775808ns", r#"time: invalid duration "9223372036854775808ns""#),
            (".s", r#"time: invalid duration ".s""#),
            ("1d1\u{3bc}s", "time: invalid duration \"1d1\u{3bc}s\""),
        ] {
            assert_eq!(parse(text), Err(expected.to_owned()), "{text}");
        }
    }
}
