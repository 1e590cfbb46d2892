//! What the business stated of permissions that were given before Queqiao, or past it.

use diesel::sql_types::{BigInt, Nullable, Text};

use super::CreditKey;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::ids::IdentityId;

/// The `mark` of a statement that a long-term permission was given; any other is a number.
pub(super) const LONG_TERM: i64 = -1;

/// A permission, and one statement about it.
#[derive(Clone, Debug, QueryableByName)]
pub struct Stated {
    /// Whose permission.
    #[diesel(sql_type = BigInt)]
    pub identity_id: IdentityId,
    /// What for.
    #[diesel(sql_type = Text)]
    pub template_id: String,
    /// The newest consent, seconds since 1970; 0 none.
    #[diesel(sql_type = BigInt)]
    pub accepted_time: i64,
    /// The newest refusal in a pop-up; 0 none.
    #[diesel(sql_type = BigInt)]
    pub rejected_time: i64,
    /// The newest word, of the person or of WeChat, that nothing is left; 0 none.
    #[diesel(sql_type = BigInt)]
    pub ended_time: i64,
    /// When this was stated; none where nothing was.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub stated_time: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    mark: Option<i64>,
}

impl Stated {
    /// One-time permissions that were stated; none where it was a long-term one.
    pub fn left(&self) -> Option<u32> {
        self.mark.and_then(|mark| u32::try_from(mark).ok())
    }
}

/// What is known and was stated of these permissions, oldest statement first; one of which nothing
/// was ever heard is not in the answer.
pub fn stated(conn: &mut Conn, wanted: &[CreditKey<'_>]) -> QueryResult<Vec<Stated>> {
    const STATED: Batch = Batch {
        columns: &[
            ("wanted_identity", Kind::BigInt),
            ("wanted_template", Kind::Text),
        ],
        sql: "SELECT c.identity_id, c.template_id, {greatest}(c.event_time, c.api_time) AS accepted_time, \
              c.rejected_time, {greatest}(c.withdrawn_time, c.refused_time) AS ended_time, \
              e.happened_time AS stated_time, e.mark FROM {rows} \
              JOIN credits c ON c.identity_id = r.wanted_identity AND c.template_id = r.wanted_template \
              LEFT JOIN credit_entries e ON e.credit_id = c.id AND e.kind = 'imported' \
              ORDER BY e.happened_time",
    };
    STATED.load(conn, wanted)
}
