//! Keymaps and the resolver, tested through the shipped files.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::key::parse_keys;
use super::*;
use crate::config::KEYMAPS;
use crate::config::document::Source;
use crate::tui::action::ALL;
use crate::tui::composer::Edit;

fn shipped(name: &str) -> Keymap {
    let loaded = load(name, &[], &Options::default());
    assert_eq!(loaded.problems, [], "{name}");
    loaded.keymap
}

fn mine(name: &str, text: &str) -> Loaded {
    load(name, &[Source::new(name, format!("{name}.toml"), text)], &Options::default())
}

/// What pressing these keys comes to: the last key's outcome.
fn press(keymap: &Keymap, scope: Scope, keys: &str) -> Resolved {
    let mut resolver = Resolver::default();
    parse_keys(keys).unwrap().into_iter().map(|key| resolver.press(keymap, key, scope)).last().unwrap()
}

fn act(keymap: &Keymap, scope: Scope, keys: &str) -> (String, Option<u32>) {
    match press(keymap, scope, keys) {
        Resolved::Act { invocation, count, erase: 0 } => (invocation.to_string(), count),
        other => panic!("{keys} in {scope}: {other:?}"),
    }
}

/// Actions that vim.toml leaves without a key, and why.
const UNBOUND: &[(&str, &str)] = &[
    ("template-save", "takes an argument: `:template-save NAME`"),
    ("template-from", "takes an argument: `:template-from NAME`"),
    ("title", "seldom needed: `:title`"),
    ("try-now", "asking again (`r`) does it on an answer that waits"),
    ("set", "takes arguments: `:set KEY VALUE`"),
    ("preset-save", "takes an argument: `:preset save NAME`"),
    ("preset-delete", "takes an argument; the palette asks for it"),
    ("preset-export", "takes arguments"),
    ("preset-import", "takes an argument"),
    ("bookmark-remove", "`B` at a bookmarked message asks"),
    ("branch-rename", "takes arguments; `b` at a named branch asks"),
    ("group-add", "takes an argument; `a` shows all groups"),
    ("group-remove", "as above"),
    ("tag-add", "takes an argument; `t` shows all tags"),
    ("tag-remove", "as above"),
    ("group-template", "takes arguments"),
    ("filter-delete", "takes an argument; `gf` shows what is saved"),
    ("open", "takes an argument; Enter in Conversations and the palette open"),
    ("empty-bin", "cannot be undone; `D` on the bin asks for it too"),
    ("pane-show", "takes an argument"),
    ("edit-select-left", "shift and arrows select in plain; vim has VISUAL"),
    ("edit-select-right", "as above"),
    ("edit-select-up", "as above"),
    ("edit-select-down", "as above"),
    ("edit-select-word-back", "as above"),
    ("edit-select-word-forward", "as above"),
    ("edit-select-line-start", "as above"),
    ("edit-select-line-end", "as above"),
    ("edit-select-all", "as above"),
    ("edit-cut", "as above"),
    ("edit-copy", "as above"),
    ("edit-paste", "as above"),
];

#[test]
fn shipped_keymaps_have_no_problems() {
    for (name, _) in KEYMAPS {
        let keymap = shipped(name);
        assert_eq!(keymap.name(), *name);
        assert!(!keymap.about().is_empty());
    }
    assert!(shipped("vim").modal());
    assert!(!shipped("plain").modal());
}

#[test]
fn every_action_has_a_key_or_a_reason() {
    let keymap = shipped("vim");
    let bound: BTreeSet<&str> = keymap.bindings.iter().filter_map(|b| b.bound.as_ref().map(|i| i.action.id())).collect();
    let all = ALL.iter().map(|info| info.id).chain(Edit::ALL.iter().map(|(_, id, _)| *id));
    let without: Vec<&str> = all.filter(|id| !bound.contains(id)).collect();
    let reasons: Vec<&str> = UNBOUND.iter().map(|(id, _)| *id).collect();
    assert_eq!(without, reasons);
}

