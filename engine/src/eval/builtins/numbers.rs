//! Arithmetic, bits, ranges, and numbers from and to text.
//!
//! OPA computes with exact integers where both operands are integers, and with `math/big` floats of 64 bits' mantissa
//! otherwise; so does this, after a look at whether it is all about small integers.

use num_bigint::{BigInt, Sign};

use super::order::pay;
use super::sets::difference;
use super::strings::to_lower;
use super::{Context, Failure, Function, Limit, operand};
use crate::eval::value::float::Float;
use crate::eval::value::number::{MAX_DIGITS, NumberError};
use crate::eval::value::{Number, Value};

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("abs", abs),
    ("bits.and", bits_and),
    ("bits.lsh", bits_lsh),
    ("bits.negate", bits_negate),
    ("bits.or", bits_or),
    ("bits.rsh", bits_rsh),
    ("bits.xor", bits_xor),
    ("ceil", ceil),
    ("div", div),
    ("floor", floor),
    ("format_int", format_int),
    ("minus", minus),
    ("mul", mul),
    ("numbers.range", range),
    ("numbers.range_step", range_step),
    ("plus", plus),
    ("rem", rem),
    ("round", round),
    ("to_number", to_number),
];

// === Arithmetic ===

fn plus(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match small(args).and_then(|(a, b)| a.checked_add(b)) {
        Some(sum) => Ok(Value::from(sum)),
        None => arithmetic(ctx, args, |a, b| a + b, Float::add),
    }
}

fn minus(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    if let Some(difference) = small(args).and_then(|(a, b)| a.checked_sub(b)) {
        return Ok(Value::from(difference));
    }
    match (operand::operand(args, 1)?, operand::operand(args, 2)?) {
        (Value::Number(_), Value::Number(_)) => arithmetic(ctx, args, |a, b| a - b, Float::sub),
        (Value::Set(a), Value::Set(b)) => difference(ctx, a, b),
        (Value::Set(_), b @ Value::Number(_)) => Err(operand::wrong_type(2, b, &["set"])),
        (Value::Number(_) | Value::Set(_), b) => Err(operand::wrong_type(2, b, &["number"])),
        (a, _) => Err(operand::wrong_type(1, a, &["number", "set"])),
    }
}

fn mul(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match small(args).and_then(|(a, b)| a.checked_mul(b)) {
        Some(product) => Ok(Value::from(product)),
        None => arithmetic(ctx, args, |a, b| a * b, Float::mul),
    }
}

/// Exact where the quotient is an integer; a quotient of zero is a float's, and so may be `-0`.
fn div(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    if let Some((a, b)) = small(args)
        && a != 0
        && a.checked_rem(b) == Some(0)
        && let Some(quotient) = a.checked_div(b)
    {
        return Ok(Value::from(quotient));
    }
    let (a, b) = numbers(ctx, args)?;
    let quotient = a.to_float().div(&b.to_float()).ok_or_else(|| Failure::error("divide by zero"))?;
    Ok(Value::from(quotient.to_number()?))
}

/// With the dividend's sign.
fn rem(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    if let Some(remainder) = small(args).and_then(|(a, b)| a.checked_rem(b)) {
        return Ok(Value::from(remainder));
    }
    let (a, b) = numbers(ctx, args)?;
    if !a.is_integer() || !b.is_integer() {
        return Err(Failure::error("modulo on floating-point number"));
    }
    match (a.to_bigint(), b.to_bigint()) {
        (Some(a), Some(b)) if b != BigInt::ZERO => Ok(Value::from(Number::from_bigint(&(a % b))?)),
        _ => Err(Failure::error("modulo by zero")),
    }
}

fn abs(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    unary(ctx, args, i64::checked_abs, Float::abs)
}

fn round(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    unary(ctx, args, Some, Float::round)
}

fn ceil(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    unary(ctx, args, Some, Float::ceil)
}

