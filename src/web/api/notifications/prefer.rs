//! `Prefer: wait=N` (RFC 7240): the answer waits a while for what becomes of each message.

use std::collections::HashMap;

use actix_web::HttpRequest;
use serde::Serialize;
use utoipa::ToSchema;

use crate::bridge::limits::{AWAITED_MAX, WAIT_SECONDS_MAX};
use crate::bridge::notify::Outcome;
use crate::ids::DeliveryId;
use crate::models::delivery::DeliveryState;

const PREFER: &str = "Prefer";
/// The header of an answer that waited.
pub(super) const PREFERENCE_APPLIED: &str = "preference-applied";

/// What is known of each delivery by now; none where nobody waited.
pub(super) type Outcomes = HashMap<DeliveryId, Outcome>;

/// What became of a delivery, in the verdict of it.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct OutcomeView<'a> {
    /// `queued`: not known in time.
    state: DeliveryState,
    reason: Option<&'a str>,
    detail: Option<&'a str>,
    /// WeChat's code: 0 if it took the message, null while there is no answer.
    errcode: Option<i64>,
    /// WeChat's own words.
    errmsg: Option<&'a str>,
    msgid: Option<String>,
}

impl<'a> From<&'a Outcome> for OutcomeView<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        Self {
            state: outcome.state,
            reason: outcome.reason.as_deref(),
            detail: outcome.detail.as_deref(),
            errcode: outcome.errcode,
            errmsg: outcome.errmsg.as_deref(),
            msgid: outcome.msgid.map(|msgid| msgid.to_string()),
        }
    }
}

/// For how long an answer to that many recipients is to wait, seconds, at most
/// [`WAIT_SECONDS_MAX`]. What is not understood is ignored, as RFC 7240 wants it.
pub(super) fn wait(request: &HttpRequest, recipients: usize) -> Option<u64> {
    let given = request.headers().get_all(PREFER);
    let texts = given.filter_map(|value| value.to_str().ok());
    let seconds = texts.flat_map(|text| text.split(',')).find_map(seconds)?;
    (recipients <= AWAITED_MAX).then_some(seconds.min(WAIT_SECONDS_MAX))
}

/// The seconds of one preference, if it is `wait`.
fn seconds(preference: &str) -> Option<u64> {
    // Parameters of a preference follow a semicolon; `wait` has none.
    let (own, _) = preference.split_once(';').unwrap_or((preference, ""));
    let (name, value) = own.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("wait") {
        return None;
    }
    let digits = value.trim().trim_matches('"');
    let are_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    // More digits than a number has are still many seconds.
    are_digits.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(values: &[&str], recipients: usize) -> Option<u64> {
        let mut request = actix_web::test::TestRequest::default();
        for value in values {
            request = request.append_header((PREFER, *value));
        }
        wait(&request.to_http_request(), recipients)
    }

    #[test]
    fn the_preference_is_found_among_others() {
        for (values, expected) in [
            (&["wait=5"][..], Some(5)),
            (&["respond-async, wait=5"], Some(5)),
            (&["respond-async", "WAIT = \"7\"; x=y"], Some(7)),
            (&["wait=3, wait=9"], Some(3)),
            (&["wait=0"], Some(0)),
            (&["wait=99999999999999999999999"], Some(WAIT_SECONDS_MAX)),
            (&["wait"], None),
            (&["wait=-1"], None),
            (&["wait=soon"], None),
            (&["await=5"], None),
            (&[], None),
        ] {
            assert_eq!(waits(values, 1), expected, "{values:?}");
        }
    }

    #[test]
    fn a_large_notification_is_not_waited_for() {
        assert_eq!(waits(&["wait=5"], AWAITED_MAX), Some(5));
        assert_eq!(waits(&["wait=5"], AWAITED_MAX + 1), None);
    }
}
