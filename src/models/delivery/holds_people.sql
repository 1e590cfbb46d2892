SELECT d.id FROM {rows} JOIN deliveries d ON d.id = r.id
WHERE NOT CASE
    WHEN r.unionid IS NOT NULL THEN EXISTS (
        SELECT 1 FROM identities i
        WHERE i.project_id = d.project_id AND i.unionid = r.unionid
        AND (d.identity_id IS NULL OR i.id = d.identity_id AND i.openid = d.openid)
    )
    ELSE EXISTS (
        SELECT 1 FROM accounts a
        JOIN identities n ON n.account_id = a.id AND n.openid = r.openid
        LEFT JOIN identities i ON i.id = d.identity_id AND i.openid = d.openid
        WHERE a.project_id = d.project_id AND a.app_id = r.app_id
        AND (d.identity_id IS NULL OR i.id = n.id OR i.unionid = n.unionid)
    )
END
