-- How many deliveries of a large notification are in each state: the sums of `count`. A notification
-- without rows is small, and its deliveries are counted. The triggers keep the sums, so no statement
-- that changes a state has to; `models/delivery/progress.rs` writes the first rows.
--
-- Rows are only added, so that those who send for one notification at the same time do not wait for
-- each other.
CREATE TABLE progress (
    notification_id BIGINT NOT NULL,
    state           TEXT   NOT NULL,
    count           BIGINT NOT NULL
);
CREATE INDEX progress_by_notification ON progress (notification_id);

CREATE FUNCTION count_progress() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    one BIGINT;
BEGIN
    FOR one IN
        INSERT INTO progress (notification_id, state, count)
        SELECT changes.notification_id, changes.state, changes.count
        FROM (
            SELECT moved.notification_id, moved.state, SUM(moved.count) AS count
            FROM (
                SELECT a.notification_id, a.state, 1 AS count FROM after_it a
                UNION ALL
                SELECT b.notification_id, b.state, -1 FROM before_it b
            ) moved
            GROUP BY moved.notification_id, moved.state
        ) changes
        WHERE changes.count <> 0
        AND EXISTS (SELECT 1 FROM progress p WHERE p.notification_id = changes.notification_id)
        RETURNING notification_id
    LOOP
        -- Now and then the rows are replaced by their sums, so that a read meets about a hundred of
        -- them. Those that another transaction is replacing are left to it.
        IF random() < 0.02 THEN
            WITH gone AS (
                DELETE FROM progress WHERE ctid = ANY (ARRAY(
                    SELECT p.ctid FROM progress p WHERE p.notification_id = one FOR UPDATE SKIP LOCKED
                )) RETURNING state, count
            ) INSERT INTO progress (notification_id, state, count)
            SELECT one, gone.state, SUM(gone.count) FROM gone GROUP BY gone.state HAVING SUM(gone.count) <> 0;
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;
CREATE TRIGGER deliveries_progress AFTER UPDATE ON deliveries
REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
FOR EACH STATEMENT EXECUTE FUNCTION count_progress();
