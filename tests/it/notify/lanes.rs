//! Who goes first, and who is in nobody's way.

use queqiao::bridge::steps::StepName;
use queqiao::bridge::{Bridge, Step};
use queqiao::db::Engine;
use queqiao::models::delivery::DeliveryState;
use queqiao::simulator::{Fault, FaultKind, population};
use tokio::task::JoinHandle;

use super::outbox::{APPS, OutboxFixture, SEND, request};

/// Steps that hang in sends of the first account, all that it may have at the same time.
async fn hanging(outbox: &OutboxFixture, slots: u32, batch: u32) -> Vec<JoinHandle<()>> {
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[0].to_owned()),
        ..Fault::at(SEND, FaultKind::TimeOutBefore)
    };
    outbox
        .world()
        .add_fault(fault.times(slots * batch))
        .unwrap();
    let mut tasks = Vec::new();
    let hang = || outbox.world().calls(SEND, Some(APPS[0])).unwrap();
    for number in 1..=slots {
        let bridge: Bridge = outbox.bridge.clone();
        tasks.push(tokio::spawn(async move {
            bridge.run(StepName::Deliver).await.unwrap();
        }));
        while hang() < u64::from(number * batch) {
            tokio::task::yield_now().await;
        }
    }
    tasks
}

/// The second account is refused once.
fn stop(outbox: &OutboxFixture) {
    let fault = Fault {
        openid: None,
        app_id: Some(APPS[1].to_owned()),
        ..Fault::at(SEND, FaultKind::Errcode { errcode: 40164 })
    };
    outbox.world().add_fault(fault.times(1)).unwrap();
}

both_engines! {
    urgent_messages_go_before_thousands_in_bulk,
    a_hanging_account_delays_neither_urgent_messages_nor_other_accounts,
    an_account_in_trouble_waits_for_no_slot_that_others_hold,
    an_urgent_message_of_an_account_in_trouble_has_the_slots_of_urgent_ones,
    accounts_take_turns,
}

async fn urgent_messages_go_before_thousands_in_bulk(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 64).await;
    let crowd = outbox.crowd(0, 90).await;
    outbox.bound("now", 0, 99, true).await;
    for _ in 0..56 {
        outbox.notify_as("bulk", &crowd).await;
    }
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.world().messages().len(), 64);
    let normal = outbox.notify_as("normal", &["now".to_owned()]).await;
    let urgent = outbox.notify_as("urgent", &["now".to_owned()]).await;
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.deliver().await, Step::Worked);
    let words: Vec<String> = outbox.world().messages()[64..66]
        .iter()
        .map(|seen| seen.data["thing1"].clone())
        .collect();
    assert_eq!(words, ["urgent", "normal"]);
    for id in [normal, urgent] {
        assert_eq!(outbox.only(id).await.0.state, DeliveryState::Sent);
    }
    outbox.settle().await;
    assert_eq!(outbox.world().messages().len(), 56 * 90 + 2);
}

async fn a_hanging_account_delays_neither_urgent_messages_nor_other_accounts(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 5).await;
    let crowd = outbox.crowd(0, 40).await;
    outbox.bound("now", 0, 98, true).await;
    outbox.bound("other", 1, 99, true).await;
    outbox.notify_as("bulk", &crowd).await;
    let tasks = hanging(&outbox, 3, 5).await;
    assert_eq!(outbox.deliver().await, Step::Idle, "its share is in flight");
    let other = outbox.notify_as("bulk", &["other".to_owned()]).await;
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.only(other).await.0.state, DeliveryState::Sent);
    let urgent = outbox.notify_as("urgent", &["now".to_owned()]).await;
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.only(urgent).await.0.state, DeliveryState::Sent);
    assert_eq!(outbox.deliver().await, Step::Idle);
    for task in tasks {
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
    // What the lost ones held is free again, and what they had claimed is sent once.
    outbox.settle().await;
    outbox.advance(121);
    outbox.settle().await;
    let openids: std::collections::BTreeSet<String> = outbox
        .world()
        .messages()
        .into_iter()
        .map(|seen| seen.openid)
        .collect();
    assert_eq!(openids.len(), outbox.world().messages().len());
    assert!(openids.contains(&population::openid(APPS[0], 40)));
    assert_eq!(openids.len(), 42);
}