fn floor(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    unary(ctx, args, Some, Float::floor)
}

fn unary(
    ctx: &mut Context<'_>,
    args: &[&Value],
    small: fn(i64) -> Option<i64>,
    float: fn(&Float) -> Float,
) -> Result<Value, Failure> {
    let number = operand::number(args, 1)?;
    if let Some(result) = number.as_i64().and_then(small) {
        return Ok(Value::from(result));
    }
    pay(ctx.budget, number)?;
    Ok(Value::from(float(&number.to_float()).to_number()?))
}

fn small(args: &[&Value]) -> Option<(i64, i64)> {
    match args {
        [Value::Number(Number::Int(a)), Value::Number(Number::Int(b))] => Some((*a, *b)),
        _ => None,
    }
}

fn numbers<'a>(ctx: &mut Context<'_>, args: &[&'a Value]) -> Result<(&'a Number, &'a Number), Failure> {
    let (a, b) = (operand::number(args, 1)?, operand::number(args, 2)?);
    pay(ctx.budget, a)?;
    pay(ctx.budget, b)?;
    Ok((a, b))
}

fn arithmetic(
    ctx: &mut Context<'_>,
    args: &[&Value],
    exact: fn(BigInt, BigInt) -> BigInt,
    float: fn(&Float, &Float) -> Float,
) -> Result<Value, Failure> {
    let (a, b) = numbers(ctx, args)?;
    let result = if a.is_integer() && b.is_integer() {
        let integer = |number: &Number| number.to_bigint().unwrap_or_default();
        Number::from_bigint(&exact(integer(a), integer(b)))?
    } else {
        float(&a.to_float(), &b.to_float()).to_number()?
    };
    Ok(Value::from(result))
}

// === Bits ===

fn bits_and(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    bitwise(ctx, args, |a, b| a & b)
}

fn bits_or(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    bitwise(ctx, args, |a, b| a | b)
}

fn bits_xor(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    bitwise(ctx, args, |a, b| a ^ b)
}

fn bits_negate(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    ctx.budget.step(64)?;
    Ok(Value::from(Number::from_bigint(&!operand::bigint(args, 1)?)?))
}

fn bits_lsh(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (value, places) = shift(ctx, args)?;
    if value == BigInt::ZERO {
        return Ok(Value::from(0_i64));
    }
    if places.saturating_add(value.bits()) > 4 * MAX_DIGITS as u64 {
        return Err(Failure::Limit(Limit::Size));
    }
    Ok(Value::from(Number::from_bigint(&(value << places))?))
}

/// Towards minus infinity.
fn bits_rsh(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (value, places) = shift(ctx, args)?;
    Ok(Value::from(Number::from_bigint(&(value >> places))?))
}

fn bitwise(ctx: &mut Context<'_>, args: &[&Value], operation: fn(BigInt, BigInt) -> BigInt) -> Result<Value, Failure> {
    ctx.budget.step(64)?;
    let (a, b) = (operand::bigint(args, 1)?, operand::bigint(args, 2)?);
    Ok(Value::from(Number::from_bigint(&operation(a, b))?))
}

/// What is shifted, and how far: OPA takes the lowest 64 bits of that.
fn shift(ctx: &mut Context<'_>, args: &[&Value]) -> Result<(BigInt, u64), Failure> {
    ctx.budget.step(64)?;
    let (value, places) = (operand::bigint(args, 1)?, operand::bigint(args, 2)?);
    if places.sign() == Sign::Minus {
        return Err(operand::wrong(2, "must be an unsigned integer number but got a negative integer"));
    }
    Ok((value, places.iter_u64_digits().next().unwrap_or(0)))
}

// === Ranges ===

fn range(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (first, last) = (operand::bigint(args, 1)?, operand::bigint(args, 2)?);
    steps(ctx, first, &last, &BigInt::from(1))
}

