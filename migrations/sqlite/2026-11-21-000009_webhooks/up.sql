-- Endpoints of the business that events are posted to. `state`: `enabled`, `disabled` (by hand),
-- `failing` and `gone` (by Queqiao). `events` and `app_ids` are JSON lists; no `app_ids` means all.
-- `lane` counts the turns of sending to it, so that a turn whose lease has run out is known by its
-- number. `failures` in a row pause the endpoint until `paused_until`.
CREATE TABLE webhooks (
    id                INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    project_id        BIGINT    NOT NULL REFERENCES projects (id),
    url               TEXT      NOT NULL,
    events            TEXT      NOT NULL,
    app_ids           TEXT,
    description       TEXT,
    state             TEXT      NOT NULL,
    state_reason      TEXT,
    state_at          TIMESTAMP NOT NULL,
    sealed_secret     BLOB     NOT NULL,
    sealed_old_secret BLOB,
    old_secret_until  TIMESTAMP,
    lane              BIGINT    NOT NULL,
    leased_until      TIMESTAMP,
    failures          INTEGER   NOT NULL,
    failing_since     TIMESTAMP,
    paused_until      TIMESTAMP,
    last_success_at   TIMESTAMP,
    created_at        TIMESTAMP NOT NULL,
    updated_at        TIMESTAMP NOT NULL
);
CREATE INDEX webhooks_by_project ON webhooks (project_id, id);

-- One event for one endpoint, as it is posted, and the outbox: a row is unsettled while `due_at` is
-- set. `uid` is the webhook-id, the same for every endpoint. Rows of one endpoint and `person` are
-- settled in the order of their ids; those without a person in any.
CREATE TABLE webhook_messages (
    id              INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    webhook_id      BIGINT    NOT NULL REFERENCES webhooks (id) ON DELETE CASCADE,
    uid             TEXT      NOT NULL,
    kind            TEXT      NOT NULL,
    person          TEXT,
    body            TEXT      NOT NULL,
    state           TEXT      NOT NULL,
    attempts        INTEGER   NOT NULL,
    begun_at        TIMESTAMP,
    due_at          TIMESTAMP,
    last_attempt_at TIMESTAMP,
    last_status     INTEGER,
    last_answer     TEXT,
    finished_at     TIMESTAMP,
    created_at      TIMESTAMP NOT NULL
);
CREATE INDEX webhook_messages_by_webhook ON webhook_messages (webhook_id, id);
CREATE INDEX webhook_messages_unsettled ON webhook_messages (webhook_id, id) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_messages_of_person ON webhook_messages (webhook_id, person, id) WHERE due_at IS NOT NULL;
