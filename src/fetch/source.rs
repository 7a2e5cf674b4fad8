//! What people write for a model file that is to be fetched, read into one of three ways. Pure.
//!
//! Owns: the forms of a source. Refuses: the network and the disk. Invariant: no name that comes out of here leads out of the
//! folder that it is put into.

use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::error::{Error, Kind, Result, quoted};

/// The hub that is asked unless the configuration names another.
pub const HUB: &str = "https://huggingface.co";
/// Hosts whose addresses are the hub's pages.
const HUB_HOSTS: &[&str] = &["huggingface.co", "www.huggingface.co", "hf.co"];
/// Longer is no source.
const LONGEST: usize = 2048;

/// Where a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `owner/repo…` at the hub.
    Hub { repo: String, revision: String, pick: Pick },
    /// Any address; its SHA-256 when it was written behind `#sha256=`.
    Address { url: String, sha256: Option<String>, file: String },
    /// A file on the host's machine.
    Path(PathBuf),
}

/// Which file of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// By its path.
    File(String),
    /// By what stands behind the colon: a quantisation, or the name of a file.
    Variant(String),
    /// The only one there is.
    Any,
}

impl Source {
    /// Reads a source. `hubs` are the addresses of the hub and its mirrors: pages below them are taken for repositories.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the forms that there are.
    pub fn parse(text: &str, hubs: &[String], home: Option<&Path>) -> Result<Self> {
        let text = text.trim();
        if text.is_empty() || text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err(no_source(text));
        }
        if text.contains("://") {
            let text = text.strip_prefix("hf://").map_or_else(|| text.to_owned(), |rest| format!("{HUB}/{rest}"));
            return address(&text, hubs);
        }
        if let Some(path) = path(text, home)? {
            return Ok(Self::Path(path));
        }
        let rest = HUB_HOSTS.iter().find_map(|host| text.strip_prefix(host)?.strip_prefix('/')).unwrap_or(text);
        repository(rest).ok_or_else(|| no_source(text))
    }

    /// The folder below that of all models into which its files go.
    #[must_use]
    pub fn folder(&self, models: &Path) -> PathBuf {
        match self {
            Self::Hub { repo, .. } => models.join(repo),
            Self::Address { .. } | Self::Path(_) => models.to_owned(),
        }
    }
}

/// Whether a text can only mean a file: an address, a path, something of GGUF, or a repository without a tag.
#[must_use]
pub fn is_file(text: &str) -> bool {
    let text = text.trim();
    let bare = text.split_once("#sha256=").map_or(text, |(bare, _)| bare);
    text.contains("://")
        || text.starts_with(['/', '~'])
        || bare.to_ascii_lowercase().ends_with(".gguf")
        || HUB_HOSTS.iter().any(|host| text.strip_prefix(host).is_some_and(|rest| rest.starts_with('/')))
        // A repository of GGUF files says so in its name; anything else with a tag could be a model of an Ollama registry.
        || (text.matches('/').count() == 1 && (!text.contains(':') || text.to_ascii_lowercase().contains("gguf")))
}

fn path(text: &str, home: Option<&Path>) -> Result<Option<PathBuf>> {
    if text.starts_with('/') || text == "~" || text.starts_with("~/") {
        let path = crate::config::expand(text, home);
        return if path.is_absolute() { Ok(Some(path)) } else { Err(no_source(text)) };
    }
    if text.starts_with("./") || text.starts_with("../") || (!text.contains('/') && text.to_ascii_lowercase().ends_with(".gguf")) {
        return Err(Error::new(Kind::Usage, format!("{} does not say in which folder the file is.", quoted(text)))
            .hint("Write the whole path, from / on: the host has a folder of its own."));
    }
    Ok(None)
}

