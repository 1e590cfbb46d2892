//! What became of an account's templates since they were last listed. Pure.

use std::collections::{HashMap, HashSet};

use chrono::NaiveDateTime;

use super::Synced;
use crate::ids::AccountId;
use crate::models::account::template::{Kind, Row, Template};
use crate::wechat::library::{ListedTemplate, TemplateKind};

/// The rows to store, and what they mean.
pub(super) struct Diff {
    pub(super) rows: Vec<Row>,
    pub(super) synced: Synced,
}

/// Compares what is stored with what WeChat lists now.
pub(super) fn diff(
    account: AccountId,
    stored: &[Template],
    listed: Vec<ListedTemplate>,
    now: NaiveDateTime,
) -> Diff {
    let known: HashMap<&str, &Template> = stored
        .iter()
        .map(|template| (template.template_id.as_str(), template))
        .collect();
    let mut synced = Synced::default();
    let mut rows = Vec::with_capacity(listed.len());
    let mut seen = HashSet::new();
    for template in listed {
        let row = fresh(account, &template, now);
        if !seen.insert(row.template_id.clone()) {
            continue;
        }
        let id = || row.template_id.clone();
        match known.get(row.template_id.as_str()) {
            None => {
                synced.added.push(id());
                rows.push(row);
            }
            Some(known) => {
                if known.gone_at.is_some() {
                    synced.returned.push(id());
                }
                if is_changed(known, &row) {
                    synced.changed.push(id());
                }
                rows.push(after(known, row, now));
            }
        }
    }
    synced.total = rows.len();
    for template in stored {
        if template.gone_at.is_none() && !seen.contains(&template.template_id) {
            synced.gone.push(template.template_id.clone());
            rows.push(gone(template, now));
        }
    }
    Diff { rows, synced }
}

fn fresh(account: AccountId, listed: &ListedTemplate, now: NaiveDateTime) -> Row {
    Row {
        account_id: account,
        template_id: storable(&listed.template_id),
        kind: match listed.kind {
            TemplateKind::Template => Kind::Template,
            TemplateKind::OneTime => Kind::OneTime,
            TemplateKind::LongTerm => Kind::LongTerm,
        },
        title: storable(&listed.title),
        content: storable(&listed.content),
        keys: serde_json::to_string(&listed.keys).unwrap_or_else(|_| "[]".to_owned()),
        first_seen_at: now,
        last_seen_at: now,
        gone_at: None,
        changed_at: None,
        previous_title: None,
        previous_content: None,
        first_title: None,
        first_content: None,
        first_keys: None,
    }
}

/// PostgreSQL holds no U+0000. Line breaks belong to a content.
fn storable(text: &str) -> String {
    text.replace('\0', "")
}

fn is_changed(known: &Template, row: &Row) -> bool {
    known.kind != row.kind
        || known.title != row.title
        || known.content != row.content
        || known.keys != row.keys
}

fn after(known: &Template, row: Row, now: NaiveDateTime) -> Row {
    let is_changed = is_changed(known, &row);
    let (changed_at, previous_title, previous_content) = match is_changed {
        true => (
            Some(now),
            Some(known.title.clone()),
            Some(known.content.clone()),
        ),
        false => (
            known.changed_at,
            known.previous_title.clone(),
            known.previous_content.clone(),
        ),
    };
    // Before its first change it is what it was at first.
    let is_first = is_changed && known.changed_at.is_none();
    let first = |known: &str, stored: &Option<String>| match is_first {
        true => Some(known.to_owned()),
        false => stored.clone(),
    };
    Row {
        changed_at,
        previous_title,
        previous_content,
        first_title: first(&known.title, &known.first_title),
        first_content: first(&known.content, &known.first_content),
        first_keys: first(&known.keys, &known.first_keys),
        ..row
    }
}

