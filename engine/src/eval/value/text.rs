//! Values as Rego writes them: what `sprintf("%v")`, string interpolation and messages show.

use std::fmt::{self, Write};

use super::Value;
use super::unicode::is_print;

impl fmt::Display for Value {
    /// Recurses by depth, which is bounded.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::String(text) => write_quoted(f, text),
            Self::Array(array) => {
                f.write_char('[')?;
                list(f, array.as_slice())?;
                f.write_char(']')
            }
            Self::Set(set) if set.len() == 0 => f.write_str("set()"),
            Self::Set(set) => {
                f.write_char('{')?;
                list(f, set.as_slice())?;
                f.write_char('}')
            }
            Self::Object(object) => {
                f.write_char('{')?;
                for (i, (key, value)) in object.iter().enumerate() {
                    let comma = if i > 0 { ", " } else { "" };
                    write!(f, "{comma}{key}: {value}")?;
                }
                f.write_char('}')
            }
        }
    }
}

fn list(f: &mut fmt::Formatter<'_>, items: &[Value]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        let comma = if i > 0 { ", " } else { "" };
        write!(f, "{comma}{item}")?;
    }
    Ok(())
}

/// As Go's `strconv.Quote`.
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    // Writing to a string doesn't fail.
    let _ = write_quoted(&mut out, text);
    out
}

fn write_quoted(out: &mut impl Write, text: &str) -> fmt::Result {
    out.write_char('"')?;
    for char in text.chars() {
        match char {
            '"' => out.write_str("\\\"")?,
            '\\' => out.write_str("\\\\")?,
            '\u{7}' => out.write_str("\\a")?,
            '\u{8}' => out.write_str("\\b")?,
            '\u{c}' => out.write_str("\\f")?,
            '\n' => out.write_str("\\n")?,
            '\r' => out.write_str("\\r")?,
            '\t' => out.write_str("\\t")?,
            '\u{b}' => out.write_str("\\v")?,
            ' '..='~' => out.write_char(char)?,
            '\0'..='\u{1f}' | '\u{7f}' => write!(out, "\\x{:02x}", u32::from(char))?,
            _ if is_print(char) => out.write_char(char)?,
            '\u{80}'..='\u{ffff}' => write!(out, "\\u{:04x}", u32::from(char))?,
            _ => write!(out, "\\U{:08x}", u32::from(char))?,
        }
    }
    out.write_char('"')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_rego_writes_them() {
        let value = Value::array(vec![
            Value::set(vec![]),
            Value::set(vec![Value::from("b"), Value::from("a")]),
            Value::object(vec![(Value::from(1_i64), Value::Null)]),
            Value::Bool(true),
        ]);
        assert_eq!(value.to_string(), r#"[set(), {"a", "b"}, {1: null}, true]"#);
    }

    #[test]
    fn quoted_as_go_quotes() {
        assert_eq!(quoted("a\"\\\n\u{1}\u{7f}é\u{a0}\u{200b}😀\u{e000}"), r#""a\"\\\n\x01\x7fé\u00a0\u200b😀\ue000""#);
    }
}