fn address(text: &str, hubs: &[String]) -> Result<Source> {
    let url = Url::parse(text).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
    let mut url = url.ok_or_else(|| {
        Error::new(Kind::Usage, format!("{} is no address to fetch a file from.", quoted(text)))
            .hint("An address begins with https:// or http://.")
    })?;
    if !url.username().is_empty() || url.password().is_some() {
        // It would be kept with the download, and shown.
        return Err(Error::new(Kind::Usage, "The address holds a name and a password, which arbour would have to keep; it is not used.")
            .hint("For the hub set HF_TOKEN; from elsewhere fetch the file by hand, and give its path."));
    }
    let sha256 = match url.fragment().map(str::to_owned) {
        Some(fragment) => match fragment.strip_prefix("sha256=") {
            Some(hash) => Some(checksum(hash)?),
            None => None,
        },
        None => None,
    };
    url.set_fragment(None);
    if sha256.is_none()
        && let Some(source) = page(&url, hubs)
    {
        return Ok(source);
    }
    let file = file_name(&url);
    Ok(Source::Address { url: url.into(), sha256, file })
}

fn checksum(hash: &str) -> Result<String> {
    if hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Ok(hash.to_ascii_lowercase());
    }
    Err(Error::new(Kind::Usage, format!("{} is no SHA-256.", quoted(hash)))
        .hint("Behind #sha256= stand 64 figures and letters, as `sha256sum` prints them."))
}

/// A page of the hub that was copied out of a browser.
fn page(url: &Url, hubs: &[String]) -> Option<Source> {
    let public = HUB_HOSTS.iter().find(|host| url.host_str() == Some(host)).map(|_| url.path());
    let configured = || {
        let hub = hubs.iter().filter_map(|hub| Url::parse(hub).ok()).find(|hub| hub.origin() == url.origin())?;
        url.path().strip_prefix(hub.path().trim_end_matches('/'))
    };
    let path = public.or_else(configured)?.trim_matches('/');
    let path = decoded(path)?;
    // A file's own address stays an address unless it can be looked up.
    repository(&path)
}

/// `owner/repo`, with what may follow it.
fn repository(text: &str) -> Option<Source> {
    let mut parts = text.trim_end_matches('/').splitn(3, '/');
    let (owner, name, rest) = (parts.next()?, parts.next()?, parts.next());
    let (name, variant) = match (rest, name.split_once(':')) {
        (None, Some((name, variant))) => (name, Some(variant)),
        _ => (name, None),
    };
    let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
    if !is_name(owner) || !is_name(name) || !is_name(revision) {
        return None;
    }
    let repo = format!("{owner}/{name}");
    let hub = |revision: &str, pick: Pick| Some(Source::Hub { repo: repo.clone(), revision: revision.to_owned(), pick });
    let Some(rest) = rest else {
        return match variant {
            None => hub(revision, Pick::Any),
            Some(variant) if is_file_path(variant) => hub(revision, Pick::Variant(variant.to_owned())),
            Some(_) => None,
        };
    };
    let (word, tail) = rest.split_once('/').unwrap_or((rest, ""));
    match word {
        "resolve" | "blob" | "raw" => {
            let (revision, path) = tail.split_once('/')?;
            (is_name(revision) && is_gguf(path)).then(|| hub(revision, Pick::File(path.to_owned())))?
        }
        "tree" if is_name(tail) => hub(tail, Pick::Any),
        _ => is_gguf(rest).then(|| hub(revision, Pick::File(rest.to_owned())))?,
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 128
        && !text.starts_with('.')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
}

fn is_gguf(path: &str) -> bool {
    path.to_ascii_lowercase().ends_with(".gguf") && is_file_path(path)
}

/// A path that stays in its folder.
#[must_use]
pub fn is_file_path(path: &str) -> bool {
    !path.is_empty()
        && path.len() <= 512
        && path.split('/').all(|part| !part.is_empty() && !part.starts_with('.') && part.len() <= 200)
        && !path.chars().any(|c| c.is_control() || c == '\\')
}

/// What a file from an address is called here.
fn file_name(url: &Url) -> String {
    let last = url.path().rsplit('/').next().and_then(decoded).unwrap_or_default();
    let kept: String = last.chars().map(|c| if c.is_alphanumeric() || matches!(c, '-' | '_' | '.' | ' ') { c } else { '_' }).collect();
    let stem = kept.trim_start_matches('.').trim();
    let stem: String = stem.chars().take(120).collect();
    let stem = match stem.to_ascii_lowercase().strip_suffix(".gguf") {
        Some(short) => stem.get(..short.len()).unwrap_or_default().to_owned(),
        None => stem,
    };
    format!("{}.gguf", if stem.is_empty() { "model" } else { &stem })
}

/// `%20` and its like taken back.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&pair).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// A file of a split model: what all parts are called, which one this is, and how many there are.
#[must_use]
pub fn part_of(path: &str) -> Option<(&str, u32, u32)> {
    let stem = path.strip_suffix(".gguf").or_else(|| path.strip_suffix(".GGUF"))?;
    let (front, of) = stem.rsplit_once("-of-")?;
    let (name, number) = front.rsplit_once('-')?;
    let digits = |text: &str| (text.len() == 5 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u32>().ok()).flatten();
    let (number, of) = (digits(number)?, digits(of)?);
    (number >= 1 && number <= of).then_some((name, number, of))
}

/// What a model file is called, without its folder, its number among parts and its ending.
#[must_use]
pub fn model_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    match part_of(file) {
        Some((name, ..)) => name,
        None => file.strip_suffix(".gguf").or_else(|| file.strip_suffix(".GGUF")).unwrap_or(file),
    }
}

