//! `units.parse` and `units.parse_bytes`: amounts such as `100m`, `1.5Gi` and `10KB`.

use num_bigint::{BigInt, BigUint, Sign};

use super::strings::to_lower;
use super::{Context, Failure, Function, Limit, operand};
use crate::eval::value::float::Float;
use crate::eval::value::number::MAX_DIGITS;
use crate::eval::value::{Number, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[("units.parse", parse), ("units.parse_bytes", parse_bytes)];

/// 0.001 as OPA has it: the nearest double, times 2^60.
const MILLI: u64 = 1_152_921_504_606_847;

fn parse(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let fail = |what: &str| Failure::Error(format!("units.parse: {what}"));
    let raw = operand::string(args, 1)?;
    ctx.budget.read(raw.len().saturating_mul(4))?;
    let text = raw.replace('"', "");
    let (amount, unit) = split(&text, "amount").map_err(|what| fail(&what))?;
    // Only the first letter's case says something.
    let (first, others) = unit.split_at(unit.chars().next().map_or(0, char::len_utf8));
    let unit = [first, &to_lower(others)].concat();
    let (factor, shift) = factor(&unit).ok_or_else(|| fail(&format!("unit {unit} not recognized")))?;
    let decimal = Decimal::read(amount).ok_or_else(|| fail("could not parse amount to a number"))?;
    // Go's rationals have no larger exponents.
    if !decimal.is_zero() && decimal.scale.abs() > 1_000_000 {
        return Err(fail("could not parse amount to a number"));
    }
    ctx.budget.step(256)?;
    Ok(Value::from(scaled(&decimal, factor, shift)?))
}

fn parse_bytes(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let fail = |what: &str| Failure::Error(format!("units.parse_bytes: {what}"));
    let raw = operand::string(args, 1)?;
    ctx.budget.read(raw.len().saturating_mul(4))?;
    let text = to_lower(raw).replace('"', "");
    let (amount, unit) = split(&text, "byte amount").map_err(|what| fail(&what))?;
    let factor = byte_factor(unit).ok_or_else(|| fail(&format!("byte unit {unit} not recognized")))?;
    let decimal = Decimal::read(amount).ok_or_else(|| fail("could not parse byte amount to a number"))?;
    ctx.budget.step(256)?;
    let Some(scale) = decimal.bounded_scale()? else { return Ok(Value::from(0_i64)) };
    let amount = Float::from_decimal(decimal.negative, &decimal.value(), scale);
    let bytes = amount.mul(&Float::from_bigint(&BigInt::from(factor))).truncated();
    Ok(Value::from(Number::from_bigint(&bytes)?))
}

/// An amount's digits and its unit.
fn split<'a>(text: &'a str, amount: &str) -> Result<(&'a str, &'a str), String> {
    if text.contains(' ') {
        return Err("spaces not allowed in resource strings".to_owned());
    }
    let end = amount_end(text).ok_or_else(|| "exponent too large".to_owned())?;
    match (text.get(..end), text.get(end..)) {
        (Some(digits), Some(unit)) if !digits.is_empty() => Ok((digits, unit)),
        _ => Err(format!("no {amount} provided")),
    }
}

/// Where the first thing is that can't belong to a number. None if an exponent has more than six digits.
fn amount_end(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let sign = |at: usize| matches!(bytes.get(at), Some(b'+' | b'-'));
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'0'..=b'9' | b'.' | b'+' | b'-' => {}
            // Without a number behind it, it begins a unit.
            b'e' | b'E' if digit(at + 1) || sign(at + 1) => {
                at += usize::from(sign(at + 1));
                let exponent = bytes.get(at + 1..).unwrap_or_default().iter().take(7);
                if exponent.take_while(|byte| byte.is_ascii_digit()).count() > 6 {
                    return None;
                }
            }
            _ => return Some(at),
        }
        at += 1;
    }
    Some(bytes.len())
}

/// What a unit multiplies by, over a power of two.
fn factor(unit: &str) -> Option<(u64, u64)> {
    let factor = match unit {
        "m" => return Some((MILLI, 60)),
        "" => 1,
        "k" | "K" => 1_000,
        "ki" | "Ki" => 1 << 10,
        "M" => 1_000_000,
        "mi" | "Mi" => 1 << 20,
        "g" | "G" => 1_000_000_000,
        "gi" | "Gi" => 1 << 30,
        "t" | "T" => 1_000_000_000_000,
        "ti" | "Ti" => 1 << 40,
        "p" | "P" => 1_000_000_000_000_000,
        "pi" | "Pi" => 1 << 50,
        "e" | "E" => 1_000_000_000_000_000_000,
        "ei" | "Ei" => 1 << 60,
        _ => return None,
    };
    Some((factor, 0))
}

fn byte_factor(unit: &str) -> Option<u64> {
    Some(match unit {
        "" => 1,
        "k" | "kb" => 1_000,
        "ki" | "kib" => 1 << 10,
        "m" | "mb" => 1_000_000,
        "mi" | "mib" => 1 << 20,
        "g" | "gb" => 1_000_000_000,
        "gi" | "gib" => 1 << 30,
        "t" | "tb" => 1_000_000_000_000,
        "ti" | "tib" => 1 << 40,
        "p" | "pb" => 1_000_000_000_000_000,
        "pi" | "pib" => 1 << 50,
        "e" | "eb" => 1_000_000_000_000_000_000,
        "ei" | "eib" => 1 << 60,
        _ => return None,
    })
}

