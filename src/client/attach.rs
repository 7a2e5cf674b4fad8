//! Files that are attached to a message: read here, where the person is, and brought to the host.
//!
//! Owns: which files can be attached, what is known of each, and their way to the host in pieces. Refuses: waiting for anything but a
//! disk (a FIFO, a device or a socket is refused unopened), folders (who asks for one chooses its files), and scaling pictures
//! (the host does, for the model that is asked). Invariants: an [`Attachment`] is UTF-8 text or a picture whose size is known, never longer
//! than its limit; its hash is that of the bytes which are sent.

use std::fs::{File, OpenOptions};
use std::io::{Cursor, Read as _};
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::{Component, Path};

use image::{ImageFormat, ImageReader};
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::Client;
use crate::core::estimate;
use crate::error::{Error, Kind, Result, harmless, quoted};
use crate::proto::{Ack, Command, Facts, Part};

/// A piece on its way to the host: what [`Command::PutBlob`] takes at most.
const PIECE: usize = 1 << 20;
/// Pixels of a picture in one direction, and in all: beyond it a picture is a map or a bomb, and models see 1568 of them.
const LONGEST_SIDE: u32 = 32_768;
const MOST_PIXELS: u64 = 100_000_000;

/// How long attached files may be, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub picture: u64,
    pub text: u64,
}

impl Default for Limits {
    /// A photograph of the largest cameras; more text than any context holds.
    fn default() -> Self {
        Self { picture: 20_000_000, text: 5_000_000 }
    }
}

/// What kind of file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    Picture,
    Text,
}

/// A file that can be attached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attachment {
    /// What the model is told that it is called, harmless: a path below the current folder as it was given, else the file's own name.
    pub name: String,
    pub mime: String,
    pub sort: Sort,
    /// As they are sent: text is UTF-8 here whatever it was.
    pub bytes: Vec<u8>,
    /// SHA-256 of the bytes, in hex.
    pub hash: String,
    pub facts: Facts,
}

impl Attachment {
    /// The piece of a message that names it.
    #[must_use]
    pub fn part(&self) -> Part {
        let (blob, mime, name, facts) = (self.hash.clone(), self.mime.clone(), self.name.clone(), self.facts);
        match self.sort {
            Sort::Picture => Part::Image { blob, mime, name, facts },
            Sort::Text => Part::File { blob, mime, name, facts },
        }
    }

    /// The commands that bring it to the host, in their order: for who posts without waiting. Sent twice, it is there once.
    pub fn pieces(&self) -> impl Iterator<Item = Command> {
        self.bytes.chunks(PIECE).zip(0_u64..).map(|(data, nth)| self.piece(nth * PIECE as u64, data))
    }

    fn piece(&self, offset: u64, data: &[u8]) -> Command {
        Command::PutBlob { hash: self.hash.clone(), offset, total: self.bytes.len() as u64, data: data.to_vec() }
    }
}

/// Reads a file that is to be attached. Blocks for as long as the disk takes.
///
/// # Errors
/// [`Kind::Usage`], with a sentence: it is not there, cannot be read, is no regular file, empty, too long, or neither text nor a
/// picture that models take.
pub fn read(path: &Path, limits: Limits) -> Result<Attachment> {
    let name = told(path);
    let mut bytes = Vec::new();
    let most = limits.picture.max(limits.text);
    // Its length is known only when it is read: files of the system say 0, and others grow.
    open(path)?.take(most + 1).read_to_end(&mut bytes).map_err(|e| unreadable(path, &e))?;
    from_bytes(&name, bytes, limits)
}

/// What came otherwise than from a file: a picture from the clipboard, a long text that was pasted.
///
/// # Errors
/// As [`read`].
pub fn from_bytes(name: &str, bytes: Vec<u8>, limits: Limits) -> Result<Attachment> {
    let name = harmless(name);
    if bytes.is_empty() {
        return Err(refused(format!("{} is empty: there is nothing to attach.", quoted(&name))));
    }
    if let Some((format, mime)) = picture(&bytes) {
        short(&name, &bytes, limits.picture, "Pictures", "Make it smaller: models see 1568 pixels of a side at most.")?;
        let (width, height) = size(&name, &bytes, format)?;
        let facts = Facts { bytes: bytes.len() as u64, tokens: estimate::picture(width, height), width, height };
        return Ok(attachment(name, mime, Sort::Picture, bytes, facts));
    }
    if let Some((kind, instead)) = foreign(&bytes) {
        return Err(refused(format!("{} is {kind}, which cannot be attached.", quoted(&name))).hint(instead));
    }
    short(&name, &bytes, limits.text, "Text files", "Attach the part of it that matters: no model reads that much at once.")?;
    let text = decoded(bytes).ok_or_else(|| {
        refused(format!("{} is neither text nor a picture: its bytes would tell a model nothing.", quoted(&name)))
            .hint("PNG, JPEG, GIF and WebP pictures and text (UTF-8 or UTF-16) can be attached.")
    })?;
    if text.trim().is_empty() {
        return Err(refused(format!("{} holds nothing but blanks: there is nothing to attach.", quoted(&name))));
    }
    let facts = Facts { bytes: text.len() as u64, tokens: estimate::text(&text).saturating_add(estimate::PER_FILE), ..Facts::default() };
    Ok(attachment(name, "text/plain", Sort::Text, text.into_bytes(), facts))
}

