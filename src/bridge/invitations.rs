//! Invitations: a QR code of a service account and a mini-program page that carry the same
//! one-time token. Whoever scans the code, or logs in from the page, is bound to the staff member
//! whom the invitation is for. The token is shown once; only its hash is stored.

mod hide;
mod redeem;
mod scan;

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use secrecy::{ExposeSecret, SecretString};
use thiserror::Error;

use super::Bridge;
use super::accounts::{AccountError, OpenAccount};
use super::people::bind;
use super::people::login::{LoggedIn, LoginError};
use super::token::TokenError;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{InvitationId, ProjectId};
use crate::models::account::AccountKind;
use crate::models::identity::Identity;
use crate::models::project;
use crate::models::staff::invitation::{self, Invitation, NewInvitation, Presentable, Refusal};
use crate::models::staff::{self, Staff, invitation_token};
use crate::wechat::qrcode::QrCode;

pub(super) use hide::{hide, hide_in_text};
pub use redeem::Accepted;
use redeem::{Place, judge, note, redeem};
pub(super) use scan::{Presented, projects, redeem_presented};

const CALL: &str = "qrcode/create";

/// Why an invitation is refused, and what to do.
pub const fn why_refused(reason: Refusal) -> &'static str {
    match reason {
        Refusal::Foreign => "The invitation was presented to an account of another project.",
        Refusal::WrongAccount => {
            "The invitation is for another account. Make one that names this mini-program."
        }
        Refusal::Used => "The invitation was used already. Make a new one.",
        Refusal::Revoked => "The invitation was revoked, or a newer one took its place.",
        Refusal::Expired => "The invitation has expired. Make a new one.",
        Refusal::AlreadyBound => {
            "The staff member is bound to somebody else. Remove that binding first, or make an \
             invitation with rebind."
        }
        Refusal::PersonAlreadyBound => {
            "The person is bound to another staff member, and the invitation is revoked, as they have seen it. Remove \
             that binding if it is wrong, then make a new invitation."
        }
    }
}

/// The page of a mini-program that the developer tools make first.
pub const PAGE_DEFAULT: &str = "pages/index/index";
/// What [`is_page`] asks for, as the rest of a sentence.
pub const PAGE_RULE: &str = "must be a page such as pages/bind or pages/bind?from=hr, without a slash in front \
                             and without a fragment";

/// Whether a path can be that of a page in a mini-program to which a token is added.
pub fn is_page(path: &str) -> bool {
    !path.starts_with(['/', '?']) && !path.contains(['#', ' '])
}

/// A page with a token in its query.
pub fn with_token(path: &str, token: &str) -> String {
    let joint = if path.contains('?') { '&' } else { '?' };
    format!("{path}{joint}invitation={token}")
}

/// What an invitation is to be.
#[derive(Clone, Debug)]
pub struct InvitationRequest {
    /// The official account to follow.
    pub app_id: String,
    /// The mini-program where it is good too.
    pub mini_program: Option<String>,
    /// How long it is good; at most [`crate::wechat::qrcode::LIFE_MAX`].
    pub life: Duration,
    /// Whether it may take the place of the staff member's bindings to somebody else.
    pub rebind: bool,
}

/// An invitation as it is shown this once.
#[derive(Debug)]
pub struct Invited {
    /// As stored.
    pub invitation: Invitation,
    /// What the code and the page carry.
    pub token: SecretString,
    /// The QR code.
    pub code: QrCode,
}

/// Who logged in with an invitation, and what that did.
#[derive(Debug)]
pub struct Welcomed {
    /// Who it is.
    pub identity: Identity,
    /// WeChat's secret of this session.
    pub session_key: SecretString,
    /// The invitation.
    pub invitation_id: InvitationId,
    /// The staff member whom it was for.
    pub staff_id: String,
    /// What it did.
    pub accepted: Accepted,
}

