EXISTS (
    SELECT 1 FROM staff s LEFT JOIN bindings b ON b.staff_row_id = s.id
    WHERE s.project_id = deliveries.project_id AND s.staff_id = deliveries.staff_id
    AND (deliveries.identity_id IS NULL OR b.identity_id = deliveries.identity_id OR COALESCE(
        (SELECT bi.unionid FROM identities bi WHERE bi.id = b.identity_id), b.unionid
    ) = (SELECT i.unionid FROM identities i WHERE i.id = deliveries.identity_id))
)
