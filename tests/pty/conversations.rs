//! Conversations and messages: what waits, what is said about them, where they are kept and found, and what is taken back.

use rustix::fs::{CWD, FileType, mknodat};
use rustix::process::Signal;
use serde_json::Value;

use super::home::until;
use super::pty::Term;
use super::support::scripted::{Accident, Script};
use super::{Rig, Way, at_rest, ready, say, to_chat};

over_every_way!(
    prompts_wait_in_a_queue,
    what_is_said_about_messages_stays,
    conversations_are_kept_in_folders_and_the_bin,
    a_word_is_found_and_gone_to,
    branches_are_put_away_and_forked,
    files_go_with_a_message,
    refusals_are_asked_again,
    a_countdown_is_given_up_and_asked_by_key,
    what_waits_is_rearranged_held_and_kept,
    drafts_and_edits_stay_with_their_conversation,
    a_template_is_filled_in_and_a_branch_is_copied,
);

mod two_screens_share_a_conversation {
    #[test]
    fn over_a_socket() {
        super::two_screens_share_a_conversation(super::Way::Socket);
    }
    #[test]
    fn over_tcp() {
        super::two_screens_share_a_conversation(super::Way::Tcp);
    }
}

/// From INSERT to NORMAL, in the composer.
#[track_caller]
fn normal(term: &mut Term) {
    term.keys("<Esc>");
    term.wait_for("NORMAL");
}

/// What the server was asked, newest last: the last message of each chat.
fn asked(rig: &Rig) -> Vec<String> {
    let last = |chat: &Value| chat["messages"].as_array()?.last()?["content"].as_str().map(str::to_owned);
    rig.server.chats().iter().filter_map(last).collect()
}

/// Whether a row of the list on the left begins and ends so.
fn row_begins(screen: &vt100::Screen, with: &str, end: &str) -> bool {
    screen
        .contents()
        .lines()
        .any(|line| line.trim_start().starts_with(with) && line[..line.find('│').map_or(0, |at| at + '│'.len_utf8())].ends_with(end))
}

fn prompts_wait_in_a_queue(way: Way) {
    let rig = Rig::new(way, Script::says("The second answer."));
    let slow = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen \
                nineteen twenty is the end.";
    rig.server.queue(Script::says(slow).at(4.0));
    let mut term = ready(&rig);
    say(&mut term, "First question?");
    term.wait_for("one two");
    say(&mut term, "Second question?");
    term.wait_for("1 queued  Second question?");
    assert_eq!(asked(&rig), ["First question?"], "it waits");
    term.wait_for("The second answer.");
    term.wait_gone("queued");
    at_rest(&mut term);
    assert_eq!(asked(&rig), ["First question?", "Second question?"]);
    let second = rig.server.chats().pop().expect("a chat");
    assert_eq!(second["messages"][1]["content"], slow, "it is asked under the whole first answer");
}

fn what_is_said_about_messages_stays(way: Way) {
    let rig = Rig::new(way, Script::says("The first version."));
    let mut term = ready(&rig);
    say(&mut term, "hello");
    term.wait_for("The first version.");
    at_rest(&mut term);
    to_chat(&mut term);
    term.keys("B");
    term.wait_for("Bookmark this message");
    term.keys("worth it<Enter>");
    term.wait_for("Bookmarked;");
    term.keys("+");
    term.wait_for("Rated +1.");
    term.keys("ma");
    term.wait_for("Mark a is here");

    // A second version, back by the mark, and the second version is taken back.
    rig.server.set(Script::says("Quite another one."));
    term.keys("r");
    term.wait_for("Quite another one.");
    term.wait_for("‹2/2›");
    at_rest(&mut term);
    term.keys("'a");
    term.wait_for("‹1/2›");
    term.wait_for("⚑  +1");
    term.keys("u");
    term.wait_for("Undone: asked for an answer to “hello”.");
    term.wait_gone("‹1/2›");

    // The list leads to the message.
    term.keys("gb");
    term.wait_for("Bookmarks (1)");
    term.wait_for("⚑ worth it");
    term.keys("<Enter>");
    term.wait_gone("Bookmarks (1)");
    term.wait_for("▎  The first version.");
    term.keys("ZZ");
    assert_eq!(term.wait_exit(), Ok(0));

    // What a screen did that is gone can be taken back by the next one.
    let mut term = rig.screen();
    term.wait_for("The first version.");
    term.wait_for("⚑  +1");
    term.keys("u");
    term.wait_for("Undone: set the mark a at “The first version.”.");
    term.keys("u");
    term.wait_for("Undone: rated");
    term.wait_gone("⚑  +1");
    term.keys("<C-r>");
    term.wait_for("Done again: rated");
    term.wait_for("⚑  +1");
}

