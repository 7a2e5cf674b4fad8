//! What the hub says of a repository: which GGUF files there are, how large, and their SHA-256.
//!
//! Owns: the hub's addresses, its token, its listing and the headers that it puts before a file. Refuses: fetching. Invariants: the
//! token goes to the hub alone, over a connection that nobody reads, and is never printed; a listing is bounded in size and pages.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt;
use reqwest::header::{CONTENT_LENGTH, LINK, LOCATION};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::http::{Site, client, loopback, unauthorized};
use super::source::{HUB, Pick, is_file_path, model_name, part_of};
use super::{Fault, part};
use crate::error::{Error, Kind, Result, harmless, quoted};

/// How long a page of a listing, or the head of a file, may take.
const ASK: Duration = Duration::from_secs(20);
/// The largest page of a listing, and how many pages are read: a repository of 20,000 files.
const PAGE_MOST: usize = 8 << 20;
const PAGES: usize = 20;
/// How many choices an error lists.
const SHOWN: usize = 24;
/// Parts of one model; more is a mistake or a trap.
const PARTS: u32 = 1000;
/// Times that one is sent on when only the head of a file is asked for.
const REDIRECTS: usize = 8;

/// Where repositories are looked up.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The hub, then its mirrors.
    pub bases: Vec<String>,
    /// For what is not given to everybody.
    pub token: Option<String>,
    /// As for a file: [`super::Job::silence`], [`super::Job::pause`].
    pub silence: Duration,
    pub pause: Duration,
}

impl Default for Hub {
    fn default() -> Self {
        Self { bases: vec![HUB.to_owned()], token: None, silence: Duration::from_secs(30), pause: Duration::from_millis(500) }
    }
}

/// What may be shown to the hub to be let in. Prints as nothing.
#[derive(Clone)]
pub struct Token {
    base: String,
    value: Option<String>,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[secret]")
    }
}

impl Token {
    /// Whether an address is the hub's.
    pub(super) fn is_for(&self, url: &Url) -> bool {
        Url::parse(&self.base).is_ok_and(|base| base.origin() == url.origin() && url.path().starts_with(base.path().trim_end_matches('/')))
    }

    /// The token, where it may go.
    pub(super) fn for_address(&self, url: &Url) -> Option<&str> {
        let private = url.scheme() == "https" || loopback(url);
        self.value.as_deref().filter(|_| private && self.is_for(url))
    }
}

/// A file as the hub lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub path: String,
    pub size: Option<u64>,
    pub sha256: Option<String>,
}

/// One model of a repository: a file, or all parts of a split one.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Choice {
    /// The path without number and ending.
    name: String,
    /// How many parts there should be.
    of: u32,
    files: Vec<Listed>,
}

impl Choice {
    fn size(&self) -> u64 {
        self.files.iter().filter_map(|file| file.size).fold(0, u64::saturating_add)
    }

    /// What names it behind a colon: its quantisation, else its name.
    fn tag(&self) -> &str {
        quantisation(&self.name).unwrap_or(&self.name)
    }
}

impl Hub {
    /// The token, for those files that lie at the hub itself.
    #[must_use]
    pub fn token(&self) -> Token {
        Token { base: self.bases.first().cloned().unwrap_or_default(), value: self.token.clone() }
    }

    /// The files that are meant: one, or all parts.
    ///
    /// # Errors
    /// [`Kind::Usage`] with the choices when several are possible or none; [`Kind::Unauthorized`] for what is not given to
    /// everybody; else why no hub could be asked.
    pub(super) async fn choose(&self, repo: &str, revision: &str, pick: &Pick) -> Result<Vec<Listed>> {
        let mut first: Option<Error> = None;
        for base in &self.bases {
            match self.list(base, repo, revision).await {
                Ok(files) => return choose(repo, &files, pick),
                Err(error) => drop(first.get_or_insert(error)),
            }
        }
        let error = first.unwrap_or_else(|| Error::new(Kind::Config, "No hub is configured."));
        // A mirror that only serves files: the head of the file may say what the listing would have.
        match pick {
            Pick::File(path) if error.kind != Kind::Unauthorized => self.heads(repo, revision, path, error).await,
            _ => Err(error),
        }
    }

