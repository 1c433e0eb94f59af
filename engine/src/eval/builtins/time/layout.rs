//! Layouts: Go's reference time, `Mon Jan 2 15:04:05 MST 2006`, as a pattern to read and to write times by.
//!
//! Follows Go 1.26's `time/format.go`, with UTC for the local zone: abbreviations of zones other than UTC are read, and
//! mean nothing.

use std::fmt::Write as _;

use super::civil::{self, Date, Instant};

/// Reads `text` by `layout`.
///
/// # Errors
/// With Go's message.
pub(in crate::eval::builtins) fn parse(layout: &str, text: &str) -> Result<Instant, String> {
    Reader { rest: text.as_bytes(), fields: Fields::default() }.read(layout.as_bytes(), text.as_bytes())
}

/// Writes an instant, which clocks of a zone show `offset` seconds ahead of UTC.
pub(super) fn format(layout: &str, instant: Instant, zone: &str, offset: i64) -> String {
    let local = Instant { seconds: instant.seconds.wrapping_add(offset), ..instant };
    let mut writer = Writer { out: String::with_capacity(layout.len() + 10), local, zone, offset };
    let mut rest = layout;
    while let Some(chunk) = next_chunk(rest.as_bytes()) {
        writer.out.push_str(rest.get(..chunk.start).unwrap_or_default());
        writer.write(chunk.element);
        rest = rest.get(chunk.end..).unwrap_or_default();
    }
    writer.out.push_str(rest);
    writer.out
}

/// As Go's `time` quotes: bytes beyond ASCII in hexadecimal.
pub(super) fn quoted_bytes(text: &[u8]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend(['\\', char::from(*byte)]),
            b' '..=0x7f => out.push(char::from(*byte)),
            // Writing to a string doesn't fail.
            _ => drop(write!(out, "\\x{byte:02x}")),
        }
    }
    out.push('"');
    out
}

/// An element of a layout. Numbers may be written in as few digits as they have, or with zeros or spaces before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Element {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    SpaceDay,
    ZeroDay,
    SpaceYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    Offset { form: OffsetForm, z_for_utc: bool },
    Fraction { digits: usize, separator: u8, trimmed: bool },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OffsetForm {
    Hours,
    Minutes,
    ColonMinutes,
    Seconds,
    ColonSeconds,
}

/// An element, and where it stands in the layout.
struct Chunk {
    start: usize,
    end: usize,
    element: Element,
}

fn next_chunk(layout: &[u8]) -> Option<Chunk> {
    (0..layout.len()).find_map(|at| {
        let (element, skipped, len) = element_at(layout.get(at..)?)?;
        Some(Chunk { start: at + skipped, end: at + skipped + len, element })
    })
}

