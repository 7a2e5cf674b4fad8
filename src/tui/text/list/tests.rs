use proptest::prelude::*;

use super::*;

fn list(heights: &[usize]) -> List {
    let mut list = List::new();
    list.reset(heights.iter().copied());
    list
}

fn shown(list: &List, pane: u16) -> Vec<(usize, u32, u16, u16)> {
    list.visible(pane).map(|s| (s.item, s.skip, s.y, s.rows)).collect()
}

#[test]
fn a_view_at_the_end_shows_the_last_rows() {
    let list = list(&[3, 4, 5]);
    assert_eq!(shown(&list, 6), [(1, 3, 0, 1), (2, 0, 1, 5)]);
    assert_eq!(shown(&list, 20), [(0, 0, 0, 3), (1, 0, 3, 4), (2, 0, 7, 5)]);
    assert_eq!(list.percent(6), Some(100));
    assert_eq!(list.percent(12), None);
}

#[test]
fn scrolling_leaves_the_end_and_comes_back_to_it() {
    let mut list = list(&[3, 4, 5]);
    list.settle(6, |item| [3, 4, 5][item]);
    list.scroll(-2, 6);
    assert!(!list.is_following());
    assert_eq!(list.top(6), (1, 1));
    list.scroll(-100, 6);
    assert_eq!(list.top(6), (0, 0));
    assert_eq!(list.percent(6), Some(0));
    list.page(1.0, 6);
    assert_eq!(list.top(6), (1, 2));
    list.page(0.5, 6);
    assert!(list.is_following());
    assert_eq!(list.top(6), (1, 3));
}

#[test]
fn what_is_read_stays_when_older_items_and_other_heights_arrive() {
    let mut list = list(&[3, 4, 5]);
    list.to_row(1, 2);
    list.splice(0, 0, [10, 10]);
    assert_eq!(list.top(4), (3, 2));
    list.set_height(0, 1);
    assert_eq!(list.top(4), (3, 2));
    list.splice(0, 2, []);
    assert_eq!(list.top(4), (1, 2));
    list.push(7);
    assert_eq!(list.top(4), (1, 2));
    list.splice(1, 1, [2, 2]);
    assert_eq!(list.top(4), (1, 0));
}

#[test]
fn estimates_are_corrected_for_what_is_in_view_only() {
    let mut list = list(&[10; 1000]);
    let mut asked = 0;
    list.settle(20, |_| {
        asked += 1;
        3
    });
    assert!(asked <= 8, "{asked} heights were measured for 20 rows");
    assert_eq!(list.visible(20).last().map(|s| (s.item, s.y + s.rows)), Some((999, 20)));
    list.to_item(500);
    list.settle(20, |_| 3);
    assert_eq!(list.top(20), (500, 0));
}

#[test]
fn a_resize_keeps_the_place() {
    let mut list = list(&[20, 40, 20]);
    list.to_row(1, 20);
    list.settle(10, |item| [20, 40, 20][item]);
    list.forget_heights();
    // Half as wide: twice as high.
    list.settle(10, |item| [40, 80, 40][item]);
    assert_eq!(list.top(10), (1, 40));
}

#[test]
fn following_smoothly_moves_with_every_row() {
    let mut list = list(&[5]);
    for height in 5..40 {
        list.set_height(0, height);
        list.settle(10, |_| height);
        assert_eq!(list.top(10), (0, (height as u32).saturating_sub(10)));
    }
}

#[test]
fn following_by_jumps_moves_seldom_and_never_hides_the_end() {
    let pane = 12;
    let mut list = list(&[5]);
    list.follow(Jump::for_pane(pane));
    let (mut moves, mut top) = (0, (0, 0));
    for height in 5..100_usize {
        list.set_height(0, height);
        list.settle(pane, |_| height);
        let now = list.top(pane);
        assert!(u64::from(now.1) + u64::from(pane) >= height as u64, "the end is hidden at {height}");
        assert!((height as u32).saturating_sub(now.1) + 4 > u32::from(pane) || height < 12, "more than a jump is empty at {height}");
        if now != top {
            moves += 1;
            top = now;
        }
    }
    assert!(moves <= 88 / 4 + 1, "{moves} moves");
    list.to_end();
    assert_eq!(list.top(pane), (0, 87));
    // What shrinks (a fold) leaves no hole.
    list.set_height(0, 30);
    list.settle(pane, |_| 30);
    assert!(list.top(pane).1 <= 30 - 12 + 3);
}

