//! `uri.parse` and `uri.is_valid`: URLs as Go's `net/url` reads them.

pub(in crate::eval) mod url;

use self::url::Url;
use super::{Context, Failure, Function, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[("uri.is_valid", is_valid), ("uri.parse", parse)];

fn parse(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    // Most of it is copied twice.
    ctx.budget.alloc(text.len().saturating_mul(4))?;
    let url = Url::parse(text).map_err(|error| Failure::Error(error.to_string()))?;
    let (hostname, port) = url.host_and_port();
    let raw_path = if url.raw_path.is_empty() { &url.path } else { &url.raw_path };
    let parts = [
        ("scheme", url.scheme.as_slice()),
        ("hostname", hostname),
        ("port", port),
        ("path", &url.path),
        ("raw_path", raw_path),
        ("raw_query", &url.raw_query),
        ("fragment", &url.fragment),
    ];
    let present = parts.into_iter().filter(|(_, part)| !part.is_empty());
    Ok(Value::object(present.map(|(name, part)| (Value::from(name), Value::from(text_of(part)))).collect()))
}

fn is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let Value::String(text) = operand::operand(args, 1)? else { return Ok(Value::Bool(false)) };
    ctx.budget.alloc(text.len().saturating_mul(4))?;
    Ok(Value::Bool(!text.is_empty() && Url::parse(text).is_ok()))
}

/// An escape such as `%ff` can make bytes that are no UTF-8. Go keeps them in its string, and writes each as U+FFFD when
/// the string leaves as JSON.
fn text_of(bytes: &[u8]) -> String {
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
    use crate::eval::builtins::budget::{Budget, Limits};
    use crate::eval::builtins::patterns::Patterns;
    use std::collections::HashMap;
    use std::time::Duration;

    fn parsed(text: &str) -> Result<String, Failure> {
        let mut budget = Budget::new(Limits { steps: 1 << 20, bytes: 1 << 20, time: Duration::from_secs(60) });
        let mut memo = HashMap::new();
        let mut ctx = Context { budget: &mut budget, now_ns: 0, memo: &mut memo, patterns: &Patterns::default() };
        parse(&mut ctx, &[&Value::from(text)]).map(|value| value.to_string())
    }

    #[test]
    fn parts_as_opa_gives_them() {
        for (text, expected) in [
            ("", "{}"),
            ("HTTP://u:p@Ex.com:80", r#"{"hostname": "Ex.com", "port": "80", "scheme": "http"}"#),
            ("mailto:a@b", r#"{"scheme": "mailto"}"#),
            ("a%2Fb?q#f%20", r#"{"fragment": "f ", "path": "a/b", "raw_path": "a%2Fb", "raw_query": "q"}"#),
            ("//[::1%25e]:/", r#"{"hostname": "::1%e", "path": "/", "raw_path": "/"}"#),
            ("*", r#"{"path": "*", "raw_path": "*"}"#),
            ("/%ff%c3", r#"{"path": "/��", "raw_path": "/%ff%c3"}"#),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refused_in_gos_words() {
        for (text, expected) in [
            (":a", "parse \":a\": missing protocol scheme"),
            ("1:b", "parse \"1:b\": first path segment in URL cannot contain colon"),
            ("http://a b/", "parse \"http://a b/\": invalid character \" \" in host name"),
            ("http://a:b/#%zz", "parse \"http://a:b/\": invalid port \":b\" after host"),
            ("/#%zz", "parse \"/#%zz\": invalid URL escape \"%zz\""),
            ("http://[1.2.3.4]/", "parse \"http://[1.2.3.4]/\": invalid IP-literal"),
            ("\u{7f}", "parse \"\\x7f\": net/url: invalid control character in URL"),
        ] {
            assert_eq!(parsed(text), Err(Failure::error(expected)), "{text}");
        }
    }
}
