-- Who is known by a unionid, one row each, so that lists of people need not compare identities:
-- whether two accounts or more know them (`linked`; `account_id` is one of those accounts), and their
-- newest identity, which stands for them. The triggers on `identities` keep it, so no statement that
-- writes a unionid has to.
CREATE TABLE people (
    project_id BIGINT  NOT NULL,
    unionid    TEXT    NOT NULL,
    account_id BIGINT  NOT NULL,
    linked     BOOLEAN NOT NULL,
    newest_id  BIGINT  NOT NULL,
    PRIMARY KEY (project_id, unionid)
);
-- Another process may still write: what it writes between this count and the triggers would be in
-- neither. It waits until both are there.
LOCK TABLE identities IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO people (project_id, unionid, account_id, linked, newest_id)
SELECT project_id, unionid, MIN(account_id), MIN(account_id) <> MAX(account_id), MAX(id)
FROM identities WHERE unionid IS NOT NULL GROUP BY project_id, unionid;
CREATE INDEX people_by_newest ON people (project_id, linked, newest_id);

CREATE FUNCTION recount_person(of_project BIGINT, of_unionid TEXT) RETURNS void LANGUAGE plpgsql AS $$
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
CREATE FUNCTION keep_people() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER identities_join_people AFTER INSERT ON identities
REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION keep_people();
CREATE TRIGGER identities_move_people AFTER UPDATE ON identities
REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION keep_people();
CREATE TRIGGER identities_leave_people AFTER DELETE ON identities
REFERENCING OLD TABLE AS before_it FOR EACH STATEMENT EXECUTE FUNCTION keep_people();

-- A project's people are those of `people` and those without a unionid: this instead of an index of
-- all identities by project.
CREATE INDEX identities_alone ON identities (project_id, id) WHERE unionid IS NULL;
CREATE INDEX identities_listed ON identities (account_id, follow_state, id);
DROP INDEX identities_by_project;

-- Events of the kinds that come in masses are not in it, so that processing those does not pay for it.
CREATE INDEX events_rare ON events (account_id, kind, id)
    WHERE state <> 0 AND kind NOT IN ('text', 'event.subscribe', 'event.scan', 'event.view', 'event.click', 'event.location', 'event.templatesendjobfinish', 'event.subscribe_msg_popup_event', 'event.subscribe_msg_sent_event');
-- Somebody is named, and no identity was made of it: what failed, for one.
CREATE INDEX events_unnamed ON events (account_id, openid, id)
    WHERE state <> 0 AND identity_id IS NULL AND openid IS NOT NULL;

CREATE INDEX deliveries_by_reason ON deliveries (project_id, reason, id) WHERE reason IS NOT NULL;
-- Deliveries of a message type or of a time are found through their notifications, of which there
-- are far fewer.
CREATE INDEX notifications_by_type ON notifications (project_id, message_type, id);
CREATE INDEX notifications_by_time ON notifications (project_id, created_at, id);

CREATE INDEX webhook_messages_failed ON webhook_messages (webhook_id, id) WHERE state = 'failed';
-- Without the types that come in masses.
CREATE INDEX webhook_messages_rare ON webhook_messages (webhook_id, kind, id)
    WHERE kind NOT IN ('identity.followed', 'identity.unfollowed', 'person.linked', 'delivery.sent', 'delivery.delivered', 'delivery.failed', 'message.received', 'push.raw');

-- Lists of rows that are written by hand.
CREATE INDEX staff_by_project ON staff (project_id, id);
CREATE INDEX message_types_by_project ON message_types (project_id, id);
CREATE INDEX templates_by_account ON templates (account_id, id);
CREATE INDEX invitations_of_staff ON invitations (staff_row_id, id);
DROP INDEX invitations_by_staff;
