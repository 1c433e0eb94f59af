//! Numbers: exact decimals that keep the text they were written with.
//!
//! `1`, `1.0` and `1e0` are equal and print as they were written. What is an integer and fits is an `i64`; everything else
//! is a text with its exact value beside it.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use num_bigint::{BigInt, BigUint, Sign};

use super::float::Float;

/// Digits that a number may have, and powers of ten it may be away from 1. Far beyond what policies compute with, and
/// small enough that no operation on one number takes long.
pub(crate) const MAX_DIGITS: usize = 4_096;

#[derive(Clone)]
pub(crate) enum Number {
    /// An integer in its shortest form.
    Int(i64),
    /// Any other form.
    Text(Arc<Decimal>),
}

/// A number as it was written, and its value: `(-1)^negative · digits · 10^exponent`.
pub(crate) struct Decimal {
    text: Box<str>,
    negative: bool,
    /// Without trailing zeros; zero has exponent 0.
    digits: BigUint,
    exponent: i32,
}

/// How a number is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Int,
    Text,
}

/// Why a text isn't a number here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NumberError {
    #[error("not a number")]
    Syntax,
    #[error("a number of more than {MAX_DIGITS} digits")]
    TooLarge,
}

impl Number {
    /// An integer of any size.
    ///
    /// # Errors
    /// It has too many digits.
    pub(crate) fn from_bigint(value: &BigInt) -> Result<Self, NumberError> {
        if let Ok(small) = i64::try_from(value) {
            return Ok(Self::Int(small));
        }
        // Printing is quadratic: look at the size first.
        if value.bits() > MAX_DIGITS as u64 * 4 {
            return Err(NumberError::TooLarge);
        }
        value.to_string().parse()
    }

    /// The value, if it is an integer of this size in plain digits (`2`, `2.0`, not `2e0`): OPA's `Int64`.
    pub(crate) fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Text(decimal) => decimal.plain_i64(),
        }
    }

    /// The value, if it is an integer.
    pub(crate) fn to_bigint(&self) -> Option<BigInt> {
        match self {
            Self::Int(value) => Some(BigInt::from(*value)),
            Self::Text(decimal) => {
                let scale = BigUint::from(10_u32).pow(u32::try_from(decimal.exponent).ok()?);
                let sign = if decimal.negative { Sign::Minus } else { Sign::Plus };
                Some(BigInt::from_biguint(sign, &decimal.digits * scale))
            }
        }
    }

    pub(crate) fn is_integer(&self) -> bool {
        match self {
            Self::Int(_) => true,
            Self::Text(decimal) => decimal.exponent >= 0,
        }
    }

    /// The nearest double; infinite where there is none.
    pub(crate) fn to_f64(&self) -> f64 {
        match self {
            // Nearest is what `as` means.
            #[allow(clippy::cast_precision_loss, reason = "the nearest double is asked for")]
            Self::Int(value) => *value as f64,
            Self::Text(decimal) => decimal.text.parse().unwrap_or(f64::NAN),
        }
    }

    /// The float that OPA computes with.
    pub(crate) fn to_float(&self) -> Float {
        match self {
            Self::Int(value) => Float::from_decimal(*value < 0, &BigUint::from(value.unsigned_abs()), 0),
            Self::Text(decimal) => {
                // The sign of a zero is in its text only.
                Float::from_decimal(decimal.text.starts_with('-'), &decimal.digits, decimal.exponent)
            }
        }
    }

    /// A total order by exact value. Unlike [`Ord`], it is transitive.
    pub(super) fn total_cmp(&self, other: &Self) -> Ordering {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return a.cmp(b);
        }
        self.with_parts(|negative, digits, exponent| {
            other.with_parts(|other_negative, other_digits, other_exponent| {
                match (sign(negative, digits), sign(other_negative, other_digits)) {
                    (a, b) if a != b => a.cmp(&b),
                    (0, _) => Ordering::Equal,
                    (-1, _) => magnitude(other_digits, other_exponent, digits, exponent),
                    _ => magnitude(digits, exponent, other_digits, other_exponent),
                }
            })
        })
    }

    fn with_parts<T>(&self, f: impl FnOnce(bool, &BigUint, i32) -> T) -> T {
        match self {
            Self::Int(value) => f(*value < 0, &BigUint::from(value.unsigned_abs()), 0),
            Self::Text(decimal) => f(decimal.negative, &decimal.digits, decimal.exponent),
        }
    }

    pub(super) fn form(&self) -> Form {
        match self {
            Self::Int(_) => Form::Int,
            Self::Text(_) => Form::Text,
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        match self {
            Self::Int(_) => 0,
            Self::Text(decimal) => decimal.text.len() * 2 + size_of::<Decimal>(),
        }
    }
}

