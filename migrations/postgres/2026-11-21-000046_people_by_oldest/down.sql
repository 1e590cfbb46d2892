LOCK TABLE identities IN SHARE ROW EXCLUSIVE MODE;
ALTER TABLE people RENAME COLUMN oldest_id TO newest_id;
UPDATE people SET newest_id = (
    SELECT MAX(i.id) FROM identities i WHERE i.project_id = people.project_id AND i.unionid = people.unionid
);
ALTER INDEX people_by_oldest RENAME TO people_by_newest;

CREATE OR REPLACE FUNCTION recount_person(of_project BIGINT, of_unionid TEXT) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    lowest BIGINT;
    highest BIGINT;
    newest BIGINT;
BEGIN
    PERFORM 1 FROM people WHERE project_id = of_project AND unionid = of_unionid FOR UPDATE;
    SELECT MIN(account_id), MAX(account_id), MAX(id) INTO lowest, highest, newest
    FROM identities WHERE project_id = of_project AND unionid = of_unionid;
    IF newest IS NULL THEN
        DELETE FROM people WHERE project_id = of_project AND unionid = of_unionid;
    ELSE
        UPDATE people SET account_id = lowest, linked = lowest <> highest, newest_id = newest
        WHERE project_id = of_project AND unionid = of_unionid;
    END IF;
END
$$;

-- Those who join are merged into what is there, in the order of their keys, so that two batches that
-- bring the same people wait for each other and see both. Those who leave are rare: their rows are
-- held, then counted anew.
CREATE OR REPLACE FUNCTION keep_people() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    one RECORD;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF EXISTS (SELECT 1 FROM after_it WHERE unionid IS NOT NULL) THEN
            INSERT INTO people (project_id, unionid, account_id, linked, newest_id)
            SELECT project_id, unionid, MIN(account_id), MIN(account_id) <> MAX(account_id), MAX(id)
            FROM after_it WHERE unionid IS NOT NULL
            GROUP BY project_id, unionid ORDER BY project_id, unionid
            ON CONFLICT (project_id, unionid) DO UPDATE SET
                linked = people.linked OR excluded.linked OR people.account_id <> excluded.account_id,
                newest_id = GREATEST(people.newest_id, excluded.newest_id);
        END IF;
        RETURN NULL;
    END IF;
    IF TG_OP = 'UPDATE' THEN
        IF EXISTS (SELECT 1 FROM after_it WHERE unionid IS NOT NULL) THEN
            INSERT INTO people (project_id, unionid, account_id, linked, newest_id)
            SELECT project_id, unionid, MIN(account_id), MIN(account_id) <> MAX(account_id), MAX(id)
            FROM (
                SELECT moved.id, moved.project_id, moved.account_id, moved.unionid
                FROM (
                    SELECT a.id, a.project_id, a.account_id, a.unionid, 1 AS count FROM after_it a
                    WHERE a.unionid IS NOT NULL
                    UNION ALL
                    SELECT b.id, b.project_id, b.account_id, b.unionid, -1 FROM before_it b
                    WHERE b.unionid IS NOT NULL
                ) moved
                GROUP BY moved.id, moved.project_id, moved.account_id, moved.unionid
                HAVING SUM(moved.count) > 0
            ) joined
            GROUP BY project_id, unionid ORDER BY project_id, unionid
            ON CONFLICT (project_id, unionid) DO UPDATE SET
                linked = people.linked OR excluded.linked OR people.account_id <> excluded.account_id,
                newest_id = GREATEST(people.newest_id, excluded.newest_id);
        END IF;
        IF NOT EXISTS (SELECT 1 FROM before_it WHERE unionid IS NOT NULL) THEN
            RETURN NULL;
        END IF;
        FOR one IN
            SELECT DISTINCT moved.project_id, moved.unionid
            FROM (
                SELECT a.id, a.project_id, a.account_id, a.unionid, 1 AS count FROM after_it a
                WHERE a.unionid IS NOT NULL
                UNION ALL
                SELECT b.id, b.project_id, b.account_id, b.unionid, -1 FROM before_it b
                WHERE b.unionid IS NOT NULL
            ) moved
            GROUP BY moved.id, moved.project_id, moved.account_id, moved.unionid
            HAVING SUM(moved.count) < 0
            ORDER BY moved.project_id, moved.unionid
        LOOP
            PERFORM recount_person(one.project_id, one.unionid);
        END LOOP;
        RETURN NULL;
    END IF;
    FOR one IN
        SELECT DISTINCT project_id, unionid FROM before_it WHERE unionid IS NOT NULL
        ORDER BY project_id, unionid
    LOOP
        PERFORM recount_person(one.project_id, one.unionid);
    END LOOP;
    RETURN NULL;
END
$$;
