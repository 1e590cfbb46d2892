-- What the entries up to `folded_time` (seconds since 1970; 0: none) left then. Most of them are gone; those
-- that are there still explain later ones and are not counted.
ALTER TABLE credits ADD COLUMN folded_time BIGINT NOT NULL DEFAULT 0;
ALTER TABLE credits ADD COLUMN folded_left INTEGER NOT NULL DEFAULT 0;
INSERT INTO sweeps (name, position) VALUES ('old_permissions', 0);
