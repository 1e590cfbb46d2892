//! Identities: one openid in one account, with its follow state and profile.

mod adopt;
mod details;
mod follow;
mod hold;
pub mod migration;
pub mod openid_move;
mod profile;
mod roster;
pub mod unionid_change;
pub mod windows;

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, schema::identities, text_enum};
use crate::ids::{AccountId, IdentityId, ProjectId};

pub use adopt::{Adopted, Claim, adopt, by_openids, claim, confirm, take_back};
pub use details::{Details, details_of};
pub use follow::{
    Found, Sighting, Spot, Thought, ids_of, record_sightings, thought_to_follow, unionids_of,
};
pub use hold::{hold, hold_to_remove};
pub use profile::{
    Claimed, Delay, DueAccount, Fetched, Login, apply, ask_about, ask_unbound, claim_due, delay,
    due_accounts, fetched_at, learn, log_in, make_all_due,
};
pub use roster::{Listed, Turn, list_followers, mark_gone, plan, silent, unlinked, unlisted};

text_enum! {
    /// Whether the person follows the account, as far as is known.
    pub enum FollowState {
        /// Nothing was heard yet.
        Unknown = "unknown",
        /// Follows.
        Following = "following",
        /// Unfollowed, or never followed.
        NotFollowing = "not_following",
    }
}

text_enum! {
    /// What is known of the profile, and if there is no unionid, why.
    pub enum ProfileState {
        /// It will be fetched; `profile_error` says what went wrong so far.
        Pending = "pending",
        /// Fetched, with unionid.
        Complete = "complete",
        /// Fetched, and WeChat gave no unionid: the account is not bound to an Open Platform
        /// account. Tried again later, since it may be bound one day.
        NotBoundToOpenPlatform = "not_bound_to_open_platform",
        /// WeChat says nothing of people who do not follow.
        NotFollowing = "not_following",
        /// WeChat does not know this openid in this account (40003).
        UnknownOpenid = "unknown_openid",
        /// A mini-program learns a unionid only when the person logs in.
        LoginNeeded = "login_needed",
        /// The business brought it in, and WeChat has not told of it: neither of the openid, nor of
        /// the unionid if there is one.
        Unconfirmed = "unconfirmed",
    }
}

/// An identity as stored.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = identities)]
pub struct Identity {
    /// Row id.
    pub id: IdentityId,
    /// The project, whose accounts share unionids.
    pub project_id: ProjectId,
    /// The account that the openid belongs to.
    pub account_id: AccountId,
    /// The person's id in that account.
    pub openid: String,
    /// The person's id across the project's accounts.
    pub unionid: Option<String>,
    /// Whether they follow.
    pub follow_state: FollowState,
    /// CreateTime of the newest follow, seconds since 1970; 0 none seen, 1 known to follow
    /// without a time.
    pub followed_time: i64,
    /// CreateTime of the newest unfollow, seconds since 1970; 0 none seen.
    pub unfollowed_time: i64,
    /// WeChat's `subscribe_scene`, for example `ADD_SCENE_QR_CODE`.
    pub subscribe_scene: Option<String>,
    /// The scene of the QR code through which they followed.
    pub qr_scene: Option<String>,
    /// WeChat's `language`.
    pub language: Option<String>,
    /// The account's remark on them.
    pub remark: Option<String>,
    /// Their tag ids, a JSON array.
    pub tag_ids: Option<String>,
    /// What is known of the profile.
    pub profile_state: ProfileState,
    /// Why the last fetch failed.
    pub profile_error: Option<String>,
    /// Fetches that failed or brought no unionid since the last news.
    pub profile_attempts: i32,
    /// When it is fetched next, UTC; none: no fetch is planned.
    pub profile_due_at: Option<NaiveDateTime>,
    /// When it was last fetched, UTC.
    pub profile_fetched_at: Option<NaiveDateTime>,
    /// What they did that allows customer messages.
    #[diesel(embed)]
    pub acts: windows::WindowActivity,
    /// When the openid was first seen, UTC.
    pub created_at: NaiveDateTime,
    /// When the row last changed but for `acts`, UTC.
    pub updated_at: NaiveDateTime,
}

/// The identity of an openid in an account.
pub fn by_openid(
    conn: &mut Conn,
    account: AccountId,
    openid: &str,
) -> QueryResult<Option<Identity>> {
    identities::table
        .filter(identities::account_id.eq(account))
        .filter(identities::openid.eq(openid))
        .select(Identity::as_select())
        .first(conn)
        .optional()
}

/// The identity of that row id, within a project.
pub fn by_id(conn: &mut Conn, project: ProjectId, id: IdentityId) -> QueryResult<Option<Identity>> {
    identities::table
        .find(id)
        .filter(identities::project_id.eq(project))
        .select(Identity::as_select())
        .first(conn)
        .optional()
}

/// The identity of that row id, in whichever project.
pub fn of_any_project(conn: &mut Conn, id: IdentityId) -> QueryResult<Option<Identity>> {
    identities::table
        .find(id)
        .select(Identity::as_select())
        .first(conn)
        .optional()
}

/// The given identities of a project, oldest first.
pub fn by_ids(
    conn: &mut Conn,
    project: ProjectId,
    ids: &[IdentityId],
) -> QueryResult<Vec<Identity>> {
    identities::table
        .filter(identities::id.eq_any(ids))
        .filter(identities::project_id.eq(project))
        .order(identities::id)
        .select(Identity::as_select())
        .load(conn)
}
