ALTER TABLE audit DROP COLUMN erasure_id;
ALTER TABLE audit DROP COLUMN identity_id;
ALTER TABLE audit DROP COLUMN actor;
DROP TABLE erased;
DROP TABLE erasures;
