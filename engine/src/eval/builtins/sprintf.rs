//! `sprintf`: Go's `fmt.Sprintf` over what OPA makes of values: `int64`, `*big.Int`, `float64` and `string`.
//!
//! Verbs, flags and what is printed in their place where they don't fit are those of Go 1.26: `fmt/print.go`,
//! `fmt/format.go`, `math/big/intconv.go`, and `strconv/ftoa.go` for floats.

mod float;

use std::borrow::Cow;
use std::fmt;

use num_bigint::{BigInt, Sign};

use super::budget::{Budget, Limit};
use super::{Context, Failure, Function, operand};
use crate::eval::value::text::quoted;
use crate::eval::value::{Number, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[("sprintf", sprintf)];

/// A number in a format string or in place of one may not be larger.
const MAX_NUMBER: u64 = 1_000_000;

fn sprintf(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (format, values) = (operand::string(args, 1)?, operand::array(args, 2)?);
    ctx.budget.alloc(values.len().saturating_mul(size_of::<Argument<'_>>()))?;
    let arguments: Vec<_> = values.iter().map(|value| argument(ctx.budget, value)).collect::<Result<_, _>>()?;
    let mut printer = Printer {
        budget: ctx.budget,
        out: String::with_capacity(format.len()),
        rest: format,
        arguments: &arguments,
        next: 0,
        reordered: false,
        good_index: true,
        flags: Flags::default(),
        failing: false,
    };
    printer.print()?;
    Ok(Value::from(printer.out))
}

/// A value as Rego writes it, without outgrowing the budget: what is shared many times may be a very long text.
pub(super) fn rego_text(budget: &mut Budget, value: &Value) -> Result<String, Limit> {
    let mut out = Bounded { budget, text: String::new(), unpaid: 0, limit: None };
    let _ = fmt::Write::write_fmt(&mut out, format_args!("{value}"));
    let Bounded { budget, text, unpaid, limit } = out;
    limit.map_or_else(|| budget.alloc(unpaid), Err)?;
    Ok(text)
}

/// What Go formats.
enum Argument<'a> {
    Int(i64),
    Big(BigInt),
    Float(f64),
    Text(Cow<'a, str>),
}

fn argument<'a>(budget: &mut Budget, value: &'a Value) -> Result<Argument<'a>, Limit> {
    Ok(match value {
        Value::String(text) => Argument::Text(Cow::Borrowed(text)),
        Value::Number(Number::Int(integer)) => Argument::Int(*integer),
        Value::Number(number) => {
            budget.step(64)?;
            number_argument(number)
        }
        other => Argument::Text(Cow::Owned(rego_text(budget, other)?)),
    })
}

/// The text decides: `1.0` is a float.
fn number_argument(number: &Number) -> Argument<'static> {
    let text = number.to_string();
    if text.contains(['.', 'e', 'E']) {
        return match text.parse() {
            Ok(float) if f64::is_finite(float) => Argument::Float(float),
            _ => Argument::Text(Cow::Owned(text)),
        };
    }
    match (number.as_i64(), number.to_bigint()) {
        (Some(integer), _) => Argument::Int(integer),
        (None, Some(integer)) => Argument::Big(integer),
        (None, None) => Argument::Text(Cow::Owned(text)),
    }
}

struct Bounded<'a> {
    budget: &'a mut Budget,
    text: String,
    unpaid: usize,
    limit: Option<Limit>,
}

impl fmt::Write for Bounded<'_> {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.unpaid = self.unpaid.saturating_add(part.len());
        if self.unpaid >= 1024 {
            let unpaid = std::mem::take(&mut self.unpaid);
            self.budget.alloc(unpaid).map_err(|limit| {
                self.limit = Some(limit);
                fmt::Error
            })?;
        }
        self.text.push_str(part);
        Ok(())
    }
}

/// What stands between the `%` and the verb.
#[derive(Default, Clone, Copy)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag of a format")]
struct Flags {
    minus: bool,
    plus: bool,
    sharp: bool,
    space: bool,
    zero: bool,
    /// `%+v` and `%#v`, which mean something else than `+` and `#` with other verbs.
    plus_v: bool,
    sharp_v: bool,
    width: Option<usize>,
    precision: Option<usize>,
}