fn conversations_are_kept_in_folders_and_the_bin(way: Way) {
    let rig = Rig::new(way, Script::says("An answer."));
    let mut term = ready(&rig);
    say(&mut term, "Oaks and elms");
    term.wait_for("An answer.");
    at_rest(&mut term);
    normal(&mut term);
    term.keys(" 2");
    term.keys("O");
    term.wait_for("Make a folder");
    term.keys("Trees<Enter>");
    term.wait_for("Trees is a folder now.");
    term.keys("G");
    term.keys("m");
    term.wait_for("where?");
    term.keys("Trees<Enter>");
    term.wait_for("“Oaks and elms” is in Trees now.");
    // Indented, and counted.
    term.wait_for("     Oaks and elms");
    term.wait("a folder with one conversation", |screen| row_begins(screen, "▾ Trees", "1 │"));
    term.keys("D");
    term.wait_for("“Oaks and elms” is in the bin");
    term.wait("one conversation in the bin", |screen| row_begins(screen, "▸ Bin", "1 │"));
    term.wait_gone("     Oaks and elms");
    term.keys("u");
    term.wait_for("Undone: put “Oaks and elms” into the bin");
    term.wait_for("     Oaks and elms");
    term.wait_gone("▸ Bin");

    // Back to the beginning.
    term.keys("u");
    term.wait_for("Undone: moved");
    term.wait_gone("     Oaks and elms");
    term.keys("u");
    term.wait_for("Undone: made the folder “Trees”.");
    term.wait_gone("▾ Trees");
    term.wait_for("   Oaks and elms");
}

fn a_word_is_found_and_gone_to(way: Way) {
    let rig = Rig::new(way, Script::says("The heron stands in the reeds."));
    let mut term = ready(&rig);
    say(&mut term, "Which bird waits?");
    term.wait_for("The heron stands in the reeds.");
    at_rest(&mut term);
    normal(&mut term);
    rig.server.set(Script::says("A pine grows on sand."));
    term.keys(" n");
    term.wait_gone("The heron stands in the reeds.");
    term.wait_for("INSERT");
    say(&mut term, "Which tree grows?");
    term.wait_for("A pine grows on sand.");
    at_rest(&mut term);
    normal(&mut term);
    term.keys(" /");
    term.wait_for("Search all messages");
    // A part of the word is enough, and nothing has to be sent off.
    term.keys("hero");
    term.wait_for("1 message in 1 conversation");
    term.wait_for("‹ The heron stands in the reeds.");
    term.keys("<Enter>");
    term.wait_gone("Search all messages");
    term.wait_for("▎  The heron stands in the reeds.");
    term.keys("<C-o>");
    term.wait_for("A pine grows on sand.");
    term.wait_gone("The heron stands in the reeds.");
}

