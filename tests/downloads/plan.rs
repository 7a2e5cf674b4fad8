//! Sources and plans against a hub that does all that hubs do.

use std::sync::Mutex;
use std::time::Duration;

use arbour::error::{Error, Kind};
use arbour::fetch::source::Source;
use arbour::fetch::{Fetched, Hub, Plan};
use arbour::proto::Layer;

use super::support::registry::{Act, Registry, content, sha};

struct Place {
    folder: tempfile::TempDir,
    hub: Hub,
}

impl Place {
    fn new(registries: &[&Registry]) -> Self {
        let bases = registries.iter().map(|registry| registry.url()).collect();
        let hub = Hub { bases, token: None, silence: Duration::from_millis(300), pause: Duration::from_millis(1) };
        Self { folder: tempfile::tempdir().unwrap(), hub }
    }

    fn models(&self) -> std::path::PathBuf {
        self.folder.path().join("models")
    }

    async fn pull(&self, source: &str) -> Result<Fetched, Error> {
        self.pull_told(source).await.0
    }

    async fn pull_told(&self, source: &str) -> (Result<Fetched, Error>, Vec<Vec<Layer>>) {
        let told = Mutex::new(Vec::new());
        let tell = |layers: &[Layer], _: bool| told.lock().unwrap().push(layers.to_vec());
        let work = async {
            let source = Source::parse(source, &self.hub.bases, None)?;
            Plan::make(&source, &self.hub, &self.models()).await?.fetch(&tell).await
        };
        let result = tokio::time::timeout(Duration::from_secs(60), work).await.expect("the download hangs");
        (result, told.into_inner().unwrap())
    }

    /// All files below the folder of models, by path.
    fn left(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.models()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    found.push(entry.path().strip_prefix(self.models()).unwrap().to_string_lossy().into_owned());
                }
            }
        }
        found.sort();
        found
    }
}

#[tokio::test]
async fn a_repository_is_looked_up_and_its_file_checked() {
    let registry = Registry::start();
    let bytes = content(300_000, 1);
    registry.add("o/r", "x-Q4_K_M.gguf", &bytes).add("o/r", "x-Q8_0.gguf", &content(9_000, 2)).add("o/r", "mmproj-x.gguf", &content(50, 3));
    let place = Place::new(&[&registry]);
    let (fetched, told) = place.pull_told("o/r:q4_k_m").await;
    let fetched = fetched.unwrap();
    assert_eq!(std::fs::read(&fetched.first).unwrap(), bytes);
    assert!(fetched.vouched && fetched.sha256 == [sha(&bytes)] && fetched.model == "x-Q4_K_M");
    assert_eq!(place.left(), ["o/r/x-Q4_K_M.gguf"]);
    let last = &told.last().unwrap()[0];
    assert_eq!((last.name.as_str(), last.done_bytes, last.total_bytes), ("x-Q4_K_M.gguf", 300_000, Some(300_000)));

    place.pull("o/r:Q4_K_M").await.unwrap();
    assert_eq!(registry.fetched("x-Q4_K_M.gguf").len(), 1, "what is there and right is not fetched again");
    let newer = content(310_000, 9);
    registry.add("o/r", "x-Q4_K_M.gguf", &newer);
    assert_eq!(std::fs::read(place.pull("o/r:Q4_K_M").await.unwrap().first).unwrap(), newer, "a newer one takes its place");

    let unclear = place.pull("o/r").await.unwrap_err();
    assert!(unclear.kind == Kind::Usage && unclear.hints.contains(&"o/r:Q8_0  9.0 kB".to_owned()), "{unclear:?}");
    assert_eq!(place.pull("o/nothing").await.unwrap_err().kind, Kind::NotFound);
}

