-- Of somebody who is erased while it is tried, that stays the reason until it was sent after all.
UPDATE deliveries SET
    state = r.state,
    reason = CASE
        WHEN deliveries.reason = 'erased' AND r.state IN ('queued', 'cancelled') THEN 'erased'
        ELSE r.reason END,
    detail = CASE
        WHEN deliveries.reason = 'erased' AND r.state IN ('queued', 'cancelled') THEN deliveries.detail
        ELSE r.detail END,
    due_at = r.due_at,
    leased_until = NULL,
    unsettled_since = r.unsettled_since,
    msgid = r.msgid,
    sent_at = r.sent_at,
    finished_at = r.finished_at,
    spoilt = deliveries.spoilt + COALESCE(r.spoilt, 0)
FROM {rows}
WHERE deliveries.id = r.id AND (
    deliveries.state = 'queued'
    AND (deliveries.attempts = r.attempt OR r.state IN ('sent', 'delivered'))
    OR deliveries.state = 'unknown' AND r.state = 'delivered'
    OR deliveries.state IN ('sent', 'unknown', 'no_receipt') AND deliveries.msgid IS NULL
    AND r.state = 'sent' AND r.msgid IS NOT NULL
)
