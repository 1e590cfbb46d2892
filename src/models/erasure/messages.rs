//! What endpoints are told of the person.

use diesel::sql_types::{BigInt, Text};

use super::{Subject, window};
use crate::db::prelude::*;
use crate::db::schema::webhook_messages as m;
use crate::db::{Conn, json, statement};
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
    let deleted = statement(
        conn,
        "WITH words AS MATERIALIZED (SELECT value AS word FROM {list_1}) \
         DELETE FROM webhook_messages WHERE id > $2 AND id <= $3 \
         AND webhook_id IN (SELECT id FROM webhooks WHERE project_id = $4) AND kind <> $5 \
         AND (COALESCE(person, '') {in_words_6} AND person IS NOT NULL OR EXISTS ( \
             SELECT 1 FROM words WHERE {position}(webhook_messages.body, words.word) > 0))",
    )
    .bind::<Text, _>(subject.words_json())
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(upto)
    .bind::<BigInt, _>(project)
    .bind::<Text, _>(spared)
    .bind::<Text, _>(json(&people(&subject.identity_ids()))?)
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
    let deleted = statement(
        conn,
        "DELETE FROM webhook_messages WHERE id > $1 AND id <= $2 \
         AND webhook_id IN (SELECT id FROM webhooks WHERE project_id = $3) AND kind <> $4 \
         AND COALESCE(person, '') {in_words_5} AND person IS NOT NULL",
    )
    .bind::<BigInt, _>(after)
    .bind::<BigInt, _>(upto)
    .bind::<BigInt, _>(project)
    .bind::<Text, _>(spared)
    .bind::<Text, _>(json(&people(ids))?)
    .execute(conn)?;
    Ok((Some(upto), deleted))
}

/// The persons with whose messages those of one of the identities are kept in order.
fn people(ids: &[IdentityId]) -> Vec<String> {
    ids.iter().map(|id| format!("i{id}")).collect()
}

/// Puts another body in the place of a message's, and forgets what the endpoint said to it.
pub fn replace_body(conn: &mut Conn, id: WebhookMessageId, body: &str) -> QueryResult<()> {
    diesel::update(m::table.find(id))
        .set((m::body.eq(body), m::last_answer.eq(None::<String>)))
        .execute(conn)
        .map(drop)
}
