//! `regex.*`: regular expressions as Go's `regexp` has them ([`re2`](super::re2)), and whether two globs have a text in
//! common.

mod intersection;

use std::fmt::Write as _;

use super::re2::{self, Place, Regex, Use};
use super::{Budget, Context, Failure, Function, operand};
use crate::eval::value::Value;
use crate::eval::value::text::quoted;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("re_match", matches),
    ("regex.find_all_string_submatch_n", find_groups),
    ("regex.find_n", find),
    ("regex.globs_match", globs_match),
    ("regex.is_valid", is_valid),
    ("regex.match", matches),
    ("regex.replace", replace),
    ("regex.split", split),
    ("regex.template_match", template_match),
];

fn is_valid(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match operand::operand(args, 1)?.as_str() {
        Some(pattern) => Ok(Value::Bool(re2::is_valid(pattern, ctx.budget)?)),
        None => Ok(Value::Bool(false)),
    }
}

fn matches(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    regex.is_match(text, ctx.budget).map(Value::Bool)
}

fn template_match(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let template = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let (start, end) = (operand::string(args, 3)?, operand::string(args, 4)?);
    let &[start] = start.as_bytes() else {
        let len = start.len();
        return Err(Failure::error(format!("start delimiter has to be exactly one character long but is {len} long")));
    };
    let &[end] = end.as_bytes() else {
        // OPA has the length of the other one here.
        return Err(Failure::error("end delimiter has to be exactly one character long but is 1 long"));
    };
    let regex = ctx.patterns.template(template, (start, end), ctx.budget)?;
    regex.is_match(text, ctx.budget).map(Value::Bool)
}

fn split(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    if text.is_empty() && !pattern.is_empty() {
        return Ok(Value::array(vec![Value::from("")]));
    }
    let mut parts = vec![];
    let (mut from, mut to) = (0, 0);
    regex.matches(text, usize::MAX, false, ctx.budget, |budget, places| {
        let Some(&Some(found)) = places.first() else { return Ok(()) };
        to = found.start;
        if found.end != 0 {
            parts.push(part(text, from, to, budget)?);
        }
        from = found.end;
        Ok(())
    })?;
    if to != text.len() {
        parts.push(part(text, from, text.len(), ctx.budget)?);
    }
    Ok(Value::array(parts))
}

fn find(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let most = most(operand::int(args, 3)?);
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    let mut found = vec![];
    regex.matches(text, most, false, ctx.budget, |budget, places| {
        found.push(place(text, places.first().copied().flatten(), budget)?);
        Ok(())
    })?;
    Ok(Value::array(found))
}

fn find_groups(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let pattern = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    let most = most(operand::int(args, 3)?);
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    let mut found = vec![];
    regex.matches(text, most, true, ctx.budget, |budget, places| {
        let groups = places.iter().map(|found| place(text, *found, budget)).collect::<Result<Vec<_>, _>>()?;
        budget.alloc(size_of::<Value>())?;
        found.push(Value::array(groups));
        Ok(())
    })?;
    Ok(Value::array(found))
}

