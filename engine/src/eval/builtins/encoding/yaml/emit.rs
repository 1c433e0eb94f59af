//! YAML as go-yaml v3 writes it: blocks indented by two, scalars plain where they read back as what they are, lines
//! never folded, keys in its natural order (`emitterc.go`, `encode.go`, `sorter.go`).

use std::cmp::Ordering;

use super::super::super::{Budget, Failure};
use super::super::go_float;
use super::decode::Datum;
use super::scalar::{Scalar, implicit_tag};
use crate::eval::value::unicode::{is_digit, is_letter};

/// Bytes that a key may have to stand before its colon on one line.
const MAX_SIMPLE_KEY: usize = 128;

/// The text of a value.
///
/// # Errors
/// The budget ends.
pub(super) fn emit(budget: &mut Budget, datum: &Datum) -> Result<String, Failure> {
    let mut emitter =
        Emitter { budget, out: String::new(), charged: 0, column: 0, indent: -1, whitespace: true, indention: true };
    emitter.node(datum)?;
    emitter.write_indent();
    emitter.charge()?;
    Ok(emitter.out)
}

/// What a node stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Root,
    Item,
    /// A key before its colon.
    SimpleKey,
    /// A key with a mark of its own.
    Key,
    Value,
}

/// A collection that isn't complete, and the indentation around it.
enum Open<'d> {
    Sequence { items: std::slice::Iter<'d, Datum>, outside: isize },
    Mapping { entries: std::vec::IntoIter<&'d (String, Datum)>, outside: isize },
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Plain,
    Single,
    Double,
    Literal,
}

struct Emitter<'a> {
    budget: &'a mut Budget,
    out: String,
    charged: usize,
    /// In characters.
    column: usize,
    indent: isize,
    /// Whether the last thing written was space.
    whitespace: bool,
    /// Whether there is nothing on the line but indentation and dashes.
    indention: bool,
}