/// The amount times `factor` over `2^shift`: an integer, or ten digits behind the point.
fn scaled(decimal: &Decimal, factor: u64, shift: u64) -> Result<Number, Failure> {
    const PLACES: u32 = 10;
    let sign = if decimal.negative { "-" } else { "" };
    if decimal.is_zero() {
        return Ok(Number::from(0_i64));
    }
    // A fraction that small isn't zero, but all its digits are.
    let Some(scale) = decimal.bounded_scale()? else { return Ok(format!("{sign}0.0000000000").parse()?) };
    let power = BigUint::from(10_u32).pow(scale.unsigned_abs());
    let numerator = decimal.value() * factor;
    let one = BigUint::from(1_u32) << shift;
    let (numerator, denominator) = if scale < 0 { (numerator, one * power) } else { (numerator * power, one) };
    let (mut whole, rest) = (&numerator / &denominator, &numerator % &denominator);
    if rest == BigUint::ZERO {
        let sign = if decimal.negative { Sign::Minus } else { Sign::Plus };
        return Ok(Number::from_bigint(&BigInt::from_biguint(sign, whole))?);
    }
    let unit = BigUint::from(10_u32).pow(PLACES);
    let rest = rest * &unit;
    let mut fraction = &rest / &denominator;
    // Halves are rounded away from zero.
    if (rest % &denominator) << 1_u32 >= denominator {
        fraction += 1_u32;
        if fraction >= unit {
            whole += 1_u32;
            fraction -= unit;
        }
    }
    let fraction = fraction.to_string();
    let places = PLACES as usize;
    Ok(format!("{sign}{whole}.{fraction:0>places$}").parse()?)
}

/// `digits · 10^scale`, as it is written.
struct Decimal {
    negative: bool,
    /// Without leading zeros; none for zero.
    digits: String,
    scale: i64,
}

impl Decimal {
    fn read(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = [whole, fraction].concat();
        let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let exponent: i64 = match exponent {
            None => 0,
            Some(exponent) if is_digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)) => {
                exponent.parse().ok()?
            }
            Some(_) => return None,
        };
        let fraction_digits = i64::try_from(fraction.len()).ok()?;
        is_digits(&digits).then(|| Self {
            negative: text.starts_with('-'),
            digits: digits.trim_start_matches('0').to_owned(),
            scale: exponent - fraction_digits,
        })
    }

    fn is_zero(&self) -> bool {
        self.digits.is_empty()
    }

    /// None if this is so small that times any unit it is zero.
    fn bounded_scale(&self) -> Result<Option<i32>, Failure> {
        let too_large = Failure::Limit(Limit::Size);
        if self.is_zero() {
            return Ok(Some(0));
        }
        let digits = i64::try_from(self.digits.len()).unwrap_or(i64::MAX);
        if digits.saturating_add(self.scale) < -40 {
            return Ok(None);
        }
        let max = i64::try_from(MAX_DIGITS).unwrap_or(i64::MAX);
        if digits > max || self.scale > max {
            return Err(too_large);
        }
        i32::try_from(self.scale).map(Some).map_err(|_| too_large)
    }

    /// Of as many digits as [`bounded_scale`](Self::bounded_scale) allows.
    fn value(&self) -> BigUint {
        BigUint::parse_bytes(self.digits.as_bytes(), 10).unwrap_or(BigUint::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("units.parse", &[r#""1.5Gi""#], "1610612736"),
            ("units.parse", &[r#""100m""#], "0.1000000000"),
            ("units.parse", &[r#""0.1m""#], "0.0001000000"),
            ("units.parse", &[r#""1M""#], "1000000"),
            ("units.parse", &[r#""1e3k""#], "1000000"),
            ("units.parse", &[r#""-2.5""#], "-2.5000000000"),
            ("units.parse", &[r#""10KB""#], "error"),
            ("units.parse", &[r#""1 k""#], "error"),
            ("units.parse", &[r#""k""#], "error"),
            ("units.parse", &[r#""1.2.3""#], "error"),
            ("units.parse", &[r#""1e1234567""#], "error"),
            ("units.parse", &[r#""1e-100""#], "0.0000000000"),
            ("units.parse", &[r#""12345678901234567890.123456789012""#], "12345678901234567890.1234567890"),
            ("units.parse", &["1"], "operand: operand 1 must be string but got number"),
            ("units.parse_bytes", &[r#""10KB""#], "10000"),
            ("units.parse_bytes", &[r#""1.5kib""#], "1536"),
            ("units.parse_bytes", &[r#""0.3EiB""#], "345876451382054092"),
            ("units.parse_bytes", &[r#""1e""#], "1000000000000000000"),
            ("units.parse_bytes", &[r#""1e5""#], "100000"),
            ("units.parse_bytes", &[r#""GB""#], "error"),
            ("units.parse_bytes", &[r#""1x""#], "error"),
            ("units.parse_bytes", &[r#""\"5\"mb""#], "5000000"),
            ("units.parse_bytes", &[r#""1-2""#], "error"),
            ("units.parse_bytes", &[r#""1e-999999""#], "0"),
            ("units.parse_bytes", &[r#""1K""#], "1000"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn what_is_too_large_ends_the_evaluation() {
        let digits = format!("\"{}\"", "1".repeat(5_000));
        let too_large = "limit: a value too large";
        let cases: &[(&str, &[&str], &str)] = &[
            ("units.parse", &[&digits], too_large),
            ("units.parse", &[r#""1e999999""#], too_large),
            ("units.parse_bytes", &[&digits], too_large),
            ("units.parse_bytes", &[r#""1e999999""#], too_large),
        ];
        check(FUNCTIONS, cases);
    }
}
