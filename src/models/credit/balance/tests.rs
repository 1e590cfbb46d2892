use proptest::prelude::*;

use super::*;

/// What entries leave of which none was folded.
fn all_left(floor: i64, entries: &[Entry]) -> i32 {
    left(Opening::default(), floor, entries)
}

fn event(time: i64) -> Entry {
    entry(EntryKind::Event, time, 0)
}

fn report(time: i64) -> Entry {
    entry(EntryKind::Api, time, 0)
}

fn arrival(time: i64) -> Entry {
    entry(EntryKind::Api, time, 1)
}

fn taken(time: i64, msgid: i64) -> Entry {
    entry(EntryKind::Taken, time, msgid)
}

fn sent(time: i64, msgid: i64) -> Entry {
    entry(EntryKind::Sent, time, msgid)
}

fn stated(time: i64, left: i64) -> Entry {
    entry(EntryKind::Imported, time, left)
}

fn entry(kind: EntryKind, time: i64, mark: i64) -> Entry {
    Entry { kind, time, mark }
}

#[test]
fn a_tap_that_is_both_pushed_and_reported_counts_once() {
    assert_eq!(all_left(0, &[event(1000)]), 1);
    assert_eq!(all_left(0, &[event(1000), event(1001)]), 2);
    assert_eq!(all_left(0, &[report(1000), report(1001)]), 2);
    assert_eq!(all_left(0, &[event(1000), report(1000 + SAME_TAP)]), 1);
    assert_eq!(all_left(0, &[report(1000 - SAME_TAP), event(1000)]), 1);
    assert_eq!(all_left(0, &[event(1000), report(1001 + SAME_TAP)]), 2);
    let both = [event(1000), report(1002), event(1030), report(1031)];
    assert_eq!(all_left(0, &both), 2);
}

#[test]
fn a_report_without_a_time_is_repeated_within_a_minute() {
    assert_eq!(all_left(0, &[arrival(1000), arrival(1060)]), 1);
    assert_eq!(all_left(0, &[arrival(1000), arrival(1061)]), 2);
    let chain = [arrival(1000), arrival(1050), arrival(1100)];
    assert_eq!(
        all_left(0, &chain),
        2,
        "the third is too far from the first"
    );
    assert_eq!(all_left(0, &[report(1000), arrival(1010)]), 1);
}

#[test]
fn what_a_table_states_adds_what_was_not_known() {
    assert_eq!(all_left(0, &[stated(1000, 3)]), 3);
    assert_eq!(all_left(0, &[event(900), event(950), stated(1000, 3)]), 3);
    assert_eq!(all_left(0, &[event(900), event(950), stated(1000, 1)]), 2);
    assert_eq!(all_left(0, &[stated(1000, 3), event(1000), event(1010)]), 4);
    let used = [stated(1000, 3), taken(1100, 7), taken(1200, 8)];
    assert_eq!(all_left(0, &used), 1);
    let again = [&used[..], &[stated(1300, 4)]].concat();
    assert_eq!(all_left(0, &again), 2, "one more than was stated before");
    let fewer = [&used[..], &[stated(1300, 2)]].concat();
    assert_eq!(all_left(0, &fewer), 0);
    assert_eq!(all_left(1000, &[stated(1000, 3)]), 0);
    assert_eq!(all_left(1000, &[stated(1000, 3), stated(1500, 5)]), 2);
    assert_eq!(all_left(0, &[entry(EntryKind::Imported, 1000, -1)]), 0);
}

#[test]
fn what_was_void_at_a_moment_stays_void_and_later_consents_count() {
    let entries = [event(1000), event(2000), taken(2500, 0), event(3000)];
    assert_eq!(all_left(0, &entries), 2);
    assert_eq!(
        all_left(2000, &entries),
        0,
        "taken after it, given after it"
    );
    assert_eq!(all_left(2600, &entries), 1);
    assert_eq!(all_left(3000, &entries), 0);
    let covered = [event(1000), report(1005)];
    assert_eq!(
        all_left(1002, &covered),
        0,
        "the tap was before the refusal"
    );
}

