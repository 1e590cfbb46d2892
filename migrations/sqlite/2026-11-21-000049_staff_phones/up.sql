-- The phone number that the business has of a staff member: shown and given out, and used for nothing else.
ALTER TABLE staff ADD COLUMN phone TEXT;
