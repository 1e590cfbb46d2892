-- The secret before the one before: two rotations within a day keep the receiver's secret valid.
-- `rotation_key`: the Idempotency-Key of the last rotation.
ALTER TABLE webhooks ADD COLUMN sealed_older_secret BYTEA;
ALTER TABLE webhooks ADD COLUMN older_secret_until TIMESTAMP;
ALTER TABLE webhooks ADD COLUMN rotation_key TEXT;
