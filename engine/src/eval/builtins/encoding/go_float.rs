//! Floats as Go writes them.

/// As `strconv.FormatFloat` with `g` and the shortest precision.
pub(crate) fn general(value: f64) -> String {
    layout(&format!("{value:e}"), value.to_string())
}

/// The same of a float of 32 bits.
pub(crate) fn general_32(value: f32) -> String {
    layout(&format!("{value:e}"), value.to_string())
}

/// As `encoding/json` writes one that is finite: with an exponent where there would be many zeros.
pub(crate) fn json(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let (mantissa, exponent) = parts(&format!("{value:e}"));
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{}", exponent.unsigned_abs());
    }
    value.to_string()
}

fn layout(scientific: &str, plain: String) -> String {
    match plain.as_str() {
        "inf" => return "+Inf".to_owned(),
        "-inf" => return "-Inf".to_owned(),
        "NaN" => return plain,
        _ => {}
    }
    let (mantissa, exponent) = parts(scientific);
    if (-4..6).contains(&exponent) {
        return plain;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

fn parts(scientific: &str) -> (String, i32) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    (mantissa.to_owned(), exponent.parse().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_writes_them() {
        for (value, text) in [
            (123_456.0, "123456"),
            (1_234_567.0, "1.234567e+06"),
            (1e6, "1e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1_700_000_000.5, "1.7000000005e+09"),
            (-0.5, "-0.5"),
            (f64::INFINITY, "+Inf"),
        ] {
            assert_eq!(general(value), text);
        }
        assert_eq!(general_32(16_777_217.0), "1.6777216e+07");
        for (value, text) in [(1e21, "1e+21"), (1e20, "100000000000000000000"), (1e-7, "1e-7"), (0.000_001, "0.000001")]
        {
            assert_eq!(json(value), text);
        }
    }
}
