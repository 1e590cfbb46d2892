//! What is to be done about the last message to a staff member.

use std::str::FromStr as _;

use chrono::{DateTime, Utc};

use super::Explanation;
use super::delivery::DeliveryStory;
use super::facts::Facts;
use super::steps::Steps;
use crate::ids::DeliveryId;
use crate::models::delivery::{AtFault, DeliveryState, Reason, RetryRefusal};

/// Adds what the newest delivery asks for: of the type that was asked about, if one was.
pub(super) fn follow_up(facts: &Facts, story: &Explanation, steps: &mut Steps) {
    let wanted = facts.asked.as_ref().map(|asked| asked.name.as_str());
    let is_wanted =
        |one: &&DeliveryStory| wanted.is_none() || one.message_type.as_deref() == wanted;
    let Some(last) = story.deliveries.iter().find(is_wanted) else {
        return;
    };
    let (id, detail) = (last.id, last.detail.as_deref().unwrap_or_default());
    let what = last.message_type.as_deref().unwrap_or("its message type");
    match last.state {
        DeliveryState::Delivered | DeliveryState::Cancelled => {}
        DeliveryState::Queued if last.reason.as_deref() == Some(Reason::WaitingForConsent.as_str()) => steps.add(
            format!("Wait: delivery {id} ({what}) waits for their consent. {detail}"),
        ),
        DeliveryState::Queued => steps.add(match last.next_attempt_at {
            Some(due) if !detail.is_empty() => {
                format!("Wait: delivery {id} ({what}) is tried again by itself at {}. {detail}", time(due))
            }
            _ => format!("Wait: delivery {id} ({what}) is about to be sent."),
        }),
        DeliveryState::Sent => steps.add(format!(
            "Wait: WeChat accepted delivery {id} ({what}), and its receipt has not come yet."
        )),
        DeliveryState::NoReceipt => no_receipt(facts, last, what, steps),
        DeliveryState::Unknown => {
            let again = once_more(facts, id);
            steps.add(format!(
                "Ask them whether they saw delivery {id} ({what}), of which nobody knows whether it \
                 was taken. If not, {again}"
            ));
        }
        DeliveryState::Expired => steps.add(format!(
            "Ask for another notification if it is still of use: delivery {id} ({what}) could not be \
             sent before it expired."
        )),
        DeliveryState::Failed | DeliveryState::Unreachable => failed(facts, last, what, steps),
    }
}

fn time(time: DateTime<Utc>) -> impl std::fmt::Display {
    time.format("%F %H:%M:%S UTC")
}

/// How a message that may have been seen is sent once more.
fn once_more(facts: &Facts, id: DeliveryId) -> String {
    match facts.hopeless.get(&id) {
        Some((_, why)) => format!("it takes another notification. {why}"),
        None => {
            format!("send it once more: POST /deliveries/{id}/retry {{\"even_if_sent\": true}}.")
        }
    }
}

fn no_receipt(facts: &Facts, last: &DeliveryStory, what: &str, steps: &mut Steps) {
    let (id, app_id) = (last.id, last.app_id.as_deref().unwrap_or_default());
    steps.add(format!(
        "Check that WeChat's events of account {app_id} reach the callback address: GET \
         /events?app_id={app_id}. WeChat accepted delivery {id} ({what}), and no receipt came."
    ));
    let again = once_more(facts, id);
    steps.add(format!("If they did not see it, {again}"));
}

fn failed(facts: &Facts, last: &DeliveryStory, what: &str, steps: &mut Steps) {
    let id = last.id;
    let reason = last.reason.as_deref().unwrap_or_default();
    let at_fault = Reason::from_str(reason).ok().and_then(Reason::at_fault);
    let detail = last.detail.as_deref().unwrap_or_default();
    // One that is over is not fixed any more: another notification is filled in again.
    let hopeless = facts.hopeless.get(&id);
    match at_fault {
        Some(AtFault::Message) => {
            steps.add(format!(
                "Fix the message of delivery {id} ({what}), then ask for another notification. {detail}"
            ));
            return;
        }
        Some(AtFault::Route) => {
            let then = match hopeless {
                Some((word, why)) if *word != RetryRefusal::RouteUnusable => {
                    format!("ask for another notification. {why}")
                }
                _ => format!(
                    "send delivery {id} over its routes of then: POST /deliveries/{id}/retry."
                ),
            };
            steps.add(format!(
                "Fix message type {what} (PUT /message-types/{what}), then {then} {detail}"
            ));
            return;
        }
        None => {}
    }
    if last.state == DeliveryState::Failed {
        steps.add(match &last.error {
            _ if reason.starts_with("endpoint_") => {
                format!("Delivery {id} ({what}) was not taken by your endpoint: {detail}")
            }
            Some(error) => format!("Delivery {id} ({what}) failed with {}", error.sentences()),
            None => format!("Delivery {id} ({what}) failed: {detail}"),
        });
    }
    let is_first = steps.is_empty();
    steps.add(match (hopeless, is_first) {
        (Some((_, why)), _) => {
            format!("A retry of delivery {id} ({what}) would be refused. {why}")
        }
        (None, true) => {
            format!("Send delivery {id} ({what}) once more: POST /deliveries/{id}/retry.")
        }
        (None, false) => {
            format!("Then send delivery {id} ({what}) once more: POST /deliveries/{id}/retry.")
        }
    });
}
