//! Strings: parts of them, tests on them, and texts made of other texts. Positions count characters.

use std::collections::HashSet;

use super::sprintf::rego_text;
use super::{Context, Failure, Function, Limit, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("concat", concat),
    ("contains", contains),
    ("endswith", endswith),
    ("indexof", indexof),
    ("indexof_n", indexof_n),
    ("internal.template_string", template_string),
    ("lower", lower),
    ("replace", replace),
    ("split", split),
    ("startswith", startswith),
    ("strings.any_prefix_match", any_prefix_match),
    ("strings.any_suffix_match", any_suffix_match),
    ("strings.count", count),
    ("strings.replace_n", replace_n),
    ("strings.reverse", reverse),
    ("strings.split_n", split_n),
    ("substring", substring),
    ("trim", trim),
    ("trim_left", trim_left),
    ("trim_prefix", trim_prefix),
    ("trim_right", trim_right),
    ("trim_space", trim_space),
    ("trim_suffix", trim_suffix),
    ("upper", upper),
];

// === Tests and positions ===

fn contains(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, part) = two(ctx, args)?;
    Ok(Value::Bool(text.contains(part)))
}

fn startswith(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, prefix) = (operand::string(args, 1)?, operand::string(args, 2)?);
    ctx.budget.read(prefix.len())?;
    Ok(Value::Bool(text.starts_with(&**prefix)))
}

fn endswith(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, suffix) = (operand::string(args, 1)?, operand::string(args, 2)?);
    ctx.budget.read(suffix.len())?;
    Ok(Value::Bool(text.ends_with(&**suffix)))
}

fn indexof(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, part) = searched(ctx, args)?;
    Ok(match text.find(part) {
        Some(at) => Value::from(characters(text, at)),
        None => Value::from(-1_i64),
    })
}

/// Matches may overlap.
fn indexof_n(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, part) = searched(ctx, args)?;
    let first = part.chars().next().map_or(1, char::len_utf8);
    let (mut found, mut rest, mut position) = (Vec::new(), text, 0);
    while let Some(at) = rest.find(part) {
        // Each search looks at the whole part, and no further than the match.
        ctx.budget.alloc(size_of::<Value>())?;
        ctx.budget.read(part.len())?;
        position += characters(rest, at);
        found.push(Value::from(position));
        position += 1;
        rest = rest.get(at + first..).unwrap_or_default();
    }
    Ok(Value::array(found))
}

fn count(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, part) = two(ctx, args)?;
    // The empty text is before each character and at the end.
    Ok(Value::from(if part.is_empty() { text.chars().count() + 1 } else { text.matches(part).count() }))
}

fn any_prefix_match(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    any_affix_match(ctx, args, |text| text.to_owned(), |text, affix| text.starts_with(affix))
}

fn any_suffix_match(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let reversed = |text: &[u8]| text.iter().rev().copied().collect();
    any_affix_match(ctx, args, reversed, |text, affix| text.ends_with(affix))
}

/// Whether any of some texts begins with any of others, `turned` so that affixes are prefixes.
fn any_affix_match(
    ctx: &mut Context<'_>,
    args: &[&Value],
    turned: fn(&[u8]) -> Vec<u8>,
    matches: fn(&[u8], &[u8]) -> bool,
) -> Result<Value, Failure> {
    let (texts, affixes) = (one_or_more(args, 1)?, one_or_more(args, 2)?);
    let bytes = |texts: &[&str]| texts.iter().map(|text| text.len().saturating_add(32)).sum::<usize>();
    if let [text] = texts.as_slice() {
        ctx.budget.read(bytes(&affixes))?;
        return Ok(Value::Bool(affixes.iter().any(|affix| matches(text.as_bytes(), affix.as_bytes()))));
    }
    // Those that begin with a prefix follow each other, right after the prefix itself.
    let total = bytes(&texts).saturating_add(bytes(&affixes));
    let levels = texts.len().checked_ilog2().unwrap_or(0) as usize + 2;
    ctx.budget.alloc(total)?;
    ctx.budget.read(total.saturating_mul(levels))?;
    let mut sorted: Vec<Vec<u8>> = texts.iter().map(|text| turned(text.as_bytes())).collect();
    sorted.sort_unstable();
    Ok(Value::Bool(affixes.iter().any(|affix| {
        let prefix = turned(affix.as_bytes());
        let first = sorted.partition_point(|text| *text < prefix);
        sorted.get(first).is_some_and(|text| text.starts_with(&prefix))
    })))
}

