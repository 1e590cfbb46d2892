WITH asked AS (
    SELECT r.recipient, r.project_id, i.id AS identity_id, COALESCE(i.unionid, r.unionid) AS unionid
    FROM {rows}
    LEFT JOIN accounts a ON a.project_id = r.project_id AND a.app_id = r.app_id
    LEFT JOIN identities i ON i.account_id = a.id AND i.openid = r.openid
),
own AS (
    SELECT asked.recipient, asked.identity_id
    FROM asked WHERE asked.identity_id IS NOT NULL
    UNION ALL
    SELECT asked.recipient, i.id
    FROM asked JOIN identities i ON i.project_id = asked.project_id AND i.unionid = asked.unionid
    WHERE asked.identity_id IS NULL OR i.id <> asked.identity_id
),
member AS (
    SELECT bound.recipient, MIN(bound.staff_row_id) AS staff_row_id
    FROM (
        SELECT own.recipient, b.staff_row_id
        FROM own JOIN bindings b ON b.identity_id = own.identity_id
        UNION ALL
        SELECT asked.recipient, b.staff_row_id
        FROM asked JOIN bindings b ON b.project_id = asked.project_id AND b.unionid = asked.unionid
    ) bound
    GROUP BY bound.recipient
)
SELECT known.recipient, COALESCE(s.staff_id, '') AS staff_id, s.name, TRUE AS bound,
       NULL AS identity_id, NULL AS account_id, NULL AS openid, NULL AS unionid,
       NULL AS follow_state, NULL AS followed_time, NULL AS profile_state
FROM (SELECT DISTINCT own.recipient FROM own) known
LEFT JOIN member ON member.recipient = known.recipient
LEFT JOIN staff s ON s.id = member.staff_row_id
UNION ALL
SELECT own.recipient, COALESCE(s.staff_id, ''), s.name, TRUE,
       i.id, i.account_id, i.openid, i.unionid,
       i.follow_state, i.followed_time, i.profile_state
FROM own
JOIN identities i ON i.id = own.identity_id
LEFT JOIN member ON member.recipient = own.recipient
LEFT JOIN staff s ON s.id = member.staff_row_id
