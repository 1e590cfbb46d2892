-- WeChat's own words of a refusal, and the call that it refused: null where nothing was refused.
ALTER TABLE attempts ADD COLUMN call TEXT;
ALTER TABLE attempts ADD COLUMN errmsg TEXT;
ALTER TABLE attempts ADD COLUMN rid TEXT;
-- The same for an account's problem, which is over when that call works again.
ALTER TABLE accounts ADD COLUMN problem_call TEXT;
ALTER TABLE accounts ADD COLUMN problem_errmsg TEXT;
ALTER TABLE accounts ADD COLUMN problem_rid TEXT;
