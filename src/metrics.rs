//! Counters and gauges by name, so that each exists once and is described once.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

#[allow(clippy::too_many_lines, reason = "a list of descriptions")]
/// Installs the recorder of this process; its handle renders the Prometheus text.
///
/// # Errors
/// If a recorder is installed already.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_counter!(
        "queqiao_callbacks_total",
        Unit::Count,
        "Callbacks by outcome: stored, or the cause for which they were not"
    );
    describe_counter!(
        "queqiao_spooled_total",
        Unit::Count,
        "Callbacks that were kept in the spool of this machine, as the database took none"
    );
    describe_gauge!(
        "queqiao_spool_events",
        Unit::Count,
        "Events in the spool of this machine by state: waiting for the database, or refused by it"
    );
    describe_gauge!(
        "queqiao_spool_bytes",
        Unit::Bytes,
        "Bytes in use of the spool of this machine"
    );
    describe_gauge!(
        "queqiao_spool_oldest_seconds",
        Unit::Seconds,
        "For how long the oldest event has been in the spool of this machine"
    );
    describe_counter!(
        "queqiao_steps_panicked_total",
        Unit::Count,
        "Steps that panicked and are tried again, by step"
    );
    describe_counter!(
        "queqiao_callbacks_unparsed_total",
        Unit::Count,
        "Signed callbacks that could not be parsed and were kept raw"
    );
    describe_counter!(
        "queqiao_events_unknown_total",
        Unit::Count,
        "Events of a kind that Queqiao does not know, kept whole"
    );
    describe_counter!(
        "queqiao_events_processed_total",
        Unit::Count,
        "Events processed, by outcome"
    );
    describe_counter!(
        "queqiao_wechat_calls_total",
        Unit::Count,
        "Calls to WeChat by call and outcome"
    );
    describe_counter!(
        "queqiao_attempts_total",
        Unit::Count,
        "Delivery attempts by outcome"
    );
    describe_counter!(
        "queqiao_deliveries_total",
        Unit::Count,
        "Deliveries that came to their end, by state and reason"
    );
    describe_counter!(
        "queqiao_no_receipt_total",
        Unit::Count,
        "Deliveries closed because their receipt did not come in time"
    );
    describe_counter!(
        "queqiao_webhook_posts_total",
        Unit::Count,
        "Posts to the business's endpoints by outcome"
    );
    describe_counter!(
        "queqiao_webhooks_disabled_total",
        Unit::Count,
        "Endpoints disabled because they took nothing or are gone"
    );
    describe_counter!(
        "queqiao_account_pauses_total",
        Unit::Count,
        "Pauses of accounts or of one call of theirs, by reason"
    );
    describe_counter!(
        "queqiao_api_refused_total",
        Unit::Count,
        "Requests to the API refused for who asks, by code"
    );
    describe_gauge!(
        "queqiao_events_waiting",
        Unit::Count,
        "Events stored and not processed yet"
    );
    describe_gauge!(
        "queqiao_deliveries_queued",
        Unit::Count,
        "Queued deliveries by what they wait for: due, sending, waiting; counted up to 100,000"
    );
    describe_gauge!(
        "queqiao_deliveries_oldest_due_seconds",
        Unit::Seconds,
        "For how long the oldest delivery of an account has been due"
    );
    describe_gauge!(
        "queqiao_accounts_paused",
        Unit::Count,
        "Accounts with a pause now, by its kind: stopped, backing_off, used_up"
    );
    describe_gauge!(
        "queqiao_account_stopped",
        Unit::Count,
        "1 while an account does not send, or does not make one call, until its owner acts"
    );
    describe_gauge!(
        "queqiao_budget_used",
        Unit::Count,
        "Calls counted today, in Beijing, by account and call"
    );
    describe_gauge!(
        "queqiao_budget_limit",
        Unit::Count,
        "Calls that the budget of a day allows, by account and call"
    );
    Ok(handle)
}

/// A step panicked.
pub fn step_panicked(step: &'static str) {
    counter!("queqiao_steps_panicked_total", "step" => step).increment(1);
}

/// A callback came in; `outcome` is `stored` or the cause for which it was not.
pub fn callback(outcome: &'static str) {
    counter!("queqiao_callbacks_total", "outcome" => outcome).increment(1);
}