async fn an_account_in_trouble_waits_for_no_slot_that_others_hold(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        config.deliver.batch_rows = 5;
        (config.deliver.loops, config.deliver.loops_per_account) = (2, 1);
        config.deliver.urgent_loops = 1;
    })
    .await;
    let crowd = outbox.crowd(0, 20).await;
    outbox.bound("other", 1, 99, true).await;
    stop(&outbox);
    let id = outbox.notify_as("normal", &["other".to_owned()]).await;
    outbox.settle().await;
    assert_eq!(outbox.count(id, DeliveryState::Queued).await, 1);
    outbox.notify_as("bulk", &crowd).await;
    let tasks = hanging(&outbox, 1, 5).await;
    assert_eq!(outbox.deliver().await, Step::Idle);
    // It is tried, and stopped again.
    stop(&outbox);
    outbox.advance(80);
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.count(id, DeliveryState::Queued).await, 1);
    // What cannot wait ends.
    let mut brief = request(&["other"], serde_json::json!({"title": "brief"}), None);
    let end = outbox.clock.now() + chrono::TimeDelta::seconds(5);
    brief.expires_at = Some(end.and_utc().to_rfc3339());
    let brief = outbox
        .bridge
        .notify(outbox.project, brief)
        .await
        .unwrap()
        .notification_id;
    outbox.advance(6);
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.count(brief, DeliveryState::Expired).await, 1);
    // And it comes back.
    outbox.advance(130);
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.count(id, DeliveryState::Sent).await, 1);
    for task in tasks {
        task.abort();
    }
}

async fn an_urgent_message_of_an_account_in_trouble_has_the_slots_of_urgent_ones(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| {
        config.deliver.batch_rows = 5;
        (config.deliver.loops, config.deliver.loops_per_account) = (1, 1);
        config.deliver.urgent_loops = 1;
    })
    .await;
    let crowd = outbox.crowd(0, 10).await;
    outbox.bound("other", 1, 99, true).await;
    stop(&outbox);
    let id = outbox.notify_as("normal", &["other".to_owned()]).await;
    outbox.settle().await;
    outbox.notify_as("bulk", &crowd).await;
    let tasks = hanging(&outbox, 1, 5).await;
    outbox.advance(80);
    assert_eq!(
        outbox.deliver().await,
        Step::Idle,
        "there is one slot, and it is taken"
    );
    let urgent = outbox.notify_as("urgent", &["other".to_owned()]).await;
    assert_eq!(outbox.deliver().await, Step::Worked);
    assert_eq!(outbox.count(urgent, DeliveryState::Sent).await, 1);
    assert_eq!(outbox.count(id, DeliveryState::Queued).await, 1);
    for task in tasks {
        task.abort();
    }
}

async fn accounts_take_turns(engine: Engine) {
    let outbox = OutboxFixture::with(engine, |config| config.deliver.batch_rows = 2).await;
    for person in 1..=6 {
        outbox.bound(&format!("a{person}"), 0, person, true).await;
        outbox
            .bound(&format!("b{person}"), 1, person + 50, true)
            .await;
    }
    let staff = |letter: char| (1..=6).map(|n| format!("{letter}{n}")).collect::<Vec<_>>();
    outbox.notify_as("normal", &staff('a')).await;
    outbox.notify_as("bulk", &staff('b')).await;
    let mut sent = Vec::new();
    for _ in 0..4 {
        outbox.deliver().await;
        sent.push(APPS.map(|app| outbox.world().calls(SEND, Some(app)).unwrap()));
    }
    assert_eq!(sent, [[2, 0], [2, 2], [4, 2], [4, 4]]);
}
