CREATE TABLE message_types (
    id          BIGSERIAL PRIMARY KEY,
    project_id  BIGINT    NOT NULL REFERENCES projects (id),
    name        TEXT      NOT NULL,
    description TEXT,
    routes      TEXT      NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    updated_at  TIMESTAMP NOT NULL,
    UNIQUE (project_id, name)
);

-- One request to notify. `routes` is the message type as it was when the request was accepted.
CREATE TABLE notifications (
    id              BIGSERIAL PRIMARY KEY,
    project_id      BIGINT    NOT NULL REFERENCES projects (id),
    message_type    TEXT      NOT NULL,
    routes          TEXT      NOT NULL,
    params          TEXT      NOT NULL,
    priority        TEXT      NOT NULL,
    nonce           BIGINT    NOT NULL,
    idempotency_key TEXT,
    request_hash    BYTEA,
    send_at         TIMESTAMP,
    expires_at      TIMESTAMP,
    cancelled_at    TIMESTAMP,
    created_at      TIMESTAMP NOT NULL,
    UNIQUE (project_id, idempotency_key)
);
CREATE INDEX notifications_by_project ON notifications (project_id, id);

-- One notification to one person, and the outbox: a row is due while `due_at` is set, and leased
-- until `leased_until`, which is in no index: so a claim writes no index.
-- `unsettled_since` is the start of the first send whose outcome is not known. Limits of age
-- and tries count from `begun_at` and without the `spent` attempts: a retry by hand begins anew.
-- `considered` has the routes that were left, as JSON; null where the first was taken and kept.
-- `recipient` names, as JSON, a person who was not asked for by staff id; `staff_id` is null where
-- they are no staff member either.
-- `cancelled_at` on a row that is leased says that it is not to be tried again.
-- `notification_id` has no foreign key: both rows are written in one transaction and the
-- notification is never deleted, while the check locks that one row for each of 100,000 deliveries.
-- Each index is written twice in a delivery's life, so there is none that no query needs.
CREATE TABLE deliveries (
    id              BIGSERIAL PRIMARY KEY,
    notification_id BIGINT    NOT NULL,
    project_id      BIGINT    NOT NULL,
    staff_id        TEXT,
    staff_name      TEXT,
    recipient       TEXT,
    account_id      BIGINT,
    identity_id     BIGINT,
    openid          TEXT,
    route           INTEGER,
    priority        INTEGER   NOT NULL,
    state           TEXT      NOT NULL,
    reason          TEXT,
    detail          TEXT,
    considered      TEXT,
    attempts        INTEGER   NOT NULL,
    spent           INTEGER   NOT NULL,
    begun_at        TIMESTAMP NOT NULL,
    due_at          TIMESTAMP,
    leased_until    TIMESTAMP,
    unsettled_since TIMESTAMP,
    msgid           BIGINT,
    sent_at         TIMESTAMP,
    finished_at     TIMESTAMP,
    cancelled_at    TIMESTAMP,
    created_at      TIMESTAMP NOT NULL
)
-- Room for the next version of a row on its own page: one that changes no indexed column is then in
-- no index, and half of the log is spared.
WITH (fillfactor = 50);
CREATE INDEX deliveries_by_notification ON deliveries (notification_id, id);
-- Whatever went wrong has a reason, and what goes well never gets one: so this costs nothing there.
CREATE INDEX deliveries_troubled ON deliveries (project_id, id) WHERE reason IS NOT NULL;
-- The outbox has a lane for each account, so that one in trouble is in nobody's way; 0 is the lane of
-- what needs no WeChat account. In a lane the lowest `priority` goes first.
CREATE INDEX deliveries_due ON deliveries (COALESCE(account_id, 0), priority, due_at)
    WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_by_msgid ON deliveries (account_id, msgid) WHERE msgid IS NOT NULL;

CREATE TABLE attempts (
    id          BIGSERIAL PRIMARY KEY,
    delivery_id BIGINT    NOT NULL,
    number      INTEGER   NOT NULL,
    started_at  TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    outcome     TEXT      NOT NULL,
    errcode     BIGINT,
    detail      TEXT
);
CREATE INDEX attempts_by_delivery ON attempts (delivery_id, number);

-- Results pushed by WeChat, joined to deliveries by msgid. One that comes before the send's own
-- answer is recorded waits here: `due_at` says when to look for its delivery again.
CREATE TABLE receipts (
    id          BIGSERIAL PRIMARY KEY,
    account_id  BIGINT    NOT NULL,
    msgid       BIGINT    NOT NULL,
    delivered   BOOLEAN   NOT NULL,
    reason      TEXT,
    create_time BIGINT    NOT NULL,
    tries       INTEGER   NOT NULL,
    due_at      TIMESTAMP,
    created_at  TIMESTAMP NOT NULL,
    UNIQUE (account_id, msgid)
);
CREATE INDEX receipts_due ON receipts (due_at) WHERE due_at IS NOT NULL;
