//! Permissions for subscription messages: a ledger for each identity and template.
//!
//! What happened is kept as entries (consents and sends) and as newest times (refusals); how many
//! one-time permissions are left is a function of these sets (see [`balance`]), so neither the order
//! in which they become known nor a repetition makes a difference. What nothing can concern any more is
//! made one opening balance (see [`fold_old`]), so that the counting does not grow with the years.

mod balance;
mod fold;
mod record;
mod spend;
mod state;
mod stated;

use chrono::NaiveDateTime;

use crate::db::prelude::*;
use crate::db::{Conn, Sql, schema::credits, schema::identities, text_enum};
use crate::ids::{AccountId, CreditId, IdentityId, ProjectId};
use crate::models::walk::{Walk, Walked};

pub use fold::{Folded, fold_old, has_old};
pub use record::{Said, Word, mark_kind, record};
pub use spend::{CreditKey, Refusal, Taken, give_back, hold, refuse, settle, take};
pub use state::{CreditBalance, balances};
pub use stated::{Stated, stated};

/// Longest template id, in characters; WeChat's have 43.
pub const TEMPLATE_ID_MAX: usize = 128;

text_enum! {
    /// What an entry of the ledger is.
    pub enum EntryKind {
        /// A consent that WeChat pushed.
        Event = "event",
        /// A consent that the business reported.
        Api = "api",
        /// What the business stated to be left, in a table that it brought in.
        Imported = "imported",
        /// A permission that a send of ours took.
        Taken = "taken",
        /// A message that WeChat reports as sent, by us or by another system of the business.
        Sent = "sent",
    }
}

/// What one identity allows one template. Times are WeChat's seconds since 1970; 0 none.
#[derive(Clone, Debug, Queryable, Selectable)]
#[diesel(table_name = credits)]
pub struct Credit {
    /// Row id.
    pub id: CreditId,
    /// The account of the identity and the template.
    pub account_id: AccountId,
    /// Who allows it.
    pub identity_id: IdentityId,
    /// What for.
    pub template_id: String,
    /// Whether the template is a long-term one, as far as anybody said so.
    pub long_term: bool,
    /// One-time permissions not used yet.
    pub one_time_left: i32,
    /// The newest consent that WeChat pushed.
    pub event_time: i64,
    /// The newest consent that the business reported.
    pub api_time: i64,
    /// The newest refusal in a pop-up.
    pub rejected_time: i64,
    /// The newest refusal in the settings, which ends all permissions given before.
    pub withdrawn_time: i64,
    /// The newest report that WeChat has banned the template.
    pub banned_time: i64,
    /// The newest send that WeChat refused with 43101.
    pub refused_time: i64,
    /// When the row last changed, UTC.
    pub updated_at: NaiveDateTime,
}

impl Credit {
    /// The newest consent.
    pub fn accepted_time(&self) -> i64 {
        self.event_time.max(self.api_time)
    }

    /// The newest refusal by the person, in a pop-up or in the settings.
    pub fn declined_time(&self) -> i64 {
        self.rejected_time.max(self.withdrawn_time)
    }

    /// Whether a message may be sent. In the same second nobody can tell which came last: then a
    /// long-term permission counts as ended.
    pub fn allows(&self) -> bool {
        match self.long_term {
            true => self.accepted_time() > self.declined_time(),
            false => self.one_time_left > 0,
        }
    }
}

/// Everything that the given identities allow, by identity and template.
pub fn of_identities(conn: &mut Conn, identities: &[IdentityId]) -> QueryResult<Vec<Credit>> {
    credits::table
        .filter(credits::identity_id.eq_any(identities))
        .order((credits::identity_id, credits::template_id))
        .select(Credit::as_select())
        .load(conn)
}

/// Whose permissions to list.
#[derive(Clone, Debug)]
pub struct LowFilter {
    /// The template.
    pub template_id: String,
    /// Fewer one-time permissions than this.
    pub below: i32,
    /// Only rows below this one.
    pub before: Option<CreditId>,
}

/// A permission, with the openid and the unionid of whose it is.
pub type Owned = (Credit, String, Option<String>);

/// Permissions that one page looks at.
const ROWS: i64 = 4_000;

/// A page of identities of these accounts that have fewer one-time permissions left, newest first,
/// with their openid and unionid. Long-term permissions do not run out.
pub fn low(
    conn: &mut Conn,
    project: ProjectId,
    accounts: &[AccountId],
    filter: &LowFilter,
    limit: i64,
) -> QueryResult<Walked<Owned>> {
    let mut walk = Walk::new("credits", ROWS, filter.before.map(|id| id.0));
    for account in accounts {
        let of_account = Sql::new("account_id = ? AND template_id = ?").bind(account.0);
        walk.branch(of_account.bind(filter.template_id.as_str()));
    }
    walk.only(Sql::new("one_time_left < ?").bind(i64::from(filter.below)));
    walk.only("NOT long_term");
    let ids = walk.ids(conn, limit)?;
    let rows = credits::table
        .inner_join(identities::table)
        .filter(credits::id.eq_any(&ids.found))
        .filter(identities::project_id.eq(project))
        .select((Credit::as_select(), identities::openid, identities::unionid))
        .load(conn)?;
    Ok(ids.with(rows, |(credit, ..): &Owned| credit.id.0))
}
