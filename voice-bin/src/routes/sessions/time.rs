//! Times as the API writes and reads them: RFC 3339, in UTC, with milliseconds.

use voice_core::time::UnixMillis;

const DAY_MS: i64 = 86_400_000;

/// `2026-11-21T10:22:19.123Z`.
pub(crate) fn rfc3339(at: UnixMillis) -> String {
    let (days, of_day) = (at.0.div_euclid(DAY_MS), at.0.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Back; up to nine digits of a second may be given, of which milliseconds count. Only UTC is understood.
pub(crate) fn parse(text: &str) -> Option<UnixMillis> {
    let text = text.strip_suffix(['Z', 'z'])?;
    let (date, time) = text.split_once(['T', 't'])?;
    let mut parts = date.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut clock = time.split(':');
    let (hour, minute, second) =
        (digits(clock.next()?, 2)?, digits(clock.next()?, 2)?, digits(clock.next()?, 2)?);
    let is_fraction = (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    let is_more = parts.next().is_some() || clock.next().is_some();
    if is_more || !is_fraction || hour > 23 || minute > 59 || second > 59 || year < 1 {
        return None;
    }
    let days = days(year, month, day)?;
    let millis: i64 = format!("{fraction:0<3}")[..3].parse().ok()?;
    Some(UnixMillis(days * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1_000 + millis))
}

fn digits(text: &str, count: usize) -> Option<i64> {
    let is_number = text.len() == count && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// Days since 1970 to year, month and day of the Gregorian calendar; years are counted from March, so that
/// the odd day is at the end.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

/// Back again, if there is such a day.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let from_march = if month > 2 { month - 3 } else { month + 9 };
    let shifted = if month > 2 { year } else { year - 1 };
    let era = shifted.div_euclid(400);
    let of_era = shifted.rem_euclid(400);
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    (date(days) == (year, month, day)).then_some(days)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_and_read() {
        for (at, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_256_539_123, "2026-11-21T10:22:19.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
        ] {
            assert_eq!(rfc3339(UnixMillis(at)), text);
            assert_eq!(parse(text), Some(UnixMillis(at)), "{text}");
        }
        assert_eq!(parse("1970-01-01T00:00:01.5Z"), Some(UnixMillis(1_500)));
        assert_eq!(parse("1970-01-01t00:00:01z"), Some(UnixMillis(1_000)));
    }

    #[test]
    fn every_day_of_four_hundred_years_comes_back() {
        for day in -73_000..73_100 {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), Some(day));
        }
    }

    #[test]
    fn what_is_no_time_is_not_taken_for_one() {
        for wrong in [
            "",
            "2026-11-21",
            "2026-11-21T10:22:19",
            "2026-11-21T10:22:19+01:00",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T10:60:00Z",
            "2026-11-21T10:22:19.Z",
            "2026-11-21T10:22:19.1234567890Z",
            "2026-11-21T10:22:19.12é4Z",
            "+026-11-21T10:22:19Z",
            "2026-11-21-1T10:22:19Z",
        ] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
