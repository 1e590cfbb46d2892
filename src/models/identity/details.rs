//! What WeChat tells of a person beside the follow state: name, picture, sex and where they are
//! from. Withdrawn in 2021; older and partner accounts still get it.

use std::collections::HashMap;

use chrono::NaiveDateTime;
use diesel::sql_types::{Integer, Nullable, Text};
use serde::Serialize;
use utoipa::ToSchema;

use crate::db::batch::{Batch, Kind, timestamp};
use crate::db::prelude::*;
use crate::db::{Conn, schema::profile_details};
use crate::ids::IdentityId;

/// Details of a person, under WeChat's names. Strangers' text: whoever shows it has to escape it.
#[derive(
    Clone,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Queryable,
    Selectable,
    QueryableByName,
    ToSchema,
)]
#[schema(as = ProfileDetails)]
#[diesel(table_name = profile_details)]
pub struct Details {
    /// The name that the person chose.
    #[diesel(sql_type = Nullable<Text>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
    /// URL of the person's picture.
    #[diesel(sql_type = Nullable<Text>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headimgurl: Option<String>,
    /// 1 male, 2 female.
    #[diesel(sql_type = Nullable<Integer>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sex: Option<i32>,
    /// As the person entered it.
    #[diesel(sql_type = Nullable<Text>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// As the person entered it.
    #[diesel(sql_type = Nullable<Text>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub province: Option<String>,
    /// As the person entered it.
    #[diesel(sql_type = Nullable<Text>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
}

impl Details {
    /// Whether WeChat told nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The details of one identity.
#[derive(Debug, Serialize)]
pub(super) struct NewDetails<'a> {
    pub(super) id: IdentityId,
    #[serde(flatten)]
    pub(super) details: &'a Details,
    #[serde(serialize_with = "timestamp")]
    pub(super) now: NaiveDateTime,
}

/// Stores what was told. A value is never overwritten by an empty one: answers without details are
/// the rule, and do not mean that the person has none.
pub(super) fn keep(conn: &mut Conn, rows: &[NewDetails<'_>]) -> QueryResult<usize> {
    const KEEP: Batch = Batch {
        columns: &[
            ("id", Kind::BigInt),
            ("nickname", Kind::Text),
            ("headimgurl", Kind::Text),
            ("sex", Kind::Integer),
            ("country", Kind::Text),
            ("province", Kind::Text),
            ("city", Kind::Text),
            ("now", Kind::Timestamp),
        ],
        // Joined, so that one who was removed meanwhile does not fail the others.
        sql: "INSERT INTO profile_details (identity_id, nickname, headimgurl, sex, country, \
              province, city, updated_at) \
              SELECT i.id, r.nickname, r.headimgurl, r.sex, r.country, r.province, r.city, r.now \
              FROM {rows} JOIN identities i ON i.id = r.id WHERE TRUE \
              ON CONFLICT (identity_id) DO UPDATE SET \
              nickname = COALESCE(excluded.nickname, profile_details.nickname), \
              headimgurl = COALESCE(excluded.headimgurl, profile_details.headimgurl), \
              sex = COALESCE(excluded.sex, profile_details.sex), \
              country = COALESCE(excluded.country, profile_details.country), \
              province = COALESCE(excluded.province, profile_details.province), \
              city = COALESCE(excluded.city, profile_details.city), \
              updated_at = excluded.updated_at",
    };
    KEEP.execute(conn, rows)
}

/// The details of those of the given identities who have any.
pub fn details_of(
    conn: &mut Conn,
    ids: &[IdentityId],
) -> QueryResult<HashMap<IdentityId, Details>> {
    let rows: Vec<(IdentityId, Details)> = profile_details::table
        .filter(profile_details::identity_id.eq_any(ids))
        .select((profile_details::identity_id, Details::as_select()))
        .load(conn)?;
    Ok(rows.into_iter().collect())
}