/// Callbacks were kept in the spool.
pub fn spooled(count: usize) {
    counter!("queqiao_spooled_total").increment(count as u64);
}

/// What the spool holds.
#[allow(clippy::cast_precision_loss, reason = "a gauge is a float")]
pub fn spool(waiting: i64, refused: i64, bytes: i64, oldest_seconds: i64) {
    gauge!("queqiao_spool_events", "state" => "waiting").set(waiting as f64);
    gauge!("queqiao_spool_events", "state" => "refused").set(refused as f64);
    gauge!("queqiao_spool_bytes").set(bytes as f64);
    gauge!("queqiao_spool_oldest_seconds").set(oldest_seconds as f64);
}

/// A request to the API was refused for its key.
pub fn api_refused(code: &'static str) {
    counter!("queqiao_api_refused_total", "code" => code).increment(1);
}

/// A signed callback could not be parsed.
pub fn unparsed() {
    counter!("queqiao_callbacks_unparsed_total").increment(1);
}

/// An event of an unknown kind was processed.
pub fn unknown_event() {
    counter!("queqiao_events_unknown_total").increment(1);
}

/// Events were processed.
pub fn events(outcome: &'static str, count: usize) {
    counter!("queqiao_events_processed_total", "outcome" => outcome).increment(count as u64);
}

/// A call to WeChat came back.
pub fn wechat_call(call: &'static str, outcome: &'static str) {
    counter!("queqiao_wechat_calls_total", "call" => call, "outcome" => outcome).increment(1);
}

/// A delivery was tried.
pub fn attempt(outcome: &'static str) {
    counter!("queqiao_attempts_total", "outcome" => outcome).increment(1);
}

/// Deliveries came to their end. Both words are of a closed set.
pub fn deliveries(state: &'static str, reason: &'static str, count: i64) {
    let count = u64::try_from(count).unwrap_or_default();
    counter!("queqiao_deliveries_total", "state" => state, "reason" => reason).increment(count);
}

/// Receipts said that messages arrived.
pub fn delivered(count: usize) {
    let state = "delivered";
    counter!("queqiao_deliveries_total", "state" => state, "reason" => "none")
        .increment(count as u64);
}

/// Deliveries were closed without a receipt.
pub fn no_receipt(count: usize) {
    counter!("queqiao_no_receipt_total").increment(count as u64);
}

/// An event was posted to an endpoint, or could not be.
pub fn webhook_post(outcome: &'static str) {
    counter!("queqiao_webhook_posts_total", "outcome" => outcome).increment(1);
}

/// An endpoint was disabled.
pub fn webhook_disabled(state: &'static str) {
    counter!("queqiao_webhooks_disabled_total", "state" => state).increment(1);
}

/// An account, or a call of it, may not send for a while.
pub fn account_paused(reason: &'static str) {
    counter!("queqiao_account_pauses_total", "reason" => reason).increment(1);
}

/// How many events wait to be processed.
pub fn events_waiting(count: i64) {
    gauge!("queqiao_events_waiting").set(count as f64);
}

/// How many deliveries are queued in a state.
pub fn deliveries_queued(state: &'static str, count: i64) {
    gauge!("queqiao_deliveries_queued", "state" => state).set(count as f64);
}

/// For how long an account's oldest delivery has been due.
pub fn oldest_due(app_id: String, seconds: i64) {
    gauge!("queqiao_deliveries_oldest_due_seconds", "app_id" => app_id).set(seconds as f64);
}

/// How many accounts have a pause of a kind.
pub fn accounts_paused(kind: &'static str, count: i64) {
    gauge!("queqiao_accounts_paused", "kind" => kind).set(count as f64);
}

/// Whether the owner of an account has to act.
pub fn account_stopped(app_id: String, stopped: bool) {
    gauge!("queqiao_account_stopped", "app_id" => app_id).set(f64::from(u8::from(stopped)));
}

/// How many calls an account has made today.
pub fn budget_used(app_id: String, call: &'static str, used: i64) {
    gauge!("queqiao_budget_used", "app_id" => app_id, "call" => call).set(used as f64);
}

/// How many calls an account may make on a day.
pub fn budget_limit(app_id: String, call: &'static str, per_day: i64) {
    gauge!("queqiao_budget_limit", "app_id" => app_id, "call" => call).set(per_day as f64);
}
