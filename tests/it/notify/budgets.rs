//! Budgets: no call too many, whoever makes it.

use queqiao::bridge::Step;
use queqiao::bridge::steps::StepName;
use queqiao::config::{AccountBudgets, Budget, Config, OwnBudget};
use queqiao::db::Engine;
use queqiao::models::account::pause;
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind};

use serde_json::json;

use super::outbox::{APPS, OutboxFixture, SEND, request};
use super::routes::{RouteFixture, TEMPLATE_SEND};
use crate::support::setup::OA;

fn a_day(per_day: u64) -> impl FnOnce(&mut Config) {
    move |config| {
        config.deliver.batch_rows = 4;
        config.budgets.template_send.per_day = per_day;
    }
}

both_engines! {
    a_budget_of_the_day_is_used_up_and_renewed_at_midnight,
    that_a_budget_is_short_is_told_before_and_that_it_is_used_up_after,
    processes_share_a_budget,
    a_call_that_was_not_made_is_not_counted,
    what_was_counted_and_not_sent_stops_nothing_until_midnight,
    what_has_expired_is_not_counted,
    a_rate_for_all_holds_for_an_account_with_a_day_of_its_own,
    an_account_may_have_a_budget_of_its_own,
    a_rate_of_one_call_holds_up_no_other_one,
    what_goes_beyond_a_rate_is_not_claimed_before_its_time,
    a_rate_spreads_what_is_sent,
}

async fn a_budget_of_the_day_is_used_up_and_renewed_at_midnight(engine: Engine) {
    let outbox = OutboxFixture::with(engine, a_day(10)).await;
    let crowd = outbox.crowd(0, 23).await;
    outbox.bound("other", 1, 99, true).await;
    let id = outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 10);
    let waiting = outbox.deliveries(id).await;
    for delivery in waiting
        .iter()
        .filter(|one| one.state == DeliveryState::Queued)
    {
        assert_eq!(delivery.reason.as_deref(), Some("budget_used_up"));
        assert!(
            delivery
                .detail
                .as_ref()
                .is_some_and(|text| text.contains("[budgets]"))
        );
        assert!(delivery.due_at >= Some(outbox.clock.now() + chrono::TimeDelta::hours(12)));
        assert_eq!(delivery.attempts, 0);
    }
    outbox.notify(&["other"]).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 11, "each account has its own");
    for (hours, sends) in [(11, 11), (1, 21), (24, 24)] {
        outbox.advance(hours * 3600 + 200);
        outbox.settle().await;
        outbox.advance(130);
        outbox.settle().await;
        assert_eq!(outbox.sends(), sends);
    }
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 23);
}

async fn that_a_budget_is_short_is_told_before_and_that_it_is_used_up_after(engine: Engine) {
    let outbox = OutboxFixture::with(engine, a_day(10)).await;
    let crowd = outbox.crowd(0, 12).await;
    let warned = async |count: usize| {
        let ids: Vec<&str> = crowd.iter().take(count).map(String::as_str).collect();
        let asked = request(&ids, json!({"title": "hi"}), None);
        let told = outbox
            .bridge
            .preflight(outbox.project, asked)
            .await
            .unwrap();
        assert_eq!(
            told.verdicts
                .iter()
                .filter(|one| one.route.is_some())
                .count(),
            count
        );
        told.warnings
    };
    assert_eq!(warned(10).await, []);
    let short = warned(12).await;
    assert_eq!((short.len(), short[0].code), (1, "budget_short"));
    assert!(
        short[0].detail.contains("12 calls of template/send")
            && short[0].detail.contains("10 left"),
        "{short:?}"
    );
    let trouble = async || {
        let told = outbox
            .bridge
            .explain(outbox.project, crowd[0].clone(), None)
            .await
            .unwrap();
        let account = told
            .accounts
            .into_iter()
            .find(|one| one.app_id == APPS[0])
            .unwrap();
        let troubles = account
            .trouble
            .into_iter()
            .map(|one| (one.code.as_str(), one.call.unwrap(), one.until.unwrap()));
        (troubles.collect::<Vec<_>>(), told.next_steps)
    };
    assert_eq!(trouble().await.0, []);
    outbox.notify_as("normal", &crowd[..10]).await;
    outbox.settle().await;
    // Nothing waits for it yet.
    let (used_up, steps) = trouble().await;
    assert_eq!(
        (used_up.len(), used_up[0].0, used_up[0].1.as_str()),
        (1, "account_used_up", "template/send")
    );
    assert!(
        steps[0].starts_with("Wait: account") && steps[0].contains("[budgets]"),
        "{steps:?}"
    );
    assert_eq!(
        warned(1)
            .await
            .iter()
            .map(|one| one.code)
            .collect::<Vec<_>>(),
        ["account_used_up"]
    );
    // And then something does.
    outbox.notify_as("normal", &crowd[10..]).await;
    outbox.settle().await;
    assert_eq!(trouble().await.0, used_up);
    outbox.advance(13 * 3600);
    assert_eq!((trouble().await.0, warned(12).await.len()), (vec![], 1));
}

