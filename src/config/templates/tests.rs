use std::path::Path;

use super::*;

fn anything(key: &str, value: serde_json::Value) -> Result<serde_json::Value> {
    let unknown = || Error::new(Kind::Usage, "There is no parameter nonsense.").hint("`:parameters` lists them.");
    if key == "nonsense" { Err(unknown()) } else { Ok(value) }
}

/// A folder with these files.
fn library(files: &[(&str, &str)]) -> (tempfile::TempDir, Library) {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let library = read(home.path(), &anything);
    (home, library)
}

/// Everything that is wrong, the folder's own path left out.
fn wrong(home: &Path, library: &Library) -> Vec<String> {
    let prefix = format!("{}/", home.display());
    library.broken.iter().flat_map(|broken| &broken.errors).map(|error| error.message.replace(&prefix, "")).collect()
}

fn expand(library: &Library, name: &str, values: &[(&str, &str)]) -> Result<String> {
    let (asks, text) = library.message(name).unwrap()?.resolved(library)?;
    let given = |name: &str| values.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
    fill(&text, &|name| given(name).or_else(|| asks.iter().find(|ask| ask.name == name)?.default.clone()))
}

const REVIEW: &str = "+++\nabout = \"Review code\"\n[variables.language]\ndefault = \"Rust\"\nchoices = [\"Rust\", \"C\"]\n\
[variables.code]\nhelp = \"What to look at\"\nmultiline = true\n+++\n\nReview this {{language}}, {{ tone = kindly }}:\n{{code}}\n{{> team/footer}}\n";

#[test]
fn a_template_says_what_it_asks_for_and_is_filled_in() {
    let (_home, library) = library(&[("review.md", REVIEW), ("team/footer.md", "As of {{date}}. \\{{not this}}")]);
    assert_eq!(library.broken, []);
    let message = library.message("review").unwrap().unwrap();
    assert_eq!(message.about, "Review code");
    let (asks, _) = message.resolved(&library).unwrap();
    let shape: Vec<_> = asks.iter().map(|v| (v.name.as_str(), v.default.as_deref(), v.choices.len(), v.multiline)).collect();
    assert_eq!(shape, [("language", Some("Rust"), 2, false), ("tone", Some("kindly"), 0, false), ("code", None, 0, true)]);
    assert_eq!(library.message("team/footer").unwrap().unwrap().text.first_line(), "As of {{date}}. {{not this}}");
    let text = expand(&library, "review", &[("code", "fn {{x}}"), ("date", "2026-11-29"), ("language", "C")]).unwrap();
    assert_eq!(text, "Review this C, kindly:\nfn {{x}}\nAs of 2026-11-29. {{not this}}", "values are not read as templates");
    let missing = expand(&library, "review", &[("date", "today")]).unwrap_err();
    assert_eq!(missing.message, "Nothing was said for {{code}}, so the template was not used.");
}

#[test]
fn includes_in_a_circle_name_the_chain() {
    let (home, library) =
        library(&[("a.md", "{{> b}}"), ("b.md", "x\n{{> c}}"), ("c.md", "{{>b}}"), ("d.md", "{{> none}}"), ("e.md", "{{> e}}")]);
    let told = |name: &str| expand(&library, name, &[]).unwrap_err().message.replace(&format!("{}/", home.path().display()), "");
    assert_eq!(told("a"), "c.md:1: templates include each other in a circle: b → c → b.");
    assert_eq!(told("e"), "e.md:1: templates include each other in a circle: e → e.");
    assert_eq!(told("d"), "d.md:1: there is no template “none” to include.");
}

