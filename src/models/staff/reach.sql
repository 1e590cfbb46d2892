WITH bound AS (
    SELECT s.project_id, s.staff_id, s.name, b.id AS binding_id, b.identity_id,
           COALESCE(bi.unionid, b.unionid) AS unionid, bi.account_id, bi.openid,
           bi.unionid AS own_unionid, bi.follow_state, bi.followed_time, bi.profile_state
    FROM {rows}
    JOIN staff s ON s.project_id = r.project_id AND s.staff_id = r.staff_id
    LEFT JOIN bindings b ON b.staff_row_id = s.id
    LEFT JOIN identities bi ON bi.id = b.identity_id
)
SELECT bound.staff_id, bound.name, bound.binding_id IS NOT NULL AS bound,
       NULL AS identity_id, NULL AS account_id, NULL AS openid, bound.unionid,
       NULL AS follow_state, NULL AS followed_time, NULL AS profile_state
FROM bound
UNION ALL
SELECT bound.staff_id, bound.name, TRUE, bound.identity_id, bound.account_id, bound.openid,
       bound.own_unionid, bound.follow_state, bound.followed_time, bound.profile_state
FROM bound WHERE bound.identity_id IS NOT NULL
UNION ALL
SELECT bound.staff_id, bound.name, TRUE, i.id, i.account_id, i.openid, i.unionid,
       i.follow_state, i.followed_time, i.profile_state
FROM bound JOIN identities i ON i.project_id = bound.project_id AND i.unionid = bound.unionid
WHERE bound.identity_id IS NULL OR i.id <> bound.identity_id
