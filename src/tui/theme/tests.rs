use std::collections::BTreeSet;

use ratatui::style::{Color, Modifier};

use super::colour::{contrast, nearest, rgb};
use super::*;

const FULL: Facts = Facts { depth: Depth::True, light: Some(false) };

fn lines(problems: &[crate::error::Error]) -> Vec<String> {
    problems.iter().map(|p| format!("{} {}", p.message, p.hints.join(" "))).collect()
}

#[test]
fn every_file_in_the_folder_is_built_in_and_right() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("themes");
    let files: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect();
    let themes = Themes::built_in();
    let names: BTreeSet<String> = themes.names().into_iter().filter(|n| !["auto", "mono"].contains(n)).map(str::to_owned).collect();
    assert_eq!(files, names);
    for name in themes.names() {
        for light in [None, Some(false), Some(true)] {
            let choice = themes.resolve(name, &Facts { depth: Depth::True, light }).unwrap();
            assert_eq!(lines(&choice.problems), Vec::<String>::new(), "{name}");
        }
    }
    // The root says every role, so that no theme has holes.
    let (root, problems) = file::parse("themes/ansi.toml", include_str!("../../../themes/ansi.toml"));
    assert!(problems.is_empty());
    assert_eq!(root.body.roles.len(), Role::COUNT);
}

/// What is drawn and not read.
const DECORATION: &[Role] =
    &[Role::Rule, Role::QuoteBar, Role::TableRule, Role::Break, Role::CodeFrame, Role::CodeWrap, Role::GaugeEmpty, Role::Skeleton];

#[test]
fn text_has_contrast() {
    for name in ["dark", "light"] {
        let choice = Themes::built_in().resolve(name, &FULL).unwrap();
        let background = rgb(choice.background.unwrap()).unwrap();
        let rows = [Role::Selection, Role::SelectionQuiet].map(|role| rgb(choice.theme.style(role).bg.unwrap()).unwrap());
        for role in Role::ALL {
            let style = choice.theme.style(*role);
            let Some(fg) = style.fg.and_then(rgb) else { continue };
            let behind = style.bg.and_then(rgb).unwrap_or(background);
            let needed = if DECORATION.contains(role) { 1.5 } else { 4.5 };
            let found = contrast(fg, behind);
            assert!(found >= needed, "{name}: {} has {found:.2}", role.name());
            if style.bg.is_none() && !DECORATION.contains(role) {
                for row in rows {
                    let found = contrast(fg, row);
                    assert!(found >= 3.0, "{name}: {} on a selected row has {found:.2}", role.name());
                }
            }
        }
    }
}

#[test]
fn ansi_uses_the_palette_only() {
    let theme = Themes::built_in().resolve("ansi", &FULL).unwrap().theme;
    for role in Role::ALL {
        let style = theme.style(*role);
        for colour in [style.fg, style.bg].into_iter().flatten() {
            assert!(!matches!(colour, Color::Rgb(..) | Color::Indexed(_)), "{}", role.name());
        }
    }
}

#[test]
fn text_keeps_the_terminals_own_background() {
    for name in ["ansi", "dark", "light"] {
        let theme = Themes::built_in().resolve(name, &FULL).unwrap().theme;
        assert_eq!(theme.style(Role::Text), Style::new(), "{name}");
    }
}

#[test]
fn auto_follows_the_terminal() {
    let themes = Themes::built_in();
    let name = |depth, light| themes.resolve("auto", &Facts { depth, light }).unwrap().theme.name;
    assert_eq!(name(Depth::True, Some(true)), "light");
    assert_eq!(name(Depth::True, Some(false)), "dark");
    assert_eq!(name(Depth::True, None), "dark");
    assert_eq!(name(Depth::Indexed, Some(true)), "ansi");
    assert_eq!(name(Depth::Ansi, None), "ansi");
    assert_eq!(name(Depth::None, None), "mono");
    let mono = themes.resolve("dark", &Facts { depth: Depth::None, light: None }).unwrap().theme;
    for role in Role::ALL {
        assert_eq!((mono.style(*role).fg, mono.style(*role).bg), (None, None));
    }
}

