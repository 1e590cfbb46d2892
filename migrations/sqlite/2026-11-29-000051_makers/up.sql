-- Who made a key, with the name at that time; neither: the command line, or a version that did not keep it. There is no
-- reference: a key outlives its maker.
ALTER TABLE api_keys ADD COLUMN made_by_user_id BIGINT;
ALTER TABLE api_keys ADD COLUMN made_by TEXT;

-- The user who acted, with the name at that time.
ALTER TABLE audit ADD COLUMN user_id BIGINT;
ALTER TABLE audit ADD COLUMN user_name TEXT;