impl Emitter<'_> {
    /// Doesn't recurse, since the caller's stack may be small.
    fn node(&mut self, root: &Datum) -> Result<(), Failure> {
        let mut open = vec![];
        self.begin(root, &mut open, Place::Root)?;
        while let Some(innermost) = open.last_mut() {
            let next = match innermost {
                Open::Sequence { items, outside } => match items.next() {
                    Some(item) => {
                        self.write_indent();
                        self.indicator("-", true, false, true);
                        Ok((item, Place::Item))
                    }
                    None => Err(*outside),
                },
                Open::Mapping { entries, outside } => match entries.next() {
                    Some((name, item)) => {
                        self.key(name);
                        Ok((item, Place::Value))
                    }
                    None => Err(*outside),
                },
            };
            match next {
                Ok((item, place)) => self.begin(item, &mut open, place)?,
                Err(outside) => {
                    self.indent = outside;
                    open.pop();
                }
            }
        }
        Ok(())
    }

    fn begin<'d>(&mut self, datum: &'d Datum, open: &mut Vec<Open<'d>>, place: Place) -> Result<(), Failure> {
        self.charge()?;
        match datum {
            Datum::Scalar(scalar) => self.scalar(scalar, place),
            Datum::Sequence(items) if items.is_empty() => self.empty("[", "]"),
            Datum::Mapping(entries) if entries.is_empty() => self.empty("{", "}"),
            Datum::Sequence(items) => open.push(Open::Sequence { items: items.iter(), outside: self.deeper(0) }),
            Datum::Mapping(entries) => {
                self.budget.alloc(size_of_val(entries.as_slice()).saturating_mul(2))?;
                open.push(Open::Mapping { entries: sorted(entries).into_iter(), outside: self.deeper(0) });
            }
        }
        Ok(())
    }

    fn key(&mut self, name: &str) {
        self.write_indent();
        let key = Scalar::Text(name.to_owned());
        let is_simple = name.len() <= MAX_SIMPLE_KEY && !name.contains(is_break);
        if is_simple {
            self.scalar(&key, Place::SimpleKey);
            self.indicator(":", false, false, false);
        } else {
            self.indicator("?", true, false, true);
            self.scalar(&key, Place::Key);
            self.write_indent();
            self.indicator(":", true, false, true);
        }
    }

    fn empty(&mut self, open: &str, close: &str) {
        self.indicator(open, true, true, false);
        self.indicator(close, false, false, false);
    }

    /// Indents what follows, at the outermost level by `first`; gives the indentation up to now.
    fn deeper(&mut self, first: isize) -> isize {
        let outside = self.indent;
        self.indent = if outside < 0 { first } else { outside + 2 };
        outside
    }

    fn scalar(&mut self, scalar: &Scalar, place: Place) {
        let (text, style) = match scalar {
            Scalar::Null | Scalar::Time(_) => ("null".into(), Style::Plain),
            Scalar::Bool(value) => (value.to_string().into(), Style::Plain),
            Scalar::Int(value) => (value.to_string().into(), Style::Plain),
            Scalar::Uint(value) => (value.to_string().into(), Style::Plain),
            Scalar::Float(value) => match go_float::general(*value).as_str() {
                "+Inf" => (".inf".into(), Style::Plain),
                "-Inf" => ("-.inf".into(), Style::Plain),
                "NaN" => (".nan".into(), Style::Plain),
                text => (std::borrow::Cow::Owned(text.to_owned()), Style::Plain),
            },
            Scalar::Text(text) => (text.as_str().into(), text_style(text)),
        };
        let shape = Shape::of(&text);
        let style = shape.allowed(style, place == Place::SimpleKey);
        let outside = self.deeper(2);
        match style {
            Style::Plain => self.plain(&text),
            Style::Single => self.single_quoted(&text),
            Style::Double => self.double_quoted(&text),
            Style::Literal => self.literal(&text),
        }
        self.indent = outside;
    }

    // === Styles ===

    fn plain(&mut self, text: &str) {
        if !text.is_empty() && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|char| self.put(char));
        if !text.is_empty() {
            self.whitespace = false;
        }
        self.indention = false;
    }

    fn single_quoted(&mut self, text: &str) {
        self.indicator("'", true, false, false);
        let mut breaks = false;
        for char in text.chars() {
            if char == ' ' {
                self.put(char);
            } else if is_break(char) {
                if !breaks && char == '\n' {
                    self.put_break();
                }
                self.write_break(char);
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if char == '\'' {
                    self.put('\'');
                }
                self.put(char);
                self.indention = false;
                breaks = false;
            }
        }
        self.indicator("'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn double_quoted(&mut self, text: &str) {
        self.indicator("\"", true, false, false);
        // In a text that begins with a byte order mark, all characters are taken for one.
        let escapes_all = text.starts_with('\u{feff}');
        for char in text.chars() {
            if escapes_all || !is_printable(char) || is_break(char) || matches!(char, '"' | '\\') {
                self.escaped(char);
            } else {
                self.put(char);
            }
        }
        self.indicator("\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    fn escaped(&mut self, char: char) {
        let code = u32::from(char);
        let escape = match char {
            '\0' => "\\0".to_owned(),
            '\u{7}' => "\\a".to_owned(),
            '\u{8}' => "\\b".to_owned(),
            '\t' => "\\t".to_owned(),
            '\n' => "\\n".to_owned(),
            '\u{b}' => "\\v".to_owned(),
            '\u{c}' => "\\f".to_owned(),
            '\r' => "\\r".to_owned(),
            '\u{1b}' => "\\e".to_owned(),
            '"' => "\\\"".to_owned(),
            '\\' => "\\\\".to_owned(),
            '\u{85}' => "\\N".to_owned(),
            '\u{a0}' => "\\_".to_owned(),
            '\u{2028}' => "\\L".to_owned(),
            '\u{2029}' => "\\P".to_owned(),
            '\0'..='\u{ff}' => format!("\\x{code:02X}"),
            '\u{100}'..='\u{ffff}' => format!("\\u{code:04X}"),
            _ => format!("\\U{code:08X}"),
        };
        escape.chars().for_each(|char| self.put(char));
    }

    fn literal(&mut self, text: &str) {
        self.indicator("|", true, false, false);
        if text.starts_with(' ') || text.starts_with(is_break) {
            self.indicator("2", false, false, false);
        }
        let mut ending = text.chars().rev();
        match (ending.next().is_some_and(is_break), ending.next()) {
            (false, _) => self.indicator("-", false, false, false),
            (true, None) => self.indicator("+", false, false, false),
            (true, Some(before)) if is_break(before) => self.indicator("+", false, false, false),
            (true, Some(_)) => {}
        }
        self.put_break();
        self.whitespace = true;
        let mut breaks = true;
        for char in text.chars() {
            if is_break(char) {
                self.write_break(char);
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                self.put(char);
                self.indention = false;
                breaks = false;
            }
        }
    }

    // === Characters ===

    fn put(&mut self, char: char) {
        self.out.push(char);
        self.column += 1;
    }

    fn put_break(&mut self) {
        self.out.push('\n');
        self.column = 0;
        self.indention = true;
    }

    fn write_break(&mut self, char: char) {
        self.out.push(char);
        self.column = 0;
        self.indention = true;
    }

    fn write_indent(&mut self) {
        let indent = usize::try_from(self.indent).unwrap_or(0);
        if !self.indention || self.column > indent || (self.column == indent && !self.whitespace) {
            self.put_break();
        }
        while self.column < indent {
            self.put(' ');
        }
        self.whitespace = true;
    }

    fn indicator(&mut self, text: &str, needs_whitespace: bool, is_whitespace: bool, is_indention: bool) {
        if needs_whitespace && !self.whitespace {
            self.put(' ');
        }
        text.chars().for_each(|char| self.put(char));
        self.whitespace = is_whitespace;
        self.indention = self.indention && is_indention;
    }

    /// What has been written since the last time. One node is at most some times as large as its text.
    fn charge(&mut self) -> Result<(), Failure> {
        let written = self.out.len().saturating_sub(self.charged);
        self.charged = self.out.len();
        self.budget.step(1)?;
        Ok(self.budget.alloc(written)?)
    }
}

/// The style of a text that has no say in it.
fn text_style(text: &str) -> Style {
    let is_text = implicit_tag(text) == "!!str" && !is_base_60(text) && !is_old_bool(text);
    match (text.contains('\n'), is_text) {
        (true, _) => Style::Literal,
        (false, true) => Style::Plain,
        (false, false) => Style::Double,
    }
}

/// A number in base 60, as YAML 1.1 has them: `[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?`.
fn is_base_60(text: &str) -> bool {
    let of_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':');
    let first = parts.next().unwrap_or_default();
    let is_minute = |part: &str| match part.as_bytes() {
        [low] => low.is_ascii_digit(),
        [high, low] => matches!(high, b'0'..=b'5') && low.is_ascii_digit(),
        _ => false,
    };
    first.starts_with(|digit: char| digit.is_ascii_digit())
        && of_digits(first)
        && of_digits(fraction)
        && whole.contains(':')
        && parts.all(is_minute)
}