/// The element that `text` begins with: how many bytes before it are plain text, and how many it has.
fn element_at(text: &[u8]) -> Option<(Element, usize, usize)> {
    let starts = |prefix: &[u8]| text.starts_with(prefix);
    let lower_follows = |at: usize| text.get(at).is_some_and(u8::is_ascii_lowercase);
    let (element, len) = match text.first()? {
        b'J' if starts(b"January") => (Element::LongMonth, 7),
        b'J' if starts(b"Jan") && !lower_follows(3) => (Element::Month, 3),
        b'M' if starts(b"Monday") => (Element::LongWeekday, 6),
        b'M' if starts(b"Mon") && !lower_follows(3) => (Element::Weekday, 3),
        b'M' if starts(b"MST") => (Element::ZoneName, 3),
        b'0' => match text.get(1)? {
            b'1' => (Element::ZeroMonth, 2),
            b'2' => (Element::ZeroDay, 2),
            b'3' => (Element::ZeroHour12, 2),
            b'4' => (Element::ZeroMinute, 2),
            b'5' => (Element::ZeroSecond, 2),
            b'6' => (Element::Year, 2),
            b'0' if starts(b"002") => (Element::ZeroYearDay, 3),
            _ => return None,
        },
        b'1' if starts(b"15") => (Element::Hour, 2),
        b'1' => (Element::NumMonth, 1),
        b'2' if starts(b"2006") => (Element::LongYear, 4),
        b'2' => (Element::Day, 1),
        b'_' if starts(b"_2006") => return Some((Element::LongYear, 1, 4)),
        b'_' if starts(b"_2") => (Element::SpaceDay, 2),
        b'_' if starts(b"__2") => (Element::SpaceYearDay, 3),
        b'3' => (Element::Hour12, 1),
        b'4' => (Element::Minute, 1),
        b'5' => (Element::Second, 1),
        b'P' if starts(b"PM") => (Element::UpperHalf, 2),
        b'p' if starts(b"pm") => (Element::LowerHalf, 2),
        first @ (b'-' | b'Z') => {
            let (form, len) = offset_form(text.get(1..)?)?;
            (Element::Offset { form, z_for_utc: *first == b'Z' }, len + 1)
        }
        separator @ (b'.' | b',') => {
            let kind = *text.get(1).filter(|digit| matches!(digit, b'0' | b'9'))?;
            let digits = text.iter().skip(1).take_while(|byte| **byte == kind).count();
            if text.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            // Go keeps 12 bits of the number of digits.
            let kept = digits & 0xfff;
            (Element::Fraction { digits: kept, separator: *separator, trimmed: kind == b'9' }, 1 + digits)
        }
        _ => return None,
    };
    Some((element, 0, len))
}

