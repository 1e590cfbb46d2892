-- What a template was when it was first listed, set when it first changes. Of what changed before, no
-- more than the last state is known; with its keys unknown, it stays one that has changed.
ALTER TABLE templates ADD COLUMN first_title TEXT;
ALTER TABLE templates ADD COLUMN first_content TEXT;
ALTER TABLE templates ADD COLUMN first_keys TEXT;
