-- `pages`: how many were fetched. `mark`: the cursor of an earlier page; a list that comes back to
-- it has no end. `checked_to`: the identity up to which those who were not on the list have been
-- asked about; null while the list is still walked. `unsettled`: those of whom WeChat said nothing
-- that can be used.
ALTER TABLE imports ADD COLUMN pages BIGINT NOT NULL DEFAULT 0;
ALTER TABLE imports ADD COLUMN mark TEXT;
ALTER TABLE imports ADD COLUMN checked_to BIGINT;
ALTER TABLE imports ADD COLUMN unsettled BIGINT NOT NULL DEFAULT 0;
