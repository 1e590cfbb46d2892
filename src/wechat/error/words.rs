//! An error of WeChat's in sentences: what it means, what to do, and WeChat's own words, which are never left out.

use super::{ApiError, LOGIN_CALL, advice_on};

const LOOK_UP: &str = "Look the rid up within seven days on the WeChat developer platform (微信开发者平台), under error \
                       diagnosis (错误诊断).";
const OF_A_LOGIN: &str = "The rid of a login cannot be looked up; WeChat's support may ask for it.";

/// Where a rid is looked up; none for the older ids that stand in its place.
pub fn rid_hint(call: &str, rid: &str) -> Option<&'static str> {
    let groups = rid.split('-');
    let is_rid = groups.clone().count() == 3 && groups.clone().all(|group| group.len() == 8);
    is_rid.then_some(match call {
        LOGIN_CALL => OF_A_LOGIN,
        _ => LOOK_UP,
    })
}

impl ApiError {
    /// Code, meaning and what to do, with the address that WeChat saw and the field that it refused where those are the
    /// trouble, then WeChat's own words.
    pub fn explain_on(&self, call: &str) -> String {
        let advice = advice_on(call, self.errcode);
        let (code, meaning, what_to_do) = (self.errcode, advice.meaning, advice.what_to_do);
        let mut text = format!("{code}: {meaning}");
        if let Some(ip) = self.whitelist_ip() {
            text.push_str(&format!(" WeChat saw the address {ip}."));
        }
        text.push_str(&format!(" {what_to_do}"));
        if let Some(field) = self.refused_field() {
            text.push_str(&format!(" The field is {field}."));
        }
        if !self.errmsg.is_empty() {
            text.push_str(&format!(" WeChat's words: {}", self.errmsg));
        }
        if let Some(rid) = &self.rid {
            text.push_str(&match rid_hint(call, rid) {
                Some(hint) => format!(" (rid {rid}. {hint})"),
                None => format!(" (rid {rid})"),
            });
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wechats_words_and_the_rid_come_after_ours_for_known_and_unknown_codes() {
        for code in [40165, 99999] {
            let raw = "invalid weapp pagepath rid: 69560000-0a0b0c0d-01020304";
            let text = ApiError::new(code, raw).explain_on("template/send");
            let words =
                "WeChat's words: invalid weapp pagepath (rid 69560000-0a0b0c0d-01020304. Look";
            assert!(
                text.starts_with(&format!("{code}: ")) && text.contains(words),
                "{text}"
            );
        }
        let silent = ApiError::new(40003, "").explain_on("template/send");
        assert!(!silent.contains("words"), "{silent}");
    }

    #[test]
    fn only_a_rid_can_be_looked_up() {
        let rid = "69560000-0a0b0c0d-01020304";
        assert_eq!(rid_hint("template/send", rid), Some(LOOK_UP));
        assert_eq!(rid_hint(LOGIN_CALL, rid), Some(OF_A_LOGIN));
        assert_eq!(rid_hint("template/send", "AHxsKOzRe-uQxY7a"), None);
    }

    #[test]
    fn a_whitelist_refusal_names_the_address_that_wechat_saw() {
        let raw = "invalid ip 203.0.113.7 ipv6 ::ffff:203.0.113.7, not in whitelist";
        let text = ApiError::new(40164, raw).explain_on("token");
        assert!(
            text.contains("WeChat saw the address 203.0.113.7."),
            "{text}"
        );
    }
}
