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

use super::EntryKind;

/// A report and an event that are no further apart are one tap, in seconds. Generous: an account
/// whose events come needs no reports, and one without has no event that could cover them.
pub(super) const SAME_TAP: i64 = 600;
/// Reports without a time of their own that are no further apart are one tap, in seconds.
const REPEAT: i64 = 60;
/// A send is reported as sent at most so long after it took its permission, in seconds.
const SENT_WITHIN: i64 = 600;
/// How far WeChat's clock may be behind, in seconds.
const SKEW: i64 = 60;

/// A consent or a send.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) kind: EntryKind,
    pub(super) time: i64,
    /// 1 for a report without a time of its own; a send's msgid, or 0; how many were stated to be
    /// left.
    pub(super) mark: i64,
}

/// What the entries leave, of which those up to `floor` are void: the person or WeChat said then
/// that nothing is left. The entries may come in any order.
pub(super) fn left(floor: i64, entries: &[Entry]) -> i32 {
    let mut moves: Vec<(i64, Move)> = consents(entries)
        .map(|time| (time, Move::Consent))
        .chain(statements(entries))
        .chain(sends(entries))
        .filter(|(time, _)| *time > floor)
        .collect();
    moves.sort_unstable();
    let left = moves.iter().fold(0_i32, |left, (_, step)| match step {
        Move::Consent => left.saturating_add(1),
        Move::Stated(stated) => left.max(*stated),
        Move::Restated(difference) => left.saturating_add(*difference),
        // Its consent may be dated later than it, when the clocks differ.
        Move::Taken => left.saturating_sub(1),
        // Another system's send may have used a permission that was never heard of.
        Move::Foreign if left > 0 => left - 1,
        Move::Foreign => left,
    });
    left.max(0)
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

fn consents(entries: &[Entry]) -> impl Iterator<Item = i64> {
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
    let alone = move |(time, _): (i64, i64)| {
        let near = |event: &Entry| (event.time - time).abs() <= SAME_TAP;
        (!of_kind(entries, EntryKind::Event).any(near)).then_some(time)
    };
    of_kind(entries, EntryKind::Event)
        .map(|event| event.time)
        .chain(reports.into_iter().filter_map(alone))
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
    let is_ours = |sent: &Entry| {
        of_kind(entries, EntryKind::Taken).any(|taken| match taken.mark {
            0 => (taken.time - SKEW..=taken.time + SENT_WITHIN).contains(&sent.time),
            msgid => msgid == sent.mark,
        })
    };
    let taken = of_kind(entries, EntryKind::Taken).map(|taken| (taken.time, Move::Taken));
    taken.chain(
        of_kind(entries, EntryKind::Sent)
            .filter(move |sent| !is_ours(sent))
            .map(|sent| (sent.time, Move::Foreign)),
    )
}

#[cfg(test)]
mod tests;
