//! The lanes of this process: what is due in each account, which of them may send, and how much.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};

use super::slots::{Order, Seat, Sizes, Slots};
use crate::bridge::availability::rate::{Rate, Rests};
use crate::bridge::availability::resumptions::Resumptions;
use crate::config::Deliver;
use crate::ids::AccountId;
use crate::models::account::pause::{ALL_CALLS, AccountPause, PauseKind, PauseReason};
use crate::models::delivery::Head;
use crate::models::notification::Priority;

/// How long it is believed what is due and who is paused, while there is work.
const BELIEVED: Duration = Duration::from_millis(50);
/// How often a lane that is held, or that this process cannot open, is searched for what cannot wait any
/// longer.
const SEARCHED: TimeDelta = TimeDelta::seconds(60);
/// How often something is made due that waits for a pause, where that is to be tried and is not, as what
/// was made due could not be sent.
const ROUSED: TimeDelta = TimeDelta::seconds(60);
/// How many are made due of each priority at first. Each time there are four times as many, and that is half
/// as often, up to so many times.
const FIRST_ROUSED: i64 = 5;
const MOST_ROUSED: u32 = 5;

const SHUT: &str = "The secrets of the account do not open: they were sealed under another master key, or \
                    are damaged. Start every process with that key, or give the account its secrets again.";

/// What this process knows of all lanes.
#[derive(Debug)]
pub struct Lanes {
    state: Mutex<State>,
    batch_rows: i64,
    resumptions: Arc<Resumptions>,
}

#[derive(Debug)]
struct State {
    slots: Slots,
    heads: Vec<Head>,
    read_at: Option<Instant>,
    pauses: HashMap<AccountId, Vec<AccountPause>>,
    lanes: HashMap<AccountId, Lane>,
    /// What the clock said last.
    seen_at: Option<NaiveDateTime>,
}

/// One account.
#[derive(Debug, Default)]
struct Lane {
    /// Deliveries in a batch while it comes back from a trouble; none when it is well.
    window: Option<i64>,
    /// Calls whose rate was used up.
    rests: Rests,
    /// How often something that waits for a pause of a call was made due, so that it is tried.
    roused: BTreeMap<String, Roused>,
    /// The paused calls that are being tried.
    probing: BTreeSet<&'static str>,
    /// When it was last searched for what cannot wait any longer, by [`Priority::rank`].
    searched: BTreeMap<i32, NaiveDateTime>,
    /// Whether this process could not open it when it last looked.
    is_shut: bool,
}

#[derive(Debug)]
struct Roused {
    /// When the pause is to be tried.
    probe_at: NaiveDateTime,
    /// When it was last done.
    at: NaiveDateTime,
    times: u32,
}

impl Lane {
    /// How many are to be made due, so that one of them tries a call whose pause is to be tried from
    /// `probe_at` on; none if that was just done. What waits may take other calls: there are ever more.
    fn rouse(&mut self, call: &str, probe_at: NaiveDateTime, now: NaiveDateTime) -> Option<i64> {
        let before = self.roused.get(call);
        let before = before.filter(|before| before.probe_at == probe_at);
        let rest = |times: u32| ROUSED * (1 << times.saturating_sub(1));
        if before.is_some_and(|before| now - before.at < rest(before.times)) {
            return None;
        }
        let times = before.map_or(0, |before| (before.times + 1).min(MOST_ROUSED));
        let at = now;
        self.roused.insert(
            call.to_owned(),
            Roused {
                probe_at,
                at,
                times,
            },
        );
        Some(FIRST_ROUSED << (2 * times))
    }

    fn is_searched(&self, rank: i32, now: NaiveDateTime) -> bool {
        let searched = self.searched.get(&rank);
        searched.is_some_and(|at| now - *at < SEARCHED)
    }
}

/// How an account may send.
#[derive(Clone, Debug)]
pub(super) enum Mode {
    /// Full batches, several at a time.
    Well,
    /// One batch at a time of at most so many.
    Careful(i64),
    /// One delivery, to see whether a pause is over.
    Probe,
    /// Nothing: it is paused. What cannot wait any longer is ended.
    Search(Box<AccountPause>),
}

