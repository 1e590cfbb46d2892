//! The lanes of this process: what is due in each account, which of them may send, and how much.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{NaiveDateTime, TimeDelta};

use super::slots::{Order, Pool, Sizes, Slots};
use crate::config::Deliver;
use crate::ids::AccountId;
use crate::models::account_pause::{ALL_CALLS, AccountPause};
use crate::models::delivery::{Head, Priority};

/// How long it is believed what is due and who is paused, while there is work.
const BELIEVED: Duration = Duration::from_millis(50);
/// How often a lane that is held is searched for what cannot wait any longer.
const SEARCHED: TimeDelta = TimeDelta::seconds(60);

/// What this process knows of all lanes.
#[derive(Debug)]
pub struct Lanes {
    state: Mutex<State>,
    batch_rows: i64,
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
    /// Its rate is used up until then.
    rests_until: Option<NaiveDateTime>,
    /// When it was last searched for what cannot wait any longer.
    searched_at: Option<NaiveDateTime>,
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
    pool: Pool,
    pub(super) lane: AccountId,
    pub(super) priority: Priority,
    pub(super) mode: Mode,
    pub(super) limit: i64,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.lanes.state().slots.free(self.lane, self.pool);
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
        }
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

    /// The clock went back: no lane rests, and each is searched anew.
    pub(super) fn forget_times(&self) {
        let mut state = self.state();
        state.read_at = None;
        for lane in state.lanes.values_mut() {
            lane.rests_until = None;
            lane.searched_at = None;
        }
    }

    /// What is known is not all any more: something was enqueued.
    pub fn look_again(&self) {
        self.state().read_at = None;
    }

    /// Whether to look into the database before choosing.
    pub(super) fn is_stale(&self) -> bool {
        let read_at = self.state().read_at;
        read_at.is_none_or(|read_at| read_at.elapsed() > BELIEVED)
    }

    /// What was found due, and who is paused. Returns whether somebody else has lifted a pause.
    pub(super) fn learn(&self, heads: Vec<Head>, pauses: Vec<AccountPause>) -> bool {
        let mut state = self.state();
        state.heads = heads;
        state.read_at = Some(Instant::now());
        let before = std::mem::take(&mut state.pauses);
        for pause in pauses {
            state.paused(pause);
        }
        before.iter().any(|(account, before)| {
            let now = state.pauses.get(account).map_or(0, Vec::len);
            now < before.len()
        })
    }

    /// The next batch that may be claimed.
    pub(super) fn take(self: &Arc<Self>, now: NaiveDateTime) -> Option<Slot> {
        let mut state = self.state();
        let (_, head, priority, pool, mode) = state.next(now)?;
        state.slots.take(head.lane, pool);
        let limit = match &mode {
            Mode::Well | Mode::Search(_) => self.batch_rows,
            Mode::Careful(window) => (*window).min(self.batch_rows),
            Mode::Probe => 1,
        };
        Some(Slot {
            lanes: Arc::clone(self),
            pool,
            lane: head.lane,
            priority,
            mode,
            limit,
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
}

impl State {
    fn next(&self, now: NaiveDateTime) -> Option<(Order, Head, Priority, Pool, Mode)> {
        let possible = self.heads.iter().filter_map(|head| {
            let priority = Priority::of_rank(head.rank)?;
            let mode = self.mode(head.lane, now)?;
            let pool = match mode {
                Mode::Well => self.slots.pool(head.lane, priority),
                Mode::Careful(_) => self.slots.pool_alone(head.lane, false),
                Mode::Probe | Mode::Search(_) => self.slots.pool_alone(head.lane, true),
            }?;
            let order = self.slots.order(head.lane, priority);
            Some((order, *head, priority, pool, mode))
        });
        possible.min_by_key(|(order, ..)| *order)
    }

    /// How a lane may send; not at all, if none.
    fn mode(&self, id: AccountId, now: NaiveDateTime) -> Option<Mode> {
        let lane = self.lanes.get(&id);
        let pauses = self.pauses.get(&id);
        let pause = pauses.and_then(|all| all.iter().find(|pause| pause.call == ALL_CALLS));
        match pause {
            Some(pause) if pause.holds(now) => {
                let searched = lane.and_then(|lane| lane.searched_at);
                return searched
                    .is_none_or(|at| now - at >= SEARCHED)
                    .then(|| Mode::Search(Box::new(pause.clone())));
            }
            Some(pause) if pause.probes(now) => return Some(Mode::Probe),
            _ => {}
        }
        let Some(lane) = lane else {
            return Some(Mode::Well);
        };
        if lane.rests_until.is_some_and(|until| now < until) {
            return None;
        }
        Some(lane.window.map_or(Mode::Well, Mode::Careful))
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
        match self.mode {
            // Its queue is still there, and is searched again after a while.
            Mode::Search(_) => {
                let heads = state.heads.iter();
                let last = heads.filter(|head| head.lane == self.lane).count() <= 1;
                state.forget(self.lane, self.priority);
                if last {
                    state.lanes.entry(self.lane).or_default().searched_at = Some(now);
                }
            }
            _ => state.forget(self.lane, self.priority),
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

    /// Its rate is used up until then.
    pub(super) fn rests(&self, until: NaiveDateTime) {
        self.lanes
            .state()
            .lanes
            .entry(self.lane)
            .or_default()
            .rests_until = Some(until);
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
