//! A person belongs to one staff member, also where it is learnt late who they are. A follower is bound
//! before their unionid is known; when that comes, by a profile, a login or an event, they may turn out
//! to be another staff member. Then the later binding is undone, in the transaction that stores the
//! unionid: the business is told, the reason is kept, and who came through an invitation is told in the
//! chat.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{NaiveDateTime, TimeDelta};

use crate::bridge::accounts::Accounts;
use crate::bridge::token::Tokens;
use crate::bridge::webhooks::outbox::{self, UndoneAlert};
use crate::bridge::{Bridge, Step};
use crate::clock::Clock;
use crate::config::Config;
use crate::db::{Conn, Db, DbError, QueryResult, overtaken};
use crate::ids::{IdentityId, ProjectId};
use crate::models::identity::{self, Identity};
use crate::models::people;
use crate::models::staff::binding::{self, OfPerson, Replaced};
use crate::models::staff::invitation::{self, Refusal};
use crate::models::staff::undone_binding::{self, NewUndone};
use crate::models::{account, project};
use crate::wechat::client::Client;
use crate::wechat::custom::{CustomText, RichText};

const CALL: &str = "custom/send";
/// What is older says nothing to anybody any more.
const STALE: TimeDelta = TimeDelta::hours(1);

/// Holds identities whose profiles are to be stored. Those that are to have unionids (`linked`) and are
/// bound make whoever binds wait until this transaction ends. To be called before any of them is locked.
/// Who binds one of them meanwhile waits for its row, and sees the unionid.
pub(in crate::bridge) fn hold(
    conn: &mut Conn,
    ids: &[IdentityId],
    linked: &[IdentityId],
) -> QueryResult<()> {
    let locked = binding::projects_of_bound(conn, linked)?;
    for id in &locked {
        project::lock(conn, *id)?;
    }
    identity::hold(conn, ids.iter().copied())?;
    // Somebody was bound in between: all is to be done again, with the lock on that project.
    let bound = binding::projects_of_bound(conn, linked)?;
    match bound.iter().all(|id| locked.contains(id)) {
        true => Ok(()),
        false => Err(overtaken()),
    }
}

/// To be called once unionids of these identities are stored. Of the bindings of one person to several
/// staff members the oldest stays, with those to the same one. Returns how many events were recorded
/// for endpoints.
pub(in crate::bridge) fn keep_one(
    conn: &mut Conn,
    ids: &[IdentityId],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let mut persons: BTreeMap<(ProjectId, String), Vec<OfPerson>> = BTreeMap::new();
    for one in binding::of_persons(conn, ids)? {
        let person = (one.project_id, one.person.clone());
        persons.entry(person).or_default().push(one);
    }
    let mut published = 0;
    for ((project, unionid), bound) in persons {
        let Some(kept) = bound.first() else { continue };
        let mut later = bound.iter();
        if later.all(|one| one.staff_row_id == kept.staff_row_id) {
            continue;
        }
        let members = people::with_unionids(conn, project, &[unionid])?;
        for one in bound
            .iter()
            .filter(|one| one.staff_row_id != kept.staff_row_id)
        {
            published += undo(conn, one, kept, &members, now)?;
        }
    }
    Ok(published)
}

fn undo(
    conn: &mut Conn,
    one: &OfPerson,
    kept: &OfPerson,
    members: &[Identity],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let own = members
        .iter()
        .find(|member| Some(member.id) == one.identity_id);
    let Some(identity) = own.or(members.last()) else {
        return Ok(0);
    };
    let replaced = binding::replaced(conn, one.id)?;
    if !binding::delete(conn, one.staff_row_id, one.id)? {
        // Somebody else has removed it in this very moment.
        return Ok(0);
    }
    let mut published =
        outbox::unbound(conn, one.project_id, &one.staff_id, &[one.binding()], now)?;
    published += give_back(conn, one, &replaced, now)?;
    let used = match one.identity_id {
        Some(id) => invitation::used_for(conn, one.staff_row_id, id, one.created_at)?,
        None => None,
    };
    if let Some(used) = used {
        invitation::take_back(conn, used, now)?;
        let refusal = Refusal::PersonAlreadyBound;
        invitation::note_refusal(conn, used, refusal, Some(identity.id), now)?;
    }
    let row = NewUndone {
        staff_row_id: one.staff_row_id,
        identity_id: identity.id,
        kept_row_id: kept.staff_row_id,
        tell_at: used.map(|_| now),
        undone_at: now,
    };
    undone_binding::add(conn, &row)?;
    let labels = account::labels(conn, one.project_id)?;
    let label = labels.iter().find(|label| label.id == identity.account_id);
    let app_id = label.map(|label| label.app_id.as_str()).unwrap_or_default();
    tracing::warn!(
        account.app_id = app_id,
        identity.id = identity.id.0,
        binding.id = one.id.0,
        staff_id = ?one.staff_id,
        kept_staff_id = ?kept.staff_id,
        "binding undone: the person is another staff member already"
    );
    let problem = detail(&one.staff_id, Some(&kept.staff_id));
    let alert = UndoneAlert::new(app_id, identity, (&one.staff_id, &kept.staff_id), &problem);
    published += outbox::undone(conn, one.project_id, identity.id, &alert, now)?;
    Ok(published)
}

