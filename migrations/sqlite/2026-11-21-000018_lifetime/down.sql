ALTER TABLE imports DROP COLUMN refresh;
DROP TABLE account_moves;
DROP TABLE unionid_changes;
DROP TABLE profile_details;