#[test]
fn plain_reaches_what_has_no_argument() {
    let keymap = shipped("plain");
    let bound: BTreeSet<&str> = keymap.bindings.iter().filter_map(|b| b.bound.as_ref().map(|i| i.action.id())).collect();
    let without: Vec<&str> = ALL.iter().map(|info| info.id).filter(|id| !bound.contains(id)).collect();
    // Modes and vim's motions have no place there; what takes arguments is for the palette and `:` (F9).
    let expected = [
        "normal-mode",
        "template-save",
        "template-from",
        "title",
        "try-now",
        "set",
        "preset-save",
        "preset-delete",
        "preset-export",
        "preset-import",
        "sibling-go",
        "bookmark-remove",
        "marks",
        "branch-rename",
        "group-add",
        "group-remove",
        "tag-add",
        "tag-remove",
        "group-template",
        "filter-delete",
        "open",
        "empty-bin",
        "half-down",
        "half-up",
        "screen-top",
        "screen-middle",
        "screen-bottom",
        "pane-show",
        "keymap",
    ];
    assert_eq!(without, expected);
}

#[test]
fn every_ctrl_action_has_a_space_twin() {
    let keymap = shipped("vim");
    for scope in Scope::ALL.iter().filter(|scope| !scope.types() && **scope != Scope::AnyMode && scope.chain().contains(&Scope::Anywhere)) {
        let all: Vec<_> = keymap.bindings(*scope).collect();
        for (binding, invocation) in &all {
            if !binding.keys[0].ctrl {
                continue;
            }
            let twin = all.iter().any(|(other, same)| same == invocation && other.keys[0] == Key::char(' '));
            assert!(twin, "{} in [{scope}] ({invocation}) has no Space twin", show_keys(&binding.keys));
        }
    }
}

#[test]
fn the_table_of_the_product() {
    let vim = shipped("vim");
    for (scope, keys, expected) in [
        (Scope::Chat, "Tab", "pane-next"),
        (Scope::Chat, "S-Tab", "pane-previous"),
        (Scope::Chat, "C-w h", "focus-left"),
        (Scope::Chat, "C-w z", "pane-zoom"),
        (Scope::Chat, "Space m", "model-choose"),
        (Scope::Insert, "C-p", "palette"),
        (Scope::Tree, "?", "help"),
        (Scope::Overlay, "q", "close"),
        (Scope::Models, "ZZ", "quit"),
        (Scope::Models, "gg", "list-top"),
        (Scope::Models, "za", "fold"),
        (Scope::Chat, "yy", "copy"),
        (Scope::Chat, "yc", "copy-code"),
        (Scope::Chat, "gx", "code-blocks"),
        (Scope::Chat, "[", "sibling-previous"),
        (Scope::Chat, "e", "edit"),
        (Scope::Chat, "E", "edit-save"),
        (Scope::Tree, "Enter", "make-head"),
        (Scope::Tree, "zh", "hoist"),
        (Scope::Models, "S", "model-stop"),
        (Scope::Insert, "Enter", "send"),
        (Scope::Insert, "C-j", "newline"),
        (Scope::Insert, "C-c", "stop"),
        (Scope::Insert, "C-w", "edit-delete-word-back"),
        (Scope::ComposerNormal, "Esc", "last-message"),
        (Scope::ComposerNormal, "u", "edit-undo"),
        (Scope::ComposerNormal, "i", "edit-insert"),
        (Scope::Conversations, "i", "write"),
        (Scope::Welcome, "p", "pull-starter pip"),
        (Scope::Welcome, "s", "help servers"),
        (Scope::Chat, "Space 5", "focus tree"),
    ] {
        assert_eq!(act(&vim, scope, keys), (expected.to_owned(), None), "{keys} in {scope}");
    }
    for quiet in ["C-r", "C-x"] {
        assert!(matches!(press(&vim, Scope::Insert, quiet), Resolved::Unbound(_)), "{quiet} does nothing in INSERT");
    }
}

