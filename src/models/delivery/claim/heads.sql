WITH RECURSIVE lanes (lane) AS (
    SELECT (
        SELECT COALESCE(d.account_id, 0) FROM deliveries d
        WHERE d.due_at IS NOT NULL ORDER BY COALESCE(d.account_id, 0) LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT COALESCE(d.account_id, 0) FROM deliveries d
        WHERE d.due_at IS NOT NULL AND COALESCE(d.account_id, 0) > lanes.lane
        ORDER BY COALESCE(d.account_id, 0) LIMIT 1
    ) FROM lanes WHERE lanes.lane IS NOT NULL
)
SELECT lane, rank, due_at FROM (
    SELECT lanes.lane AS lane, ranks.rank AS rank, (
        SELECT d.due_at FROM deliveries d
        WHERE d.due_at IS NOT NULL
        AND COALESCE(d.account_id, 0) = lanes.lane AND d.priority = ranks.rank
        AND (d.leased_until IS NULL OR d.leased_until <= $1)
        ORDER BY d.due_at LIMIT 1
    ) AS due_at
    FROM lanes CROSS JOIN (SELECT 0 AS rank UNION ALL SELECT 1 UNION ALL SELECT 2) ranks
    WHERE lanes.lane IS NOT NULL
) heads WHERE due_at <= $1
