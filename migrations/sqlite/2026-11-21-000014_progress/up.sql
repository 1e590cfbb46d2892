-- How many deliveries of a large notification are in each state: the sums of `count`. A notification
-- without rows is small, and its deliveries are counted. The trigger keeps the sums, so no statement
-- that changes a state has to; `models/delivery/progress.rs` writes the first rows.
--
-- There is one row for each state, also for one that none is in, so that the trigger only changes
-- rows: with one writer at a time nobody waits for them.
CREATE TABLE progress (
    notification_id BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    count           BIGINT NOT NULL,
    PRIMARY KEY (notification_id, state)
) WITHOUT ROWID;

CREATE TRIGGER deliveries_progress AFTER UPDATE OF state ON deliveries WHEN NEW.state <> OLD.state
BEGIN
    UPDATE progress SET count = count - 1
    WHERE notification_id = NEW.notification_id AND state = OLD.state;
    UPDATE progress SET count = count + 1
    WHERE notification_id = NEW.notification_id AND state = NEW.state;
END;
