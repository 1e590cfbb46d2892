//! Windows for customer messages: after a person did something, WeChat allows an account a few messages for a while
//! (WeChat's documentation, introduction to customer messages).
//!
//! There are two of them. Writing opens the long one; following, scanning a QR code, tapping certain menu entries or,
//! in a mini-program, entering the chat opens the short one. Doing it again opens it again, with its whole allowance.
//! Payments open one too, of which WeChat does not tell the account's callback.

mod rows;

use super::{FollowState, Identity};
use crate::db::prelude::*;
use crate::db::{schema::identities, text_enum};
use crate::ids::IdentityId;
use crate::models::account::AccountKind;

pub use rows::{Opening, WindowState, close, give_back, open, states, take};

/// How many messages, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Messages.
    pub messages: i32,
    /// Seconds from the CreateTime of what opened the window.
    pub seconds: i64,
}

/// The allowances of a kind of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowances {
    /// After writing.
    pub spoke: Allowance,
    /// After anything else that counts.
    pub acted: Allowance,
}

/// The allowances of both kinds of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// Of service accounts.
    pub official_account: Allowances,
    /// Of mini-programs.
    pub mini_program: Allowances,
}

impl Rules {
    /// Those of this kind of account.
    pub fn of(&self, kind: AccountKind) -> &Allowances {
        match kind {
            AccountKind::OfficialAccount => &self.official_account,
            AccountKind::MiniProgram => &self.mini_program,
        }
    }
}

text_enum! {
    /// One of the two windows.
    pub enum Window {
        /// The long one, opened by writing.
        Spoke = "spoke",
        /// The short one, opened by anything else.
        Acted = "acted",
    }
}

text_enum! {
    /// Why no customer message may be sent.
    pub enum Closed {
        /// The person does not follow the service account.
        NotFollowing = "not_following",
        /// The person did nothing lately that opens a window.
        WindowClosed = "window_closed",
        /// As many messages as are allowed were sent.
        AllowanceUsed = "allowance_used",
        /// WeChat refused one (45015, 45047), and the person did nothing since.
        Refused = "refused_by_wechat",
    }
}

/// What a person did, by WeChat's clock in seconds since 1970 (0: nothing), and the messages since.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Queryable, Selectable)]
#[diesel(table_name = identities)]
pub struct WindowActivity {
    /// When they last wrote.
    pub spoke_time: i64,
    /// Messages sent for that.
    pub spoke_used: i32,
    /// When they last did something else that counts, but for a follow that nobody has answered yet.
    pub acted_time: i64,
    /// Messages sent for that.
    pub acted_used: i32,
    /// What was done up to then allows nothing any more, as WeChat said.
    pub refused_time: i64,
}

/// All that decides whether a customer message may be sent to an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowFacts {
    /// What they did.
    pub acts: WindowActivity,
    /// Whether they follow; unknown in a mini-program.
    pub follow_state: FollowState,
    /// CreateTime of the newest follow: an act, too.
    pub followed_time: i64,
    /// CreateTime of the newest unfollow: it closes all windows.
    pub unfollowed_time: i64,
}

impl From<&Identity> for WindowFacts {
    fn from(identity: &Identity) -> Self {
        Self {
            acts: identity.acts,
            follow_state: identity.follow_state,
            followed_time: identity.followed_time,
            unfollowed_time: identity.unfollowed_time,
        }
    }
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open {
    /// When the last of the open windows closes, seconds since 1970.
    pub until: i64,
    /// Messages that may be sent, in all open windows.
    pub left: i32,
}

/// A message that may be sent: where it was counted, to give it back or to close what WeChat says is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whom it is for.
    pub identity_id: IdentityId,
    /// The window it was taken from.
    pub window: Window,
    /// What opened that window, seconds since 1970.
    pub opened_time: i64,
    /// The newest act known then, seconds since 1970.
    pub known_time: i64,
}

/// One window as it stands.
#[derive(Clone, Copy, Debug)]
struct Pane {
    window: Window,
    opened_time: i64,
    used: i32,
    allowance: Allowance,
}

impl Pane {
    fn is_running(&self, now: i64) -> bool {
        self.opened_time > 0 && now < self.until()
    }

    fn until(&self) -> i64 {
        self.opened_time.saturating_add(self.allowance.seconds)
    }

