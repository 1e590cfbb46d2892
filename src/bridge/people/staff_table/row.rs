//! One row of a table of staff, before anything is looked up.

use std::collections::BTreeSet;

use utoipa::ToSchema;

use super::cells;
use crate::bridge::limits::{self, ID_MAX, NAME_MAX, TAG_MAX, TAGS_MAX};
use crate::bridge::people::staff;
use crate::bridge::people::table::Fault;
use crate::ids::text::TextId;
use crate::models::staff::Person;

const INVALID: &str = "invalid_field";

/// A row as its file or request has it; what is not given, or empty, is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(as = StaffRow)]
pub struct Raw {
    /// The business's own id.
    pub staff_id: Option<String>,
    /// A name for people.
    pub name: Option<String>,
    /// All tags; an empty list takes them away.
    pub tags: Option<Vec<String>>,
    /// A phone number.
    pub phone: Option<String>,
    /// The account of the openid.
    pub app_id: Option<String>,
    /// Who they are in that account.
    pub openid: Option<String>,
    /// Who they are in all accounts.
    pub unionid: Option<String>,
}

/// What a row says. What it does not say stays as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The business's own id.
    pub staff_id: String,
    /// A name for people.
    pub name: Option<String>,
    /// All tags.
    pub tags: Option<BTreeSet<String>>,
    /// A phone number, in the form in which it is stored.
    pub phone: Option<String>,
    /// Whom to bind them to: by an openid or a unionid.
    pub person: Option<Person>,
}

impl Row {
    /// Checks what can be checked without a look at what is stored.
    pub(super) fn read(raw: Raw) -> Result<Self, Fault> {
        let given = |text: Option<String>| text.filter(|text| !text.is_empty());
        let staff_id = given(raw.staff_id).ok_or_else(|| {
            let detail = "There is no staff_id: give one, or leave the row out.";
            Fault::new("missing_field", "staff_id", detail)
        })?;
        check("staff_id", TextId::StaffId, &staff_id)?;
        let name = given(raw.name);
        if let Some(name) = &name {
            text("name", name, NAME_MAX)?;
        }
        let phone = given(raw.phone).map(|text| {
            let read = staff::phone(&text);
            read.map_err(|rule| Fault::new(INVALID, "phone", format!("phone {rule}.")))
        });
        Ok(Self {
            staff_id,
            name,
            tags: raw.tags.map(tags).transpose()?,
            phone: phone.transpose()?,
            person: person(given(raw.app_id), given(raw.openid), given(raw.unionid))?,
        })
    }
}

fn tags(given: Vec<String>) -> Result<BTreeSet<String>, Fault> {
    let tags = cells::unique(given);
    if tags.len() > TAGS_MAX {
        let detail = format!("tags has {} entries: give at most {TAGS_MAX}.", tags.len());
        return Err(Fault::new(INVALID, "tags", detail));
    }
    tags.iter().try_for_each(|tag| text("tags", tag, TAG_MAX))?;
    Ok(tags)
}

fn person(
    app_id: Option<String>,
    openid: Option<String>,
    unionid: Option<String>,
) -> Result<Option<Person>, Fault> {
    let refuse = |field: &str, detail: &str| Err(Fault::new(INVALID, field, detail));
    match (app_id, openid, unionid) {
        // An account alone names nobody: a file may have one in all rows.
        (_, None, None) => Ok(None),
        (_, None, Some(unionid)) => {
            check("unionid", TextId::Unionid, &unionid)?;
            Ok(Some(Person::Unionid { unionid }))
        }
        (Some(app_id), Some(openid), None) => {
            text("app_id", &app_id, ID_MAX)?;
            check("openid", TextId::Openid, &openid)?;
            Ok(Some(Person::Openid { app_id, openid }))
        }
        (None, Some(_), None) => refuse(
            "app_id",
            "There is no app_id: an openid is one of an account, so give the account's app_id with it.",
        ),
        (_, Some(_), Some(_)) => refuse(
            "unionid",
            "The row has an openid and a unionid: give one of the two, or a row for each.",
        ),
    }
}

fn check(field: &str, id: TextId, text: &str) -> Result<(), Fault> {
    id.check(text)
        .map_err(|problem| Fault::new(INVALID, field, format!("{field} {problem}.")))
}

fn text(field: &str, text: &str, most: usize) -> Result<(), Fault> {
    limits::check_text(&field, text, most)
        .map_err(|error| Fault::new(INVALID, field, format!("{error}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(fields: &[(&str, &str)]) -> Raw {
        let mut raw = Raw {
            staff_id: Some("e1".to_owned()),
            ..Raw::default()
        };
        for (field, value) in fields {
            let value = (*value).to_owned();
            match *field {
                "staff_id" => raw.staff_id = Some(value),
                "name" => raw.name = Some(value),
                "phone" => raw.phone = Some(value),
                "tags" => raw.tags = Some(vec![value]),
                "app_id" => raw.app_id = Some(value),
                "openid" => raw.openid = Some(value),
                _ => raw.unionid = Some(value),
            }
        }
        raw
    }

    #[test]
    fn what_is_empty_is_not_given() {
        let empty = ["name", "phone", "app_id", "openid", "unionid"].map(|field| (field, ""));
        let row = Row::read(raw(&empty)).unwrap();
        assert_eq!((row.name, row.phone, row.tags), (None, None, None));
        assert_eq!(row.person, None);
        let alone = Row::read(raw(&[("app_id", "wx1")])).unwrap();
        assert_eq!(alone.person, None);
        let phone = Row::read(raw(&[("phone", "138-0013 8000")])).unwrap();
        assert_eq!(phone.phone.as_deref(), Some("13800138000"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let (name, tag) = ("x".repeat(NAME_MAX + 1), "x".repeat(TAG_MAX + 1));
        for (fields, code, field) in [
            (&[("staff_id", "")][..], "missing_field", "staff_id"),
            (&[("staff_id", "undefined")], INVALID, "staff_id"),
            (&[("name", name.as_str())], INVALID, "name"),
            (&[("name", "a\u{7}")], INVALID, "name"),
            (&[("phone", "none")], INVALID, "phone"),
            (&[("tags", "")], INVALID, "tags"),
            (&[("tags", tag.as_str())], INVALID, "tags"),
            (&[("openid", "oA")], INVALID, "app_id"),
            (&[("app_id", "wx1"), ("openid", "null")], INVALID, "openid"),
            (&[("unionid", " u")], INVALID, "unionid"),
            (
                &[("app_id", "wx1"), ("openid", "oA"), ("unionid", "uA")],
                INVALID,
                "unionid",
            ),
        ] {
            let fault = Row::read(raw(fields)).unwrap_err();
            assert_eq!(
                (fault.code, fault.field.as_deref()),
                (code, Some(field)),
                "{fault}"
            );
        }
        let mut many = raw(&[]);
        many.tags = Some((0..=TAGS_MAX).map(|at| at.to_string()).collect());
        assert_eq!(Row::read(many).unwrap_err().field.as_deref(), Some("tags"));
    }
}