    /// The addresses of a file, hub first.
    #[must_use]
    pub fn addresses(&self, repo: &str, revision: &str, path: &str) -> Vec<String> {
        let address = |base: &String| {
            let mut url = Url::parse(base).ok()?;
            let segments = ["resolve", revision];
            url.path_segments_mut().ok()?.pop_if_empty().extend(repo.split('/')).extend(segments).extend(path.split('/'));
            Some(url.into())
        };
        self.bases.iter().filter_map(address).collect()
    }

    async fn heads(&self, repo: &str, revision: &str, path: &str, error: Error) -> Result<Vec<Listed>> {
        let paths: Vec<String> = match part_of(path) {
            Some((name, _, of)) if of <= PARTS => (1..=of).map(|n| format!("{name}-{n:05}-of-{of:05}.gguf")).collect(),
            _ => vec![path.to_owned()],
        };
        let mut listed = Vec::with_capacity(paths.len());
        for path in paths {
            let mut facts = None;
            for address in self.addresses(repo, revision, &path) {
                facts = facts.or(head(&address, &self.token()).await);
            }
            let Some(Facts { size, sha256 }) = facts else { return Err(error) };
            listed.push(Listed { path, size, sha256 });
        }
        Ok(listed)
    }

    async fn list(&self, base: &str, repo: &str, revision: &str) -> Result<Vec<Listed>> {
        let wrong = || Error::new(Kind::Config, format!("{} is no address of a hub.", quoted(base)));
        let mut url = Url::parse(base).map_err(|_| wrong())?;
        url.path_segments_mut()
            .map_err(|()| wrong())?
            .pop_if_empty()
            .extend(["api", "models"])
            .extend(repo.split('/'))
            .extend(["tree", revision]);
        url.set_query(Some("recursive=1"));
        let token = self.token();
        let site = Site::of(&url, repo, &token);
        let mut files = Vec::new();
        for _ in 0..PAGES {
            let response = self.ask(&url, &site, &token, repo, revision).await?;
            let next = next_page(&response).filter(|next| next.origin() == url.origin());
            let page = tokio::time::timeout(ASK, body(response, &site)).await.map_err(|_| site.slow())??;
            // What is no list of files comes from something else than a hub.
            let page: Value = serde_json::from_slice(&page).map_err(|_| site.page())?;
            files.extend(page.as_array().ok_or_else(|| site.page())?.iter().filter_map(listed));
            match next {
                Some(next) => url = next,
                None => break,
            }
        }
        Ok(files)
    }

