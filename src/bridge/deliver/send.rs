//! One try of one delivery, without a database connection.

use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

use super::failure::{Failure, Remedy, SEND_CALL, SendError};
use super::outcome::{Next, Try, client_msg_id};
use super::{Gathered, Pause};
use crate::bridge::Bridge;
use crate::bridge::accounts::OpenAccount;
use crate::bridge::prepared::Prepared;
use crate::bridge::retry::jitter;
use crate::bridge::route::{Channel, FieldError, Recipient, Rendered, Route};
use crate::models::delivery::{DeliveryState, Due};
use crate::wechat::template::{MiniProgramLink, TemplateMessage};

/// How long an account is left alone for a trouble that its owner may mend at any time.
const LONGEST_PAUSE: TimeDelta = TimeDelta::seconds(75);
/// What waited for a pause comes back over this long, not all at once.
const AFTER_PAUSE_MS: f64 = 10_000.0;

/// What came of a claimed delivery.
pub(super) enum Done {
    /// It was tried.
    Tried {
        finished_at: NaiveDateTime,
        next: Next,
        msgid: Option<i64>,
        failure: Option<Failure>,
    },
    /// It was not tried, because the account may not send before `due_at`.
    Postponed { due_at: NaiveDateTime, pause: Pause },
    /// It was not tried, because an earlier try may have taken effect too long ago.
    TooLate,
    /// It was not tried, because it is not to be sent any more.
    Withdrawn { state: DeliveryState },
    /// It was not tried, because the account has been paused for longer than the delivery may wait.
    GivenUp { pause: Pause },
}

impl Bridge {
    /// Tries one delivery.
    pub(super) async fn attempt(
        &self,
        due: &Due,
        claimed_at: NaiveDateTime,
        gathered: &Gathered,
    ) -> Done {
        let mut this = Try {
            number: due.attempts - due.spent,
            begun_at: due.begun_at,
            started_at: claimed_at,
            finished_at: claimed_at,
            unsettled_since: due.unsettled_since,
        };
        if this.is_too_late() {
            return Done::TooLate;
        }
        let ready = gathered.notifications.get(&due.notification_id);
        let end = ready.and_then(|ready| ready.expires_at);
        if due.cancelled_at.is_some() {
            let state = DeliveryState::Cancelled;
            return Done::Withdrawn { state };
        }
        if end.is_some_and(|end| end <= claimed_at) {
            let state = DeliveryState::Expired;
            return Done::Withdrawn { state };
        }
        // What expires meanwhile is looked at then, to say so.
        let by_the_end = |time: NaiveDateTime| end.map_or(time, |end| time.min(end));
        if let Some(pause) = self.pauses.of(due.account_id, claimed_at) {
            return match claimed_at - due.begun_at >= gathered.limits.max_age {
                true => Done::GivenUp { pause },
                false => Done::Postponed {
                    due_at: by_the_end(pause.until + milliseconds(AFTER_PAUSE_MS * jitter())),
                    pause,
                },
            };
        }
        let result = self.send(due, gathered).await;
        this.finished_at = self.clock.now();
        let (next, msgid, failure) = match result {
            Ok(msgid) => (Next::Sent, msgid, None),
            Err(error) => {
                let failure = Failure::of(&error);
                let next = this.after(&failure, &gathered.limits, jitter());
                self.pause_account(due, &failure, &next, this.finished_at);
                (next.due_by(by_the_end), None, Some(failure))
            }
        };
        Done::Tried {
            finished_at: this.finished_at,
            next,
            msgid,
            failure,
        }
    }

    async fn send(&self, due: &Due, gathered: &Gathered) -> Result<Option<i64>, SendError> {
        let account = gathered
            .accounts
            .get(&due.account_id)
            .ok_or(SendError::NoAccount)?;
        let gone = || FieldError::new("notification", "is not stored any more");
        let ready = gathered
            .notifications
            .get(&due.notification_id)
            .ok_or_else(|| SendError::NotRenderable(gone()))?;
        let prepared = ready
            .prepared
            .as_ref()
            .map_err(|error| SendError::NotRenderable(error.clone()))?;
        let (route, rendered) = filled_in(due, prepared).map_err(SendError::NotRenderable)?;
        let id = client_msg_id(ready.nonce, due.id, due.spent);
        match route.channel {
            Channel::Template => {
                self.send_template(account, due, route, &rendered, &id)
                    .await
            }
        }
    }

    async fn send_template(
        &self,
        account: &OpenAccount,
        due: &Due,
        route: &Route,
        rendered: &Rendered,
        client_msg_id: &str,
    ) -> Result<Option<i64>, SendError> {
        let miniprogram = route.mini_program.as_ref().map(|linked| MiniProgramLink {
            appid: &linked.app_id,
            pagepath: rendered.page.as_deref(),
        });
        let message = TemplateMessage {
            touser: &due.openid,
            template_id: &route.template_id,
            url: rendered.url.as_deref(),
            miniprogram,
            client_msg_id: Some(client_msg_id),
            data: &rendered.data,
        };
        let wechat = &self.wechat;
        self.tokens
            .call(account, SEND_CALL, move |token| async move {
                wechat.send_template(&token, &message).await
            })
            .await
            .map(|receipt| receipt.msgid)
            .map_err(SendError::Token)
    }

    /// Spares the account's other messages a refusal that is certain.
    fn pause_account(&self, due: &Due, failure: &Failure, next: &Next, now: NaiveDateTime) {
        let Next::Again { due_at, .. } = *next else {
            return;
        };
        if !failure.whole_account {
            return;
        }
        let until = match failure.remedy {
            Remedy::Midnight => due_at,
            _ => due_at.min(now + LONGEST_PAUSE),
        };
        tracing::warn!(
            account.id = %due.account_id,
            pause.reason = failure.reason,
            pause.until = %until,
            "account paused"
        );
        let pause = Pause {
            until,
            reason: failure.reason,
            detail: failure.detail.clone(),
        };
        self.pauses.set(due.account_id, pause);
    }
}

fn filled_in<'a>(
    due: &Due,
    prepared: &'a Prepared,
) -> Result<(&'a Route, Arc<Rendered>), FieldError> {
    let number = usize::try_from(due.route).unwrap_or(usize::MAX);
    let route = prepared
        .routes()
        .get(number)
        .ok_or_else(|| FieldError::new(format!("routes[{number}]"), "does not exist"))?;
    let staff = Recipient {
        id: &due.staff_id,
        name: due.staff_name.as_deref(),
    };
    Ok((route, prepared.render(number, staff)?))
}

fn milliseconds(count: f64) -> TimeDelta {
    TimeDelta::milliseconds(count as i64)
}
