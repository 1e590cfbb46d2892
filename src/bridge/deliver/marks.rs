//! What a batch tells of templates and pages: which of them WeChat refuses, so that the owner is
//! told, and who has switched a template's messages off.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDateTime, TimeDelta};

use super::attempt::AttemptResult;
use super::failure::{Failure, Said};
use crate::bridge::accounts::OpenAccount;
use crate::bridge::routes::{Channel, Route};
use crate::bridge::webhooks::outbox::{self, RouteAlert};
use crate::db::{Conn, QueryResult};
use crate::models::account::refusal_mark::{self, Addressed, Refused};
use crate::models::account::template_sync;
use crate::models::delivery::Due;
use crate::wechat::error::Fault;

/// The owner is told of the same template or page once in so long, unless it worked in between.
const TOLD_FOR: TimeDelta = TimeDelta::hours(6);
/// Templates and pages that are told of in one batch.
const MOST: usize = 100;

/// What is at fault.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    Template(String),
    Page { app_id: String, path: String },
}

impl Subject {
    /// What a refusal is about, if it is about a template or a page.
    fn of(route: &Route, fault: Fault) -> Option<Self> {
        match fault {
            Fault::TemplateGone | Fault::TemplateBanned => Self::template(route),
            Fault::PageNotReleased | Fault::MiniProgram => Self::page(route),
            _ => None,
        }
    }

    fn template(route: &Route) -> Option<Self> {
        route.template_id.clone().map(Self::Template)
    }

    fn page(route: &Route) -> Option<Self> {
        let (app_id, path) = match &route.mini_program {
            Some(opened) => (Some(&opened.app_id), opened.path.as_ref()),
            None => (route.account.as_ref(), route.page.as_ref()),
        };
        // Its parameters differ from one person to the next, and are not at fault.
        let path = path.map_or("", |path| path.split('?').next().unwrap_or_default());
        Some(Self::Page {
            app_id: app_id?.clone(),
            path: path.to_owned(),
        })
    }

    /// As it is stored.
    fn key(&self) -> String {
        match self {
            Self::Template(id) => id.clone(),
            Self::Page { app_id, path } => format!("{app_id}/{path}"),
        }
    }
}

/// What the owner of an account is told of.
#[derive(Debug, Default)]
pub(super) struct RefusalAlerts {
    app_id: String,
    refused: Vec<(String, Said)>,
    /// Events for endpoints that this made.
    pub(super) published: usize,
}

impl RefusalAlerts {
    /// Writes it to the log: to be done once it is in the database.
    pub(super) fn log(&self) {
        for (subject, said) in &self.refused {
            tracing::error!(
                account.app_id = %self.app_id,
                wechat.call = said.call,
                wechat.errcode = said.error.errcode,
                wechat.errmsg = %said.error.errmsg,
                wechat.rid = said.error.rid,
                subject = %subject,
                problem = %said.error.explain_on(said.call),
                "WeChat refuses a template or a page"
            );
        }
    }
}

/// What is to be remembered of templates and pages.
#[derive(Debug, Default)]
pub(super) struct Marks {
    refused: BTreeMap<(Subject, i64), Said>,
    worked: BTreeSet<Subject>,
    switched_off: BTreeSet<Addressed>,
    taken: Vec<Addressed>,
}

impl Marks {
    /// Enters what came of one delivery.
    pub(super) fn enter(&mut self, due: &Due, route: Option<&Route>, done: &AttemptResult) {
        let Some(route) = route else {
            return;
        };
        let (failure, with_link) = match done {
            AttemptResult::Tried {
                failure, with_link, ..
            } => (failure, with_link),
            AttemptResult::Halfway { with_link, .. } => return self.refuse(route, &with_link.1),
            _ => return,
        };
        if let Some((_, failure)) = with_link {
            self.refuse(route, failure);
        }
        let addressed = || {
            let template_id = route.template_id.clone()?;
            let identity_id = due.identity_id?;
            let is_template = route.channel == Channel::Template;
            is_template.then_some(Addressed {
                identity_id,
                template_id,
            })
        };
        match failure {
            Some(failure) => {
                self.refuse(route, failure);
                if failure.fault() == Some(Fault::SwitchedOff) {
                    self.switched_off.extend(addressed());
                }
            }
            None => {
                let template = route.template_id.as_ref();
                let is_known = |id: &String| self.worked.contains(&Subject::Template(id.clone()));
                if !template.is_none_or(is_known) {
                    self.worked.extend(Subject::template(route));
                }
                let opens_page = route.page.is_some() || route.mini_program.is_some();
                if opens_page && with_link.is_none() {
                    self.worked.extend(Subject::page(route));
                }
                self.taken.extend(addressed());
            }
        }
    }