    async fn ask(&self, url: &Url, site: &Site, token: &Token, repo: &str, revision: &str) -> Result<Response> {
        let mut request = client(url, ASK.min(self.silence), true)?.get(url.clone());
        if let Some(token) = token.for_address(url) {
            request = request.bearer_auth(token);
        }
        let response = request.send().await.map_err(|e| match site.transport(&e) {
            Fault::Again(error, _) | Fault::Next(error) | Fault::Fatal(error) => error,
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let (at, repo) = (&site.shown, quoted(repo));
        Err(match status {
            // The hub does not tell strangers whether what they may not see exists.
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => unauthorized(
                &format!("{at} has no repository {repo} for everybody: it is private, its terms were not accepted, or it is not there."),
                site.hub,
                site.token,
            ),
            StatusCode::NOT_FOUND => {
                let what = if revision == "main" { repo } else { format!("{repo} with a revision {}", quoted(revision)) };
                Error::new(Kind::NotFound, format!("{at} has no repository {what}.")).hint("Look at the spelling: owner/repo.")
            }
            status => match site.refused(status, response.headers()) {
                Fault::Again(error, _) | Fault::Next(error) | Fault::Fatal(error) => error,
            },
        })
    }
}

/// What is told of a file before its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub size: Option<u64>,
    pub sha256: Option<String>,
}

/// Asks for the head of a file only. `None` when there is no such file there, or nobody to ask: the request for the file says why.
pub(super) async fn head(address: &str, token: &Token) -> Option<Facts> {
    let mut url = Url::parse(address).ok()?;
    let mut facts = Facts::default();
    for _ in 0..REDIRECTS {
        let mut request = client(&url, ASK, false).ok()?.head(url.clone());
        if let Some(token) = token.for_address(&url) {
            request = request.bearer_auth(token);
        }
        let response = tokio::time::timeout(ASK, request.send()).await.ok()?.ok()?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        // Where the hub sends one on to its stores, it says first what will come.
        facts.size = facts.size.or_else(|| header("x-linked-size")?.parse().ok());
        facts.sha256 = facts.sha256.or_else(|| sha256(header("x-linked-etag")?));
        let status = response.status();
        if status.is_redirection() {
            if facts.size.is_some() {
                return Some(facts);
            }
            let next = url.join(header(LOCATION.as_str())?).ok()?;
            if url.scheme() == "https" && next.scheme() != "https" {
                return None;
            }
            url = next;
            continue;
        }
        if !status.is_success() {
            return None;
        }
        facts.size = facts.size.or_else(|| header(CONTENT_LENGTH.as_str())?.parse().ok().filter(|size| *size > 0));
        return Some(facts);
    }
    None
}

/// `"<64 figures>"`, with or without quotation marks.
fn sha256(text: &str) -> Option<String> {
    let text = text.trim().trim_matches('"');
    (text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_ascii_lowercase())
}

async fn body(response: Response, site: &Site) -> Result<Vec<u8>> {
    let mut stream = response.bytes_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|e| match site.transport(&e) {
            Fault::Again(error, _) | Fault::Next(error) | Fault::Fatal(error) => error,
        })?;
        if bytes.len() + chunk.len() > PAGE_MOST {
            return Err(site.odd("sends a listing that has no end"));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// `<https://…>; rel="next"`.
fn next_page(response: &Response) -> Option<Url> {
    let link = response.headers().get(LINK)?.to_str().ok()?;
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    response.url().join(next.trim().strip_prefix('<')?.split_once('>')?.0).ok()
}

fn listed(entry: &Value) -> Option<Listed> {
    let path = entry.get("path")?.as_str().filter(|path| is_file_path(path) && path.to_ascii_lowercase().ends_with(".gguf"))?;
    if entry.get("type").and_then(Value::as_str).is_some_and(|kind| kind != "file") {
        return None;
    }
    let lfs = entry.get("lfs");
    let size = lfs.and_then(|lfs| lfs.get("size")).or_else(|| entry.get("size")).and_then(Value::as_u64);
    let sha256 = lfs.and_then(|lfs| lfs.get("oid")).and_then(Value::as_str).and_then(|oid| sha256(oid.trim_start_matches("sha256:")));
    Some(Listed { path: path.to_owned(), size, sha256 })
}

/// The models among the files: encoders of images and matrices for quantising are none.
fn choices(files: &[Listed]) -> Vec<Choice> {
    let mut found: BTreeMap<(&str, u32), Vec<Listed>> = BTreeMap::new();
    for file in files {
        let lower = file.path.to_lowercase();
        let last = lower.rsplit('/').next().unwrap_or(&lower);
        if last.starts_with("mmproj") || last.contains("imatrix") {
            continue;
        }
        let (name, of) = match part_of(&file.path) {
            Some((name, _, of)) => (name, of),
            None => (file.path.get(..file.path.len() - ".gguf".len()).unwrap_or(&file.path), 1),
        };
        found.entry((name, of)).or_default().push(file.clone());
    }
    let choice = |((name, of), mut files): ((&str, u32), Vec<Listed>)| {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Choice { name: name.to_owned(), of, files }
    };
    let mut all: Vec<Choice> = found.into_iter().map(choice).collect();
    all.sort_by_key(Choice::size);
    all
}

fn choose(repo: &str, files: &[Listed], pick: &Pick) -> Result<Vec<Listed>> {
    let all = choices(files);
    let lower = |text: &str| text.to_ascii_lowercase();
    let found: Vec<&Choice> = match pick {
        Pick::Any => all.iter().collect(),
        Pick::File(path) => {
            // An encoder, too, can be asked for by its name.
            if let Some(file) = files.iter().find(|file| file.path == *path).filter(|_| part_of(path).is_none()) {
                return Ok(vec![file.clone()]);
            }
            all.iter().filter(|choice| choice.files.iter().any(|file| file.path == *path)).collect()
        }
        Pick::Variant(variant) => {
            let variant = lower(variant.strip_suffix(".gguf").unwrap_or(variant));
            let exact = |choice: &&Choice| {
                lower(&choice.name) == variant || lower(model_name(&choice.name)) == variant || lower(choice.tag()) == variant
            };
            let ends = |choice: &&Choice| {
                lower(&choice.name).strip_suffix(&variant).is_some_and(|front| front.ends_with(|c: char| !c.is_ascii_alphanumeric()))
            };
            let exact: Vec<&Choice> = all.iter().filter(exact).collect();
            if exact.is_empty() { all.iter().filter(ends).collect() } else { exact }
        }
    };
    match found.as_slice() {
        [one] => whole(repo, one),
        [] if all.is_empty() => Err(Error::new(Kind::NotFound, format!("There is no GGUF file in {}.", quoted(repo)))
            .hint("Repositories of GGUF files often end in -GGUF.")),
        [] => {
            let wanted = match pick {
                Pick::File(text) | Pick::Variant(text) => quoted(text),
                Pick::Any => "anything".to_owned(),
            };
            Err(list(Error::new(Kind::Usage, format!("There is no {wanted} in {}.", quoted(repo))), repo, &all.iter().collect::<Vec<_>>()))
        }
        several => {
            let error =
                Error::new(Kind::Usage, format!("{} holds {} models, and the name does not say which.", quoted(repo), several.len()));
            Err(list(error, repo, several))
        }
    }
}

fn whole(repo: &str, choice: &Choice) -> Result<Vec<Listed>> {
    if choice.of > 1 && choice.files.len() != choice.of as usize {
        let message =
            format!("{} of {} should be {} parts, and {} are there.", quoted(&choice.name), quoted(repo), choice.of, choice.files.len());
        return Err(Error::new(Kind::NotFound, message).hint("Whoever put it there has not finished, or made a mistake."));
    }
    Ok(choice.files.clone())
}

fn list(error: Error, repo: &str, choices: &[&Choice]) -> Error {
    let error = choices.iter().take(SHOWN).fold(error, |error, choice| {
        let parts = if choice.of > 1 { format!(", {} parts", choice.of) } else { String::new() };
        error.hint(format!("{}:{}  {}{parts}", harmless(repo), harmless(choice.tag()), part::size(choice.size())))
    });
    match choices.len() {
        n if n > SHOWN => error.hint(format!("… and {} more.", n - SHOWN)),
        _ => error,
    }
}

/// `Q4_K_M` of `x-Q4_K_M`, `x.Q4_K_M`, `Q4_K_M/x-Q4_K_M`.
fn quantisation(name: &str) -> Option<&str> {
    let file = name.rsplit('/').next().unwrap_or(name);
    file.rsplit(['-', '.']).find(|word| {
        let upper = word.to_ascii_uppercase();
        let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
        ["IQ", "TQ", "Q"].iter().any(|kind| upper.strip_prefix(kind).is_some_and(digit))
            || matches!(upper.as_str(), "F16" | "BF16" | "F32" | "FP16" | "FP32")
            || upper.starts_with("MXFP")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn file(path: &str, size: u64) -> Listed {
        Listed { path: path.into(), size: Some(size), sha256: None }
    }

    fn paths(found: Result<Vec<Listed>>) -> Vec<String> {
        found.unwrap().into_iter().map(|f| f.path).collect()
    }

    fn repository() -> Vec<Listed> {
        vec![
            file("x-Q4_K_M.gguf", 4_900_000_000),
            file("x-UD-Q4_K_XL.gguf", 5_000_000_000),
            file("Q8_0/x-Q8_0-00002-of-00002.gguf", 10),
            file("Q8_0/x-Q8_0-00001-of-00002.gguf", 10),
            file("BF16/x-BF16-00001-of-00003.gguf", 10),
            file("mmproj-F16.gguf", 800),
            file("x.imatrix.gguf", 5),
        ]
    }

    #[test]
    fn a_file_is_picked_by_its_quantisation_or_name() {
        let variant = |text: &str| choose("o/r", &repository(), &Pick::Variant(text.into()));
        assert_eq!(paths(variant("q4_k_m")), ["x-Q4_K_M.gguf"]);
        assert_eq!(paths(variant("x-UD-Q4_K_XL.gguf")), ["x-UD-Q4_K_XL.gguf"]);
        assert_eq!(paths(variant("UD-Q4_K_XL")), ["x-UD-Q4_K_XL.gguf"]);
        assert_eq!(paths(variant("Q8_0")), ["Q8_0/x-Q8_0-00001-of-00002.gguf", "Q8_0/x-Q8_0-00002-of-00002.gguf"]);
        let part = Pick::File("Q8_0/x-Q8_0-00002-of-00002.gguf".into());
        assert_eq!(paths(choose("o/r", &repository(), &part)).len(), 2, "one part brings all");
        assert_eq!(paths(choose("o/r", &repository(), &Pick::File("mmproj-F16.gguf".into()))), ["mmproj-F16.gguf"]);
        assert_eq!(paths(choose("o/r", &[file("only.gguf", 1), file("mmproj.gguf", 1)], &Pick::Any)), ["only.gguf"]);
    }

    #[test]
    fn what_is_not_clear_lists_the_choices_with_their_sizes() {
        for pick in [Pick::Any, Pick::Variant("Q5".into()), Pick::File("y.gguf".into())] {
            let error = choose("o/r", &repository(), &pick).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{pick:?}");
            assert!(error.hints.contains(&"o/r:Q4_K_M  4.9 GB".to_owned()), "{error:?}");
            assert!(error.hints.contains(&"o/r:Q8_0  20 B, 2 parts".to_owned()), "{error:?}");
            assert!(!error.hints.concat().contains("mmproj"), "{error:?}");
        }
        let error = choose("o/r", &repository(), &Pick::Variant("BF16".into())).unwrap_err();
        assert!(error.message.contains("3 parts, and 1 are there"), "{error:?}");
        assert_eq!(choose("o/r", &[], &Pick::Any).unwrap_err().kind, Kind::NotFound);
    }

    #[test]
    fn a_listing_is_read_with_what_lies_in_large_storage() {
        let oid = "ab".repeat(32);
        let wanted = Listed { path: "a/x.gguf".into(), size: Some(7), sha256: Some(oid.clone()) };
        assert_eq!(
            listed(&json!({"type": "file", "path": "a/x.gguf", "size": 7, "oid": "git", "lfs": {"oid": oid, "size": 7}})),
            Some(wanted)
        );
        assert_eq!(listed(&json!({"type": "file", "path": "x.gguf", "size": 7, "lfs": {"oid": "short"}})).unwrap().sha256, None);
        for hostile in [
            json!({"type": "directory", "path": "x.gguf"}),
            json!({"type": "file", "path": "../x.gguf"}),
            json!({"type": "file", "path": "/etc/x.gguf"}),
            json!({"type": "file", "path": ["x.gguf"]}),
            json!({"type": "file", "path": "a\u{1b}.gguf"}),
            json!("x.gguf"),
        ] {
            assert_eq!(listed(&hostile), None, "{hostile}");
        }
    }

    #[test]
    fn the_token_goes_to_the_hub_alone() {
        let hub =
            Hub { bases: vec!["https://hub.test/base".into(), "https://mirror.test".into()], token: Some("hf_x".into()), ..Hub::default() };
        let may = |url: &str| hub.token().for_address(&Url::parse(url).unwrap()).is_some();
        assert!(may("https://hub.test/base/o/r/resolve/main/x.gguf"));
        assert!(!may("https://mirror.test/o/r/resolve/main/x.gguf") && !may("https://hub.test/other") && !may("http://hub.test/base/o"));
        assert!(!format!("{:?}", hub.token()).contains("hf_x"));
        let here = Hub { bases: vec!["http://127.0.0.1:1".into()], ..hub };
        assert!(here.token().for_address(&Url::parse("http://127.0.0.1:1/o").unwrap()).is_some());
    }

    #[test]
    fn addresses_are_written_out() {
        let hub = Hub { bases: vec!["https://h.test/a/".into(), "http://m:1".into()], ..Hub::default() };
        assert_eq!(
            hub.addresses("o/r", "main", "s/x y.gguf"),
            ["https://h.test/a/o/r/resolve/main/s/x%20y.gguf", "http://m:1/o/r/resolve/main/s/x%20y.gguf"]
        );
    }
}
