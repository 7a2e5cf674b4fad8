//! What can be undone: each act, its words, what it refuses, and what undo refuses.

use super::*;
use crate::core::Counts;
use crate::core::undo::{Op, OpState};
use crate::proto::{ConversationRow, Folder, FolderId, Keep, Node, RunId, Scope, Undone};

impl Bench {
    /// The last act that can be undone.
    pub(in crate::core::machine) fn op(&self) -> Op {
        self.writes
            .iter()
            .rev()
            .find_map(|write| if let Write::Op(op) = write { Some(op.clone()) } else { None })
            .expect("an act was noted")
    }

    pub(in crate::core::machine) fn undo(&mut self, op: &Op, redo: bool) {
        let (client, id) = (self.client, self.ids.fresh());
        self.feed(Input::Undo { client, id, op: op.clone(), redo });
    }

    pub(in crate::core::machine) fn undone(&self) -> &Undone {
        match &self.last {
            Ok(Ack::Undone(undone)) => undone,
            other => panic!("it was not undone: {other:?}"),
        }
    }

    fn why_not(&mut self, command: Command) -> Error {
        let before = self.writes.len();
        self.run(command.clone());
        assert_eq!(self.writes.len(), before, "what is refused writes nothing: {command:?}");
        self.last.clone().expect_err("it is refused")
    }

    /// A finished pair of messages.
    fn pair(&mut self, parent: Option<NodeId>, text: &str) -> (NodeId, NodeId) {
        let (user, answer) = self.send(parent, text);
        self.write(answer, "an answer");
        self.end(answer);
        (user, answer)
    }

    fn row(&self) -> &ConversationRow {
        &self.machine.replica.rows[&self.conversation]
    }

    fn folder(&mut self, parent: Option<FolderId>, name: &str, search: Option<&str>) -> FolderId {
        let id = self.ids.fresh();
        let folder = Folder { id, parent, name: name.into(), template: None, search: search.map(Into::into), count: 0, unread: 0 };
        self.run(Command::SaveFolder { folder });
        id
    }
}

#[test]
fn a_send_is_taken_back_and_done_again_with_what_came() {
    let mut b = Bench::new();
    let (user, first) = b.pair(None, "Write quicksort");
    let conversation = b.conversation;
    b.run(Command::SetBranch { conversation, name: "main".into(), leaf: Some(first) });
    let (asked, answer) = b.send(Some(first), "And now in Rust, please");
    let op = b.op();
    assert_eq!(op.about, "sent “And now in Rust, please”");
    b.write(answer, "fn ");
    b.undo(&op, false);
    assert_eq!(b.undone(), &Undone { about: op.about.clone(), conversation: Some(conversation), node: Some(first) });
    assert_eq!(b.aborts, [answer], "its run is stopped");
    b.feed(Input::Ended { node: answer, result: Err(Error::new(Kind::Cancelled, "stopped")) });
    assert!([asked, answer].iter().all(|id| b.doc().node(*id).unwrap().hidden));
    assert_eq!((b.doc().conversation.head, b.doc().conversation.branches["main"]), (Some(first), first));
    assert_eq!((b.row().messages, b.row().branches, b.row().running), (2, 1, 0));
    assert!(b.writes.contains(&Write::OpState { command: op.command, client: b.client, state: OpState::Undone }));
    b.undo(&op, true);
    assert_eq!(b.undone().node, Some(answer));
    assert_eq!((b.text(answer).as_str(), b.doc().conversation.head, b.row().messages), ("fn ", Some(answer), 4));
    assert_eq!(b.doc().path(answer), [user, first, asked, answer]);
}

#[test]
fn undo_refuses_where_somebody_else_went_on() {
    let mut b = Bench::new();
    let (_, first) = b.pair(None, "one");
    let op = b.op();
    let mine = std::mem::replace(&mut b.client, b.ids.fresh());
    b.pair(Some(first), "two");
    b.client = mine;
    let before = b.doc().clone();
    b.undo(&op, false);
    let error = b.last.clone().unwrap_err();
    assert_eq!(error.message, "It cannot be undone (sent “one”): messages were added below it since, so it stays.");
    assert!(b.writes.contains(&Write::OpState { command: op.command, client: b.client, state: OpState::Void }), "and is not tried again");
    assert_eq!(*b.doc(), before);

    let conversation = b.conversation;
    b.run(Command::Rename { conversation, title: "mine".into() });
    let op = b.op();
    assert_eq!(op.about, "renamed “one” to “mine”");
    b.run(Command::Rename { conversation, title: "theirs".into() });
    b.undo(&op, false);
    assert!(b.last.clone().unwrap_err().message.ends_with("something else has changed it since, so it stays as it is."));
    assert_eq!(b.row().title, "theirs");
}