#[test]
fn our_own_send_is_not_counted_twice_and_another_systems_is() {
    let ours = [event(1000), event(1001), taken(2000, 0)];
    assert_eq!(all_left(0, &[&ours[..], &[sent(2001, 7)]].concat()), 1);
    assert_eq!(all_left(0, &[&ours[..], &[sent(2601, 7)]].concat()), 0);
    let known = [event(1000), event(1001), taken(2000, 7)];
    assert_eq!(all_left(0, &[&known[..], &[sent(2001, 7)]].concat()), 1);
    assert_eq!(all_left(0, &[&known[..], &[sent(2001, 8)]].concat()), 0);
    let unheard_of = [sent(900, 5), sent(901, 6), event(1000)];
    assert_eq!(all_left(0, &unheard_of), 1, "used what came before Queqiao");
    let ahead = [event(2001), taken(2000, 0)];
    assert_eq!(all_left(0, &ahead), 0, "WeChat's clock is a second ahead");
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let kinds = prop::sample::select(EntryKind::ALL);
    (kinds, 0_i64..3000, 0_i64..3).prop_map(|(kind, time, mark)| entry(kind, time, mark))
}

proptest! {
    #[test]
    fn the_order_in_which_entries_become_known_makes_no_difference(
        (entries, shuffled) in prop::collection::vec(any_entry(), 0..12)
            .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
        floor in 0_i64..3000,
    ) {
        prop_assert_eq!(all_left(floor, &entries), all_left(floor, &shuffled));
    }

    #[test]
    fn there_are_never_more_permissions_than_consents_since_the_floor(
        entries in prop::collection::vec(any_entry(), 0..12),
        floor in 0_i64..3000,
    ) {
        let given = |entry: &&Entry| {
            matches!(entry.kind, EntryKind::Event | EntryKind::Api) && entry.time > floor
        };
        let stated = |entry: &&Entry| entry.kind == EntryKind::Imported && entry.time > floor;
        let stated: i64 = entries.iter().filter(stated).map(|entry| entry.mark).sum();
        let given = entries.iter().filter(given).count() + usize::try_from(stated).unwrap();
        let left = all_left(floor, &entries);
        prop_assert!(left >= 0 && usize::try_from(left).unwrap() <= given);
    }
}

/// Something that happened, as one entry or several that belong together.
fn any_story() -> impl Strategy<Value = Vec<Entry>> {
    let reported = || prop::option::of(-SKEW..=SENT_WITHIN);
    prop_oneof![
        2 => (0_i64..3).prop_map(|_| vec![event(0)]),
        2 => (0_i64..2).prop_map(|mark| vec![entry(EntryKind::Api, 0, mark)]),
        1 => (-SAME_TAP..=SAME_TAP).prop_map(|apart| vec![event(0), report(apart)]),
        1 => prop::collection::vec(0_i64..REPEAT + 5, 1..5).prop_map(|apart| {
            let mut time = 0;
            apart.into_iter().map(|apart| { time += apart; arrival(time) }).collect()
        }),
        2 => reported().prop_map(|after| {
            [Some(taken(0, 0)), after.map(|after| sent(after, 7))].into_iter().flatten().collect()
        }),
        1 => (1_000_i64..9_000, prop::option::of(-SENT_WITHIN * 9..SENT_WITHIN * 9)).prop_map(
            |(msgid, after)| {
                let report = after.map(|after| sent(after, msgid));
                [Some(taken(0, msgid)), report].into_iter().flatten().collect()
            }
        ),
        1 => (9_000_i64..9_999).prop_map(|msgid| vec![sent(0, msgid)]),
        1 => (-1_i64..4).prop_map(|left| vec![stated(0, left)]),
    ]
}

