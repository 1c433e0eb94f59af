//! Dates and instants of the proleptic Gregorian calendar, with the arithmetic of Go's `time`: it wraps around where dates
//! are absurd, so that even those come out as OPA has them.

/// Go counts from 1 March of this year before year 0, so that no count is negative.
const ABSOLUTE_YEARS: u64 = 292_277_022_400;
const SECONDS_PER_DAY: i64 = 86_400;
/// From Go's beginning of time to 1970, in seconds.
const ABSOLUTE_TO_UNIX: i64 = -(106_751_990_354_238 + 719_162) * SECONDS_PER_DAY;
/// From 1 January of year 1 to 1970, in seconds.
const INTERNAL_TO_UNIX: i64 = 719_162 * SECONDS_PER_DAY;
/// Days from March to December.
const MARCH_THROUGH_DECEMBER: u32 = 306;

const NANOS: i64 = 1_000_000_000;

/// A point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::eval::builtins) struct Instant {
    /// Since 1970.
    pub(super) seconds: i64,
    /// Not negative.
    pub(super) nanos: i64,
}

/// A day. Month and day count from 1, and may be out of range where a date is being computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Date {
    pub(super) year: i64,
    pub(super) month: i64,
    pub(super) day: i64,
}

/// Of a day, as if in UTC, normalised: 32 January is 1 February.
pub(super) fn unix_seconds(date: Date, [hour, minute, second]: [i64; 3]) -> i64 {
    let (year, month) = carry(date.year, date.month.wrapping_sub(1), 12);
    let days = absolute_days(year, month + 1, date.day).cast_signed();
    let clock = hour * 3_600 + minute * 60 + second;
    days.wrapping_mul(SECONDS_PER_DAY).wrapping_add(clock).wrapping_add(ABSOLUTE_TO_UNIX)
}

/// Year, and day of the year from 1, of what is an instant in UTC.
pub(super) fn year_and_day(seconds: i64) -> (i64, i64) {
    let day = Day::of(seconds);
    let is_jan_feb = i64::from(day.is_jan_feb());
    let is_leap = day.year_of_century.is_multiple_of(4) && (day.year_of_century != 0 || day.century.is_multiple_of(4));
    let leap = i64::from(is_leap) & !is_jan_feb;
    (day.year(), i64::from(day.from_march) + 60 + leap - 365 * is_jan_feb)
}

pub(super) fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days of a year that is no leap year before its `month`, which may be 13.
pub(super) fn days_before(month: i64) -> i64 {
    (214 * month - 211) / 7 + if month >= 3 { -2 } else { 0 }
}

pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// `low` within `0..base`, and what is beyond it in `high`.
fn carry(mut high: i64, mut low: i64, base: i64) -> (i64, i64) {
    if low < 0 {
        let n = low.wrapping_neg().wrapping_sub(1) / base + 1;
        high = high.wrapping_sub(n);
        low = low.wrapping_add(n.wrapping_mul(base));
    }
    if low >= base {
        let n = low / base;
        high = high.wrapping_add(n);
        low = low.wrapping_sub(n.wrapping_mul(base));
    }
    (high, low)
}

fn absolute_days(year: i64, month: i64, day: i64) -> u64 {
    let jan_feb = u64::from(month < 3);
    let year = year.cast_unsigned().wrapping_sub(jan_feb).wrapping_add(ABSOLUTE_YEARS);
    let month = month + if month < 3 { 12 } else { 0 };
    let from_march = (979 * month - 2_919) >> 5;
    let century_days = (year / 100).wrapping_mul(146_097) / 4;
    let year_days = (year % 100).cast_signed() * 1_461 / 4;
    century_days.wrapping_add((year_days + from_march).wrapping_add(day).wrapping_sub(1).cast_unsigned())
}

/// A day in years that begin in March.
struct Day {
    days: u64,
    century: u64,
    year_of_century: u32,
    from_march: u32,
}

// === impl Day ===

