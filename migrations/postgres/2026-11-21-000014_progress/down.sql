DROP TRIGGER deliveries_progress ON deliveries;
DROP FUNCTION count_progress;
DROP TABLE progress;