fn branches_are_put_away_and_forked(way: Way) {
    let rig = Rig::new(way, Script::says("The first version."));
    let mut term = ready(&rig);
    say(&mut term, "hello");
    term.wait_for("The first version.");
    at_rest(&mut term);
    to_chat(&mut term);
    rig.server.set(Script::says("Quite another one."));
    term.keys("r");
    term.wait_for("‹2/2›");
    term.wait_for("Quite another one.");
    at_rest(&mut term);
    term.keys(" 5");
    term.wait_for("make HEAD");
    term.keys("D");
    term.wait_for("Put away: “Quite another one.”.");
    term.wait_for("The first version.");
    term.wait_gone("‹2/2›");
    term.keys("u");
    term.wait_for("Undone: archived the branch at “Quite another one.”.");
    term.wait_for("‹2/2›");

    // The path alone goes into the new conversation; the other one keeps both versions.
    term.keys("F");
    term.wait_for("Begin a new conversation with what?");
    term.keys("<Enter>");
    term.wait_for("This is the new conversation");
    term.wait_for("hello (fork)");
    term.wait_for("▎  Quite another one.");
    term.wait_gone("‹2/2›");
    term.keys("ZZ");
    assert_eq!(term.wait_exit(), Ok(0));
    let list = rig.home.run(&["conversations", "ls", "--json"]).ok().json();
    let mut messages: Vec<_> = list.as_array().into_iter().flatten().map(|row| row["messages"].as_u64()).collect();
    messages.sort_unstable();
    assert_eq!(messages, [Some(2), Some(3)], "{list}");
}

fn files_go_with_a_message(way: Way) {
    let rig = Rig::new(way, Script::says("I have read it."));
    // Where the screen was started, which need not be where the host runs.
    let here = rig.elsewhere.as_ref().map_or(&rig.home, |(home, _)| home).path();
    std::fs::write(here.join("note.txt"), "The cormorant dives at dawn.\n").expect("a file");
    mknodat(CWD, here.join("pipe"), FileType::Fifo, 0o600.into(), 0).expect("a FIFO");
    let mut term = ready(&rig);
    term.write("What is in @note.txt here?");
    term.wait_for("▤ note.txt 29 B");
    assert_eq!(rig.server.chats().len(), 0, "nothing is sent yet");
    term.keys("<Enter>");
    term.wait_for("I have read it.");
    at_rest(&mut term);
    let told = asked(&rig).pop().expect("a message");
    assert!(told.contains("The cormorant dives at dawn.") && told.contains("What is in @note.txt here?"), "{told}");

    // What has no end is named as it is written, and again when it is sent, and what was written stays; nobody waits for it.
    let no_end = "is a pipe (FIFO): it has no end, so it cannot be attached.";
    term.write("And in @pipe ");
    term.wait_for(no_end);
    term.write("now?");
    term.wait_gone(no_end);
    term.keys("<Enter>");
    term.wait_for(no_end);
    term.wait_for("And in @pipe now?");
    assert_eq!(rig.server.chats().len(), 1);
    // Sent once more, it is text.
    term.keys("<Enter>");
    until("the second chat", || (rig.server.chats().len() == 2).then_some(()));
    assert_eq!(asked(&rig).pop().as_deref(), Some("And in @pipe now?"));
}

fn refusals_are_asked_again(way: Way) {
    let rig = Rig::new(way, Script::says("At last."));
    rig.server.queue(Script::refuses(500, "out of order"));
    rig.server.queue(Script::refuses(429, "too many of them").with_header("Retry-After", "2"));
    let mut term = ready(&rig);
    say(&mut term, "hello");
    term.wait_for("connecting… 500, again");
    term.wait_for("connecting… 429, again in");
    term.wait_for("At last.");
    at_rest(&mut term);
    assert_eq!(asked(&rig), ["hello", "hello", "hello"]);
}

fn a_countdown_is_given_up_and_asked_by_key(way: Way) {
    let rig = Rig::new(way, Script::says("By key."));
    rig.server.queue(Script::refuses(429, "too many of them").with_header("Retry-After", "50"));
    let mut term = ready(&rig);
    say(&mut term, "hello");
    term.wait_for("connecting… 429, again in");
    term.keys("<C-c>");
    term.wait_for("■ stopped");
    term.wait_gone("again in");
    assert_eq!(rig.server.chats().len(), 1);
    to_chat(&mut term);
    term.keys("r");
    term.wait_for("By key.");
    assert_eq!(rig.server.chats().len(), 2);
}