fn offset_form(text: &[u8]) -> Option<(OffsetForm, usize)> {
    let forms: [(&[u8], OffsetForm); 5] = [
        (b"070000", OffsetForm::Seconds),
        (b"07:00:00", OffsetForm::ColonSeconds),
        (b"0700", OffsetForm::Minutes),
        (b"07:00", OffsetForm::ColonMinutes),
        (b"07", OffsetForm::Hours),
    ];
    forms.into_iter().find(|(form, _)| text.starts_with(form)).map(|(text, form)| (form, text.len()))
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// The name in the list, whole or its first three letters.
fn name(list: &[&'static str], index: usize, long: bool) -> &'static str {
    let name = list.get(index).copied().unwrap_or_default();
    if long { name } else { name.get(..3).unwrap_or(name) }
}

struct Writer<'a> {
    out: String,
    local: Instant,
    zone: &'a str,
    offset: i64,
}

// === impl Writer ===

impl Writer<'_> {
    fn write(&mut self, element: Element) {
        let Date { year, month, day } = self.local.date();
        let [hour, minute, second] = self.local.clock();
        let hour_12 = if hour % 12 == 0 { 12 } else { hour % 12 };
        let month_index = usize::try_from(month - 1).unwrap_or_default();
        match element {
            Element::LongMonth => self.out.push_str(name(&MONTHS, month_index, true)),
            Element::Month => self.out.push_str(name(&MONTHS, month_index, false)),
            Element::NumMonth => self.number(month, 0),
            Element::ZeroMonth => self.number(month, 2),
            Element::LongWeekday => self.out.push_str(name(&super::WEEKDAYS, self.local.weekday(), true)),
            Element::Weekday => self.out.push_str(name(&super::WEEKDAYS, self.local.weekday(), false)),
            Element::Day => self.number(day, 0),
            Element::SpaceDay => self.spaced(day, 2),
            Element::ZeroDay => self.number(day, 2),
            Element::SpaceYearDay => self.spaced(civil::year_and_day(self.local.seconds).1, 3),
            Element::ZeroYearDay => self.number(civil::year_and_day(self.local.seconds).1, 3),
            Element::Hour => self.number(hour, 2),
            Element::Hour12 => self.number(hour_12, 0),
            Element::ZeroHour12 => self.number(hour_12, 2),
            Element::Minute => self.number(minute, 0),
            Element::ZeroMinute => self.number(minute, 2),
            Element::Second => self.number(second, 0),
            Element::ZeroSecond => self.number(second, 2),
            Element::LongYear => self.number(year, 4),
            Element::Year => self.number(year.abs() % 100, 2),
            Element::UpperHalf => self.out.push_str(if hour >= 12 { "PM" } else { "AM" }),
            Element::LowerHalf => self.out.push_str(if hour >= 12 { "pm" } else { "am" }),
            Element::ZoneName if self.zone.is_empty() => self.offset(OffsetForm::Minutes),
            Element::ZoneName => self.out.push_str(self.zone),
            Element::Offset { z_for_utc: true, .. } if self.offset == 0 => self.out.push('Z'),
            Element::Offset { form, .. } => self.offset(form),
            Element::Fraction { digits, separator, trimmed } => self.fraction(digits, separator, trimmed),
        }
    }

    /// With zeros before it.
    fn number(&mut self, value: i64, width: usize) {
        if value < 0 {
            self.out.push('-');
        }
        // Writing to a string doesn't fail.
        let _ = write!(self.out, "{:0width$}", value.unsigned_abs());
    }

    fn spaced(&mut self, value: i64, width: usize) {
        let _ = write!(self.out, "{value:width$}");
    }

    fn offset(&mut self, form: OffsetForm) {
        let minutes = self.offset / 60;
        // Less than a minute west is east.
        self.out.push(if minutes < 0 { '-' } else { '+' });
        let (hours, minutes, seconds) = (minutes.abs() / 60, minutes.abs() % 60, (self.offset % 60).abs());
        let seconds = if self.offset < 0 && self.offset > -60 { self.offset % 60 } else { seconds };
        let colon = if matches!(form, OffsetForm::ColonMinutes | OffsetForm::ColonSeconds) { ":" } else { "" };
        self.number(hours, 2);
        if form == OffsetForm::Hours {
            return;
        }
        self.out.push_str(colon);
        self.number(minutes, 2);
        if matches!(form, OffsetForm::Seconds | OffsetForm::ColonSeconds) {
            self.out.push_str(colon);
            self.number(seconds, 2);
        }
    }

    fn fraction(&mut self, digits: usize, separator: u8, trimmed: bool) {
        let nanos = format!("{:09}", self.local.nanos);
        let kept = nanos.get(..digits.min(9)).unwrap_or_default();
        let kept = if trimmed { kept.trim_end_matches('0') } else { kept };
        if !trimmed || !kept.is_empty() {
            self.out.push(char::from(separator));
            self.out.push_str(kept);
        }
    }
}

/// What has been read; year and clock begin at 0, the others are unknown at first.
#[derive(Default)]
struct Fields {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanos: i64,
    morning: bool,
    afternoon: bool,
    /// An offset was `Z`, or a zone UTC.
    utc: bool,
    offset: Option<i64>,
}

struct Reader<'a> {
    rest: &'a [u8],
    fields: Fields,
}

/// Why an element can't be read.
enum Unreadable {
    Malformed,
    OutOfRange(&'static str),
}

// === impl Reader ===

impl<'a> Reader<'a> {
    fn read(mut self, layout: &[u8], text: &[u8]) -> Result<Instant, String> {
        let cannot = |value: &[u8], element: &[u8]| {
            let (text, layout) = (quoted_bytes(text), quoted_bytes(layout));
            let (value, element) = (quoted_bytes(value), quoted_bytes(element));
            format!("parsing time {text} as {layout}: cannot parse {value} as {element}")
        };
        let wrong = |what: &str| format!("parsing time {}: {what}", quoted_bytes(text));
        let mut layout_rest = layout;
        while let Some(chunk) = next_chunk(layout_rest) {
            let (before, behind) = layout_rest.split_at_checked(chunk.end).unwrap_or((layout_rest, b""));
            let (plain, element) = before.split_at_checked(chunk.start).unwrap_or((before, b""));
            if !self.skip(plain) {
                return Err(cannot(self.rest, plain));
            }
            let held = self.rest;
            self.element(chunk.element, behind).map_err(|why| match why {
                Unreadable::Malformed => cannot(held, element),
                Unreadable::OutOfRange(what) => wrong(&format!("{what} out of range")),
            })?;
            layout_rest = behind;
        }
        if !self.skip(layout_rest) {
            return Err(cannot(self.rest, layout_rest));
        }
        if !self.rest.is_empty() {
            return Err(wrong(&format!("extra text: {}", quoted_bytes(self.rest))));
        }
        self.fields.instant().map_err(wrong)
    }

