ALTER TABLE accounts DROP COLUMN problem_rid;
ALTER TABLE accounts DROP COLUMN problem_errmsg;
ALTER TABLE accounts DROP COLUMN problem_call;
ALTER TABLE attempts DROP COLUMN rid;
ALTER TABLE attempts DROP COLUMN errmsg;
ALTER TABLE attempts DROP COLUMN call;
