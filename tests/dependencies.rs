//! What arbour is made of: nothing that needs more than a Rust toolchain and a C compiler, and one copy of what must be one.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

/// Crates that must not be in the lock file, by name; a `*` at the end stands for any rest. Each with what it would cost.
const BANNED: &[(&str, &str)] = &[
    ("openssl", "needs OpenSSL's headers and pkg-config"),
    ("openssl-sys", "needs OpenSSL's headers and pkg-config"),
    ("openssl-src", "builds OpenSSL with perl and make"),
    ("native-tls", "pulls OpenSSL in on Linux"),
    ("aws-lc-*", "builds minutes of C and assembly with cmake"),
    ("cmake", "needs cmake"),
    ("bindgen", "needs libclang"),
    ("onig*", "builds the Oniguruma library; fancy-regex does"),
    ("libz-ng-sys", "needs cmake"),
    ("sqlx*", "a second SQLite and a second pool"),
    ("winapi-build", "long dead"),
];

/// Crates of which a second copy is a bug: two of them do not understand each other's types.
const SINGLE: &[&str] = &[
    "ratatui-core",
    "crossterm",
    "rusqlite",
    "libsqlite3-sys",
    "tokio",
    "tungstenite",
    "rustls",
    "reqwest",
    "axum",
    "candle-core",
    "serde_json",
    "uuid",
];

/// Native libraries that crates of the graph link, and why each needs nothing installed.
const LINKS: &[(&str, &str)] = &[
    ("sqlite3", "compiled from its one C file"),
    ("ring_core_*", "compiled from C and assembly in the crate"),
    ("rayon-core", "no library: keeps the thread pool single"),
];

/// Licences that may be linked into a program under MIT or Apache-2.0.
const LICENCES: &[&str] = &[
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-1-Clause",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MPL-2.0",
    "OpenSSL",
    "Unicode-3.0",
    "Unicode-DFS-2016",
    "Unlicense",
    "WTFPL",
    "Zlib",
    "0BSD",
];

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

fn locked() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).expect("Cargo.lock");
    let lock: toml::Table = text.parse().expect("Cargo.lock is TOML");
    let packages = lock["package"].as_array().expect("packages");
    let field = |package: &toml::Value, key: &str| package.get(key).and_then(|v| v.as_str()).unwrap_or_default().to_owned();
    packages.iter().map(|package| (field(package, "name"), field(package, "version"))).collect()
}

#[test]
fn nothing_needs_more_than_rust_and_a_c_compiler() {
    let packages = locked();
    assert!(packages.len() > 100, "the lock file holds {} packages only", packages.len());
    let bad: Vec<String> = packages
        .iter()
        .filter_map(|(name, version)| {
            let (_, cost) = BANNED.iter().find(|(pattern, _)| fits(pattern, name))?;
            Some(format!("{name} {version}: {cost} (cargo tree -i {name} shows who wants it)"))
        })
        .collect();
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn what_must_be_one_is_one() {
    let mut versions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, version) in locked() {
        versions.entry(name).or_default().insert(version);
    }
    for single in SINGLE {
        let found = versions.get(*single).unwrap_or_else(|| panic!("{single} is not in the lock file any more: take it out of SINGLE"));
        assert!(found.len() == 1, "{single} is there in {} versions: {found:?}", found.len());
    }
}

#[test]
fn the_graph_is_free_and_links_nothing_foreign() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let rustc = Command::new(std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned())).arg("-vV").output().expect("rustc -vV");
    let host = String::from_utf8_lossy(&rustc.stdout).lines().find_map(|l| l.strip_prefix("host: ").map(str::to_owned)).expect("a host");
    let output = Command::new(cargo)
        .args(["metadata", "--offline", "--locked", "--format-version", "1", "--filter-platform", &host])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    let graph: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = graph["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "the graph holds {} packages only", packages.len());
    let mut bad = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        if let Some(links) = package["links"].as_str()
            && !LINKS.iter().any(|(pattern, _)| fits(pattern, links))
        {
            bad.push(format!("{name} links `{links}`: does it need something installed? If not, say so in LINKS"));
        }
        match package["license"].as_str() {
            Some(licence) if !acceptable(licence) => bad.push(format!("{name} is under {licence}")),
            None if package["license_file"].is_null() => bad.push(format!("{name} names no licence")),
            _ => {}
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Whether an SPDX expression can be met by [`LICENCES`]: every `AND` part needs one good `OR` alternative.
fn acceptable(expression: &str) -> bool {
    let flat = expression.replace('/', " OR ").replace(['(', ')'], "");
    // Brackets matter for mixed expressions; those in the graph are `(A OR B) AND C` or `A AND B`, which this reads right.
    flat.split(" AND ").all(|part| part.split(" OR ").any(|licence| LICENCES.contains(&licence.trim())))
}

#[test]
fn licences_are_read_as_they_are_meant() {
    assert!(acceptable("MIT OR GPL-3.0"));
    assert!(acceptable("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(acceptable("MIT/Apache-2.0"));
    assert!(!acceptable("GPL-3.0"));
    assert!(!acceptable("MIT AND AGPL-3.0"));
}
