use super::*;

const TILES: [Tile; 6] = [
    Tile { id: "models", slot: Slot::Left, min: 3, weight: 2, joined: false },
    Tile { id: "conversations", slot: Slot::Left, min: 3, weight: 3, joined: false },
    Tile { id: "chat", slot: Slot::Centre, min: 5, weight: 1, joined: false },
    Tile { id: "composer", slot: Slot::Centre, min: 1, weight: 0, joined: true },
    Tile { id: "tree", slot: Slot::Right, min: 3, weight: 3, joined: false },
    Tile { id: "metrics", slot: Slot::Right, min: 3, weight: 2, joined: false },
];

fn at(width: u16, height: u16, focus: PaneId, arrangement: &Arrangement) -> Placed {
    place(&TILES, arrangement, Ask { width, height, focus, side: Slot::Left, rows: &|_| 3 })
}

fn names(placed: &Placed) -> Vec<&str> {
    placed.panes.iter().map(|p| p.id).collect()
}

#[test]
fn wide_has_three_columns_and_shares_rules() {
    let placed = at(160, 45, "chat", &Arrangement::default());
    assert_eq!(names(&placed), ["models", "conversations", "chat", "composer", "tree", "metrics"]);
    assert_eq!(placed.verticals.len(), 2);
    assert_eq!(placed.area("composer").unwrap().height, 3);
}

#[test]
fn medium_shows_the_side_that_is_used() {
    let placed = at(80, 24, "chat", &Arrangement::default());
    assert_eq!(names(&placed), ["models", "conversations", "chat", "composer"]);
    let placed = at(80, 24, "tree", &Arrangement::default());
    assert_eq!(names(&placed), ["tree", "metrics", "chat", "composer"]);
}

#[test]
fn small_shows_one_pane_and_the_chat_with_its_composer() {
    let placed = at(52, 30, "composer", &Arrangement::default());
    assert_eq!(names(&placed), ["chat", "composer"]);
    assert!(placed.tabs.is_some() && placed.verticals.is_empty());
    let placed = at(52, 30, "tree", &Arrangement::default());
    assert_eq!(names(&placed), ["tree"]);
    assert_eq!(placed.area("tree").unwrap(), Rect::new(0, 1, 52, 28));
    assert_eq!(at(160, 20, "chat", &Arrangement::default()).class, Class::Small, "too few rows for three columns");
}

#[test]
fn too_small_shows_nothing() {
    assert_eq!(at(39, 30, "chat", &Arrangement::default()).class, Class::TooSmall);
    assert_eq!(at(40, 12, "chat", &Arrangement::default()).class, Class::Small);
    assert!(at(10, 3, "chat", &Arrangement::default()).panes.is_empty());
    assert!(at(0, 0, "chat", &Arrangement::default()).panes.is_empty());
}

#[test]
fn zoom_and_hide() {
    let zoomed = Arrangement { zoomed: Some("tree".into()), ..Arrangement::default() };
    assert_eq!(names(&at(160, 45, "tree", &zoomed)), ["tree"]);
    let zoomed = Arrangement { zoomed: Some("chat".into()), ..Arrangement::default() };
    assert_eq!(names(&at(160, 45, "composer", &zoomed)), ["chat", "composer"], "the composer stays under a zoomed chat");
    assert_eq!(names(&at(160, 45, "tree", &zoomed)).len(), 6, "focus elsewhere shows everything");
    let hidden = Arrangement { hidden: ["metrics".into(), "tree".into()].into(), ..Arrangement::default() };
    assert_eq!(at(160, 45, "chat", &hidden).verticals.len(), 1);
    assert!(at(160, 45, "tree", &hidden).shows("tree"), "a focused pane is shown although it is hidden");
}

#[test]
fn neighbours_are_where_they_look() {
    let placed = at(160, 45, "chat", &Arrangement::default());
    assert_eq!(placed.neighbour("chat", Way::Left), Some("conversations"));
    assert_eq!(placed.neighbour("chat", Way::Down), Some("composer"));
    assert_eq!(placed.neighbour("composer", Way::Right), Some("metrics"));
    assert_eq!(placed.neighbour("models", Way::Left), None);
    assert_eq!(placed.neighbour("metrics", Way::Up), Some("tree"));
}

proptest::proptest! {
    #[test]
    fn nothing_overlaps_and_the_focus_is_shown(
        width in 0u16..300, height in 0u16..100, focus in 0usize..6, rows in 0u16..40,
        left in 0u16..1000, right in 0u16..1000, extra in -900i32..900, hide in 0usize..6,
    ) {
        let mut arrangement = Arrangement { left: left.clamp(120, 450), right: right.clamp(120, 450), ..Arrangement::default() };
        arrangement.heighten("tree", extra);
        arrangement.hidden.insert(TILES[hide].id.to_owned());
        let focus = TILES[focus].id;
        let placed = place(&TILES, &arrangement, Ask { width, height, focus, side: Slot::Right, rows: &|_| rows });
        let screen = Rect::new(0, 0, width, height);
        let mut all: Vec<Rect> = placed.panes.iter().map(|p| p.area).chain(placed.rules.iter().copied()).chain(placed.tabs).collect();
        all.push(placed.status);
        for (i, a) in all.iter().enumerate() {
            proptest::prop_assert_eq!(a.intersection(screen), *a, "{:?} leaves the screen", a);
            for b in &all[i + 1..] {
                proptest::prop_assert!(a.intersection(*b).area() == 0, "{:?} overlaps {:?}", a, b);
            }
        }
        if placed.class != Class::TooSmall {
            proptest::prop_assert!(placed.shows(focus));
            proptest::prop_assert!(placed.area(focus).is_some_and(|a| a.height > 0 && a.width > 0));
        }
    }
}
