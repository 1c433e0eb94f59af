//! Whether texts have a `format`, as gojsonschema checks it.

use super::mail;
use crate::eval::builtins::net::Address;
use crate::eval::builtins::time::layout;
use crate::eval::builtins::uri::url::Url;
use crate::eval::builtins::{Budget, Limit, re2};

/// Unknown formats fit every text.
///
/// # Errors
/// The budget is spent.
pub(super) fn has_format(budget: &mut Budget, format: &str, text: &str) -> Result<bool, Limit> {
    budget.read(text.len().saturating_mul(16))?;
    Ok(match format {
        "date" => is_time(&["2006-01-02"], text),
        "time" => is_time(&["15:04:05Z07:00", "15:04:05"], text),
        "date-time" => is_time(&["15:04:05", "15:04:05Z07:00", "2006-01-02", "2006-01-02T15:04:05Z07:00"], text),
        "hostname" => text.len() < 256 && text.split('.').all(is_host_label),
        "email" | "idn-email" => mail::is_address(text),
        "ipv4" => Address::parse(text).is_some() && text.contains('.'),
        "ipv6" => Address::parse(text).is_some() && text.contains(':'),
        "uri" | "iri" => Url::parse(text).is_ok_and(|url| !url.scheme.is_empty()) && !text.contains('\\'),
        "uri-reference" | "iri-reference" => Url::parse(text).is_ok() && !text.contains('\\'),
        "uri-template" => !text.contains('\\') && Url::parse(text).is_ok_and(|url| has_complete_expressions(&url.path)),
        "uuid" => is_uuid(text),
        "regex" => re2::is_valid(text, budget)?,
        "json-pointer" => is_json_pointer(text),
        "relative-json-pointer" => is_relative_json_pointer(text),
        _ => true,
    })
}

fn is_time(layouts: &[&str], text: &str) -> bool {
    layouts.iter().any(|layout| layout::parse(layout, text).is_ok())
}

fn is_host_label(label: &str) -> bool {
    let ends = |char: char| char.is_ascii_alphanumeric();
    label.len() <= 63
        && label.starts_with(ends)
        && label.ends_with(ends)
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// Each `{` has its `}`.
fn has_complete_expressions(mut path: &[u8]) -> bool {
    while let Some(open) = path.iter().position(|byte| *byte == b'{') {
        let inner = path.get(open..).unwrap_or_default();
        let Some(close) = inner.iter().position(|byte| *byte == b'}') else { return false };
        path = inner.get(close..).unwrap_or_default();
    }
    true
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let mut parts = text.split('-');
    let fits =
        |len: usize| parts.next().is_some_and(|part| part.len() == len && part.bytes().all(|b| b.is_ascii_hexdigit()));
    lengths.into_iter().all(fits) && text.len() == 36
}

fn is_json_pointer(text: &str) -> bool {
    let mut tildes = text.split('~').skip(1);
    (text.is_empty() || text.starts_with('/')) && tildes.all(|rest| rest.starts_with(['0', '1']))
}

fn is_relative_json_pointer(text: &str) -> bool {
    let pointer = text.trim_start_matches(|char: char| char.is_ascii_digit());
    let up = text.get(..text.len() - pointer.len()).unwrap_or_default();
    !up.is_empty() && (up == "0" || !up.starts_with('0')) && (pointer == "#" || is_json_pointer(pointer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::budget::Limits;
    use std::time::Duration;

    #[test]
    fn as_gojsonschema_checks_them() {
        let mut budget = Budget::new(Limits { steps: 1 << 20, bytes: 1 << 20, time: Duration::from_secs(60) });
        for (format, texts) in [
            ("date", [("2024-02-29", true), ("2023-02-29", false), ("2024-2-9", false)]),
            ("time", [("15:04:05", true), ("15:04:05+01:00", true), ("15:04", false)]),
            ("date-time", [("2024-02-29T15:04:05.5Z", true), ("15:04:05", true), ("2024-02-29 15:04:05Z", false)]),
            ("hostname", [("a-b.c", true), ("-a", false), ("a.", false)]),
            ("ipv4", [("1.2.3.4", true), ("::ffff:1.2.3.4", true), ("1.2.3", false)]),
            ("ipv6", [("::1", true), ("1.2.3.4", false), ("::1%a", false)]),
            ("uri", [("a:b", true), ("/a", false), ("a:\\b", false)]),
            ("uri-reference", [("/a?b", true), ("", true), (":", false)]),
            ("uri-template", [("/a{b}c", true), ("/{{}", true), ("/{a", false)]),
            ("uuid", [("4c1fd8a3-6b0e-4a6d-9d3f-0f1e2d3c4b5A", true), ("4c1fd8a3", false), ("", false)]),
            ("regex", [("a+", true), ("(?=a)", false), ("", true)]),
            ("json-pointer", [("/a~1/", true), ("", true), ("/~2", false)]),
            ("relative-json-pointer", [("0#", true), ("12/a", true), ("01/a", false)]),
            ("no such format", [("", true), ("a", true), ("b", true)]),
        ] {
            for (text, expected) in texts {
                assert_eq!(has_format(&mut budget, format, text), Ok(expected), "{format} {text}");
            }
        }
    }
}
