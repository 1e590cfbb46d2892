ALTER TABLE deliveries DROP COLUMN spoilt;
