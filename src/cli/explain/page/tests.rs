use chrono::DateTime;
use serde_json::Value;

use super::*;
use crate::bridge::availability::account_problems::{AccountProblem, AccountProblemCode};
use crate::bridge::explain::{
    AccountStory, ChannelStory, CustomerStory, IdentityStory, Refusal, SubscriptionStory,
};
use crate::bridge::planning::route_views::RouteVerdict;
use crate::bridge::routes::Channel;
use crate::cli::terminal;
use crate::ids::{BindingId, DeliveryId, IdentityId, InvitationId, NotificationId};
use crate::models::account::AccountKind;
use crate::models::account::pause::PauseReason;
use crate::models::delivery::DeliveryState;
use crate::models::identity::{FollowState, ProfileState};
use crate::models::staff::invitation::{Refusal as Refused, State};

fn at(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600 + 60 * minute, 0).unwrap()
}

fn left(route: usize, channel: Channel, verdict: &str, detail: &str) -> RouteView {
    RouteView {
        route,
        channel,
        account: Some("wx0123456789abcdef".to_owned()),
        verdict: RouteVerdict::Left(verdict.parse().unwrap()),
        detail: Some(detail.to_owned()),
    }
}

fn no(reason: &'static str, detail: &str) -> ChannelStory {
    ChannelStory {
        would_send: false,
        reason: Some(reason),
        detail: Some(detail.to_owned()),
    }
}

fn official() -> AccountStory {
    AccountStory {
        app_id: "wx0123456789abcdef".to_owned(),
        kind: AccountKind::OfficialAccount,
        name: "Acme\u{7}".to_owned(),
        trouble: vec![
            AccountProblem {
                code: AccountProblemCode::AccountProblem,
                call: None,
                reason: None,
                errcode: Some(40164),
                detail: "40164: Not on the whitelist.".to_owned(),
                since: Some(at(3)),
                until: None,
            },
            AccountProblem {
                code: AccountProblemCode::AccountUsedUp,
                call: Some("template/send".to_owned()),
                reason: Some(PauseReason::QuotaUsedUp),
                errcode: None,
                detail: "45009: Used up.".to_owned(),
                since: Some(at(4)),
                until: Some(at(960)),
            },
        ],
        identities: vec![IdentityStory {
            id: IdentityId(1),
            openid: "oOA".to_owned(),
            follow_state: FollowState::NotFollowing,
            since: Some(at(2)),
            profile_state: ProfileState::NotFollowing,
        }],
        template: Some(no("not_following", "Ask them to follow it.")),
        switched_off: Vec::new(),
        subscriptions: Vec::new(),
        customer: CustomerStory {
            open_until: None,
            left: 0,
            reason: Some("not_following"),
            detail: Some("Ask the person to follow it."),
        },
    }
}

fn mini() -> AccountStory {
    let subscription = |template_id: &str, left, verdict| SubscriptionStory {
        channel: Channel::MpSubscribe,
        template_id: template_id.to_owned(),
        title: Some("订单提醒".to_owned()),
        long_term: false,
        one_time_left: left,
        was_asked: true,
        message_types: Vec::new(),
        verdict,
    };
    let yes = ChannelStory {
        would_send: true,
        reason: None,
        detail: None,
    };
    AccountStory {
        app_id: "wxfedcba9876543210".to_owned(),
        kind: AccountKind::MiniProgram,
        name: "Acme mini".to_owned(),
        trouble: Vec::new(),
        identities: Vec::new(),
        template: None,
        switched_off: Vec::new(),
        subscriptions: vec![
            subscription("TPL", 2, yes),
            subscription("TPL2", 0, no("no_credit", "Ask for their consent there.")),
        ],
        customer: CustomerStory {
            open_until: Some(at(90)),
            left: 5,
            reason: None,
            detail: None,
        },
    }
}

