//! Floats as text, as Go's `strconv.FormatFloat` writes them. Finite and without sign.

/// More decimal digits than any double has. What is asked for beyond is zeros.
const MAX_DECIMALS: usize = 1_100;

/// In the format of a verb; without a precision, with as many digits as tell the number from its neighbours.
pub(super) fn format(value: f64, format: char, precision: Option<usize>) -> String {
    match (format, precision) {
        ('b', _) => binary(value),
        ('x' | 'X', _) => hexadecimal(value, format == 'X', precision),
        ('e' | 'E', Some(precision)) => {
            exponential(&Decimal::significant(value, precision.saturating_add(1)), precision, format)
        }
        ('f', Some(precision)) => fixed(&Decimal::fractional(value, precision), precision),
        (_, precision) => general(value, format, precision),
    }
}

/// `0.d₁d₂d₃… · 10^point`, without trailing zeros.
struct Decimal {
    digits: String,
    point: i32,
}

/// With an exponent where that is below -4, or not below the number of digits.
fn general(value: f64, format: char, precision: Option<usize>) -> String {
    let decimal = match precision {
        Some(precision) => Decimal::significant(value, precision.max(1)),
        None => Decimal::shortest(value),
    };
    let count = decimal.digits.len();
    let wanted = match precision {
        // Go looks at zero before it corrects a precision of zero.
        Some(precision) if value != 0.0 => precision.max(1),
        Some(precision) => precision,
        None => count,
    };
    let fits = i64::try_from(count).is_ok_and(|count| count >= i64::from(decimal.point));
    let limit = match precision {
        None => 6,
        Some(_) if wanted > count && fits => count,
        Some(_) => wanted,
    };
    let exponent = i64::from(decimal.point) - 1;
    if exponent < -4 || exponent >= i64::try_from(limit).unwrap_or(i64::MAX) {
        let format = if format == 'G' { 'E' } else { 'e' };
        return exponential(&decimal, wanted.min(count).saturating_sub(1), format);
    }
    let decimals = i64::try_from(wanted.min(count)).unwrap_or(i64::MAX) - i64::from(decimal.point);
    fixed(&decimal, usize::try_from(decimals).unwrap_or(0))
}

/// `d.ddde±dd`
fn exponential(decimal: &Decimal, decimals: usize, letter: char) -> String {
    let (first, rest) = if decimal.digits.is_empty() { ("0", "") } else { decimal.digits.split_at(1) };
    let mut text = first.to_owned();
    if decimals > 0 {
        text.push('.');
        text.push_str(rest.get(..decimals).unwrap_or(rest));
        text.extend(std::iter::repeat_n('0', decimals.saturating_sub(rest.len())));
    }
    let exponent = if decimal.digits.is_empty() { 0 } else { decimal.point - 1 };
    let sign = if exponent < 0 { '-' } else { '+' };
    text.push_str(&format!("{letter}{sign}{:02}", exponent.unsigned_abs()));
    text
}

/// `ddd.ddd`
fn fixed(decimal: &Decimal, decimals: usize) -> String {
    let point = usize::try_from(decimal.point).unwrap_or(0);
    let (whole, fraction) = decimal.digits.split_at(point.min(decimal.digits.len()));
    let mut text = whole.to_owned();
    text.extend(std::iter::repeat_n('0', point.saturating_sub(whole.len())));
    if text.is_empty() {
        text.push('0');
    }
    if decimals > 0 {
        let zeros = usize::try_from(-i64::from(decimal.point)).unwrap_or(0).min(decimals);
        text.push('.');
        text.extend(std::iter::repeat_n('0', zeros));
        let wanted = decimals - zeros;
        let fraction = fraction.get(..wanted).unwrap_or(fraction);
        text.push_str(fraction);
        text.extend(std::iter::repeat_n('0', wanted - fraction.len()));
    }
    text
}

/// `ddddp±ddd`: the mantissa, and the power of two it is multiplied by.
fn binary(value: f64) -> String {
    let (mantissa, exponent) = parts(value);
    format!("{mantissa}p{exponent:+}")
}

/// `0x1.hhhp±dd`
fn hexadecimal(value: f64, upper: bool, precision: Option<usize>) -> String {
    const POINT: u32 = 60;
    let (mut mantissa, mut exponent) = parts(value);
    exponent += 52;
    if mantissa == 0 {
        exponent = 0;
    } else {
        // The leading one stands before the point.
        let up = mantissa.leading_zeros() - (u64::BITS - 1 - POINT);
        mantissa <<= up;
        exponent -= i32::try_from(up).unwrap_or(0) - 8;
    }
    if let Some(digits @ 0..15) = precision {
        let kept = u32::try_from(digits).unwrap_or(0) * 4;
        let fraction = (1_u64 << POINT) - 1;
        let extra = (mantissa << kept) & fraction;
        mantissa >>= POINT - kept;
        // To the nearest, halves to even.
        if extra | (mantissa & 1) > 1 << (POINT - 1) {
            mantissa += 1;
        }
        mantissa <<= POINT - kept;
        if mantissa & (1 << (POINT + 1)) != 0 {
            mantissa >>= 1;
            exponent += 1;
        }
    }
    let whole = (mantissa >> POINT) & 1;
    let digits = format!("{:015x}", mantissa & ((1 << POINT) - 1));
    let fraction = match precision {
        None => digits.trim_end_matches('0').to_owned(),
        Some(count) => {
            let mut kept = digits.get(..count).unwrap_or(&digits).to_owned();
            kept.extend(std::iter::repeat_n('0', count.saturating_sub(kept.len())));
            kept
        }
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    let text = format!("0x{whole}{point}{fraction}p{sign}{:02}", exponent.unsigned_abs());
    if upper { text.to_ascii_uppercase() } else { text }
}

/// The value as `mantissa · 2^exponent`, in the form it is stored in.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0) {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

// === impl Decimal ===

impl Decimal {
    /// As few digits as read back as the same number. Of two that are as near, Go takes the even one.
    fn shortest(value: f64) -> Self {
        let text = format!("{value:e}");
        let digits = text.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit).count();
        // Only so many digits can be half a unit away.
        if digits >= 15 {
            let even = format!("{value:.*e}", digits - 1);
            if even.parse() == Ok(value) {
                return Self::of_exponential(&even);
            }
        }
        Self::of_exponential(&text)
    }

    /// So many digits, rounded.
    fn significant(value: f64, digits: usize) -> Self {
        Self::of_exponential(&format!("{value:.*e}", digits.saturating_sub(1).min(MAX_DECIMALS)))
    }

    /// So many digits behind the point, rounded.
    fn fractional(value: f64, decimals: usize) -> Self {
        let text = format!("{value:.*}", decimals.min(MAX_DECIMALS));
        let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
        Self::of([whole, fraction].concat(), whole.len())
    }

    fn of_exponential(text: &str) -> Self {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let mut decimal = Self::of(mantissa.replace('.', ""), 1);
        decimal.point += exponent.parse().unwrap_or(0);
        decimal
    }

    fn of(digits: String, point: usize) -> Self {
        let significant = digits.trim_start_matches('0');
        let zeros = digits.len() - significant.len();
        if significant.is_empty() {
            return Self { digits: String::new(), point: 0 };
        }
        let at = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
        Self { digits: significant.trim_end_matches('0').to_owned(), point: at(point) - at(zeros) }
    }
}
