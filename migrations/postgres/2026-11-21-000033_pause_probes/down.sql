ALTER TABLE account_pauses DROP COLUMN probe_at;
