//! Texts of values and of bytes: base64, hexadecimal, URL queries, JSON, YAML.

pub(crate) mod base64;
pub(crate) mod go_float;
pub(crate) mod go_json;
mod url;
pub(crate) mod yaml;

use std::fmt::Write as _;

use super::operand::{self, operand, wrong_type};
use super::{Context, Failure, Function};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("base64.decode", base64_decode),
    ("base64.encode", base64_encode),
    ("base64.is_valid", base64_is_valid),
    ("base64url.decode", base64url_decode),
    ("base64url.encode", base64url_encode),
    ("base64url.encode_no_pad", base64url_encode_no_pad),
    ("hex.decode", hex_decode),
    ("hex.encode", hex_encode),
    ("json.is_valid", json_is_valid),
    ("json.marshal", json_marshal),
    ("json.marshal_with_options", json_marshal_with_options),
    ("json.unmarshal", json_unmarshal),
    ("urlquery.decode", url::decode),
    ("urlquery.decode_object", url::decode_object),
    ("urlquery.encode", url::encode),
    ("urlquery.encode_object", url::encode_object),
    ("yaml.is_valid", yaml::is_valid),
    ("yaml.marshal", yaml::marshal),
    ("yaml.unmarshal", yaml::unmarshal),
];

/// Bytes as the text they are.
///
/// # Errors
/// They aren't UTF-8. OPA has strings of any bytes, and a value here can't hold them.
pub(super) fn text(bytes: Vec<u8>) -> Result<Value, Failure> {
    let text = String::from_utf8(bytes);
    text.map(Value::from).map_err(|_| Failure::Unsupported("a string that isn't UTF-8".to_owned()))
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string doesn't fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn base64_encode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.alloc(text.len() / 3 * 4)?;
    Ok(Value::from(base64::encode(text.as_bytes())))
}

fn base64_decode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let encoded = operand::string(args, 1)?;
    ctx.budget.read(encoded.len())?;
    text(base64::decode(encoded, base64::STANDARD)?)
}

fn base64_is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let Value::String(encoded) = operand(args, 1)? else { return Ok(Value::Bool(false)) };
    ctx.budget.read(encoded.len())?;
    Ok(Value::Bool(base64::decode(encoded, base64::STANDARD).is_ok()))
}

fn base64url_encode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.alloc(text.len() / 3 * 4)?;
    Ok(Value::from(base64::encode_url(text.as_bytes())))
}

fn base64url_encode_no_pad(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.alloc(text.len() / 3 * 4)?;
    Ok(Value::from(base64::encode_url_no_pad(text.as_bytes())))
}

fn base64url_decode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let encoded = operand::string(args, 1)?;
    ctx.budget.read(encoded.len())?;
    text(base64::decode_url_lax(encoded)?)
}

fn hex_encode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.alloc(text.len().saturating_mul(2))?;
    Ok(Value::from(hex(text.as_bytes())))
}

fn hex_decode(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let encoded = operand::string(args, 1)?;
    ctx.budget.read(encoded.len())?;
    let digit = |byte: u8| {
        let digit = char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        digit.ok_or_else(|| {
            let char = char::from(byte);
            let shown = if byte.is_ascii_graphic() || matches!(byte, b' ' | 0xa1..=0xac | 0xae..) {
                format!(" '{char}'")
            } else {
                String::new()
            };
            Failure::error(format!("encoding/hex: invalid byte: U+{byte:04X}{shown}"))
        })
    };
    let (pairs, rest) = encoded.as_bytes().as_chunks::<2>();
    let bytes =
        pairs.iter().map(|[high, low]| Ok(digit(*high)? << 4 | digit(*low)?)).collect::<Result<Vec<u8>, Failure>>()?;
    if let Some(odd) = rest.first() {
        digit(*odd)?;
        return Err(Failure::error("encoding/hex: odd length hex string"));
    }
    text(bytes)
}

fn json_marshal(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    go_json::marshal(ctx.budget, operand(args, 1)?, None).map(Value::from)
}

fn json_marshal_with_options(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let options = Options::read(args)?;
    let value = operand(args, 1)?;
    if !options.pretty {
        return go_json::marshal(ctx.budget, value, None).map(Value::from);
    }
    let lines = go_json::marshal(ctx.budget, value, Some((options.prefix, options.indent)))?;
    // Go leaves the first line without the prefix, and OPA puts it there.
    ctx.budget.alloc(options.prefix.len().saturating_add(lines.len()))?;
    Ok(Value::from(format!("{}{lines}", options.prefix)))
}

struct Options<'a> {
    pretty: bool,
    prefix: &'a str,
    indent: &'a str,
}

impl<'a> Options<'a> {
    fn read(args: &[&'a Value]) -> Result<Self, Failure> {
        let mut options = Self { pretty: false, prefix: "", indent: "\t" };
        let (mut asked, mut implied) = (None, false);
        for (index, (key, value)) in operand::object(args, 2)?.iter().enumerate() {
            // OPA passes the position among the options as that of the operand.
            let text = |value: &'a Value, what: &dyn Fn(&str) -> String| match value {
                Value::String(text) => Ok(&**text),
                other => match wrong_type(index, other, &["string"]) {
                    Failure::Operand(reason) => Err(operand::wrong(2, &what(&reason))),
                    failure => Err(failure),
                },
            };
            let name = text(key, &|reason| format!("failed to stringify key {key} at index {index}: {reason}"))?;
            let not_string = |reason: &str| format!("key \"{name}\" failed cast to string: {reason}");
            match name {
                "prefix" => {
                    options.prefix = text(value, &not_string)?;
                    implied = true;
                }
                "indent" => {
                    options.indent = text(value, &not_string)?;
                    implied = true;
                }
                "pretty" => match value {
                    Value::Bool(pretty) => asked = Some(*pretty),
                    _ => return Err(operand::wrong(2, "key \"pretty\" failed cast to bool")),
                },
                unknown => return Err(operand::wrong(2, &format!("object contained unknown key \"{unknown}\""))),
            }
        }
        options.pretty = asked.unwrap_or(implied);
        Ok(options)
    }
}

fn json_unmarshal(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    go_json::unmarshal(ctx.budget, operand::string(args, 1)?)
}

fn json_is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let Value::String(text) = operand(args, 1)? else { return Ok(Value::Bool(false)) };
    ctx.budget.read(text.len())?;
    Ok(Value::Bool(go_json::is_valid(text)))
}
