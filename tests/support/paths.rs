//! Every path that a source file names, resolved to the room or crate it leads to.
//!
//! Owns: parsing and resolving. Refuses: rules (they are in `architecture.rs`). Known limit: a path that begins with a local
//! alias (`use crate::store; … store::x`) is found where the alias is made, not where it is used.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

/// A path in a file.
#[derive(Debug)]
pub struct Found {
    pub line: usize,
    /// For rooms: `[room, …]`. For crates: `[crate, …]`.
    pub path: Vec<String>,
    /// Leads out of this crate.
    pub external: bool,
    /// A `print!` and its like.
    pub print: bool,
    /// A rename or glob of the crate's root, in words.
    pub alias: Option<String>,
    /// Inside `#[cfg(test)]` or a `tests.rs`.
    pub test: bool,
}

/// A parsed file.
pub struct Source {
    pub found: Vec<Found>,
    /// Lines without `#[cfg(test)]` items; 0 for a test module in its own file.
    pub lines: usize,
    /// Modules in files of their own that are compiled for tests only.
    pub test_modules: Vec<Vec<String>>,
    module: Vec<String>,
}

const PRINTS: [&str; 5] = ["println", "print", "eprintln", "eprint", "dbg"];

impl Source {
    /// Parses `text` of the file `name` (relative to `src/`). `test_modules`: what other files declare as tests. The error is a
    /// line and what is wrong there.
    pub fn parse(name: &str, text: &str, crates: &BTreeSet<String>, test_modules: &BTreeSet<Vec<String>>) -> Result<Self, (usize, String)> {
        let file = syn::parse_file(text).map_err(|e| (e.span().start().line, e.to_string()))?;
        let module = module_of(name);
        let all_test = (1..=module.len()).any(|depth| test_modules.contains(&module[..depth]));
        let mut walk = Walk {
            crates,
            module: module.clone(),
            found: Vec::new(),
            test_modules: Vec::new(),
            test_lines: 0,
            in_test: usize::from(all_test),
        };
        walk.visit_file(&file);
        let lines = if all_test { 0 } else { text.lines().count().saturating_sub(walk.test_lines) };
        Ok(Self { found: walk.found, lines, test_modules: walk.test_modules, module })
    }

    /// The first module under `src/`.
    pub fn room(&self) -> &str {
        self.module.first().map_or("lib", String::as_str)
    }
}

/// `tui/pane/chat.rs` → `[tui, pane, chat]`, `tui/mod.rs` → `[tui]`, `main.rs` → `[main]`.
fn module_of(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    if parts == ["lib"] { Vec::new() } else { parts }
}

struct Walk<'a> {
    crates: &'a BTreeSet<String>,
    module: Vec<String>,
    found: Vec<Found>,
    test_modules: Vec<Vec<String>>,
    test_lines: usize,
    in_test: usize,
}

