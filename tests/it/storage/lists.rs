//! Lists in which what is asked for is rare and old: every page is there, each item on one of them,
//! however short the pages are, and the database reads no table whole.

#![allow(clippy::too_many_lines, reason = "tables of cases")]

use std::collections::HashSet;
use std::ops::Deref;

use diesel::{RunQueryDsl as _, sql_query};
use queqiao::db::{Conn, Engine};

use crate::support::lists::{LISTS, fill};
use crate::support::setup::OA;
use crate::support::{Fixture, Setup, TestProject};

/// More than one page looks at.
const ROWS: u32 = 10_000;

struct ListsFixture(TestProject);

impl Fixture for ListsFixture {
    async fn on(engine: Engine) -> Self {
        let project = Setup::on(engine)
            .project("one")
            .official(OA)
            .mini_program("wx00000000000000b2")
            .official("wx00000000000000c3")
            .start()
            .await;
        fill(&mut project.app.database.db().connect().unwrap(), ROWS);
        Self(project)
    }
}

impl Deref for ListsFixture {
    type Target = TestProject;

    fn deref(&self) -> &TestProject {
        &self.0
    }
}

impl ListsFixture {
    /// All pages of a list: the items in order, and how many pages there were.
    async fn all(&self, path: &str, query: &str) -> (Vec<i64>, usize) {
        let (mut ids, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = self
                .app
                .get(&self.key, &format!("{path}?limit=200&{query}{cursor}"))
                .await;
            let page = page.ok(200);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() <= 200);
            let id = |item: &serde_json::Value| {
                let number = ["id", "identity_id", "binding_id"]
                    .into_iter()
                    .find_map(|name| item[name].as_i64());
                // The others are numbered in their names.
                let named = ["staff_id", "name", "template_id"]
                    .into_iter()
                    .find_map(|name| item[name].as_str()?.get(1..)?.parse().ok());
                number.or(named).unwrap_or_else(|| panic!("{path}: {item}"))
            };
            ids.extend(items.iter().map(id));
            pages += 1;
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (ids, pages),
            }
        }
    }
}

both_engines! {
    whatever_is_asked_for_is_all_there_and_once,
    everything_that_is_measured_can_be_asked_for,
    the_table_of_people_says_what_the_identities_say,
}

async fn whatever_is_asked_for_is_all_there_and_once(lists: ListsFixture) {
    let expected: &[(&str, &str, usize)] = &[
        ("/people", "", 9_900),
        ("/people", "link_state=linked", 100),
        ("/people", "link_state=no_unionid", 100),
        ("/people", "link_state=single", 9_700),
        ("/people", "follow_state=not_following", 200),
        ("/people", "follow_state=unknown", 1_000),
        ("/people", "follow_state=following", 8_700),
        ("/people", "app_id=wx00000000000000c3", 100),
        (
            "/people",
            "app_id=wx00000000000000a1&link_state=linked",
            100,
        ),
        (
            "/people",
            "app_id=wx00000000000000b2&follow_state=following",
            0,
        ),
        (
            "/people",
            "follow_state=not_following&link_state=no_unionid",
            100,
        ),
        ("/events", "", 10_000),
        ("/events", "app_id=wx00000000000000c3", 100),
        ("/events", "kind=event.click", 100),
        ("/events", "kind=event.unsubscribe", 100),
        ("/events", "kind=event.none", 0),
        ("/events", "openid=o5", 10),
        ("/events", "openid=nobody", 0),
        ("/events", "since=1767225601&until=1767225701", 100),
        ("/events", "kind=event.click&until=1767225700", 10),
        ("/deliveries", "", 10_000),
        ("/deliveries", "state=failed", 50),
        ("/deliveries", "state=queued", 50),
        ("/deliveries", "state=sent", 50),
        ("/deliveries", "state=cancelled", 10),
        ("/deliveries", "state=delivered", 9_680),
        ("/deliveries", "reason=not_bound", 50),
        ("/deliveries", "app_id=wx00000000000000c3", 100),
        ("/deliveries", "message_type=rare", 10),
        ("/deliveries", "message_type=common", 9_990),
        ("/deliveries", "message_type=none", 0),
        ("/deliveries", "staff_id=s1", 10),
        ("/deliveries", "openid=o1", 10),
        ("/deliveries", "unionid=u1&state=failed", 10),
        ("/deliveries", "notification_id=1", 10),
        ("/deliveries", "until=1767225602", 10),
        ("/deliveries", "message_type=common&state=failed", 40),
        ("/webhooks/1/deliveries", "", 10_000),
        ("/webhooks/1/deliveries", "state=failed", 40),
        ("/webhooks/1/deliveries", "state=queued", 40),
        ("/webhooks/1/deliveries", "type=account.alert", 50),
        ("/webhooks/1/deliveries", "type=delivery.failed", 50),
        ("/webhooks/1/deliveries", "type=none", 0),
        ("/credits/low", "template_id=T1", 100),
        ("/credits/low", "template_id=T1&below=1000", 10_000),
        ("/staff", "", 1_000),
        ("/staff", "tag=few", 100),
        ("/staff", "reason=not_bound", 0),
        ("/audit", "", 10_000),
        ("/notifications", "", 1_000),
        ("/message-types", "", 100),
        ("/accounts/wx00000000000000a1/templates", "", 100),
        ("/staff/s1/invitations", "", 100),
        ("/webhooks", "", 50),
        ("/accounts/wx00000000000000a1/moved", "", 100),
    ];
    for (path, query, count) in expected {
        let (ids, pages) = lists.all(path, query).await;
        assert_eq!(ids.len(), *count, "{path}?{query}");
        let different: HashSet<i64> = ids.iter().copied().collect();
        assert_eq!(different.len(), ids.len(), "{path}?{query}: each once");
        let mut ids = ids;
        if path.ends_with("/moved") {
            ids.reverse();
        }
        assert!(
            ids.is_sorted_by(|newer, older| newer > older),
            "{path}?{query}: newest first"
        );
        assert!(
            pages <= 2 + count / 200 + ROWS as usize / 200,
            "{path}?{query}: {pages} pages"
        );
    }
}

