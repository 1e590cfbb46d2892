//! One row of a table, before anything is looked up.

use std::collections::BTreeMap;

use utoipa::ToSchema;

use crate::bridge::limits::{self, ROW_CONSENTS_MAX, ROW_PERMISSIONS_MAX, TEMPLATE_ID_MAX};
use crate::bridge::people::table::Fault;
use crate::ids::text::TextId;

/// What stands for a long-term permission.
const LONG_TERM: &str = "long_term";
const INVALID: &str = "invalid_field";

/// A row as its file or request has it; what is not given, or empty, is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, ToSchema)]
#[schema(as = IdentityRow)]
pub struct Raw {
    /// The person's id in the mini-program.
    pub openid: Option<String>,
    /// Their id in all accounts of the Open Platform account.
    pub unionid: Option<String>,
    /// The business's own id of the staff member who they are.
    pub staff_id: Option<String>,
    /// By template id, how many one-time permissions are left, or `long_term`.
    #[schema(value_type = BTreeMap<String, Object>)]
    pub consents: BTreeMap<String, String>,
}

/// What a row says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The person's id in the mini-program.
    pub openid: String,
    /// Their unionid.
    pub unionid: Option<String>,
    /// The staff member who they are.
    pub staff_id: Option<String>,
    /// By template id, how many one-time permissions are left; none: a long-term one.
    pub consents: BTreeMap<String, Option<u32>>,
}

impl Row {
    /// Checks what can be checked without a look at what is stored.
    pub(super) fn read(raw: Raw) -> Result<Self, Fault> {
        let is_given = |text: &String| !text.is_empty();
        let openid = raw.openid.filter(is_given);
        let row = Self {
            openid: openid.ok_or_else(|| {
                Fault::new(
                    "missing_field",
                    "openid",
                    "There is no openid: give one, or leave the row out.",
                )
            })?,
            unionid: raw.unionid.filter(is_given),
            staff_id: raw.staff_id.filter(is_given),
            consents: consents(&raw.consents)?,
        };
        check("openid", TextId::Openid, Some(&row.openid))?;
        check("unionid", TextId::Unionid, row.unionid.as_deref())?;
        check("staff_id", TextId::StaffId, row.staff_id.as_deref())?;
        Ok(row)
    }
}

fn check(field: &str, id: TextId, text: Option<&str>) -> Result<(), Fault> {
    let Some(text) = text else { return Ok(()) };
    id.check(text)
        .map_err(|problem| Fault::new(INVALID, field, format!("{field} {problem}.")))
}

fn consents(raw: &BTreeMap<String, String>) -> Result<BTreeMap<String, Option<u32>>, Fault> {
    if raw.len() > ROW_CONSENTS_MAX {
        let detail = format!(
            "consents has more than {ROW_CONSENTS_MAX} templates: give at most {ROW_CONSENTS_MAX}."
        );
        return Err(Fault::new(INVALID, "consents", detail));
    }
    let mut consents = BTreeMap::new();
    for (template_id, text) in raw.iter().filter(|(_, text)| !text.is_empty()) {
        if limits::text(template_id, TEMPLATE_ID_MAX).is_err() {
            let detail = format!(
                "consents has the template id {template_id:.40?}: give the id from WeChat's \
                 console, 1 to {TEMPLATE_ID_MAX} characters."
            );
            return Err(Fault::new(INVALID, "consents", detail));
        }
        let left = match text.as_str() {
            LONG_TERM => None,
            text => Some(number(template_id, text)?),
        };
        consents.insert(template_id.clone(), left);
    }
    Ok(consents)
}

fn number(template_id: &str, text: &str) -> Result<u32, Fault> {
    let number = text
        .parse()
        .ok()
        .filter(|left| *left <= ROW_PERMISSIONS_MAX);
    number.ok_or_else(|| {
        let field = format!("consents.{template_id}");
        let detail = format!(
            "{field} is {text:.40?}: give how many one-time permissions are left, a whole number \
             up to {ROW_PERMISSIONS_MAX}, or {LONG_TERM}."
        );
        Fault::new(INVALID, &field, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(openid: &str, consents: &[(&str, &str)]) -> Raw {
        Raw {
            openid: Some(openid.to_owned()),
            consents: consents
                .iter()
                .map(|(template, left)| ((*template).to_owned(), (*left).to_owned()))
                .collect(),
            ..Raw::default()
        }
    }

    #[test]
    fn what_is_empty_is_not_given() {
        let empty = Raw {
            unionid: Some(String::new()),
            staff_id: Some(String::new()),
            ..raw(
                "oA",
                &[("T1", "2"), ("T2", ""), ("T3", "long_term"), ("T4", "0")],
            )
        };
        let row = Row::read(empty).unwrap();
        assert_eq!((row.unionid, row.staff_id), (None, None));
        let consents: Vec<_> = row.consents.into_iter().collect();
        let told = [("T1", Some(2)), ("T3", None), ("T4", Some(0))];
        assert_eq!(consents, told.map(|(id, left)| (id.to_owned(), left)));
        assert_eq!(Row::read(raw("", &[])).unwrap_err().code, "missing_field");
        assert_eq!(Row::read(Raw::default()).unwrap_err().code, "missing_field");
    }

    #[test]
    fn what_is_no_id_or_no_number_is_named() {
        for (row, field) in [
            (raw("undefined", &[]), "openid"),
            (raw(" oA", &[]), "openid"),
            (raw("oA", &[("T", "true")]), "consents.T"),
            (raw("oA", &[("T", "-1")]), "consents.T"),
            (raw("oA", &[("T", "1.5")]), "consents.T"),
            (raw("oA", &[("T", "1001")]), "consents.T"),
            (raw("oA", &[(&"x".repeat(129), "1")]), "consents"),
        ] {
            let fault = Row::read(row).unwrap_err();
            assert_eq!(
                (fault.code, fault.field.as_deref()),
                (INVALID, Some(field)),
                "{fault}"
            );
        }
        let many: Vec<String> = (0..=ROW_CONSENTS_MAX).map(|at| format!("T{at}")).collect();
        let many: Vec<(&str, &str)> = many.iter().map(|id| (id.as_str(), "1")).collect();
        assert_eq!(
            Row::read(raw("oA", &many)).unwrap_err().field.as_deref(),
            Some("consents")
        );
    }
}
