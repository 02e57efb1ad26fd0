//! The `Retry-After` header (RFC 9110 section 10.2.3).

use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, HeaderName, RETRY_AFTER};

/// A longer time is cut to this.
const MAX_RETRY_AFTER: u64 = 300;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the time that a response asks to wait for, in whole seconds.
///
/// A date is compared with the response's own `Date`, or else with the time of this machine. A
/// fraction, which the RFC does not allow, is rounded up.
pub(crate) fn retry_after(headers: &HeaderMap, unix_time: Duration) -> Option<Duration> {
    let value = header(headers, &RETRY_AFTER)?;
    let seconds = seconds(value).or_else(|| {
        let date = http_date(value)?;
        let now = header(headers, &DATE).and_then(http_date).unwrap_or(unix_time.as_secs());
        Some(date.saturating_sub(now))
    })?;
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

fn seconds(value: &str) -> Option<u64> {
    let (whole, fraction) = value.split_once('.').unwrap_or((value, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) {
        return None;
    }
    let has_fraction = fraction.bytes().any(|digit| digit != b'0');
    // Digits that do not fit are a long time.
    let whole: u64 = whole.parse().unwrap_or(u64::MAX);
    Some(whole.saturating_add(has_fraction.into()))
}

/// Parses an IMF-fixdate, such as `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110 section 5.6.7), into
/// seconds since 1970-01-01T00:00:00Z. The two obsolete formats are not read, and neither are dates
/// before 1970.
fn http_date(value: &str) -> Option<u64> {
    let mut parts = value.strip_suffix(" GMT")?.split_once(", ")?.1.split([' ', ':']);
    let day = number(parts.next()?, 2)?;
    let name = parts.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year = number(parts.next()?, 4)?;
    let hour = number(parts.next()?, 2)?;
    let minute = number(parts.next()?, 2)?;
    let second = number(parts.next()?, 2)?;
    let is_valid = (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !is_valid || year < 1970 || parts.next().is_some() {
        return None;
    }
    let days = days_before(year, u64::try_from(month).ok()?) + day - 1;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

fn number(digits: &str, length: usize) -> Option<u64> {
    let is_number = digits.len() == length && digits.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}

/// Returns the days from 1970-01-01 to the first day of a month, counted from 0, of the Gregorian
/// calendar.
fn days_before(year: u64, month: u64) -> u64 {
    // A year that begins in March ends with the day that leap years add.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days_of_months = (153 * month + 2) / 5;
    365 * year + year / 4 - year / 100 + year / 400 + days_of_months - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-29T00:00:00Z, a Sunday.
    const NOW: u64 = 1_795_910_400;

    #[test]
    fn seconds_fractions_and_dates_are_read_and_cut() {
        let rows = [
            ("0", Some(0)),
            (" 7 ", Some(7)),
            ("300", Some(300)),
            ("301", Some(300)),
            ("18446744073709551616", Some(300)),
            ("1.5", Some(2)),
            ("1.0", Some(1)),
            ("0.001", Some(1)),
            ("Sun, 29 Nov 2026 00:00:09 GMT", Some(9)),
            ("Sun, 29 Nov 2026 00:00:00 GMT", Some(0)),
            ("Sat, 28 Nov 2026 23:59:59 GMT", Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(300)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 1969 23:59:59 GMT", None),
            ("Sun, 29 Nov 2026 00:00:09 +0000", None),
            ("Sun, 29 Nov 2026 24:00:09 GMT", None),
            ("Sun, 00 Nov 2026 00:00:09 GMT", None),
            ("Sun, 29 nov 2026 00:00:09 GMT", None),
            ("Sun, 29 Nov 2026 00:00:09:01 GMT", None),
            ("Sunday, 29-Nov-26 00:00:09 GMT", None),
            ("Sun Nov 29 00:00:09 2026", None),
            ("-5", None),
            ("+5", None),
            ("1.", None),
            (".5", None),
            ("1e3", None),
            ("1.5.1", None),
            ("", None),
            ("soon", None),
        ];
        for (value, expected) in rows {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            let read = retry_after(&headers, Duration::from_secs(NOW));
            assert_eq!(read.map(|time| time.as_secs()), expected, "{value}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), Duration::ZERO), None);
    }

    #[test]
    fn a_date_is_compared_with_the_clock_of_the_server() {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, "Sun, 29 Nov 2026 00:00:09 GMT".parse().unwrap());
        headers.insert(DATE, "Sun, 29 Nov 2026 00:00:02 GMT".parse().unwrap());
        assert_eq!(retry_after(&headers, Duration::ZERO), Some(Duration::from_secs(7)));
    }

    #[test]
    fn dates_are_days_of_the_gregorian_calendar() {
        let rows = [
            ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
            ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777),
            ("Tue, 29 Feb 2000 12:00:00 GMT", 951_825_600),
            ("Wed, 01 Mar 2000 00:00:00 GMT", 951_868_800),
            ("Sun, 28 Feb 2100 23:59:59 GMT", 4_107_542_399),
            ("Mon, 01 Mar 2100 00:00:00 GMT", 4_107_542_400),
        ];
        for (date, expected) in rows {
            assert_eq!(http_date(date), Some(expected), "{date}");
        }
    }
}
