//! Notifications against what the apps were told, sums against what they sum up, and permissions against WeChat's.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context as _, Result};
use diesel::QueryableByName;
use diesel::sql_types::{BigInt, Text};
use serde_json::Value;

use crate::installation::Installation;
use crate::report::Findings;
use crate::world::World;

#[derive(QueryableByName)]
struct Addressed {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    deliveries: i64,
}

#[derive(QueryableByName)]
struct Left {
    #[diesel(sql_type = Text)]
    openid: String,
    #[diesel(sql_type = BigInt)]
    left: i64,
}

/// Sums of progress that are not what they sum up.
const PROGRESS: &str = "(SELECT notification_id, state, SUM(count) AS n FROM progress GROUP BY 1, 2 \
    HAVING SUM(count) <> 0) p FULL JOIN (SELECT notification_id, state, COUNT(*) AS n FROM deliveries \
    WHERE notification_id IN (SELECT notification_id FROM progress) GROUP BY 1, 2) d \
    ON p.notification_id = d.notification_id AND p.state = d.state WHERE p.n IS DISTINCT FROM d.n";

/// Permissions that are not what their entries leave, of those of which none was refused.
const DRIFT: &str = "credits c WHERE c.withdrawn_time = 0 AND c.refused_time = 0 AND c.folded_time = 0 \
    AND NOT c.long_term AND c.one_time_left <> GREATEST(0, \
    (SELECT COUNT(*) FROM credit_entries e WHERE e.credit_id = c.id AND e.kind = 'event') \
    - (SELECT COUNT(*) FROM credit_entries e WHERE e.credit_id = c.id AND e.kind = 'taken'))";

fn count(found: i64) -> u64 {
    u64::try_from(found).unwrap_or_default()
}

/// Every notification that was acknowledged is there, with a delivery for each person, and sums agree.
pub(crate) fn notifications(
    installation: &Installation,
    accepted: &BTreeMap<i64, usize>,
    findings: &mut Findings,
) -> Result<()> {
    let sql = "SELECT notification_id AS id, COUNT(*) AS deliveries FROM deliveries GROUP BY 1";
    let rows: Vec<Addressed> = installation.rows(sql)?;
    let stored: HashMap<i64, i64> = rows.iter().map(|row| (row.id, row.deliveries)).collect();
    let is_missing =
        |(id, people): &(&i64, &usize)| stored.get(*id).copied() != i64::try_from(**people).ok();
    let missing = accepted.iter().filter(is_missing).count();
    findings.zero("notifications acknowledged and missing", missing as u64);
    findings.zero("drift of progress", count(installation.count(PROGRESS)?));
    Ok(())
}

/// Nobody is thought to allow more than WeChat has, and no more is lost than what a send without a known end may
/// have used, or a push of a consent that no try brought in.
pub(crate) async fn permissions(
    world: &World,
    app_id: &str,
    taps: u64,
    findings: &mut Findings,
) -> Result<()> {
    let ours = &world.installation;
    findings.zero("drift of permissions", count(ours.count(DRIFT)?));
    let sql = "SELECT i.openid, SUM(c.one_time_left)::bigint AS left FROM credits c \
               JOIN identities i ON i.id = c.identity_id GROUP BY 1";
    let rows: Vec<Left> = ours.rows(sql)?;
    let mut known: HashMap<u32, u64> = HashMap::new();
    for row in &rows {
        if let Some(person) = world.person_of.get(&row.openid) {
            *known.entry(*person).or_default() += count(row.left);
        }
    }
    let (mut too_many, mut here, mut there) = (0, 0, 0);
    for person in 0..world.people {
        let path = format!("/accounts/{app_id}/people/{person}/grants");
        let grants = world.simulator.ask(&path).await?;
        let grants = grants.as_object().context("no grants")?;
        let has: u64 = grants
            .values()
            .filter_map(|grant| grant.get("left").and_then(Value::as_u64))
            .sum();
        let thinks = known.get(&person).copied().unwrap_or_default();
        too_many += u64::from(thinks > has);
        here += thinks;
        there += has;
    }
    let open = count(ours.count("credit_entries WHERE kind = 'taken' AND mark = 0")?);
    let heard = count(ours.count("credit_entries WHERE kind = 'event'")?);
    let lost = taps.saturating_sub(heard);
    findings.count("permissions left", here);
    findings.count("permissions left at WeChat", there);
    findings.count("sends of permissions without a known end", open);
    findings.count("consents that no push brought in", lost);
    findings.zero("people with more permissions than WeChat has", too_many);
    findings.zero(
        "permissions lost without a reason",
        there.saturating_sub(here + open + lost),
    );
    Ok(())
}