#[test]
fn includes_that_grow_without_end_are_refused() {
    let twice = |next: usize| format!("{{{{> t{next}}}}}{{{{> t{next}}}}}xxxxxxxxxx");
    let mut files: Vec<(String, String)> = (0..24).map(|n| (format!("t{n}.md"), twice(n + 1))).collect();
    files.push(("t24.md".to_owned(), "end".to_owned()));
    files.extend((0..40).map(|n| (format!("deep{n}.md"), format!("{{{{> deep{}}}}}", n + 1))));
    files.push(("deep40.md".to_owned(), "end".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let (_home, library) = library(&files);
    assert!(expand(&library, "t0", &[]).unwrap_err().message.contains("includes too much"));
    assert!(expand(&library, "deep0", &[]).unwrap_err().message.contains("includes too much"));
}

#[test]
fn faults_name_file_line_and_fix() {
    let (home, library) = library(&[
        ("a.md", "+++\nabout = 7\nabuot = \"x\"\n+++\ntext {{open\n{{two words}}\n"),
        ("b.md", "+++\nabout = \"x\"\n"),
        ("c.md", "+++\n[variables.date]\ndefault = \"x\"\n[variables.v]\ndefault = \"x\"\nchoices = [\"y\"]\n+++\n\n"),
        (
            "d.toml",
            "model = 3\nsend = true\n[parameters]\nnonsense = 1\n[[message]]\nrole = \"system\"\ntext = \"x\"\n[[message]]\nrole = \"user\"\n",
        ),
        ("two words.md", "text"),
        ("not.txt", "left alone"),
    ]);
    assert_eq!(
        wrong(home.path(), &library),
        [
            "a.md:2: about is a number; it must be a text.",
            "a.md:3: “abuot” is not a key of a message template.",
            "a.md:5: {{ is not closed by }} on its line.",
            "a.md:6: “two words” cannot be a variable's name.",
            "b.md:1: the head that begins with +++ does not end.",
            "c.md:2: date is filled in by arbour, so nothing can be said of it here.",
            "c.md:4: the default “x” of v is none of its choices.",
            "c.md:8: there is no text in this template.",
            "d.toml:1: model is a number; it must be a text.",
            "d.toml:4: There is no parameter nonsense.",
            "d.toml:6: role = “system” writes no message.",
            "d.toml:8: this message has no text.",
            "d.toml:2: send = true needs a last message of the role user, which is what is sent.",
            "two words.md has a name that cannot be typed as /name, so it is left out.",
        ]
    );
    assert!(
        library.broken.iter().flat_map(|broken| &broken.errors).all(|error| !error.hints.is_empty() || error.message.contains("must be"))
    );
    assert!(library.message("a").unwrap().is_err(), "a broken one is known by its name");
    assert!(library.message("none").is_none());
}

#[test]
fn what_is_no_text_file_is_named_and_skipped() {
    let home = tempfile::tempdir().unwrap();
    let at = |name: &str| home.path().join(name);
    std::fs::write(at("good.md"), "\u{feff}a\r\nb\r\n").unwrap();
    std::fs::write(at("huge.md"), "x".repeat(300_000)).unwrap();
    std::fs::write(at("binary.md"), b"\x00\xff\xfe").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("pipe.md"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    std::os::unix::fs::symlink("loop.md", at("loop.md")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", at("zero.toml")).unwrap();
    std::os::unix::fs::symlink(".", at("again")).unwrap();
    let library = read(home.path(), &anything);
    assert_eq!(library.messages.len(), 1, "a link to the folder itself is not gone into: {:?}", library.messages);
    assert_eq!(expand(&library, "good", &[]).unwrap(), "a\nb");
    assert_eq!(
        wrong(home.path(), &library),
        [
            "binary.md is no UTF-8 text, so it is left out.",
            "huge.md is larger than 256 KiB, so it is left out.",
            "loop.md cannot be read, so it is left out.",
            "pipe.md is not a file, so it is left out.",
            "zero.toml is not a file, so it is left out.",
        ]
    );
}

#[test]
fn a_conversation_is_read_and_what_is_written_reads_back() {
    let text = "about = \"Pair\"\ntitle = \"With {{who}}\"\nmodel = \"qwen\"\nsystem = \"You are {{who}}.\"\npreset = \"calm\"\nfolder = \"work/rust\"\ntags = [\"pair\"]\nsend = true\n\
[parameters]\ntemperature = 0.2\n[[message]]\nrole = \"assistant\"\ntext = \"Hello, I am {{who}}.\"\n[[message]]\nrole = \"user\"\ntext = \"Let us begin.\"\n[variables]\nwho = \"Ada\"\n";
    let (home, library) = library(&[("pair.toml", text)]);
    assert_eq!(wrong(home.path(), &library), Vec::<String>::new());
    let (asks, setup) = library.conversation("pair").unwrap().resolved(&library).unwrap();
    assert_eq!(asks.iter().map(|v| (v.name.as_str(), v.default.as_deref())).collect::<Vec<_>>(), [("who", Some("Ada"))]);
    let told = |text: &Text| fill(text, &|_| Some("Ada".to_owned())).unwrap();
    assert_eq!(setup.title.as_ref().map(told).as_deref(), Some("With Ada"));
    assert_eq!((setup.parameters.number("temperature"), setup.send, setup.folder.as_deref()), (Some(0.2), true, Some("work/rust")));
    assert!(library.conversation("pari").unwrap_err().hints[0].contains("pair"));

    let messages = [(Role::User, "Use {{braces}} \"quoted\"\nand lines".to_owned()), (Role::Assistant, "Yes".to_owned())];
    let text = written(&Setup { about: "kept".into(), title: None, messages: Vec::new(), ..setup }, &messages, Some("Be brief."));
    save(home.path(), "team/kept", Sort::Conversation, &text).unwrap();
    let again = read(home.path(), &anything);
    let (asks, kept) = again.conversation("team/kept").unwrap().resolved(&again).unwrap();
    assert_eq!(asks, [], "{text}");
    assert_eq!(kept.messages.iter().map(|(role, text)| (*role, told(text))).collect::<Vec<_>>(), messages);
    let twice = save(home.path(), "team/kept", Sort::Conversation, "x").unwrap_err();
    assert_eq!(twice.message, "There is a template “team/kept” already, and it was left as it is.");
    assert_eq!(save(home.path(), "../out", Sort::Message, "x").unwrap_err().message, "A template cannot be called “../out”.");
}