#[test]
fn facts_come_from_the_environment() {
    let depth =
        |vars: &[(&str, &str)]| Facts::from_vars(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()), None).depth;
    assert_eq!(depth(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]), Depth::True);
    assert_eq!(depth(&[("TERM", "xterm-256color")]), Depth::Indexed);
    assert_eq!(depth(&[("TERM", "xterm-kitty")]), Depth::True);
    assert_eq!(depth(&[("TERM", "linux")]), Depth::Ansi);
    assert_eq!(depth(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]), Depth::None);
    assert_eq!(depth(&[("TERM", "xterm-kitty"), ("NO_COLOR", "1")]), Depth::None);
    assert_eq!(depth(&[("TERM", "xterm-kitty"), ("NO_COLOR", "")]), Depth::True);
}

#[test]
fn a_users_theme_inherits_and_overrides() {
    let mut themes = Themes::built_in();
    let problems = themes.add(
        "mine",
        "mine.toml",
        "inherits = \"dark\"\n[defs]\nblue = \"#010203\"\n[roles]\ntitle = { fg = \"blue\", bold = true }\nmode.insert = \"200 on default\"\n[roles.code]\ncomment = \"bright-red\"\n",
    );
    assert_eq!(lines(&problems), Vec::<String>::new());
    let theme = themes.resolve("mine", &FULL).unwrap().theme;
    let blue = Color::Rgb(1, 2, 3);
    assert_eq!(theme.style(Role::Title), Style::new().fg(blue).add_modifier(Modifier::BOLD));
    assert_eq!(theme.style(Role::Accent), Style::new().fg(blue), "a def of the child reaches the parent's roles");
    assert_eq!(theme.style(Role::ModeInsert), Style::new().fg(Color::Indexed(200)).bg(Color::Reset));
    assert_eq!(theme.style(Role::CodeComment), Style::new().fg(Color::LightRed));
    assert_eq!(theme.style(Role::Strong), Style::new().add_modifier(Modifier::BOLD));
}

#[test]
fn a_user_may_lay_a_theme_over_a_built_in_one() {
    let mut themes = Themes::built_in();
    assert!(themes.add("dark", "dark.toml", "inherits = \"dark\"\nroles.accent = \"#ff0000\"\n").is_empty());
    let theme = themes.resolve("auto", &FULL).unwrap().theme;
    assert_eq!(theme.style(Role::Accent).fg, Some(Color::Rgb(255, 0, 0)));
    assert!(theme.style(Role::Heading).fg.is_some());
}

#[test]
fn a_pair_follows_the_background() {
    let mut themes = Themes::built_in();
    let text = "inherits = \"ansi\"\n[defs]\ninkwell = \"#ffffff\"\n[roles]\naccent = \"inkwell\"\n[light]\nbackground = \"#fff8e8\"\ndefs = { inkwell = \"#101010\" }\n";
    assert_eq!(lines(&themes.add("pair", "pair.toml", text)), Vec::<String>::new());
    let accent = |light| {
        let choice = themes.resolve("pair", &Facts { depth: Depth::True, light }).unwrap();
        (choice.theme.style(Role::Accent).fg, choice.background)
    };
    assert_eq!(accent(Some(true)), (Some(Color::Rgb(16, 16, 16)), Some(Color::Rgb(255, 248, 232))));
    assert_eq!(accent(None), (Some(Color::Rgb(255, 255, 255)), None));
}

