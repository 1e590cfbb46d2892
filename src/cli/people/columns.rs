//! The columns of a table of a mini-program's openids.

use crate::bridge::people::adopt::Raw;
use crate::cli::table::{Column, plain};

/// Before the template id of a column of consents.
const CONSENTS: &str = "consents.";

/// What a column holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum IdentityColumn {
    Openid,
    Unionid,
    StaffId,
    Consents(String),
}

impl Column for IdentityColumn {
    type Row = Raw;
    const KNOWN: &'static str = "openid, unionid, staff_id and consents.TEMPLATE_ID";

    fn key() -> Self {
        Self::Openid
    }

    fn named(name: &str) -> Option<Self> {
        if let Some((head, template_id)) = name.split_once('.')
            && format!("{}.", head.to_ascii_lowercase()) == CONSENTS
            && !template_id.is_empty()
        {
            return Some(Self::Consents(template_id.to_owned()));
        }
        match plain(name).as_str() {
            "openid" => Some(Self::Openid),
            "unionid" => Some(Self::Unionid),
            "staffid" => Some(Self::StaffId),
            _ => None,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Openid => "openid".to_owned(),
            Self::Unionid => "unionid".to_owned(),
            Self::StaffId => "staff_id".to_owned(),
            Self::Consents(template_id) => format!("{CONSENTS}{template_id}"),
        }
    }

    fn put(&self, row: &mut Raw, text: String) {
        match self {
            Self::Openid => row.openid = Some(text),
            Self::Unionid => row.unionid = Some(text),
            Self::StaffId => row.staff_id = Some(text),
            Self::Consents(template_id) => {
                row.consents.insert(template_id.clone(), text);
            }
        }
    }
}

#[cfg(test)]
mod tests;
