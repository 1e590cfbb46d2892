-- When it is the turn of the last profile that a walk with `refresh` has asked for again: after a pause
-- the next page goes on behind it, and not all at once.
ALTER TABLE imports ADD COLUMN last_turn TIMESTAMP;