/// Binds a staff member once more to whom the binding that is undone took their place.
fn give_back(
    conn: &mut Conn,
    undone: &OfPerson,
    replaced: &[Replaced],
    now: NaiveDateTime,
) -> QueryResult<usize> {
    let (project, staff_id) = (undone.project_id, &undone.staff_id);
    let mut published = 0;
    for one in replaced {
        let members = match (one.identity_id, &one.unionid) {
            (Some(id), _) => match identity::by_id(conn, project, id)? {
                Some(identity) => people::members_of(conn, &identity)?,
                None => continue,
            },
            (None, Some(unionid)) => {
                people::with_unionids(conn, project, std::slice::from_ref(unionid))?
            }
            (None, None) => continue,
        };
        let ids: Vec<IdentityId> = members.iter().map(|member| member.id).collect();
        let unionid = members.iter().find_map(|member| member.unionid.as_deref());
        let unionid = one.unionid.as_deref().or(unionid);
        let mut bound = binding::staff_of_person(conn, project, &ids, unionid)?;
        bound.retain(|other| other != staff_id);
        if !bound.is_empty() {
            // Meanwhile they are somebody else.
            continue;
        }
        let row = one.again(project, undone.staff_row_id);
        if let Some(binding) = binding::create(conn, &row)? {
            published += outbox::bound(conn, staff_id, &binding, now)?;
        }
    }
    Ok(published)
}

/// What happened and what to do.
pub(in crate::bridge) fn detail(staff_id: &str, kept: Option<&str>) -> String {
    let kept = kept.unwrap_or("somebody who is no staff member any more");
    format!(
        "The binding of {staff_id} was undone: once it was known who the person is, they were bound to \
         {kept} already, and a person belongs to one staff member. If that binding is the wrong one, \
         remove it; then bind {staff_id} again."
    )
}

/// Tells people in the chat that they were not bound after all.
pub(in crate::bridge) struct UndoneNotifier {
    db: Db,
    clock: Clock,
    config: Arc<Config>,
    wechat: Client,
    accounts: Arc<Accounts>,
    tokens: Arc<Tokens>,
}

impl UndoneNotifier {
    pub(in crate::bridge) fn of(bridge: &Bridge) -> Self {
        wire!(bridge => Self { db, clock, config, wechat, accounts, tokens })
    }

    /// Tells one of them. At the most once: after an
    /// answer that did not come, nobody knows whether they have read it.
    ///
    /// # Errors
    /// If the database fails.
    pub(in crate::bridge) async fn step(&self) -> Result<Step, DbError> {
        let text = &self.config.invitations.undone_text;
        let now = self.clock.now();
        let taken = self.db.write(move |conn| -> QueryResult<_> {
            let Some(untold) = undone_binding::take_untold(conn, now)? else {
                return Ok(None);
            };
            let found = identity::of_any_project(conn, untold.identity_id)?;
            Ok(Some((untold, found)))
        });
        let Some((untold, found)) = taken.await? else {
            return Ok(Step::Idle);
        };
        let Some(identity) = found.filter(|_| !text.is_empty() && now - untold.undone_at < STALE)
        else {
            return Ok(Step::Worked);
        };
        let Ok(Some(account)) = self.accounts.by_id(identity.account_id).await else {
            return Ok(Step::Worked);
        };
        let mut content = RichText::default();
        content.words(text);
        let message = CustomText {
            touser: &identity.openid,
            content: &content,
        };
        let call = |token| async move { self.wechat.send_custom_text(&token, &message).await };
        if let Err(error) = self.tokens.call(&account, CALL, call).await {
            tracing::warn!(
                account.app_id = %account.app_id,
                identity.id = identity.id.0,
                %error,
                "a person could not be told that their binding was undone"
            );
        }
        Ok(Step::Worked)
    }
}