/// A batch that may be claimed, until it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    lanes: Arc<Lanes>,
    seat: Seat,
    pub(super) lane: AccountId,
    pub(super) priority: Priority,
    pub(super) mode: Mode,
    /// How many may be claimed.
    pub(super) limit: i64,
    /// How many of those may be tried.
    pub(super) most: i64,
    /// Whether this process could not open the lane when it last looked.
    was_shut: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.lanes.state().slots.free(self.lane, self.seat);
    }
}

/// A paused call that is being tried.
#[derive(Debug)]
pub(super) struct Probing {
    lanes: Arc<Lanes>,
    lane: AccountId,
    call: &'static str,
}

impl Drop for Probing {
    fn drop(&mut self) {
        let mut state = self.lanes.state();
        if let Some(lane) = state.lanes.get_mut(&self.lane) {
            lane.probing.remove(self.call);
        }
    }
}

impl Lanes {
    /// Starts with nothing known.
    pub fn new(settings: &Deliver) -> Self {
        let sizes = Sizes {
            shared: settings.loops,
            per_account: settings.loops_per_account,
            urgent: settings.urgent_loops,
        };
        Self {
            state: Mutex::new(State {
                slots: Slots::new(sizes),
                heads: Vec::new(),
                read_at: None,
                pauses: HashMap::new(),
                lanes: HashMap::new(),
                seen_at: None,
            }),
            batch_rows: settings.batch_rows,
            resumptions: Arc::default(),
        }
    }

