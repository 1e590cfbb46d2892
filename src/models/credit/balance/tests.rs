use proptest::prelude::*;

use super::*;

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
    assert_eq!(left(0, &[event(1000)]), 1);
    assert_eq!(left(0, &[event(1000), event(1001)]), 2);
    assert_eq!(left(0, &[report(1000), report(1001)]), 2);
    assert_eq!(left(0, &[event(1000), report(1000 + SAME_TAP)]), 1);
    assert_eq!(left(0, &[report(1000 - SAME_TAP), event(1000)]), 1);
    assert_eq!(left(0, &[event(1000), report(1001 + SAME_TAP)]), 2);
    let both = [event(1000), report(1002), event(1030), report(1031)];
    assert_eq!(left(0, &both), 2);
}

#[test]
fn a_report_without_a_time_is_repeated_within_a_minute() {
    assert_eq!(left(0, &[arrival(1000), arrival(1060)]), 1);
    assert_eq!(left(0, &[arrival(1000), arrival(1061)]), 2);
    let chain = [arrival(1000), arrival(1050), arrival(1100)];
    assert_eq!(left(0, &chain), 2, "the third is too far from the first");
    assert_eq!(left(0, &[report(1000), arrival(1010)]), 1);
}

#[test]
fn what_a_table_states_adds_what_was_not_known() {
    assert_eq!(left(0, &[stated(1000, 3)]), 3);
    assert_eq!(left(0, &[event(900), event(950), stated(1000, 3)]), 3);
    assert_eq!(left(0, &[event(900), event(950), stated(1000, 1)]), 2);
    assert_eq!(left(0, &[stated(1000, 3), event(1000), event(1010)]), 4);
    let used = [stated(1000, 3), taken(1100, 7), taken(1200, 8)];
    assert_eq!(left(0, &used), 1);
    let again = [&used[..], &[stated(1300, 4)]].concat();
    assert_eq!(left(0, &again), 2, "one more than was stated before");
    let fewer = [&used[..], &[stated(1300, 2)]].concat();
    assert_eq!(left(0, &fewer), 0);
    assert_eq!(left(1000, &[stated(1000, 3)]), 0);
    assert_eq!(left(1000, &[stated(1000, 3), stated(1500, 5)]), 2);
    assert_eq!(left(0, &[entry(EntryKind::Imported, 1000, -1)]), 0);
}

#[test]
fn what_was_void_at_a_moment_stays_void_and_later_consents_count() {
    let entries = [event(1000), event(2000), taken(2500, 0), event(3000)];
    assert_eq!(left(0, &entries), 2);
    assert_eq!(left(2000, &entries), 0, "taken after it, given after it");
    assert_eq!(left(2600, &entries), 1);
    assert_eq!(left(3000, &entries), 0);
    let covered = [event(1000), report(1005)];
    assert_eq!(left(1002, &covered), 0, "the tap was before the refusal");
}

#[test]
fn our_own_send_is_not_counted_twice_and_another_systems_is() {
    let ours = [event(1000), event(1001), taken(2000, 0)];
    assert_eq!(left(0, &[&ours[..], &[sent(2001, 7)]].concat()), 1);
    assert_eq!(left(0, &[&ours[..], &[sent(2601, 7)]].concat()), 0);
    let known = [event(1000), event(1001), taken(2000, 7)];
    assert_eq!(left(0, &[&known[..], &[sent(2001, 7)]].concat()), 1);
    assert_eq!(left(0, &[&known[..], &[sent(2001, 8)]].concat()), 0);
    let unheard_of = [sent(900, 5), sent(901, 6), event(1000)];
    assert_eq!(left(0, &unheard_of), 1, "used what came before Queqiao");
    let ahead = [event(2001), taken(2000, 0)];
    assert_eq!(left(0, &ahead), 0, "WeChat's clock is a second ahead");
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
        prop_assert_eq!(left(floor, &entries), left(floor, &shuffled));
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
        let left = left(floor, &entries);
        prop_assert!(left >= 0 && usize::try_from(left).unwrap() <= given);
    }
}