struct Printer<'a> {
    budget: &'a mut Budget,
    out: String,
    /// The format from here on.
    rest: &'a str,
    arguments: &'a [Argument<'a>],
    /// The argument that the next verb takes.
    next: usize,
    /// Whether any index such as `[3]` was there.
    reordered: bool,
    /// Whether all of this directive's indexes are arguments'.
    good_index: bool,
    flags: Flags,
    /// Inside of what is printed for a verb that doesn't fit.
    failing: bool,
}

// === Reading the format ===

impl<'a> Printer<'a> {
    fn print(&mut self) -> Result<(), Failure> {
        while let Some((literal, directive)) = self.rest.split_once('%') {
            self.put(literal)?;
            self.rest = directive;
            self.directive()?;
        }
        self.put(self.rest)?;
        self.extra()
    }

    fn directive(&mut self) -> Result<(), Failure> {
        self.budget.step(4)?;
        self.good_index = true;
        self.flags = Flags::default();
        self.read_flags();
        // The usual case: neither width nor precision.
        if let Some(verb @ b'a'..=b'z') = self.peek()
            && let Some(argument) = self.take()
        {
            self.skip(1);
            return self.verb(argument, char::from(verb));
        }
        let mut after_index = self.read_index();
        self.read_width(&mut after_index)?;
        self.read_precision(&mut after_index)?;
        if !after_index {
            self.read_index();
        }
        let Some(verb) = self.rest.chars().next() else { return self.put("%!(NOVERB)") };
        self.skip(verb.len_utf8());
        if verb == '%' {
            return self.put("%");
        }
        if !self.good_index {
            return self.put(&format!("%!{verb}(BADINDEX)"));
        }
        match self.take() {
            Some(argument) => self.verb(argument, verb),
            None => self.put(&format!("%!{verb}(MISSING)")),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.rest.as_bytes().first().copied()
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    fn take(&mut self) -> Option<&'a Argument<'a>> {
        let argument = self.arguments.get(self.next)?;
        self.next += 1;
        Some(argument)
    }

    fn read_flags(&mut self) {
        loop {
            match self.peek() {
                Some(b'#') => self.flags.sharp = true,
                Some(b'0') => self.flags.zero = true,
                Some(b'+') => self.flags.plus = true,
                Some(b'-') => self.flags.minus = true,
                Some(b' ') => self.flags.space = true,
                _ => return,
            }
            self.skip(1);
        }
    }

    /// An index such as `[3]`, and whether there was one. What isn't one but begins like one makes the directive bad.
    fn read_index(&mut self) -> bool {
        let Some(inside) = self.rest.strip_prefix('[') else { return false };
        self.reordered = true;
        let Some((digits, rest)) = inside.split_once(']').filter(|_| self.rest.len() >= 3) else {
            self.good_index = false;
            self.skip(1);
            return false;
        };
        self.rest = rest;
        let number = match leading_number(digits) {
            (Some(number), "") => number,
            _ => {
                self.good_index = false;
                return false;
            }
        };
        match number.checked_sub(1).filter(|index| *index < self.arguments.len()) {
            Some(index) => self.next = index,
            None => self.good_index = false,
        }
        true
    }

    fn read_width(&mut self, after_index: &mut bool) -> Result<(), Failure> {
        if self.peek() == Some(b'*') {
            self.skip(1);
            *after_index = false;
            let Some(width) = self.take_number() else { return self.put("%!(BADWIDTH)") };
            if width < 0 {
                self.flags.minus = true;
                self.flags.zero = false;
            }
            self.flags.width = usize::try_from(width.unsigned_abs()).ok();
            return Ok(());
        }
        (self.flags.width, self.rest) = leading_number(self.rest);
        // An index belongs right before the verb or a `*`.
        if *after_index && self.flags.width.is_some() {
            self.good_index = false;
        }
        Ok(())
    }

    fn read_precision(&mut self, after_index: &mut bool) -> Result<(), Failure> {
        if self.peek() != Some(b'.') || self.rest.len() < 2 {
            return Ok(());
        }
        self.skip(1);
        if *after_index {
            self.good_index = false;
        }
        *after_index = self.read_index();
        if self.peek() == Some(b'*') {
            self.skip(1);
            *after_index = false;
            self.flags.precision = self.take_number().and_then(|precision| usize::try_from(precision).ok());
            return if self.flags.precision.is_none() { self.put("%!(BADPREC)") } else { Ok(()) };
        }
        let (precision, rest) = leading_number(self.rest);
        (self.flags.precision, self.rest) = (Some(precision.unwrap_or(0)), rest);
        Ok(())
    }

    /// The next argument, if it is a number for `*`. It is taken in any case.
    fn take_number(&mut self) -> Option<i64> {
        match self.take()? {
            Argument::Int(number) => Some(*number).filter(|number| number.unsigned_abs() <= MAX_NUMBER),
            _ => None,
        }
    }

    /// Arguments that no verb took.
    fn extra(&mut self) -> Result<(), Failure> {
        if self.reordered || self.next >= self.arguments.len() {
            return Ok(());
        }
        self.flags = Flags::default();
        self.put("%!(EXTRA ")?;
        let mut comma = "";
        while let Some(argument) = self.take() {
            self.put(comma)?;
            self.put(argument.type_name())?;
            self.put("=")?;
            self.value(argument, 'v')?;
            comma = ", ";
        }
        self.put(")")
    }
}

/// Digits, and what follows them. A number much too large takes all of the text with it.
fn leading_number(text: &str) -> (Option<usize>, &str) {
    let mut number = None;
    for (at, byte) in text.bytes().enumerate() {
        let before = number.unwrap_or(0);
        match byte {
            b'0'..=b'9' if before as u64 > MAX_NUMBER => return (None, ""),
            b'0'..=b'9' => number = Some(before * 10 + usize::from(byte - b'0')),
            _ => return (number, text.get(at..).unwrap_or_default()),
        }
    }
    (number, "")
}

impl Argument<'_> {
    fn type_name(&self) -> &'static str {
        match self {
            Self::Int(_) => "int64",
            Self::Big(_) => "*big.Int",
            Self::Float(_) => "float64",
            Self::Text(_) => "string",
        }
    }
}