/// A string, or those of a collection.
fn one_or_more<'a>(args: &[&'a Value], position: usize) -> Result<Vec<&'a str>, Failure> {
    match operand::operand(args, position)? {
        Value::String(text) => Ok(vec![text]),
        Value::Array(_) | Value::Set(_) => {
            Ok(operand::strings(args, position)?.into_iter().map(|text| &**text).collect())
        }
        other => Err(operand::wrong_type(position, other, &["string", "set", "array"])),
    }
}

// === Other texts of the same characters ===

fn lower(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = one(ctx, args)?;
    Ok(Value::from(to_lower(text)))
}

fn upper(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = one(ctx, args)?;
    Ok(Value::from(to_upper(text)))
}

fn reverse(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = one(ctx, args)?;
    Ok(Value::from(text.chars().rev().collect::<String>()))
}

/// As Go's `strings.ToLower`: each character by itself, to one other.
pub(super) fn to_lower(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_lowercase() } else { text.chars().map(lower_of).collect() }
}

/// As Go's `strings.ToUpper`.
pub(super) fn to_upper(text: &str) -> String {
    if text.is_ascii() { text.to_ascii_uppercase() } else { text.chars().map(upper_of).collect() }
}

fn lower_of(char: char) -> char {
    match char {
        // Its full lower case is two characters.
        'İ' => 'i',
        _ => simple(char, char.to_lowercase()),
    }
}

fn upper_of(char: char) -> char {
    let offset = match char {
        // Greek letters with an iota below: their full upper case is two characters, their simple one is the title case.
        '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => 8,
        '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => 9,
        _ => return simple(char, char.to_uppercase()),
    };
    char::from_u32(u32::from(char) + offset).unwrap_or(char)
}

/// The one character that `mapped` is, as of Unicode 15, which Go 1.26 has; else the character itself.
fn simple(char: char, mut mapped: impl ExactSizeIterator<Item = char>) -> char {
    match (mapped.len(), mapped.next()) {
        (1, Some(mapped)) if !is_new(char) && !is_new(mapped) => mapped,
        _ => char,
    }
}

/// Whether a character with case came with Unicode 16 or 17.
fn is_new(char: char) -> bool {
    matches!(char,
        '\u{1c89}'..='\u{1c8a}'
        | '\u{a7cb}'..='\u{a7cf}'
        | '\u{a7d2}'
        | '\u{a7d4}'
        | '\u{a7da}'..='\u{a7dc}'
        | '\u{10d50}'..='\u{10d65}'
        | '\u{10d70}'..='\u{10d85}'
        | '\u{16ea0}'..='\u{16eb8}'
        | '\u{16ebb}'..='\u{16ed3}')
}

// === Parts ===

fn substring(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = one(ctx, args)?;
    let (offset, length) = (operand::int(args, 2)?, operand::int(args, 3)?);
    let Ok(offset) = usize::try_from(offset) else { return Err(Failure::error("negative offset")) };
    let rest = text.get(byte_of(text, offset)..).unwrap_or_default();
    // A negative length is all of the rest.
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    Ok(Value::from(rest.get(..byte_of(rest, length)).unwrap_or_default()))
}

fn split(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, delimiter) = two(ctx, args)?;
    let parts = parts(ctx, text, delimiter)?;
    Ok(Value::array(parts.into_iter().map(Value::from).collect()))
}

/// The first `n` parts, or the last `-n`.
fn split_n(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, delimiter) = two(ctx, args)?;
    let n = operand::int(args, 3)?;
    let parts = parts(ctx, text, delimiter)?;
    let wanted = usize::try_from(n.unsigned_abs()).unwrap_or(usize::MAX);
    let skipped = if n < 0 { parts.len().saturating_sub(wanted) } else { 0 };
    Ok(Value::array(parts.into_iter().skip(skipped).take(wanted).map(Value::from).collect()))
}

