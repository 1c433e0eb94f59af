//! Numbers as gojsonschema compares and prints them: exact fractions (`big.Rat`), shown as floats (`big.Float`).

use std::cell::OnceCell;
use std::cmp::Ordering;

use num_bigint::{BigInt, Sign};

use crate::eval::builtins::Failure;
use crate::eval::value::Number;
use crate::eval::value::float::Float;

/// `digits · 10^exponent`, exactly.
#[derive(Debug, Clone)]
pub(super) struct Decimal {
    digits: BigInt,
    exponent: i64,
    /// As it is shown, once it was.
    text: OnceCell<String>,
}

impl Decimal {
    /// None for what Go wouldn't take for a number.
    pub(super) fn new(number: &Number) -> Option<Self> {
        if let Some(integer) = number.as_i64() {
            return Some(Self::from_parts(integer.into(), 0));
        }
        let text = number.to_string();
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = BigInt::parse_bytes([whole, fraction].concat().as_bytes(), 10)?;
        let exponent: i64 = exponent.parse().ok()?;
        let exponent = exponent.checked_sub(i64::try_from(fraction.len()).ok()?)?;
        Some(Self::from_parts(digits, exponent))
    }

    fn from_parts(digits: BigInt, exponent: i64) -> Self {
        let exponent = if digits == BigInt::ZERO { 0 } else { exponent };
        Self { digits, exponent, text: OnceCell::new() }
    }

    /// Steps that a comparison with another one takes, about.
    pub(super) fn cost(&self, other: &Self) -> u64 {
        let apart = self.exponent.saturating_sub(other.exponent).unsigned_abs();
        let digits = (self.digits.bits() + other.digits.bits()) / 3 + apart;
        1 + digits.saturating_mul(digits) / 1_000
    }

    pub(super) fn is_positive(&self) -> bool {
        self.digits.sign() == Sign::Plus
    }

    pub(super) fn is_multiple_of(&self, other: &Self) -> bool {
        if other.digits == BigInt::ZERO {
            return false;
        }
        if self.exponent == other.exponent {
            return &self.digits % &other.digits == BigInt::ZERO;
        }
        let (ours, theirs) = self.aligned(other);
        ours % theirs == BigInt::ZERO
    }

    pub(super) fn cmp(&self, other: &Self) -> Ordering {
        if self.exponent == other.exponent {
            return self.digits.cmp(&other.digits);
        }
        let (ours, theirs) = self.aligned(other);
        ours.cmp(&theirs)
    }

    /// Both as integers, in units of the smaller power of ten.
    fn aligned(&self, other: &Self) -> (BigInt, BigInt) {
        let exponent = self.exponent.min(other.exponent);
        (self.in_units(exponent), other.in_units(exponent))
    }

    fn in_units(&self, exponent: i64) -> BigInt {
        &self.digits * power(10, self.exponent.saturating_sub(exponent))
    }

    /// As Go prints a `big.Float` that was set to this.
    ///
    /// # Errors
    /// It has too many digits.
    pub(super) fn text(&self) -> Result<&str, Failure> {
        if let Some(text) = self.text.get() {
            return Ok(text);
        }
        let text = self.to_text()?;
        Ok(self.text.get_or_init(|| text))
    }

    fn to_text(&self) -> Result<String, Failure> {
        let integer = |value: &BigInt| Float::from_bigint(value);
        if self.exponent >= 0 {
            return shown(&integer(&self.in_units(0)));
        }
        // In lowest terms: the precision is that of the longer one.
        let mut numerator = self.digits.clone();
        let mut reduced = |factor: u32| {
            let mut left = self.exponent.saturating_neg();
            while left > 0 && &numerator % factor == BigInt::ZERO {
                numerator /= factor;
                left -= 1;
            }
            power(factor, left)
        };
        let denominator = reduced(2) * reduced(5);
        let quotient = integer(&numerator).div(&integer(&denominator));
        quotient.map_or(Ok(String::new()), |quotient| shown(&quotient))
    }
}

/// 1 for what isn't positive. Exponents of numbers are a few thousand at most.
fn power(base: u32, exponent: i64) -> BigInt {
    BigInt::from(base).pow(u32::try_from(exponent).unwrap_or(0))
}

/// `%g`. A float that is an integer comes in plain digits.
fn shown(float: &Float) -> Result<String, Failure> {
    let text = float.to_number()?.to_string();
    let digits = text.trim_start_matches('-');
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) || digits.len() <= 6 {
        return Ok(text);
    }
    let sign = text.get(..text.len() - digits.len()).unwrap_or_default();
    let (first, rest) = digits.split_at_checked(1).unwrap_or((digits, ""));
    let rest = rest.trim_end_matches('0');
    let point = if rest.is_empty() { "" } else { "." };
    Ok(format!("{sign}{first}{point}{rest}e+{:02}", digits.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decimal(text: &str) -> Decimal {
        Decimal::new(&text.parse().unwrap()).unwrap()
    }

    #[test]
    fn shown_as_go_shows_floats() {
        for (text, expected) in [
            ("1", "1"),
            ("1.0", "1"),
            ("0.1", "0.1"),
            ("-2.50", "-2.5"),
            ("123456", "123456"),
            ("1234567", "1.234567e+06"),
            ("1e3", "1000"),
            ("100000000", "1e+08"),
            ("0.00001", "1e-05"),
            ("-0", "0"),
            ("1.00000000000000000000001", "1.00000000000000000000001"),
        ] {
            assert_eq!(decimal(text).to_text().as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn compared_exactly() {
        assert!(decimal("1e2").cmp(&decimal("100.0")).is_eq());
        assert!(decimal("0.1").cmp(&decimal("0.10000000000000000000001")).is_lt());
        assert!(decimal("0.3").is_multiple_of(&decimal("0.1")));
        assert!(!decimal("0.35").is_multiple_of(&decimal("0.1")));
        assert!(!decimal("1e300").is_multiple_of(&decimal("3e-5")));
    }
}
