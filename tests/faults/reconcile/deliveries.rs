//! What each delivery says against what people saw.

use std::collections::{BTreeMap, HashMap};

use anyhow::Result;
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Integer, Text};
use serde_json::Value;

use crate::report::Findings;
use crate::world::World;

/// Examples of each fault that are shown.
const EXAMPLES: usize = 3;

#[derive(QueryableByName)]
struct Delivery {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Text)]
    reason: String,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Text)]
    params: String,
    #[diesel(sql_type = Text)]
    staff_id: String,
    /// What else says how it came to that.
    #[diesel(sql_type = Text)]
    more: String,
}

const DELIVERIES: &str = "SELECT d.id, COALESCE(d.openid, '') AS openid, d.state, COALESCE(d.reason, '') AS reason, d.attempts, \
               n.params, COALESCE(d.staff_id, '') AS staff_id, n.message_type || ', route ' || \
               COALESCE(CAST(d.route AS TEXT), '-') || ', priority ' || CAST(d.priority AS TEXT) || ', due ' || \
               COALESCE(CAST(d.due_at AS TEXT), '-') || ', leased until ' || \
               COALESCE(CAST(d.leased_until AS TEXT), '-') || ', sent ' || COALESCE(CAST(d.sent_at AS TEXT), '-') || \
               ', msgid ' || COALESCE(CAST(d.msgid AS TEXT), '-') AS more \
               FROM deliveries d JOIN notifications n ON n.id = d.notification_id";

/// How often each person saw the message of each notification, which is known by its order number.
type Seen = HashMap<(String, u32), u64>;

async fn seen(world: &World) -> Result<Seen> {
    let messages = world.simulator.ask("/messages").await?;
    let mut seen = Seen::new();
    for message in messages.as_array().into_iter().flatten() {
        let text = |pointer: &str| message.pointer(pointer).and_then(Value::as_str);
        let in_text = || {
            text("/text")
                .and_then(|text| text.split_once('#'))
                .map(|(_, order)| order)
        };
        let order = text("/data/character_string1").or_else(in_text);
        let person = text("/openid").and_then(|openid| world.person_of.get(openid));
        if let (Some(order), Some(person)) = (order, person) {
            *seen.entry((order.to_owned(), *person)).or_default() += 1;
        }
    }
    Ok(seen)
}

/// What was found wrong: which deliveries, by the name of what is wrong.
#[derive(Default)]
struct Wrong(BTreeMap<&'static str, Vec<String>>);

const TWICE: &str = "seen more than once";
const NEVER: &str = "delivered and never seen";
const YET: &str = "failed yet seen";
const OPEN: &str = "not settled";
const STRAY: &str = "seen without a delivery";

/// Counts what was sent, and what must not have happened. `open` are the states that are no end.
pub(crate) async fn deliveries(
    world: &World,
    open: &[&str],
    findings: &mut Findings,
) -> Result<()> {
    let seen = seen(world).await?;
    let taken = world.endpoint.taken();
    let rows: Vec<Delivery> = world.installation.rows(DELIVERIES)?;
    let mut wrong = Wrong::default();
    let mut states: BTreeMap<String, u64> = BTreeMap::new();
    let mut claimed = 0_u64;
    let (mut again, mut unsure, mut unsure_and_seen) = (0_u64, 0_u64, 0_u64);
    for delivery in &rows {
        let params: Value = serde_json::from_str(&delivery.params)?;
        let order = params
            .get("order")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let posts = taken.get(&(order.to_owned(), delivery.staff_id.clone()));
        let person = delivery
            .staff_id
            .trim_start_matches('e')
            .parse()
            .unwrap_or(u32::MAX);
        let shown = seen
            .get(&(order.to_owned(), person))
            .copied()
            .unwrap_or_default();
        claimed += shown;
        // A webhook's repetition has the id of the first.
        let times = shown + posts.map_or(0, |ids| ids.len() as u64);
        *states.entry(delivery.state.clone()).or_default() += 1;
        again += u64::from(delivery.attempts > 1);
        if matches!(delivery.state.as_str(), "unknown" | "no_receipt") {
            unsure += 1;
            unsure_and_seen += u64::from(times > 0);
        }
        if let Some(what) = judge(&delivery.state, times, open) {
            let Delivery {
                id,
                openid,
                state,
                reason,
                attempts,
                more,
                ..
            } = delivery;
            let example = format!(
                "{id} of {order} to {openid}: {state} {reason}, tries {attempts}, seen {times}; {more}"
            );
            wrong.0.entry(what).or_default().push(example);
        }
    }
    let states: Vec<String> = states
        .iter()
        .map(|(state, count)| format!("{state} {count}"))
        .collect();
    wrong.tell(findings);
    findings.zero(STRAY, seen.values().sum::<u64>().saturating_sub(claimed));
    findings.count("deliveries", rows.len());
    findings.count("of these", states.join(" + "));
    findings.count("tried more than once", again);
    findings.count("unknown or without receipt", unsure);
    findings.count("of these seen", unsure_and_seen);
    Ok(())
}

impl Wrong {
    fn tell(&self, findings: &mut Findings) {
        for name in [TWICE, NEVER, YET, OPEN] {
            let examples = self.0.get(name).map_or(&[][..], Vec::as_slice);
            findings.zero(name, examples.len() as u64);
            for example in examples.iter().take(EXAMPLES) {
                findings.detail(format!("{name}: {example}"));
            }
        }
    }
}

/// What is wrong with a delivery in that state whose message was seen so often.
fn judge(state: &str, times: u64, open: &[&str]) -> Option<&'static str> {
    match (state, times) {
        (_, 2..) => Some(TWICE),
        ("delivered", 0) => Some(NEVER),
        ("failed" | "cancelled" | "expired" | "unreachable", 1) => Some(YET),
        (state, _) if open.contains(&state) => Some(OPEN),
        _ => None,
    }
}