// === Writing ===

impl Printer<'_> {
    fn verb(&mut self, argument: &Argument<'_>, verb: char) -> Result<(), Failure> {
        if matches!(verb, 'v' | 'w') {
            (self.flags.sharp_v, self.flags.sharp) = (self.flags.sharp, false);
            (self.flags.plus_v, self.flags.plus) = (self.flags.plus, false);
        }
        self.value(argument, verb)
    }

    fn value(&mut self, argument: &Argument<'_>, verb: char) -> Result<(), Failure> {
        if verb == 'T' {
            return self.text(argument.type_name());
        }
        match argument {
            Argument::Int(integer) => self.integer_as(*integer, argument, verb),
            Argument::Float(float) => self.float_as(*float, argument, verb),
            Argument::Text(text) => self.text_as(text, argument, verb),
            // Go prints the words of the number that it failed on.
            Argument::Big(integer) if self.failing => self.words(integer),
            Argument::Big(_) if verb == 'w' => self.misfit(argument, verb),
            // A pointer, which is another one each time.
            Argument::Big(_) if verb == 'p' => Err(Failure::Unsupported("%p of a big integer".to_owned())),
            Argument::Big(integer) => self.big(integer, verb),
        }
    }

    /// What stands for a verb that doesn't fit its argument.
    fn misfit(&mut self, argument: &Argument<'_>, verb: char) -> Result<(), Failure> {
        self.failing = true;
        self.put(&format!("%!{verb}({}=", argument.type_name()))?;
        self.value(argument, 'v')?;
        self.failing = false;
        self.put(")")
    }

    fn put(&mut self, text: &str) -> Result<(), Failure> {
        self.budget.alloc(text.len())?;
        self.out.push_str(text);
        Ok(())
    }

    fn padding(&mut self, count: usize) -> Result<(), Failure> {
        self.budget.alloc(count)?;
        let with = if self.flags.zero && !self.flags.minus { '0' } else { ' ' };
        self.out.extend(std::iter::repeat_n(with, count));
        Ok(())
    }

    fn padded(&mut self, text: &str) -> Result<(), Failure> {
        let missing = match self.flags.width {
            Some(width) => width.saturating_sub(text.chars().count()),
            None => 0,
        };
        if self.flags.minus {
            self.put(text)?;
            self.padding(missing)
        } else {
            self.padding(missing)?;
            self.put(text)
        }
    }

    /// Where zeros are part of the number already.
    fn padded_with_spaces(&mut self, text: &str) -> Result<(), Failure> {
        let zero = std::mem::replace(&mut self.flags.zero, false);
        self.padded(text)?;
        self.flags.zero = zero;
        Ok(())
    }
}