impl Walk<'_> {
    fn push(&mut self, line: usize, path: Vec<String>, external: bool) {
        self.found.push(Found { line, path, external, print: false, alias: None, test: self.in_test > 0 });
    }

    /// Resolves one path. `declared`: it stands in a `use`, where even a single name is a path.
    fn path(&mut self, line: usize, parts: &[String], leading: bool, declared: bool) {
        let Some(first) = parts.first() else { return };
        match first.as_str() {
            "crate" | "arbour" if parts.len() > 1 => {
                let rest = parts[1..].to_vec();
                self.push(line, rest, false);
            }
            "self" | "super" if parts.len() > 1 => {
                let mut at = self.module.clone();
                let mut rest = parts;
                while let Some(word) = rest.first() {
                    match word.as_str() {
                        "self" => {}
                        "super" => {
                            at.pop();
                        }
                        _ => break,
                    }
                    rest = &rest[1..];
                }
                at.extend(rest.iter().cloned());
                if !at.is_empty() {
                    self.push(line, at, false);
                }
            }
            name => {
                let known = self.crates.contains(name) || matches!(name, "std" | "alloc") || (name == "core" && (leading || !declared));
                // `core::` without `crate::` is Rust's own library, unless a `use crate::core` made it ours: that use was seen.
                if known && name != "core" && (declared || leading || parts.len() > 1) {
                    self.push(line, parts.to_vec(), true);
                }
            }
        }
    }

    fn use_tree(&mut self, tree: &syn::UseTree, prefix: &mut Vec<String>, leading: bool) {
        match tree {
            syn::UseTree::Path(path) => {
                prefix.push(path.ident.to_string());
                self.use_tree(&path.tree, prefix, leading);
                prefix.pop();
            }
            syn::UseTree::Name(name) => self.use_leaf(&name.ident, prefix, leading, None),
            syn::UseTree::Rename(rename) => self.use_leaf(&rename.ident, prefix, leading, Some(rename.rename.to_string())),
            syn::UseTree::Glob(glob) => {
                if is_root(prefix) {
                    self.alias(glob.span().start().line, prefix, "a glob of the crate's root");
                }
                self.path(glob.span().start().line, &prefix.clone(), leading, true);
            }
            syn::UseTree::Group(group) => {
                for tree in &group.items {
                    self.use_tree(tree, prefix, leading);
                }
            }
        }
    }

    fn use_leaf(&mut self, ident: &syn::Ident, prefix: &[String], leading: bool, rename: Option<String>) {
        let line = ident.span().start().line;
        let mut parts = prefix.to_vec();
        if ident != "self" || parts.is_empty() {
            parts.push(ident.to_string());
        }
        if is_root(&parts) && rename.is_some() {
            self.alias(line, &parts, "the crate's root under another name");
        }
        self.path(line, &parts, leading, true);
    }

    fn alias(&mut self, line: usize, path: &[String], say: &str) {
        self.found.push(Found {
            line,
            path: path.to_vec(),
            external: false,
            print: false,
            alias: Some(say.to_owned()),
            test: self.in_test > 0,
        });
    }

    fn print(&mut self, line: usize, name: &str) {
        if PRINTS.contains(&name) {
            let test = self.in_test > 0;
            self.found.push(Found { line, path: vec![name.to_owned()], external: false, print: true, alias: None, test });
        }
    }

    /// Paths inside a macro's tokens: `a::b::c` sequences, wherever they stand.
    fn tokens(&mut self, stream: TokenStream) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut at = 0;
        while at < trees.len() {
            match &trees[at] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    let leading = at >= 2 && is_colon(&trees[at - 1]) && is_colon(&trees[at - 2]);
                    let mut parts = vec![ident.to_string()];
                    while at + 3 < trees.len() && is_colon(&trees[at + 1]) && is_colon(&trees[at + 2]) {
                        let TokenTree::Ident(next) = &trees[at + 3] else { break };
                        parts.push(next.to_string());
                        at += 3;
                    }
                    if matches!(trees.get(at + 1), Some(TokenTree::Punct(p)) if p.as_char() == '!') {
                        self.print(line, parts.last().map_or("", String::as_str));
                    }
                    self.path(line, &parts, leading, false);
                }
                _ => {}
            }
            at += 1;
        }
    }

    fn within_test(&mut self, item: &impl Spanned, visit: impl FnOnce(&mut Self)) {
        if self.in_test == 0 {
            let span = item.span();
            self.test_lines += span.end().line + 1 - span.start().line;
        }
        self.in_test += 1;
        visit(self);
        self.in_test -= 1;
    }
}

fn is_root(parts: &[String]) -> bool {
    matches!(parts, [one] if one == "crate" || one == "arbour")
}

fn is_colon(tree: &TokenTree) -> bool {
    matches!(tree, TokenTree::Punct(p) if p.as_char() == ':')
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.meta.require_list().is_ok_and(|list| asks_for_test(list.tokens.clone()))
    })
}

/// `test`, `all(test, …)`, `any(test, …)`, but not `not(test)`.
fn asks_for_test(tokens: TokenStream) -> bool {
    let mut negated = false;
    tokens.into_iter().any(|tree| match tree {
        TokenTree::Ident(ident) => {
            negated = ident == "not";
            ident == "test"
        }
        TokenTree::Group(group) => !negated && asks_for_test(group.stream()),
        _ => false,
    })
}

impl<'ast> Visit<'ast> for Walk<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let attributes: &[syn::Attribute] = match item {
            syn::Item::Mod(i) => &i.attrs,
            syn::Item::Fn(i) => &i.attrs,
            syn::Item::Use(i) => &i.attrs,
            syn::Item::Impl(i) => &i.attrs,
            syn::Item::Struct(i) => &i.attrs,
            syn::Item::Const(i) => &i.attrs,
            _ => &[],
        };
        if is_test(attributes) {
            self.within_test(item, |walk| visit::visit_item(walk, item));
        } else {
            visit::visit_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.module.push(item.ident.to_string());
        if item.content.is_none() && self.in_test > 0 {
            self.test_modules.push(self.module.clone());
        }
        visit::visit_item_mod(self, item);
        self.module.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.use_tree(&item.tree, &mut Vec::new(), item.leading_colon.is_some());
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        let line = item.span().start().line;
        self.path(line, &[item.ident.to_string()], true, true);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.path(path.span().start().line, &parts, path.leading_colon.is_some(), false);
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        if let Some(last) = mac.path.segments.last() {
            self.print(last.ident.span().start().line, &last.ident.to_string());
        }
        self.tokens(mac.tokens.clone());
        visit::visit_macro(self, mac);
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        self.tokens(list.tokens.clone());
        visit::visit_meta_list(self, list);
    }
}