#[test]
fn counts() {
    let vim = shipped("vim");
    assert_eq!(act(&vim, Scope::Chat, "3 g ]"), ("sibling-go".to_owned(), Some(3)));
    assert_eq!(act(&vim, Scope::List, "1 0 j"), ("list-down".to_owned(), Some(10)));
    assert_eq!(act(&vim, Scope::ComposerNormal, "0"), ("edit-line-start".to_owned(), None));
    assert_eq!(act(&vim, Scope::ComposerNormal, "2 0 w"), ("edit-word-forward".to_owned(), Some(20)));
    assert_eq!(act(&vim, Scope::List, "9 9 9 9 9 9 9 9 9 9 9 j"), ("list-down".to_owned(), Some(MOST)));
    assert_eq!(press(&vim, Scope::List, "3"), Resolved::Pending { keys: Vec::new(), count: Some(3), next: Vec::new() });
    assert_eq!(press(&vim, Scope::List, "3 Esc"), Resolved::Cancelled);
    // A digit after a sequence began is a key of it, not a count.
    assert_eq!(act(&vim, Scope::Chat, "Space 3"), ("focus chat".to_owned(), None));
    // Without modes a digit is text for the composer.
    assert!(matches!(press(&shipped("plain"), Scope::Chat, "3"), Resolved::Unbound(_)));
}

#[test]
fn a_prefix_waits_and_tells_what_may_follow() {
    let vim = shipped("vim");
    let Resolved::Pending { keys, next, .. } = press(&vim, Scope::Chat, "Space") else { panic!() };
    assert_eq!(show_keys(&keys), "Space");
    let panes = next.iter().find(|n| n.key == Key::char('w')).unwrap();
    assert!(panes.group && panes.what == "panes");
    assert!(next.iter().any(|n| n.key == Key::char('m') && n.what == "Choose the model that answers next"));
    assert!(next.iter().any(|n| n.key == Key::char('d')), "continuations of outer tables are merged");
    assert_eq!(press(&vim, Scope::Chat, "Space w Esc"), Resolved::Cancelled);
    assert_eq!(press(&vim, Scope::Chat, "g q"), Resolved::Unbound(parse_keys("g q").unwrap()));
    let mut resolver = Resolver::default();
    resolver.press(&vim, Key::char('g'), Scope::Chat);
    assert!(resolver.pending().is_some());
    resolver.press(&vim, Key::char('q'), Scope::Chat);
    assert!(resolver.pending().is_none());
}

fn type_keys(keymap: &Keymap, keys: &str) -> (String, Vec<String>) {
    let (mut resolver, mut text, mut acts) = (Resolver::default(), String::new(), Vec::new());
    for key in parse_keys(keys).unwrap() {
        match resolver.press(keymap, key, Scope::Insert) {
            Resolved::Insert(c) => text.push(c),
            Resolved::Act { invocation, erase, .. } => {
                text.truncate(text.len() - erase);
                acts.push(invocation.to_string());
            }
            _ => {}
        }
    }
    (text, acts)
}

#[test]
fn an_escape_sequence_swallows_no_text() {
    let options = Options { escape: Some("jj".to_owned()), ..Options::default() };
    let Loaded { keymap, problems } = load("vim", &[], &options);
    assert_eq!(problems, []);
    assert_eq!(type_keys(&keymap, "a j"), ("aj".to_owned(), vec![]));
    assert_eq!(type_keys(&keymap, "a j a"), ("aja".to_owned(), vec![]));
    assert_eq!(type_keys(&keymap, "a j j"), ("a".to_owned(), vec!["normal-mode".to_owned()]));
    assert_eq!(type_keys(&keymap, "j Backspace j"), ("jj".to_owned(), vec!["edit-backspace".to_owned()]));
    assert_eq!(type_keys(&keymap, "j Enter"), ("j".to_owned(), vec!["send".to_owned()]));
    let three = load("vim", &[], &Options { escape: Some("fds".to_owned()), ..Options::default() }).keymap;
    assert_eq!(type_keys(&three, "f d f d s"), ("fd".to_owned(), vec!["normal-mode".to_owned()]));
    for bad in ["j", "", "Escpae"] {
        let loaded = load("vim", &[], &Options { escape: Some(bad.to_owned()), ..Options::default() });
        assert_eq!(loaded.problems.len(), 1, "{bad}");
    }
}

