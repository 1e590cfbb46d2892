-- Tries since the last retry by hand that the account spoilt: they do not count against the message.
ALTER TABLE deliveries ADD COLUMN spoilt INTEGER NOT NULL DEFAULT 0;