#[test]
fn what_was_taken_back_takes_no_messages() {
    let mut b = Bench::new();
    let (_, answer) = b.pair(None, "one");
    let op = b.op();
    b.undo(&op, false);
    b.send(Some(answer), "below nothing");
    assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::NotFound));
    assert_eq!(b.row().messages, 0);
}

#[test]
fn what_is_done_to_a_message_is_kept_and_taken_back() {
    let mut b = Bench::new();
    let (user, answer) = b.pair(None, "hello");
    let conversation = b.conversation;
    let acts = [
        (Command::Rate { conversation, node: answer, rating: 1 }, "rated “an answer” as good"),
        (Command::React { conversation, node: user, reaction: "👍".into(), on: true }, "reacted with 👍 to “hello”"),
        (Command::Bookmark { conversation, node: user, note: Some(" see\nthis ".into()) }, "bookmarked “hello”"),
        (Command::SetMark { conversation, letter: 'q', node: Some(answer) }, "set the mark q at “an answer”"),
    ];
    let before = b.doc().clone();
    let mut ops = Vec::new();
    for (command, about) in acts {
        b.run(command.clone());
        ops.push(b.op());
        assert_eq!(ops.last().unwrap().about, about);
        let writes = b.writes.len();
        b.run(command);
        assert_eq!((b.writes.len(), b.last.clone()), (writes + usize::from(b.writes.len() > writes), Ok(Ack::Done)), "twice is once");
    }
    let node = |b: &Bench, id| -> Node { b.doc().node(id).unwrap().clone() };
    assert_eq!(
        (node(&b, answer).rating, node(&b, user).reactions, node(&b, user).bookmark),
        (1, vec!["👍".into()], Some("see this".into()))
    );
    assert_eq!(b.doc().conversation.marks, [('q', answer)].into());
    for op in ops.iter().rev() {
        b.undo(op, false);
        b.undone();
    }
    assert_eq!(*b.doc(), before);
}

#[test]
fn nonsense_about_messages_is_refused() {
    let mut b = Bench::new();
    let (node, _) = b.pair(None, "hello");
    let conversation = b.conversation;
    for command in [
        Command::Rate { conversation, node, rating: 2 },
        Command::React { conversation, node, reaction: " \u{200b}".into(), on: true },
        Command::React { conversation, node, reaction: "x".repeat(33), on: true },
        Command::Bookmark { conversation, node, note: Some("x".repeat(1_001)) },
        Command::SetMark { conversation, letter: 'Q', node: Some(node) },
        Command::SetMark { conversation, letter: 'é', node: Some(node) },
    ] {
        assert_eq!(b.why_not(command).kind, Kind::Usage);
    }
    for reaction in 0..16 {
        b.run(Command::React { conversation, node, reaction: reaction.to_string(), on: true });
    }
    assert_eq!(b.why_not(Command::React { conversation, node, reaction: "more".into(), on: true }).kind, Kind::Usage);
}

#[test]
fn a_branch_that_is_put_away_counts_as_messages_and_head_moves_beside_it() {
    let mut b = Bench::new();
    let (user, first) = b.pair(None, "hello");
    let second = b.answer(user, None);
    b.end(second);
    let (_, below) = b.pair(Some(second), "more");
    let conversation = b.conversation;
    b.run(Command::ArchiveBranch { conversation, node: second, archived: true });
    assert_eq!(b.doc().conversation.head, Some(first));
    assert_eq!((b.row().messages, b.row().branches), (5, 1));
    assert_eq!((b.doc().place(first), b.doc().leaf_below(user)), ((1, 1), first));
    let op = b.op();
    assert_eq!(
        op.about,
        "archived the branch at “hello”".replace("hello", &b.doc().node(second).unwrap().snippet).replace("“”", "a message")
    );
    // Whoever is on it can go on there.
    b.pair(Some(below), "still here");
    assert_eq!((b.row().messages, b.row().branches), (7, 1));
    b.undo(&op, false);
    assert_eq!(b.row().branches, 2);
    let error = b.why_not(Command::ArchiveBranch { conversation, node: user, archived: true });
    assert_eq!(error.hints, ["Archive the conversation itself instead."]);
    let (_, running) = b.send(Some(first), "wait");
    assert_eq!(b.why_not(Command::ArchiveBranch { conversation, node: first, archived: true }).kind, Kind::Busy);
    b.end(running);
}

