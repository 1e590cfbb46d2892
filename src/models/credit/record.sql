-- Whether a template is a long-term one is the same for everybody: as WeChat lists it, or where it
-- does not, as a report has said.
INSERT INTO credits (
    account_id, identity_id, template_id, long_term, one_time_left, event_time, api_time,
    rejected_time, withdrawn_time, banned_time, refused_time, updated_at
)
SELECT
    r.account_id, r.identity_id, r.template_id,
    COALESCE((
        SELECT t.kind = 'long_term' FROM templates t
        WHERE t.account_id = r.account_id AND t.template_id = r.template_id
    ), r.long_term OR EXISTS (
        SELECT 1 FROM credits k
        WHERE k.account_id = r.account_id AND k.template_id = r.template_id AND k.long_term
    )),
    0, r.event_time, r.api_time, r.rejected_time, r.withdrawn_time, r.banned_time, 0, r.now
FROM {rows}
WHERE TRUE
ON CONFLICT (identity_id, template_id) DO UPDATE SET
    long_term = COALESCE((
        SELECT t.kind = 'long_term' FROM templates t
        WHERE t.account_id = excluded.account_id AND t.template_id = excluded.template_id
    ), credits.long_term OR excluded.long_term),
    event_time = {greatest}(credits.event_time, excluded.event_time),
    api_time = {greatest}(credits.api_time, excluded.api_time),
    rejected_time = {greatest}(credits.rejected_time, excluded.rejected_time),
    withdrawn_time = {greatest}(credits.withdrawn_time, excluded.withdrawn_time),
    banned_time = {greatest}(credits.banned_time, excluded.banned_time),
    updated_at = excluded.updated_at
RETURNING id, identity_id, template_id