    /// What is being made due beside the steps.
    pub(in crate::bridge) fn resumptions(&self) -> &Arc<Resumptions> {
        &self.resumptions
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the clock said when it was last looked at.
    pub(super) fn last_seen(&self) -> Option<NaiveDateTime> {
        self.state().seen_at
    }

    pub(super) fn seen(&self, now: NaiveDateTime) {
        self.state().seen_at = Some(now);
    }

    /// The clock went back: no call rests, and each lane is searched again.
    pub(super) fn forget_times(&self) {
        let mut state = self.state();
        state.read_at = None;
        for lane in state.lanes.values_mut() {
            lane.rests = Rests::default();
            lane.roused.clear();
            lane.searched.clear();
        }
    }

    /// What is known is not all any more: something was enqueued.
    pub(super) fn look_again(&self) {
        self.state().read_at = None;
    }

    /// Whether to look into the database before choosing.
    pub(super) fn is_stale(&self) -> bool {
        let read_at = self.state().read_at;
        read_at.is_none_or(|read_at| read_at.elapsed() > BELIEVED)
    }

    /// What was found due, and who is paused. Returns whether somebody else has lifted a pause in which
    /// the owner of an account had to act.
    pub(super) fn learn(&self, heads: Vec<Head>, pauses: Vec<AccountPause>) -> bool {
        let mut state = self.state();
        state.heads = heads;
        state.read_at = Some(Instant::now());
        let before = std::mem::take(&mut state.pauses);
        for pause in pauses {
            state.paused(pause);
        }
        before.iter().any(|(account, before)| {
            let now = state.pauses.get(account).map_or(0, |now| stopped(now));
            now < stopped(before)
        })
    }

    /// The next batch that may be claimed.
    pub(super) fn take(self: &Arc<Self>, now: NaiveDateTime) -> Option<Slot> {
        let mut state = self.state();
        let (_, head, priority, seat, mode) = state.next(now)?;
        state.slots.take(head.lane, seat);
        let lane = state.lanes.get(&head.lane);
        let was_shut = lane.is_some_and(|lane| lane.is_shut);
        let rests = lane.is_some_and(|lane| !lane.rests.now(now).is_empty());
        let most = match &mode {
            Mode::Well | Mode::Search(_) => self.batch_rows,
            Mode::Careful(window) => (*window).min(self.batch_rows),
            Mode::Probe => 1,
        };
        Some(Slot {
            lanes: Arc::clone(self),
            seat,
            lane: head.lane,
            priority,
            mode,
            // What goes beyond a rate is put off, and not one by one.
            limit: if rests { self.batch_rows } else { most },
            most,
            was_shut,
        })
    }

    /// Whether another batch may be claimed, as far as is known.
    pub(super) fn has_next(&self, now: NaiveDateTime) -> bool {
        self.state().next(now).is_some()
    }

    /// The pauses of an account, over or not.
    pub(super) fn pauses_of(&self, lane: AccountId) -> Vec<AccountPause> {
        self.state().pauses.get(&lane).cloned().unwrap_or_default()
    }

    /// The pauses that are to be tried before they are over, once for each such time: what waits for them
    /// is not due before that.
    pub(super) fn to_rouse(&self, now: NaiveDateTime) -> Vec<(AccountPause, i64)> {
        let mut state = self.state();
        let State { pauses, lanes, .. } = &mut *state;
        let mut rouse = Vec::new();
        let held = |pause: &AccountPause| pause.call == ALL_CALLS && pause.holds(now);
        let open = pauses.values().filter(|all| !all.iter().any(held));
        for pause in open.flatten() {
            let Some(probe_at) = pause.probe_at.filter(|_| pause.probes(now)) else {
                continue;
            };
            let lane = lanes.entry(pause.account_id).or_default();
            if lane.is_shut {
                continue;
            }
            if let Some(most) = lane.rouse(&pause.call, probe_at, now) {
                rouse.push((pause.clone(), most));
            }
        }
        rouse
    }

    /// A paused call is tried, until that is dropped; not at all, if another batch tries it.
    pub(super) fn probe(self: &Arc<Self>, lane: AccountId, call: &'static str) -> Option<Probing> {
        let mut state = self.state();
        let known = state.lanes.entry(lane).or_default();
        known.probing.insert(call).then(|| Probing {
            lanes: Arc::clone(self),
            lane,
            call,
        })
    }

    /// A rate of an account's call is used up.
    pub(super) fn rest(&self, lane: AccountId, call: &'static str, rate: Rate) {
        let mut state = self.state();
        state.lanes.entry(lane).or_default().rests.begin(call, rate);
    }

    /// The calls of an account whose rate is used up.
    pub(super) fn resting(&self, lane: AccountId, now: NaiveDateTime) -> Vec<(&'static str, Rate)> {
        let state = self.state();
        let lane = state.lanes.get(&lane);
        lane.map_or_else(Vec::new, |lane| lane.rests.now(now))
    }

    /// When a message of a priority, by its rank, may go that goes beyond a rate.
    pub(super) fn put_off(
        &self,
        lane: AccountId,
        call: &'static str,
        rank: i32,
        rate: Rate,
        now: NaiveDateTime,
    ) -> NaiveDateTime {
        let mut state = self.state();
        let lane = state.lanes.entry(lane).or_default();
        lane.rests.put_off(call, rank, rate, now)
    }

    /// Whether places were given to what goes beyond a rate.
    pub(in crate::bridge) fn has_places(&self) -> bool {
        let state = self.state();
        state.lanes.values().any(|lane| lane.rests.has_places())
    }

    /// Of what waits in these accounts for a rate, some may not need their places any more.
    pub(in crate::bridge) fn forget_places(&self, accounts: &[AccountId], now: NaiveDateTime) {
        let mut state = self.state();
        for account in accounts {
            if let Some(lane) = state.lanes.get_mut(account) {
                lane.rests.forget_places(now);
            }
        }
    }
}

impl State {
    fn next(&self, now: NaiveDateTime) -> Option<(Order, Head, Priority, Seat, Mode)> {
        let possible = self.heads.iter().filter_map(|head| {
            let priority = Priority::of_rank(head.rank)?;
            let mode = self.mode(head, now)?;
            let seat = match mode {
                Mode::Well => self.slots.seat(head.lane, priority),
                Mode::Careful(_) => self.slots.seat_alone(head.lane, priority, false),
                Mode::Probe | Mode::Search(_) => self.slots.seat_alone(head.lane, priority, true),
            }?;
            let order = self.slots.order(head.lane, priority);
            Some((order, *head, priority, seat, mode))
        });
        possible.min_by_key(|(order, ..)| *order)
    }