fn range_step(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (first, last) = (operand::bigint(args, 1)?, operand::bigint(args, 2)?);
    let step = operand::bigint(args, 3)?;
    if step.sign() != Sign::Plus {
        return Err(Failure::error("numbers.range_step: step must be a positive integer"));
    }
    steps(ctx, first, &last, &step)
}

/// From `first` to `last`, up or down, both included if the steps meet them.
fn steps(ctx: &mut Context<'_>, first: BigInt, last: &BigInt, step: &BigInt) -> Result<Value, Failure> {
    let down = first > *last;
    let distance: BigInt = if down { &first - last } else { last - &first };
    let count = usize::try_from(distance / step).ok().and_then(|steps| steps.checked_add(1)).unwrap_or(usize::MAX);
    let each = size_of::<Value>() + number_bytes(&first).max(number_bytes(last));
    ctx.budget.alloc(count.saturating_mul(each))?;
    let step = if down { -step } else { step.clone() };
    let mut items = Vec::with_capacity(count);
    // What is past either end by less than a step isn't kept, so a small range may still end above an i64.
    if let (Ok(first), Ok(last), Ok(step)) = (i64::try_from(&first), i64::try_from(last), i64::try_from(&step)) {
        let inside = |at: &i64| if down { *at >= last } else { *at <= last };
        let next = |at: &i64| at.checked_add(step).filter(inside);
        items.extend(std::iter::successors(Some(first), next).map(Value::from));
        return Ok(Value::array(items));
    }
    let mut at = first;
    for _ in 0..count {
        items.push(Value::from(Number::from_bigint(&at)?));
        at += &step;
    }
    Ok(Value::array(items))
}

/// What an integer takes besides its place in an array.
fn number_bytes(integer: &BigInt) -> usize {
    match i64::try_from(integer) {
        Ok(_) => 0,
        // A text, and the digits.
        Err(_) => 128 + usize::try_from(integer.bits()).unwrap_or(usize::MAX) / 2,
    }
}

// === Text ===

fn format_int(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let (number, base) = (operand::number(args, 1)?, operand::number(args, 2)?);
    pay(ctx.budget, number)?;
    // `10.0` is no base.
    let radix = match base {
        Number::Int(radix @ (2 | 8 | 10 | 16)) => u32::try_from(*radix).unwrap_or(10),
        _ => return Err(operand::wrong(2, "must be one of {2, 8, 10, 16}")),
    };
    if radix == 10
        && let Some(integer) = number.as_i64()
    {
        return Ok(Value::from(integer.to_string()));
    }
    let text = number.to_string();
    // An integer in plain digits is exact, anything else goes through a float.
    let plain = text.strip_prefix(['+', '-']).unwrap_or(&text).bytes().all(|byte| byte.is_ascii_digit());
    let integer = number.to_bigint().filter(|_| plain).unwrap_or_else(|| number.to_float().truncated());
    ctx.budget.alloc(usize::try_from(integer.bits()).unwrap_or(usize::MAX))?;
    Ok(Value::from(integer.to_str_radix(radix)))
}

fn to_number(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    match operand::operand(args, 1)? {
        number @ Value::Number(_) => Ok(number.clone()),
        Value::Null | Value::Bool(false) => Ok(Value::from(0_i64)),
        Value::Bool(true) => Ok(Value::from(1_i64)),
        text @ Value::String(digits) => {
            ctx.budget.read(digits.len())?;
            if is_no_number(digits) {
                return Err(operand::wrong_type(1, text, &["valid number string"]));
            }
            Ok(Value::from(parse(digits)?))
        }
        other => Err(operand::wrong_type(1, other, &["null", "boolean", "number", "string"])),
    }
}

/// Names of what floats have besides numbers, as Go reads them.
fn is_no_number(text: &str) -> bool {
    let name = text.trim_start_matches(['+', '-']);
    name.len() <= 16 && ["inf", "infinity", "nan"].contains(&&*to_lower(name))
}