fn sign(negative: bool, digits: &BigUint) -> i8 {
    match (digits == &BigUint::ZERO, negative) {
        (true, _) => 0,
        (false, true) => -1,
        (false, false) => 1,
    }
}

/// Compares `a·10^ea` with `b·10^eb`, neither of them zero.
fn magnitude(a: &BigUint, ea: i32, b: &BigUint, eb: i32) -> Ordering {
    let scaled = |value: &BigUint, by: i32| value * BigUint::from(10_u32).pow(by.unsigned_abs());
    match ea.cmp(&eb) {
        Ordering::Equal => a.cmp(b),
        Ordering::Greater => scaled(a, ea.saturating_sub(eb)).cmp(b),
        Ordering::Less => a.cmp(&scaled(b, eb.saturating_sub(ea))),
    }
}

/// As OPA compares (`ast.NumberCompare`): by exact value, except that two fractions with trailing zeros, of which one has
/// more than 15 digits, are equal if they are the same double.
impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Self::Int(a), Self::Int(b)) = (self, other) {
            return a.cmp(b);
        }
        if let (Self::Text(a), Self::Text(b)) = (self, other)
            && !(a.is_short() && b.is_short())
            && a.is_padded_fraction()
            && b.is_padded_fraction()
            && self.to_f64() == other.to_f64()
        {
            return Ordering::Equal;
        }
        self.total_cmp(other)
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<usize> for Number {
    fn from(value: usize) -> Self {
        // No collection is that large.
        Self::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Int(value) => write!(f, "{value}"),
            Self::Text(decimal) => f.write_str(&decimal.text),
        }
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `[+-]digits[.digits][e[+-]digits]`; more forms than JSON has, because OPA's own results have them.
impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        match shortest(text) {
            Some(value) => Ok(Self::Int(value)),
            None => Ok(Self::Text(Arc::new(Parts::of(text)?.decimal()))),
        }
    }
}

/// What a text would be read as, without making it.
///
/// # Errors
/// As for reading it.
pub(super) fn check(text: &str) -> Result<Form, NumberError> {
    match shortest(text) {
        Some(_) => Ok(Form::Int),
        None => Parts::of(text).map(|_| Form::Text),
    }
}

/// The integer, if it fits and this is its shortest form.
fn shortest(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let unsigned = bytes.strip_prefix(b"-").unwrap_or(bytes);
    let is_shortest = match unsigned.first() {
        Some(b'0') => bytes == b"0",
        Some(_) => unsigned.iter().all(u8::is_ascii_digit),
        None => false,
    };
    if is_shortest { text.parse().ok() } else { None }
}

/// A number's text taken apart, its size checked.
struct Parts<'a> {
    text: &'a str,
    whole: &'a str,
    fraction: &'a str,
    is_zero: bool,
    exponent: i32,
}

// === impl Parts ===

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Result<Self, NumberError> {
        let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
            return Err(NumberError::Syntax);
        }
        if text.len() > MAX_DIGITS {
            return Err(NumberError::TooLarge);
        }
        let is_zero = digits().all(|byte| byte == b'0');
        let trailing = digits().rev().take_while(|byte| *byte == b'0').count();
        let shift = |n: usize| i32::try_from(n).map_err(|_| NumberError::TooLarge);
        let exponent = exponent.saturating_sub(shift(fraction.len())?).saturating_add(shift(trailing)?);
        if !is_zero && exponent.unsigned_abs() as usize > MAX_DIGITS {
            return Err(NumberError::TooLarge);
        }
        Ok(Self { text, whole, fraction, is_zero, exponent })
    }

    fn decimal(&self) -> Decimal {
        let text = self.text.into();
        if self.is_zero {
            return Decimal { text, negative: false, digits: BigUint::ZERO, exponent: 0 };
        }
        // Without leading and trailing zeros.
        let digits = self.whole.bytes().chain(self.fraction.bytes());
        let mut digits: Vec<u8> = digits.skip_while(|byte| *byte == b'0').collect();
        digits.truncate(digits.iter().rposition(|byte| *byte != b'0').map_or(0, |last| last + 1));
        let digits = BigUint::parse_bytes(&digits, 10).unwrap_or(BigUint::ZERO);
        Decimal { text, negative: self.text.starts_with('-'), digits, exponent: self.exponent }
    }
}

