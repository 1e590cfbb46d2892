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
INSERT INTO people (project_id, unionid, account_id, linked, newest_id)
SELECT project_id, unionid, MIN(account_id), MIN(account_id) <> MAX(account_id), MAX(id)
FROM identities WHERE unionid IS NOT NULL GROUP BY project_id, unionid;
CREATE INDEX people_by_newest ON people (project_id, linked, newest_id);

CREATE TRIGGER identities_join_people AFTER INSERT ON identities WHEN NEW.unionid IS NOT NULL
BEGIN
    INSERT INTO people (project_id, unionid, account_id, linked, newest_id)
    VALUES (NEW.project_id, NEW.unionid, NEW.account_id, FALSE, NEW.id)
    ON CONFLICT (project_id, unionid) DO UPDATE SET
        linked = linked OR account_id <> excluded.account_id,
        newest_id = MAX(newest_id, excluded.newest_id);
END;
CREATE TRIGGER identities_move_into_people AFTER UPDATE OF unionid, account_id ON identities
WHEN NEW.unionid IS NOT NULL AND (NEW.unionid IS NOT OLD.unionid OR NEW.account_id <> OLD.account_id)
BEGIN
    INSERT INTO people (project_id, unionid, account_id, linked, newest_id)
    VALUES (NEW.project_id, NEW.unionid, NEW.account_id, FALSE, NEW.id)
    ON CONFLICT (project_id, unionid) DO UPDATE SET
        linked = linked OR account_id <> excluded.account_id,
        newest_id = MAX(newest_id, excluded.newest_id);
END;
CREATE TRIGGER identities_move_out_of_people AFTER UPDATE OF unionid, account_id ON identities
WHEN OLD.unionid IS NOT NULL AND (NEW.unionid IS NOT OLD.unionid OR NEW.account_id <> OLD.account_id)
BEGIN
    DELETE FROM people WHERE project_id = OLD.project_id AND unionid = OLD.unionid AND NOT EXISTS (
        SELECT 1 FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    );
    UPDATE people SET (account_id, linked, newest_id) = (
        SELECT MIN(i.account_id), MIN(i.account_id) <> MAX(i.account_id), MAX(i.id)
        FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    ) WHERE project_id = OLD.project_id AND unionid = OLD.unionid;
END;
CREATE TRIGGER identities_leave_people AFTER DELETE ON identities WHEN OLD.unionid IS NOT NULL
BEGIN
    DELETE FROM people WHERE project_id = OLD.project_id AND unionid = OLD.unionid AND NOT EXISTS (
        SELECT 1 FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    );
    UPDATE people SET (account_id, linked, newest_id) = (
        SELECT MIN(i.account_id), MIN(i.account_id) <> MAX(i.account_id), MAX(i.id)
        FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    ) WHERE project_id = OLD.project_id AND unionid = OLD.unionid;
END;

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
