//! A database in which much of everything is alike, and what is not is the oldest.
//!
//! Written by set-based statements, the same for both engines but for a few words. It needs a project 1
//! with the accounts 1 (official), 2 (mini-program) and 3 (official).

use diesel::{RunQueryDsl as _, sql_query};
use queqiao::db::{Conn, Engine};

/// Fills an empty database with so many people, events, deliveries, and so on.
pub(crate) fn fill(conn: &mut Conn, rows: u32) {
    let tenth = rows / 10;
    for statement in STATEMENTS {
        run(conn, statement, rows, tenth);
    }
    if conn.engine() == Engine::Postgres {
        run(conn, "VACUUM ANALYZE", rows, tenth);
        // Or it would be written to the disk while the lists are measured.
        run(conn, "CHECKPOINT", rows, tenth);
    } else {
        run(conn, "ANALYZE", rows, tenth);
    }
}

fn run(conn: &mut Conn, statement: &str, rows: u32, tenth: u32) {
    let series = |count: u32| match conn.engine() {
        Engine::Postgres => format!("generate_series(1, {count}) s(n)"),
        Engine::Sqlite => format!(
            "(WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < {count}) \
             SELECT n FROM c) s"
        ),
    };
    // One row a second, so that a million are eleven and a half days.
    let time = match conn.engine() {
        Engine::Postgres => "(timestamp '2026-01-01' + n * interval '1 second')",
        Engine::Sqlite => "strftime('%Y-%m-%d %H:%M:%S', 1767225600 + n, 'unixepoch')",
    };
    let bytes = match conn.engine() {
        Engine::Postgres => "BYTEA",
        Engine::Sqlite => "BLOB",
    };
    let text = statement
        .replace("{bytes}", bytes)
        .replace("{rows}", &series(rows))
        .replace("{tenth}", &series(tenth))
        .replace("{hundredth}", &series(tenth / 10))
        .replace("{few}", &series(100))
        .replace("{last}", &rows.to_string())
        .replace("{time}", time);
    let done = sql_query(&text).execute(conn);
    assert!(done.is_ok(), "{text}: {done:?}");
}

