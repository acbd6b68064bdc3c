//! Times as Telnyx writes them: RFC 3339 with a fraction.

/// Microseconds of Unix time, or nothing if the text is no time of this century's kind.
pub(super) fn unix_micros(text: &str) -> Option<u64> {
    let (date, time) = text.split_once(['T', ' '])?;
    let (clock, offset_secs) = split_zone(time)?;
    let mut date = date.splitn(3, '-').map(number);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, ""));
    let mut clock = clock.splitn(3, ':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let is_sane = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_sane {
        return None;
    }
    let secs = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second - offset_secs;
    u64::try_from(secs * 1_000_000 + micros(fraction)?).ok()
}

/// The time of day, and how many seconds it is ahead of UTC.
fn split_zone(time: &str) -> Option<(&str, i64)> {
    if let Some(clock) = time.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let at = time.rfind(['+', '-'])?;
    let (hours, minutes) = time[at + 1..].split_once(':')?;
    let secs = (number(hours)? * 60 + number(minutes)?) * 60;
    let is_behind = time.as_bytes().get(at) == Some(&b'-');
    (secs < 24 * 3_600).then_some((&time[..at], if is_behind { -secs } else { secs }))
}

/// Up to four digits, nothing else.
fn number(text: &str) -> Option<i64> {
    let is_number = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?
}

/// The first six digits of a fraction; finer ones are cut off.
fn micros(fraction: &str) -> Option<i64> {
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(6);
    Some(digits.fold(0, |value, digit| value * 10 + i64::from(digit - b'0')))
}

/// Days since 1970-01-01 in the Gregorian calendar: years are counted from March, so that the leap day
/// is the last of its year.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_read_to_the_microsecond() {
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2026-11-21T00:00:00.076316Z", Some(1_795_219_200_076_316)),
            ("2026-11-21T01:00:00+01:00", Some(1_795_219_200_000_000)),
            ("2026-11-20T19:00:00.5-05:00", Some(1_795_219_200_500_000)),
            ("2024-02-29T23:59:60.123456789Z", Some(1_709_251_200_123_456)),
            ("2000-03-01T00:00:00Z", Some(951_868_800_000_000)),
            ("2026-11-21T00:00:00", None),
            ("2026-13-21T00:00:00Z", None),
            ("2026-11-21", None),
            ("2026-11-21T00:00:00.x Z", None),
            ("+026-11-21T00:00:00Z", None),
            ("", None),
            ("TZ", None),
        ] {
            assert_eq!(unix_micros(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_not(text in "[0-9TZ:.+ -]{0,40}|\\PC{0,20}") {
            let _ = unix_micros(&text);
        }
    }
}
