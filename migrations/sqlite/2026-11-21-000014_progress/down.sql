DROP TRIGGER deliveries_progress;
DROP TABLE progress;
