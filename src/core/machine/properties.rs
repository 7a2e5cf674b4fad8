//! Whatever is done in whatever order: the tree stays a tree, replicas agree, what is on disk is what was shown, and undo leads back.

mod world;

use proptest::prelude::*;

use world::World;

/// One random act. Indices choose among what is there.
#[derive(Debug, Clone)]
enum Act {
    Send(usize, String),
    Add(usize, bool, String),
    Answer(usize),
    Continue(usize),
    Delta(usize, bool, String),
    End(usize, bool),
    Head(usize),
    Branch(usize, u8),
    Forget(u8),
    System(String),
    Rename(String),
    Model(u8),
    View(bool),
    Visit(usize),
    Checkpoint,
    /// To another conversation, so that what follows is done there.
    Turn(usize),
    Keep(usize, u8),
    SaveFolder(usize, usize, u8, bool),
    DeleteFolder(usize),
    Fork(usize, u8),
    Graft(usize, usize, usize, bool),
    Archive(usize, bool),
    Rate(usize, i8),
    React(usize, u8, bool),
    Bookmark(usize, Option<u8>),
    Mark(usize, u8, bool),
    Parameter(u8),
    Enqueue(usize, String),
    EditQueued(usize, String),
    MoveQueued(usize, u8),
    DropQueued(usize),
    SendQueued(usize, bool),
}

/// What cannot be undone: it is done between the others.
fn passing() -> impl Strategy<Value = Act> {
    let at = any::<usize>();
    prop_oneof![
        8 => (at, any::<bool>(), "\\PC{0,8}").prop_map(|(i, thinking, t)| Act::Delta(i, thinking, t)),
        4 => (at, any::<bool>()).prop_map(|(i, ok)| Act::End(i, ok)),
        1 => any::<bool>().prop_map(Act::View),
        1 => at.prop_map(Act::Visit),
        1 => Just(Act::Checkpoint),
        2 => at.prop_map(Act::Turn),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let at = any::<usize>();
    let writing = prop_oneof![
        4 => (at, ".{0,12}").prop_map(|(i, t)| Act::Send(i, t)),
        2 => (at, any::<bool>(), ".{0,12}").prop_map(|(i, user, t)| Act::Add(i, user, t)),
        3 => at.prop_map(Act::Answer),
        2 => at.prop_map(Act::Continue),
    ];
    let tree = prop_oneof![
        1 => at.prop_map(Act::Head),
        1 => (at, 0..3u8).prop_map(|(i, n)| Act::Branch(i, n)),
        1 => (0..3u8).prop_map(Act::Forget),
        1 => (at, 0..3u8).prop_map(|(i, scope)| Act::Fork(i, scope)),
        2 => (at, at, at, any::<bool>()).prop_map(|(i, to, under, moved)| Act::Graft(i, to, under, moved)),
        2 => (at, any::<bool>()).prop_map(|(i, on)| Act::Archive(i, on)),
    ];
    let kept = prop_oneof![
        1 => ".{0,8}".prop_map(Act::System),
        1 => ".{0,8}".prop_map(Act::Rename),
        1 => (0..3u8).prop_map(Act::Model),
        1 => (0..3u8).prop_map(Act::Parameter),
        3 => (at, 0..12u8).prop_map(|(i, n)| Act::Keep(i, n)),
        2 => (at, at, 0..4u8, any::<bool>()).prop_map(|(i, parent, name, smart)| Act::SaveFolder(i, parent, name, smart)),
        1 => at.prop_map(Act::DeleteFolder),
        1 => (at, -2..3i8).prop_map(|(i, rating)| Act::Rate(i, rating)),
        1 => (at, 0..4u8, any::<bool>()).prop_map(|(i, n, on)| Act::React(i, n, on)),
        1 => (at, proptest::option::of(0..3u8)).prop_map(|(i, note)| Act::Bookmark(i, note)),
        1 => (at, 0..3u8, any::<bool>()).prop_map(|(i, letter, on)| Act::Mark(i, letter, on)),
    ];
    prop_oneof![4 => passing(), 4 => writing, 3 => tree, 3 => kept]
}

/// What is done with prompts that wait. The host sends them by itself too, which no act does.
fn queue() -> impl Strategy<Value = Act> {
    let at = any::<usize>();
    prop_oneof![
        5 => (at, ".{1,12}").prop_map(|(i, t)| Act::Enqueue(i, t)),
        1 => (at, ".{0,12}").prop_map(|(i, t)| Act::EditQueued(i, t)),
        1 => (at, 0..4u8).prop_map(|(i, to)| Act::MoveQueued(i, to)),
        1 => at.prop_map(Act::DropQueued),
        2 => (at, any::<bool>()).prop_map(|(i, beside)| Act::SendQueued(i, beside)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_the_tree_the_replicas_and_the_disk_agree(
        acts in proptest::collection::vec((prop_oneof![4 => act(), 1 => queue()], 0..8u8), 1..60)
    ) {
        let mut world = World::new();
        for (act, who) in acts {
            // Two people at two screens; now and then one takes back, or does again.
            world.who = usize::from(who % 2);
            match who {
                6 => drop(world.undo(false)),
                7 => drop(world.undo(true)),
                _ => world.act(act),
            }
            world.check();
        }
        world.settle();
    }

    #[test]
    fn undoing_everything_gives_the_start_and_doing_it_again_the_end(
        before in proptest::collection::vec(act(), 0..15),
        acts in proptest::collection::vec(act(), 1..40),
    ) {
        let mut world = World::new();
        for act in before {
            world.act(act);
        }
        world.end_all();
        world.who = 1;
        let (start, known) = (world.picture(), world.conversations.len());
        for act in acts {
            world.act(act);
        }
        world.end_all();
        let end = world.picture();
        let mut undone = 0;
        while let Some(result) = world.undo(false) {
            prop_assert!(result.is_ok(), "{result:?}");
            world.check();
            undone += 1;
        }
        // The other's acts are no business of this one; what was begun since lies in the bin.
        let back = world.picture();
        prop_assert_eq!(&back.0[..known], &start.0[..]);
        prop_assert_eq!(&back.1, &start.1);
        let mut again = 0;
        while let Some(result) = world.undo(true) {
            prop_assert!(result.is_ok(), "{result:?}");
            world.check();
            again += 1;
        }
        prop_assert_eq!(undone, again);
        prop_assert_eq!(world.picture(), end);
        world.settle();
    }
}
