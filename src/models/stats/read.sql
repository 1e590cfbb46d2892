SELECT
    day,
    project_id,
    metric,
    name,
    CASE WHEN $4 THEN channel ELSE '' END AS channel,
    CASE WHEN $5 THEN reason ELSE '' END AS reason,
    CASE WHEN $6 THEN account_id ELSE 0 END AS account_id,
    CAST(SUM(count) AS BIGINT) AS count
FROM (
    SELECT day, project_id, metric, name, channel, reason, account_id, count FROM daily_stats
    WHERE project_id = $1 AND day BETWEEN $2 AND $3
    UNION ALL
    SELECT day, project_id, metric, name, channel, reason, account_id, count FROM stats_changes
    WHERE project_id = $1 AND day BETWEEN $2 AND $3
) counted
WHERE $7 = 0 OR account_id = $7
GROUP BY 1, 2, 3, 4, 5, 6, 7
HAVING SUM(count) <> 0
LIMIT $8