    fn refuse(&mut self, route: &Route, failure: &Failure) {
        let subject = failure.fault().and_then(|fault| Subject::of(route, fault));
        if let (Some(subject), Some(said)) = (subject, &failure.said)
            && self.refused.len() < MOST
        {
            let key = (subject, said.error.errcode);
            self.refused.entry(key).or_insert_with(|| said.clone());
        }
    }

    /// Writes it, and tells the owner of what is new.
    pub(super) fn write(
        &self,
        conn: &mut Conn,
        account: Option<&OpenAccount>,
        now: NaiveDateTime,
    ) -> QueryResult<RefusalAlerts> {
        let Some(account) = account else {
            return Ok(RefusalAlerts::default());
        };
        // What works for one person and not for another of the same batch is at fault.
        let refused: BTreeSet<&Subject> = self.refused.keys().map(|(subject, _)| subject).collect();
        let worked = self.worked.iter().filter(|one| !refused.contains(one));
        let keys: Vec<String> = worked.map(Subject::key).collect();
        if !keys.is_empty() && refusal_mark::has_alerts(conn, account.id)? {
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            refusal_mark::works_again(conn, account.id, &keys)?;
        }
        if !self.taken.is_empty() && refusal_mark::has_switched_off(conn, account.id)? {
            refusal_mark::switch_on(conn, &self.taken)?;
        }
        let off: Vec<Addressed> = self.switched_off.iter().cloned().collect();
        refusal_mark::switch_off(conn, account.id, &off, now)?;
        self.publish(conn, account, now)
    }

    fn publish(
        &self,
        conn: &mut Conn,
        account: &OpenAccount,
        now: NaiveDateTime,
    ) -> QueryResult<RefusalAlerts> {
        let refused = self.refused.keys().map(|(subject, errcode)| Refused {
            subject: subject.key(),
            errcode: *errcode,
        });
        let refused: Vec<Refused> = refused.collect();
        let new = refusal_mark::to_be_told(conn, account.id, &refused, (now - TOLD_FOR, now))?;
        let is_new = |subject: &Subject, errcode| {
            let key = subject.key();
            new.iter()
                .any(|one| one.subject == key && one.errcode == errcode)
        };
        let mut alerts = RefusalAlerts {
            app_id: account.app_id.clone(),
            ..RefusalAlerts::default()
        };
        let mut is_listed_again = false;
        for ((subject, errcode), said) in &self.refused {
            if !is_new(subject, *errcode) {
                continue;
            }
            let problem = said.error.explain_on(said.call);
            let mut alert = RouteAlert {
                app_id: &account.app_id,
                call: said.call,
                errcode: *errcode,
                problem: &problem,
                errmsg: &said.error.errmsg,
                rid: said.error.rid.as_deref(),
                template_id: None,
                mini_program: None,
                page: None,
            };
            match subject {
                Subject::Template(id) => alert.template_id = Some(id.as_str()),
                Subject::Page { app_id, path } => {
                    (alert.mini_program, alert.page) = (Some(app_id.as_str()), Some(path.as_str()));
                }
            }
            alerts.published += outbox::route(conn, account.project_id, &alert, now)?;
            is_listed_again |= said.fault == Fault::TemplateGone;
            alerts.refused.push((subject.key(), said.clone()));
        }
        if is_listed_again {
            template_sync::want(conn, account.id, now)?;
        }
        Ok(alerts)
    }
}
