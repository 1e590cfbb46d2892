-- Callbacks as WeChat sent them. This is the hot table: no foreign keys, and as few indexes as
-- the intake can bear. The unique index begins with WeChat's own CreateTime, so that inserts land
-- on the same few pages; a retry repeats CreateTime, so nothing is stored twice.
CREATE TABLE events (
    id          BIGSERIAL NOT NULL,
    account_id  BIGINT    NOT NULL,
    create_time BIGINT    NOT NULL,
    received_at TIMESTAMP NOT NULL,
    state       INTEGER   NOT NULL,
    dedup_key   BIGINT    NOT NULL,
    kind        TEXT      NOT NULL,
    openid      TEXT,
    body        BYTEA     NOT NULL,
    problem     TEXT,
    identity_id BIGINT
);
CREATE UNIQUE INDEX events_dedup ON events (create_time, dedup_key, account_id);
-- An event is in one of these two: in the first when it comes in, in the other once it has been
-- processed, so that the intake pays for one.
CREATE UNIQUE INDEX events_waiting ON events (id) WHERE state = 0;
CREATE UNIQUE INDEX events_settled ON events (account_id, id) WHERE state <> 0;
-- Few, and looked for by whoever wants to replay them.
CREATE INDEX events_failed ON events (id) WHERE state = 2;
-- Filled when an event is processed, not when it comes in.
CREATE INDEX events_by_identity ON events (identity_id, id) WHERE identity_id IS NOT NULL;
