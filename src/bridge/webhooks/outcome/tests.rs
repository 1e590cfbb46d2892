use super::*;
use crate::bridge::webhooks::post::UrlError;
use crate::config::Config;
use crate::ids::{ProjectId, WebhookId, WebhookMessageId};
use crate::models::webhook::WebhookState;

fn at(seconds: i64) -> NaiveDateTime {
    let start = chrono::DateTime::from_timestamp(1_767_225_600 + seconds, 0);
    start.unwrap().naive_utc()
}

fn webhook(failures: i32, failing_since: Option<i64>) -> Webhook {
    Webhook {
        id: WebhookId(1),
        project_id: ProjectId(1),
        url: "https://example.com".to_owned(),
        events: "[]".to_owned(),
        app_ids: None,
        description: None,
        state: WebhookState::Enabled,
        state_reason: None,
        state_at: at(0),
        sealed_secret: Vec::new(),
        sealed_old_secret: None,
        old_secret_until: None,
        failures,
        failing_since: failing_since.map(at),
        paused_until: None,
        last_success_at: None,
        created_at: at(0),
        updated_at: at(0),
        sealed_older_secret: None,
        older_secret_until: None,
        rotation_key: None,
    }
}

fn tried(result: Result<u16, PostError>, attempts: i32, begun_at: Option<i64>) -> Tried {
    Tried {
        message: Leased {
            id: WebhookMessageId(1),
            uid: "msg_1".to_owned(),
            person: None,
            body: "{}".to_owned(),
            attempts,
            begun_at: begun_at.map(at),
        },
        result: result.map(|status| Answer {
            status,
            excerpt: "text".to_owned(),
            retry_after: (status == 429).then_some(100),
        }),
    }
}

fn summed(webhook: &Webhook, tried: &[Tried], now: i64) -> Sum {
    let limits = Limits::of(&Config::default().webhooks);
    sum(webhook, tried, &limits, at(now), || 1.0)
}

#[test]
fn only_2xx_is_taken() {
    for (status, taken) in [
        (200, true),
        (202, true),
        (204, true),
        (299, true),
        (301, false),
        (307, false),
        (400, false),
        (404, false),
        (410, false),
        (429, false),
        (500, false),
        (503, false),
    ] {
        let sum = summed(&webhook(0, None), &[tried(Ok(status), 0, None)], 0);
        assert_eq!(sum.done[0].state == MessageState::Sent, taken, "{status}");
        assert_eq!(sum.done[0].due_at.is_none(), taken, "{status}");
        assert_eq!(sum.done[0].status, Some(i32::from(status)));
    }
}

#[test]
fn pauses_double_up_to_an_hour_and_an_endpoint_rests_a_minute_at_most() {
    let pauses: Vec<i64> = [0, 1, 2, 9, 10, 30]
        .into_iter()
        .map(|attempts| {
            let sum = summed(&webhook(0, None), &[tried(Ok(500), attempts, Some(0))], 100);
            (sum.done[0].due_at.unwrap() - at(100)).num_seconds()
        })
        .collect();
    assert_eq!(pauses, [5, 10, 20, 2_560, 3_600, 3_600]);
    let rests: Vec<i64> = [0, 1, 3, 4, 30]
        .into_iter()
        .map(|failures| {
            let sum = summed(&webhook(failures, Some(0)), &[tried(Ok(500), 0, None)], 100);
            assert_eq!(sum.turn.failures, failures + 1);
            (sum.turn.paused_until.unwrap() - at(100)).num_seconds()
        })
        .collect();
    assert_eq!(rests, [5, 10, 40, 60, 60]);
}

#[test]
fn one_that_is_taken_clears_the_endpoint_and_retry_after_is_heeded() {
    let turn = [tried(Ok(500), 0, None), tried(Ok(200), 0, None)];
    let sum = summed(&webhook(7, Some(0)), &turn, 100);
    assert_eq!((sum.turn.failures, sum.turn.failing_since), (0, None));
    assert_eq!(sum.turn.last_success_at, Some(at(100)));
    assert_eq!(sum.turn.paused_until, None);
    let sum = summed(&webhook(0, None), &[tried(Ok(429), 0, None)], 0);
    assert_eq!(sum.turn.paused_until, Some(at(100)));
    assert_eq!(sum.turn.failing_since, Some(at(0)));
}

#[test]
fn a_day_without_success_disables_and_keeps_and_a_day_of_one_event_gives_it_up() {
    const DAY: i64 = 86_400;
    let old = || tried(Err(PostError::TimeOut), 20, Some(0));
    let sum = summed(&webhook(20, Some(0)), &[old()], DAY - 1);
    assert_eq!(
        (sum.disable, sum.done[0].state),
        (None, MessageState::Queued)
    );
    let sum = summed(&webhook(20, Some(0)), &[old()], DAY);
    assert_eq!(
        (sum.disable, sum.done[0].state),
        (Some(DisableReason::Failing), MessageState::Queued)
    );
    let sum = summed(&webhook(0, None), &[old(), tried(Ok(200), 0, None)], DAY);
    assert_eq!(
        (sum.disable, sum.done[0].state),
        (None, MessageState::Failed)
    );
    assert_eq!(sum.done[0].answer, PostError::TimeOut.to_string());
    let sum = summed(&webhook(0, None), &[tried(Ok(410), 0, None)], 0);
    assert_eq!(
        (sum.disable, sum.done[0].state),
        (Some(DisableReason::Gone), MessageState::Queued)
    );
}

#[test]
fn an_empty_turn_changes_nothing_and_every_outcome_has_its_word() {
    let sum = summed(&webhook(3, Some(0)), &[], 100);
    assert_eq!(
        (sum.turn.failures, sum.turn.failing_since),
        (3, Some(at(0)))
    );
    for (result, word) in [
        (Ok(200), "taken"),
        (Ok(500), "refused"),
        (Err(PostError::TimeOut), "timed_out"),
        (Err(PostError::Refused(UrlError::Private)), "not_allowed"),
        (Err(PostError::NotReached(String::new())), "not_reached"),
    ] {
        assert_eq!(tried(result, 0, None).word(), word);
    }
}
