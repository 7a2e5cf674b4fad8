//! Days and spans of time in a filter, in the zone of whoever asks.

use crate::error::quoted;
use crate::proto::UnixMs;

const DAY: i64 = 86_400_000;

/// The present moment and the zone, as they are passed in.
#[derive(Clone, Copy)]
pub struct Calendar<'a> {
    pub now: UnixMs,
    /// By how many seconds clocks are ahead of UTC at a moment.
    pub offset: &'a dyn Fn(UnixMs) -> i32,
}

/// What a text means; `None`: nothing is written yet.
pub(super) fn read(text: &str, calendar: &Calendar<'_>) -> Result<Option<UnixMs>, String> {
    let lower = text.trim().trim_start_matches(['=', '>', '<']).to_lowercase();
    match lower.as_str() {
        "" => return Ok(None),
        "today" => return Ok(Some(calendar.midnight(0))),
        "yesterday" => return Ok(Some(calendar.midnight(-1))),
        half if ["today", "yesterday"].iter().any(|word| word.starts_with(half)) => return Ok(None),
        _ => {}
    }
    if let Some(span) = span(&lower) {
        return Ok(Some(calendar.now.saturating_sub(span)));
    }
    match date(&lower) {
        Some(Some(days)) => Ok(Some(calendar.begin(days))),
        // The year is still being typed.
        Some(None) => Ok(None),
        None => Err(format!("{} is no day: write 2026-11-01, today, yesterday, or how long ago: 7d, 2w.", quoted(text))),
    }
}

impl Calendar<'_> {
    /// When the day began that is `after` days from today.
    fn midnight(&self, after: i64) -> UnixMs {
        let here = self.now + i64::from((self.offset)(self.now)) * 1_000;
        self.begin(here.div_euclid(DAY) + after)
    }

    /// When a day begins here, counted from 1 January 1970.
    fn begin(&self, days: i64) -> UnixMs {
        let there = days.saturating_mul(DAY);
        let guess = there - i64::from((self.offset)(there)) * 1_000;
        // Where clocks were changed in between, the offset is that of the moment itself.
        there - i64::from((self.offset)(guess)) * 1_000
    }
}

/// `12h`, `7d`, `2w`, `3m`, `1y` in milliseconds; a month is 30 days.
fn span(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(text.len() - text.chars().next_back().map_or(0, char::len_utf8));
    let unit = match unit {
        "h" => DAY / 24,
        "d" => DAY,
        "w" => 7 * DAY,
        "m" => 30 * DAY,
        "y" => 365 * DAY,
        _ => return None,
    };
    let number: i64 = number.parse().ok().filter(|number| *number >= 0)?;
    number.checked_mul(unit)
}

/// `2026-11-01`, or the first day of `2026-11` or `2026`, in days since 1970. `Some(None)`: not written to the end.
fn date(text: &str) -> Option<Option<i64>> {
    if !text.chars().all(|c| c.is_ascii_digit() || c == '-') || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let mut parts = text.split('-');
    let year = parts.next()?;
    let (month, day) = (parts.next(), parts.next());
    if parts.next().is_some() || year.len() > 4 {
        return None;
    }
    if year.len() < 4 {
        return month.is_none().then_some(None);
    }
    let year: i64 = year.parse().ok()?;
    let number = |part: Option<&str>, most: i64| match part {
        None | Some("" | "0") => Some(1),
        Some(part) if part.len() <= 2 => part.parse().ok().filter(|number| (1..=most).contains(number)),
        Some(_) => None,
    };
    let month = number(month, 12)?;
    let day = number(day, month_days(year, month))?;
    Some(Some(days(year, month, day)))
}

fn month_days(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1 January 1970 to a day of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, so that the day that leap years have more is their last.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (153 * month + 2) / 5 + day - 719_469
}