#[tokio::test]
async fn all_parts_of_a_split_model_come_and_go_on_where_they_broke() {
    let registry = Registry::start();
    let parts: Vec<Vec<u8>> = (1..=3).map(|n| content(100_000, n)).collect();
    for (n, bytes) in parts.iter().enumerate() {
        registry.add("o/r", &format!("Q4/x-{:05}-of-00003.gguf", n + 1), bytes);
    }
    registry.plan("o/r", "Q4/x-00002-of-00003.gguf", &[Act::Refuse(401, None)]);
    let place = Place::new(&[&registry]);
    assert_eq!(place.pull("o/r/Q4/x-00002-of-00003.gguf").await.unwrap_err().kind, Kind::Unauthorized);
    registry.plan("o/r", "Q4/x-00003-of-00003.gguf", &[Act::Drop(40_000), Act::Drop(10_000), Act::Refuse(503, Some(0))]);
    let (fetched, told) = place.pull_told("o/r").await;
    let fetched = fetched.unwrap();
    assert_eq!((fetched.model.as_str(), fetched.files.len(), fetched.vouched), ("x", 3, true));
    for (file, bytes) in fetched.files.iter().zip(&parts) {
        assert_eq!(&std::fs::read(file).unwrap(), bytes);
    }
    assert_eq!(registry.ranges("00001-of-00003.gguf"), [0], "the first part was there from the first try");
    assert_eq!(registry.ranges("00003-of-00003.gguf"), [0, 40_000, 50_000, 50_000]);
    assert!(
        told.iter().all(|layers| layers.len() == 3 && layers.iter().all(|l| l.total_bytes == Some(100_000))),
        "all parts from the start"
    );
    assert!(place.left().iter().all(|file| file.ends_with(".gguf")), "{:?}", place.left());
}

#[tokio::test]
async fn a_mirror_is_taken_where_the_hub_gives_no_good_file() {
    let bytes = content(80_000, 4);
    for act in [Act::Html, Act::Corrupt, Act::Short(500), Act::Redirect("/o/r/resolve/main/x.gguf".into()), Act::Refuse(404, None)] {
        let (hub, mirror) = (Registry::start(), Registry::start());
        hub.add("o/r", "x.gguf", &bytes).plan("o/r", "x.gguf", &vec![act.clone(); 30]);
        mirror.add("o/r", "x.gguf", &bytes);
        let place = Place::new(&[&hub]);
        let alone = place.pull("o/r").await.unwrap_err();
        assert!(matches!(alone.kind, Kind::Malformed | Kind::NotFound) && alone.message.ends_with('.'), "{act:?}: {alone:?}");
        if matches!(act, Act::Corrupt) {
            assert!(alone.message.contains("SHA-256") && alone.message.contains("thrown away"), "{alone:?}");
            assert!(!std::fs::exists(place.models().join("o/r/x.gguf")).unwrap());
        }
        let both = Place::new(&[&hub, &mirror]);
        assert_eq!(std::fs::read(both.pull("o/r").await.unwrap().first).unwrap(), bytes, "{act:?}");
    }
    // The hub is away altogether; the mirror serves files and lists nothing.
    let mirror = Registry::start();
    mirror.add("o/r", "x.gguf", &bytes).bare();
    let mut place = Place::new(&[&mirror]);
    place.hub.bases.insert(0, "http://127.0.0.1:1".to_owned());
    assert_eq!(place.pull("o/r").await.unwrap_err().kind, Kind::Refused, "which files there are is not known");
    assert!(place.pull("o/r/x.gguf").await.unwrap().vouched, "the head of the file said what it should be");
}

