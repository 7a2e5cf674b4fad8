//! Figures as people read them, in few columns.
//!
//! Invariant: what is not known is `–`, an estimate begins with `~`; nothing here is wider for a larger number than it must be.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::proto::{Figure, Source, UnixMs};

/// Bytes: `98 M`, `4.9 G`.
#[must_use]
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "k", "M", "G", "T", "P"];
    let mut value = n as f64;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if unit >= 3 && value < 99.95 { format!("{value:.1} {}", UNITS[unit]) } else { format!("{value:.0} {}", UNITS[unit]) }
}

/// The size of a file: `33 B`, `4.1 kB`, `4.9 MB`.
#[must_use]
pub fn file_size(n: u64) -> String {
    match n {
        0..1000 => format!("{n} B"),
        1000..1_000_000 => format!("{:.1} kB", n as f64 / 1e3),
        _ => format!("{:.1} MB", n as f64 / 1e6),
    }
}

/// Memory in binary units, for one unit of both: `11.2/24 G`.
#[must_use]
pub fn used_of(used: u64, total: u64) -> String {
    let gib = |n: u64| n as f64 / f64::from(1u32 << 30);
    let total = gib(total);
    if total < 10.0 { format!("{:.1}/{total:.1} G", gib(used)) } else { format!("{:.1}/{total:.0} G", gib(used)) }
}

/// A count in at most five columns: `812`, `1.2k`, `32k`, `1.1M`.
#[must_use]
pub fn short(n: u64) -> String {
    match n {
        0..=999 => n.to_string(),
        1_000..=9_949 => format!("{:.1}k", n as f64 / 1e3),
        9_950..=999_499 => format!("{:.0}k", n as f64 / 1e3),
        _ => format!("{:.1}M", n as f64 / 1e6),
    }
}

/// A context size: powers of two as people name them (`8k`, `128k`), else as [`short`].
#[must_use]
pub fn context(n: u64) -> String {
    if n >= 1024 && n.is_multiple_of(1024) { format!("{}k", n / 1024) } else { short(n) }
}

/// Every digit, in groups of three: `1,204`.
#[must_use]
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A number with as many decimals as are worth reading: `0.41`, `4.2`, `41.8`, `418`.
#[must_use]
pub fn number(n: f64) -> String {
    if n < 0.995 {
        format!("{n:.2}")
    } else if n < 99.95 {
        format!("{n:.1}")
    } else {
        format!("{n:.0}")
    }
}

/// A figure with its mark, written by `how`; `–` when it is not known.
#[must_use]
pub fn figure(figure: Option<Figure>, how: impl Fn(f64) -> String) -> String {
    match figure {
        None => "–".to_owned(),
        Some(Figure { value, source: Source::Estimated }) => format!("~{}", how(value)),
        Some(Figure { value, .. }) => how(value),
    }
}

/// Milliseconds as a person waits for them: `0.4 s`, `12 s`, `1:05 min`.
#[must_use]
pub fn wait(ms: f64) -> String {
    let seconds = ms / 1000.0;
    if seconds < 0.095 {
        format!("{ms:.0} ms")
    } else if seconds < 9.95 {
        format!("{seconds:.1} s")
    } else {
        seconds_long(seconds.round() as u64)
    }
}

/// Whole seconds: `12 s`, `1:05 min`, `2:10 h`.
#[must_use]
pub fn seconds_long(seconds: u64) -> String {
    match seconds {
        0..=89 => format!("{seconds} s"),
        90..=3599 => format!("{}:{:02} min", seconds / 60, seconds % 60),
        _ => format!("{}:{:02} h", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Money, without a currency: the price table does not know one.
#[must_use]
pub fn cost(value: f64) -> String {
    if value < 0.01 { format!("{:.2} ¢", value * 100.0) } else { format!("{value:.2} $") }
}

/// The time of a message: `10:02` today, `Tue 10:02` within a week, `3 Nov` this year, `3 Nov 25` before.
#[must_use]
pub fn clock(at: UnixMs, now: UnixMs, zone: &TimeZone) -> String {
    let (Some(then), Some(today)) = (zoned(at, zone), zoned(now, zone)) else { return "–".to_owned() };
    let format = if then.date() == today.date() {
        "%H:%M"
    } else if (0..6 * 86_400_000).contains(&(now - at)) {
        "%a %H:%M"
    } else if then.year() == today.year() {
        "%-d %b"
    } else {
        "%-d %b %y"
    };
    then.strftime(format).to_string()
}

/// A moment to the second: `10:02:31` today, else with its day.
#[must_use]
pub fn second(at: UnixMs, now: UnixMs, zone: &TimeZone) -> String {
    let (Some(then), Some(today)) = (zoned(at, zone), zoned(now, zone)) else { return "–".to_owned() };
    let format = if then.date() == today.date() { "%H:%M:%S" } else { "%-d %b %Y %H:%M:%S" };
    then.strftime(format).to_string()
}

fn zoned(at: UnixMs, zone: &TimeZone) -> Option<jiff::Zoned> {
    Timestamp::from_millisecond(at).ok().map(|t| t.to_zoned(zone.clone()))
}

/// `1 message`, `2 messages`.
#[must_use]
pub fn plural(n: u64, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{} {one}s", grouped(n)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts() {
        assert_eq!([0, 999, 98_000_000, 4_900_000_000, 120_000_000_000].map(bytes), ["0 B", "999 B", "98 M", "4.9 G", "120 G"]);
        assert_eq!([999_600_000].map(bytes), ["1.0 G"], "rounding reaches the next unit");
        assert_eq!([7, 999, 1_200, 9_960, 32_768, 1_100_000].map(short), ["7", "999", "1.2k", "10k", "33k", "1.1M"]);
        assert_eq!([512, 8192, 131_072, 5000].map(context), ["512", "8k", "128k", "5.0k"]);
        assert_eq!([7, 1204, 1_234_567].map(grouped), ["7", "1,204", "1,234,567"]);
        assert_eq!(used_of(12_025_908_428, 25_769_803_776), "11.2/24 G");
    }

    #[test]
    fn figures_tell_what_they_are() {
        assert_eq!(figure(None, number), "–");
        assert_eq!(figure(Some(Figure::estimated(41.23)), number), "~41.2");
        assert_eq!(figure(Some(Figure::server(418.2)), number), "418");
        assert_eq!(
            [80.0, 412.0, 12_300.0, 65_000.0, 125_000.0, 7_800_000.0].map(wait),
            ["80 ms", "0.4 s", "12 s", "65 s", "2:05 min", "2:10 h"]
        );
    }

    #[test]
    fn times_say_as_much_as_is_needed() {
        let now = 1_763_820_000_000; // Sat 22 Nov 2025 14:00 UTC
        let utc = TimeZone::UTC;
        assert_eq!(clock(now - 3_600_000, now, &utc), "13:00");
        assert_eq!(clock(now - 2 * 86_400_000, now, &utc), "Thu 14:00");
        assert_eq!(clock(now - 30 * 86_400_000, now, &utc), "23 Oct");
        assert_eq!(clock(now - 400 * 86_400_000, now, &utc), "18 Oct 24");
        assert_eq!(clock(UnixMs::MAX, now, &utc), "–");
    }
}