/// What YAML 1.1 takes for a boolean.
fn is_old_bool(text: &str) -> bool {
    const WORDS: [&str; 16] =
        ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "n", "N", "no", "No", "NO", "off", "Off", "OFF"];
    WORDS.contains(&text)
}

/// What of a text bears on how it can be written.
struct Shape {
    is_empty: bool,
    multiline: bool,
    plain: bool,
    single_quoted: bool,
    block: bool,
}

impl Shape {
    fn of(text: &str) -> Self {
        let (Some(first), Some(last)) = (text.chars().next(), text.chars().next_back()) else {
            return Self { is_empty: true, multiline: false, plain: true, single_quoted: true, block: false };
        };
        let (mut special, mut tabs, mut multiline) = (false, false, false);
        let (mut break_space, mut space_break) = (false, false);
        let mut before = None;
        for char in text.chars() {
            match char {
                '\t' => tabs = true,
                char if !is_printable(char) => special = true,
                _ => {}
            }
            multiline |= is_break(char);
            break_space |= char == ' ' && before.is_some_and(is_break);
            space_break |= is_break(char) && before == Some(' ');
            before = Some(char);
        }
        let is_space = |char: char| char == ' ' || is_break(char);
        let plain = !has_indicators(text) && !is_space(first) && !is_space(last) && !break_space && !space_break;
        Self {
            is_empty: false,
            multiline,
            plain: plain && !tabs && !special && !multiline,
            single_quoted: !break_space && !space_break && !tabs && !special,
            block: last != ' ' && !space_break && !special,
        }
    }

    fn allowed(&self, wanted: Style, simple_key: bool) -> Style {
        let mut style = if simple_key && self.multiline { Style::Double } else { wanted };
        if style == Style::Plain && (!self.plain || (self.is_empty && simple_key)) {
            style = Style::Single;
        }
        if style == Style::Single && !self.single_quoted {
            style = Style::Double;
        }
        if style == Style::Literal && (!self.block || simple_key) {
            style = Style::Double;
        }
        style
    }
}

