//! JSON values that compare as OPA compares them: numbers by their exact value, whatever their text.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

/// A JSON document. The order among values is the same everywhere, and means nothing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Json {
    Null,
    Bool(bool),
    Number(Number),
    String(String),
    Array(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// A number as `0.digits` times ten to the `exponent`, with neither zeros at either end nor digits for zero: equal numbers
/// are the same ones.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Number {
    negative: bool,
    digits: String,
    exponent: i64,
}

impl Json {
    /// Reads a document.
    ///
    /// # Errors
    /// It isn't JSON, or has an exponent that no value can have.
    pub fn read(text: &str) -> serde_json::Result<Self> {
        Self::of(serde_json::from_str(text)?)
    }

    /// What the text is decides its first character: `serde_json` has checked the rest, but would round numbers.
    fn of(raw: &RawValue) -> serde_json::Result<Self> {
        let text = raw.get();
        Ok(match text.as_bytes().first() {
            Some(b'[') => {
                let elements: Vec<&RawValue> = serde_json::from_str(text)?;
                Self::Array(elements.into_iter().map(Self::of).collect::<Result<_, _>>()?)
            }
            Some(b'{') => {
                // By owned keys: an escaped one can't be borrowed.
                let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
                let entries = entries.into_iter().map(|(key, value)| Ok((key, Self::of(value)?)));
                Self::Object(entries.collect::<Result<_, serde_json::Error>>()?)
            }
            Some(b'"') => Self::String(serde_json::from_str(text)?),
            Some(b't' | b'f') => Self::Bool(serde_json::from_str(text)?),
            Some(b'n') => Self::Null,
            _ => Self::Number(Number::of(text)?),
        })
    }

    /// An array sorted, as OPA's tests do with an answer in which the order doesn't count; anything else as it is.
    #[must_use]
    pub fn sorted(self) -> Self {
        match self {
            Self::Array(mut elements) => {
                elements.sort();
                Self::Array(elements)
            }
            other => other,
        }
    }
}

impl Number {
    /// Of a text that is a JSON number.
    fn of(text: &str) -> serde_json::Result<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let exponent: i64 = exponent.parse().map_err(|e| serde::de::Error::custom(format!("{text}: {e}")))?;
        let (negative, mantissa) = match mantissa.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, mantissa),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let digits = all.trim_start_matches('0');
        let leading = i64::try_from(all.len() - digits.len()).unwrap_or(i64::MAX);
        let digits = digits.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Ok(Self { negative: false, digits, exponent: 0 });
        }
        let point = i64::try_from(whole.len()).unwrap_or(i64::MAX).saturating_sub(leading);
        Ok(Self { negative, digits, exponent: exponent.saturating_add(point) })
    }
}

/// As JSON, for people; numbers in a notation of their own where they are large or have a fraction.
impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::String(text) => write!(f, "{text:?}"),
            Self::Array(elements) => {
                f.write_str("[")?;
                for (i, element) in elements.iter().enumerate() {
                    write!(f, "{}{element}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Object(entries) => {
                f.write_str("{")?;
                for (i, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key:?}: {value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { negative, digits, exponent } = self;
        let sign = if *negative { "-" } else { "" };
        match usize::try_from(*exponent) {
            Ok(0) if digits.is_empty() => f.write_str("0"),
            Ok(places) if places >= digits.len() && places <= 20 => write!(f, "{sign}{digits:0<places$}"),
            _ => write!(f, "{sign}0.{digits}e{exponent}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Json {
        Json::read(text).unwrap()
    }

    #[test]
    fn numbers_are_equal_by_value() {
        for (a, b) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("100", "1e2"),
            ("-0", "0.0e5"),
            ("0.001", "1e-3"),
            ("-12.50", "-125E-1"),
            ("[{\"a\": 1}]", "[{\"a\": 1.00}]"),
        ] {
            assert_eq!(read(a), read(b));
        }
        for (a, b) in [
            ("9007199254740993", "9007199254740992.0"),
            ("1", "1.0000000000000000000000001"),
            ("1", "-1"),
            ("0.1", "1"),
            ("1", "\"1\""),
        ] {
            assert_ne!(read(a), read(b));
        }
    }

    #[test]
    fn documents_keep_what_they_hold() {
        let text = r#"{"a\n": [1, 0, 120, -3, true, null, "x\"y"], "b": {}}"#;
        assert_eq!(read(text).to_string(), text);
        assert_eq!(read("[2, 1, 1]").sorted(), read("[1, 1, 2]"));
        assert!(Json::read("[1,]").is_err());
    }
}