/// A number as Go's `strconv.ParseFloat` reads it, and as OPA's parser limits it.
fn parse(text: &str) -> Result<Number, Failure> {
    let syntax = || Failure::Error(format!("strconv.ParseFloat: parsing {}: invalid syntax", quoted_start(text)));
    let Some(literal) = Literal::read(text) else { return Err(syntax()) };
    if literal.is_plain && text.parse::<f64>().is_ok_and(f64::is_infinite) {
        return Err(Failure::Error(format!("strconv.ParseFloat: parsing {}: value out of range", quoted_start(text))));
    }
    if let Some(what) = literal.refusal().filter(|_| literal.is_plain) {
        return Err(Failure::Error(format!("invalid number: {what}")));
    }
    // What is written in hexadecimal or with underscores stays so in OPA, and has no place here.
    if !literal.is_plain {
        return Err(Failure::Unsupported("a number in hexadecimal or with underscores".to_owned()));
    }
    text.parse().map_err(|error| match error {
        NumberError::Syntax => syntax(),
        NumberError::TooLarge => Failure::Limit(Limit::Size),
    })
}

fn quoted_start(text: &str) -> String {
    crate::eval::value::text::quoted(text.get(..64).unwrap_or(text))
}

/// A float as Go writes one.
struct Literal<'a> {
    /// Of decimal digits only.
    is_plain: bool,
    mantissa: &'a str,
    exponent: &'a str,
}

impl<'a> Literal<'a> {
    /// None if Go doesn't read it.
    fn read(text: &'a str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let hex = unsigned.strip_prefix("0x").or_else(|| unsigned.strip_prefix("0X"));
        let rest = hex.unwrap_or(unsigned);
        let (mantissa, exponent) = match (rest.split_once(if hex.is_some() { ['p', 'P'] } else { ['e', 'E'] }), hex) {
            (Some((mantissa, exponent)), _) => (mantissa, Some(exponent)),
            (None, Some(_)) => return None,
            (None, None) => (rest, None),
        };
        let is_digit = |byte: u8| if hex.is_some() { byte.is_ascii_hexdigit() } else { byte.is_ascii_digit() };
        let digits = mantissa.bytes().filter(|byte| is_digit(*byte)).count();
        let points = mantissa.bytes().filter(|byte| *byte == b'.').count();
        let underscores = mantissa.bytes().filter(|byte| *byte == b'_').count();
        let whole = digits > 0 && points <= 1 && digits + points + underscores == mantissa.len();
        let exponent_digits = exponent.map(|exponent| exponent.strip_prefix(['+', '-']).unwrap_or(exponent));
        let exponent_is_one = exponent_digits.is_none_or(|digits| {
            digits.starts_with(|first: char| first.is_ascii_digit())
                && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_')
        });
        let separated = !unsigned.contains('_') || separates_digits(unsigned, hex.is_some());
        (whole && exponent_is_one && separated).then(|| Self {
            is_plain: hex.is_none() && !unsigned.contains('_'),
            mantissa,
            exponent: exponent.unwrap_or_default(),
        })
    }

    /// Why OPA refuses the exponent: it takes no number below 2^-100000. That is far beyond what a number may be here, so
    /// this needs not be exact.
    fn refusal(&self) -> Option<&'static str> {
        let digits = self.exponent.strip_prefix(['+', '-']).unwrap_or(self.exponent);
        if digits.is_empty() {
            return None;
        }
        let Ok(exponent) = digits.parse::<i64>() else { return Some("invalid float") };
        let exponent = usize::try_from(exponent).unwrap_or(usize::MAX);
        let is_zero = self.mantissa.bytes().all(|byte| matches!(byte, b'0' | b'.'));
        // 2^-100000 is about 10^-30103. Between the other two, Go's float silently becomes zero.
        let too_small = (30_104 + self.mantissa.len()..900_000_000).contains(&exponent) || exponent > 2_147_500_000;
        (self.exponent.starts_with('-') && !is_zero && too_small).then_some("number too big")
    }
}