/// Stories between two times.
fn any_entries(times: std::ops::Range<i64>, most: usize) -> impl Strategy<Value = Vec<Entry>> {
    let told = (any_story(), times).prop_map(|(story, at)| {
        let moved = |one: Entry| {
            // A msgid is that of one message.
            let msgid = if one.mark < 1_000 { 0 } else { at * 10_000 };
            entry(one.kind, at + one.time, one.mark + msgid)
        };
        story.into_iter().map(moved).collect::<Vec<Entry>>()
    });
    prop::collection::vec(told, 0..most).prop_map(|stories| {
        let mut entries = stories.concat();
        // As the table has it: each but a send of ours once.
        let mut known = HashSet::new();
        entries.retain(|one| {
            one.kind == EntryKind::Taken || known.insert((one.kind, one.time, one.mark))
        });
        entries
    })
}

/// Until when is folded, and what comes later is dated.
const FOLDED: i64 = 200_000;
const LATER: i64 = 2 * FOLDED;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]
    #[test]
    fn whatever_comes_after_a_fold_comes_out_as_without_it(
        before in any_entries(6_000..FOLDED, 40),
        after in any_entries(LATER..LATER + 20_000, 12),
        (near, beside) in (any::<prop::sample::Index>(), -700_i64..700),
        again in 0_i64..FOLDED / 2,
        floor in prop_oneof![Just(0_i64), 6_000..FOLDED],
        floor_after in prop_oneof![Just(0_i64), LATER..LATER + 20_000],
    ) {
        // Near an entry, as a fold is that cuts through what belongs together.
        let until = match before.is_empty() {
            true => FOLDED,
            false => near.get(&before).time + beside,
        };
        let keep = |entries: &[Entry], gone: Vec<bool>| -> Vec<Entry> {
            let kept = entries.iter().zip(gone).filter(|(_, gone)| !gone);
            kept.map(|(one, _)| *one).collect()
        };
        let (opening, gone) = fold(Opening::default(), floor, until, &before);
        let kept = keep(&before, gone);
        prop_assert_eq!(all_left(floor, &before), left(opening, floor, &kept));
        // What comes later, and a refusal after it.
        let refused = floor.max(floor_after);
        let without = all_left(refused, &[&before[..], &after].concat());
        let all = [&kept[..], &after].concat();
        prop_assert_eq!(without, left(opening, refused, &all));
        // Folded once more, before and after that.
        for floors in [[floor, refused], [refused, refused]] {
            let (opening, gone) = fold(opening, floors[0], until + again, &all);
            let kept = keep(&all, gone);
            prop_assert_eq!(without, left(opening, floors[1], &kept));
        }
    }
}

#[test]
fn a_fold_keeps_what_explains_and_the_newest_statement() {
    let day = EXPLAINS;
    let entries = [
        event(day),
        stated(day, 2),
        stated(day + 1, 3),
        stated(day + 2, -1),
        taken(2 * day, 7),
        event(5 * day),
        arrival(5 * day - 1_000),
        arrival(5 * day - 990),
        event(6 * day),
    ];
    let (opening, gone) = fold(Opening::default(), 0, 5 * day, &entries);
    assert_eq!(
        opening,
        Opening {
            time: 5 * day,
            left: 4
        }
    );
    let expected = [true, true, false, false, true, false, false, true, false];
    assert_eq!(gone, expected);
    let (void, _) = fold(Opening::default(), 5 * day, 5 * day, &entries);
    assert_eq!(void.left, 0);
    // A refusal of before the fold that is heard of after it leaves the opening as it is.
    assert_eq!(left(opening, 3 * day, &[]), 4);
    assert_eq!(left(opening, 5 * day, &[]), 0);
}

#[test]
fn counting_many_entries_takes_no_longer_for_each() {
    let many: Vec<Entry> = (0..100_000_i64)
        .flat_map(|n| {
            let at = n * 50;
            [
                event(at),
                report(at + 1),
                taken(at + 2, n * (n % 2)),
                sent(at + 3, n),
            ]
        })
        .collect();
    // With loops in loops this is 10,000,000,000 steps.
    assert_eq!(all_left(0, &many), 0);
}
