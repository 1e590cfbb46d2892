-- Materialized, so that no plan can run the locking part more than once. `due_at` stays, as it is in an index: a claim
-- that writes none is half as expensive, and steps over what is under way.
WITH due AS MATERIALIZED (
    SELECT id FROM deliveries
    WHERE due_at IS NOT NULL
    AND COALESCE(account_id, 0) = $1 AND priority = $2
    AND due_at <= $3 AND (leased_until IS NULL OR leased_until <= $3) {only}
    ORDER BY due_at LIMIT $4 {skip_locked}
)
UPDATE deliveries SET
    leased_until = $5,
    attempts = attempts + 1,
    unsettled_since = COALESCE(unsettled_since, $3)
WHERE id IN (SELECT id FROM due)
RETURNING
    id, notification_id, staff_id, recipient, staff_name, account_id, identity_id, openid, route,
    attempts, leased_until, unsettled_since, spent, spoilt, begun_at, cancelled_at, routes_id,
    CASE WHEN reason = 'waiting_for_consent' THEN detail END AS awaits,
    CASE WHEN reason = 'waiting_for_consent' THEN considered END AS considered,
    (recipient IS NOT NULL OR {holds}) AS holds,
    sent_at IS NOT NULL AS begun