/// Each underscore stands between digits, or behind the prefix.
fn separates_digits(unsigned: &str, hex: bool) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || hex && byte.is_ascii_hexdigit();
    let mut before = b'!';
    for (i, byte) in unsigned.bytes().enumerate() {
        let here = match byte {
            b'_' if before != b'0' => return false,
            b'_' => b'_',
            // The letter of the prefix counts as a digit.
            _ if is_digit(byte) || hex && i == 1 => b'0',
            _ if before == b'_' => return false,
            _ => b'!',
        };
        before = here;
    }
    before != b'_'
}

#[cfg(test)]
mod tests {
    use super::super::order::testing::check;
    use super::*;

    #[test]
    fn as_in_opa() {
        let cases: &[(&str, &[&str], &str)] = &[
            ("plus", &["1", "2"], "3"),
            ("plus", &["9223372036854775807", "1"], "9223372036854775808"),
            ("plus", &["0.1", "0.2"], "0.3"),
            ("plus", &["1.0", "1e0"], "2"),
            ("plus", &[r#""a""#, "1"], "operand: operand 1 must be number but got string"),
            ("plus", &["1", "null"], "operand: operand 2 must be number but got null"),
            ("minus", &["1", "2"], "-1"),
            ("minus", &[r#"{"$set": [1, 2, 3]}"#, r#"{"$set": [2]}"#], "{1, 3}"),
            ("minus", &[r#"{"$set": [1]}"#, r#"{"$set": [1.0]}"#], "set()"),
            ("minus", &["1", r#"{"$set": [1]}"#], "operand: operand 2 must be number but got set"),
            ("minus", &[r#"{"$set": [1]}"#, "1"], "operand: operand 2 must be set but got number"),
            ("minus", &[r#"{"$set": [1]}"#, r#""a""#], "operand: operand 2 must be number but got string"),
            ("minus", &[r#""a""#, "1"], "operand: operand 1 must be one of {number, set} but got string"),
            ("minus", &["-9223372036854775808", "1"], "-9223372036854775809"),
            ("mul", &["3", "4"], "12"),
            ("mul", &["123456789012345678901234567890", "10"], "1234567890123456789012345678900"),
            ("mul", &["1e20", "1.5"], "150000000000000000000"),
            ("mul", &["1.1", "1.1"], "1.21"),
            ("div", &["6", "3"], "2"),
            ("div", &["1", "3"], "0.33333333333333333334"),
            ("div", &["0", "-5"], "-0"),
            ("div", &["1", "0"], "error"),
            ("div", &["1", "0.0"], "error"),
            ("div", &["-9223372036854775808", "-1"], "9223372036854775808"),
            ("div", &["10000000000", "4"], "2500000000"),
            ("rem", &["-5", "3"], "-2"),
            ("rem", &["5", "0"], "error"),
            ("rem", &["5.5", "2"], "error"),
            ("rem", &["1e3", "7"], "6"),
            ("rem", &["10", "18446744073709551616"], "10"),
            ("rem", &["5", "0e5"], "error"),
            ("abs", &["-5"], "5"),
            ("abs", &["-9223372036854775808"], "9223372036854775808"),
            ("abs", &["-1.5"], "1.5"),
            ("abs", &["-123456789012345678901234567890"], "123456789012345678900000000000"),
            ("abs", &[r#""1""#], "operand: operand 1 must be number but got string"),
            ("round", &["2.5"], "3"),
            ("round", &["-2.5"], "-3"),
            ("round", &["1e3"], "1000"),
            ("ceil", &["-0.5"], "1"),
            ("ceil", &["2.1"], "3"),
            ("floor", &["-0.5"], "0"),
            ("floor", &["-2.1"], "-3"),
            ("bits.and", &["-1", "18446744073709551616"], "18446744073709551616"),
            ("bits.or", &["6", "1.0"], "7"),
            ("bits.xor", &["-1", "1"], "-2"),
            ("bits.negate", &["0"], "-1"),
            ("bits.lsh", &["1", "70"], "1180591620717411303424"),
            ("bits.lsh", &["1", "18446744073709551616"], "1"),
            (
                "bits.lsh",
                &["1", "-1"],
                "operand: operand 2 must be an unsigned integer number but got a negative integer",
            ),
            ("bits.rsh", &["-5", "1"], "-3"),
            ("bits.rsh", &["5", "1000"], "0"),
            ("bits.or", &["1.5", "1"], "operand: operand 1 must be integer number but got floating-point number"),
            ("bits.or", &[r#""a""#, "1"], "operand: operand 1 must be integer but got string"),
            ("numbers.range", &["1", "4"], "[1, 2, 3, 4]"),
            ("numbers.range", &["1", "-1"], "[1, 0, -1]"),
            (
                "numbers.range",
                &["9223372036854775807", "9223372036854775808"],
                "[9223372036854775807, 9223372036854775808]",
            ),
            ("numbers.range", &["1.0", "2e0"], "[1, 2]"),
            ("numbers.range", &["1.5", "2"], "operand: operand 1 must be integer number but got floating-point number"),
            ("numbers.range_step", &["0", "10", "3"], "[0, 3, 6, 9]"),
            ("numbers.range_step", &["10", "1", "4"], "[10, 6, 2]"),
            ("numbers.range_step", &["0", "9223372036854775807", "5000000000000000000"], "[0, 5000000000000000000]"),
            ("numbers.range_step", &["0", "1", "0"], "error"),
            ("format_int", &["255", "16"], r#""ff""#),
            ("format_int", &["-15.9", "16"], r#""-f""#),
            (
                "format_int",
                &["18446744073709551617", "2"],
                r#""10000000000000000000000000000000000000000000000000000000000000001""#,
            ),
            ("format_int", &["1e30", "10"], r#""1000000000000000000024696061952""#),
            ("format_int", &["10", "10.0"], "operand: operand 2 must be one of {2, 8, 10, 16}"),
            ("format_int", &["5.0", "10"], r#""5""#),
            ("to_number", &["null"], "0"),
            ("to_number", &["true"], "1"),
            ("to_number", &[r#""1.50""#], "1.50"),
            ("to_number", &[r#""+.5""#], "+.5"),
            ("to_number", &[r#""1e400""#], "error"),
            ("to_number", &[r#""-Inf""#], "operand: operand 1 must be valid number string but got string"),
            ("to_number", &[r#"" 1""#], "error"),
            ("to_number", &[r#""""#], "error"),
            ("to_number", &[r#""1_""#], "error"),
            ("to_number", &[r#""0x1""#], "error"),
            ("to_number", &[r#""1e-40000""#], "error"),
            ("to_number", &["[]"], "operand: operand 1 must be one of {null, boolean, number, string} but got array"),
        ];
        check(FUNCTIONS, cases);
    }

    #[test]
    fn what_is_too_large_ends_the_evaluation() {
        check(
            FUNCTIONS,
            &[
                ("numbers.range", &["0", "1000000000000"], "limit: too much memory"),
                ("numbers.range", &["0", "1e4000"], "limit: too much memory"),
                ("bits.lsh", &["1", "100000000000"], "limit: a value too large"),
                ("bits.lsh", &["0", "100000000000"], "0"),
                ("mul", &["1e4000", "1e4000"], "limit: a value too large"),
                ("to_number", &[r#""1e-5000""#], "limit: a value too large"),
                ("to_number", &[r#""0x1p4""#], "unsupported"),
                ("to_number", &[r#""1_000""#], "unsupported"),
            ],
        );
    }
}