#[test]
fn a_fork_copies_the_path_its_siblings_or_all() {
    let mut b = Bench::new();
    let (user, first) = b.pair(None, "hello");
    let second = b.answer(user, None);
    b.write(second, "another");
    b.end(second);
    b.pair(Some(second), "more");
    let conversation = b.conversation;
    b.run(Command::SetBranch { conversation, name: "main".into(), leaf: b.doc().conversation.head });
    for (scope, messages, branches) in [(Scope::Path, 2, 1), (Scope::PathAndSiblings, 3, 2), (Scope::All, 5, 2)] {
        let to = b.ids.fresh();
        b.run(Command::Fork { conversation, node: Some(first), scope, to });
        let fork = &b.machine.replica.docs[&to];
        let row = &fork.conversation.row;
        assert_eq!((row.title.as_str(), row.messages, row.branches), ("hello (fork)", messages, branches), "{scope:?}");
        assert_eq!(fork.counts(), Counts { messages, branches, tokens: row.tokens });
        let head = fork.node(fork.conversation.head.unwrap()).unwrap();
        assert_eq!(head.copy_of, if scope == Scope::All { b.doc().conversation.head } else { Some(first) });
        assert!(fork.nodes().iter().all(|node| node.run.is_none() && node.copy_of.is_some()));
        assert_eq!(fork.conversation.branches.len(), usize::from(scope == Scope::All));
        assert_eq!(fork.nodes()[0].snippet, "hello");
        let op = b.op();
        b.undo(&op, false);
        assert!(b.machine.replica.rows[&to].deleted.is_some(), "it lies in the bin");
    }
}

#[test]
fn a_graft_moves_what_hangs_below_and_what_names_it() {
    let mut b = Bench::new();
    let (_, first) = b.pair(None, "hello");
    let (more, below) = b.pair(Some(first), "more");
    let (_, other) = b.pair(None, "elsewhere");
    let conversation = b.conversation;
    b.run(Command::SetHead { conversation, head: below });
    b.run(Command::SetBranch { conversation, name: "main".into(), leaf: Some(below) });
    let before = b.doc().clone();
    let graft = |node, under, moved| Command::Graft { conversation, node, to: conversation, under, moved };
    assert_eq!(b.why_not(graft(first, Some(below), true)).kind, Kind::Usage, "not below itself");
    assert_eq!(b.why_not(graft(more, Some(first), true)).kind, Kind::Usage, "it hangs there");
    b.run(graft(more, Some(other), true));
    let op = b.op();
    assert_eq!(op.about, "moved “more” and what hangs below it");
    let head = b.doc().conversation.head.unwrap();
    assert_eq!((b.doc().node(head).unwrap().copy_of, b.doc().conversation.branches["main"]), (Some(below), head));
    assert!(b.doc().is_ancestor(other, head) && b.doc().node(more).unwrap().archived);
    assert_eq!((b.row().messages, b.row().branches), (8, 2));
    b.undo(&op, false);
    assert_eq!((b.doc().conversation.head, &b.doc().conversation.branches), (Some(below), &before.conversation.branches));
    assert_eq!((b.row().messages, b.row().branches), (6, 2));
    b.run(graft(first, Some(below), false));
    assert_eq!(b.doc().conversation.head, Some(below), "a copy moves no HEAD");
    assert_eq!(b.row().messages, 9);
}

