ALTER TABLE imports DROP COLUMN unsettled;
ALTER TABLE imports DROP COLUMN checked_to;
ALTER TABLE imports DROP COLUMN mark;
ALTER TABLE imports DROP COLUMN pages;