// === Strings ===

impl Printer<'_> {
    fn text_as(&mut self, text: &str, argument: &Argument<'_>, verb: char) -> Result<(), Failure> {
        match verb {
            'v' if self.flags.sharp_v => self.quoted_text(text),
            'v' | 's' => self.text(text),
            'x' => self.hex(text, "0x", "0123456789abcdef"),
            'X' => self.hex(text, "0X", "0123456789ABCDEF"),
            'q' => self.quoted_text(text),
            _ => self.misfit(argument, verb),
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        let text = self.truncated(text);
        self.padded(text)
    }

    /// The first characters, as many as the precision says.
    fn truncated<'t>(&self, text: &'t str) -> &'t str {
        let end = self.flags.precision.and_then(|precision| text.char_indices().nth(precision));
        end.and_then(|(end, _)| text.get(..end)).unwrap_or(text)
    }

    fn quoted_text(&mut self, text: &str) -> Result<(), Failure> {
        let text = self.truncated(text);
        // One character may take ten.
        self.budget.alloc(text.len().saturating_mul(10))?;
        let quoted = match (self.flags.sharp && can_backquote(text), self.flags.plus) {
            (true, _) => format!("`{text}`"),
            (false, true) => {
                let escaped: String = text.chars().map(|char| escaped(char, '"', true)).collect();
                format!("\"{escaped}\"")
            }
            (false, false) => quoted(text),
        };
        self.padded(&quoted)
    }

    fn hex(&mut self, text: &str, prefix: &str, digits: &str) -> Result<(), Failure> {
        let length = self.flags.precision.unwrap_or(usize::MAX).min(text.len());
        // What is asked for may be long already before it is padded.
        self.budget.alloc(length.saturating_mul(10))?;
        let mut out = String::new();
        let digit = |nibble: u8| digits.as_bytes().get(usize::from(nibble)).copied().map_or('0', char::from);
        for (i, byte) in text.bytes().take(length).enumerate() {
            if i > 0 && self.flags.space {
                out.push(' ');
            }
            if self.flags.sharp && (i == 0 || self.flags.space) {
                out.push_str(prefix);
            }
            out.push(digit(byte >> 4));
            out.push(digit(byte & 15));
        }
        self.padded(&out)
    }
}

fn can_backquote(text: &str) -> bool {
    !text.chars().any(|char| matches!(char, '\0'..='\u{8}' | '\u{a}'..='\u{1f}' | '`' | '\u{7f}' | '\u{feff}'))
}

/// A character as it stands between `quote`s.
fn escaped(char: char, quote: char, ascii_only: bool) -> String {
    match char {
        _ if char == quote => format!("\\{char}"),
        '"' | '\'' => char.to_string(),
        '\u{80}'..='\u{ffff}' if ascii_only => format!("\\u{:04x}", u32::from(char)),
        '\u{10000}'.. if ascii_only => format!("\\U{:08x}", u32::from(char)),
        _ => {
            let quoted = quoted(char.encode_utf8(&mut [0; 4]));
            quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
        }
    }
}

fn is_print(char: char) -> bool {
    matches!(char, '"' | '\'' | '\\') || escaped(char, '\'', false).chars().eq([char])
}