#[test]
fn revealing_moves_as_little_as_possible() {
    let mut list = list(&[4, 4, 4, 4, 30]);
    list.to_top();
    list.settle(10, |item| [4, 4, 4, 4, 30][item]);
    list.reveal(1, 10);
    assert_eq!(list.top(10), (0, 0));
    list.reveal(2, 10);
    assert_eq!(list.top(10), (0, 2));
    list.reveal(0, 10);
    assert_eq!(list.top(10), (0, 0));
    list.reveal(4, 10);
    assert_eq!(list.top(10), (4, 0));
    list.reveal_rows(4, 20, 3, 10);
    assert_eq!(list.top(10), (4, 13));
}

#[test]
fn an_empty_list_is_harmless() {
    let mut list = List::new();
    list.settle(10, |_| 1);
    list.scroll(3, 10);
    list.scroll(-3, 10);
    list.reveal(3, 10);
    list.to_item(9);
    list.settle(10, |_| 1);
    assert_eq!((list.total(), list.percent(10), list.visible(10).count()), (0, None, 0));
    list.push(0);
    list.settle(0, |_| 0);
    list.settle(10, |_| 0);
}

#[derive(Debug, Clone)]
enum Act {
    Height(usize, usize),
    Splice(usize, usize, Vec<usize>),
    Push(usize),
    Scroll(i64),
    Item(usize),
    End,
    Follow(u16),
    Reveal(usize),
    Forget,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let act = prop_oneof![
        (0..40_usize, 0..12_usize).prop_map(|(i, h)| Act::Height(i, h)),
        (0..40_usize, 0..4_usize, prop::collection::vec(0..9_usize, 0..5)).prop_map(|(a, r, n)| Act::Splice(a, r, n)),
        (0..9_usize).prop_map(Act::Push),
        (-30..30_i64).prop_map(Act::Scroll),
        (0..40_usize).prop_map(Act::Item),
        Just(Act::End),
        (1..6_u16).prop_map(Act::Follow),
        (0..40_usize).prop_map(Act::Reveal),
        Just(Act::Forget),
    ];
    prop::collection::vec(act, 0..40)
}

proptest! {
    #[test]
    fn sums_are_right_and_the_view_is_full(start in prop::collection::vec(0..9_usize, 0..30), acts in acts(), pane in 1_u16..15) {
        let mut list = list(&start);
        for act in acts {
            match act {
                Act::Height(item, height) => list.set_height(item, height),
                Act::Splice(at, removed, heights) => list.splice(at, removed, heights),
                Act::Push(height) => list.push(height),
                Act::Scroll(by) => list.scroll(by, pane),
                Act::Item(item) => list.to_item(item),
                Act::End => list.to_end(),
                Act::Follow(rows) => list.follow(Jump { rows }),
                Act::Reveal(item) => list.reveal(item, pane),
                Act::Forget => list.forget_heights(),
            }
            list.settle(pane, |item| (item * 7 + 3) % 6);
            let mut sum = 0;
            for item in 0..list.len() {
                prop_assert_eq!(list.before(item), sum);
                for row in 0..list.height(item) {
                    prop_assert_eq!(list.locate(sum + row as u64), (item, row as u32));
                }
                sum += list.height(item) as u64;
            }
            prop_assert_eq!(list.total(), sum);
            let shown: Vec<Shown> = list.visible(pane).collect();
            let mut y = 0;
            for one in &shown {
                prop_assert_eq!(one.y, y);
                prop_assert!(one.skip as usize + one.rows as usize <= list.height(one.item));
                y += one.rows;
            }
            prop_assert!(y <= pane);
            if !list.is_following() {
                prop_assert_eq!(u64::from(y), sum.min(u64::from(pane)), "a hole of rows at the end");
            }
        }
    }
}
