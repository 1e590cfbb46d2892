//! How many one-time permissions a set of entries leaves.
//!
//! A tap on "allow" has no id at WeChat: neither its event nor what wx.requestSubscribeMessage
//! returns carries one. So
//! - an event is the tap of that person, template and second. Two taps in one second would be one
//!   here, and are one push to WeChat's own retries too;
//! - a report by the business is the tap of that person, template and `reported_at`, which its
//!   retries repeat. Without `reported_at` it has the time at which it came, and is the tap of the
//!   report before it if that came within [`REPEAT`];
//! - a report near an event, within [`SAME_TAP`], adds nothing: the event is the evidence. It may
//!   stand for a tap whose event was lost; then one permission less is counted than there is.
//!
//! - what the business states in a table that it brings in is how many were left then, as far as it
//!   knew: the first statement adds what was not known, and each later one what has changed since
//!   the one before. So the same table brought in again adds nothing.
//!
//! What remains unknowable: whether a phone's clock that is wrong by more than [`SAME_TAP`] made
//! one tap into two. WeChat's 43101 corrects that.

use std::collections::{BTreeSet, HashSet};

use super::EntryKind;

/// A report and an event that are no further apart are one tap, in seconds. Generous: an account
/// whose events come needs no reports, and one without has no event that could cover them.
const SAME_TAP: i64 = 600;
/// Reports without a time of their own that are no further apart are one tap, in seconds.
const REPEAT: i64 = 60;
/// A send is reported as sent at most so long after it took its permission, in seconds.
const SENT_WITHIN: i64 = 600;
/// How far WeChat's clock may be behind, in seconds.
const SKEW: i64 = 60;
/// How long an entry may explain later ones, in seconds: longer than all of the above, and than WeChat takes
/// to report a message under its msgid.
pub(super) const EXPLAINS: i64 = 86_400;

/// A consent or a send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    pub(super) time: i64,
    /// 1 for a report without a time of its own; a send's msgid, or 0; how many were stated to be
    /// left.
    pub(super) mark: i64,
}

/// What the entries up to a time left when they were made one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Opening {
    /// Up to when, seconds since 1970; 0: no entry was.
    pub(super) time: i64,
    /// What was left then; below 0 where sends are dated before their consents.
    pub(super) left: i32,
}

/// What the entries leave, of which those up to `floor` are void: the person or WeChat said then
/// that nothing is left. Those up to the opening are in it, and only explain later ones. The entries may come
/// in any order.
pub(super) fn left(opening: Opening, floor: i64, entries: &[Entry]) -> i32 {
    counted(opening, floor, i64::MAX, entries).max(0)
}

/// Makes the entries up to `until` part of the opening. Returns it, and which of the entries are needed no
/// longer, in their order. Whatever is said later of the time after `until` comes out as it would have
/// without this, unless it reaches back further than [`EXPLAINS`].
pub(super) fn fold(
    opening: Opening,
    floor: i64,
    until: i64,
    entries: &[Entry],
) -> (Opening, Vec<bool>) {
    let opening = Opening {
        time: until,
        left: counted(opening, floor, until, entries),
    };
    let taps: BTreeSet<(i64, i64)> = reports(entries).into_iter().collect();
    // A later statement counts by its difference to the one before.
    let stated = |entry: &&Entry| entry.kind == EntryKind::Imported && entry.time <= until;
    let stated = || {
        entries
            .iter()
            .filter(stated)
            .map(|entry| (entry.time, entry.mark))
    };
    let counts = |mark: i64| i32::try_from(mark).is_ok_and(|left| left >= 0);
    let newest = [
        stated().max(),
        stated().filter(|(_, mark)| counts(*mark)).max(),
    ];
    let is_needed = |entry: &Entry| match entry.kind {
        _ if entry.time > until => true,
        EntryKind::Imported => newest.contains(&Some((entry.time, entry.mark))),
        // One that repeats another explains nothing, and might be taken for the first one later.
        EntryKind::Api if !taps.contains(&(entry.time, entry.mark)) => false,
        _ => entry.time > until.saturating_sub(EXPLAINS),
    };
    let gone = entries.iter().map(|entry| !is_needed(entry)).collect();
    (opening, gone)
}