async fn processes_share_a_budget(engine: Engine) {
    let outbox = OutboxFixture::with(engine, a_day(17)).await;
    let crowd = outbox.crowd(0, 40).await;
    outbox.notify_as("normal", &crowd).await;
    let replica = outbox.replica();
    let run = |bridge: queqiao::bridge::Bridge| async move {
        // What one of them has made due last is seen as well.
        for _ in 0..2 {
            while bridge.run(StepName::Deliver).await.unwrap() == Step::Worked {}
            bridge.hastened().await;
        }
    };
    tokio::join!(
        run(outbox.bridge.clone()),
        run(replica),
        run(outbox.bridge.clone())
    );
    assert_eq!(outbox.sends(), 17);
}

async fn a_call_that_was_not_made_is_not_counted(engine: Engine) {
    let outbox = OutboxFixture::with(engine, a_day(6)).await;
    let crowd = outbox.crowd(0, 9).await;
    let token = "/cgi-bin/stable_token";
    outbox
        .world()
        .add_fault(Fault::at(token, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    outbox.notify_as("normal", &crowd).await;
    for _ in 0..60 {
        outbox.settle().await;
        outbox.advance(2);
    }
    assert_eq!(outbox.sends(), 6);
}

async fn what_was_counted_and_not_sent_stops_nothing_until_midnight(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        a_day(6)(config);
        config.deliver.batch_rows = 10;
    })
    .await;
    let crowd = outbox.crowd(0, 9).await;
    let token = "/cgi-bin/stable_token";
    outbox
        .world()
        .add_fault(Fault::at(token, FaultKind::Errcode { errcode: -1 }).times(1))
        .unwrap();
    let id = outbox.notify_as("normal", &crowd).await;
    for _ in 0..60 {
        outbox.settle().await;
        outbox.advance(2);
    }
    assert_eq!(outbox.sends(), 6, "the calls that were not made are left");
    let waiting = outbox
        .deliveries(id)
        .await
        .into_iter()
        .filter(|one| one.state == DeliveryState::Queued);
    let waiting: Vec<_> = waiting.map(|one| one.reason).collect();
    assert_eq!(waiting, vec![Some("budget_used_up".to_owned()); 3]);
}

async fn what_has_expired_is_not_counted(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        a_day(4)(config);
        config.deliver.batch_rows = 10;
    })
    .await;
    let crowd = outbox.crowd(0, 4).await;
    let ids: Vec<&str> = crowd.iter().map(String::as_str).collect();
    let mut asked = request(&ids, json!({"title": "brief"}), None);
    asked.expires_at = Some(
        (outbox.clock.now() + chrono::TimeDelta::seconds(60))
            .and_utc()
            .to_rfc3339(),
    );
    let brief = outbox
        .bridge
        .notify(outbox.project, asked)
        .await
        .unwrap()
        .notification_id;
    outbox.advance(60);
    let lasting = outbox.notify_as("normal", &crowd).await;
    outbox.deliver().await;
    assert_eq!(outbox.count(brief, DeliveryState::Expired).await, 4);
    assert_eq!(outbox.count(lasting, DeliveryState::Sent).await, 4);
    let account = outbox.accounts[0];
    let pauses = outbox
        .write(move |conn| pause::of_account(conn, account))
        .await;
    assert!(pauses.is_empty(), "{pauses:?}");
}

async fn a_rate_for_all_holds_for_an_account_with_a_day_of_its_own(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        config.budgets.template_send.per_minute = 3;
        let own = AccountBudgets {
            template_send: OwnBudget {
                per_day: Some(50),
                ..OwnBudget::default()
            },
            ..AccountBudgets::default()
        };
        config.budgets.accounts.insert(APPS[0].to_owned(), own);
    })
    .await;
    let crowd = outbox.crowd(0, 9).await;
    outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 3);
}