impl Day {
    fn of(seconds: i64) -> Self {
        let absolute = seconds.wrapping_sub(ABSOLUTE_TO_UNIX).cast_unsigned();
        let days = absolute / SECONDS_PER_DAY.unsigned_abs();
        let quarters = 4 * days + 3;
        // Days of the century, times four; fits, as the rest of a small division does.
        let rest = u32::try_from(quarters % 146_097).unwrap_or_default() | 3;
        Self { days, century: quarters / 146_097, year_of_century: rest / 1_461, from_march: rest % 1_461 / 4 }
    }

    fn is_jan_feb(&self) -> bool {
        self.from_march >= MARCH_THROUGH_DECEMBER
    }

    fn year(&self) -> i64 {
        let century = self.century.wrapping_mul(100).wrapping_sub(ABSOLUTE_YEARS).cast_signed();
        century.wrapping_add(i64::from(self.year_of_century) + i64::from(self.is_jan_feb()))
    }
}

// === impl Instant ===

impl Instant {
    pub(super) fn from_nanos(nanos: i64) -> Self {
        Self { seconds: nanos.div_euclid(NANOS), nanos: nanos.rem_euclid(NANOS) }
    }

    /// None outside of what 64 bits hold.
    pub(super) fn to_nanos(self) -> Option<i64> {
        let internal = |instant: Self| (instant.seconds.wrapping_add(INTERNAL_TO_UNIX), instant.nanos);
        let range = internal(Self::from_nanos(i64::MIN))..=internal(Self::from_nanos(i64::MAX));
        let in_range = range.contains(&internal(self));
        in_range.then(|| self.seconds.wrapping_mul(NANOS).wrapping_add(self.nanos))
    }

    pub(super) fn date(self) -> Date {
        let day = Day::of(self.seconds);
        let scaled = 2_141 * day.from_march + 197_913;
        let month = i64::from(scaled >> 16) - if day.is_jan_feb() { 12 } else { 0 };
        Date { year: day.year(), month, day: 1 + i64::from((scaled & 0xffff) / 2_141) }
    }

    /// Hour, minute and second.
    pub(super) fn clock(self) -> [i64; 3] {
        let seconds = self.seconds.wrapping_sub(ABSOLUTE_TO_UNIX).cast_unsigned() % SECONDS_PER_DAY.unsigned_abs();
        let seconds = seconds.cast_signed();
        [seconds / 3_600, seconds / 60 % 60, seconds % 60]
    }

    /// Since Sunday.
    pub(super) fn weekday(self) -> usize {
        // Go's beginning of time was a Wednesday.
        usize::try_from((Day::of(self.seconds).days + 3) % 7).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_of_four_centuries_comes_back() {
        let mut date = Date { year: 1_850, month: 1, day: 1 };
        let mut seconds = unix_seconds(date, [0; 3]);
        assert_eq!(seconds, -3_786_825_600);
        while date.year < 2_263 {
            let instant = Instant { seconds: seconds + 3_723, nanos: 0 };
            assert_eq!(instant.date(), date);
            assert_eq!(instant.clock(), [1, 2, 3]);
            assert_eq!(unix_seconds(date, [0; 3]), seconds);
            let day_of_year = days_before(date.month) + date.day + i64::from(date.month > 2 && is_leap(date.year));
            assert_eq!(year_and_day(seconds), (date.year, day_of_year));
            date.day += 1;
            if date.day > days_in(date.month, date.year) {
                date = Date { year: date.year, month: date.month + 1, day: 1 };
            }
            if date.month > 12 {
                date = Date { year: date.year + 1, month: 1, day: 1 };
            }
            seconds += SECONDS_PER_DAY;
        }
    }

    #[test]
    fn nanoseconds_hold_what_they_can() {
        for nanos in [i64::MIN, -1, 0, 1, i64::MAX] {
            assert_eq!(Instant::from_nanos(nanos).to_nanos(), Some(nanos));
        }
        let last = Instant::from_nanos(i64::MAX);
        assert_eq!(Instant { nanos: last.nanos + 1, ..last }.to_nanos(), None);
    }
}
