//! The rules of unionids: what WeChat's word on one openid says of the person behind it.
//!
//! A person is the identities of a project that share a unionid. So linking is writing down a
//! unionid, exactly as WeChat gave it: whichever side comes first, the other joins it. A unionid
//! may appear later (the account is bound to an Open Platform account) or change (it moves to
//! another one); an answer without one never erases a known one.

use std::collections::HashMap;

use chrono::{NaiveDateTime, TimeDelta};

use super::moved::{self, Moved};
use super::one_staff;
use crate::bridge::retry::{Backoff, jitter};
use crate::bridge::webhooks::outbox::People;
use crate::config;
use crate::db::{Conn, QueryResult};
use crate::models::identity::{self, Claimed, Details, Fetched, ProfileState};
use crate::models::staff::invitation_token::shown_for;
use crate::models::storable;
use crate::wechat::error::{ApiError, Fault};
use crate::wechat::user::UserInfo;

/// How long after a follow an answer that says otherwise is doubted, seconds: WeChat's profiles are
/// sometimes behind its events.
const RECENT: i64 = 10 * 60;
/// When such an answer is asked for again; what the last one says counts.
const DOUBTS: [TimeDelta; 3] = [
    TimeDelta::seconds(5),
    TimeDelta::minutes(1),
    TimeDelta::minutes(10),
];
const DOUBTED: &str = "WeChat's profile says that the person does not follow, though they followed \
                       a moment ago. It is asked again before it counts.";
/// The `subscribe_scene` of followers whom an account took over from another one.
const MIGRATION: &str = "ADD_SCENE_ACCOUNT_MIGRATION";

/// An identity and what WeChat said of it, if anything.
pub(in crate::bridge) type Answered = (Claimed, Option<UserInfo>);

/// Joins answers to questions by openid: WeChat promises no order.
pub(in crate::bridge) fn pair(asked: Vec<Claimed>, infos: Vec<UserInfo>) -> Vec<Answered> {
    let mut by_openid: HashMap<String, UserInfo> = infos
        .into_iter()
        .map(|info| (info.openid.clone(), info))
        .collect();
    asked
        .into_iter()
        .map(|claimed| {
            let info = by_openid.remove(&claimed.openid);
            (claimed, info)
        })
        .collect()
}

/// What to store, and the identities of which WeChat said nothing.
pub(in crate::bridge) fn rows(
    answered: Vec<Answered>,
    now: NaiveDateTime,
    settings: &config::Profile,
) -> (Vec<Fetched>, Vec<Claimed>) {
    let mut missing = Vec::new();
    let rows: Vec<Fetched> = answered
        .into_iter()
        .filter_map(|(claimed, info)| match info {
            Some(info) => Some(row(&claimed, info, now, settings)),
            None => {
                missing.push(claimed);
                None
            }
        })
        .collect();
    (rows, missing)
}