#[test]
fn conversations_are_kept_all_or_none_and_by_their_rows() {
    let mut b = Bench::new();
    let rows: Vec<ConversationRow> =
        ["a", "b"].map(|title| ConversationRow { title: title.into(), ..ConversationRow::new(b.ids.fresh(), 1) }).into();
    let conversations: Vec<ConversationId> = rows.iter().map(|row| row.id).collect();
    let keep = |change| Command::Keep { conversations: conversations.clone(), change };
    assert_eq!(b.machine.needs(&keep(Keep::Pinned(true))).rows, conversations);
    assert_eq!(b.why_not(keep(Keep::Pinned(true))).kind, Kind::NotFound);
    b.machine.load_rows(rows);
    assert!(b.machine.needs(&keep(Keep::Pinned(true))).is_empty());
    b.run(keep(Keep::Deleted(true)));
    let op = b.op();
    assert_eq!((op.about.as_str(), op.conversation), ("put 2 conversations into the bin", None));
    assert!(conversations.iter().all(|id| b.machine.replica.rows[id].deleted.is_some()));
    b.undo(&op, false);
    assert!(conversations.iter().all(|id| b.machine.replica.rows[id].deleted.is_none()));
    b.run(Command::DeleteConversation { conversation: conversations[0] });
    assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::Usage), "only from the bin");
    b.undo(&op, true);
    let (client, id) = (b.client, b.ids.fresh());
    b.feed(Input::Found { client, id, command: Command::EmptyBin, conversations: conversations.clone() });
    assert_eq!(b.last, Ok(Ack::Emptied { count: 2 }));
    b.undo(&op, false);
    assert_eq!(b.last.as_ref().map_err(|e| e.kind), Err(Kind::NotFound));
}

#[test]
fn writing_in_the_bin_takes_it_out_and_says_so() {
    let mut b = Bench::new();
    let conversation = b.conversation;
    b.run(Command::Keep { conversations: vec![conversation], change: Keep::Deleted(true) });
    let (client, id, run) = (b.client, b.ids.fresh(), b.ids.fresh::<RunId>());
    let (node, answer) = (b.ids.fresh(), b.ids.fresh());
    let content = vec![Part::Text { text: "wait".into() }];
    let command = Command::Send { conversation, node, parent: None, content, answer, model: Some(b.model()) };
    let effects = b.machine.handle(Input::Command { client, id, command, run }, 9_000);
    let said =
        |effect: &Effect| matches!(effect, Effect::Emit(EventKind::Notice { error, .. }) if error.message.contains("came out of the bin"));
    assert!(effects.iter().any(said));
    let out = |effect: &Effect| matches!(effect, Effect::Emit(EventKind::Row(row)) if row.deleted.is_none());
    assert!(effects.iter().any(out));
}

#[test]
fn folders_are_no_circles_and_have_their_names_for_themselves() {
    let mut b = Bench::new();
    let work = b.folder(None, " Work\u{202e} ", None);
    let name = |b: &Bench, id| b.machine.replica.folders.iter().find(|folder| folder.id == id).unwrap().name.clone();
    assert!(!name(&b, work).contains('\u{202e}'));
    let save = |id, parent, name: &str, search: Option<&str>| Command::SaveFolder {
        folder: Folder { id, parent, name: name.into(), template: None, search: search.map(Into::into), count: 0, unread: 0 },
    };
    b.run(save(work, None, "Work", None));
    let inner = b.folder(Some(work), "Inner", None);
    let smart = b.folder(None, "Unread", Some("is:unread"));
    let new = b.ids.fresh();
    for command in [
        save(work, Some(inner), "Work", None),
        save(work, Some(work), "Work", None),
        save(new, None, "wORK", None),
        save(new, Some(smart), "x", None),
        save(new, None, " \n ", None),
        save(smart, None, "Unread", None),
        Command::Keep { conversations: vec![b.conversation], change: Keep::Folder(Some(smart)) },
    ] {
        assert_eq!(b.why_not(command.clone()).kind, Kind::Usage, "{command:?}");
    }
    let conversation = b.conversation;
    b.run(Command::Keep { conversations: vec![conversation], change: Keep::Folder(Some(work)) });
    let count = |b: &Bench, id| b.machine.replica.folders.iter().find(|folder| folder.id == id).map(|folder| (folder.count, folder.unread));
    assert_eq!(count(&b, work), Some((1, 0)));
    b.pair(None, "hello");
    assert_eq!(count(&b, work), Some((1, 1)), "an answer arrived that nobody saw");
    // What lies in it goes up; a name that is taken there gets a number.
    b.folder(None, "Inner", None);
    let (client, id) = (b.client, b.ids.fresh());
    b.feed(Input::Found { client, id, command: Command::DeleteFolder { id: work }, conversations: vec![conversation] });
    let op = b.op();
    assert_eq!((op.about.as_str(), name(&b, inner).as_str(), b.row().folder), ("deleted the folder “Work”", "Inner (2)", None));
    b.undo(&op, false);
    b.undone();
    assert_eq!((name(&b, inner).as_str(), b.row().folder, count(&b, work)), ("Inner", Some(work), Some((1, 1))));
}

