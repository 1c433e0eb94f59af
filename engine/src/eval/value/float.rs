//! Floats as OPA computes with them: Go's `math/big.Float` of 64 bits' mantissa, rounded to nearest even.
//!
//! The value is `(-1)^negative · mantissa · 2^exponent`. Parsing, arithmetic and printing (the shortest text that reads back
//! as the same float) follow Go 1.26's `math/big`: `floatconv.go`, `ftoa.go`, `decimal.go`.

use num_bigint::{BigInt, BigUint, Sign};

use super::number::{Number, NumberError};

/// The mantissa of a parsed number, in bits.
const PRECISION: u64 = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Float {
    negative: bool,
    /// Zero, or odd.
    mantissa: BigUint,
    exponent: i64,
    precision: u64,
}

impl Float {
    /// `(-1)^negative · digits · 10^exponent`, rounded.
    pub(crate) fn from_decimal(negative: bool, digits: &BigUint, exponent: i32) -> Self {
        let power = BigUint::from(10_u32).pow(exponent.unsigned_abs());
        if exponent >= 0 {
            Self::rounded(negative, digits * power, 0, false, PRECISION)
        } else {
            Self::quotient(negative, digits, &power, 0, PRECISION)
        }
    }

    /// An integer, with as much precision as it needs.
    pub(crate) fn from_bigint(value: &BigInt) -> Self {
        let magnitude = value.magnitude().clone();
        let precision = magnitude.bits().max(PRECISION);
        Self::rounded(value.sign() == Sign::Minus, magnitude, 0, false, precision)
    }

    /// 1/2, for rounding.
    fn half() -> Self {
        Self { negative: false, mantissa: BigUint::from(1_u32), exponent: -1, precision: PRECISION }
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.mantissa == BigUint::ZERO
    }

    pub(crate) fn is_integer(&self) -> bool {
        self.exponent >= 0
    }

    pub(crate) fn add(&self, other: &Self) -> Self {
        let precision = self.precision.max(other.precision);
        let exponent = self.exponent.min(other.exponent);
        let sum = self.scaled(exponent) + other.scaled(exponent);
        if sum.sign() == Sign::NoSign {
            // Only the sum of two negative zeros is one.
            let negative = self.negative && other.negative && self.is_zero() && other.is_zero();
            return Self { negative, mantissa: BigUint::ZERO, exponent: 0, precision };
        }
        Self::rounded(sum.sign() == Sign::Minus, sum.magnitude().clone(), exponent, false, precision)
    }

    pub(crate) fn sub(&self, other: &Self) -> Self {
        self.add(&other.negated())
    }

    pub(crate) fn mul(&self, other: &Self) -> Self {
        let mantissa = &self.mantissa * &other.mantissa;
        let exponent = self.exponent + other.exponent;
        Self::rounded(self.negative != other.negative, mantissa, exponent, false, self.precision.max(other.precision))
    }

    /// The product, with a mantissa of `precision` bits.
    pub(crate) fn mul_rounded(&self, other: &Self, precision: u64) -> Self {
        let (mantissa, exponent) = (&self.mantissa * &other.mantissa, self.exponent + other.exponent);
        Self::rounded(self.negative != other.negative, mantissa, exponent, false, precision)
    }

    /// None if `other` is zero.
    pub(crate) fn div(&self, other: &Self) -> Option<Self> {
        if other.is_zero() {
            return None;
        }
        let exponent = self.exponent - other.exponent;
        let precision = self.precision.max(other.precision);
        Some(Self::quotient(self.negative != other.negative, &self.mantissa, &other.mantissa, exponent, precision))
    }

    pub(crate) fn negated(&self) -> Self {
        Self { negative: !self.negative, ..self.clone() }
    }

    pub(crate) fn abs(&self) -> Self {
        Self { negative: false, ..self.clone() }
    }

    /// To the nearest integer, halves away from zero.
    pub(crate) fn round(&self) -> Self {
        let moved = if self.negative { self.sub(&Self::half()) } else { self.add(&Self::half()) };
        Self::from_bigint(&moved.truncated())
    }

    pub(crate) fn ceil(&self) -> Self {
        // A fraction above -1 goes to 1: OPA asks for the sign of what was truncated, and so does this.
        let whole = self.truncated();
        let done = whole.sign() == Sign::Minus || self.is_integer();
        Self::from_bigint(&if done { whole } else { whole + 1 })
    }

    pub(crate) fn floor(&self) -> Self {
        // A fraction above -1 goes to 0, as in OPA.
        let whole = self.truncated();
        let done = whole.sign() != Sign::Minus || self.is_integer();
        Self::from_bigint(&if done { whole } else { whole - 1 })
    }