fn row(
    claimed: &Claimed,
    info: UserInfo,
    now: NaiveDateTime,
    settings: &config::Profile,
) -> Fetched {
    let doubt = match info.subscribe {
        true => None,
        false => doubt(claimed, now),
    };
    let profile_state = match (&info.unionid, info.subscribe) {
        (Some(_), _) => ProfileState::Complete,
        (None, true) => ProfileState::NotBoundToOpenPlatform,
        (None, false) if doubt.is_some() => ProfileState::Pending,
        (None, false) => ProfileState::NotFollowing,
    };
    let reprobe = Backoff::seconds(
        settings.reprobe_first_seconds,
        settings.reprobe_longest_seconds,
    );
    let (attempts, due_at) = match (profile_state, doubt) {
        (_, Some(pause)) => (0, Some(now + pause)),
        // The owner may bind the account one day; nothing tells us when.
        (ProfileState::NotBoundToOpenPlatform, None) => (
            claimed.profile_attempts.saturating_add(1),
            Some(now + reprobe.pause(claimed.profile_attempts, jitter())),
        ),
        _ => (0, None),
    };
    let tag_ids = tags(&info);
    let is_migration = info.subscribe_scene.as_deref() == Some(MIGRATION);
    let text = |text: Option<String>| text.map(|text| storable(&text).into_owned());
    let qr_scene = info.qr_scene_str.or(match info.qr_scene {
        Some(0) | None => None,
        Some(scene) => Some(scene.to_string()),
    });
    Fetched {
        id: claimed.id,
        was_followed: claimed.followed_time,
        was_unfollowed: claimed.unfollowed_time,
        subscribe: info.subscribe,
        // An account migration is no act of the person: who followed before, followed then.
        subscribe_time: match is_migration && claimed.followed_time > 1 {
            true => 0,
            false => info.subscribe_time.unwrap_or_default(),
        },
        unionid: text(info.unionid),
        subscribe_scene: text(info.subscribe_scene),
        // WeChat remembers the scene with the token of an invitation, too.
        qr_scene: text(qr_scene).map(|scene| shown_for(&scene).unwrap_or(scene)),
        language: text(info.language),
        tag_ids,
        remark: text(info.remark),
        profile_state,
        error: doubt.map(|_| DOUBTED),
        due_at,
        attempts,
        doubts: match doubt {
            Some(_) => claimed.profile_doubts.saturating_add(1),
            None => 0,
        },
        now,
        details: Details {
            nickname: text(info.nickname),
            headimgurl: text(info.headimgurl),
            sex: info.sex,
            country: text(info.country),
            province: text(info.province),
            city: text(info.city),
        },
    }
}

/// The tags as they are stored. Without any: that there are none, where the answer is a whole one.
fn tags(info: &UserInfo) -> Option<String> {
    match (info.tagid_list.as_slice(), &info.remark) {
        ([], Some(_)) => Some(String::new()),
        ([], None) => None,
        (tags, _) => serde_json::to_string(tags).ok(),
    }
}

/// What storing answers entailed.
#[derive(Debug)]
pub(in crate::bridge) struct Stored {
    /// Events that were recorded for endpoints.
    pub(in crate::bridge) published: usize,
    /// Accounts of which it is to be said that their people have other unionids.
    pub(in crate::bridge) moved: Vec<Moved>,
}

/// Stores answers, and what follows from them for who listens.
pub(in crate::bridge) fn store(
    conn: &mut Conn,
    rows: &[Fetched],
    now: NaiveDateTime,
) -> QueryResult<Stored> {
    let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
    let linked = rows.iter().filter(|row| row.unionid.is_some());
    let linked: Vec<_> = linked.map(|row| row.id).collect();
    one_staff::hold(conn, &ids, &linked)?;
    let people = People::before(conn, &ids)?;
    let changed = identity::apply(conn, rows)?;
    let published = people.after(conn, &ids, now)? + one_staff::keep_one(conn, &linked, now)?;
    let moved = moved::note(conn, &changed, now)?;
    Ok(Stored {
        published: published + moved.published,
        moved: moved.accounts,
    })
}

/// Whether a follow was so lately that WeChat may not know of it everywhere.
pub(in crate::bridge) fn is_recent(followed_time: i64, now: NaiveDateTime) -> bool {
    now.and_utc().timestamp().saturating_sub(followed_time) <= RECENT
}

/// Whether WeChat says of one person that they do not follow.
pub(super) fn is_unfollowed(api: &ApiError) -> bool {
    api.fault_on("user/info") == Fault::NotFollowing
}

/// The pause before an answer that the person does not follow, or is not known, is asked for again,
/// if it contradicts a follow of the last minutes.
pub(in crate::bridge) fn doubt(claimed: &Claimed, now: NaiveDateTime) -> Option<TimeDelta> {
    let follows = claimed.followed_time > claimed.unfollowed_time;
    // Once begun, it goes on to its end.
    if !follows || !is_recent(claimed.followed_time, now) && claimed.profile_doubts == 0 {
        return None;
    }
    let asked = usize::try_from(claimed.profile_doubts).ok()?;
    DOUBTS.get(asked).copied()
}

#[cfg(test)]
mod tests;