/// Why there is no invitation, or it was not accepted.
#[derive(Debug, Error)]
pub enum InviteError {
    /// The project has no such staff member.
    #[error("there is no such staff member")]
    UnknownStaff,
    /// The project has no such account; which of the two.
    #[error("no account has this app id")]
    UnknownAccount(&'static str),
    /// The account is of the other kind; which of the two.
    #[error("the account is of the other kind")]
    WrongKind(&'static str),
    /// The project has no such invitation.
    #[error("there is no such invitation")]
    Unknown,
    /// It exists and is not accepted.
    #[error("the invitation is refused: {0}")]
    Refused(Refusal),
    /// WeChat made no code.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The login failed before the invitation was looked at.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

impl Bridge {
    /// Makes an invitation. It takes the place of the staff member's open one to the same account,
    /// so that a request that is repeated leaves one that is good.
    ///
    /// # Errors
    /// If the staff member or an account is unknown, or WeChat makes no code.
    pub async fn invite(
        &self,
        project: ProjectId,
        staff_id: &str,
        wanted: InvitationRequest,
    ) -> Result<Invited, InviteError> {
        let official = AccountKind::OfficialAccount;
        let account = self.account_for(project, &wanted.app_id, official, "app_id");
        let account = account.await?;
        let mini_program_id = match &wanted.mini_program {
            Some(app_id) => {
                let (kind, field) = (AccountKind::MiniProgram, "mini_program.app_id");
                Some(self.account_for(project, app_id, kind, field).await?.id)
            }
            None => None,
        };
        let (staff_id, asked) = (staff_id.to_owned(), staff_id.to_owned());
        // No code is made for a staff member who does not exist.
        let known = self.db.read(move |conn| member(conn, project, &asked));
        known.await?;
        let (secret, hash) = invitation_token::draw();
        let asked_at = self.clock.now();
        let scene = secret.expose_secret();
        let call = |token| async move {
            let created = self.wechat.create_qr_code(&token, scene, wanted.life);
            created.await
        };
        let code = self.tokens.call(&account, CALL, call).await?;
        let life = TimeDelta::from_std(code.life).unwrap_or(TimeDelta::zero());
        let (account_id, now) = (account.id, self.clock.now());
        let stored = self.db.write(move |conn| -> Result<_, InviteError> {
            project::share(conn, project)?;
            let member = hold_member(conn, project, &staff_id)?;
            invitation::revoke_open(conn, member.id, account_id, now)?;
            let row = NewInvitation {
                project_id: project,
                staff_row_id: member.id,
                account_id,
                mini_program_id,
                token_hash: &hash,
                rebind: wanted.rebind,
                created_at: now,
                expires_at: asked_at + life,
            };
            Ok(invitation::create(conn, &row)?)
        });
        Ok(Invited {
            invitation: stored.await?,
            token: secret,
            code,
        })
    }

    async fn account_for(
        &self,
        project: ProjectId,
        app_id: &str,
        kind: AccountKind,
        field: &'static str,
    ) -> Result<Arc<OpenAccount>, InviteError> {
        let account = self.accounts.get(app_id).await?;
        let account = account
            .filter(|account| account.project_id == project)
            .ok_or(InviteError::UnknownAccount(field))?;
        match account.kind == kind {
            true => Ok(account),
            false => Err(InviteError::WrongKind(field)),
        }
    }

    /// Logs somebody in to a mini-program, as [`Bridge::log_in`] does, and binds them by an
    /// invitation. The login code is not spent on a token that nobody can use.
    ///
    /// # Errors
    /// If the login fails, or the invitation is refused; the identity is stored all the same.
    pub async fn log_in_invited(
        &self,
        project: ProjectId,
        app_id: &str,
        code: &str,
        token: &str,
    ) -> Result<Welcomed, InviteError> {
        let hash = invitation_token::hash(token).ok_or(InviteError::Unknown)?;
        let account = self.accounts.get(app_id).await?;
        let account = account
            .filter(|account| account.project_id == project)
            .ok_or(LoginError::UnknownAccount)?;
        let place = Place {
            project_id: project,
            account_id: account.id,
            at: self.clock.now(),
        };
        let check = self.db.write(move |conn| -> Result<_, InviteError> {
            let (_, found, staff_id) = presentable(conn, &hash)?.ok_or(InviteError::Unknown)?;
            let judged = judge(&found, place);
            if let Err(refusal) = judged {
                note(conn, &found, &staff_id, Err(refusal), None, place.at)?;
            }
            Ok(judged)
        });
        check.await?.map_err(InviteError::Refused)?;
        let LoggedIn {
            identity,
            session_key,
        } = self.open_session(project, app_id, code).await?;
        let redeemed = self.db.write_once(move |conn| -> Result<_, InviteError> {
            project::share(conn, project)?;
            let (_, found, staff_id) = presentable(conn, &hash)?.ok_or(InviteError::Unknown)?;
            staff::hold(conn, found.project_id, &staff_id)?.ok_or(InviteError::Unknown)?;
            let identity = bind::hold(conn, project, identity.id)?;
            let identity = identity.ok_or(InviteError::Unknown)?;
            // Somebody may have used or revoked it while this one waited.
            let (_, found, staff_id) = presentable(conn, &hash)?.ok_or(InviteError::Unknown)?;
            let outcome = redeem(conn, &found, &staff_id, place, &identity, place.at)?;
            note(conn, &found, &staff_id, outcome, Some(&identity), place.at)?;
            let welcomed = outcome.map(|accepted| Welcomed {
                identity,
                session_key,
                invitation_id: found.id,
                staff_id,
                accepted,
            });
            Ok(welcomed)
        });
        redeemed.await?.map_err(InviteError::Refused)
    }

    /// Revokes an invitation of a staff member, so that nobody can use it. One that is revoked
    /// stays so.
    ///
    /// # Errors
    /// If there is none, or somebody has used it.
    pub async fn revoke_invitation(
        &self,
        project: ProjectId,
        staff_id: &str,
        id: InvitationId,
    ) -> Result<(), InviteError> {
        let (staff_id, now) = (staff_id.to_owned(), self.clock.now());
        let revoked = self.db.write(move |conn| {
            project::share(conn, project)?;
            let member = hold_member(conn, project, &staff_id)?;
            let found = invitation::find(conn, member.id, id)?.ok_or(InviteError::Unknown)?;
            if found.used_at.is_some() {
                return Err(InviteError::Refused(Refusal::Used));
            }
            Ok(invitation::revoke(conn, id, now)?)
        });
        revoked.await
    }
}

fn member(conn: &mut Conn, project: ProjectId, staff_id: &str) -> Result<Staff, InviteError> {
    staff::find(conn, project, staff_id)?.ok_or(InviteError::UnknownStaff)
}

/// The same, whom nobody else binds or invites meanwhile.
fn hold_member(conn: &mut Conn, project: ProjectId, staff_id: &str) -> Result<Staff, InviteError> {
    staff::hold(conn, project, staff_id)?.ok_or(InviteError::UnknownStaff)
}

fn presentable(conn: &mut Conn, hash: &invitation_token::Hash) -> QueryResult<Option<Presentable>> {
    Ok(invitation::by_hashes(conn, &[hash.as_slice()])?.pop())
}