// === Integers ===

/// A number's sign and magnitude, to be written in some base.
#[derive(Clone, Copy)]
struct Digits {
    negative: bool,
    magnitude: u64,
    base: u32,
    upper: bool,
    /// `0o`, whatever the flags.
    octal_prefix: bool,
}

impl Printer<'_> {
    fn integer_as(&mut self, integer: i64, argument: &Argument<'_>, verb: char) -> Result<(), Failure> {
        // What isn't about the number's size sees its bits.
        let bits = integer.cast_unsigned();
        let base = match verb {
            'v' | 'd' => 10,
            'b' => 2,
            'o' | 'O' => 8,
            'x' | 'X' => 16,
            'c' => return self.padded(character(bits).encode_utf8(&mut [0; 4])),
            'q' => {
                let char = escaped(character(bits), '\'', self.flags.plus);
                return self.padded(&format!("'{char}'"));
            }
            'U' => return self.unicode(bits),
            _ => return self.misfit(argument, verb),
        };
        self.integer(Digits {
            negative: integer < 0,
            magnitude: integer.unsigned_abs(),
            base,
            upper: verb == 'X',
            octal_prefix: verb == 'O',
        })
    }

    fn integer(&mut self, number: Digits) -> Result<(), Failure> {
        let flags = self.flags;
        let has_sign = number.negative || flags.plus || flags.space;
        let places = match (flags.precision, flags.width) {
            (Some(0), _) if number.magnitude == 0 => return self.padded_with_spaces(""),
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero && !flags.minus => width.saturating_sub(usize::from(has_sign)),
            _ => 0,
        };
        let digits = number.digits();
        let zeros = places.saturating_sub(digits.len());
        self.budget.alloc(zeros)?;
        let mut text = String::with_capacity(zeros + digits.len() + 4);
        match (number.negative, flags.plus, flags.space) {
            (true, ..) => text.push('-'),
            (false, true, _) => text.push('+'),
            (false, false, true) => text.push(' '),
            _ => {}
        }
        if number.octal_prefix {
            text.push_str("0o");
        }
        if flags.sharp {
            text.push_str(match (number.base, number.upper) {
                (2, _) => "0b",
                (8, _) if zeros == 0 && number.magnitude != 0 => "0",
                (16, false) => "0x",
                (16, true) => "0X",
                _ => "",
            });
        }
        text.extend(std::iter::repeat_n('0', zeros));
        text.push_str(&digits);
        self.padded_with_spaces(&text)
    }

    /// `U+0041`, and the character itself if `#` asks for it.
    fn unicode(&mut self, bits: u64) -> Result<(), Failure> {
        let places = self.flags.precision.unwrap_or(0).max(4);
        self.budget.alloc(places)?;
        let mut text = format!("U+{bits:0>places$X}", places = places.min(16));
        if places > 16 {
            text = format!("U+{}{bits:0>16X}", "0".repeat(places - 16));
        }
        let char = u32::try_from(bits).ok().and_then(char::from_u32);
        if let Some(char) = char.filter(|char| self.flags.sharp && is_print(*char)) {
            text.push_str(&format!(" '{char}'"));
        }
        self.padded_with_spaces(&text)
    }

    /// As `big.Int` formats itself.
    fn big(&mut self, integer: &BigInt, verb: char) -> Result<(), Failure> {
        let flags = self.flags;
        let base = match verb {
            'b' => 2,
            'o' | 'O' => 8,
            'd' | 's' | 'v' => 10,
            'x' | 'X' => 16,
            _ => return self.put(&format!("%!{verb}(big.Int={integer})")),
        };
        self.budget.alloc(usize::try_from(integer.bits()).unwrap_or(usize::MAX))?;
        let mut digits = integer.magnitude().to_str_radix(base);
        if verb == 'X' {
            digits.make_ascii_uppercase();
        }
        let sign = match integer.sign() {
            Sign::Minus => "-",
            _ if flags.plus || flags.plus_v => "+",
            _ if flags.space => " ",
            _ => "",
        };
        let prefix = match verb {
            'O' => "0o",
            'b' if flags.sharp => "0b",
            'o' if flags.sharp => "0",
            'x' if flags.sharp => "0x",
            'X' if flags.sharp => "0X",
            _ => "",
        };
        if flags.precision == Some(0) && digits == "0" {
            return Ok(());
        }
        let mut zeros = flags.precision.unwrap_or(0).saturating_sub(digits.len());
        let length = sign.len() + prefix.len() + zeros + digits.len();
        let missing = flags.width.unwrap_or(0).saturating_sub(length);
        let (mut left, mut right) = (0, 0);
        if flags.minus {
            right = missing;
        } else if flags.zero && flags.precision.is_none() {
            zeros = missing;
        } else {
            left = missing;
        }
        self.repeated(' ', left)?;
        self.put(sign)?;
        self.put(prefix)?;
        self.repeated('0', zeros)?;
        self.put(&digits)?;
        self.repeated(' ', right)
    }

    fn repeated(&mut self, char: char, count: usize) -> Result<(), Failure> {
        self.budget.alloc(count)?;
        self.out.extend(std::iter::repeat_n(char, count));
        Ok(())
    }

    /// A `big.Int` as the structure that it is.
    fn words(&mut self, integer: &BigInt) -> Result<(), Failure> {
        let names = self.flags.plus_v || self.flags.sharp_v;
        let [structure, list, close] = match (self.flags.sharp_v, integer.sign()) {
            (false, _) => ["&{", "[", "]"],
            (true, Sign::NoSign) => ["&big.Int{", "big.nat(nil)", ""],
            (true, _) => ["&big.Int{", "big.nat{", "}"],
        };
        let separator = if self.flags.sharp_v { ", " } else { " " };
        self.put(structure)?;
        self.put(if names { "neg:" } else { "" })?;
        self.padded(if integer.sign() == Sign::Minus { "true" } else { "false" })?;
        self.put(separator)?;
        self.put(if names { "abs:" } else { "" })?;
        self.put(list)?;
        for (i, word) in integer.iter_u64_digits().enumerate() {
            self.put(if i > 0 { separator } else { "" })?;
            self.word(word)?;
        }
        self.put(close)?;
        self.put("}")
    }

    fn word(&mut self, magnitude: u64) -> Result<(), Failure> {
        let sharp = std::mem::replace(&mut self.flags.sharp, self.flags.sharp_v);
        let base = if self.flags.sharp_v { 16 } else { 10 };
        self.integer(Digits { negative: false, magnitude, base, upper: false, octal_prefix: false })?;
        self.flags.sharp = sharp;
        Ok(())
    }
}

