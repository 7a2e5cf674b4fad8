//! Colours as terminals can show them: depth, nearest colour, luminance, contrast.

use ratatui::style::Color;

/// How many colours a terminal shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// No colours, or none wanted (`NO_COLOR`, TERM=dumb).
    None,
    /// The 16 of the terminal's palette.
    Ansi,
    /// 256.
    Indexed,
    /// 24 bits.
    True,
}

/// What is known of the terminal when a theme is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    pub depth: Depth,
    /// The terminal's background is light; `None` where it did not tell.
    pub light: Option<bool>,
}

impl Facts {
    /// From the environment of this process, and what [`super::probe::is_light`] found.
    #[must_use]
    pub fn from_env(light: Option<bool>) -> Self {
        Self::from_vars(|name| std::env::var(name).ok(), light)
    }

    /// The same with the variables given.
    #[must_use]
    pub fn from_vars(var: impl Fn(&str) -> Option<String>, light: Option<bool>) -> Self {
        let term = var("TERM").unwrap_or_default();
        let colours = var("COLORTERM").unwrap_or_default().to_ascii_lowercase();
        // ssh does not forward COLORTERM, so terminals that are known to show all colours count by their name.
        let known = ["kitty", "alacritty", "foot", "wezterm", "ghostty", "contour", "iterm2", "-direct", "rio"];
        let depth = if var("NO_COLOR").is_some_and(|v| !v.is_empty()) || term == "dumb" {
            Depth::None
        } else if colours.contains("truecolor")
            || colours.contains("24bit")
            || known.iter().any(|k| term.contains(k))
            || var("WT_SESSION").is_some()
        {
            Depth::True
        } else if term.contains("256color") {
            Depth::Indexed
        } else {
            Depth::Ansi
        };
        Self { depth, light }
    }
}

/// Red, green, blue of a colour, as far as it is fixed: the 16 palette colours are the terminal's own and have none.
#[must_use]
pub fn rgb(colour: Color) -> Option<(u8, u8, u8)> {
    match colour {
        Color::Rgb(r, g, b) => Some((r, g, b)),
        Color::Indexed(i @ 16..=231) => {
            let level = |n: u8| if n == 0 { 0 } else { 55 + 40 * n };
            let i = i - 16;
            Some((level(i / 36), level(i / 6 % 6), level(i % 6)))
        }
        Color::Indexed(i @ 232..) => {
            let grey = 8 + 10 * (i - 232);
            Some((grey, grey, grey))
        }
        _ => None,
    }
}

/// WCAG's relative luminance, 0 (black) to 1 (white).
#[must_use]
pub fn luminance((r, g, b): (u8, u8, u8)) -> f64 {
    let part = |c: u8| {
        let c = f64::from(c) / 255.0;
        if c <= 0.040_45 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(r) + 0.7152 * part(g) + 0.0722 * part(b)
}

/// WCAG's contrast of two colours, 1 to 21. Text should have 4.5.
#[must_use]
pub fn contrast(a: (u8, u8, u8), b: (u8, u8, u8)) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// The colour that comes nearest among those that the terminal shows.
#[must_use]
pub fn nearest(colour: Color, depth: Depth) -> Color {
    match (colour, depth) {
        (_, Depth::True) => colour,
        (_, Depth::None) => Color::Reset,
        (Color::Rgb(r, g, b), Depth::Indexed) => indexed(r, g, b),
        (Color::Indexed(16..), Depth::Ansi) | (Color::Rgb(..), Depth::Ansi) => rgb(colour).map_or(Color::Reset, ansi),
        _ => colour,
    }
}

fn distance(a: (u8, u8, u8), b: (u8, u8, u8)) -> u32 {
    // Weighted as the eye weighs ("redmean" without the mean).
    let d = |x: u8, y: u8| u32::from(x.abs_diff(y)).pow(2);
    3 * d(a.0, b.0) + 6 * d(a.1, b.1) + 2 * d(a.2, b.2)
}

fn indexed(r: u8, g: u8, b: u8) -> Color {
    let best = (16..=255_u8).min_by_key(|i| rgb(Color::Indexed(*i)).map_or(u32::MAX, |c| distance(c, (r, g, b))));
    Color::Indexed(best.unwrap_or(15))
}

/// By hue, not by distance: the palette's real colours are not known, its names are.
fn ansi((r, g, b): (u8, u8, u8)) -> Color {
    let (max, min) = (r.max(g).max(b), r.min(g).min(b));
    if max - min < 40 {
        return match max {
            0..=50 => Color::Black,
            51..=150 => Color::DarkGray,
            151..=215 => Color::Gray,
            216.. => Color::Reset,
        };
    }
    let half = u16::midpoint(u16::from(max), u16::from(min));
    match (u16::from(r) > half, u16::from(g) > half, u16::from(b) > half) {
        (true, false, true) => Color::Magenta,
        (true, true, false) => Color::Yellow,
        (false, true, true) => Color::Cyan,
        (true, false, false) => Color::Red,
        (false, true, false) => Color::Green,
        _ => Color::Blue,
    }
}
