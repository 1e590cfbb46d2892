//! What events tell: read back in the transaction of the effect, in one statement for a batch.

use diesel::sql_types::{BigInt, Integer, Nullable, Text, Timestamp};
use serde::Serialize;

use crate::db::Conn;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::ids::{AccountId, DeliveryId, IdentityId, NotificationId, ProjectId};
use crate::models::delivery::DeliveryState;
use crate::models::identity::{Details, FollowState, Spot};

/// What was known of an openid before a batch of events.
#[derive(Clone, Debug, QueryableByName)]
pub struct Known {
    /// The account.
    #[diesel(sql_type = BigInt)]
    pub account_id: AccountId,
    /// The openid.
    #[diesel(sql_type = Text)]
    pub openid: String,
    /// CreateTime of the newest follow.
    #[diesel(sql_type = BigInt)]
    pub followed_time: i64,
    /// CreateTime of the newest unfollow.
    #[diesel(sql_type = BigInt)]
    pub unfollowed_time: i64,
    /// CreateTime of the newest follow that an event has told of.
    #[diesel(sql_type = BigInt)]
    pub followed_event: i64,
}

/// What is known of many openids; nothing of one that is new. They are held, in the order in which events
/// are applied to them, so that it stays true until they are.
pub fn known(conn: &mut Conn, spots: &[Spot<'_>]) -> QueryResult<Vec<Known>> {
    const KNOWN: Batch = Batch {
        columns: &[("account_id", Kind::BigInt), ("openid", Kind::Text)],
        sql: "SELECT c.account_id, c.openid, c.followed_time, c.unfollowed_time, \
              COALESCE(c.followed_event, c.followed_time) AS followed_event FROM {rows} \
              JOIN identities c ON c.account_id = r.account_id AND c.openid = r.openid \
              ORDER BY c.account_id, c.openid {bytewise} {hold_c}",
    };
    KNOWN.load(conn, spots)
}

#[derive(Serialize)]
struct Id<T> {
    id: T,
}

fn ids<T: Copy>(ids: &[T]) -> Vec<Id<T>> {
    ids.iter().map(|id| Id { id: *id }).collect()
}

/// An identity, with the staff member that the person is.
#[derive(Clone, Debug, QueryableByName)]
pub struct IdentityFact {
    /// The identity.
    #[diesel(sql_type = BigInt)]
    pub identity_id: IdentityId,
    /// The project.
    #[diesel(sql_type = BigInt)]
    pub project_id: ProjectId,
    /// The account's app id.
    #[diesel(sql_type = Text)]
    pub app_id: String,
    /// The openid.
    #[diesel(sql_type = Text)]
    pub openid: String,
    /// The person's unionid.
    #[diesel(sql_type = Nullable<Text>)]
    pub unionid: Option<String>,
    /// The QR scene of the newest follow.
    #[diesel(sql_type = Nullable<Text>)]
    pub qr_scene: Option<String>,
    /// The staff member: bound to this identity, to another one of the person, or to the unionid.
    #[diesel(sql_type = Nullable<Text>)]
    pub staff_id: Option<String>,
    /// Name, picture and the like, where WeChat tells them.
    #[diesel(embed)]
    pub details: Details,
}

/// Who many identities are.
pub fn identities(conn: &mut Conn, wanted: &[IdentityId]) -> QueryResult<Vec<IdentityFact>> {
    const IDENTITIES: Batch = Batch {
        columns: &[("id", Kind::BigInt)],
        sql: "SELECT i.id AS identity_id, i.project_id, a.app_id, i.openid, i.unionid, \
              i.qr_scene, d.nickname, d.headimgurl, d.sex, d.country, d.province, d.city, COALESCE( \
                  (SELECT MIN(s.staff_id) FROM bindings b JOIN staff s ON s.id = b.staff_row_id \
                   WHERE b.identity_id = i.id), \
                  (SELECT MIN(s.staff_id) FROM bindings b JOIN staff s ON s.id = b.staff_row_id \
                   WHERE b.project_id = i.project_id AND b.unionid = i.unionid), \
                  (SELECT MIN(s.staff_id) FROM identities o JOIN bindings b ON b.identity_id = o.id \
                   JOIN staff s ON s.id = b.staff_row_id \
                   WHERE o.project_id = i.project_id AND o.unionid = i.unionid)) AS staff_id \
              FROM {rows} JOIN identities i ON i.id = r.id JOIN accounts a ON a.id = i.account_id \
              LEFT JOIN profile_details d ON d.identity_id = i.id",
    };
    IDENTITIES.load(conn, &ids(wanted))
}

/// What can change of an identity.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = crate::db::schema::identities)]
pub struct IdentityState {
    /// The identity.
    pub id: IdentityId,
    /// The project.
    pub project_id: ProjectId,
    /// The person's unionid.
    pub unionid: Option<String>,
    /// Whether they follow.
    pub follow_state: FollowState,
}

/// How many identities stand.
pub fn identity_states(conn: &mut Conn, wanted: &[IdentityId]) -> QueryResult<Vec<IdentityState>> {
    use crate::db::schema::identities as i;
    i::table
        .filter(i::id.eq_any(wanted))
        .select(IdentityState::as_select())
        .load(conn)
}

/// An identity of a person, by the unionid.
#[derive(Clone, Debug, QueryableByName)]
pub struct OfPerson {
    /// The identity of which it is a sibling.
    #[diesel(sql_type = BigInt)]
    pub origin: IdentityId,
    /// The identity.
    #[diesel(sql_type = BigInt)]
    pub identity_id: IdentityId,
    /// The account's app id.
    #[diesel(sql_type = Text)]
    pub app_id: String,
    /// The openid.
    #[diesel(sql_type = Text)]
    pub openid: String,
}

/// All identities of the people whom the given identities are, these among them.
pub fn identities_of_people(conn: &mut Conn, wanted: &[IdentityId]) -> QueryResult<Vec<OfPerson>> {
    const SIBLINGS: Batch = Batch {
        columns: &[("id", Kind::BigInt)],
        sql: "SELECT i.id AS origin, o.id AS identity_id, a.app_id, o.openid FROM {rows} \
              JOIN identities i ON i.id = r.id \
              JOIN identities o ON o.project_id = i.project_id AND o.unionid = i.unionid \
              JOIN accounts a ON a.id = o.account_id ORDER BY o.id",
    };
    SIBLINGS.load(conn, &ids(wanted))
}

/// A delivery as it stands.
#[derive(Clone, Debug, QueryableByName)]
pub struct DeliveryFact {
    /// The delivery.
    #[diesel(sql_type = BigInt)]
    pub delivery_id: DeliveryId,
    /// Its notification.
    #[diesel(sql_type = BigInt)]
    pub notification_id: NotificationId,
    /// The project.
    #[diesel(sql_type = BigInt)]
    pub project_id: ProjectId,
    /// The notification's message type.
    #[diesel(sql_type = Text)]
    pub message_type: String,
    /// The staff member, as the app named them; none for a person who is not one.
    #[diesel(sql_type = Nullable<Text>)]
    pub staff_id: Option<String>,
    /// The person, where they were not asked for by staff id, as JSON.
    #[diesel(sql_type = Nullable<Text>)]
    pub recipient: Option<String>,
    /// The account of the route taken.
    #[diesel(sql_type = Nullable<Text>)]
    pub app_id: Option<String>,
    /// The identity it went to.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub identity_id: Option<IdentityId>,
    /// That identity's openid.
    #[diesel(sql_type = Nullable<Text>)]
    pub openid: Option<String>,
    /// The person's unionid.
    #[diesel(sql_type = Nullable<Text>)]
    pub unionid: Option<String>,
    /// Which route, from 0.
    #[diesel(sql_type = Nullable<Integer>)]
    pub route: Option<i32>,
    /// How far it has come.
    #[diesel(sql_type = Text)]
    pub state: DeliveryState,
    /// A stable word for why.
    #[diesel(sql_type = Nullable<Text>)]
    pub reason: Option<String>,
    /// The same in a sentence.
    #[diesel(sql_type = Nullable<Text>)]
    pub detail: Option<String>,
    /// Tries so far.
    #[diesel(sql_type = Integer)]
    pub attempts: i32,
    /// WeChat's id of the message.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub msgid: Option<i64>,
    /// When WeChat accepted it, UTC.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub sent_at: Option<chrono::NaiveDateTime>,
    /// When it came to its end, UTC.
    #[diesel(sql_type = Nullable<Timestamp>)]
    pub finished_at: Option<chrono::NaiveDateTime>,
}

/// How many deliveries stand.
pub fn deliveries(conn: &mut Conn, wanted: &[DeliveryId]) -> QueryResult<Vec<DeliveryFact>> {
    const DELIVERIES: Batch = Batch {
        columns: &[("id", Kind::BigInt)],
        sql: "SELECT d.id AS delivery_id, d.notification_id, d.project_id, n.message_type, \
              d.staff_id, d.recipient, a.app_id, d.identity_id, d.openid, i.unionid, d.route, d.state, \
              d.reason, d.detail, d.attempts, d.msgid, d.sent_at, d.finished_at FROM {rows} \
              JOIN deliveries d ON d.id = r.id JOIN notifications n ON n.id = d.notification_id \
              LEFT JOIN accounts a ON a.id = d.account_id \
              LEFT JOIN identities i ON i.id = d.identity_id ORDER BY d.id",
    };
    DELIVERIES.load(conn, &ids(wanted))
}