/// Whether something in a text would mean something else outside of quotes, in a block.
fn has_indicators(text: &str) -> bool {
    if text.starts_with("---") || text.starts_with("...") {
        return true;
    }
    let mut chars = text.chars().peekable();
    let mut before = None;
    while let Some(char) = chars.next() {
        let blank_follows = chars.peek().is_none_or(|next| matches!(next, ' ' | '\t'));
        let is_indicator = match (before, char) {
            (None, '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@' | '`') => {
                true
            }
            (None, '?' | '-') => blank_follows,
            (_, ':') => blank_follows,
            (Some(before), '#') => matches!(before, ' ' | '\t' | '\0') || is_break(before),
            _ => false,
        };
        if is_indicator {
            return true;
        }
        before = Some(char);
    }
    false
}

fn is_break(char: char) -> bool {
    matches!(char, '\r' | '\n' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Characters of four bytes aren't printable here.
fn is_printable(char: char) -> bool {
    matches!(char, '\n' | ' '..='~' | '\u{a0}'..='\u{fefe}' | '\u{ff00}'..='\u{fffd}')
}

// === The order of keys ===

fn sorted(entries: &[(String, Datum)]) -> Vec<&(String, Datum)> {
    let entries: Vec<&(String, Datum)> = entries.iter().collect();
    merge_sort(entries, |(a, _), (b, _)| is_before(a, b))
}

/// The order isn't transitive for all texts, and the standard library's sorting may panic then. Up to twelve items are
/// sorted just as Go sorts them.
fn merge_sort<T: Copy>(mut items: Vec<T>, is_before: fn(T, T) -> bool) -> Vec<T> {
    if items.len() <= 12 {
        for end in 1..items.len() {
            for at in (1..=end).rev() {
                match (items.get(at - 1).copied(), items.get(at).copied()) {
                    (Some(a), Some(b)) if is_before(b, a) => items.swap(at - 1, at),
                    _ => break,
                }
            }
        }
        return items;
    }
    let right = merge_sort(items.split_off(items.len() / 2), is_before);
    let left = merge_sort(items, is_before);
    let (mut left, mut right) = (left.into_iter().peekable(), right.into_iter().peekable());
    std::iter::from_fn(|| match (left.peek().copied(), right.peek().copied()) {
        (Some(a), Some(b)) if is_before(b, a) => right.next(),
        (Some(_), _) => left.next(),
        (None, _) => right.next(),
    })
    .collect()
}

/// Numbers within texts by their value, letters behind other characters.
fn is_before(a: &str, b: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let Some(at) = a.iter().zip(&b).position(|(a, b)| a != b) else { return a.len() < b.len() };
    let (Some(first), Some(second)) = (a.get(at).copied(), b.get(at).copied()) else { return false };
    let behind_digit = at.checked_sub(1).and_then(|at| a.get(at)).is_some_and(|before| is_digit(*before));
    match (is_letter(first), is_letter(second)) {
        (true, true) => return first < second,
        (false, false) => {}
        (first, second) => return if behind_digit { first } else { second },
    }
    // Leading zeros don't count, but those within a number do.
    let digits = |text: &[char]| text.iter().take_while(|char| is_digit(**char)).copied().collect::<Vec<_>>();
    let before = a.get(..at).unwrap_or_default();
    let is_within = (first == '0' || second == '0')
        && before.iter().rev().take_while(|char| is_digit(**char)).any(|char| *char != '0');
    let number = |digits: &[char]| {
        digits.iter().fold(i64::from(is_within), |number, digit| {
            let digit = i64::from(u32::from(*digit)) - i64::from(u32::from('0'));
            number.wrapping_mul(10).wrapping_add(digit)
        })
    };
    let (x, y) = (digits(a.get(at..).unwrap_or_default()), digits(b.get(at..).unwrap_or_default()));
    let order = number(&x).cmp(&number(&y)).then(x.len().cmp(&y.len())).then(first.cmp(&second));
    order == Ordering::Less
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn natural_order() {
        let mut texts = vec!["a10", "a2", "A", "b", "1", "10", "2", "_", "a", "a01", "a1"];
        texts = merge_sort(texts, is_before);
        assert_eq!(texts, ["_", "1", "2", "10", "A", "a", "a1", "a01", "a2", "a10", "b"]);
    }
}