#[test]
fn mistakes_name_file_line_and_fix_and_the_rest_loads() {
    let mut themes = Themes::built_in();
    let text = "inherits = \"darc\"\ncolour = 3\n[defs]\nred = 7\nrose = \"#12345\"\n[roles]\ntitel = \"red\"\naccent = \"green\"\nrule = \"blu\"\nquiet = \"red blue\"\nlink = { fg = \"red\", blod = true, bold = 3 }\nok = \"on\"\nerror = \"#ff0000\"\n";
    let problems = lines(&themes.add("mine", "themes/mine.toml", text));
    for expected in [
        "themes/mine.toml:2: there is no key `colour`. Remove it",
        "themes/mine.toml:4: a colour is a number, not a text. Put it in quotation marks.",
        "themes/mine.toml:5: `#12345` is not a colour. Write it as `#rrggbb`",
        "themes/mine.toml:7: there is no role `titel`. Write `title` if that was meant.",
        "themes/mine.toml:10: `blue` is one colour too many. Write `on` before",
        "themes/mine.toml:11: there is no key of a style `blod`. Write `bold` if that was meant.",
        "themes/mine.toml:11: `bold` is neither true nor false. Write `bold = true`.",
        "themes/mine.toml:12: a colour is missing after `on`.",
        "themes/mine.toml:1: there is no theme `darc` to inherit from. Name one that is there. Use `dark` if that was meant.",
        "themes/mine.toml:9: `blu` is neither a colour nor in `defs`. Add `blu = \"#rrggbb\"` under `[defs]`",
    ] {
        assert!(problems.iter().any(|p| p.starts_with(expected)), "{expected}\nis not in {problems:#?}");
    }
    assert_eq!(problems.len(), 10, "{problems:#?}");
    let theme = themes.resolve("mine", &FULL).unwrap().theme;
    assert_eq!(theme.style(Role::Accent).fg, Some(Color::Green));
    assert_eq!(theme.style(Role::Error).fg, Some(Color::Rgb(255, 0, 0)));
}

#[test]
fn broken_files_and_circles_are_told() {
    let mut themes = Themes::built_in();
    let problems = lines(&themes.add("broken", "broken.toml", "[roles]\ntitle = \n"));
    assert!(problems[0].starts_with("broken.toml:2: this is not TOML"), "{problems:?}");
    themes.add("a", "a.toml", "inherits = \"b\"\nroles.accent = \"red\"");
    let problems = lines(&themes.add("b", "b.toml", "inherits = \"a\""));
    assert!(problems[0].contains("inherits from this theme in turn"), "{problems:?}");
    assert_eq!(themes.resolve("b", &FULL).unwrap().theme.style(Role::Accent).fg, Some(Color::Red));
    let missing = themes.resolve("drak", &FULL).unwrap_err();
    assert_eq!(missing.hints[0], "Use `dark` if that was meant.");
    assert!(!themes.add("auto", "auto.toml", "").is_empty());
}

#[test]
fn a_folder_of_themes_is_read() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sea.toml"), "inherits = \"dark\"\nroles.accent = \"#00ffff\"").unwrap();
    std::fs::write(folder.path().join("bad.toml"), [0xff, 0xfe]).unwrap();
    std::fs::write(folder.path().join("notes.txt"), "x").unwrap();
    let (themes, problems) = Themes::load(Some(folder.path()));
    assert_eq!(themes.names(), ["auto", "ansi", "dark", "light", "sea", "mono"]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(Themes::load(Some(&folder.path().join("none"))).1.is_empty());
}

#[test]
fn colours_are_brought_to_what_the_terminal_shows() {
    assert_eq!(nearest(Color::Rgb(255, 0, 0), Depth::Indexed), Color::Indexed(196));
    assert_eq!(nearest(Color::Rgb(8, 8, 8), Depth::Indexed), Color::Indexed(232));
    assert_eq!(nearest(Color::Rgb(255, 120, 120), Depth::Ansi), Color::Red);
    assert_eq!(nearest(Color::Rgb(120, 176, 255), Depth::Ansi), Color::Blue);
    assert_eq!(nearest(Color::Red, Depth::Ansi), Color::Red);
    assert_eq!(nearest(Color::Red, Depth::None), Color::Reset);
    assert!(contrast((0, 0, 0), (255, 255, 255)) > 20.9);
}

#[test]
fn each_resolved_theme_has_its_own_generation() {
    let themes = Themes::built_in();
    let a = themes.resolve("dark", &FULL).unwrap().theme;
    let b = themes.resolve("dark", &FULL).unwrap().theme;
    assert_ne!(a.generation, b.generation);
}
