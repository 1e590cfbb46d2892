DELETE FROM sweeps WHERE name = 'old_permissions';
ALTER TABLE credits DROP COLUMN folded_left;
ALTER TABLE credits DROP COLUMN folded_time;
