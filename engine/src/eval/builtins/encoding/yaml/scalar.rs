//! What scalars are: YAML's core schema with what go-yaml v3 keeps of YAML 1.1 (`resolve.go`): octal numbers with a
//! leading zero, underscores in numbers, timestamps.

use super::super::base64;
use super::super::go_float;
use super::Problem;

/// A scalar's value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    /// One that is too large for a signed integer.
    Uint(u64),
    Float(f64),
    Text(String),
    /// A point in time, as JSON shows it; none if it can't be shown.
    Time(Option<String>),
}

/// The tag of a plain scalar that has none.
pub(super) fn implicit_tag(text: &str) -> &'static str {
    match implicit(text, true) {
        Scalar::Null => "!!null",
        Scalar::Bool(_) => "!!bool",
        Scalar::Int(_) | Scalar::Uint(_) => "!!int",
        Scalar::Float(_) => "!!float",
        Scalar::Time(_) => "!!timestamp",
        Scalar::Text(_) => "!!str",
    }
}

/// The value of a scalar with a tag.
///
/// # Errors
/// The text isn't what the tag says.
pub(crate) fn resolve(tag: &str, text: &str) -> Result<Scalar, Problem> {
    let scalar = match tag {
        "!!binary" => {
            let bytes = base64::decode(text, base64::STANDARD);
            let bytes = bytes.map_err(|_| Problem::new("!!binary value contains invalid base64 data"))?;
            return Ok(Scalar::Text(lossy(&bytes)));
        }
        "!!bool" | "!!int" | "!!float" | "!!null" => implicit(text, false),
        "!!timestamp" => implicit(text, true),
        _ => return Ok(Scalar::Text(text.to_owned())),
    };
    match (tag, scalar) {
        // The nearest float is what is asked for.
        #[allow(clippy::cast_precision_loss, reason = "the nearest float is asked for")]
        ("!!float", Scalar::Int(value)) => Ok(Scalar::Float(value as f64)),
        ("!!bool", scalar @ Scalar::Bool(_))
        | ("!!int", scalar @ (Scalar::Int(_) | Scalar::Uint(_)))
        | ("!!float", scalar @ Scalar::Float(_))
        | ("!!null", scalar @ Scalar::Null)
        | ("!!timestamp", scalar @ Scalar::Time(_)) => Ok(scalar),
        _ => Err(Problem::new(format!("cannot decode `{text}` as a {tag}"))),
    }
}

/// The value of a text without quotes and without a tag.
fn implicit(text: &str, times: bool) -> Scalar {
    let Some(first) = text.bytes().next() else { return Scalar::Null };
    match text {
        "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match first {
        b'.' => point_float(text),
        b'0'..=b'9' | b'+' | b'-' => {
            if times && let Some(time) = timestamp(text) {
                return Scalar::Time(time);
            }
            number(&text.replace('_', ""))
        }
        _ => None,
    }
    .unwrap_or_else(|| Scalar::Text(text.to_owned()))
}

/// A number that begins with its point. Underscores stand between digits only.
fn point_float(text: &str) -> Option<Scalar> {
    let bytes = text.as_bytes();
    let is_digit = |at: Option<usize>| at.and_then(|at| bytes.get(at)).is_some_and(u8::is_ascii_digit);
    let is_fit = |(at, byte): (usize, &u8)| *byte != b'_' || (is_digit(at.checked_sub(1)) && is_digit(Some(at + 1)));
    if bytes.iter().enumerate().all(is_fit) { float(&text.replace('_', "")) } else { None }
}

fn number(text: &str) -> Option<Scalar> {
    integer(text).or_else(|| float(text)).or_else(|| prefixed(text))
}