/// Brings an attachment to the host, and waits until it is on disk there.
///
/// # Errors
/// The host's refusal (its disk is full, the attachment is too long), or that it is gone.
pub async fn upload(client: &mut Client, attachment: &Attachment) -> Result<()> {
    let total = attachment.bytes.len();
    // What is there already is not sent again; nothing tells that but the host.
    let mut have = if total > PIECE { put(client, attachment, 0, 0).await? } else { 0 };
    // Each piece goes further; a host that says otherwise is not asked for ever.
    for _ in 0..=total.div_ceil(PIECE) {
        if have >= total {
            return Ok(());
        }
        have = put(client, attachment, have, PIECE.min(total - have)).await?;
    }
    if have >= total { Ok(()) } else { Err(lost(attachment)) }
}

async fn put(client: &mut Client, attachment: &Attachment, at: usize, long: usize) -> Result<usize> {
    let data = attachment.bytes.get(at..at + long).unwrap_or_default();
    match client.command(attachment.piece(at as u64, data)).await? {
        Ack::Blob { have } => Ok(usize::try_from(have).unwrap_or(usize::MAX)),
        _ => Err(lost(attachment)),
    }
}

fn lost(attachment: &Attachment) -> Error {
    Error::new(Kind::Malformed, format!("The host did not say that it has {}.", quoted(&attachment.name)))
        .hint("Send it again; if that does not help, restart the host.")
}

fn attachment(name: String, mime: &str, sort: Sort, bytes: Vec<u8>, facts: Facts) -> Attachment {
    let hash = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Attachment { name, mime: mime.to_owned(), sort, bytes, hash, facts }
}

/// Opens a regular file. What is none is refused before it is opened, since opening a device can do something; and looked at once
/// more after, since it may have been exchanged.
fn open(path: &Path) -> Result<File> {
    let fail = |e: &std::io::Error| unreadable(path, e);
    regular(path, &std::fs::metadata(path).map_err(|e| fail(&e))?)?;
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    // The flags of a file's opening fill an int.
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path).map_err(|e| fail(&e))?;
    regular(path, &file.metadata().map_err(|e| fail(&e))?)?;
    Ok(file)
}

fn regular(path: &Path, found: &std::fs::Metadata) -> Result<()> {
    let kind = found.file_type();
    if kind.is_file() {
        return Ok(());
    }
    let name = quoted(&path.to_string_lossy());
    if kind.is_dir() {
        return Err(refused(format!("{name} is a folder, and files are attached.")).hint("Name the files in it."));
    }
    let what = if kind.is_fifo() {
        "a pipe (FIFO)"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(refused(format!("{name} is {what}: it has no end, so it cannot be attached.")).hint("Write what comes from it into a file first."))
}

fn unreadable(path: &Path, e: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let name = quoted(&path.to_string_lossy());
    match e.kind() {
        ErrorKind::NotFound => refused(format!("There is no file {name}.")),
        ErrorKind::PermissionDenied => refused(format!("{name} cannot be read: you may not.")).hint("`ls -l` says who may."),
        ErrorKind::NotADirectory => refused(format!("There is no file {name}: something on the way to it is no folder.")),
        _ if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            refused(format!("{name} is a link that leads back to itself."))
        }
        _ => refused(format!("{name} cannot be read.")).cause(e),
    }
}

fn refused(message: String) -> Error {
    Error::new(Kind::Usage, message)
}

/// What a model is told of where a file lies: not how the folders above are called.
fn told(path: &Path) -> String {
    let below = path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    let shown = if below {
        path.strip_prefix(".").unwrap_or(path).to_string_lossy()
    } else {
        path.file_name().map_or_else(|| path.to_string_lossy(), |name| name.to_string_lossy())
    };
    harmless(&shown)
}

