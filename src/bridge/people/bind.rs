//! Binding: which staff member is which person. A person belongs to one staff member, whichever
//! of their openids, or their unionid, the binding names.
//!
//! Bindings of different people do not wait for each other. Whoever binds shares the project with
//! others who bind, and locks what the rule is about, in this order: the staff member, the identity,
//! the unionid ([`hold`]). What concerns many people at once locks the whole project instead.

use chrono::NaiveDateTime;
use serde::Serialize;
use thiserror::Error;

use super::erase;
use super::login::LoginError;
use crate::bridge::Bridge;
use crate::bridge::accounts::AccountError;
use crate::bridge::webhooks::outbox;
use crate::db::{Conn, DbError, QueryResult};
use crate::ids::{AccountId, IdentityId, ProjectId};
use crate::models::account::AccountKind;
use crate::models::identity::{self, Identity, ProfileState, Sighting};
use crate::models::people;
use crate::models::staff::binding::{self, Binding, NewBinding};
use crate::models::{project, staff};
use crate::vault::Vault;

/// A person, as a business app names them: to bind a staff member to, or to notify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum PersonRef {
    /// Whoever gave this login code in a mini-program.
    Code {
        /// The mini-program.
        app_id: String,
        /// What `wx.login` gave.
        code: String,
    },
    /// An openid in an account.
    Openid {
        /// The account.
        app_id: String,
        /// The person's id in it.
        openid: String,
    },
    /// A person by unionid; their openids may come later.
    Unionid(String),
}