async fn an_account_may_have_a_budget_of_its_own(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        config.budgets.template_send.per_day = 2;
        let own = AccountBudgets {
            template_send: OwnBudget {
                per_day: Some(5),
                ..OwnBudget::default()
            },
            ..AccountBudgets::default()
        };
        config.budgets.accounts.insert(APPS[0].to_owned(), own);
    })
    .await;
    let crowd = outbox.crowd(0, 9).await;
    outbox.notify_as("normal", &crowd).await;
    outbox.settle().await;
    assert_eq!(outbox.sends(), 5);
}

async fn a_rate_of_one_call_holds_up_no_other_one(engine: Engine) {
    let routes = RouteFixture::with(engine, |config| {
        config.deliver.batch_rows = 5;
        config.budgets.template_send.per_minute = 2;
    })
    .await;
    for person in 1..=12 {
        routes.member(&format!("s{person}"), person).await;
    }
    routes.allow(OA, 12).await;
    // The beginning of a minute.
    let passed = u64::try_from(routes.app.clock.unix_seconds() % 60).unwrap();
    routes
        .app
        .advance(std::time::Duration::from_secs(60 - passed));
    let settle =
        async || while routes.app.bridge.run(StepName::Deliver).await.unwrap() == Step::Worked {};
    routes.channels(&["template"]).await;
    for person in 1..=11 {
        routes.notify(&format!("s{person}")).await;
    }
    settle().await;
    assert_eq!(routes.calls(TEMPLATE_SEND), 2);
    routes.channels(&["oa_subscribe"]).await;
    let other = routes.notify("s12").await;
    settle().await;
    assert_eq!(
        routes.delivery(&other).await["state"],
        "sent",
        "its call has no rate"
    );
    // And an urgent one of the same call is before the others in the next minute.
    routes.channels(&["template"]).await;
    let body = json!({"message_type": "ping", "staff_ids": ["s12"], "params": {"title": "now"}, "priority": "urgent"});
    routes
        .app
        .post(&routes.key, "/notifications", body)
        .await
        .ok(202);
    settle().await;
    assert_eq!(routes.calls(TEMPLATE_SEND), 2);
    routes.app.advance(std::time::Duration::from_secs(60));
    settle().await;
    assert_eq!(routes.calls(TEMPLATE_SEND), 4);
    assert_eq!(routes.seen(12), 2);
}

async fn what_goes_beyond_a_rate_is_not_claimed_before_its_time(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        config.deliver.batch_rows = 5;
        config.budgets.template_send.per_minute = 2;
    })
    .await;
    let crowd = outbox.crowd(0, 14).await;
    let id = outbox.notify_as("normal", &crowd).await;
    for minute in 1..=7 {
        let mut steps = 0;
        while outbox.deliver().await == Step::Worked {
            steps += 1;
        }
        assert!(steps <= 4, "{minute}: {steps}");
        assert_eq!(outbox.sends(), 2 * minute);
        outbox.advance(59);
        assert_eq!(outbox.deliver().await, Step::Idle, "{minute}");
        outbox.advance(1);
    }
    for delivery in outbox.deliveries(id).await {
        assert_eq!(
            (delivery.state, delivery.attempts),
            (DeliveryState::Sent, 1)
        );
    }
}

async fn a_rate_spreads_what_is_sent(engine: Engine) {
    for (second, minute, sends) in [(5, 0, [5, 10, 12]), (0, 7, [7, 7, 7]), (4, 6, [4, 6, 6])] {
        let outbox = OutboxFixture::with(engine, |config| {
            config.budgets.template_send = Budget {
                per_day: 0,
                per_minute: minute,
                per_second: second,
            };
        })
        .await;
        let crowd = outbox.crowd(0, 12).await;
        outbox.notify_as("normal", &crowd).await;
        for sends in sends {
            outbox.settle().await;
            assert_eq!(outbox.sends(), sends, "{second} {minute}");
            outbox.advance(1);
        }
        outbox.advance(60);
        outbox.settle().await;
        outbox.advance(1);
        outbox.settle().await;
        assert_eq!(outbox.world().calls(SEND, None).unwrap(), 12);
    }
}
