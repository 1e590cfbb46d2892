//! Whether messages may be sent, for many identities and templates at a time.

use diesel::sql_types::{BigInt, Bool, Text};

use super::CreditKey;
use crate::db::Conn;
use crate::db::batch::{Batch, Kind};
use crate::db::prelude::*;
use crate::ids::IdentityId;

/// What an identity allows a template, in short.
#[derive(Clone, Debug, PartialEq, Eq, QueryableByName)]
pub struct CreditBalance {
    /// Who.
    #[diesel(sql_type = BigInt)]
    pub identity_id: IdentityId,
    /// What for.
    #[diesel(sql_type = Text)]
    pub template_id: String,
    /// As [`Credit::allows`](super::Credit::allows).
    #[diesel(sql_type = Bool)]
    pub allows: bool,
    /// Whether the last word of the person was a refusal.
    #[diesel(sql_type = Bool)]
    pub declined: bool,
}

/// How each of these stands; one of which nothing was ever heard is not in the answer.
pub fn balances(conn: &mut Conn, wanted: &[CreditKey<'_>]) -> QueryResult<Vec<CreditBalance>> {
    const STANDINGS: Batch = Batch {
        columns: &[
            ("wanted_identity", Kind::BigInt),
            ("wanted_template", Kind::Text),
        ],
        sql: "SELECT identity_id, template_id, \
              CASE WHEN long_term THEN {greatest}(event_time, api_time) > \
              {greatest}(rejected_time, withdrawn_time) ELSE one_time_left > 0 END AS allows, \
              {greatest}(rejected_time, withdrawn_time) > {greatest}(event_time, api_time) AS declined \
              FROM {rows} JOIN credits ON identity_id = r.wanted_identity \
              AND template_id = r.wanted_template",
    };
    STANDINGS.load(conn, wanted)
}