/// What stands between delimiters; between empty ones stands each character.
fn parts<'a>(ctx: &mut Context<'_>, text: &'a str, delimiter: &str) -> Result<Vec<&'a str>, Failure> {
    let count = if delimiter.is_empty() { text.chars().count() } else { text.matches(delimiter).count() + 1 };
    // Each part is allocated by itself.
    ctx.budget.alloc(count.saturating_mul(size_of::<Value>() + size_of::<&str>() + 24).saturating_add(text.len()))?;
    if delimiter.is_empty() {
        let part = |(at, char): (usize, char)| text.get(at..at + char.len_utf8());
        return Ok(text.char_indices().filter_map(part).collect());
    }
    Ok(text.split(delimiter).collect())
}

fn trim(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    trimmed(ctx, args, |text, cut| text.trim_matches(cut))
}

fn trim_left(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    trimmed(ctx, args, |text, cut| text.trim_start_matches(cut))
}

fn trim_right(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    trimmed(ctx, args, |text, cut| text.trim_end_matches(cut))
}

fn trim_prefix(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, prefix) = two(ctx, args)?;
    Ok(part_of(args, text.strip_prefix(prefix).unwrap_or(text)))
}

fn trim_suffix(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, suffix) = two(ctx, args)?;
    Ok(part_of(args, text.strip_suffix(suffix).unwrap_or(text)))
}

fn trim_space(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = one(ctx, args)?;
    Ok(part_of(args, text.trim()))
}

fn trimmed(
    ctx: &mut Context<'_>,
    args: &[&Value],
    trim: for<'a> fn(&'a str, &dyn Fn(char) -> bool) -> &'a str,
) -> Result<Value, Failure> {
    let (text, cut) = two(ctx, args)?;
    let trimmed = if cut.len() <= 16 {
        trim(text, &|char| cut.contains(char))
    } else {
        // Looking each character up must not take long, however many are cut.
        ctx.budget.alloc(cut.len().saturating_mul(8))?;
        let cut: HashSet<char> = cut.chars().collect();
        trim(text, &|char| cut.contains(&char))
    };
    Ok(part_of(args, trimmed))
}

/// The first operand itself, if the part is all of it.
fn part_of(args: &[&Value], part: &str) -> Value {
    match args.first() {
        Some(whole @ Value::String(text)) if text.len() == part.len() => (*whole).clone(),
        _ => Value::from(part),
    }
}

// === Texts made of others ===

fn concat(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let separator = operand::string(args, 1)?;
    let strings = match operand::operand(args, 2)? {
        Value::Array(_) | Value::Set(_) => operand::strings(args, 2)?,
        other => return Err(operand::wrong_type(2, other, &["set", "array"])),
    };
    if let [only] = strings.as_slice() {
        return Ok(Value::String((*only).clone()));
    }
    let separators = separator.len().saturating_mul(strings.len().saturating_sub(1));
    let length = strings.iter().fold(separators, |length, string| length.saturating_add(string.len()));
    ctx.budget.step(strings.len() as u64)?;
    ctx.budget.alloc(length.saturating_mul(2))?;
    let mut text = String::with_capacity(length);
    for (i, string) in strings.into_iter().enumerate() {
        if i > 0 {
            text.push_str(separator);
        }
        text.push_str(string);
    }
    Ok(Value::from(text))
}

fn replace(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (text, old) = two(ctx, args)?;
    let new = operand::string(args, 3)?;
    if old.is_empty() {
        return Ok(Value::from(replaced(ctx, text, Some(new), &[])?));
    }
    let count = text.matches(old).count();
    if count == 0 {
        return Ok(part_of(args, text));
    }
    let growth = new.len().saturating_sub(old.len()).saturating_mul(count);
    ctx.budget.alloc(text.len().saturating_add(growth).saturating_mul(2))?;
    Ok(Value::from(text.replace(old, new)))
}

fn replace_n(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let patterns = operand::object(args, 1)?;
    let text = operand::string(args, 2)?;
    ctx.budget.read(text.len())?;
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(patterns.len());
    for (old, new) in patterns.iter() {
        ctx.budget.step(1)?;
        let old = old.as_str().ok_or_else(|| operand::wrong(1, "non-string key found in pattern object"))?;
        let new = new.as_str().ok_or_else(|| operand::wrong(1, "non-string value found in pattern object"))?;
        // Patterns are tried in order, and one comes after those it begins with: it never gets its turn.
        match pairs.last() {
            Some((before, _)) if !before.is_empty() && old.starts_with(before) => {}
            _ => pairs.push((old, new)),
        }
    }
    let empty = match pairs.first() {
        Some(("", new)) => Some(*new),
        _ => None,
    };
    let patterns = pairs.get(usize::from(empty.is_some())..).unwrap_or_default();
    Ok(Value::from(replaced(ctx, text, empty, patterns)?))
}

