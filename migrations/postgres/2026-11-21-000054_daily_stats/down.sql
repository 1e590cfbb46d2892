DROP TRIGGER deliveries_by_day ON deliveries;
DROP FUNCTION count_deliveries_by_day;
ALTER TABLE deliveries DROP COLUMN channel;
ALTER TABLE deliveries DROP COLUMN stats_day;
ALTER TABLE receipts DROP COLUMN stats_day;
ALTER TABLE events DROP COLUMN stats_day;
DELETE FROM sweeps WHERE name = 'stats';
DROP TABLE stats_changes;
DROP TABLE daily_stats;