async fn everything_that_is_measured_can_be_asked_for(lists: ListsFixture) {
    for list in LISTS {
        for query in list.queries() {
            let path = format!("{}?{query}", list.path);
            lists.app.get(&lists.key, &path).await.ok(200);
        }
    }
}

async fn the_table_of_people_says_what_the_identities_say(lists: ListsFixture) {
    let conn = &mut lists.app.database.db().connect().unwrap();
    assert_people_are_right(conn);
    for change in [
        "UPDATE identities SET unionid = NULL WHERE id = 1",
        "UPDATE identities SET unionid = 'u3' WHERE id = 102",
        "UPDATE identities SET unionid = 'new' WHERE id IN (300, 400, 5000, 9999)",
        "UPDATE identities SET unionid = 'u' || (id + 1) WHERE id BETWEEN 3000 AND 3010",
        "UPDATE identities SET account_id = 3, openid = 'moved' WHERE id = 105",
        "DELETE FROM bindings",
        "DELETE FROM credits",
        "DELETE FROM identities WHERE id IN (2, 103, 9999)",
        "DELETE FROM identities WHERE id > 9900",
        "UPDATE identities SET updated_at = created_at",
    ] {
        sql_query(change).execute(conn).unwrap();
        assert_people_are_right(conn);
    }
}

#[derive(Debug, PartialEq, diesel::QueryableByName)]
struct Wrong {
    #[diesel(sql_type = diesel::sql_types::BigInt)]
    wrong: i64,
}

/// The table of people is what its definition says.
pub(super) fn assert_people_are_right(conn: &mut Conn) {
    let wrong: Wrong = sql_query(
        "SELECT COUNT(*) AS wrong FROM ( \
             SELECT project_id, unionid, MIN(account_id) <> MAX(account_id) AS linked, MIN(id) AS oldest_id, 1 AS n \
             FROM identities WHERE unionid IS NOT NULL GROUP BY project_id, unionid \
             UNION ALL SELECT project_id, unionid, linked, oldest_id, 1 FROM people) said \
         WHERE (SELECT COUNT(*) FROM people p WHERE p.project_id = said.project_id AND p.unionid = said.unionid \
                AND p.oldest_id = said.oldest_id AND (p.linked AND said.linked OR NOT p.linked AND NOT said.linked)) <> 1 \
         OR NOT EXISTS (SELECT 1 FROM identities i WHERE i.project_id = said.project_id AND i.unionid = said.unionid)",
    )
    .get_result(conn)
    .unwrap();
    assert_eq!(wrong, Wrong { wrong: 0 });
}