/// What is left at `until`, as a number that sends may bring below 0.
fn counted(opening: Opening, floor: i64, until: i64, entries: &[Entry]) -> i32 {
    let start = match opening.time > floor {
        true => opening.left,
        false => 0,
    };
    let after = floor.max(opening.time);
    let mut moves: Vec<(i64, Move)> = consents(entries)
        .map(|time| (time, Move::Consent))
        .chain(statements(entries))
        .chain(sends(entries))
        .filter(|(time, _)| *time > after && *time <= until)
        .collect();
    moves.sort_unstable();
    moves.iter().fold(start, |left, (_, step)| match step {
        Move::Consent => left.saturating_add(1),
        Move::Stated(stated) => left.max(*stated),
        Move::Restated(difference) => left.saturating_add(*difference),
        // Its consent may be dated later than it, when the clocks differ.
        Move::Taken => left.saturating_sub(1),
        // Another system's send may have used a permission that was never heard of.
        Move::Foreign if left > 0 => left - 1,
        Move::Foreign => left,
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Move {
    Consent,
    Stated(i32),
    Restated(i32),
    Taken,
    Foreign,
}

fn of_kind(entries: &[Entry], kind: EntryKind) -> impl Iterator<Item = &Entry> {
    entries.iter().filter(move |entry| entry.kind == kind)
}

/// The times of entries, sorted.
fn times<'a>(entries: impl Iterator<Item = &'a Entry>) -> Vec<i64> {
    let mut times: Vec<i64> = entries.map(|entry| entry.time).collect();
    times.sort_unstable();
    times
}

/// Whether one of some sorted times is in a range, for ranges that only move forward.
struct Ahead {
    times: Vec<i64>,
    next: usize,
}

impl Ahead {
    fn of(times: Vec<i64>) -> Self {
        Self { times, next: 0 }
    }

    fn is_one_in(&mut self, from: i64, to: i64) -> bool {
        while self.times.get(self.next).is_some_and(|time| *time < from) {
            self.next += 1;
        }
        self.times.get(self.next).is_some_and(|time| *time <= to)
    }
}

/// Time and mark of the reports, sorted, without those that repeat another.
fn reports(entries: &[Entry]) -> Vec<(i64, i64)> {
    let mut reports: Vec<(i64, i64)> = of_kind(entries, EntryKind::Api)
        .map(|report| (report.time, report.mark))
        .collect();
    reports.sort_unstable();
    let mut newest = None;
    reports.retain(|(time, mark)| {
        let repeated = *mark == 1 && newest.is_some_and(|newest| time - newest <= REPEAT);
        if !repeated {
            newest = Some(*time);
        }
        !repeated
    });
    reports
}

fn consents(entries: &[Entry]) -> impl Iterator<Item = i64> {
    let events = times(of_kind(entries, EntryKind::Event));
    let mut near = Ahead::of(events.clone());
    let alone = move |(time, _): (i64, i64)| {
        let covered = near.is_one_in(time - SAME_TAP, time + SAME_TAP);
        (!covered).then_some(time)
    };
    events
        .into_iter()
        .chain(reports(entries).into_iter().filter_map(alone))
}

fn statements(entries: &[Entry]) -> impl Iterator<Item = (i64, Move)> {
    let mut stated: Vec<(i64, i32)> = of_kind(entries, EntryKind::Imported)
        .filter_map(|entry| Some((entry.time, i32::try_from(entry.mark).ok()?)))
        .filter(|(_, left)| *left >= 0)
        .collect();
    stated.sort_unstable();
    let mut before = None;
    stated.into_iter().map(move |(time, left)| {
        let step = match before {
            None => Move::Stated(left),
            Some(before) => Move::Restated(left.saturating_sub(before)),
        };
        before = Some(left);
        (time, step)
    })
}

/// Our own sends, and those that WeChat reports and that are not ours.
fn sends(entries: &[Entry]) -> impl Iterator<Item = (i64, Move)> {
    let ours = || of_kind(entries, EntryKind::Taken);
    let msgids: HashSet<i64> = ours()
        .map(|taken| taken.mark)
        .filter(|mark| *mark != 0)
        .collect();
    let mut unnamed = Ahead::of(times(ours().filter(|taken| taken.mark == 0)));
    let mut sent: Vec<(i64, i64)> = of_kind(entries, EntryKind::Sent)
        .map(|sent| (sent.time, sent.mark))
        .collect();
    sent.sort_unstable();
    sent.retain(|(time, msgid)| {
        let is_ours = unnamed.is_one_in(time - SENT_WITHIN, time + SKEW);
        !is_ours && !msgids.contains(msgid)
    });
    let taken = ours().map(|taken| (taken.time, Move::Taken));
    taken.chain(sent.into_iter().map(|(time, _)| (time, Move::Foreign)))
}

#[cfg(test)]
mod tests;