#[test]
fn enter_and_newline_change_places() {
    let keymap = load("vim", &[], &Options { enter_is_newline: true, ..Options::default() }).keymap;
    assert_eq!(act(&keymap, Scope::Insert, "Enter").0, "newline");
    assert_eq!(act(&keymap, Scope::Insert, "C-j").0, "send");
    assert_eq!(act(&keymap, Scope::Insert, "A-Enter").0, "send");
}

#[test]
fn own_files_lie_over_the_built_in() {
    let loaded = mine("vim", "[chat]\n\"r\" = \"none\"\n\"x\" = \"retry\"\n[anywhere]\n\"?\" = \"palette\"\n");
    assert_eq!(loaded.problems, []);
    assert!(matches!(press(&loaded.keymap, Scope::Chat, "r"), Resolved::Unbound(_)));
    assert_eq!(act(&loaded.keymap, Scope::Chat, "x").0, "retry");
    assert_eq!(act(&loaded.keymap, Scope::Tree, "?").0, "palette");
    assert_eq!(act(&loaded.keymap, Scope::Tree, "zh").0, "hoist");
    assert_eq!(loaded.keymap.hint(Scope::Chat, Action::Retry).as_deref(), Some("x"));

    let loaded = mine("lefty", "extends = \"plain\"\n[any-mode]\n\"F5\" = \"continue\"\n");
    assert_eq!(loaded.problems, []);
    assert_eq!(loaded.keymap.name(), "lefty");
    assert!(!loaded.keymap.modal());
    assert_eq!(act(&loaded.keymap, Scope::Chat, "F5").0, "continue");

    // An inner table may silence a key of an outer one.
    let loaded = mine("vim", "[tree]\n\"g g\" = \"none\"\n");
    assert!(matches!(press(&loaded.keymap, Scope::Tree, "gg"), Resolved::Unbound(_)));
    assert_eq!(act(&loaded.keymap, Scope::Chat, "gg").0, "list-top");

    let base = Source::new("base", "base.toml", "[chat]\n\"x\" = \"retry\"\n");
    let top = Source::new("top", "top.toml", "extends = \"base\"\n[chat]\n\"X\" = \"continue\"\n");
    let loaded = load("top", &[base, top], &Options::default());
    assert_eq!(loaded.problems, []);
    assert_eq!(act(&loaded.keymap, Scope::Chat, "x").0, "retry");
    assert_eq!(act(&loaded.keymap, Scope::Chat, "X").0, "continue");
}

#[test]
fn known_bad_keymaps() {
    let text = "\
extends = \"vmi\"
modes = \"yes\"
top = \"help\"
[chta]
\"x\" = \"retry\"
[chat]
\"y\" = \"copy\"
\"g\" = \"help\"
\"e x\" = \"help\"
\"Q\" = \"retyr\"
\"W\" = 3
\"C-hh\" = \"help\"
\"T\" = \"help\"
\"S-T\" = \"close\"
\"U\" = \"focus tere\"
\"V\" = \"retry now\"
[insert]
\"x\" = \"send\"
[any-mode]
\"g g\" = \"help\"
";
    let loaded = mine("mine", text);
    let told: Vec<String> = loaded.problems.iter().map(|p| format!("{}\n    {}", p.message, p.hints.join("\n    "))).collect();
    insta::assert_snapshot!(told.join("\n"));
    // The rest holds.
    assert_eq!(act(&loaded.keymap, Scope::Chat, "yy").0, "copy");
    assert_eq!(act(&loaded.keymap, Scope::Chat, "gg").0, "list-top");
    assert_eq!(act(&loaded.keymap, Scope::Chat, "T").0, "help");
}

#[test]
fn own_clashes_are_settled_by_taking_away() {
    let loaded = mine("vim", "[chat]\n\"y\" = \"copy\"\n\"y y\" = \"none\"\n\"y c\" = \"none\"\n");
    assert_eq!(loaded.problems, []);
    assert_eq!(act(&loaded.keymap, Scope::Chat, "y").0, "copy");
    let loaded = mine("vim", "[chat]\n\"e\" = \"none\"\n\"e e\" = \"edit\"\n");
    assert_eq!(loaded.problems, []);
    assert_eq!(act(&loaded.keymap, Scope::Chat, "ee").0, "edit");
}

