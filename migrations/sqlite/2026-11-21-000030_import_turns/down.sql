ALTER TABLE imports DROP COLUMN last_turn;
