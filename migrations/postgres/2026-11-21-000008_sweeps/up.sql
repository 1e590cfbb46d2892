-- How far a walk over a growing table has come: everything up to `position` has been looked at.
-- So that what has grown old is found by the order in which it was written, and needs no index.
CREATE TABLE sweeps (
    name     TEXT   PRIMARY KEY NOT NULL,
    position BIGINT NOT NULL
);
INSERT INTO sweeps (name, position) VALUES ('no_receipt', 0);
