DROP INDEX deliveries_awaiting_profile;
ALTER TABLE identities DROP COLUMN profile_alone;
ALTER TABLE identities DROP COLUMN profile_doubts;
