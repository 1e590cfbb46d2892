INSERT INTO account_pauses (
    account_id, call, kind, reason, detail, until, failures, alerted, since, tried_at, set_at, probe_at
)
SELECT
    r.account_id, r.call, r.kind, r.reason, r.detail, r.until, 1, false, r.now, r.started_at, r.now,
    r.probe_at
FROM {rows} WHERE true
ON CONFLICT (account_id, call) DO UPDATE SET
    kind = excluded.kind,
    reason = excluded.reason,
    detail = excluded.detail,
    until = excluded.until,
    probe_at = excluded.probe_at,
    failures = CASE
        WHEN account_pauses.kind = excluded.kind
        AND (excluded.kind <> 'used_up' OR account_pauses.until > excluded.tried_at)
            THEN account_pauses.failures + 1
        ELSE 1 END,
    alerted = account_pauses.alerted AND account_pauses.kind = excluded.kind
        AND (excluded.kind <> 'used_up' OR account_pauses.until > excluded.tried_at),
    since = CASE
        WHEN account_pauses.kind = excluded.kind
        AND (excluded.kind <> 'used_up' OR account_pauses.until > excluded.tried_at)
            THEN account_pauses.since
        ELSE excluded.since END,
    tried_at = excluded.tried_at,
    set_at = excluded.set_at
WHERE COALESCE(account_pauses.probe_at, account_pauses.until) <= excluded.tried_at
OR account_pauses.kind = 'backing_off' AND excluded.kind <> 'backing_off'