    /// Past `plain`, for which any number of spaces is as good as another; at the end of the text even none.
    fn skip(&mut self, mut plain: &[u8]) -> bool {
        while let Some((first, tail)) = plain.split_first() {
            if *first == b' ' {
                if self.rest.first().is_some_and(|byte| *byte != b' ') {
                    return false;
                }
                plain = without_spaces(plain);
                self.rest = without_spaces(self.rest);
            } else {
                let Some(rest) = self.rest.strip_prefix(&[*first]) else { return false };
                plain = tail;
                self.rest = rest;
            }
        }
        true
    }

    /// `behind` is what follows in the layout.
    fn element(&mut self, element: Element, behind: &[u8]) -> Result<(), Unreadable> {
        match element {
            Element::LongMonth => self.fields.month = Some(self.name(&MONTHS, true)? + 1),
            Element::Month => self.fields.month = Some(self.name(&MONTHS, false)? + 1),
            Element::NumMonth | Element::ZeroMonth => {
                let month = self.number(element == Element::ZeroMonth)?;
                self.fields.month = Some(within(month, 1..=12, "month")?);
            }
            Element::LongWeekday => _ = self.name(&super::WEEKDAYS, true)?,
            Element::Weekday => _ = self.name(&super::WEEKDAYS, false)?,
            Element::Day | Element::SpaceDay | Element::ZeroDay => {
                if element == Element::SpaceDay {
                    self.space();
                }
                self.fields.day = Some(self.number(element == Element::ZeroDay)?);
            }
            Element::SpaceYearDay => {
                self.space();
                self.space();
                self.fields.year_day = Some(self.three_digits(false)?);
            }
            Element::ZeroYearDay => self.fields.year_day = Some(self.three_digits(true)?),
            Element::Hour => self.fields.hour = within(self.number(false)?, 0..=23, "hour")?,
            Element::Hour12 | Element::ZeroHour12 => {
                self.fields.hour = within(self.number(element == Element::ZeroHour12)?, 0..=12, "hour")?;
            }
            Element::Minute | Element::ZeroMinute => {
                self.fields.minute = within(self.number(element == Element::ZeroMinute)?, 0..=59, "minute")?;
            }
            Element::Second | Element::ZeroSecond => {
                self.fields.second = within(self.number(element == Element::ZeroSecond)?, 0..=59, "second")?;
                let expected = next_chunk(behind).is_some_and(|next| matches!(next.element, Element::Fraction { .. }));
                if !expected {
                    self.any_fraction()?;
                }
            }
            Element::LongYear => {
                self.rest.first().filter(|digit| digit.is_ascii_digit()).ok_or(Unreadable::Malformed)?;
                self.fields.year = signed(self.take(4)?)?;
            }
            Element::Year => {
                let year = signed(self.take(2)?)?;
                self.fields.year = year + if year >= 69 { 1_900 } else { 2_000 };
            }
            Element::UpperHalf => self.half(b"AM", b"PM")?,
            Element::LowerHalf => self.half(b"am", b"pm")?,
            Element::ZoneName => match self.rest.strip_prefix(b"UTC") {
                Some(rest) => {
                    self.fields.utc = true;
                    self.rest = rest;
                }
                None => _ = self.take(zone_name_len(self.rest).ok_or(Unreadable::Malformed)?)?,
            },
            Element::Offset { form, z_for_utc } => match self.rest.strip_prefix(b"Z").filter(|_| z_for_utc) {
                Some(rest) => {
                    self.fields.utc = true;
                    self.rest = rest;
                }
                None => self.offset(form)?,
            },
            Element::Fraction { trimmed: true, .. } => self.any_fraction()?,
            Element::Fraction { digits, .. } => self.fields.nanos = nanoseconds(self.take(1 + digits)?)?,
        }
        Ok(())
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Unreadable> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Unreadable::Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn space(&mut self) {
        self.rest = self.rest.strip_prefix(b" ").unwrap_or(self.rest);
    }

    /// The index of a name in the list, in upper or lower case.
    fn name(&mut self, list: &[&'static str], long: bool) -> Result<i64, Unreadable> {
        for index in 0..list.len() {
            let name = name(list, index, long);
            if let Some((start, rest)) = self.rest.split_at_checked(name.len())
                && start.eq_ignore_ascii_case(name.as_bytes())
            {
                self.rest = rest;
                return Ok(i64::try_from(index).unwrap_or_default());
            }
        }
        Err(Unreadable::Malformed)
    }

    /// How many digits follow, up to `max`.
    fn digits(&self, max: usize) -> usize {
        self.rest.iter().take(max).take_while(|byte| byte.is_ascii_digit()).count()
    }

    /// Of two digits, or one unless `fixed`.
    fn number(&mut self, fixed: bool) -> Result<i64, Unreadable> {
        match self.digits(2) {
            0 => Err(Unreadable::Malformed),
            1 if fixed => Err(Unreadable::Malformed),
            digits => signed(self.take(digits)?),
        }
    }

    /// Of three digits, or fewer unless `fixed`.
    fn three_digits(&mut self, fixed: bool) -> Result<i64, Unreadable> {
        match self.digits(3) {
            0 => Err(Unreadable::Malformed),
            1 | 2 if fixed => Err(Unreadable::Malformed),
            digits => signed(self.take(digits)?),
        }
    }

    /// Of however many digits, if there is one.
    fn any_fraction(&mut self) -> Result<(), Unreadable> {
        let [b'.' | b',', digits @ ..] = self.rest else { return Ok(()) };
        let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count > 0 {
            self.fields.nanos = nanoseconds(self.take(1 + count)?)?;
        }
        Ok(())
    }

    fn half(&mut self, morning: &[u8], afternoon: &[u8]) -> Result<(), Unreadable> {
        let half = self.take(2)?;
        self.fields.morning |= half == morning;
        self.fields.afternoon |= half == afternoon;
        if half == morning || half == afternoon { Ok(()) } else { Err(Unreadable::Malformed) }
    }

    fn offset(&mut self, form: OffsetForm) -> Result<(), Unreadable> {
        let (sign, parts, len) = match (form, self.rest) {
            (OffsetForm::Hours, [sign, a, b, ..]) => (sign, [[*a, *b], *b"00", *b"00"], 3),
            (OffsetForm::Minutes, [sign, a, b, c, d, ..]) => (sign, [[*a, *b], [*c, *d], *b"00"], 5),
            (OffsetForm::ColonMinutes, [sign, a, b, b':', c, d, ..]) => (sign, [[*a, *b], [*c, *d], *b"00"], 6),
            (OffsetForm::Seconds, [sign, a, b, c, d, e, f, ..]) => (sign, [[*a, *b], [*c, *d], [*e, *f]], 7),
            (OffsetForm::ColonSeconds, [sign, a, b, b':', c, d, b':', e, f, ..]) => {
                (sign, [[*a, *b], [*c, *d], [*e, *f]], 9)
            }
            _ => return Err(Unreadable::Malformed),
        };
        // Behind the first that is no number none is read, but one out of range before it is what is reported.
        let readable = parts.iter().take_while(|part| part.iter().all(u8::is_ascii_digit)).count();
        let value = |index: usize| match parts.get(index) {
            Some([tens, ones]) if index < readable => i64::from(tens - b'0') * 10 + i64::from(ones - b'0'),
            _ => 0,
        };
        let (hours, minutes, seconds) = (value(0), value(1), value(2));
        within(seconds, 0..=60, "time zone offset second")?;
        within(minutes, 0..=60, "time zone offset minute")?;
        within(hours, 0..=24, "time zone offset hour")?;
        let east = (hours * 60 + minutes) * 60 + seconds;
        let offset = match sign {
            b'+' => east,
            b'-' => -east,
            _ => return Err(Unreadable::Malformed),
        };
        if readable < parts.len() {
            return Err(Unreadable::Malformed);
        }
        self.take(len)?;
        // Go marks an unknown offset with -1.
        self.fields.offset = (offset != -1).then_some(offset);
        Ok(())
    }
}

fn without_spaces(text: &[u8]) -> &[u8] {
    let spaces = text.iter().take_while(|byte| **byte == b' ').count();
    text.get(spaces..).unwrap_or_default()
}

fn within(value: i64, range: std::ops::RangeInclusive<i64>, what: &'static str) -> Result<i64, Unreadable> {
    if range.contains(&value) { Ok(value) } else { Err(Unreadable::OutOfRange(what)) }
}

/// Of a few digits, perhaps behind a sign. None at all are 0.
fn signed(text: &[u8]) -> Result<i64, Unreadable> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', digits)) => (true, digits),
        Some((b'+', digits)) => (false, digits),
        _ => (false, text),
    };
    if !digits.iter().all(u8::is_ascii_digit) {
        return Err(Unreadable::Malformed);
    }
    let value = digits.iter().fold(0_i64, |value, digit| value.wrapping_mul(10).wrapping_add(i64::from(digit - b'0')));
    Ok(if negative { -value } else { value })
}

/// Of a point or comma and digits, of which nine count.
fn nanoseconds(text: &[u8]) -> Result<i64, Unreadable> {
    let [b'.' | b',', digits @ ..] = text else { return Err(Unreadable::Malformed) };
    let digits = digits.get(..9).unwrap_or(digits);
    let value = within(signed(digits)?, 0..=999_999_999, "fractional second")?;
    Ok((digits.len()..9).fold(value, |value, _| value * 10))
}

/// How long the abbreviation of a zone is that `text` begins with.
fn zone_name_len(text: &[u8]) -> Option<usize> {
    if text.len() < 3 {
        return None;
    }
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_hours_len(rest));
    }
    if let [b'+' | b'-', ..] = text {
        return Some(signed_hours_len(text)).filter(|len| *len > 0);
    }
    match text.iter().take(6).take_while(|byte| byte.is_ascii_uppercase()).count() {
        3 => Some(3),
        4 if text.get(3) == Some(&b'T') || text.starts_with(b"WITA") => Some(4),
        5 if text.get(4) == Some(&b'T') => Some(5),
        _ => None,
    }
}

