WITH person AS (
    SELECT DISTINCT i.project_id, i.unionid
    FROM {rows} JOIN identities i ON i.id = r.id
    WHERE i.unionid IS NOT NULL
),
bound AS (
    SELECT person.unionid AS person, b.id, i.profile_state = 'unconfirmed' AS is_claimed
    FROM person
    JOIN identities i ON i.project_id = person.project_id AND i.unionid = person.unionid
    JOIN bindings b ON b.identity_id = i.id
    UNION ALL
    SELECT person.unionid, b.id, FALSE
    FROM person JOIN bindings b ON b.project_id = person.project_id AND b.unionid = person.unionid
)
SELECT bound.person, b.id, b.project_id, b.staff_row_id, s.staff_id, b.identity_id, b.unionid, b.created_at
FROM bound JOIN bindings b ON b.id = bound.id JOIN staff s ON s.id = b.staff_row_id
-- What WeChat has said of somebody outweighs what only a table says.
ORDER BY bound.is_claimed, b.id