/// How many matches `n` asks for; a negative number asks for all.
fn most(n: i64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// What was matched; a group that wasn't is empty.
fn place(text: &str, place: Place, budget: &mut Budget) -> Result<Value, Failure> {
    let (from, to) = place.map_or((0, 0), |found| (found.start, found.end));
    part(text, from, to, budget)
}

fn part(text: &str, from: usize, to: usize, budget: &mut Budget) -> Result<Value, Failure> {
    let part = text.get(from..to).unwrap_or_default();
    budget.alloc(size_of::<Value>() + 16 + part.len())?;
    Ok(Value::from(part))
}

fn replace(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    let pattern = operand::string(args, 2)?;
    let replacement = operand::string(args, 3)?;
    let regex = ctx.patterns.regex(pattern, ctx.budget)?;
    ctx.budget.alloc(replacement.len())?;
    let pieces = pieces(replacement);
    let groups = pieces.iter().any(|piece| !matches!(piece, Piece::Text(_)));
    let mut replaced = String::new();
    let mut from = 0;
    regex.matches(text, usize::MAX, groups, ctx.budget, |budget, places| {
        let Some(&Some(found)) = places.first() else { return Ok(()) };
        let mut push = |part: &str| {
            budget.alloc(part.len())?;
            replaced.push_str(part);
            Ok::<_, Failure>(())
        };
        push(text.get(from..found.start).unwrap_or_default())?;
        for piece in &pieces {
            push(piece.expanded(text, &regex, places))?;
        }
        from = found.end;
        Ok(())
    })?;
    if from == 0 && replaced.is_empty() {
        return Ok(Value::String(text.clone()));
    }
    replaced.push_str(text.get(from..).unwrap_or_default());
    Ok(Value::from(replaced))
}

/// A part of a replacement.
enum Piece<'a> {
    Text(&'a str),
    /// `$1`
    Group(usize),
    /// `$name`
    Named(&'a str),
}

impl<'a> Piece<'a> {
    fn expanded(&self, text: &'a str, regex: &Regex, places: &[Place]) -> &'a str {
        let found = match self {
            Self::Text(text) => return text,
            Self::Group(group) => places.get(*group).copied().flatten(),
            Self::Named(name) => {
                let groups = regex.names().iter().zip(places.iter().skip(1));
                // Of groups with the same name, the first one that matched.
                groups.filter(|(group, _)| group.as_deref() == Some(name)).find_map(|(_, place)| *place)
            }
        };
        found.and_then(|found| text.get(found.start..found.end)).unwrap_or_default()
    }
}

/// What Go's `Regexp.Expand` makes of a replacement.
fn pieces(mut template: &str) -> Vec<Piece<'_>> {
    let mut pieces = vec![];
    while let Some((before, after)) = template.split_once('$') {
        pieces.push(Piece::Text(before));
        template = after;
        if let Some(rest) = template.strip_prefix('$') {
            pieces.push(Piece::Text("$"));
            template = rest;
        } else if let Some((piece, rest)) = reference(template) {
            pieces.push(piece);
            template = rest;
        } else {
            pieces.push(Piece::Text("$"));
        }
    }
    pieces.push(Piece::Text(template));
    pieces.retain(|piece| !matches!(piece, Piece::Text("")));
    pieces
}

/// What follows a `$`: a name or number, in braces or not.
fn reference(text: &str) -> Option<(Piece<'_>, &str)> {
    let braced = text.strip_prefix('{');
    let inner = braced.unwrap_or(text);
    let end = inner.find(|c| !re2::is_name(c)).unwrap_or(inner.len());
    let (name, rest) = inner.split_at_checked(end)?;
    if name.is_empty() {
        return None;
    }
    let rest = if braced.is_some() { rest.strip_prefix('}')? } else { rest };
    let is_number = name.bytes().all(|byte| byte.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    // Go gives up on numbers of more than nine digits.
    let number = name.parse().ok().filter(|_| is_number && name.len() <= 9);
    Some((number.map_or(Piece::Named(name), Piece::Group), rest))
}

/// The pattern that a template of literal text and expressions between delimiters stands for.
pub(super) fn template(
    template: &str,
    (start, end): (u8, u8),
    used: Use,
    budget: &mut Budget,
) -> Result<Regex, Failure> {
    budget.alloc(template.len().saturating_mul(3))?;
    let mut pattern = String::from("^");
    let mut from = 0;
    for (opening, closing) in expressions(template, start, end)? {
        push_quoted(&mut pattern, template.get(from..opening).unwrap_or_default());
        let expression = template.get(opening + 1..closing).unwrap_or_default();
        let _ = write!(pattern, "({expression})");
        // Each has to be one by itself.
        re2::Regex::new(&format!("^{expression}$"), Use::Passing, budget)?;
        from = closing + 1;
    }
    push_quoted(&mut pattern, template.get(from..).unwrap_or_default());
    pattern.push('$');
    Regex::new(&pattern, used, budget)
}

/// Where the outermost delimiters are.
fn expressions(template: &str, start: u8, end: u8) -> Result<Vec<(usize, usize)>, Failure> {
    let unbalanced = || Failure::error(format!("unbalanced braces in {}", quoted(template)));
    let mut found = vec![];
    let mut depth = 0_usize;
    let mut opening = 0;
    for (at, byte) in template.bytes().enumerate() {
        if byte == start {
            depth += 1;
            if depth == 1 {
                opening = at;
            }
        } else if byte == end {
            depth = depth.checked_sub(1).ok_or_else(unbalanced)?;
            if depth == 0 {
                found.push((opening, at));
            }
        }
    }
    if depth == 0 { Ok(found) } else { Err(unbalanced()) }
}

/// As Go's `regexp.QuoteMeta`.
fn push_quoted(pattern: &mut String, text: &str) {
    for c in text.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            pattern.push('\\');
        }
        pattern.push(c);
    }
}

fn globs_match(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let a = operand::string(args, 1)?;
    let b = operand::string(args, 2)?;
    intersection::is_not_empty(a, b, ctx.budget).map(Value::Bool)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::Limit;
    use crate::eval::builtins::patterns::tests::call;

    /// Calls, and what OPA makes of them.
    const CALLS: &[(&str, &str, &str)] = &[
        ("regex.match", r#"["^$", ""]"#, "value true"),
        ("regex.match", r#"["a{,2}", "a{,2}"]"#, "value true"),
        ("regex.match", r#"["(?i)k", "K"]"#, "value true"),
        ("regex.match", r#"["(?i)[[:word:]]", "ſ"]"#, "value true"),
        ("regex.match", r#"["\\w", "ſ"]"#, "value false"),
        ("regex.match", r#"["(?i)\\W", "ſ"]"#, "value false"),
        ("regex.match", r#"["^\\s$", "\u000b"]"#, "value false"),
        ("regex.match", r#"["^[[:space:]]$", "\u000b"]"#, "value true"),
        ("regex.match", r#"["^\\d$", "٣"]"#, "value false"),
        ("regex.match", r#"["\\p{Greek}", "α"]"#, "value true"),
        ("regex.match", r#"["^\\pL$", "é"]"#, "value true"),
        ("regex.match", r#"["[a&&b]", "&"]"#, "value true"),
        ("regex.match", r#"["^[[a]b]$", "[b]"]"#, "value true"),
        ("regex.match", r#"["a$", "a\n"]"#, "value false"),
        ("regex.match", r#"["(?m)a$", "a\n"]"#, "value true"),
        ("regex.match", r#"["a\\z", "a\n"]"#, "value false"),
        ("regex.match", r#"["^\\Qa.b\\E$", "a.b"]"#, "value true"),
        ("regex.match", r#"["^.$", "\n"]"#, "value false"),
        ("regex.match", r#"["(?s)^.$", "\n"]"#, "value true"),
        ("regex.match", r#"["\\Bb\\B", "abc"]"#, "value true"),
        ("regex.match", r#"["é\\b", "é"]"#, "value false"),
        ("regex.match", r#"["(", "x"]"#, "error error parsing regexp: missing closing ): `(`"),
        ("regex.match", r#"["a**", "x"]"#, "error error parsing regexp: invalid nested repetition operator: `**`"),
        ("regex.match", r#"["[a", "x"]"#, "error error parsing regexp: missing closing ]: `[a`"),
        ("regex.match", r#"["a{1001}", "x"]"#, "error error parsing regexp: invalid repeat count: `{1001}`"),
        (
            "regex.match",
            r#"["((a{100}){100}){100}", "x"]"#,
            "error error parsing regexp: invalid repeat count: `{100}`",
        ),
        ("regex.match", r#"["\\C", "x"]"#, r#"error error parsing regexp: invalid escape sequence: `\C`"#),
        ("regex.match", r#"["\\Z", "x"]"#, r#"error error parsing regexp: invalid escape sequence: `\Z`"#),
        ("regex.match", r#"["(?<=a)b", "x"]"#, "error error parsing regexp: invalid named capture: `(?<=a)b`"),
        (
            "regex.match",
            r#"["\\p{Old_Italic}", "x"]"#,
            r#"error error parsing regexp: invalid character class range: `\p{Old_Italic}`"#,
        ),
        ("regex.match", r#"["a\\", "x"]"#, "error error parsing regexp: trailing backslash at end of expression: ``"),
        ("regex.match", r#"["x)", "x"]"#, "error error parsing regexp: unexpected ): `x)`"),
        ("regex.match", r#"["(?P<n", "x"]"#, "error error parsing regexp: invalid named capture: `(?P<n`"),
        ("regex.match", r#"["[b-a]", "x"]"#, "error error parsing regexp: invalid character class range: `b-a`"),
        ("regex.match", r#"["*", "x"]"#, "error error parsing regexp: missing argument to repetition operator: `*`"),
        (
            "regex.match",
            r#"["[[:foo:]]", "x"]"#,
            "error error parsing regexp: invalid character class range: `[:foo:]`",
        ),
        ("regex.match", r#"["(?i-)", "x"]"#, "error error parsing regexp: invalid or unsupported Perl syntax: `(?i-)`"),
        ("regex.match", r#"["\\8", "x"]"#, r#"error error parsing regexp: invalid escape sequence: `\8`"#),
        ("regex.match", r#"[1, "x"]"#, "operand operand 1 must be string but got number"),
        ("re_match", r#"["b+", "abbc"]"#, "value true"),
        ("regex.is_valid", "[10]", "value false"),
        ("regex.is_valid", r#"[".+"]"#, "value true"),
        ("regex.is_valid", r#"["++"]"#, "value false"),
        ("regex.find_n", r#"["a*", "baaac", -1]"#, r#"value ["", "aaa", ""]"#),
        ("regex.find_n", r#"["a*?", "baa", -1]"#, r#"value ["", "", "", ""]"#),
        ("regex.find_n", r#"["a|ab", "abab", -1]"#, r#"value ["a", "a"]"#),
        ("regex.find_n", r#"["(|a)*", "aaa", -1]"#, r#"value ["", "", "", ""]"#),
        ("regex.find_n", r#"["(?U)a+", "aaa", 2]"#, r#"value ["a", "a"]"#),
        ("regex.find_n", r#"["", "é日", -1]"#, r#"value ["", "", ""]"#),
        ("regex.find_n", r#"["a.", "paranormal", 0]"#, "value []"),
        ("regex.find_n", r#"["\\b", "ab cd", -1]"#, r#"value ["", "", "", ""]"#),
        (
            "regex.find_n",
            r#"["x", "x", 1.5]"#,
            "operand operand 3 must be integer number but got floating-point number",
        ),
        ("regex.find_all_string_submatch_n", r#"["(a)|(b)", "ab", -1]"#, r#"value [["a", "a", ""], ["b", "", "b"]]"#),
        ("regex.find_all_string_submatch_n", r#"["((a)|b)+", "ab", -1]"#, r#"value [["ab", "b", "a"]]"#),
        ("regex.find_all_string_submatch_n", r#"["(a){0}b", "ab", -1]"#, r#"value [["b", ""]]"#),
        ("regex.find_all_string_submatch_n", r#"["(a*)+", "b", -1]"#, r#"value [["", ""], ["", ""]]"#),
        ("regex.split", r#"["a*", "baaac"]"#, r#"value ["b", "c"]"#),
        ("regex.split", r#"["", "é日"]"#, r#"value ["é", "日"]"#),
        ("regex.split", r#"["^a", "ab"]"#, r#"value ["", "b"]"#),
        ("regex.split", r#"["z+", "pizza"]"#, r#"value ["pi", "a"]"#),
        ("regex.split", r#"["x", ""]"#, r#"value [""]"#),
        ("regex.split", r#"["", ""]"#, "value []"),
        ("regex.replace", r#"["-wy-wxxy-", "w(x*)y", "$1"]"#, r#"value "--xx-""#),
        ("regex.replace", r#"["-wy-wxxy-", "w(x*)y", "$1W"]"#, r#"value "---""#),
        ("regex.replace", r#"["-wy-wxxy-", "w(x*)y", "${1}W"]"#, r#"value "-W-xxW-""#),
        ("regex.replace", r#"["ab", "(?P<n>a)|(?P<n>b)", "<$n>"]"#, r#"value "<a><b>""#),
        ("regex.replace", r#"["ab", "b*", "x"]"#, r#"value "xax""#),
        ("regex.replace", r#"["a", "a", "$$1 $0 ${x $é $ $10 $01"]"#, r#"value "$1 a ${x  $  ""#),
        ("regex.replace", r#"["abc", "x", "y"]"#, r#"value "abc""#),
        ("regex.replace", r#"["aé", "", "-"]"#, r#"value "-a-é-""#),
        ("regex.template_match", r#"["urn:foo:{.*}", "urn:foo:bar:baz", "{", "}"]"#, "value true"),
        ("regex.template_match", r#"["a.{b|c}", "axb", "{", "}"]"#, "value false"),
        ("regex.template_match", r#"["a{", "a", "{", "}"]"#, r#"error unbalanced braces in "a{""#),
        (
            "regex.template_match",
            r#"["a{b)(c}", "abc", "{", "}"]"#,
            "error error parsing regexp: unexpected ): `^b)(c$`",
        ),
        ("regex.template_match", r#"["{a{2}}", "aa", "{", "}"]"#, "value true"),
        (
            "regex.template_match",
            r#"["x", "x", "", "}"]"#,
            "error start delimiter has to be exactly one character long but is 0 long",
        ),
        (
            "regex.template_match",
            r#"["x", "x", "{", "}}"]"#,
            "error end delimiter has to be exactly one character long but is 1 long",
        ),
        ("regex.template_match", r#"["|a|", "a", "|", "|"]"#, r#"error unbalanced braces in "|a|""#),
        ("regex.globs_match", r#"["a.a.[0-9]+z", ".b.b2359825792*594823z"]"#, "value true"),
        ("regex.globs_match", r#"["[a-z]+", "[0-9]*"]"#, "value false"),
        ("regex.globs_match", r#"["", ""]"#, "value true"),
        ("regex.globs_match", r#"["a*b*", "b*a"]"#, "value false"),
        ("regex.globs_match", r#"["[]", "a"]"#, "value false"),
        ("regex.globs_match", r#"["a+b*", "a*b+"]"#, "value true"),
        ("regex.globs_match", r#"["[a-c]\\.", "b."]"#, "value true"),
        ("regex.globs_match", r#"["a*a", "a"]"#, "value true"),
        ("regex.globs_match", r#"["a*", "b*"]"#, "value false"),
        (
            "regex.globs_match",
            r#"["pqrs]", "[a-b]+"]"#,
            "error input:pqrs], pos:5, set-close ']' with no preceding '[': the input provided is invalid",
        ),
        (
            "regex.globs_match",
            r#"["a**", "a"]"#,
            "error input:a**, pos:3, flag '*' must be preceded by a non-flag: the input provided is invalid",
        ),
        (
            "regex.globs_match",
            r#"["[a-c-e]", "a"]"#,
            "error input:[a-c-e], pos:5, range character '-' must be preceded by a Unicode character: the input provided is invalid",
        ),
        (
            "regex.globs_match",
            r#"["[b-a]", "a"]"#,
            "error input:[b-a], pos:4, range is out of order: 'a' comes before 'b' in Unicode: the input provided is invalid",
        ),
        (
            "regex.globs_match",
            r#"["a\\", "a"]"#,
            r#"error input:a\, pos:1, input ends with a \ (escape) character: the input provided is invalid"#,
        ),
        (
            "regex.globs_match",
            r#"["[a", "a"]"#,
            "error input:[a, pos:2, found [ without matching ]: the input provided is invalid",
        ),
        (
            "regex.globs_match",
            r#"["[a-]", "a"]"#,
            "error input:[a-], pos:3, range character '-' must be followed by a Unicode character: the input provided is invalid",
        ),
        (
            "regex.globs_match",
            r#"["[a-]b", "a"]"#,
            "error input:[a-]b, pos:4, range character '-' cannot be followed by a special symbol: the input provided is invalid",
        ),
    ];

    #[test]
    fn as_opa() {
        for (name, operands, expected) in CALLS {
            for prepared in [false, true] {
                assert_eq!(call(FUNCTIONS, name, operands, prepared), *expected, "{name} {operands} {prepared}");
            }
        }
    }

    #[test]
    fn what_takes_too_much_is_refused() {
        let long = "ab".repeat(100_000);
        for (name, operands) in [
            ("regex.match", format!(r#"["[ab]*a[ab]{{500}}c", "{long}"]"#)),
            ("regex.find_n", format!(r#"["a.*c|a", "{long}", -1]"#)),
            ("regex.replace", format!(r#"["{long}", "", "{long}"]"#)),
            ("regex.globs_match", format!(r#"["{}x+", "{}y+"]"#, "[ab]*b*".repeat(1_000), "[ab]*a*".repeat(1_000))),
            ("regex.is_valid", format!(r#"["{}"]"#, "a".repeat(100_000))),
        ] {
            let result = call(FUNCTIONS, name, &operands, false);
            assert!(result.starts_with("Limit"), "{name}: {result}");
        }
        assert_eq!(
            call(FUNCTIONS, "regex.match", r#"["^\\x{D800}a", "\ufffda"]"#, true),
            format!("{:?}", Failure::Limit(Limit::Size))
        );
    }
}
