ALTER TABLE identities DROP COLUMN followed_event;
