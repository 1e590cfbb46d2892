//! Consent as the business reports it: what wx.requestSubscribeMessage returned in its mini-program.
//!
//! The word of a client is worth less than WeChat's own event; but an account without event push
//! has nothing else. Where both come, they count once (see `models::credit`).

use chrono::{DateTime, NaiveDateTime, TimeDelta};
use serde::{Serialize, Serializer};
use thiserror::Error;

use super::login::LoginError;
use crate::bridge::Bridge;
use crate::db::{DbError, text_enum};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::account::AccountKind;
use crate::models::credit::{self, Credit, Said, Word};
use crate::models::identity::{self, Identity};

/// How far ahead a reported time may be: phones' clocks are not exact.
const AHEAD: TimeDelta = TimeDelta::minutes(10);

text_enum! {
    /// What wx.requestSubscribeMessage says of one template.
    pub enum ConsentAnswer {
        /// The person allows it.
        Accept = "accept",
        /// The same, for a message with sound.
        AcceptWithAudio = "acceptWithAudio",
        /// The same, for a message with an alert.
        AcceptWithAlert = "acceptWithAlert",
        /// The person refuses it.
        Reject = "reject",
        /// WeChat has banned the template.
        Ban = "ban",
        /// Another template of the same title was asked for.
        Filter = "filter",
    }
}

/// Who answered the pop-up.
#[derive(Clone, Debug)]
pub enum Respondent {
    /// By a fresh code from `wx.login`.
    Code(String),
    /// By the openid in the mini-program, known here.
    Openid(String),
}

/// What somebody answered a pop-up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answered {
    /// The answer for each template id, in their order, each once.
    #[serde(serialize_with = "as_object")]
    pub results: Vec<(String, ConsentAnswer)>,
    /// When, seconds since 1970; when it is reported unless known.
    pub reported_at: Option<i64>,
    /// Whether these are long-term templates; a pop-up cannot mix them with others.
    pub long_term: bool,
}

fn as_object<S: Serializer>(
    results: &[(String, ConsentAnswer)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(results.iter().map(|(id, answer)| (id, answer)))
}

/// An answered pop-up.
#[derive(Clone, Debug)]
pub struct Report {
    /// Who answered.
    pub who: Respondent,
    /// What.
    pub answered: Answered,
}

/// Why a report was not recorded.
#[derive(Debug, Error)]
pub enum ReportError {
    /// Nobody has this openid in the mini-program, as far as is known.
    #[error("the openid is not known")]
    UnknownOpenid,
    /// The time is far in the future.
    #[error("the reported time is in the future")]
    InFuture,
    /// The account is not one of the project's mini-programs, or the code is not accepted.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl Bridge {
    /// Records an answered pop-up of a mini-program. Returns who answered, and what they allow
    /// now in that mini-program.
    ///
    /// # Errors
    /// If mini-program or person are unknown, the time cannot be, or the database fails.
    pub async fn report_consent(
        &self,
        project: ProjectId,
        app_id: &str,
        report: Report,
    ) -> Result<(Identity, Vec<Credit>), ReportError> {
        let now = self.clock.now();
        let Report { who, answered } = report;
        if answered.is_in_future(now) {
            return Err(ReportError::InFuture);
        }
        let identity = self.who(project, app_id, &who).await?;
        let (account_id, id) = (identity.account_id, identity.id);
        let recorded = self.db.write(move |conn| -> Result<_, ReportError> {
            let said = answered.said(account_id, id, now);
            let awaited = credit::record(conn, &said, now)?;
            let mut credits = credit::of_identities(conn, &[id])?;
            let named = |id: &String| answered.results.iter().any(|(named, _)| named == id);
            credits.retain(|credit| named(&credit.template_id));
            Ok((awaited, credits))
        });
        let (awaited, credits) = recorded.await?;
        if awaited > 0 {
            self.signals.wake_delivery();
        }
        Ok((identity, credits))
    }

    async fn who(
        &self,
        project: ProjectId,
        app_id: &str,
        who: &Respondent,
    ) -> Result<Identity, ReportError> {
        let openid = match who {
            Respondent::Code(code) => return Ok(self.log_in(project, app_id, code).await?),
            Respondent::Openid(openid) => openid.clone(),
        };
        let account = self.accounts.get(app_id).await.map_err(LoginError::from)?;
        let account = account
            .filter(|account| account.project_id == project)
            .ok_or(LoginError::UnknownAccount)?;
        if account.kind != AccountKind::MiniProgram {
            return Err(LoginError::NotMiniProgram.into());
        }
        let id = account.id;
        let known = self
            .db
            .read(move |conn| identity::by_openid(conn, id, &openid));
        known.await?.ok_or(ReportError::UnknownOpenid)
    }
}

impl Answered {
    /// Whether it was answered later than any clock may be ahead.
    pub(in crate::bridge) fn is_in_future(&self, now: NaiveDateTime) -> bool {
        let Some(time) = self.reported_at else {
            return false;
        };
        match DateTime::from_timestamp(time, 0) {
            Some(time) => time.naive_utc() > now + AHEAD,
            None => time > 0,
        }
    }

    /// The answer as the ledger takes it.
    pub(in crate::bridge) fn said(
        &self,
        account_id: AccountId,
        identity_id: IdentityId,
        now: NaiveDateTime,
    ) -> Vec<Said> {
        let timed = self.reported_at.is_some();
        let time = self.reported_at.unwrap_or(now.and_utc().timestamp());
        let word = |answer| match answer {
            ConsentAnswer::Accept
            | ConsentAnswer::AcceptWithAudio
            | ConsentAnswer::AcceptWithAlert => Some(Word::Reported { timed }),
            ConsentAnswer::Reject => Some(Word::Rejected),
            ConsentAnswer::Ban => Some(Word::Banned),
            ConsentAnswer::Filter => None,
        };
        let results = self.results.iter();
        results
            .filter_map(|(template_id, answer)| {
                Some(Said {
                    account_id,
                    identity_id,
                    template_id: template_id.clone(),
                    word: word(*answer)?,
                    time,
                    long_term: self.long_term,
                })
            })
            .collect()
    }
}