fn short(name: &str, bytes: &[u8], most: u64, what: &str, hint: &str) -> Result<()> {
    if bytes.len() as u64 <= most {
        return Ok(());
    }
    Err(refused(format!("{} is longer than {} MB. {what} up to that size can be attached.", quoted(name), most / 1_000_000)).hint(hint))
}

/// The format of a picture that is read here, by its first bytes.
fn picture(bytes: &[u8]) -> Option<(ImageFormat, &'static str)> {
    let format = image::guess_format(bytes).ok()?;
    let known = [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP];
    known.contains(&format).then(|| (format, format.to_mime_type()))
}

/// Files that people try to attach, by their first bytes: what each is, and what to do.
fn foreign(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const CONVERT: &str = "Convert it to PNG or JPEG first.";
    let is = |at: usize, magic: &[u8]| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if is(0, b"%PDF-") {
        return Some(("a PDF", "Take its text out first: `pdftotext FILE.pdf FILE.txt`."));
    }
    if is(4, b"ftypheic") || is(4, b"ftypheix") || is(4, b"ftypmif1") {
        return Some(("a HEIC picture", CONVERT));
    }
    if is(4, b"ftypavif") {
        return Some(("an AVIF picture", CONVERT));
    }
    if is(0, b"II*\0") || is(0, b"MM\0*") {
        return Some(("a TIFF picture", CONVERT));
    }
    if is(0, b"BM") && is(6, &[0, 0, 0, 0]) {
        return Some(("a BMP picture", CONVERT));
    }
    if is(0, b"PK\x03\x04") || is(0, &[0x1F, 0x8B]) || is(0, b"\xFD7zXZ") || is(0, &[0x28, 0xB5, 0x2F, 0xFD]) {
        return Some(("an archive, or compressed", "Unpack it, and attach the files that matter."));
    }
    None
}

/// Width and height, read from the picture's head.
fn size(name: &str, bytes: &[u8], format: ImageFormat) -> Result<(u32, u32)> {
    let (width, height) = ImageReader::with_format(Cursor::new(bytes), format).into_dimensions().map_err(|e| {
        refused(format!("{} looks like a picture and cannot be read as one.", quoted(name))).cause(harmless(&e.to_string()))
    })?;
    if width == 0 || height == 0 {
        return Err(refused(format!("{} has no pixels.", quoted(name))));
    }
    if width.max(height) > LONGEST_SIDE || u64::from(width) * u64::from(height) > MOST_PIXELS {
        return Err(refused(format!("{} is {width} × {height} pixels large: too many to be unpacked.", quoted(name)))
            .hint(format!("Make it smaller than {} million pixels; models see 1568 of a side at most.", MOST_PIXELS / 1_000_000)));
    }
    Ok((width, height))
}