/// As Go's `strconv.ParseInt` and `ParseUint` without a base: the prefix says it.
fn integer(text: &str) -> Option<Scalar> {
    let (sign, digits) = match text.as_bytes().first() {
        Some(b'-') => (Some('-'), text.get(1..)?),
        Some(b'+') => (Some('+'), text.get(1..)?),
        _ => (None, text),
    };
    let lower = digits.get(..2).map(str::to_ascii_lowercase);
    let (base, digits) = match lower.as_deref() {
        Some("0x") => (16, digits.get(2..)?),
        Some("0b") => (2, digits.get(2..)?),
        Some("0o") => (8, digits.get(2..)?),
        Some(two) if two.starts_with('0') => (8, digits.get(1..)?),
        _ => (10, digits),
    };
    let magnitude = unsigned(digits, base)?;
    match (i64::try_from(magnitude), sign) {
        (Ok(value), Some('-')) => Some(Scalar::Int(-value)),
        (Ok(value), _) => Some(Scalar::Int(value)),
        (Err(_), Some('-')) if magnitude == 1 << 63 => Some(Scalar::Int(i64::MIN)),
        (Err(_), None) => Some(Scalar::Uint(magnitude)),
        (Err(_), _) => None,
    }
}

fn unsigned(digits: &str, base: u32) -> Option<u64> {
    if digits.starts_with('+') { None } else { u64::from_str_radix(digits, base).ok() }
}