#[test]
fn unknown_and_circular_names_fall_back() {
    let loaded = load("vin", &[], &Options::default());
    assert_eq!(loaded.problems.len(), 1);
    assert_eq!(loaded.keymap.name(), "vim");
    let a = Source::new("a", "a.toml", "extends = \"b\"");
    let b = Source::new("b", "b.toml", "extends = \"a\"");
    let loaded = load("a", &[a, b], &Options::default());
    assert_eq!(loaded.problems.len(), 1, "{:?}", loaded.problems);
    assert_eq!(act(&loaded.keymap, Scope::Chat, "gg").0, "list-top");
    let own = Source::new("vim", "vim.toml", "extends = \"vim\"");
    assert_eq!(load("vim", &[own], &Options::default()).problems, []);
}

#[test]
fn facts_for_help() {
    let vim = shipped("vim");
    let chat: Vec<String> = vim.keys_of(Scope::Chat, Action::Write).map(show_keys).collect();
    assert_eq!(chat, ["a", "i"]);
    assert_eq!(vim.hint(Scope::Chat, Action::PaneZoom).as_deref(), Some("C-w z"));
    assert_eq!(vim.hint(Scope::Insert, Action::Send).as_deref(), Some("Enter"));
    assert_eq!(vim.hint(Scope::Chat, Action::ModelStart), None);
    assert_eq!(vim.hint_elsewhere(Action::ModelStart), Some((Scope::Models, "s".to_owned())));
    // What an inner table replaces is not told.
    assert!(vim.bindings(Scope::Tree).all(|(b, i)| show_keys(&b.keys) != "Enter" || i.action == Action::MakeHead));
}

fn any_key() -> impl Strategy<Value = Key> {
    let code = prop_oneof![
        proptest::char::any().prop_map(key::Code::Char),
        "[ -~]".prop_map(|s| key::Code::Char(s.chars().next().unwrap())),
        Just(key::Code::Esc),
        Just(key::Code::Enter),
        Just(key::Code::Tab),
        (1u8..13).prop_map(key::Code::F),
    ];
    (code, any::<bool>(), any::<bool>()).prop_map(|(code, ctrl, alt)| Key { code, ctrl, alt, shift: false, command: false })
}

static VIM: LazyLock<Keymap> = LazyLock::new(|| load("vim", &[], &Options { escape: Some("jj".to_owned()), ..Options::default() }).keymap);
static PLAIN: LazyLock<Keymap> = LazyLock::new(|| load("plain", &[], &Options::default()).keymap);

proptest! {
    #[test]
    fn any_keys_in_any_scope_never_panic(keys in prop::collection::vec((any_key(), 0..Scope::ALL.len(), 0u8..20), 1..200), plain: bool) {
        let keymap = if plain { &*PLAIN } else { &*VIM };
        let mut resolver = Resolver::default();
        let (mut scope, mut shown) = (Scope::Insert, 0);
        for (key, other, change) in keys {
            if change == 0 {
                scope = Scope::ALL[other];
                resolver.reset();
                shown = 0;
            }
            match resolver.press(keymap, key, scope) {
                Resolved::Act { erase, .. } => prop_assert!(erase <= shown, "never takes back more than was typed"),
                Resolved::Insert(_) => shown += 1,
                Resolved::Pending { .. } | Resolved::Unbound(_) | Resolved::Cancelled => {}
            }
            if let Some((pending, count)) = resolver.pending() {
                prop_assert!(pending.len() < 4 && count.unwrap_or(0) <= MOST);
            }
        }
    }

    #[test]
    fn key_names_read_back(keys in prop::collection::vec(any_key(), 1..5)) {
        let text: Vec<String> = keys.iter().map(Key::to_string).collect();
        if let Ok(read) = parse_keys(&text.join(" ")) {
            prop_assert_eq!(parse_keys(&show_keys(&read)).unwrap(), read);
        }
    }

    #[test]
    fn any_text_is_a_keymap_with_problems(text in "(\\[[a-z-]{1,10}\\]\n|\"[ -~]{1,6}\" = \"[a-z-]{1,8}\"\n|[ -~\n]{0,5}){0,20}") {
        let loaded = mine("mine", &text);
        prop_assert_eq!(loaded.keymap.name(), "mine");
    }
}
