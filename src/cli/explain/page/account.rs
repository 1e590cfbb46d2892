//! What an account can send to the person, line by line.

use super::{Page, time};
use crate::bridge::availability::account_problems::AccountProblem;
use crate::bridge::explain::{
    AccountStory, ChannelStory, CustomerStory, IdentityStory, SubscriptionStory,
};
use crate::models::account::AccountKind;
use crate::models::identity::FollowState;

impl Page {
    pub(super) fn account(&mut self, account: &AccountStory) {
        let (app_id, kind, name) = (&account.app_id, account.kind.as_str(), &account.name);
        self.line(format!("  {app_id}  {kind}  {name}"));
        account.trouble.iter().for_each(|one| self.trouble(one));
        let identities = account.identities.iter();
        identities.for_each(|one| self.identity(account.kind, one));
        if account.identities.is_empty() {
            self.entry("openid", "none is known");
        }
        if let Some(template) = &account.template {
            self.entry("template", &verdict(template, "would be sent"));
        }
        for off in &account.switched_off {
            let (template_id, since) = (&off.template_id, time(off.since));
            let title = off.title.as_deref().unwrap_or_default();
            self.entry(
                "switched off",
                &format!("{template_id} {title}, by the person inside WeChat; seen at {since}"),
            );
        }
        let subscriptions = account.subscriptions.iter();
        subscriptions.for_each(|one| self.subscription(one));
        self.customer(&account.customer);
    }

    fn entry(&mut self, name: &str, text: &str) {
        self.line(format!("    {name:12}  {text}"));
    }

    fn trouble(&mut self, trouble: &AccountProblem) {
        let since = trouble.since.map(|at| format!(" since {}", time(at)));
        let until = trouble.until.map(|at| format!(" until {}", time(at)));
        let (since, until) = (since.unwrap_or_default(), until.unwrap_or_default());
        let call = trouble.call.as_ref().map(|call| format!(" of {call}"));
        let (code, call) = (trouble.code.as_str(), call.unwrap_or_default());
        let detail = &trouble.detail;
        self.entry("trouble", &format!("{code}{call}{since}{until}: {detail}"));
    }

    fn identity(&mut self, kind: AccountKind, identity: &IdentityStory) {
        let since = identity.since.map(|at| format!(" since {}", time(at)));
        // Nobody follows a mini-program.
        let follows = match (kind, identity.follow_state) {
            (AccountKind::MiniProgram, _) => String::new(),
            (_, FollowState::Unknown) => "  not known whether they follow".to_owned(),
            (_, state) => format!("  {}{}", state.as_str(), since.unwrap_or_default()),
        };
        let (openid, profile) = (&identity.openid, identity.profile_state.as_str());
        self.entry("openid", &format!("{openid}{follows}  profile {profile}"));
    }

    fn subscription(&mut self, one: &SubscriptionStory) {
        let title = one.title.as_deref().unwrap_or_default();
        let left = match (one.long_term, one.was_asked) {
            (true, _) => "long-term".to_owned(),
            (false, true) => format!("{} left", one.one_time_left),
            (false, false) => "never allowed".to_owned(),
        };
        let verdict_text = verdict(&one.verdict, "would be sent");
        let template_id = &one.template_id;
        self.entry(
            "subscription",
            &format!("{template_id}  {title}  {left}: {verdict_text}"),
        );
    }

    fn customer(&mut self, customer: &CustomerStory) {
        let window = match (customer.open_until, customer.reason) {
            (Some(until), _) => format!("{} left, open until {}", customer.left, time(until)),
            (None, reason) => {
                let (reason, detail) = (reason.unwrap_or_default(), customer.detail);
                format!("closed: {reason}. {}", detail.unwrap_or_default())
            }
        };
        self.entry("customer", &window);
    }
}

fn verdict(channel: &ChannelStory, good: &str) -> String {
    let detail = channel.detail.as_deref().unwrap_or_default();
    match (channel.would_send, channel.reason) {
        (true, None) => good.to_owned(),
        (true, Some(reason)) => format!("{good}: {reason}. {detail}"),
        (false, reason) => format!("no: {}. {detail}", reason.unwrap_or_default()),
    }
}