/// The parts of an interpolated string: each is a scalar, or a set of the one value that an expression has, empty where it
/// has none.
fn template_string(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let mut text = String::new();
    for part in operand::array(args, 1)?.iter() {
        let value = match part {
            Value::Set(values) => match values.as_slice() {
                [] => {
                    text.push_str("<undefined>");
                    continue;
                }
                [value] => value,
                // OPA ends the evaluation too.
                _ => return Err(Failure::Unsupported("template-strings must not produce multiple outputs".to_owned())),
            },
            Value::Array(_) | Value::Object(_) => {
                return Err(Failure::Unsupported(format!("illegal argument type: {}", part.type_name())));
            }
            scalar => scalar,
        };
        ctx.budget.step(1)?;
        match value {
            Value::String(part) => {
                ctx.budget.alloc(part.len())?;
                text.push_str(part);
            }
            other => text.push_str(&rego_text(ctx.budget, other)?),
        }
    }
    Ok(Value::from(text))
}

/// As Go's generic `strings.Replacer`: from left to right, at each byte one of the patterns, and `empty` before each byte
/// that isn't inside of a match and at the end.
///
/// The patterns are sorted, and none begins with another. So the only one that `rest` can begin with is the last one not
/// above it.
fn replaced(
    ctx: &mut Context<'_>,
    text: &str,
    empty: Option<&str>,
    patterns: &[(&str, &str)],
) -> Result<String, Failure> {
    let mut begins = [false; 256];
    for (old, _) in patterns {
        if let Some(begins) = old.bytes().next().and_then(|byte| begins.get_mut(usize::from(byte))) {
            *begins = true;
        }
    }
    let mut out: Vec<u8> = Vec::new();
    let mut rest = text.as_bytes();
    let put = |ctx: &mut Context<'_>, out: &mut Vec<u8>, new: &str| {
        ctx.budget.alloc(new.len().saturating_mul(2))?;
        out.extend_from_slice(new.as_bytes());
        Ok::<_, Limit>(())
    };
    while let Some((byte, after)) = rest.split_first() {
        if let Some(empty) = empty {
            put(ctx, &mut out, empty)?;
        }
        let may_begin = begins.get(usize::from(*byte)).copied().unwrap_or(false);
        let matched = if may_begin { matching(ctx, rest, patterns)? } else { None };
        match matched {
            Some((old, new)) => {
                put(ctx, &mut out, new)?;
                rest = rest.get(old.len()..).unwrap_or_default();
            }
            None => {
                out.push(*byte);
                rest = after;
            }
        }
    }
    if let Some(empty) = empty {
        put(ctx, &mut out, empty)?;
    }
    // An empty pattern stands between all bytes, also those of one character.
    String::from_utf8(out).map_err(|_| Failure::Unsupported("a string that isn't UTF-8".to_owned()))
}

fn matching<'a>(
    ctx: &mut Context<'_>,
    rest: &[u8],
    patterns: &[(&'a str, &'a str)],
) -> Result<Option<(&'a str, &'a str)>, Limit> {
    let mut compared = 0_usize;
    let end = patterns.partition_point(|(old, _)| {
        compared = compared.saturating_add(16 + old.len().min(rest.len()));
        old.as_bytes() <= rest
    });
    ctx.budget.read(compared)?;
    let found = end.checked_sub(1).and_then(|last| patterns.get(last));
    Ok(found.copied().filter(|(old, _)| rest.starts_with(old.as_bytes())))
}

// === Operands ===

