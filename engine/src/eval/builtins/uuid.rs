//! `uuid.parse` and `uuid.rfc4122`, after RFC 4122 as `github.com/google/uuid` and OPA's `internal/uuid` understand it.

use super::{Context, Failure, Function, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[("uuid.parse", parse), (RFC4122, rfc4122)];

const RFC4122: &str = "uuid.rfc4122";

fn parse(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    let uuid = Uuid::parse(text.as_bytes()).ok_or(Failure::Undefined)?;
    Ok(uuid.describe())
}

fn rfc4122(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let key = (RFC4122, operand::operand(args, 1)?.clone());
    if let Some(known) = ctx.memo.get(&key) {
        return Ok(known.clone());
    }
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Failure::Error(error.to_string()))?;
    let random = u128::from_be_bytes(bytes);
    // Version 4, variant of RFC 4122.
    let random = random & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let value = Value::from(Uuid(random).to_text());
    ctx.budget.alloc(size_of_val(&key) + 128)?;
    ctx.memo.insert(key, value.clone());
    Ok(value)
}

/// The 16 bytes, the first one highest.
struct Uuid(u128);

impl Uuid {
    /// Plain, as an `urn:uuid:`, between two characters that should be braces, or without hyphens.
    fn parse(text: &[u8]) -> Option<Self> {
        let hyphenated = match text.len() {
            36 => text,
            45 => text.get(9..).filter(|_| text.get(..9).is_some_and(|urn| urn.eq_ignore_ascii_case(b"urn:uuid:")))?,
            38 => text.get(1..37)?,
            32 => return hex(text).map(Self),
            _ => return None,
        };
        let hyphens = [8, 13, 18, 23];
        if hyphens.iter().any(|at| hyphenated.get(*at) != Some(&b'-')) {
            return None;
        }
        let digits: Vec<u8> =
            hyphenated.iter().enumerate().filter(|(at, _)| !hyphens.contains(at)).map(|(_, byte)| *byte).collect();
        hex(&digits).map(Self)
    }

    fn to_text(&self) -> String {
        let part = |shift: u32, digits: usize| {
            let value = self.0 >> shift & ((1 << (4 * digits)) - 1);
            format!("{value:0digits$x}")
        };
        [part(96, 8), part(80, 4), part(64, 4), part(48, 4), part(0, 12)].join("-")
    }

    fn describe(&self) -> Value {
        let version = self.bits(76, 4);
        let mut entries =
            vec![(Value::from("version"), Value::from(version)), (Value::from("variant"), Value::from(self.variant()))];
        if version == 1 || version == 2 {
            entries.extend([
                (Value::from("time"), Value::from(self.unix_ns())),
                (Value::from("nodeid"), Value::from(self.node())),
                (Value::from("macvariables"), Value::from(self.address_kind())),
                (Value::from("clocksequence"), Value::from(self.bits(48, 14))),
            ]);
        }
        if version == 2 {
            entries.push((Value::from("id"), Value::from(self.bits(96, 32))));
            entries.push((Value::from("domain"), Value::from(self.domain())));
        }
        Value::object(entries)
    }

    /// At most 60 bits.
    fn bits(&self, shift: u32, count: u32) -> i64 {
        // Fits: the mask leaves less than 63 bits.
        i64::try_from(self.0 >> shift & ((1 << count) - 1)).unwrap_or(i64::MAX)
    }

    fn variant(&self) -> &'static str {
        match self.bits(61, 3) {
            0b100 | 0b101 => "RFC4122",
            0b110 => "Microsoft",
            0b111 => "Future",
            _ => "Reserved",
        }
    }

    /// Wraps around where OPA does.
    fn unix_ns(&self) -> i64 {
        /// From the beginning of the Gregorian calendar to 1970, in 100 ns.
        const EPOCH: i64 = 122_192_928_000_000_000;
        const PER_SECOND: i64 = 10_000_000;
        let time = self.bits(96, 32) | self.bits(80, 16) << 32 | self.bits(64, 12) << 48;
        let unix = time.wrapping_sub(EPOCH);
        (unix / PER_SECOND).wrapping_mul(1_000_000_000).wrapping_add(unix % PER_SECOND * 100)
    }

    fn node(&self) -> String {
        [40, 32, 24, 16, 8, 0].map(|shift| format!("{:02x}", self.bits(shift, 8))).join("-")
    }

    fn address_kind(&self) -> &'static str {
        match self.bits(40, 2) {
            0b11 => "local:multicast",
            0b01 => "global:multicast",
            0b10 => "local:unicast",
            _ => "global:unicast",
        }
    }

    fn domain(&self) -> String {
        match self.bits(48, 8) {
            0 => "Person".to_owned(),
            1 => "Group".to_owned(),
            2 => "Org".to_owned(),
            other => format!("Domain{other}"),
        }
    }
}

/// 32 digits.
fn hex(digits: &[u8]) -> Option<u128> {
    digits.iter().try_fold(0, |value, byte| Some(value << 4 | u128::from(char::from(*byte).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(text: &str) -> Option<String> {
        Uuid::parse(text.as_bytes()).map(|uuid| uuid.describe().to_string())
    }

    #[test]
    fn parsed() {
        for text in [
            "4c1fd8a3-6b0e-4a6d-9d3f-0f1e2d3c4b5a",
            "4C1FD8A36B0E4A6D9D3F0F1E2D3C4B5A",
            "URN:UUID:4c1fd8a3-6b0e-4a6d-9d3f-0f1e2d3c4b5a",
            "{4c1fd8a3-6b0e-4a6d-9d3f-0f1e2d3c4b5a}",
            "x4c1fd8a3-6b0e-4a6d-9d3f-0f1e2d3c4b5ay",
        ] {
            assert_eq!(described(text).unwrap(), r#"{"variant": "RFC4122", "version": 4}"#, "{text}");
        }
        for text in ["", "4c1fd8a3", "4c1fd8a3_6b0e-4a6d-9d3f-0f1e2d3c4b5a", "xc1fd8a3-6b0e-4a6d-9d3f-0f1e2d3c4b5a"] {
            assert_eq!(described(text), None, "{text}");
        }
    }

    #[test]
    fn described_as_opa_does() {
        assert_eq!(
            described("e4a1f7c0-1dd2-11b2-8000-0b0e0d0c0b0a").unwrap(),
            concat!(
                r#"{"clocksequence": 0, "macvariables": "local:multicast", "nodeid": "0b-0e-0d-0c-0b-0a", "#,
                r#""time": 350858233600, "variant": "RFC4122", "version": 1}"#
            )
        );
        assert_eq!(
            described("000003e8-1dd2-21b2-8002-325096b39f47").unwrap(),
            concat!(
                r#"{"clocksequence": 2, "domain": "Org", "id": 1000, "macvariables": "local:unicast", "#,
                r#""nodeid": "32-50-96-b3-9f-47", "time": -32723663200, "variant": "RFC4122", "version": 2}"#
            )
        );
    }

    #[test]
    fn written() {
        let text = "4c1fd8a3-6b0e-4a6d-9d3f-0f1e2d3c4b5a";
        assert_eq!(Uuid::parse(text.as_bytes()).unwrap().to_text(), text);
    }
}