    /// Towards zero.
    pub(crate) fn truncated(&self) -> BigInt {
        let magnitude = match u64::try_from(self.exponent) {
            Ok(up) => &self.mantissa << up,
            Err(_) => &self.mantissa >> self.exponent.unsigned_abs(),
        };
        BigInt::from_biguint(if self.negative { Sign::Minus } else { Sign::Plus }, magnitude)
    }

    /// The shortest text that reads back as this float: plain digits for an integer, else as Go's `%g`.
    ///
    /// # Errors
    /// It has too many digits.
    pub(crate) fn to_number(&self) -> Result<Number, NumberError> {
        self.to_text()?.parse()
    }

    fn to_text(&self) -> Result<String, NumberError> {
        let sign = if self.negative { "-" } else { "" };
        if self.is_zero() {
            return Ok(format!("{sign}0"));
        }
        if self.exponent.unsigned_abs() > 16_384 {
            return Err(NumberError::TooLarge);
        }
        let (digits, point) = self.shortest();
        let mut text = sign.to_owned();
        let exponent = point - 1;
        if self.is_integer() || (-4..6).contains(&exponent) {
            plain(&mut text, &digits, point);
        } else {
            let (first, rest) = digits.split_at(1);
            text.push_str(first);
            if !rest.is_empty() {
                text.push('.');
                text.push_str(rest);
            }
            text.push_str(&format!("e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.unsigned_abs()));
        }
        Ok(text)
    }

    /// Digits, and how many of them stand before the point.
    fn shortest(&self) -> (String, i64) {
        // A mantissa of one bit more than the precision, so that its last bit is half a unit in the last place.
        let up = self.precision + 1 - self.mantissa.bits();
        let mantissa = &self.mantissa << up;
        let exponent = self.exponent - i64::try_from(up).unwrap_or(i64::MAX);
        // Both neighbours' midpoints read back as this float only if its mantissa is even.
        let inclusive = !mantissa.bit(1);
        let (digits, point) = decimal(&mantissa, exponent);
        let (lower, _) = decimal(&(&mantissa - 1_u32), exponent);
        let (upper, _) = decimal(&(&mantissa + 1_u32), exponent);
        for (i, digit) in digits.bytes().enumerate() {
            let low = lower.as_bytes().get(i).copied().unwrap_or(b'0');
            let high = upper.as_bytes().get(i).copied().unwrap_or(b'0');
            let down = low != digit || inclusive && i + 1 == lower.len();
            let up = digit != high && (inclusive || digit + 1 < high || i + 1 < upper.len());
            match (down, up) {
                (true, true) => return nearest(&digits, point, i + 1),
                (true, false) => return (digits.get(..=i).unwrap_or_default().trim_end_matches('0').to_owned(), point),
                (false, true) => return increased(&digits, point, i + 1),
                (false, false) => {}
            }
        }
        (digits, point)
    }

    /// The value times `2^-exponent`, where `exponent` isn't above this one's.
    fn scaled(&self, exponent: i64) -> BigInt {
        let up = (self.exponent - exponent).unsigned_abs();
        let sign = if self.negative { Sign::Minus } else { Sign::Plus };
        BigInt::from_biguint(sign, &self.mantissa << up)
    }

    fn quotient(negative: bool, a: &BigUint, b: &BigUint, exponent: i64, precision: u64) -> Self {
        // Enough bits that only a sticky bit can be missing.
        let up = (precision + 2 + b.bits()).saturating_sub(a.bits());
        let numerator = a << up;
        let quotient = &numerator / b;
        let sticky = &quotient * b != numerator;
        let exponent = exponent - i64::try_from(up).unwrap_or(i64::MAX);
        Self::rounded(negative, quotient, exponent, sticky, precision)
    }

    /// To nearest even; `sticky` says that the true value is a little larger.
    fn rounded(negative: bool, mantissa: BigUint, exponent: i64, sticky: bool, precision: u64) -> Self {
        let mut value = Self { negative, mantissa, exponent, precision };
        let over = value.mantissa.bits().saturating_sub(precision);
        if over > 0 {
            let half = value.mantissa.bit(over - 1);
            let below = sticky || value.mantissa.trailing_zeros().is_some_and(|zeros| zeros < over - 1);
            value.mantissa >>= over;
            if half && (below || value.mantissa.bit(0)) {
                value.mantissa += 1_u32;
            }
            value.exponent += i64::try_from(over).unwrap_or(i64::MAX);
        }
        match value.mantissa.trailing_zeros() {
            Some(zeros) => {
                value.mantissa >>= zeros;
                value.exponent += i64::try_from(zeros).unwrap_or(i64::MAX);
            }
            None => value.exponent = 0,
        }
        value
    }
}

/// `mantissa · 2^exponent` exactly: digits without trailing zeros, and how many stand before the point.
fn decimal(mantissa: &BigUint, exponent: i64) -> (String, i64) {
    let shift = exponent.unsigned_abs();
    let (digits, scale) = if exponent >= 0 {
        ((mantissa << shift).to_string(), 0)
    } else {
        // 2^-n is 5^n · 10^-n.
        let power = BigUint::from(5_u32).pow(u32::try_from(shift).unwrap_or(u32::MAX));
        ((mantissa * power).to_string(), i64::try_from(shift).unwrap_or(i64::MAX))
    };
    let point = i64::try_from(digits.len()).unwrap_or(i64::MAX) - scale;
    (digits.trim_end_matches('0').to_owned(), point)
}

fn nearest(digits: &str, point: i64, n: usize) -> (String, i64) {
    let rest = digits.as_bytes().get(n..).unwrap_or_default();
    let last_is_odd = digits.as_bytes().get(n - 1).is_some_and(|digit| digit % 2 == 1);
    let up = match rest {
        [b'5'] => last_is_odd,
        [first, ..] => *first >= b'5',
        [] => false,
    };
    if up {
        increased(digits, point, n)
    } else {
        (digits.get(..n).unwrap_or_default().trim_end_matches('0').to_owned(), point)
    }
}

/// The first `n` digits, and one more in the last place.
fn increased(digits: &str, point: i64, n: usize) -> (String, i64) {
    let kept = digits.get(..n).unwrap_or_default().trim_end_matches('9');
    match kept.char_indices().next_back() {
        Some((last, digit)) => {
            let next = char::from(digit as u8 + 1);
            (format!("{}{next}", kept.get(..last).unwrap_or_default()), point)
        }
        None => ("1".to_owned(), point + 1),
    }
}

fn plain(text: &mut String, digits: &str, point: i64) {
    let count = digits.len();
    match usize::try_from(point) {
        Ok(point) if point > 0 => {
            let (whole, fraction) = digits.split_at(point.min(count));
            text.push_str(whole);
            text.extend(std::iter::repeat_n('0', point.saturating_sub(count)));
            if !fraction.is_empty() {
                text.push('.');
                text.push_str(fraction);
            }
        }
        _ => {
            text.push_str("0.");
            text.extend(std::iter::repeat_n('0', usize::try_from(point.unsigned_abs()).unwrap_or(0)));
            text.push_str(digits);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float(text: &str) -> Float {
        text.parse::<Number>().unwrap().to_float()
    }

    fn text(float: &Float) -> String {
        float.to_number().unwrap().to_string()
    }

    /// Each line is what Go 1.26 prints for the same operation.
    #[test]
    fn arithmetic_as_in_go() {
        assert_eq!(text(&float("0.1").add(&float("0.2"))), "0.3");
        assert_eq!(text(&float("1").div(&float("3")).unwrap()), "0.33333333333333333334");
        assert_eq!(text(&float("2").div(&float("3")).unwrap()), "0.6666666666666666667");
        assert_eq!(text(&float("10").div(&float("4")).unwrap()), "2.5");
        assert_eq!(text(&float("1e20").mul(&float("1.5"))), "150000000000000000000");
        assert_eq!(text(&float("1234567.5")), "1.2345675e+06");
        assert_eq!(text(&float("0.00001")), "1e-05");
        assert_eq!(text(&float("0.0001")), "0.0001");
        assert_eq!(text(&float("123456.5")), "123456.5");
        assert_eq!(text(&float("-0.0")), "-0");
        assert_eq!(text(&float("1180591620717411303425.5")), "1180591620717411303400");
        assert_eq!(text(&float("123456789012345678901234567890.5")), "123456789012345678900000000000");
        assert_eq!(float("1").div(&float("0.0")), None);
    }

    #[test]
    fn rounding() {
        assert_eq!(text(&float("2.5").round()), "3");
        assert_eq!(text(&float("-2.5").round()), "-3");
        assert_eq!(text(&float("2.1").ceil()), "3");
        assert_eq!(text(&float("-2.1").ceil()), "-2");
        assert_eq!(text(&float("-0.5").ceil()), "1");
        assert_eq!(text(&float("-0.5").floor()), "0");
        assert_eq!(text(&float("2.9").floor()), "2");
        assert_eq!(text(&float("-2.9").floor()), "-3");
    }
}