    fn left(&self) -> i32 {
        self.allowance.messages.saturating_sub(self.used).max(0)
    }
}

impl WindowFacts {
    /// What may be sent `now`, seconds since 1970, or why nothing may.
    pub fn look(&self, allowances: &Allowances, now: i64) -> Result<Open, Closed> {
        let panes = self.panes(allowances);
        let open = panes.iter().filter(|pane| self.is_open(pane, now));
        let open = open.fold(None, |open: Option<Open>, pane| {
            let (until, left) = open.map_or((0, 0), |open| (open.until, open.left));
            Some(Open {
                until: until.max(pane.until()),
                left: left.saturating_add(pane.left()),
            })
        });
        open.ok_or_else(|| self.why_closed(&panes, now))
    }

    /// Counts one message, in the window that closes sooner.
    fn take(
        &mut self,
        identity_id: IdentityId,
        allowances: &Allowances,
        now: i64,
    ) -> Result<Taken, Closed> {
        let panes = self.panes(allowances);
        let mut open: Vec<&Pane> = panes
            .iter()
            .filter(|pane| self.is_open(pane, now))
            .collect();
        open.sort_by_key(|pane| pane.until());
        let Some(&&pane) = open.first() else {
            return Err(self.why_closed(&panes, now));
        };
        let used = pane.used.saturating_add(1);
        match pane.window {
            Window::Spoke => self.acts.spoke_used = used,
            Window::Acted => {
                self.acts.acted_time = pane.opened_time;
                self.acts.acted_used = used;
            }
        }
        Ok(Taken {
            identity_id,
            window: pane.window,
            opened_time: pane.opened_time,
            known_time: self.newest_act(),
        })
    }

    /// One message was not sent after all; moot if the window was opened again meanwhile.
    fn give_back(&mut self, taken: &Taken) {
        let acts = &mut self.acts;
        let (opened_time, used) = match taken.window {
            Window::Spoke => (acts.spoke_time, &mut acts.spoke_used),
            Window::Acted => (acts.acted_time, &mut acts.acted_used),
        };
        if opened_time == taken.opened_time {
            *used = used.saturating_sub(1).max(0);
        }
    }

    /// WeChat refused the message: nothing that was done until it was taken allows any more.
    fn close(&mut self, taken: &Taken) {
        self.acts.refused_time = self.acts.refused_time.max(taken.known_time);
    }

    /// A follow is in its own column and opens the short window like any other act, without a write of its own.
    fn panes(&self, allowances: &Allowances) -> [Pane; 2] {
        let acts = &self.acts;
        let unanswered_follow = self.followed_time > acts.acted_time;
        [
            Pane {
                window: Window::Acted,
                opened_time: acts.acted_time.max(self.followed_time),
                used: if unanswered_follow {
                    0
                } else {
                    acts.acted_used
                },
                allowance: allowances.acted,
            },
            Pane {
                window: Window::Spoke,
                opened_time: acts.spoke_time,
                used: acts.spoke_used,
                allowance: allowances.spoke,
            },
        ]
    }

    fn newest_act(&self) -> i64 {
        let acts = &self.acts;
        self.followed_time.max(acts.spoke_time).max(acts.acted_time)
    }

    fn follows_since(&self, pane: &Pane) -> bool {
        self.follow_state != FollowState::NotFollowing && pane.opened_time > self.unfollowed_time
    }

    fn is_open(&self, pane: &Pane, now: i64) -> bool {
        self.follows_since(pane)
            && pane.is_running(now)
            && pane.opened_time > self.acts.refused_time
            && pane.left() > 0
    }

    fn why_closed(&self, panes: &[Pane], now: i64) -> Closed {
        if self.follow_state == FollowState::NotFollowing {
            return Closed::NotFollowing;
        }
        let running: Vec<&Pane> = panes
            .iter()
            .filter(|pane| self.follows_since(pane) && pane.is_running(now))
            .collect();
        let refused = |pane: &&Pane| pane.opened_time <= self.acts.refused_time;
        match running.iter().all(refused) {
            true if running.is_empty() => Closed::WindowClosed,
            true => Closed::Refused,
            false => Closed::AllowanceUsed,
        }
    }
}

#[cfg(test)]
mod tests;