#[test]
fn the_way_that_was_gone_last_is_remembered_at_forks_and_told_to_nobody() {
    let mut b = Bench::new();
    let (user, first) = b.pair(None, "hello");
    let second = b.answer(user, None);
    b.end(second);
    let conversation = b.conversation;
    b.writes.clear();
    let seq = b.seq;
    b.run(Command::Visit { conversation, leaf: first });
    assert_eq!(b.seq, seq, "no event");
    let stored = b.writes.iter().find_map(|write| if let Write::Conversation(c) = write { Some(c.clone()) } else { None }).unwrap();
    assert_eq!(stored.visited, [(user, first)].into());
    assert!(!b.writes.iter().any(|write| matches!(write, Write::Op(_) | Write::Applied { .. })));
    let reopened = Doc::new(stored, b.doc().nodes().to_vec(), Vec::new());
    assert_eq!(reopened.leaf_below(user), first);
    b.writes.clear();
    b.run(Command::Visit { conversation, leaf: first });
    assert!(b.writes.is_empty());
}

#[test]
fn what_is_not_saved_is_not_undone() {
    let mut b = Bench::new();
    b.conversation = b.ids.fresh();
    b.writes.clear();
    let id = b.conversation;
    b.run(Command::NewConversation { id, title: None, system: None, parameters: Parameters::default(), model: None, saved: false });
    let (node, _) = b.pair(None, "secret");
    b.run(Command::Rate { conversation: id, node, rating: 1 });
    assert!(!b.writes.iter().any(|write| matches!(write, Write::Op(_) | Write::Nodes { .. })));
    assert_eq!(b.doc().node(node).unwrap().rating, 1);
    let to = b.ids.fresh();
    assert_eq!(b.why_not(Command::Fork { conversation: id, node: None, scope: Scope::All, to }).kind, Kind::Usage);
}

#[test]
fn a_deep_tree_and_ten_thousand_siblings_are_counted_in_one_walk() {
    let mut ids = IdGen::Counting(0);
    let mut nodes: Vec<Node> = Vec::new();
    for at in 0..20_000_usize {
        // A chain of 10,000, then 10,000 answers to its last message.
        let parent = nodes.get(at.min(10_000).wrapping_sub(1)).map(|node| node.id);
        let mut node = Node::new(ids.fresh(), parent, Role::User, State::Sent, 1);
        (node.tokens, node.archived) = (2, at == 15_000);
        nodes.push(node);
    }
    // Each message is looked at a fixed number of times, however the tree hangs.
    let looks = std::cell::Cell::new(0_usize);
    let counts = Counts::of(nodes.iter().inspect(|_| looks.set(looks.get() + 1)));
    assert_eq!(counts, Counts { messages: 20_000, branches: 9_999, tokens: 40_000 });
    assert_eq!(looks.get(), 40_000);
    let conversation = crate::proto::Conversation::new(ConversationRow::new(ids.fresh(), 1));
    let doc = Doc::new(conversation, nodes.clone(), Vec::new());
    let (first, last) = (nodes[0].id, nodes[19_999].id);
    assert_eq!((doc.counts(), doc.leaf_below(first), doc.path(last).len()), (counts, last, 10_001));
    assert_eq!((doc.place(last), doc.below(first).len(), doc.is_away(nodes[15_000].id)), ((9_999, 9_999), 20_000, true));
    assert_eq!(doc.nearest(last, |id| id == last), Some(nodes[19_998].id));
}

#[test]
fn rows_of_an_act_on_everything_are_let_go_and_come_back_when_they_are_needed() {
    let mut b = Bench::new();
    let many: Vec<ConversationRow> =
        (0..1_200).map(|at| ConversationRow { updated: at, ..ConversationRow::new(b.ids.fresh(), at) }).collect();
    let ids: Vec<ConversationId> = many.iter().map(|row| row.id).collect();
    b.machine.load_rows(many);
    let pin = Command::Keep { conversations: ids.clone(), change: Keep::Pinned(true) };
    b.run(pin.clone());
    assert!(b.machine.replica.rows[&ids[0]].pinned);
    b.machine.evict();
    assert!(b.machine.replica.rows.len() <= 500 && b.machine.replica.rows.contains_key(&b.conversation));
    assert_eq!(b.machine.needs(&pin).rows.len(), 1_201 - b.machine.replica.rows.len());
}
