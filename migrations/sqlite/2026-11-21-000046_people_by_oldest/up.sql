-- People are listed by their oldest identity, which stays when more of them are linked: by the newest one
-- somebody who is linked during a walk over the pages moved ahead of it, and was on none.
DROP TRIGGER identities_join_people;
DROP TRIGGER identities_move_into_people;
DROP TRIGGER identities_move_out_of_people;
DROP TRIGGER identities_leave_people;
DROP INDEX people_by_newest;
ALTER TABLE people RENAME COLUMN newest_id TO oldest_id;
UPDATE people SET oldest_id = (
    SELECT MIN(i.id) FROM identities i WHERE i.project_id = people.project_id AND i.unionid = people.unionid
);
CREATE INDEX people_by_oldest ON people (project_id, linked, oldest_id);

CREATE TRIGGER identities_join_people AFTER INSERT ON identities WHEN NEW.unionid IS NOT NULL
BEGIN
    INSERT INTO people (project_id, unionid, account_id, linked, oldest_id)
    VALUES (NEW.project_id, NEW.unionid, NEW.account_id, FALSE, NEW.id)
    ON CONFLICT (project_id, unionid) DO UPDATE SET
        linked = linked OR account_id <> excluded.account_id,
        oldest_id = MIN(oldest_id, excluded.oldest_id);
END;
CREATE TRIGGER identities_move_into_people AFTER UPDATE OF unionid, account_id ON identities
WHEN NEW.unionid IS NOT NULL AND (NEW.unionid IS NOT OLD.unionid OR NEW.account_id <> OLD.account_id)
BEGIN
    INSERT INTO people (project_id, unionid, account_id, linked, oldest_id)
    VALUES (NEW.project_id, NEW.unionid, NEW.account_id, FALSE, NEW.id)
    ON CONFLICT (project_id, unionid) DO UPDATE SET
        linked = linked OR account_id <> excluded.account_id,
        oldest_id = MIN(oldest_id, excluded.oldest_id);
END;
CREATE TRIGGER identities_move_out_of_people AFTER UPDATE OF unionid, account_id ON identities
WHEN OLD.unionid IS NOT NULL AND (NEW.unionid IS NOT OLD.unionid OR NEW.account_id <> OLD.account_id)
BEGIN
    DELETE FROM people WHERE project_id = OLD.project_id AND unionid = OLD.unionid AND NOT EXISTS (
        SELECT 1 FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    );
    UPDATE people SET (account_id, linked, oldest_id) = (
        SELECT MIN(i.account_id), MIN(i.account_id) <> MAX(i.account_id), MIN(i.id)
        FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    ) WHERE project_id = OLD.project_id AND unionid = OLD.unionid;
END;
CREATE TRIGGER identities_leave_people AFTER DELETE ON identities WHEN OLD.unionid IS NOT NULL
BEGIN
    DELETE FROM people WHERE project_id = OLD.project_id AND unionid = OLD.unionid AND NOT EXISTS (
        SELECT 1 FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    );
    UPDATE people SET (account_id, linked, oldest_id) = (
        SELECT MIN(i.account_id), MIN(i.account_id) <> MAX(i.account_id), MIN(i.id)
        FROM identities i WHERE i.project_id = OLD.project_id AND i.unionid = OLD.unionid
    ) WHERE project_id = OLD.project_id AND unionid = OLD.unionid;
END;