/// Text as UTF-8, without a byte order mark; `None`: it is no text.
fn decoded(bytes: Vec<u8>) -> Option<String> {
    let text = match bytes.as_slice() {
        [0xEF, 0xBB, 0xBF, rest @ ..] => String::from_utf8(rest.to_vec()).ok()?,
        [0xFF, 0xFE, rest @ ..] => utf16(rest, u16::from_le_bytes)?,
        [0xFE, 0xFF, rest @ ..] => utf16(rest, u16::from_be_bytes)?,
        _ => String::from_utf8(bytes).ok()?,
    };
    (!text.contains('\0')).then_some(text)
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let (units, []) = bytes.as_chunks::<2>() else { return None };
    char::decode_utf16(units.iter().map(|pair| unit(*pair))).collect::<Result<_, _>>().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PNG of one colour.
    fn png(width: u32, height: u32) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image::RgbImage::new(width, height).write_to(&mut out, ImageFormat::Png).unwrap();
        out.into_inner()
    }

    fn said(bytes: &[u8]) -> String {
        from_bytes("x", bytes.to_vec(), Limits { picture: 100_000, text: 2_000_000 }).unwrap_err().message
    }

    #[test]
    fn text_and_pictures_are_known_by_what_is_in_them() {
        let rust = from_bytes("src/main.rs", b"fn main() {}\n".to_vec(), Limits::default()).unwrap();
        assert_eq!((rust.sort, rust.mime.as_str(), rust.facts.bytes), (Sort::Text, "text/plain", 13));
        assert!(rust.facts.tokens > 3 && rust.facts.width == 0, "{:?}", rust.facts);
        assert!(matches!(rust.part(), Part::File { blob, .. } if blob.len() == 64));
        let oak = from_bytes("oak.txt", png(300, 200), Limits::default()).unwrap();
        assert_eq!((oak.sort, oak.mime.as_str(), oak.facts.width, oak.facts.height), (Sort::Picture, "image/png", 300, 200));
        assert!(matches!(oak.part(), Part::Image { name, .. } if name == "oak.txt"));
    }

    #[test]
    fn other_encodings_become_utf8() {
        for bytes in [&b"\xEF\xBB\xBFh\xC3\xA9"[..], b"\xFF\xFEh\0\xE9\0", b"\xFE\xFF\0h\0\xE9", b"h\xC3\xA9"] {
            let got = from_bytes("x", bytes.to_vec(), Limits::default()).unwrap();
            assert_eq!(got.bytes, "hé".as_bytes(), "{bytes:?}");
        }
    }

    #[test]
    fn what_cannot_be_attached_gets_a_sentence() {
        assert_eq!(said(b""), "“x” is empty: there is nothing to attach.");
        assert_eq!(said(b" \n\t"), "“x” holds nothing but blanks: there is nothing to attach.");
        assert_eq!(said(b"a\0b"), "“x” is neither text nor a picture: its bytes would tell a model nothing.");
        assert_eq!(said(b"caf\xE9 au lait"), "“x” is neither text nor a picture: its bytes would tell a model nothing.");
        assert_eq!(said(b"\xFF\xFEa"), "“x” is neither text nor a picture: its bytes would tell a model nothing.");
        assert_eq!(said(&vec![b'a'; 2_000_001]), "“x” is longer than 2 MB. Text files up to that size can be attached.");
        assert_eq!(said(b"%PDF-1.7\n"), "“x” is a PDF, which cannot be attached.");
        assert_eq!(said(b"PK\x03\x04rest"), "“x” is an archive, or compressed, which cannot be attached.");
        assert_eq!(said(&png(3, 3)[..20]), "“x” looks like a picture and cannot be read as one.");
        let mut bomb = png(3, 3);
        // The head says what the size is; nothing is unpacked to find that out. (Its checksum no longer fits: both are refusals.)
        bomb[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        assert!(said(&bomb).starts_with("“x” "), "{}", said(&bomb));
    }

    #[test]
    fn what_is_no_file_is_refused_without_waiting_for_it() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        rustix::fs::mknodat(rustix::fs::CWD, at("pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let _listener = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink("loop", at("loop")).unwrap();
        std::fs::write(at("note"), "words").unwrap();
        std::os::unix::fs::symlink("note", at("link")).unwrap();
        let said = |path: &Path| {
            let error = read(path, Limits::default()).unwrap_err();
            assert_eq!(error.kind, Kind::Usage);
            error.message.replace(&format!("{}/", home.path().display()), "")
        };
        assert_eq!(said(&at("pipe")), "“pipe” is a pipe (FIFO): it has no end, so it cannot be attached.");
        assert_eq!(said(&at("socket")), "“socket” is a socket: it has no end, so it cannot be attached.");
        assert_eq!(said(Path::new("/dev/zero")), "“/dev/zero” is a device: it has no end, so it cannot be attached.");
        assert_eq!(said(&at("loop")), "“loop” is a link that leads back to itself.");
        assert_eq!(said(&at("none")), "There is no file “none”.");
        assert_eq!(said(&at("note/x")), "There is no file “note/x”: something on the way to it is no folder.");
        assert!(said(&home.path().join(".")).ends_with("is a folder, and files are attached."));
        assert_eq!(read(&at("link"), Limits::default()).unwrap().name, "link", "a link to a file is that file");
    }

    #[test]
    fn a_model_is_not_told_the_folders_above() {
        let names = ["src/main.rs", "./src/main.rs", "/home/me/secret/main.rs", "../main.rs", "a\u{1b}[2Jb"];
        let told: Vec<String> = names.iter().map(|name| told(Path::new(name))).collect();
        assert_eq!(told, ["src/main.rs", "src/main.rs", "main.rs", "main.rs", "a␦[2Jb"]);
    }

    #[test]
    fn pieces_make_the_whole() {
        let long = from_bytes("x", vec![b'a'; PIECE * 2 + 5], Limits::default()).unwrap();
        let mut whole = Vec::new();
        for piece in long.pieces() {
            let Command::PutBlob { hash, offset, total, data } = piece else { panic!("another command") };
            assert_eq!((hash.as_str(), offset, total), (long.hash.as_str(), whole.len() as u64, long.bytes.len() as u64));
            whole.extend(data);
        }
        assert_eq!(whole, long.bytes);
    }
}