#[allow(clippy::too_many_lines, reason = "a story with everything in it")]
fn story() -> Explanation {
    let passed = left(0, Channel::OaSubscribe, "no_credit", "Not allowed.");
    let failed = left(
        1,
        Channel::Template,
        "not_following",
        "43004: Not following.",
    );
    Explanation {
        staff_id: "e1001".to_owned(),
        name: Some("王芳\u{1b}[31m\u{202e}\r\nroot".to_owned()),
        tags: vec!["night".to_owned(), "warehouse".to_owned()],
        now: at(60),
        next_steps: vec!["Fix it.".to_owned(), "Ask them.".to_owned()],
        bindings: vec![BindingStory {
            id: BindingId(4),
            app_id: Some("wx0123456789abcdef".to_owned()),
            openid: Some("oOA".to_owned()),
            unionid: None,
            invitation_id: Some(InvitationId(7)),
            created_at: at(1),
        }],
        undone: vec![UndoneStory {
            app_id: Some("wx0123456789abcdef".to_owned()),
            openid: "oUndone".to_owned(),
            kept_staff_id: Some("a1".to_owned()),
            detail: "They are a1.".to_owned(),
            undone_at: at(40),
        }],
        invitations: vec![InvitationStory {
            id: InvitationId(8),
            app_id: Some("wx0123456789abcdef".to_owned()),
            state: State::Open,
            expires_at: at(120),
            refusal: Some(Refused::AlreadyBound),
            detail: Some("Make one with rebind."),
            refused_at: Some(at(50)),
        }],
        unionid: UnionidStory {
            reason: Some(ProfileState::NotFollowing),
            detail: Some("WeChat tells it only of followers.".to_owned()),
            app_id: Some("wx0123456789abcdef".to_owned()),
            ..UnionidStory::default()
        },
        accounts: vec![official(), mini()],
        message_type: Some(TypeStory {
            name: "order_created".to_owned(),
            verdict: TypeVerdict::Unreachable,
            route: None,
            routes: vec![passed.clone()],
            problems: Vec::new(),
        }),
        deliveries: vec![DeliveryStory {
            id: DeliveryId(17),
            notification_id: NotificationId(5),
            message_type: Some("order_created".to_owned()),
            state: DeliveryState::Failed,
            reason: Some("not_following".to_owned()),
            detail: Some("Gave up after 12 tries.".to_owned()),
            app_id: None,
            attempts: 1,
            error: Some(Refusal {
                errcode: 43004,
                call: Some("template/send".to_owned()),
                meaning: "They do not follow.",
                what_to_do: "Ask them to.",
                errmsg: Some("require subscribe".to_owned()),
                rid: Some("69560000-0a0b0c0d-01020304".to_owned()),
                rid_hint: Some("Look it up."),
            }),
            created_at: at(30),
            sent_at: None,
            next_attempt_at: None,
            finished_at: Some(at(31)),
            routes: vec![passed, failed],
        }],
    }
}

const TEXT: &str = include_str!("story.txt");

#[test]
fn a_story_reads_like_this() {
    assert_eq!(text(&story()), TEXT);
}

#[test]
fn nothing_in_it_commands_the_terminal() {
    let dangers = [
        "\u{1b}[2J",
        "\u{9b}2J",
        "\r",
        "\u{7f}",
        "\u{202e}",
        "\u{2069}",
    ];
    for danger in dangers {
        let mut story = story();
        story.name = Some(format!("a{danger}b"));
        story.deliveries[0].detail = Some(danger.to_owned());
        let (text, json) = (text(&story), terminal::json_text(&story).unwrap());
        for shown in [&text, &json] {
            let bad = shown
                .chars()
                .find(|c| terminal::is_dangerous(*c) && *c != '\n');
            assert_eq!(bad, None, "{danger:?}");
        }
        assert_eq!(text.lines().count(), TEXT.lines().count());
        let read: Value = serde_json::from_str(&json).unwrap();
        assert_eq!(read["name"], format!("a{danger}b"));
    }
}

#[test]
fn somebody_of_whom_nothing_is_known_is_told_of_too() {
    let mut story = story();
    story.bindings.clear();
    story.invitations.clear();
    story.accounts.clear();
    story.deliveries.clear();
    story.message_type = None;
    story.unionid = UnionidStory::default();
    let text = text(&story);
    for said in [
        "Bound to\n  nobody\n",
        "Accounts\n  none\n",
        "Last deliveries\n  none\n",
    ] {
        assert!(text.contains(said), "{text}");
    }
}