#[tokio::test]
async fn what_stands_still_or_is_throttled_is_tried_again_and_given_up_with_all_kept() {
    let registry = Registry::start();
    let bytes = content(200_000, 5);
    registry.add("o/r", "x.gguf", &bytes).plan("o/r", "x.gguf", &[Act::Hang(90_000), Act::Refuse(429, Some(0)), Act::Hang(20_000)]);
    let place = Place::new(&[&registry]);
    assert_eq!(std::fs::read(place.pull("o/r").await.unwrap().first).unwrap(), bytes);
    assert_eq!(registry.ranges("x.gguf"), [0, 90_000, 90_000, 110_000]);

    registry.add("o/s", "y.gguf", &bytes).plan("o/s", "y.gguf", &[&[Act::Hang(60_000)][..], &[const { Act::Hang(0) }; 20]].concat());
    let error = place.pull("o/s").await.unwrap_err();
    assert_eq!(error.kind, Kind::Disconnected, "{error:?}");
    assert!(error.hints.iter().any(|hint| hint.contains("kept")), "{error:?}");
    assert!(registry.fetched("y.gguf").len() <= 7, "it is given up");
    assert_eq!(std::fs::metadata(place.models().join("o/s/y.gguf.part")).unwrap().len(), 60_000);
    registry.plan("o/s", "y.gguf", &[]);
    let (fetched, told) = place.pull_told("o/s").await;
    assert_eq!(std::fs::read(fetched.unwrap().first).unwrap(), bytes);
    assert_eq!(told[0][0].done_bytes, 60_000, "what was there counts from the start, and is no pace");
    assert_eq!(registry.ranges("y.gguf").last(), Some(&60_000));
}

#[tokio::test]
async fn any_cut_of_a_file_is_joined_to_the_right_one() {
    let registry = Registry::start();
    let bytes = content(60_000, 6);
    let place = Place::new(&[&registry]);
    for (n, seed) in (0..12u64).enumerate() {
        let name = format!("x{n}.gguf");
        let mut at = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut acts: Vec<Act> = Vec::new();
        for _ in 0..4 {
            at = at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let bytes = 1 + (at >> 33) as usize % 20_000;
            acts.push(if at & 4 == 0 { Act::Drop(bytes) } else { Act::Hang(bytes) });
        }
        acts.push(if n % 3 == 0 { Act::IgnoreRange } else { Act::Serve });
        registry.add("o/r", &name, &bytes).plan("o/r", &name, &acts);
        let fetched = place.pull(&format!("o/r/{name}")).await.unwrap_or_else(|e| panic!("{acts:?}: {e:?}"));
        assert_eq!(std::fs::read(fetched.first).unwrap(), bytes, "{acts:?}");
    }
}

#[tokio::test]
async fn an_address_is_held_to_what_is_said_of_it_and_never_takes_anothers_place() {
    let registry = Registry::start();
    let bytes = content(120_000, 7);
    registry.put("/files/y.gguf", &bytes).silent();
    let place = Place::new(&[]);
    let url = format!("{}/files/y.gguf", registry.url());
    let wrong = place.pull(&format!("{url}#sha256={}", "ab".repeat(32))).await.unwrap_err();
    assert!(wrong.kind == Kind::Malformed && wrong.message.contains("SHA-256"), "{wrong:?}");
    // What is kept for the next try is nothing of the wrong file.
    assert_eq!(std::fs::metadata(place.models().join("y.gguf.part")).map_or(0, |m| m.len()), 0);

    let fetched = place.pull(&url).await.unwrap();
    assert!(!fetched.vouched && fetched.sha256 == [sha(&bytes)], "nobody said what it should be: the digest is told");
    let again = place.pull(&url).await.unwrap_err();
    assert!(again.kind == Kind::Usage && again.message.contains("already"), "{again:?}");
    assert!(place.pull(&format!("{url}#sha256={}", sha(&bytes))).await.unwrap().vouched, "there, and the right one");
    let other = place.pull(&format!("{url}#sha256={}", "cd".repeat(32))).await.unwrap_err();
    assert_eq!(other.kind, Kind::Usage, "{other:?}");
    assert_eq!(std::fs::read(place.models().join("y.gguf")).unwrap(), bytes);

    // Replaced midway: without a hash only the bytes of one version are joined.
    let (first, second) = (content(90_000, 1), content(95_000, 2));
    registry.put("/files/z.gguf", &first).plan_at("/files/z.gguf", &[Act::Hang(50_000)]);
    let place = Place::new(&[]);
    let url = format!("{}/files/z.gguf", registry.url());
    let replaced = async {
        assert!(registry.server.until_asked("GET /files/z.gguf", 1, Duration::from_secs(20)).await);
        registry.put("/files/z.gguf", &second);
    };
    let (fetched, ()) = tokio::join!(place.pull(&url), replaced);
    assert_eq!(std::fs::read(fetched.unwrap().first).unwrap(), second);
}

