-- When one delivery is tried before the pause is over: a quota of WeChat may be there earlier.
ALTER TABLE account_pauses ADD COLUMN probe_at TIMESTAMP;