fn no_source(text: &str) -> Error {
    Error::new(Kind::Usage, format!("{} is no source of a GGUF file.", quoted(text)))
        .hint("At the hub: owner/repo:Q4_K_M, or owner/repo/file.gguf.")
        .hint("From elsewhere: an https:// address (with #sha256=… behind it, it is checked), or the whole path of a file.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Source> {
        Source::parse(text, &["http://mirror.test:8080/hf".to_owned()], Some(Path::new("/home/u")))
    }

    fn hub(repo: &str, revision: &str, pick: Pick) -> Source {
        Source::Hub { repo: repo.into(), revision: revision.into(), pick }
    }

    #[test]
    fn the_forms_of_a_repository() {
        let file = |path: &str| Pick::File(path.into());
        for (text, wanted) in [
            ("o/r", hub("o/r", "main", Pick::Any)),
            (" hf.co/o/r:Q4_K_M ", hub("o/r", "main", Pick::Variant("Q4_K_M".into()))),
            ("o/r@v2:q8_0", hub("o/r", "v2", Pick::Variant("q8_0".into()))),
            ("o/r/a b.gguf", hub("o/r", "main", file("a b.gguf"))),
            ("huggingface.co/o/r/sub/x-00001-of-00003.gguf", hub("o/r", "main", file("sub/x-00001-of-00003.gguf"))),
            ("https://huggingface.co/o/r/blob/main/x.gguf?download=true", hub("o/r", "main", file("x.gguf"))),
            ("https://hf.co/o/r", hub("o/r", "main", Pick::Any)),
            ("hf://o/r/x.gguf", hub("o/r", "main", file("x.gguf"))),
            ("https://huggingface.co/o/r/tree/v1", hub("o/r", "v1", Pick::Any)),
            ("http://mirror.test:8080/hf/o/r/resolve/abc123/sub/x%20y.gguf", hub("o/r", "abc123", file("sub/x y.gguf"))),
        ] {
            assert_eq!(parse(text), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn addresses_and_paths() {
        let hash = "ab".repeat(32);
        for (text, url, sha256, file) in [
            ("https://x.test/a/M.Q4.gguf", "https://x.test/a/M.Q4.gguf", None, "M.Q4.gguf"),
            (&format!("http://x.test/m#sha256={}", hash.to_uppercase()), "http://x.test/m", Some(hash.clone()), "m.gguf"),
            ("https://x.test/", "https://x.test/", None, "model.gguf"),
            ("https://x.test/%2e%2e%2fetc%2fpasswd", "https://x.test/%2e%2e%2fetc%2fpasswd", None, "_etc_passwd.gguf"),
            ("https://x.test/a/%1b%5b2J.GGUF", "https://x.test/a/%1b%5b2J.GGUF", None, "__2J.gguf"),
        ] {
            assert_eq!(parse(text), Ok(Source::Address { url: url.into(), sha256, file: file.into() }), "{text}");
        }
        assert_eq!(parse("/data/x.gguf"), Ok(Source::Path("/data/x.gguf".into())));
        assert_eq!(parse("~/x.gguf"), Ok(Source::Path("/home/u/x.gguf".into())));
    }

    #[test]
    fn what_is_no_source_says_which_forms_there_are() {
        for text in [
            "",
            "qwen3:8b",
            "../../etc/x/y.gguf",
            "o/r/../../x.gguf",
            "o/../x.gguf",
            "o/r:../x",
            "o/r/readme.md",
            ".o/r",
            "x.gguf",
            "ftp://x/y.gguf",
            "https://u:p@x.test/y.gguf",
            "https://x.test/y.gguf#sha256=12",
            "o/r\u{1b}[2J",
        ] {
            let error = parse(text).expect_err(text);
            assert_eq!((error.kind, error.hints.is_empty()), (Kind::Usage, false), "{text}: {error:?}");
            assert!(!format!("{error:?}").contains("u:p"), "{error:?}");
        }
    }

    #[test]
    fn what_can_only_be_a_file() {
        for text in
            ["https://x/y", "/x", "~/x", "o/r/x.gguf", "x.gguf", "o/r", "o/r-GGUF:Q4_K_M", "hf.co/o/r:Q4", "http://x/m.gguf#sha256=a"]
        {
            assert!(is_file(text), "{text}");
        }
        for text in ["qwen3:8b", "qwen3", "user/model:tag", "registry.test/library/x:1"] {
            assert!(!is_file(text), "{text}");
        }
    }

    #[test]
    fn parts_of_a_split_file() {
        assert_eq!(part_of("a/b-00002-of-00003.gguf"), Some(("a/b", 2, 3)));
        for text in
            ["b.gguf", "b-00004-of-00003.gguf", "b-00000-of-00003.gguf", "b-1-of-3.gguf", "b-+0001-of-00003.gguf", "b-00001-of-00003"]
        {
            assert_eq!(part_of(text), None, "{text}");
        }
        assert_eq!(model_name("a/b-00002-of-00003.gguf"), "b");
        assert_eq!(model_name("a/b.c.gguf"), "b.c");
    }

    proptest! {
        #[test]
        fn no_source_leads_out_of_the_folder(text in "(https?://x\\.test/|o/r|hf\\.co/)?[a-z0-9./%:@#~\\\\ -]{0,40}(\\.gguf)?") {
            let models = Path::new("/models");
            let inside = |path: &Path| path.starts_with(models) && path.components().all(|c| !matches!(c, std::path::Component::ParentDir));
            match parse(&text) {
                Ok(source @ Source::Hub { .. }) => {
                    prop_assert!(inside(&source.folder(models)));
                    if let Source::Hub { pick: Pick::File(path), .. } = &source {
                        prop_assert!(inside(&source.folder(models).join(path)), "{path}");
                    }
                }
                Ok(Source::Address { file, .. }) => {
                    prop_assert!(inside(&models.join(&file)) && !file.contains('/') && file.ends_with(".gguf"), "{file}");
                }
                Ok(Source::Path(path)) => prop_assert!(path.is_absolute()),
                Err(error) => prop_assert_eq!(error.kind, Kind::Usage),
            }
        }
    }
}
