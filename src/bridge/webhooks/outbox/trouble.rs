//! What somebody has to act upon.

use chrono::{DateTime, NaiveDateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Event, EventKind, Subscribers};
use crate::db::{Conn, QueryResult};
use crate::ids::{AccountId, IdentityId, ProjectId, WebhookId};
use crate::models::account::unionid_move::AccountMove;
use crate::models::account::{self, Problem};
use crate::models::identity::Identity;
use crate::models::webhook::{Webhook, WebhookState};

#[derive(Serialize, ToSchema)]
#[schema(as = AccountAlert)]
pub(super) struct Alert<'a> {
    app_id: &'a str,
    /// The call that WeChat refused.
    call: &'a str,
    errcode: i64,
    /// What it means and what to do.
    problem: &'a str,
    /// WeChat's own words.
    errmsg: &'a str,
    rid: Option<&'a str>,
}

/// WeChat refuses an account; to be called before that is noted on it. Told once, until it is
/// another code or has passed.
pub(crate) fn alert(
    conn: &mut Conn,
    (project, id, app_id): (ProjectId, AccountId, &str),
    problem: &Problem<'_>,
) -> QueryResult<usize> {
    let subscribers = Subscribers::of(conn)?;
    if !subscribers.wants_in(project, EventKind::Alert)
        || account::problem_code(conn, id)? == Some(problem.code)
    {
        return Ok(0);
    }
    let data = Alert {
        app_id,
        call: problem.call,
        errcode: problem.code,
        problem: problem.text,
        errmsg: problem.errmsg,
        rid: problem.rid,
    };
    let now = problem.at;
    let event = Event::new(project, EventKind::Alert, now, &data)?.of_account(Some(app_id));
    subscribers.publish(conn, &[event], now)
}

/// A template or a page that WeChat refuses.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RouteAlert<'a> {
    pub(crate) app_id: &'a str,
    /// The call that WeChat refused.
    pub(crate) call: &'a str,
    pub(crate) errcode: i64,
    /// What it means and what to do.
    pub(crate) problem: &'a str,
    /// WeChat's own words.
    pub(crate) errmsg: &'a str,
    pub(crate) rid: Option<&'a str>,
    /// The template at fault, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) template_id: Option<&'a str>,
    /// The mini-program whose page is at fault, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mini_program: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<&'a str>,
}

/// WeChat refuses a template or a page of an account; when to say so is the caller's to decide.
pub(crate) fn route(
    conn: &mut Conn,
    project: ProjectId,
    alert: &RouteAlert<'_>,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let subscribers = Subscribers::of(conn)?;
    if !subscribers.wants_in(project, EventKind::Alert) {
        return Ok(0);
    }
    let event = Event::new(project, EventKind::Alert, now, alert)?.of_account(Some(alert.app_id));
    subscribers.publish(conn, &[event], now)
}

#[derive(Serialize, ToSchema)]
pub(super) struct MovedAlert<'a> {
    app_id: &'a str,
    /// Null: no call was refused.
    call: Option<&'a str>,
    errcode: Option<i64>,
    /// Tells it from a refusal.
    reason: &'static str,
    since: DateTime<Utc>,
    /// How many openids came with another unionid since then.
    changed: i64,
    /// What it means and what to do.
    problem: &'a str,
}

/// The people of an account come with other unionids than before.
pub(crate) fn moved(
    conn: &mut Conn,
    project: ProjectId,
    app_id: &str,
    known: &AccountMove,
    problem: &str,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let subscribers = Subscribers::of(conn)?;
    if !subscribers.wants_in(project, EventKind::Alert) {
        return Ok(0);
    }
    let data = MovedAlert {
        app_id,
        call: None,
        errcode: None,
        reason: "unionids_changed",
        since: known.since.and_utc(),
        changed: known.changed,
        problem,
    };
    let event = Event::new(project, EventKind::Alert, now, &data)?.of_account(Some(app_id));
    subscribers.publish(conn, &[event], now)
}

/// A binding that was undone, since the person is another staff member already.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct UndoneAlert<'a> {
    app_id: &'a str,
    /// Null: no call was refused.
    call: Option<&'a str>,
    errcode: Option<i64>,
    /// Tells it from a refusal.
    reason: &'static str,
    identity_id: IdentityId,
    openid: &'a str,
    /// Whose binding was undone.
    staff_id: &'a str,
    /// Who stays bound.
    kept_staff_id: &'a str,
    /// What it means and what to do.
    problem: &'a str,
}

impl<'a> UndoneAlert<'a> {
    /// Of the binding of one staff member, for the sake of that of another one.
    pub(crate) fn new(
        app_id: &'a str,
        identity: &'a Identity,
        (staff_id, kept_staff_id): (&'a str, &'a str),
        problem: &'a str,
    ) -> Self {
        Self {
            app_id,
            call: None,
            errcode: None,
            reason: "person_already_bound",
            identity_id: identity.id,
            openid: &identity.openid,
            staff_id,
            kept_staff_id,
            problem,
        }
    }
}

/// A person turned out to be two staff members.
pub(crate) fn undone(
    conn: &mut Conn,
    project: ProjectId,
    identity: IdentityId,
    alert: &UndoneAlert<'_>,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let subscribers = Subscribers::of(conn)?;
    if !subscribers.wants_in(project, EventKind::Alert) {
        return Ok(0);
    }
    let event = Event::new(project, EventKind::Alert, now, alert)?
        .of_account(Some(alert.app_id))
        .of_identity(Some(identity));
    subscribers.publish(conn, &[event], now)
}

#[derive(Serialize, ToSchema)]
#[schema(as = DisabledEvent)]
pub(super) struct Disabled<'a> {
    webhook_id: WebhookId,
    /// Only the host: a path may hold a secret.
    host: Option<String>,
    description: Option<&'a str>,
    state: WebhookState,
    reason: &'a str,
}

/// An endpoint was disabled: the others of its project are told.
pub(crate) fn disabled(
    conn: &mut Conn,
    webhook: &Webhook,
    state: WebhookState,
    reason: &str,
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let subscribers = Subscribers::of(conn)?.without(webhook.id);
    let url = url::Url::parse(&webhook.url).ok();
    let data = Disabled {
        webhook_id: webhook.id,
        host: url.and_then(|url| url.host_str().map(str::to_owned)),
        description: webhook.description.as_deref(),
        state,
        reason,
    };
    let event = Event::new(webhook.project_id, EventKind::Disabled, now, &data)?;
    subscribers.publish(conn, &[event], now)
}
