-- A version before does not know that state; what belongs to them goes with them.
DELETE FROM webhooks WHERE state = 'deleted';
ALTER TABLE webhooks DROP COLUMN rotation_key;
ALTER TABLE webhooks DROP COLUMN older_secret_until;
ALTER TABLE webhooks DROP COLUMN sealed_older_secret;