fn what_waits_is_rearranged_held_and_kept(way: Way) {
    let rig = Rig::new(way, Script::says("It goes on."));
    rig.server.queue(Script::says("Half of an answer that").after(3, Accident::Hang));
    let mut term = ready(&rig);
    say(&mut term, "begin");
    term.wait_for("Half of an");
    for prompt in ["alpha", "beta", "gamma"] {
        say(&mut term, prompt);
        term.wait_for(&format!("queued  {prompt}"));
    }
    normal(&mut term);
    term.keys(" Q");
    term.wait_for("Queue: 3 prompts");
    term.keys("J");
    term.wait_for(" 1 beta");
    term.wait_for(" 2 alpha");
    term.keys("D");
    term.wait_for("Queue: 2 prompts");
    term.keys("q");
    term.wait_gone("Queue: 2 prompts");
    term.wait_for("1 queued  beta");
    term.wait_for("2 queued  gamma");

    // Stopped: they are held, also when everything is started anew.
    term.keys("<C-c>");
    term.wait_for("■ stopped");
    term.wait_for("1 held  beta");
    at_rest(&mut term);
    term.keys("ZZ");
    assert_eq!(term.wait_exit(), Ok(0));
    if way == Way::Socket {
        rig.home.end_host(Signal::KILL);
    }
    let mut term = rig.screen();
    term.wait_for("1 held  beta");
    term.wait_for("2 held  gamma");
    term.keys(" Q");
    term.wait_for("Queue: 2 prompts");
    // The second at once; the first follows by itself, since nothing holds it any more.
    term.keys("G<Enter>");
    until("both answers", || (rig.server.chats().len() == 3).then_some(()));
    term.wait_gone("held");
    term.wait_gone("queued");
    at_rest(&mut term);
    assert_eq!(asked(&rig), ["begin", "gamma", "beta"]);
}

fn drafts_and_edits_stay_with_their_conversation(way: Way) {
    let rig = Rig::new(way, Script::says("An answer."));
    let mut term = ready(&rig);
    say(&mut term, "First talk");
    term.wait_for("An answer.");
    at_rest(&mut term);
    term.write("half a thought");
    normal(&mut term);
    term.keys(" n");
    term.wait_for("new conversation");
    term.wait_gone("half a thought");
    term.wait_for("INSERT");
    term.write("another one");
    normal(&mut term);
    term.keys("<C-o>");
    term.wait_for("An answer.");
    term.wait_for("half a thought");
    // What was not sent waits for the next new conversation.
    term.keys("<Esc>");
    term.wait_for("i write ·");
    term.keys(" n");
    term.wait_for("another one");
    term.wait_gone("half a thought");
    normal(&mut term);
    term.keys("<C-o>");
    term.wait_for("half a thought");

    // Nobody says good-bye.
    until("the draft to be kept", || {
        let log = std::fs::read(rig.home.path().join("data/arbour.db-wal")).unwrap_or_default();
        log.windows(14).any(|w| w == b"half a thought").then_some(())
    });
    term.signal(Signal::KILL);
    let _ = term.wait_exit();
    let mut term = rig.screen();
    term.wait_for("An answer.");
    term.wait_for("half a thought");
    // An answer in one's own words, asking nobody; both versions are there.
    term.keys("<Esc>");
    term.wait_for("NORMAL");
    term.keys("<Esc>");
    term.wait_for("ask again");
    term.keys("E");
    term.wait_for("INSERT");
    term.keys("<C-u>");
    term.write("My own words.");
    term.keys("<Enter>");
    term.wait_for("‹2/2›");
    term.wait_for("half a thought");
    assert_eq!(rig.server.chats().len(), 1);
    term.wait_for("My own words.");
    // Found where it is shown, and then in the whole tree.
    term.keys("/An ans<Enter>");
    term.wait_for("is not in what is shown here");
    term.keys("g/");
    term.wait_for("whole tree");
    term.keys("n");
    term.wait_for("1/1 in the whole tree");
    term.wait_for("‹1/2›");
    term.wait_for("An answer.");
}