    /// How a lane may send; not at all, if none.
    fn mode(&self, head: &Head, now: NaiveDateTime) -> Option<Mode> {
        let lane = self.lanes.get(&head.lane);
        let is_searched = lane.is_some_and(|lane| lane.is_searched(head.rank, now));
        // Whatever else is known of it: whoever asks for the next one must not get it over and over.
        if lane.is_some_and(|lane| lane.is_shut) && is_searched {
            return None;
        }
        let pauses = self.pauses.get(&head.lane);
        let pause = pauses.and_then(|all| all.iter().find(|pause| pause.call == ALL_CALLS));
        match pause {
            Some(pause) if pause.holds(now) => {
                (!is_searched).then(|| Mode::Search(Box::new(pause.clone())))
            }
            Some(pause) if pause.probes(now) => Some(Mode::Probe),
            _ => {
                let window = lane.and_then(|lane| lane.window);
                Some(window.map_or(Mode::Well, Mode::Careful))
            }
        }
    }

    fn paused(&mut self, pause: AccountPause) {
        if pause.call == ALL_CALLS {
            // It comes back with small batches, also where another process lifts the pause.
            self.lanes.entry(pause.account_id).or_default().window = Some(1);
        }
        self.pauses.entry(pause.account_id).or_default().push(pause);
    }
}

impl Slot {
    /// There is no more of it than was claimed.
    pub(super) fn exhausted(&self, now: NaiveDateTime) {
        let mut state = self.lanes.state();
        state.forget(self.lane, self.priority);
        if let Mode::Search(_) = self.mode {
            // Its queue is still there, and is searched again after a while.
            let lane = state.lanes.entry(self.lane).or_default();
            lane.searched.insert(self.priority.rank(), now);
        }
    }

    /// This process cannot open the lane. At first it is left to those that can. Later, as that may be
    /// nobody, only what cannot wait any longer is to be claimed: returns whether to do that.
    pub(super) fn shut(&mut self, now: NaiveDateTime) -> bool {
        let mut state = self.lanes.state();
        let lane = state.lanes.entry(self.lane).or_default();
        if !std::mem::replace(&mut lane.is_shut, true) {
            let ranks = Priority::ALL.iter().map(|priority| priority.rank());
            lane.searched = ranks.map(|rank| (rank, now)).collect();
            return false;
        }
        drop(state);
        if !matches!(self.mode, Mode::Search(_)) {
            self.mode = Mode::Search(Box::new(shut(self.lane, now)));
        }
        (self.limit, self.most) = (self.lanes.batch_rows, self.lanes.batch_rows);
        true
    }

    /// This process can open the lane.
    pub(super) fn opened(&self) {
        if !self.was_shut {
            return;
        }
        let mut state = self.lanes.state();
        if let Some(lane) = state.lanes.get_mut(&self.lane) {
            lane.is_shut = false;
            lane.searched.clear();
        }
    }

    /// A batch was sent: without trouble, the next one may be larger.
    pub(super) fn went_well(&self) {
        let batch_rows = self.lanes.batch_rows;
        let mut state = self.lanes.state();
        if let Some(lane) = state.lanes.get_mut(&self.lane) {
            let window = lane.window.map(|window| window.saturating_mul(2));
            lane.window = window.filter(|window| *window < batch_rows);
        }
    }

    /// The pauses of the lane as they are by now.
    pub(super) fn learn_pauses(&self, pauses: Vec<AccountPause>) {
        let mut state = self.lanes.state();
        state.pauses.remove(&self.lane);
        for pause in pauses {
            state.paused(pause);
        }
    }
}

impl State {
    fn forget(&mut self, lane: AccountId, priority: Priority) {
        let rank = priority.rank();
        self.heads
            .retain(|head| (head.lane, head.rank) != (lane, rank));
    }
}

/// Of how many pauses the owner of the account has to act.
fn stopped(pauses: &[AccountPause]) -> usize {
    let stopped = pauses
        .iter()
        .filter(|pause| pause.kind == PauseKind::Stopped);
    stopped.count()
}

/// What a lane waits for that this process cannot open. It is nowhere stored: others may open it.
fn shut(lane: AccountId, now: NaiveDateTime) -> AccountPause {
    AccountPause {
        account_id: lane,
        call: ALL_CALLS.to_owned(),
        kind: PauseKind::BackingOff,
        reason: PauseReason::AccountProblem,
        detail: SHUT.to_owned(),
        until: now + SEARCHED,
        probe_at: None,
        failures: 1,
        since: now,
    }
}
