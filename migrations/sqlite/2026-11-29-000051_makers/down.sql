ALTER TABLE audit DROP COLUMN user_name;
ALTER TABLE audit DROP COLUMN user_id;
ALTER TABLE api_keys DROP COLUMN made_by;
ALTER TABLE api_keys DROP COLUMN made_by_user_id;
