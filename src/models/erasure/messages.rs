//! What endpoints are told of the person.

use diesel::sql_query;
use diesel::sql_types::Text;

use super::{Subject, names_one, window, with_words};
use crate::db::Conn;
use crate::db::prelude::*;
use crate::db::schema::webhook_messages as m;
use crate::ids::{IdentityId, ProjectId, WebhookMessageId};

/// Deletes the next `rows` messages behind `after` that name the person, except those of one kind:
/// that which tells of the erasure. Returns up to which id it went (none at the end), and how many.
pub fn delete_messages(
    conn: &mut Conn,
    project: ProjectId,
    subject: &Subject,
    spared: &str,
    (after, rows): (i64, i64),
) -> QueryResult<(Option<i64>, usize)> {
    let Some(upto) = window(conn, "webhook_messages", after, rows)? else {
        return Ok((None, 0));
    };
    let engine = conn.engine();
    let sql = format!(
        "{words} DELETE FROM webhook_messages WHERE id > {after} AND id <= {upto} \
         AND webhook_id IN (SELECT id FROM webhooks WHERE project_id = {project}) \
         AND kind <> '{spared}' AND ({of_them} OR {named})",
        words = with_words(engine),
        of_them = of_identities(&subject.identity_ids()),
        named = names_one(engine, "webhook_messages.body"),
    );
    let deleted = sql_query(sql)
        .bind::<Text, _>(subject.words_json())
        .execute(conn)?;
    Ok((Some(upto), deleted))
}

/// The same for the second look, which knows only the identities.
pub fn delete_messages_to(
    conn: &mut Conn,
    project: ProjectId,
    ids: &[IdentityId],
    spared: &str,
    (after, rows): (i64, i64),
) -> QueryResult<(Option<i64>, usize)> {
    let Some(upto) = window(conn, "webhook_messages", after, rows)? else {
        return Ok((None, 0));
    };
    let sql = format!(
        "DELETE FROM webhook_messages WHERE id > {after} AND id <= {upto} \
         AND webhook_id IN (SELECT id FROM webhooks WHERE project_id = {project}) \
         AND kind <> '{spared}' AND {of_them}",
        of_them = of_identities(ids),
    );
    Ok((Some(upto), sql_query(sql).execute(conn)?))
}

/// The condition that a message is kept in order with those of one of the identities.
fn of_identities(ids: &[IdentityId]) -> String {
    let mut people = "''".to_owned();
    for id in ids {
        people += &format!(",'i{id}'");
    }
    format!("COALESCE(person, '') IN ({people}) AND person IS NOT NULL")
}

/// Puts another body in the place of a message's, and forgets what the endpoint said to it.
pub fn replace_body(conn: &mut Conn, id: WebhookMessageId, body: &str) -> QueryResult<()> {
    diesel::update(m::table.find(id))
        .set((m::body.eq(body), m::last_answer.eq(None::<String>)))
        .execute(conn)
        .map(drop)
}
