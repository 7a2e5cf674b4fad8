//! A command of a person's, given a text of a message as its input.
//!
//! Owns: the process, its limits, its end. Refuses: choosing the command (a person types it) and drawing what came of it. Invariant: it
//! reads and writes pipes and not the terminal, has a bounded time and a bounded output, and whoever gives it up ends all that it started.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::error::{Error, Kind, Result};

/// Longer nobody waits before a page that shows nothing.
const LONGEST: Duration = Duration::from_secs(120);
/// More output nobody reads in a page.
const MOST: usize = 1 << 20;

/// What came of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piped {
    /// Standard output and errors as they came. From outside.
    pub output: String,
    /// How it ended, as a sentence.
    pub ended: String,
    pub failed: bool,
    pub took: Duration,
}

/// All processes of the command; ended when nobody waits for it any more.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            // Gone already: then there is nobody to end.
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// Runs `sh -c` with the text on its standard input.
pub(super) async fn run(command: &str, text: String) -> Result<Piped> {
    let began = Instant::now();
    let broken = |cause: std::io::Error| Error::new(Kind::File, "The command could not be started.").cause(cause);
    let (mut theirs, output) =
        std::io::pipe().map(|(read, write)| (tokio::fs::File::from_std(std::os::fd::OwnedFd::from(read).into()), write)).map_err(broken)?;
    let mut child = tokio::process::Command::new("sh")
        .arg("-c")
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(output.try_clone().map_err(broken)?)
        .stderr(output)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(broken)?;
    let _group = Group(child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?)));
    let input = child.stdin.take();
    let write = async move {
        if let Some(mut input) = input {
            // A command that does not read all of it is free not to.
            let _ = input.write_all(text.as_bytes()).await;
        }
        std::future::pending::<()>().await;
    };
    let mut all = Vec::new();
    let read = async {
        let mut piece = vec![0; 16 * 1024];
        while all.len() < MOST {
            match theirs.read(&mut piece).await {
                Ok(0) | Err(_) => return child.wait().await.ok(),
                Ok(n) => all.extend_from_slice(&piece[..n]),
            }
        }
        None
    };
    let done = tokio::select! {
        () = write => None,
        done = tokio::time::timeout(LONGEST, read) => Some(done),
    };
    let (ended, failed) = match done {
        Some(Ok(Some(status))) if status.success() => ("It ended well.".to_owned(), false),
        Some(Ok(Some(status))) => (format!("It ended with {status}."), true),
        Some(Ok(None)) => ("It wrote more than is shown, and was ended.".to_owned(), true),
        Some(Err(_)) | None => (format!("It took longer than {} s, and was ended.", LONGEST.as_secs()), true),
    };
    let output = String::from_utf8_lossy(&all).into_owned();
    Ok(Piped { output, ended, failed, took: began.elapsed() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_text_goes_in_and_output_and_errors_come_out() {
        let done = run("cat; echo to errors >&2", "a block\n".to_owned()).await.unwrap();
        assert_eq!((done.output.as_str(), done.failed), ("a block\nto errors\n", false));
        let done = run("exit 3", "not read".repeat(100_000)).await.unwrap();
        assert!(done.failed && done.ended.contains('3'), "{}", done.ended);
    }

    #[tokio::test]
    async fn endless_output_is_ended() {
        let done = run("yes", String::new()).await.unwrap();
        assert!(done.failed && done.output.len() >= MOST && done.output.len() < 2 * MOST, "{}", done.ended);
    }

    #[tokio::test]
    async fn who_gives_it_up_ends_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("alive");
        let mark = file.display().to_string();
        // A grandchild that would go on writing.
        let command = format!("(while :; do echo x >> '{mark}'; sleep 0.05; done) & echo $! > '{mark}.pid'; wait");
        let job = tokio::spawn(async move { run(&command, String::new()).await });
        let deadline = Instant::now() + Duration::from_secs(20);
        let named = || std::fs::read_to_string(format!("{mark}.pid")).ok()?.trim().parse::<i32>().ok();
        let pid = loop {
            if let Some(pid) = named().filter(|_| file.exists()) {
                break pid;
            }
            assert!(Instant::now() < deadline, "it did not begin");
            tokio::task::yield_now().await;
        };
        job.abort();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        while rustix::process::test_kill_process(pid).is_ok() && !is_zombie(pid) {
            assert!(Instant::now() < deadline, "it goes on");
            tokio::task::yield_now().await;
        }
    }

    /// Ended, and nobody has asked how yet (in a container nobody may).
    fn is_zombie(pid: rustix::process::Pid) -> bool {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z'))
    }
}
