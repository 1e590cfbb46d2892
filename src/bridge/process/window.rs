//! What an event opens for customer messages (WeChat's documentation, introduction to customer messages).

use std::collections::{BTreeMap, HashMap};

use crate::ids::{AccountId, IdentityId};
use crate::models::account::AccountKind;
use crate::models::identity::windows::{Opening, Window};
use crate::wechat::message::{Content, Push};

/// The newest acts of each openid, by account.
#[derive(Debug, Default)]
pub(super) struct Acted(BTreeMap<(AccountId, String), Times>);

#[derive(Clone, Copy, Debug, Default)]
struct Times {
    spoke: i64,
    acted: i64,
}

impl Acted {
    /// Notes an event of this openid.
    pub(super) fn note(
        &mut self,
        account: AccountId,
        kind: AccountKind,
        openid: &str,
        push: &Push,
        create_time: i64,
    ) {
        let Some(window) = window(kind, push) else {
            return;
        };
        let times = self.0.entry((account, openid.to_owned())).or_default();
        let newest = match window {
            Window::Spoke => &mut times.spoke,
            Window::Acted => &mut times.acted,
        };
        *newest = create_time.max(*newest);
    }

    /// As they are stored, once the identities have their row ids.
    pub(super) fn openings(&self, ids: &HashMap<(AccountId, &str), IdentityId>) -> Vec<Opening> {
        self.0
            .iter()
            .filter_map(|((account, openid), times)| {
                Some(Opening {
                    identity_id: *ids.get(&(*account, openid.as_str()))?,
                    spoke_time: times.spoke,
                    acted_time: times.acted,
                })
            })
            .collect()
    }
}

/// A follow is not among them: its time is stored with the identity.
fn window(kind: AccountKind, push: &Push) -> Option<Window> {
    match (kind, &push.content) {
        // A tap in a menu message comes as a text, and counts as a tap in the account's menu.
        (
            AccountKind::OfficialAccount,
            Content::Text {
                menu_id: Some(_), ..
            },
        )
        | (
            AccountKind::OfficialAccount,
            Content::Click { .. } | Content::MenuScanCode { .. } | Content::Scan { .. },
        )
        | (AccountKind::MiniProgram, Content::UserEnterTempSession { .. }) => Some(Window::Acted),
        (
            AccountKind::MiniProgram,
            Content::Text {
                menu_id: Some(_), ..
            },
        ) => None,
        _ if push.event.is_none() => Some(Window::Spoke),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wechat::message;

    fn push(rest: &str) -> Push {
        let body = format!(
            "<xml><ToUserName>gh_1</ToUserName><FromUserName>o1</FromUserName>\
             <CreateTime>7</CreateTime>{rest}</xml>"
        );
        message::parse(body.as_bytes()).unwrap()
    }

    #[test]
    fn what_is_written_opens_the_long_window_whatever_its_kind() {
        for kind in AccountKind::ALL {
            for msg_type in [
                "text",
                "image",
                "voice",
                "location",
                "miniprogrampage",
                "new_kind",
            ] {
                let message = push(&format!("<MsgType>{msg_type}</MsgType><MsgId>1</MsgId>"));
                assert_eq!(window(*kind, &message), Some(Window::Spoke), "{msg_type}");
            }
        }
    }

    #[test]
    fn a_tap_in_a_menu_message_is_not_writing() {
        let tap =
            push("<MsgType>text</MsgType><Content>yes</Content><bizmsgmenuid>101</bizmsgmenuid>");
        assert_eq!(
            window(AccountKind::OfficialAccount, &tap),
            Some(Window::Acted)
        );
        assert_eq!(window(AccountKind::MiniProgram, &tap), None);
    }

    #[test]
    fn of_many_events_the_newest_of_each_kind_counts() {
        let (account, id) = (AccountId(1), IdentityId(9));
        let text = push("<MsgType>text</MsgType><Content>x</Content>");
        let click = push("<MsgType>event</MsgType><Event>CLICK</Event>");
        let view = push("<MsgType>event</MsgType><Event>VIEW</Event>");
        let mut acted = Acted::default();
        for (push, time) in [
            (&text, 5),
            (&click, 8),
            (&text, 3),
            (&click, 6),
            (&view, 99),
        ] {
            acted.note(account, AccountKind::OfficialAccount, "o1", push, time);
        }
        let ids = HashMap::from([((account, "o1"), id)]);
        let opening = Opening {
            identity_id: id,
            spoke_time: 5,
            acted_time: 8,
        };
        assert_eq!(acted.openings(&ids), [opening]);
        assert_eq!(acted.openings(&HashMap::new()), []);
    }
}