const STATEMENTS: &[&str] = &[
    // The oldest hundred are known in account 3, the next in account 1 by the same unionid; the newest
    // tenth is in the mini-program. A few of the oldest do not follow, or have no unionid.
    "INSERT INTO identities (project_id, account_id, openid, unionid, follow_state, followed_time, \
     unfollowed_time, profile_state, profile_attempts, created_at, updated_at) \
     SELECT 1, CASE WHEN n <= 100 THEN 3 WHEN n <= {last} / 10 * 9 THEN 1 ELSE 2 END, 'o' || n, \
     CASE WHEN n <= 100 THEN 'u' || n WHEN n <= 200 THEN 'u' || (n - 100) WHEN n <= 300 THEN NULL \
     ELSE 'u' || n END, CASE WHEN n <= 200 THEN 'following' WHEN n <= 400 THEN 'not_following' \
     WHEN n <= {last} / 10 * 9 THEN 'following' ELSE 'unknown' END, 1, 0, 'complete', 0, {time}, {time} \
     FROM {rows}",
    "INSERT INTO events (account_id, create_time, received_at, state, dedup_key, kind, openid, body, \
     identity_id) SELECT CASE WHEN n <= 100 THEN 3 WHEN n <= 200 THEN 2 ELSE 1 END, 1767225600 + n, {time}, \
     CASE WHEN n <= 300 AND n > 290 THEN 2 WHEN n > {last} - 100 THEN 0 ELSE 1 END, n, \
     CASE WHEN n % 10 = 9 AND n <= 1000 THEN 'event.click' WHEN n % 10 = 8 AND n <= 1000 \
     THEN 'event.unsubscribe' ELSE 'text' END, 'o' || (n % 1000 + 1), 'x', \
     CASE WHEN n > {last} - 100 OR n <= 300 AND n > 290 THEN NULL ELSE n % 1000 + 1 END FROM {rows}",
    "INSERT INTO message_types (project_id, name, routes, created_at, updated_at) \
     SELECT 1, 't' || n, '[]', {time}, {time} FROM {few}",
    "INSERT INTO notifications (project_id, message_type, routes, params, priority, nonce, created_at) \
     SELECT 1, CASE WHEN n = 1 THEN 'rare' ELSE 'common' END, '[]', '{}', 'normal', n, \
     (SELECT created_at FROM identities WHERE id = n * 10 - 9) FROM {tenth}",
    "INSERT INTO deliveries (notification_id, project_id, staff_id, account_id, identity_id, openid, route, \
     priority, state, reason, attempts, spent, begun_at, due_at, msgid, sent_at, created_at) \
     SELECT (n + 9) / 10, 1, CASE WHEN n <= 10 THEN 's1' ELSE 's' || (n % 100000 + 2) END, \
     CASE WHEN n <= 100 THEN 3 WHEN n <= 200 THEN 2 ELSE 1 END, \
     CASE WHEN n <= 10 THEN 1 ELSE n % ({last} / 10) + 2 END, \
     CASE WHEN n <= 10 THEN 'o1' ELSE 'o' || (n % ({last} / 10) + 2) END, 0, 1, \
     CASE WHEN n <= 50 THEN 'failed' WHEN n <= 100 THEN 'unreachable' WHEN n <= 150 THEN 'unknown' \
     WHEN n <= 200 THEN 'no_receipt' WHEN n <= 250 THEN 'queued' WHEN n <= 300 THEN 'sent' \
     WHEN n <= 310 THEN 'expired' WHEN n <= 320 THEN 'cancelled' ELSE 'delivered' END, \
     CASE WHEN n <= 50 THEN 'refused' WHEN n <= 100 THEN 'not_bound' WHEN n <= 150 THEN 'gave_up' \
     WHEN n <= 200 THEN 'no_receipt' WHEN n > 300 AND n <= 320 THEN 'too_late' END, 1, 0, {time}, \
     CASE WHEN n > 200 AND n <= 250 THEN {time} END, CASE WHEN n > 250 THEN n END, {time}, \
     (SELECT created_at FROM notifications WHERE id = (n + 9) / 10) FROM {rows}",
    "INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome) \
     SELECT n, 1, {time}, {time}, 'accepted' FROM {rows}",
    "INSERT INTO staff (project_id, staff_id, created_at, updated_at) \
     SELECT 1, 's' || n, {time}, {time} FROM {tenth}",
    "INSERT INTO bindings (project_id, staff_row_id, identity_id, created_at) \
     SELECT 1, n, n, {time} FROM {tenth}",
    "INSERT INTO bindings (project_id, staff_row_id, unionid, created_at) \
     SELECT 1, n, 'old' || n, {time} FROM {tenth}",
    // The last of those bound by a unionid came with another one.
    "INSERT INTO unionid_changes (identity_id, old_unionid, new_unionid, project_id, account_id, changed_at) \
     SELECT n + 1000, 'old' || (n + {last} / 10 - 100), 'u' || (n + 1000), 1, 1, {time} FROM {few}",
    "INSERT INTO staff_tags (staff_row_id, project_id, tag) SELECT n, 1, 'all' FROM {tenth}",
    "INSERT INTO staff_tags (staff_row_id, project_id, tag) SELECT n, 1, 'few' FROM {few}",
    "INSERT INTO webhooks (project_id, url, events, state, state_at, sealed_secret, lane, failures, created_at, \
     updated_at) SELECT 1, 'https://example.com/' || n, '[\"*\"]', 'enabled', {time}, '', 0, 0, {time}, {time} \
     FROM {few} WHERE n <= 50",
    "INSERT INTO webhook_messages (webhook_id, uid, kind, body, state, attempts, due_at, created_at) \
     SELECT 1, 'm' || n, CASE WHEN n <= 50 THEN 'account.alert' WHEN n <= 100 THEN 'delivery.failed' \
     ELSE 'delivery.sent' END, '{}', CASE WHEN n <= 40 THEN 'failed' WHEN n <= 80 THEN 'queued' ELSE 'sent' END, \
     1, CASE WHEN n > 40 AND n <= 80 THEN {time} END, {time} FROM {rows}",
    "INSERT INTO webhook_messages (webhook_id, uid, kind, body, state, attempts, due_at, created_at) \
     SELECT n % 49 + 2, 'w' || n, 'delivery.sent', '{}', 'queued', 0, {time}, {time} FROM {tenth}",
    "INSERT INTO audit (project_id, api_key_id, api_key_name, action, created_at) \
     SELECT 1, 1, 'bench', 'access_token.lent', {time} FROM {rows}",
    "INSERT INTO templates (account_id, template_id, kind, title, content, keys, first_seen_at, last_seen_at) \
     SELECT 1, 'T' || n, 'template', 't', 'c', '[]', {time}, {time} FROM {few}",
    "INSERT INTO credits (account_id, identity_id, template_id, long_term, one_time_left, event_time, api_time, \
     rejected_time, withdrawn_time, banned_time, refused_time, updated_at) \
     SELECT 2, n, 'T1', FALSE, CASE WHEN n <= 100 THEN 0 ELSE 5 END, 1, 0, 0, 0, 0, 0, {time} FROM {rows}",
    "INSERT INTO invitations (project_id, staff_row_id, account_id, token_hash, rebind, created_at, expires_at) \
     SELECT 1, 1, 1, CAST('h' || n AS {bytes}), FALSE, {time}, {time} FROM {hundredth}",
];
