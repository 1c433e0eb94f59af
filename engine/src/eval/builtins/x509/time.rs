//! The times of certificates, and Go's text for them.

use super::super::Failure;
use super::super::crypto::der::Der;

const UTC_TIME: u8 = 23;
const GENERALIZED_TIME: u8 = 24;

/// A moment, and the clock that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Time {
    date: Date,
    hour: i64,
    minute: i64,
    second: i64,
    /// Minutes that the clock is before UTC.
    offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Date {
    year: i64,
    month: i64,
    day: i64,
}

impl Time {
    /// The next element, which has to be a time.
    pub(super) fn read(der: &mut Der<'_>) -> Result<Self, Failure> {
        let element = der.any();
        match element.map(|element| (element.tag, element.content)) {
            Some((UTC_TIME, text)) => Self::utc(text).ok_or_else(|| Failure::error("x509: malformed UTCTime")),
            Some((GENERALIZED_TIME, text)) => {
                Self::generalized(text).ok_or_else(|| Failure::error("x509: malformed GeneralizedTime"))
            }
            _ => Err(Failure::error("x509: unsupported time format")),
        }
    }

    /// With two digits for the year, those from 50 on being before 2000; the seconds may be missing.
    pub(super) fn utc(text: &[u8]) -> Option<Self> {
        let (digits, zone) = split(text);
        let (year, rest) = digits.split_at_checked(2)?;
        let year = number(year)?;
        let year = if year >= 50 { 1900 + year } else { 2000 + year };
        match rest.len() {
            8 => Self::new(year, &[rest, b"00"].concat(), zone),
            _ => Self::new(year, rest, zone),
        }
    }

    pub(super) fn generalized(text: &[u8]) -> Option<Self> {
        let (digits, zone) = split(text);
        let (year, rest) = digits.split_at_checked(4)?;
        Self::new(number(year)?, rest, zone)
    }

    /// Month to second, two digits each, and the zone.
    fn new(year: i64, digits: &[u8], zone: &[u8]) -> Option<Self> {
        let (pairs, []) = digits.as_chunks::<2>() else { return None };
        let [month, day, hour, minute, second] = pairs else { return None };
        let pair = |pair: &[u8; 2]| number(pair);
        let (month, day) = (pair(month)?, pair(day)?);
        let (hour, minute, second) = (pair(hour)?, pair(minute)?, pair(second)?);
        let offset = match zone {
            b"Z" => 0,
            [sign @ (b'+' | b'-'), digits @ ..] if digits.len() == 4 => {
                let (hours, minutes) = digits.split_at_checked(2)?;
                let (hours, minutes) = (number(hours)?, number(minutes)?);
                // No offset is written `Z`, and sixty minutes are an hour.
                if hours > 24 || minutes > 59 || hours + minutes == 0 {
                    return None;
                }
                let offset = hours * 60 + minutes;
                if *sign == b'-' { -offset } else { offset }
            }
            _ => return None,
        };
        let valid = (1..=12).contains(&month)
            && (1..=days(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        valid.then_some(Self { date: Date { year, month, day }, hour, minute, second, offset })
    }

    /// Seconds since 1970.
    pub(super) fn unix(&self) -> i64 {
        self.date.days() * 86_400 + self.hour * 3600 + (self.minute - self.offset) * 60 + self.second
    }

    /// As `encoding/json` shows it (RFC 3339).
    pub(super) fn text(&self) -> Result<String, Failure> {
        let Date { year, month, day } = self.date;
        let (hour, minute, second) = (self.hour, self.minute, self.second);
        let offset = self.offset.abs();
        if offset >= 24 * 60 {
            return Err(Failure::error("Time.MarshalJSON: timezone hour outside of range [0,23]"));
        }
        let zone = match self.offset {
            0 => "Z".to_owned(),
            1.. => format!("+{:02}:{:02}", offset / 60, offset % 60),
            _ => format!("-{:02}:{:02}", offset / 60, offset % 60),
        };
        Ok(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{zone}"))
    }
}

impl Date {
    /// Days since 1970, in the Gregorian calendar. Years begin in March here, so that leap days end them.
    fn days(self) -> i64 {
        let (year, month) = if self.month > 2 { (self.year, self.month - 3) } else { (self.year - 1, self.month + 9) };
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        year * 365 + leap_days + (month * 153 + 2) / 5 + self.day - 1 - 719_468
    }
}

fn split(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    text.split_at_checked(digits).unwrap_or_default()
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0_i64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
}

fn days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let utc = |text: &str| Time::utc(text.as_bytes()).map(|time| (time.unix(), time.text().unwrap()));
        assert_eq!(utc("700101000000Z"), Some((0, "1970-01-01T00:00:00Z".to_owned())));
        assert_eq!(utc("2402291200Z"), Some((1_709_208_000, "2024-02-29T12:00:00Z".to_owned())));
        assert_eq!(utc("240229120000+0130"), Some((1_709_202_600, "2024-02-29T12:00:00+01:30".to_owned())));
        for bad in
            ["230229120000Z", "240001000000Z", "240101240000Z", "240101000000", "240101000000+0000", "24010100000Z"]
        {
            assert_eq!(utc(bad), None, "{bad}");
        }
        assert_eq!(Time::generalized(b"99991231235959Z").map(|time| time.unix()), Some(253_402_300_799));
        assert_eq!(Time::generalized(b"00000101000000Z").map(|time| time.unix()), Some(-62_167_219_200));
    }
}
