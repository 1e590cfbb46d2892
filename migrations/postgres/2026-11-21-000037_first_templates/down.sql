ALTER TABLE templates DROP COLUMN first_keys;
ALTER TABLE templates DROP COLUMN first_content;
ALTER TABLE templates DROP COLUMN first_title;