fn gone(known: &Template, now: NaiveDateTime) -> Row {
    Row {
        account_id: known.account_id,
        template_id: known.template_id.clone(),
        kind: known.kind,
        title: known.title.clone(),
        content: known.content.clone(),
        keys: known.keys.clone(),
        first_seen_at: known.first_seen_at,
        last_seen_at: known.last_seen_at,
        gone_at: Some(now),
        changed_at: known.changed_at,
        previous_title: known.previous_title.clone(),
        previous_content: known.previous_content.clone(),
        first_title: known.first_title.clone(),
        first_content: known.first_content.clone(),
        first_keys: known.first_keys.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::TemplateRowId;
    use crate::wechat::library;

    fn at(seconds: i64) -> NaiveDateTime {
        chrono::DateTime::from_timestamp(seconds, 0)
            .unwrap()
            .naive_utc()
    }

    fn listed(id: &str, content: &str) -> ListedTemplate {
        ListedTemplate {
            template_id: id.to_owned(),
            kind: TemplateKind::Template,
            title: "t".to_owned(),
            content: content.to_owned(),
            keys: library::keys(content),
        }
    }

    /// What the rows would be once stored.
    fn stored(rows: Vec<Row>) -> Vec<Template> {
        let row = |row: Row| Template {
            id: TemplateRowId(1),
            account_id: row.account_id,
            template_id: row.template_id,
            kind: row.kind,
            title: row.title,
            content: row.content,
            keys: row.keys,
            first_seen_at: row.first_seen_at,
            last_seen_at: row.last_seen_at,
            gone_at: row.gone_at,
            changed_at: row.changed_at,
            previous_title: row.previous_title,
            previous_content: row.previous_content,
            first_title: row.first_title,
            first_content: row.first_content,
            first_keys: row.first_keys,
        };
        rows.into_iter().map(row).collect()
    }

    #[test]
    fn a_template_is_added_and_changed() {
        let account = AccountId(1);
        let first = diff(
            account,
            &[],
            vec![listed("A", "{{thing1.DATA}}"), listed("A", "")],
            at(1),
        );
        assert_eq!(
            (first.synced.total, first.rows.len()),
            (1, 1),
            "each id once"
        );
        assert_eq!(first.synced.added, ["A"]);
        let same = diff(
            account,
            &stored(first.rows),
            vec![listed("A", "{{thing1.DATA}}")],
            at(2),
        );
        assert_eq!(
            same.synced,
            Synced {
                total: 1,
                ..Synced::default()
            }
        );
        assert_eq!(
            (same.rows[0].last_seen_at, same.rows[0].changed_at),
            (at(2), None)
        );
        let other = diff(
            account,
            &stored(same.rows),
            vec![listed("A", "{{thing2.DATA}}\0\n")],
            at(3),
        );
        assert_eq!(other.synced.changed, ["A"]);
        assert_eq!(other.rows[0].content, "{{thing2.DATA}}\n");
        assert_eq!(
            other.rows[0].previous_content.as_deref(),
            Some("{{thing1.DATA}}")
        );
    }

    #[test]
    fn a_template_is_gone_once_and_may_come_back() {
        let account = AccountId(1);
        let mut known = diff(account, &[], vec![listed("A", "{{thing2.DATA}}")], at(3)).rows;
        known[0].changed_at = Some(at(2));
        known[0].previous_content = Some("{{thing1.DATA}}".to_owned());
        let gone = diff(account, &stored(known), vec![], at(4));
        assert_eq!(
            (gone.synced.total, &gone.synced.gone),
            (0, &vec!["A".to_owned()])
        );
        assert_eq!(
            (gone.rows[0].gone_at, gone.rows[0].last_seen_at),
            (Some(at(4)), at(3))
        );
        let after = stored(gone.rows);
        let still = diff(account, &after, vec![], at(5));
        assert!(
            still.rows.is_empty() && still.synced.gone.is_empty(),
            "gone once"
        );
        let back = diff(account, &after, vec![listed("A", "{{thing2.DATA}}")], at(6));
        assert_eq!(
            (&back.synced.returned, &back.synced.changed),
            (&vec!["A".to_owned()], &vec![])
        );
        let row = &back.rows[0];
        assert_eq!((row.gone_at, row.changed_at), (None, Some(at(2))));
        assert_eq!(
            row.previous_content.as_deref(),
            Some("{{thing1.DATA}}"),
            "kept"
        );
    }
}