fn a_template_is_filled_in_and_a_branch_is_copied(way: Way) {
    let rig = Rig::new(way, Script::says("It is fine."));
    let here = rig.elsewhere.as_ref().map_or(&rig.home, |(home, _)| home).path();
    let folder = here.join("config/templates");
    std::fs::create_dir_all(&folder).expect("a folder");
    std::fs::write(folder.join("review.md"), "Review this {{language}}:\n{{input}}\n").expect("a template");
    std::fs::write(folder.join("round.md"), "{{> round}}\n").expect("a template");
    let mut term = ready(&rig);
    term.write("/round");
    term.keys("<Enter>");
    term.wait_for("templates include each other in a circle: round → round");
    term.keys("<C-u>");
    term.write("/review let x = 1;");
    term.keys("<Enter>");
    term.wait_for("language");
    term.keys("Rust<Enter>");
    term.wait_for("Review this Rust:");
    term.keys("<Enter>");
    term.wait_for("It is fine.");
    at_rest(&mut term);
    assert_eq!(asked(&rig), ["Review this Rust:\nlet x = 1;"]);
    to_chat(&mut term);
    term.keys("Y");
    term.wait_for("Taken: “It is fine.”.");
    term.keys("gg");
    term.keys("P");
    term.wait_for("Copied “It is fine.” under “Review this Rust:”.");
    term.wait_for("‹2/2›");
    term.keys("u");
    term.wait_for("Undone: copied");
    term.wait_gone("‹2/2›");
}

fn two_screens_share_a_conversation(way: Way) {
    let rig = Rig::new(way, Script::says("It goes on."));
    rig.server.queue(Script::says("Half of an answer that").after(3, Accident::Hang));
    let mut one = ready(&rig);
    say(&mut one, "begin");
    one.wait_for("Half of an");
    let mut two = rig.screen();
    two.wait_for("Half of an");
    normal(&mut two);

    // One queue, whoever fills it and orders it.
    say(&mut one, "alpha");
    two.wait_for("1 queued  alpha");
    two.keys("i");
    two.wait_for("INSERT");
    say(&mut two, "beta");
    one.wait_for("2 queued  beta");
    normal(&mut two);
    two.keys(" Q");
    two.wait_for("Queue: 2 prompts");
    two.keys("J");
    one.wait_for("1 queued  beta");
    one.wait_for("2 queued  alpha");
    two.keys("jD");
    two.wait_for("Queue: 1 prompt");
    one.wait_gone("alpha");
    // What one screen drops, the other drops no more: it is gone from both.
    two.keys("q");
    two.wait_gone("Queue: 1 prompt");
    normal(&mut one);
    one.keys("<C-c>");
    two.wait_for("■ stopped");
    two.wait_for("1 held  beta");
    one.keys(" Q");
    one.wait_for("Queue: 1 prompt");
    one.keys("<Enter>");
    two.wait_for("It goes on.");
    at_rest(&mut one);
    at_rest(&mut two);

    // Each takes back its own acts, and none under which another has built.
    for term in [&mut one, &mut two] {
        term.keys("<Esc>");
        term.wait_for("ask again");
    }
    one.keys("+");
    two.wait_for("+1");
    rig.server.set(Script::says("Quite another one."));
    one.keys("r");
    one.wait_for("‹2/2›");
    at_rest(&mut one);
    two.wait_for("‹1/2›");
    two.keys("]");
    two.wait_for("Quite another one.");
    two.keys("i");
    two.wait_for("INSERT");
    say(&mut two, "and below it?");
    one.wait_for("and below it?");
    at_rest(&mut two);
    at_rest(&mut one);
    one.keys("u");
    one.wait_for("messages were added below it since");
    normal(&mut two);
    two.keys("<Esc>");
    two.wait_for("ask again");
    two.keys("u");
    two.wait_for("Undone: sent “and below it?”.");
    one.wait_gone("and below it?");
    // What could not be undone does not bar the way to what can.
    one.keys("u");
    one.wait_for("Undone: rated");
    two.wait_gone("+1");
}