#[tokio::test]
async fn a_token_opens_what_is_private_and_goes_nowhere_else() {
    let (hub, store) = (Registry::start(), Registry::start());
    let bytes = content(50_000, 8);
    store.put("/blob", &bytes);
    hub.add("o/r", "x.gguf", &bytes).wants("hf_secret");
    hub.plan("o/r", "x.gguf", &[Act::Redirect(format!("{}/blob", store.url()))]);
    let mut place = Place::new(&[&hub]);
    let error = place.pull("o/r").await.unwrap_err();
    assert!(error.kind == Kind::Unauthorized && error.hints.concat().contains("HF_TOKEN"), "{error:?}");
    place.hub.token = Some("hf_secret".to_owned());
    assert_eq!(std::fs::read(place.pull("o/r").await.unwrap().first).unwrap(), bytes);
    assert!(store.server.asked().iter().all(|asked| asked.header("authorization").is_none()), "the token went along to another host");
    place.hub.token = Some("hf_other".to_owned());
    let error = place.pull("o/r").await.unwrap_err();
    assert!(!format!("{error:?}").contains("hf_other"), "{error:?}");
}

#[tokio::test]
async fn room_is_looked_for_before_the_first_byte() {
    let registry = Registry::start();
    let place = Place::new(&[&registry]);
    std::fs::create_dir_all(place.models()).unwrap();
    // A file with a hole in it is as large as one likes, and takes no room where it lies.
    let sparse = place.folder.path().join("sparse.gguf");
    std::fs::write(&sparse, b"GGUF").unwrap();
    std::fs::File::options().write(true).open(&sparse).unwrap().set_len(1 << 43).unwrap();
    let error = place.pull(sparse.to_str().unwrap()).await.unwrap_err();
    assert_eq!(error.kind, Kind::DiskFull, "{error:?}");
    assert!(error.message.contains("8.7 TB more") && error.message.contains("are free"), "{error:?}");
    assert!(place.left().is_empty(), "{:?}", place.left());
}

#[tokio::test]
async fn a_path_is_copied_and_a_copy_goes_on() {
    let place = Place::new(&[]);
    let from = place.folder.path().join("m-00001-of-00002.gguf");
    let (one, two) = (content(3_000_000, 1), content(10_000, 2));
    std::fs::write(&from, &one).unwrap();
    let missing = place.pull(from.to_str().unwrap()).await.unwrap_err();
    assert!(missing.kind == Kind::File && missing.message.contains("m-00002-of-00002.gguf"), "{missing:?}");
    std::fs::write(place.folder.path().join("m-00002-of-00002.gguf"), &two).unwrap();
    let fetched = place.pull(from.to_str().unwrap()).await.unwrap();
    assert_eq!((std::fs::read(&fetched.files[0]).unwrap(), std::fs::read(&fetched.files[1]).unwrap()), (one, two));
    assert!(from.exists(), "it is a copy");
    assert_eq!(fetched.model, "m");
    assert!(place.pull(from.to_str().unwrap()).await.is_err(), "nobody's place is taken");
    assert!(place.pull(fetched.first.to_str().unwrap()).await.unwrap_err().message.contains("already"));

    let text = place.folder.path().join("text.gguf");
    std::fs::write(&text, "no model").unwrap();
    for wrong in [text.to_str().unwrap(), place.folder.path().to_str().unwrap(), "/no/such.gguf"] {
        let error = place.pull(wrong).await.unwrap_err();
        assert!(matches!(error.kind, Kind::File | Kind::Usage), "{wrong}: {error:?}");
    }
}