/// How long the sign and the number up to 23 are that `text` begins with.
fn signed_hours_len(text: &[u8]) -> usize {
    let [b'+' | b'-', rest @ ..] = text else { return 0 };
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = rest.get(..count).unwrap_or_default();
    let value =
        digits.iter().fold(0_u32, |value, digit| value.saturating_mul(10).saturating_add(u32::from(digit - b'0')));
    if count == 0 || value > 23 { 0 } else { 1 + count }
}

// === impl Fields ===

impl Fields {
    /// # Errors
    /// There is no such day.
    fn instant(&self) -> Result<Instant, &'static str> {
        let (month, day) = match self.year_day {
            Some(year_day) => {
                let (month, day) = self.month_and_day(year_day)?;
                if self.month.is_some_and(|said| said != month) {
                    return Err("day-of-year does not match month");
                }
                if self.day.is_some_and(|said| said != day) {
                    return Err("day-of-year does not match day");
                }
                (month, day)
            }
            None => (self.month.unwrap_or(1), self.day.unwrap_or(1)),
        };
        if !(1..=civil::days_in(month, self.year)).contains(&day) {
            return Err("day out of range");
        }
        let hour = match self.hour {
            hour if self.afternoon && hour < 12 => hour + 12,
            12 if self.morning && !self.afternoon => 0,
            hour => hour,
        };
        let date = Date { year: self.year, month, day };
        let seconds = civil::unix_seconds(date, [hour, self.minute, self.second]);
        let offset = if self.utc { 0 } else { self.offset.unwrap_or(0) };
        Ok(Instant { seconds: seconds - offset, nanos: self.nanos })
    }

    fn month_and_day(&self, mut year_day: i64) -> Result<(i64, i64), &'static str> {
        if civil::is_leap(self.year) {
            if year_day == 60 {
                return Ok((2, 29));
            }
            if year_day > 60 {
                year_day -= 1;
            }
        }
        if !(1..=365).contains(&year_day) {
            return Err("day-of-year out of range");
        }
        let guess = (year_day - 1) / 31 + 1;
        let month = if civil::days_before(guess + 1) < year_day { guess + 1 } else { guess };
        Ok((month, year_day - civil::days_before(month)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nanos(layout: &str, text: &str) -> Result<i64, String> {
        parse(layout, text).map(|instant| instant.to_nanos().unwrap())
    }

    #[test]
    fn read_as_in_go() {
        for (layout, text, expected) in [
            ("2006-01-02T15:04:05Z07:00", "2024-02-29T00:00:00Z", 1_709_164_800_000_000_000),
            ("2006-01-02T15:04:05Z07:00", "2024-02-29T1:00:00,25+24:60", 1_709_078_400_250_000_000),
            ("Mon Jan _2 15:04:05 MST 2006", "tue FEB  6  3:04:05 EST 2024", 1_707_188_645_000_000_000),
            ("02 Jan 06 3:04pm", "06 Feb 69 12:04am", -28_425_360_000_000_000),
            ("2006-002", "2024-060", 1_709_164_800_000_000_000),
            ("2006 __2", "2023  59", 1_677_542_400_000_000_000),
            ("2006.000", "2024.001", 1_704_067_200_001_000_000),
            ("2006-01-02 -07:00:00", "2024-02-29 -00:00:01", 1_709_164_800_000_000_000),
            ("2006 MST", "2024 GMT+03", 1_704_067_200_000_000_000),
        ] {
            assert_eq!(nanos(layout, text), Ok(expected), "{layout} {text}");
        }
    }

    #[test]
    fn refused_in_gos_words() {
        for (layout, text, expected) in [
            ("2006", "20x4", r#"parsing time "20x4" as "2006": cannot parse "20x4" as "2006""#),
            ("2006-01", "2024/01", r#"parsing time "2024/01" as "2006-01": cannot parse "/01" as "-""#),
            ("2006-01-02", "2023-02-29", r#"parsing time "2023-02-29": day out of range"#),
            ("2006-01", "2024-13", r#"parsing time "2024-13": month out of range"#),
            ("2006", "20245", r#"parsing time "20245": extra text: "5""#),
            ("Jan", "J\u{e4}n", r#"parsing time "J\xc3\xa4n" as "Jan": cannot parse "J\xc3\xa4n" as "Jan""#),
            ("-0700", "+2560", r#"parsing time "+2560": time zone offset hour out of range"#),
        ] {
            assert_eq!(nanos(layout, text), Err(expected.to_owned()), "{layout} {text}");
        }
    }

    #[test]
    fn written_as_in_go() {
        let instant = Instant::from_nanos(1_709_164_800_123_450_000);
        for (layout, expected) in [
            ("Mon Jan _2 15:04:05 MST 2006", "Thu Feb 29 05:45:00 +0545 2024"),
            ("Monday, January 2, 06 3PM 03pm", "Thursday, February 29, 24 5AM 05am"),
            ("2006-01-02T15:04:05.999999999Z07:00", "2024-02-29T05:45:00.12345+05:45"),
            ("05.000 ,9999 .0000000000 -07 -070000", "00.123 ,1234 .123450000 +05 +054500"),
            ("__2 002 _2006 Month Janus 0000", " 60 060 _2024 Month Janus 0000"),
            ("\u{e9}1\u{e9}4", "\u{e9}2\u{e9}45"),
        ] {
            assert_eq!(format(layout, instant, "+0545", 20_700), expected, "{layout}");
        }
    }
}