fn character(bits: u64) -> char {
    u32::try_from(bits).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}

impl Digits {
    fn digits(self) -> String {
        let magnitude = self.magnitude;
        match (self.base, self.upper) {
            (2, _) => format!("{magnitude:b}"),
            (8, _) => format!("{magnitude:o}"),
            (16, false) => format!("{magnitude:x}"),
            (16, true) => format!("{magnitude:X}"),
            _ => magnitude.to_string(),
        }
    }
}

// === Floats ===

impl Printer<'_> {
    fn float_as(&mut self, value: f64, argument: &Argument<'_>, verb: char) -> Result<(), Failure> {
        let (format, precision) = match verb {
            'v' => ('g', None),
            'b' | 'g' | 'G' | 'x' | 'X' => (verb, None),
            'f' | 'e' | 'E' => (verb, Some(6)),
            'F' => ('f', Some(6)),
            _ => return self.misfit(argument, verb),
        };
        let flags = self.flags;
        let precision = flags.precision.or(precision);
        self.budget.alloc(precision.unwrap_or(0))?;
        let mut digits = float::format(value.abs(), format, precision);
        if flags.sharp && format != 'b' {
            digits = with_point(&digits, format, precision);
        }
        let sign = match (value.is_sign_negative(), flags.plus, flags.space) {
            (true, ..) => "-",
            (false, true, _) => "+",
            (false, false, true) => " ",
            _ => return self.padded(&digits),
        };
        // Zeros stand between the sign and the digits.
        let missing = flags.width.unwrap_or(0).saturating_sub(digits.len() + sign.len());
        if flags.zero && !flags.minus && missing > 0 {
            self.put(sign)?;
            self.padding(missing)?;
            return self.put(&digits);
        }
        self.padded(&format!("{sign}{digits}"))
    }
}

