//! A story as text for people. Names and messages come from strangers: each line is one, whatever is in it.

mod account;

use chrono::{DateTime, Utc};

use crate::bridge::explain::{
    BindingStory, DeliveryStory, Explanation, InvitationStory, TypeStory, TypeVerdict, UndoneStory,
    UnionidStory,
};
use crate::bridge::planning::route_views::RouteView;
use crate::cli::terminal::one_line;

/// The story as text.
pub(super) fn text(story: &Explanation) -> String {
    let mut page = Page::default();
    let name = story.name.as_deref().unwrap_or_default();
    let tags = match story.tags.is_empty() {
        true => String::new(),
        false => format!("  tags: {}", story.tags.join(", ")),
    };
    page.line(format!("{}  {name}{tags}", story.staff_id));
    page.line(format!("as of {}", time(story.now)));
    page.heading("Next steps");
    for (number, step) in (1..).zip(&story.next_steps) {
        page.line(format!("  {number}. {step}"));
    }
    page.heading("Bound to");
    story.bindings.iter().for_each(|one| page.binding(one));
    if story.bindings.is_empty() {
        page.line("  nobody");
    }
    story.undone.iter().for_each(|one| page.undone(one));
    if !story.invitations.is_empty() {
        page.heading("Invitations");
        story
            .invitations
            .iter()
            .for_each(|one| page.invitation(one));
    }
    page.heading("Unionid");
    page.unionid(&story.unionid);
    page.heading("Accounts");
    story.accounts.iter().for_each(|one| page.account(one));
    if story.accounts.is_empty() {
        page.line("  none");
    }
    if let Some(of_type) = &story.message_type {
        page.heading(&format!("Message type {}", of_type.name));
        page.message_type(of_type);
    }
    page.heading("Last deliveries");
    story.deliveries.iter().for_each(|one| page.delivery(one));
    if story.deliveries.is_empty() {
        page.line("  none");
    }
    page.0
}

/// Lines of text.
#[derive(Default)]
struct Page(String);

impl Page {
    /// One line, whatever is in it.
    fn line(&mut self, text: impl AsRef<str>) {
        self.0.push_str(&one_line(text.as_ref().trim_end()));
        self.0.push('\n');
    }

    fn heading(&mut self, title: &str) {
        self.0.push('\n');
        self.line(title);
    }

    fn undone(&mut self, undone: &UndoneStory) {
        let (at, detail) = (time(undone.undone_at), &undone.detail);
        let app_id = undone
            .app_id
            .as_deref()
            .unwrap_or("an account that is gone");
        let openid = &undone.openid;
        self.line(format!(
            "  undone at {at}: openid {openid} in {app_id}. {detail}"
        ));
    }

    fn binding(&mut self, binding: &BindingStory) {
        let to = match (&binding.openid, &binding.app_id, &binding.unionid) {
            (Some(openid), Some(app_id), _) => format!("openid {openid} in {app_id}"),
            (_, _, Some(unionid)) => format!("unionid {unionid}"),
            _ => "an openid that is gone".to_owned(),
        };
        let invitation = binding.invitation_id;
        let through = invitation.map(|id| format!("  through invitation {id}"));
        let (made, id) = (time(binding.created_at), binding.id);
        let through = through.unwrap_or_default();
        self.line(format!("  since {made}  {to}{through}  (binding {id})"));
    }

    fn invitation(&mut self, invitation: &InvitationStory) {
        let (id, state) = (invitation.id, invitation.state.as_str());
        let app_id = invitation.app_id.as_deref().unwrap_or("-");
        let until = time(invitation.expires_at);
        self.line(format!("  {id}  {state:8}  {app_id}  good until {until}"));
        if let (Some(refusal), Some(at)) = (invitation.refusal, invitation.refused_at) {
            let (reason, detail) = (refusal.as_str(), invitation.detail.unwrap_or_default());
            self.line(format!("     refused at {}: {reason}. {detail}", time(at)));
        }
    }

    fn unionid(&mut self, unionid: &UnionidStory) {
        match (&unionid.unionid, unionid.reason) {
            (Some(known), _) => {
                self.line(format!("  {known}"));
                if let (Some(new), Some(detail)) = (&unionid.replaced_by, &unionid.detail) {
                    self.line(format!("  now {new}: {detail}"));
                }
            }
            (None, None) => self.line("  not known"),
            (None, Some(reason)) => {
                let app_id = unionid.app_id.as_deref().unwrap_or_default();
                self.line(format!("  not known from {app_id}: {reason}"));
                self.line(format!(
                    "  {}",
                    unionid.detail.as_deref().unwrap_or_default()
                ));
            }
        }
        if let Some(error) = &unionid.error {
            self.line(format!("  last try: {error}"));
        }
        if let Some(next) = unionid.next_try_at {
            self.line(format!("  next try: {}", time(next)));
        }
    }

    fn message_type(&mut self, of_type: &TypeStory) {
        self.line(match of_type.route {
            Some(route) if of_type.verdict == TypeVerdict::WouldWait => {
                format!("  would wait for their consent, and then be sent over route {route}")
            }
            Some(route) => format!("  would be sent over route {route}"),
            None => "  would not be sent".to_owned(),
        });
        of_type.routes.iter().for_each(|one| self.route("  ", one));
        for problem in &of_type.problems {
            self.line(format!("  problem  {}: {}", problem.field, problem.detail));
        }
    }

    fn delivery(&mut self, delivery: &DeliveryStory) {
        let message_type = delivery.message_type.as_deref().unwrap_or("-");
        let reason = delivery.reason.as_deref().unwrap_or_default();
        self.line(format!(
            "  {:>8}  {}  {:11}  {message_type}  {reason}",
            delivery.id.0,
            time(delivery.created_at),
            delivery.state.as_str()
        ));
        if let Some(detail) = &delivery.detail {
            self.line(format!("            {detail}"));
        }
        let shown = delivery.detail.as_deref().unwrap_or_default();
        // The sentence of a refusal has its code and says the same.
        let is_new = |code: i64| !shown.starts_with(&format!("{code}:"));
        let error = delivery.error.as_ref();
        if let Some(error) = error.filter(|error| is_new(error.errcode)) {
            let sentences = error.sentences();
            self.line(format!("            WeChat said {sentences}"));
        }
        if let Some(next) = delivery.next_attempt_at {
            self.line(format!("            next try: {}", time(next)));
        }
        for route in &delivery.routes {
            let mut route = route.clone();
            route.detail.take_if(|detail| detail == shown);
            self.route("            ", &route);
        }
    }

    fn route(&mut self, indent: &str, route: &RouteView) {
        let RouteView {
            route: number,
            channel,
            verdict,
            ..
        } = route;
        let verdict = verdict.as_str();
        let (channel, account) = (channel.traits().word, route.account.as_deref());
        let (account, detail) = (account.unwrap_or("-"), route.detail.as_deref());
        let detail = detail.unwrap_or_default();
        self.line(format!(
            "{indent}route {number}  {channel:12}  {account}  {verdict:22}  {detail}"
        ));
    }
}

fn time(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%F %H:%M:%S UTC")
}

#[cfg(test)]
mod tests;
