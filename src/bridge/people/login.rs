//! Mini-program login: from the code that `wx.login` gave to a stored identity. The session_key
//! that comes with it is nowhere kept: it is dropped, or handed to who asked for it (see `lend`).

use chrono::NaiveDateTime;
use secrecy::SecretString;
use thiserror::Error;

use super::{moved, one_staff};
use crate::bridge::Bridge;
use crate::bridge::accounts::{AccountError, problem};
use crate::bridge::webhooks::outbox::People;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{AccountId, ProjectId};
use crate::models::account::AccountKind;
use crate::models::identity::unionid_change::{self, Heard};
use crate::models::identity::{self, FollowState, Identity, Login, ProfileState};
use crate::models::stats::{Changes, Key, Metric};
use crate::models::{project, storable};
use crate::wechat::error::{CallError, LOGIN_CALL};

/// Why nobody was logged in.
#[derive(Debug, Error)]
pub enum LoginError {
    /// The project has no such account.
    #[error("no account has this app id")]
    UnknownAccount,
    /// Only mini-programs have login codes.
    #[error("this app id is an official account's; a login code comes from a mini-program")]
    NotMiniProgram,
    /// The account has no app secret.
    #[error("the mini-program has no app secret: add it with `queqiao accounts set --secret`")]
    NoSecret,
    /// WeChat refused the code or the account, or could not be reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// Somebody who logged in.
#[derive(Debug)]
pub struct LoggedIn {
    /// Who.
    pub identity: Identity,
    /// WeChat's secret of this session.
    pub session_key: SecretString,
}

impl Bridge {
    /// Asks WeChat who gave this code in a mini-program of the project, and stores the identity.
    ///
    /// # Errors
    /// If there is no such mini-program, WeChat refuses, or the identity cannot be stored.
    pub async fn log_in(
        &self,
        project: ProjectId,
        app_id: &str,
        code: &str,
    ) -> Result<Identity, LoginError> {
        Ok(self.open_session(project, app_id, code).await?.identity)
    }

    /// The same, with the session_key.
    ///
    /// # Errors
    /// As [`Bridge::log_in`].
    pub async fn open_session(
        &self,
        project: ProjectId,
        app_id: &str,
        code: &str,
    ) -> Result<LoggedIn, LoginError> {
        let account = self.accounts.get(app_id).await?;
        let account = account
            .filter(|account| account.project_id == project)
            .ok_or(LoginError::UnknownAccount)?;
        if account.kind != AccountKind::MiniProgram {
            return Err(LoginError::NotMiniProgram);
        }
        let secret = account.secret.as_ref().ok_or(LoginError::NoSecret)?;
        let answer = self.wechat.code_to_session(app_id, secret, code).await;
        let error = answer.as_ref().err();
        problem::note(&self.db, &self.clock, &account, LOGIN_CALL, error).await;
        let session = answer?;
        let openid = storable(&session.openid).into_owned();
        let unionid = session
            .unionid
            .map(|unionid: String| storable(&unionid).into_owned());
        let (account_id, now) = (account.id, self.clock.now());
        let stored = self.db.write(move |conn| -> Result<_, LoginError> {
            let login = Login {
                project_id: project,
                account_id,
                openid: &openid,
                unionid: unionid.as_deref(),
                follow_state: FollowState::Unknown,
                followed_time: 0,
                unfollowed_time: 0,
                profile_state: match unionid {
                    Some(_) => ProfileState::Complete,
                    None => ProfileState::NotBoundToOpenPlatform,
                },
                profile_attempts: 0,
                profile_fetched_at: now,
                created_at: now,
                updated_at: now,
            };
            let known = identity::by_openid(conn, account_id, &openid)?;
            let known: Vec<_> = known.into_iter().map(|known| known.id).collect();
            one_staff::hold(conn, &known, &known)?;
            let people = People::before(conn, &known)?;
            let heard = known.iter().zip(&unionid).map(|(id, unionid)| Heard {
                id: *id,
                unionid,
                now,
            });
            let changed = unionid_change::record(conn, &heard.collect::<Vec<_>>())?;
            let identity = identity::log_in(conn, &login)?;
            count(conn, project, account_id, now)?;
            let mut published = people.after(conn, &[identity.id], now)?;
            let moved = moved::note(conn, &changed, now)?;
            published += moved.published + one_staff::keep_one(conn, &[identity.id], now)?;
            Ok((identity, moved.accounts, published))
        });
        let (identity, moved, published) = stored.await?;
        moved::warn(&moved);
        if published > 0 {
            self.signals.webhooks.notify_one();
        }
        Ok(LoggedIn {
            identity,
            session_key: session.session_key,
        })
    }
}

fn count(
    conn: &mut Conn,
    project: ProjectId,
    account: AccountId,
    now: NaiveDateTime,
) -> QueryResult<()> {
    let day = project::time_zone(conn, project)?.day(now);
    let mut changes = Changes::default();
    changes.add(
        Key::new(project, day, Metric::Logins).of_account(account),
        1,
    );
    changes.write(conn)
}