/// What `#` makes of a float: it has a point, and with some verbs its trailing zeros.
fn with_point(digits: &str, format: char, precision: Option<usize>) -> String {
    let is_exponent = |char: char| match format {
        'x' | 'X' => matches!(char, 'p' | 'P'),
        _ => matches!(char, 'e' | 'E'),
    };
    let (number, exponent) = digits.split_at(digits.find(is_exponent).unwrap_or(digits.len()));
    let wanted = match format {
        'g' | 'G' | 'x' => precision.unwrap_or(6),
        _ => 0,
    };
    // From the first that isn't zero on; in hexadecimal that may be the x of the prefix.
    let significant = number.chars().filter(|char| *char != '.').skip_while(|char| *char == '0').count();
    let mut text = number.to_owned();
    let mut missing = wanted.saturating_sub(significant);
    if !number.contains('.') {
        if number == "0" {
            missing = missing.saturating_sub(1);
        }
        text.push('.');
    }
    text.extend(std::iter::repeat_n('0', missing));
    text.push_str(exponent);
    text
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("sprintf", &[r#""%d""#, "[5]"], r#""5""#),
            ("sprintf", &[r#""%d %s""#, r#"["x", 5]"#], r#""%!d(string=x) %!s(int64=5)""#),
            ("sprintf", &[r#""%v %v""#, r#"[{"a": [1, null]}, "q"]"#], r#""{\"a\": [1, null]} q""#),
            ("sprintf", &[r#""%s""#, "[1.5]"], r#""%!s(float64=1.5)""#),
            ("sprintf", &[r#""%d""#, "[1.0]"], r#""%!d(float64=1)""#),
            ("sprintf", &[r#""%d%%""#, "[]"], r#""%!d(MISSING)%""#),
            (
                "sprintf",
                &[r#""a""#, r#"[1, "b", 1.5, 18446744073709551616]"#],
                r#""a%!(EXTRA int64=1, string=b, float64=1.5, *big.Int=18446744073709551616)""#,
            ),
            ("sprintf", &[r#""%""#, "[1]"], r#""%!(NOVERB)%!(EXTRA int64=1)""#),
            ("sprintf", &[r#""%!""#, "[1]"], r#""%!!(int64=1)""#),
            ("sprintf", &[r#""%[2]d %[1]d""#, "[1, 2]"], r#""2 1""#),
            ("sprintf", &[r#""%[3]d""#, "[1]"], r#""%!d(BADINDEX)""#),
            ("sprintf", &[r#""%[x]d""#, "[1]"], r#""%!d(BADINDEX)""#),
            ("sprintf", &[r#""%*d|%-*d|""#, "[5, 1, 5, 2]"], r#""    1|2    |""#),
            ("sprintf", &[r#""%.*f""#, "[2, 1.005]"], r#""1.00""#),
            ("sprintf", &[r#""%*d""#, r#"["a", 1]"#], r#""%!(BADWIDTH)1""#),
            (
                "sprintf",
                &[
                    r#""%05d|%+d|% d|%x|%X|%#x|%o|%#o|%O|%b|%c|%q|%U|%#U""#,
                    "[42, 42, 42, 255, 255, 255, 8, 8, 8, 5, 128512, 39, 233, 233]",
                ],
                r#""00042|+42| 42|ff|FF|0xff|10|010|0o10|101|😀|'\\''|U+00E9|U+00E9 'é'""#,
            ),
            (
                "sprintf",
                &[r#""%e|%E|%f|%F|%g|%G|%b|%x|%X""#, "[1.5, 1.5, 1.5, 1.5, 1e21, 1e21, 1.5, 1.5, -0.1]"],
                r#""1.500000e+00|1.500000E+00|1.500000|1.500000|1e+21|1E+21|6755399441055744p-52|0x1.8p+00|-0X1.999999999999AP-04""#,
            ),
            (
                "sprintf",
                &[r#""%6.2f|%-8.1f|%08.3f|%+.1e|%#g|%.3g""#, "[3.14159, 2.5, -3.14159, 12345.678, 1.0, 1234.5]"],
                r#""  3.14|2.5     |-003.142|+1.2e+04|1.00000|1.23e+03""#,
            ),
            ("sprintf", &[r#""%v %v %v""#, "[1e6, 1e-5, 100000.5]"], r#""1e+06 1e-05 100000.5""#),
            (
                "sprintf",
                &[r#""%q|%+q|%#q|%x|% X|%#x""#, r#"["é\"", "é", "a", "hé", "hi", "hi"]"#],
                r#""\"é\\\"\"|\"\\u00e9\"|`a`|68c3a9|68 69|0x6869""#,
            ),
            ("sprintf", &[r#""%5s|%-5s|%.1s|%05s""#, r#"["é", "é", "éa", "a"]"#], r#""    é|é    |é|0000a""#),
            (
                "sprintf",
                &[r#""%t %T %T %T %T""#, r#"[true, 1, 1.5, "a", 18446744073709551616]"#],
                r#""%!t(string=true) int64 float64 string *big.Int""#,
            ),
            (
                "sprintf",
                &[
                    r#""%d %x %+d %030d %-25d| %q""#,
                    "[18446744073709551616, 18446744073709551616, 18446744073709551616, 18446744073709551616, 18446744073709551616, 18446744073709551616]",
                ],
                r#""18446744073709551616 10000000000000000 +18446744073709551616 000000000018446744073709551616 18446744073709551616     | %!q(big.Int=18446744073709551616)""#,
            ),
            (
                "sprintf",
                &[r#""%w %+w %#w""#, "[18446744073709551616, 18446744073709551616, 18446744073709551616]"],
                r#""%!w(*big.Int=&{false [0 1]}) %!w(*big.Int=&{neg:false abs:[0 1]}) %!w(*big.Int=&big.Int{neg:false, abs:big.nat{0x0, 0x1}})""#,
            ),
            ("sprintf", &[r#""%z %p""#, r#"[1.5, "a"]"#], r#""%!z(float64=1.5) %!p(string=a)""#),
            ("sprintf", &[r#""%é""#, "[1]"], r#""%!é(int64=1)""#),
            ("sprintf", &[r#""%9999999999d""#, "[1]"], r#""%!(NOVERB)%!(EXTRA int64=1)""#),
            ("sprintf", &[r#""%.0d|%.d|%.3d""#, "[0, 5, 7]"], r#""|5|007""#),
            ("sprintf", &[r#""%v""#, "[1.4933066161724872500e15]"], r#""1.4933066161724872e+15""#),
            (
                "sprintf",
                &[r#""%.400g""#, "[5e-324]"],
                r#""4.940656458412465441765687928682213723650598026143247644255856825006755072702087518652998363616359923797965646954457177309266567103559397963987747960107818781263007131903114045278458171678489821036887186360569987307230500063874091535649843873124733972731696151400317153853980741262385655911710266585566867681870395603106249319452715914924553293054565444011274801297099995419319894090804165633245247571e-324""#,
            ),
            ("sprintf", &["1", "[]"], "operand: operand 1 must be string but got number"),
            ("sprintf", &[r#""a""#, r#""b""#], "operand: operand 2 must be array but got string"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn what_grows_is_paid_for() {
        let long = format!("\"{}\"", "a".repeat(10_000));
        let cases: &[(&str, &[&str], &str)] = &[
            (
                "sprintf",
                &[&format!("\"{}\"", "%9999999d".repeat(10)), "[1,2,3,4,5,6,7,8,9,10]"],
                "limit: too much memory",
            ),
            ("sprintf", &[&format!("\"{}\"", "%[1]s".repeat(10_000)), &format!("[{long}]")], "limit: too much memory"),
            ("sprintf", &[r#""%p""#, "[18446744073709551616]"], "unsupported"),
        ];
        check(FUNCTIONS, cases);
    }
}