/// Why a staff member was not bound.
#[derive(Debug, Error)]
pub enum BindError {
    /// The project has no such staff member.
    #[error("there is no such staff member")]
    UnknownStaff,
    /// The project has no such account.
    #[error("no account has this app id")]
    UnknownAccount,
    /// A mini-program's openid can be checked in no way but by a login.
    #[error("the openid is not known here, and WeChat tells nothing of a mini-program's openid")]
    UnknownOpenid,
    /// Their data was erased: only they themselves come back.
    #[error(
        "the person with this openid was erased; they come back when they follow, log in or write"
    )]
    Erased,
    /// The person is another staff member.
    #[error("the person is bound to staff member {0}")]
    AlreadyBound(String),
    /// The code brought nobody.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The database did not do it.
    #[error(transparent)]
    Db(#[from] DbError),
    /// The account cannot be read.
    #[error(transparent)]
    Account(#[from] AccountError),
}

/// What a binding names once it is resolved.
#[derive(Clone, Debug)]
enum Target {
    Identity(Box<Identity>),
    Unseen(Sighting),
    Unionid(String),
}

impl Bridge {
    /// Binds a staff member to a person. Returns the binding, and whether it is new.
    ///
    /// # Errors
    /// If either is unknown, or the person is another staff member.
    pub async fn bind(
        &self,
        project: ProjectId,
        staff_id: &str,
        whom: PersonRef,
    ) -> Result<(Binding, bool), BindError> {
        let staff_id = staff_id.to_owned();
        // A code works once: it is not spent on a staff member who does not exist.
        let wanted = staff_id.clone();
        self.db
            .read(move |conn| match staff::find(conn, project, &wanted)? {
                Some(_) => Ok(()),
                None => Err(BindError::UnknownStaff),
            })
            .await?;
        let target = self.resolve(project, whom).await?;
        let vault = self.vault.clone();
        let unseen = matches!(target, Target::Unseen(_));
        let now = self.clock.now();
        let bound = self
            .db
            .write(move |conn| {
                project::share(conn, project)?;
                let member = staff::hold(conn, project, &staff_id)?;
                let member = member.ok_or(BindError::UnknownStaff)?;
                let (identity, unionid) = settle(conn, &vault, project, &target)?;
                let mut found =
                    persons_staff(conn, project, identity.as_ref(), unionid.as_deref())?;
                found.retain(|bound| *bound != staff_id);
                if let Some(other) = found.into_iter().next() {
                    return Err(BindError::AlreadyBound(other));
                }
                let row = NewBinding {
                    project_id: project,
                    staff_row_id: member.id,
                    identity_id: identity.as_ref().map(|identity| identity.id),
                    unionid: match identity {
                        Some(_) => None,
                        None => unionid.as_deref(),
                    },
                    created_at: now,
                };
                match binding::create(conn, &row)? {
                    Some(binding) => {
                        outbox::bound(conn, &staff_id, &binding, now)?;
                        Ok((binding, true))
                    }
                    None => Ok((binding::same(conn, &row)?, false)),
                }
            })
            .await?;
        self.signals.webhooks.notify_one();
        if unseen {
            self.signals.profiles.notify_one();
        }
        Ok(bound)
    }

    async fn resolve(&self, project: ProjectId, whom: PersonRef) -> Result<Target, BindError> {
        match whom {
            PersonRef::Unionid(unionid) => Ok(Target::Unionid(unionid)),
            PersonRef::Code { app_id, code } => {
                let identity = self.log_in(project, &app_id, &code).await?;
                Ok(Target::Identity(Box::new(identity)))
            }
            PersonRef::Openid { app_id, openid } => {
                let account = self.accounts.get(&app_id).await?;
                let account = account
                    .filter(|account| account.project_id == project)
                    .ok_or(BindError::UnknownAccount)?;
                let (id, wanted) = (account.id, openid.clone());
                let known = self
                    .db
                    .read(move |conn| identity::by_openid(conn, id, &wanted))
                    .await?;
                match known {
                    Some(identity) => Ok(Target::Identity(Box::new(identity))),
                    None if account.kind == AccountKind::MiniProgram => {
                        Err(BindError::UnknownOpenid)
                    }
                    None => {
                        let now = self.clock.now();
                        Ok(Target::Unseen(sighting(project, account.id, openid, now)))
                    }
                }
            }
        }
    }
}

/// An openid of an official account that has not been seen: asking for its profile will tell
/// whether it is one.
pub(in crate::bridge) fn sighting(
    project_id: ProjectId,
    account_id: AccountId,
    openid: String,
    now: NaiveDateTime,
) -> Sighting {
    Sighting {
        project_id,
        account_id,
        openid,
        followed_time: 0,
        unfollowed_time: 0,
        qr_scene: None,
        profile_state: ProfileState::Pending,
        profile_due_at: Some(now),
        now,
    }
}

/// The identity and the unionid that a target stands for, which nobody else binds meanwhile.
fn settle(
    conn: &mut Conn,
    vault: &Vault,
    project: ProjectId,
    target: &Target,
) -> Result<(Option<Identity>, Option<String>), BindError> {
    let known = match target {
        Target::Unionid(unionid) => {
            binding::hold_person(conn, project, unionid)?;
            return Ok((None, Some(unionid.clone())));
        }
        Target::Identity(identity) => hold(conn, project, identity.id)?,
        Target::Unseen(sighting) => {
            let openid = std::slice::from_ref(&sighting.openid);
            if !erase::gone(conn, vault, sighting.account_id, openid)?.is_empty() {
                return Err(BindError::Erased);
            }
            identity::record_sightings(conn, std::slice::from_ref(sighting))?;
            match identity::by_openid(conn, sighting.account_id, &sighting.openid)? {
                Some(seen) => hold(conn, project, seen.id)?,
                None => None,
            }
        }
    };
    // None: they were erased in this very moment.
    let identity = known.ok_or(BindError::UnknownOpenid)?;
    let unionid = identity.unionid.clone();
    Ok((Some(identity), unionid))
}

/// Locks an identity and the person to whom it belongs, for a transaction that shares the project and
/// holds the staff member. It was read before: who it is may have been learnt since.
pub(in crate::bridge) fn hold(
    conn: &mut Conn,
    project: ProjectId,
    id: IdentityId,
) -> QueryResult<Option<Identity>> {
    identity::hold(conn, [id])?;
    let identity = identity::by_id(conn, project, id)?;
    if let Some(unionid) = identity.as_ref().and_then(|one| one.unionid.as_deref()) {
        binding::hold_person(conn, project, unionid)?;
    }
    Ok(identity)
}

/// The staff ids that a person has so far.
fn persons_staff(
    conn: &mut Conn,
    project: ProjectId,
    identity: Option<&Identity>,
    unionid: Option<&str>,
) -> QueryResult<Vec<String>> {
    let members = match unionid {
        Some(unionid) => people::with_unionids(conn, project, &[unionid.to_owned()])?,
        None => Vec::new(),
    };
    let ids: Vec<IdentityId> = members
        .iter()
        .map(|member| member.id)
        .chain(identity.map(|identity| identity.id))
        .collect();
    binding::staff_of_person(conn, project, &ids, unionid)
}
