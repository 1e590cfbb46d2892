-- CreateTime of the newest follow that an event has told of; `followed_time` may come from a profile as well.
-- 0: none has. Null, as in what was there before: whatever is known counts as told.
ALTER TABLE identities ADD COLUMN followed_event BIGINT;