/// The first operand, paid for.
fn one<'a>(ctx: &mut Context<'_>, args: &[&'a Value]) -> Result<&'a str, Failure> {
    let text = operand::string(args, 1)?;
    ctx.budget.read(text.len())?;
    Ok(text)
}

/// The first two operands, paid for.
fn two<'a>(ctx: &mut Context<'_>, args: &[&'a Value]) -> Result<(&'a str, &'a str), Failure> {
    let (a, b) = (operand::string(args, 1)?, operand::string(args, 2)?);
    ctx.budget.read(a.len().saturating_add(b.len()))?;
    Ok((a, b))
}

/// A text, and what is looked for in it.
fn searched<'a>(ctx: &mut Context<'_>, args: &[&'a Value]) -> Result<(&'a str, &'a str), Failure> {
    let (text, part) = two(ctx, args)?;
    if part.is_empty() {
        return Err(Failure::error("empty search character"));
    }
    Ok((text, part))
}

/// How many characters are before a byte.
fn characters(text: &str, byte: usize) -> usize {
    text.get(..byte).unwrap_or_default().chars().count()
}

/// The byte before which there are so many characters, or the end.
fn byte_of(text: &str, characters: usize) -> usize {
    if text.is_ascii() {
        return characters.min(text.len());
    }
    text.char_indices().nth(characters).map_or(text.len(), |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("concat", &[r#"",""#, r#"["a", "b"]"#], r#""a,b""#),
            ("concat", &[r#"",""#, r#"{"$set": ["a", "b"]}"#], r#""a,b""#),
            (
                "concat",
                &[r#"",""#, "[1]"],
                "operand: operand 2 must be array of strings but got array containing number",
            ),
            (
                "concat",
                &[r#"",""#, r#"["a", 1]"#],
                "operand: operand 2 must be array of strings but got array containing number",
            ),
            ("concat", &[r#"",""#, "[]"], r#""""#),
            ("concat", &[r#"",""#, r#""a""#], "operand: operand 2 must be one of {set, array} but got string"),
            ("contains", &[r#""abc""#, r#""bc""#], "true"),
            ("startswith", &[r#""abc""#, r#""ab""#], "true"),
            ("endswith", &[r#""abc""#, "1"], "operand: operand 2 must be string but got number"),
            ("indexof", &[r#""é😀b""#, r#""b""#], "2"),
            ("indexof", &[r#""abc""#, r#""x""#], "-1"),
            ("indexof", &[r#""abc""#, r#""""#], "error"),
            ("indexof_n", &[r#""aaaa""#, r#""aa""#], "[0, 1, 2]"),
            ("indexof_n", &[r#""éaéé""#, r#""é""#], "[0, 2, 3]"),
            ("indexof_n", &[r#""a""#, r#""b""#], "[]"),
            ("strings.count", &[r#""aaa""#, r#""aa""#], "1"),
            ("strings.count", &[r#""é😀""#, r#""""#], "3"),
            ("lower", &[r#""ÀİΣß""#], r#""àiσß""#),
            ("upper", &[r#""àßᾳıŉ""#], r#""ÀßᾼIŉ""#),
            ("strings.reverse", &[r#""aé😀""#], r#""😀éa""#),
            ("substring", &[r#""héllo""#, "1", "3"], r#""éll""#),
            ("substring", &[r#""héllo""#, "1", "-1"], r#""éllo""#),
            ("substring", &[r#""a""#, "-1", "1"], "error"),
            ("substring", &[r#""a""#, "5", "1"], r#""""#),
            ("substring", &[r#""abc""#, "1", "9223372036854775807"], r#""bc""#),
            ("split", &[r#""a.b.""#, r#"".""#], r#"["a", "b", ""]"#),
            ("split", &[r#""éa""#, r#""""#], r#"["é", "a"]"#),
            ("split", &[r#""""#, r#""""#], "[]"),
            ("split", &[r#""""#, r#"".""#], r#"[""]"#),
            ("strings.split_n", &[r#""a.b.c""#, r#"".""#, "2"], r#"["a", "b"]"#),
            ("strings.split_n", &[r#""a.b.c""#, r#"".""#, "-2"], r#"["b", "c"]"#),
            ("strings.split_n", &[r#""a.b.c""#, r#"".""#, "0"], "[]"),
            (
                "strings.split_n",
                &[r#""a""#, r#"".""#, "1.5"],
                "operand: operand 3 must be integer number but got floating-point number",
            ),
            ("trim", &[r#""xxaxbx""#, r#""xb""#], r#""a""#),
            ("trim_left", &[r#""ééa""#, r#""é""#], r#""a""#),
            ("trim_right", &[r#""abb""#, r#""ab""#], r#""""#),
            ("trim_prefix", &[r#""foobar""#, r#""foo""#], r#""bar""#),
            ("trim_suffix", &[r#""foobar""#, r#""bar""#], r#""foo""#),
            ("trim_space", &[r#""  a\t""#], r#""a""#),
            ("replace", &[r#""aaa""#, r#""aa""#, r#""b""#], r#""ba""#),
            ("replace", &[r#""ab""#, r#""""#, r#""-""#], r#""-a-b-""#),
            ("replace", &[r#""ab""#, r#""x""#, r#""-""#], r#""ab""#),
            ("strings.replace_n", &[r#"{"a": "1", "ab": "2", "b": "3"}"#, r#""aabx""#], r#""113x""#),
            ("strings.replace_n", &[r#"{"": "-", "b": "3"}"#, r#""abc""#], r#""-a-3-c-""#),
            (
                "strings.replace_n",
                &[r#"{"$object": [[1, "a"]]}"#, r#""a""#],
                "operand: operand 1 non-string key found in pattern object",
            ),
            (
                "strings.replace_n",
                &[r#"{"a": 1}"#, r#""a""#],
                "operand: operand 1 non-string value found in pattern object",
            ),
            ("strings.any_prefix_match", &[r#""abc""#, r#"{"$set": ["ab", "x"]}"#], "true"),
            ("strings.any_prefix_match", &[r#"["abc", "x"]"#, r#"["y", "z"]"#], "false"),
            (
                "strings.any_prefix_match",
                &[r#"["a", 1]"#, r#""a""#],
                "operand: operand 1 must be array of strings but got array containing number",
            ),
            (
                "strings.any_prefix_match",
                &[r#""a""#, "1"],
                "operand: operand 2 must be one of {string, set, array} but got number",
            ),
            ("strings.any_prefix_match", &["[]", r#""""#], "false"),
            ("strings.any_suffix_match", &[r#"["abc", "x"]"#, r#"["bc"]"#], "true"),
            (
                "strings.any_suffix_match",
                &["1", r#""a""#],
                "operand: operand 1 must be one of {string, set, array} but got number",
            ),
            (
                "internal.template_string",
                &[r#"["a", 1, {"$set": ["x"]}, {"$set": []}, null, {"$set": [[1]]}]"#],
                r#""a1x<undefined>null[1]""#,
            ),
        ];
        check(FUNCTIONS, cases);
    }

    /// Go keeps bytes that are no UTF-8; they are U+FFFD here, as they are in its JSON.
    #[test]
    fn between_the_bytes_of_a_character() {
        check(FUNCTIONS, &[("strings.replace_n", &[r#"{"": "-"}"#, r#""aé""#], "unsupported")]);
        check(FUNCTIONS, &[("strings.replace_n", &[r#"{"": "-"}"#, r#""ab""#], r#""-a-b-""#)]);
    }

    /// The hash is that of Go 1.26's `unicode.ToLower` and `unicode.ToUpper` of all characters.
    #[test]
    fn case_of_every_character_is_that_of_go() {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for char in '\0'..=char::MAX {
            for mapped in [lower_of(char), upper_of(char)] {
                for byte in u32::from(mapped).to_le_bytes() {
                    hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
                }
            }
        }
        assert_eq!(hash, 0x1827_8947_e8e7_2bce);
    }

    #[test]
    fn what_grows_is_paid_for() {
        let long = format!("\"{}\"", "a".repeat(10_000));
        let (pattern, parts) = (format!(r#"{{"a": {long}}}"#), format!("[{}1]", "\"\", ".repeat(10_000)));
        let parts = parts.replace(", 1]", "]");
        let cases: &[(&str, &[&str], &str)] = &[
            ("replace", &[&long, r#""a""#, &long], "limit: too much memory"),
            ("replace", &[&long, r#""""#, &long], "limit: too much memory"),
            ("strings.replace_n", &[&pattern, &long], "limit: too much memory"),
            ("concat", &[&long, &parts], "limit: too much memory"),
        ];
        check(FUNCTIONS, cases);
    }
}