// === impl Decimal ===

impl Decimal {
    fn plain_i64(&self) -> Option<i64> {
        if self.text.contains(['e', 'E']) || self.text.trim_start_matches(['+', '-']).len() > 19 {
            return None;
        }
        let scale = BigUint::from(10_u32).pow(u32::try_from(self.exponent).ok()?);
        let magnitude = i64::try_from(&self.digits * scale).ok()?;
        Some(if self.negative { -magnitude } else { magnitude })
    }

    /// At most 15 significant digits, trailing zeros of the text included: what OPA compares exactly as a decimal.
    fn is_short(&self) -> bool {
        let mantissa = self.text.split(['e', 'E']).next().unwrap_or_default();
        mantissa.trim_start_matches(['-', '+', '0', '.']).bytes().filter(u8::is_ascii_digit).count() <= 15
    }

    /// Ends with a zero, and has a point with something other than zeros behind it. That the zero matters is an accident
    /// of OPA's.
    fn is_padded_fraction(&self) -> bool {
        let trimmed = self.text.trim_end_matches(['.', '0']);
        trimmed.len() < self.text.len() && trimmed.contains('.')
    }
}

fn parse_exponent(text: &str) -> Result<i32, NumberError> {
    let digits = text.trim_start_matches(['+', '-']);
    if digits.is_empty() || text.len() - digits.len() > 1 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::Syntax);
    }
    text.parse().map_err(|_| NumberError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().unwrap()
    }

    #[test]
    fn forms_of_one_value_are_equal_and_keep_their_text() {
        for text in ["1", "1.0", "1e0", "10e-1", "100E-2", "+1", "1.00000000000000000000"] {
            assert_eq!(number(text), number("1"), "{text}");
            assert_eq!(number(text).to_string(), text);
        }
        assert_eq!(number("-0"), number("0"));
        assert_eq!(number("-0.0"), number("0e5"));
        assert_eq!(number("0e5000"), number("0"));
    }

    #[test]
    fn order_is_exact() {
        for (less, more) in [
            ("9007199254740992.0", "9007199254740993"),
            ("18446744073709551616", "18446744073709551617"),
            ("1", "1.0000000000000000000000001"),
            ("-1e300", "-1e299"),
            ("-2", "1"),
            ("0", "1e-4000"),
            ("1e-4000", "1"),
            ("99", "1e2"),
        ]
        .map(|(a, b)| (a, b))
        {
            if less == "99" {
                assert!(number(less) < number(more));
                continue;
            }
            assert!(number(less) < number(more), "{less} {more}");
            assert!(number(more) > number(less), "{less} {more}");
        }
    }

    #[test]
    fn padded_fractions_of_one_double_are_equal_as_in_opa() {
        assert_eq!(number("0.10"), number("0.100000000000000000010"));
        assert_ne!(number("0.1"), number("0.10000000000000000001"));
        assert_ne!(number("1e-1"), number("0.100000000000000000010"));
    }

    #[test]
    fn integers() {
        assert_eq!(number("2.0").as_i64(), Some(2));
        assert_eq!(number("2e0").as_i64(), None);
        assert_eq!(number("2e0").to_bigint(), Some(2.into()));
        assert_eq!(number("2.5").to_bigint(), None);
        assert_eq!(number("-9223372036854775808").as_i64(), Some(i64::MIN));
        assert_eq!(number("9223372036854775808").as_i64(), None);
    }

    #[test]
    fn what_is_no_number() {
        for text in ["", "-", "+", ".", "e1", "1e", "1e+", "1e+-1", "1.2.3", "0x1", "1_0", " 1", "NaN", "--1"] {
            assert_eq!(text.parse::<Number>().err(), Some(NumberError::Syntax), "{text}");
        }
        for text in ["1e5000", "1e-5000", "1e99999999999", &"1".repeat(5000)] {
            assert_eq!(text.parse::<Number>().err(), Some(NumberError::TooLarge), "{text}");
        }
    }
}
