//! `semver.*`: versions after Semantic Versioning 2.0.0, as OPA's `internal/semver` reads and orders them.

use std::cmp::Ordering;

use super::{Context, Failure, Function, Limit, operand};
use crate::eval::value::Value;
use crate::eval::value::text::quoted;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[("semver.compare", compare), ("semver.is_valid", is_valid)];

fn compare(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let a = operand::string(args, 1)?;
    let b = operand::string(args, 2)?;
    ctx.budget.read(a.len().saturating_add(b.len()))?;
    let order = version(1, a)?.compare(&version(2, b)?)?;
    Ok(Value::from(order as i64))
}

fn version(position: usize, text: &str) -> Result<Version<'_>, Failure> {
    let invalid = || Failure::Error(format!("operand {position}: string {} is not a valid SemVer", quoted(text)));
    Version::parse(text).ok_or_else(invalid)
}

fn is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let Value::String(text) = operand::operand(args, 1)? else { return Ok(Value::Bool(false)) };
    ctx.budget.read(text.len())?;
    Ok(Value::Bool(Version::parse(text).is_some()))
}

struct Version<'a> {
    /// Major, minor and patch.
    core: [i64; 3],
    /// Identifiers with dots between; empty for none.
    pre_release: &'a str,
}

impl<'a> Version<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let text = text.strip_prefix('v').unwrap_or(text);
        let (text, metadata) = cut(text, '+');
        if !metadata.is_none_or(are_identifiers) {
            return None;
        }
        let (text, pre_release) = cut(text, '-');
        if !pre_release.is_none_or(|text| are_identifiers(text) && !text.split('.').any(has_leading_zero)) {
            return None;
        }
        let mut parts = text.split('.').map(number);
        let core = [parts.next()??, parts.next()??, parts.next()??];
        if parts.next().is_some() {
            return None;
        }
        Some(Self { core, pre_release: pre_release.unwrap_or_default() })
    }

    /// # Errors
    /// Two different numbers beyond 64 bits are all that the versions differ in. OPA takes both for the largest number,
    /// and never returns.
    fn compare(&self, other: &Self) -> Result<Ordering, Failure> {
        let core = self.core.cmp(&other.core);
        if core.is_ne() || self.pre_release == other.pre_release {
            return Ok(core);
        }
        if self.pre_release.is_empty() || other.pre_release.is_empty() {
            // Without a pre-release is later.
            return Ok(self.pre_release.is_empty().cmp(&other.pre_release.is_empty()));
        }
        let mut ours = self.pre_release.split('.');
        let mut theirs = other.pre_release.split('.');
        loop {
            let order = match (ours.next(), theirs.next()) {
                (Some(a), Some(b)) => compare_identifiers(a, b),
                (Some(_), None) => Ordering::Greater,
                (None, Some(_)) => Ordering::Less,
                (None, None) => return Err(Failure::Limit(Limit::Size)),
            };
            if order.is_ne() {
                return Ok(order);
            }
        }
    }
}

fn cut(text: &str, separator: char) -> (&str, Option<&str>) {
    match text.split_once(separator) {
        Some((before, after)) => (before, Some(after)),
        None => (text, None),
    }
}

fn are_identifiers(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
}

fn is_numeric(identifier: &str) -> bool {
    !identifier.is_empty() && identifier.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_leading_zero(identifier: &str) -> bool {
    identifier.len() > 1 && identifier.starts_with('0') && is_numeric(identifier)
}

fn number(text: &str) -> Option<i64> {
    if !is_numeric(text) || has_leading_zero(text) { None } else { text.parse().ok() }
}

/// Numbers come before words.
fn compare_identifiers(a: &str, b: &str) -> Ordering {
    match (is_numeric(a), is_numeric(b)) {
        (true, true) => saturated(a).cmp(&saturated(b)),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => a.cmp(b),
    }
}

/// Go's `Atoi` gives the largest number where it overflows.
fn saturated(digits: &str) -> i64 {
    digits.parse().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(a: &str, b: &str) -> Result<Ordering, Failure> {
        Version::parse(a).unwrap().compare(&Version::parse(b).unwrap())
    }

    #[test]
    fn valid() {
        for text in ["0.0.0", "v1.2.3", "1.2.3-0", "1.2.3-0a", "1.2.3+01", "1.2.3-rc.1+build.01", "1.2.3--"] {
            assert!(Version::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "v",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-01",
            "1.2.3-a..b",
            "vv1.2.3",
            "1.2.3-a_b",
            "+1.2.3",
            "-1.2.3",
            "1.2.9223372036854775808",
            "1. 2.3",
            "1.2.3 ",
        ] {
            assert!(Version::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn ordered() {
        for (less, more) in [
            ("1.0.0-alpha", "1.0.0-alpha.1"),
            ("1.0.0-alpha.1", "1.0.0-alpha.beta"),
            ("1.0.0-beta.2", "1.0.0-beta.11"),
            ("1.0.0-rc.1", "1.0.0"),
            ("1.2.3-5-Foo", "1.2.3-5-foo"),
            ("9.9.9", "10.0.0"),
        ] {
            assert_eq!(order(less, more), Ok(Ordering::Less), "{less} {more}");
            assert_eq!(order(more, less), Ok(Ordering::Greater), "{less} {more}");
        }
        assert_eq!(order("v1.2.3+a", "1.2.3+b"), Ok(Ordering::Equal));
    }

    #[test]
    fn where_opa_would_never_return() {
        let stopped = Err(Failure::Limit(Limit::Size));
        assert_eq!(order("1.0.0-99999999999999999999", "1.0.0-99999999999999999998"), stopped);
    }
}
