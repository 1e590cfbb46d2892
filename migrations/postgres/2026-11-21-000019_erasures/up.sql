-- People whose data is erased, one row for each time. `subject` is JSON with their ids, and null
-- once all is done. The work goes on at `position` in `phase`; it is due while `due_at` is set.
CREATE TABLE erasures (
    id               BIGSERIAL PRIMARY KEY,
    project_id       BIGINT    NOT NULL REFERENCES projects (id),
    cause            TEXT      NOT NULL,
    actor            TEXT      NOT NULL,
    state            TEXT      NOT NULL,
    phase            TEXT      NOT NULL,
    position         BIGINT    NOT NULL,
    subject          TEXT,
    staff_ids        TEXT      NOT NULL,
    identities       BIGINT    NOT NULL,
    bindings         BIGINT    NOT NULL,
    permissions      BIGINT    NOT NULL,
    events           BIGINT    NOT NULL,
    deliveries       BIGINT    NOT NULL,
    notifications    BIGINT    NOT NULL,
    webhook_messages BIGINT    NOT NULL,
    due_at           TIMESTAMP,
    requested_at     TIMESTAMP NOT NULL,
    finished_at      TIMESTAMP
);
CREATE INDEX erasures_due ON erasures (due_at) WHERE due_at IS NOT NULL;

-- By what an erased openid is known again: a keyed hash, so that a push from before the erasure does
-- not bring the person back. `identity_id` is the number that the identity had, if there was one.
CREATE TABLE erased (
    id          BIGSERIAL PRIMARY KEY,
    erasure_id  BIGINT NOT NULL REFERENCES erasures (id) ON DELETE CASCADE,
    account_id  BIGINT NOT NULL,
    openid_hash TEXT   NOT NULL,
    identity_id BIGINT,
    erased_time BIGINT NOT NULL
);
CREATE INDEX erased_by_openid ON erased (account_id, openid_hash);
CREATE INDEX erased_by_identity ON erased (identity_id);
CREATE INDEX erased_by_erasure ON erased (erasure_id);

-- Who it was where it was not an API key, and whom it was done to.
ALTER TABLE audit ADD COLUMN actor TEXT NOT NULL DEFAULT 'api_key';
ALTER TABLE audit ADD COLUMN identity_id BIGINT;
ALTER TABLE audit ADD COLUMN erasure_id BIGINT;