/// What is behind `0b` and `0o` may have a sign of its own.
fn prefixed(text: &str) -> Option<Scalar> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (base, digits) = match (digits.strip_prefix("0b"), digits.strip_prefix("0o")) {
        (Some(digits), _) => (2, digits),
        (_, Some(digits)) => (8, digits),
        _ => return None,
    };
    if negative {
        return i64::from_str_radix(&format!("-{digits}"), base).ok().map(Scalar::Int);
    }
    i64::from_str_radix(digits, base).ok().map(Scalar::Int).or_else(|| unsigned(digits, base).map(Scalar::Uint))
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`, if it isn't too large.
fn float(text: &str) -> Option<Scalar> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fits = digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && exponent.is_none_or(|exponent| !exponent.is_empty() && digits(exponent));
    let value = text.parse::<f64>().ok().filter(|value| fits && value.is_finite())?;
    Some(Scalar::Float(value))
}

/// A timestamp: some if it is one, and with its text if JSON can show it.
fn timestamp(text: &str) -> Option<Option<String>> {
    let (year, rest) = text.split_at_checked(4)?;
    let mut rest = Rest(rest);
    let year = year.bytes().all(|byte| byte.is_ascii_digit()).then(|| year.parse::<u32>().ok())??;
    rest.take("-")?;
    let month = rest.number()?;
    rest.take("-")?;
    let day = rest.number()?;
    if !(1..=12).contains(&month) || day < 1 || day > days(year, month) {
        return None;
    }
    let date = format!("{year:04}-{month:02}-{day:02}");
    if rest.0.is_empty() {
        return Some(Some(format!("{date}T00:00:00Z")));
    }
    let zoned = rest.take("T").or_else(|| rest.take("t")).is_some();
    if !zoned {
        rest.take(" ")?;
    }
    let (hour, minute) = (rest.number()?, rest.take(":").and_then(|()| rest.number())?);
    let second = rest.take(":").and_then(|()| rest.number())?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = rest.fraction();
    let zone = if zoned { rest.zone()? } else { Some("Z".to_owned()) };
    rest.0.is_empty().then(|| zone.map(|zone| format!("{date}T{hour:02}:{minute:02}:{second:02}{fraction}{zone}")))
}

struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn take(&mut self, text: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(text)?;
        Some(())
    }

    /// One digit or two.
    fn number(&mut self) -> Option<u32> {
        let digits = self.0.bytes().take(2).take_while(u8::is_ascii_digit).count();
        let (number, rest) = self.0.split_at_checked(digits)?;
        self.0 = rest;
        number.parse().ok()
    }

    /// A fraction of a second to the nanosecond, without zeros at its end.
    fn fraction(&mut self) -> String {
        let Some(rest) = self.0.strip_prefix(['.', ',']) else { return String::new() };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let Some((fraction, rest)) = rest.split_at_checked(digits).filter(|_| digits > 0) else { return String::new() };
        self.0 = rest;
        let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
        if fraction.is_empty() { String::new() } else { format!(".{fraction}") }
    }

    /// `Z` or an offset; some if it is one, and with its text if JSON can show it.
    fn zone(&mut self) -> Option<Option<String>> {
        if self.take("Z").is_some() {
            return Some(Some("Z".to_owned()));
        }
        let (sign, rest) = self.0.split_at_checked(1).filter(|(sign, _)| matches!(*sign, "+" | "-"))?;
        let (hours, rest) = rest.split_at_checked(2)?;
        let (minutes, rest) = rest.strip_prefix(':')?.split_at_checked(2)?;
        self.0 = rest;
        let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<u32>().ok())?;
        let (hours, minutes) = (number(hours)?, number(minutes)?);
        if hours > 24 || minutes > 60 {
            return None;
        }
        let offset = hours * 60 + minutes;
        Some(match offset {
            0 => Some("Z".to_owned()),
            1440.. => None,
            _ => Some(format!("{sign}{:02}:{:02}", offset / 60, offset % 60)),
        })
    }
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The text that a key of a mapping becomes in JSON.
pub(super) fn key_text(key: &Scalar) -> Option<String> {
    match key {
        Scalar::Text(text) => Some(text.clone()),
        Scalar::Int(value) => Some(value.to_string()),
        Scalar::Uint(value) => Some(value.to_string()),
        Scalar::Bool(value) => Some(value.to_string()),
        // Keys are rounded to 32 bits.
        #[allow(clippy::cast_possible_truncation, reason = "the nearest float of 32 bits is asked for")]
        Scalar::Float(value) => Some(match go_float::general_32(*value as f32).as_str() {
            "+Inf" => ".inf".to_owned(),
            "-Inf" => "-.inf".to_owned(),
            "NaN" => ".nan".to_owned(),
            text => text.to_owned(),
        }),
        Scalar::Null | Scalar::Time(_) => None,
    }
}

/// Text as Go's JSON writer takes bytes: each one that isn't UTF-8 as U+FFFD.
fn lossy(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_tag() {
        for (text, scalar) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("yes", Scalar::Text("yes".to_owned())),
            ("off", Scalar::Text("off".to_owned())),
            ("0777", Scalar::Int(511)),
            ("0o17", Scalar::Int(15)),
            ("0o-7", Scalar::Int(-7)),
            ("-0b101", Scalar::Int(-5)),
            ("0x_ff", Scalar::Int(255)),
            ("1_000", Scalar::Int(1000)),
            ("08", Scalar::Float(8.0)),
            ("+12", Scalar::Int(12)),
            ("18446744073709551615", Scalar::Uint(u64::MAX)),
            ("18446744073709551616", Scalar::Float(18_446_744_073_709_551_616.0)),
            ("-9223372036854775808", Scalar::Int(i64::MIN)),
            ("1e3", Scalar::Float(1000.0)),
            ("1e400", Scalar::Text("1e400".to_owned())),
            (".5", Scalar::Float(0.5)),
            (".1_0", Scalar::Float(0.1)),
            ("._1", Scalar::Text("._1".to_owned())),
            ("1.", Scalar::Float(1.0)),
            (".", Scalar::Text(".".to_owned())),
            ("1:30", Scalar::Text("1:30".to_owned())),
            ("2001-02-29", Scalar::Text("2001-02-29".to_owned())),
            ("2001-2-3", Scalar::Time(Some("2001-02-03T00:00:00Z".to_owned()))),
            ("2001-12-14t21:59:43.10-05:00", Scalar::Time(Some("2001-12-14T21:59:43.1-05:00".to_owned()))),
            ("2001-12-14 21:59:43", Scalar::Time(Some("2001-12-14T21:59:43Z".to_owned()))),
            ("<<", Scalar::Text("<<".to_owned())),
        ] {
            assert_eq!(implicit(text, true), scalar, "{text}");
        }
    }

    #[test]
    fn with_a_tag() {
        assert_eq!(resolve("!!float", "1").unwrap(), Scalar::Float(1.0));
        assert_eq!(resolve("!!binary", "YQ==").unwrap(), Scalar::Text("a".to_owned()));
        assert_eq!(resolve("!own", "1").unwrap(), Scalar::Text("1".to_owned()));
        for (tag, text) in
            [("!!int", "x"), ("!!bool", "yes"), ("!!null", "1"), ("!!binary", "!"), ("!!float", "18446744073709551615")]
        {
            assert!(resolve(tag, text).is_err(), "{tag} {text}");
        }
    }
}
