//! Who is erased: the ids by which the person is known, and what texts are without them.

use serde::{Deserialize, Serialize};

use crate::ids::{AccountId, IdentityId};

/// What stands in a text in the place of an id.
const ERASED: &str = "[erased]";

/// A person, by everything that names them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Their unionids: one, or more where it changed.
    pub unionids: Vec<String>,
    /// Their openids.
    pub openids: Vec<Openid>,
}

/// One openid in one account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Openid {
    /// The account.
    pub account_id: AccountId,
    /// The person's id in it.
    pub openid: String,
    /// The identity, if it was known.
    pub identity_id: Option<IdentityId>,
}

impl Subject {
    /// As it is stored.
    pub fn to_json(&self) -> String {
        // JSON of strings and numbers can always be written.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// As it was stored; nobody where it was not.
    pub fn from_json(json: Option<&str>) -> Self {
        json.and_then(|json| serde_json::from_str(json).ok())
            .unwrap_or_default()
    }

    /// The row ids of their identities.
    pub fn identity_ids(&self) -> Vec<IdentityId> {
        let ids = self.openids.iter().filter_map(|one| one.identity_id);
        let mut ids: Vec<IdentityId> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The ids that name them in texts.
    pub fn words(&self) -> Vec<&str> {
        let openids = self.openids.iter().map(|one| one.openid.as_str());
        let unionids = self.unionids.iter().map(String::as_str);
        openids
            .chain(unionids)
            .filter(|word| !word.is_empty())
            .collect()
    }

    /// [`Subject::words`] as a statement takes them.
    pub(super) fn words_json(&self) -> String {
        serde_json::to_string(&self.words()).unwrap_or_default()
    }

    /// A text without the ids; none if it has none of them.
    pub(super) fn cleaned(&self, text: &str) -> Option<String> {
        let mut cleaned = text.to_owned();
        for word in self.words() {
            cleaned = cleaned.replace(word, ERASED);
        }
        (cleaned != text).then_some(cleaned)
    }

    /// A text without the ids, whatever it has.
    pub(super) fn clean(&self, text: Option<String>) -> Option<String> {
        text.map(|text| self.cleaned(&text).unwrap_or(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_loses_every_id_and_nothing_else() {
        let subject = Subject {
            unionids: vec!["oUNION".to_owned()],
            openids: vec![Openid {
                account_id: AccountId(1),
                openid: "oPERSON".to_owned(),
                identity_id: Some(IdentityId(7)),
            }],
        };
        assert_eq!(subject.cleaned("oPERSO, oUNIO"), None);
        let cleaned = subject.cleaned("40003 oPERSON hint: [oUNION] oPERSON");
        assert_eq!(
            cleaned.as_deref(),
            Some("40003 [erased] hint: [[erased]] [erased]")
        );
        assert_eq!(Subject::from_json(Some(&subject.to_json())), subject);
        assert_eq!(Subject::from_json(None).words(), Vec::<&str>::new());
    }
}
