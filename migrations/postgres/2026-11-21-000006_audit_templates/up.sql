-- Who did what that must not be done unseen. Names are copied, so that an entry is readable
-- whatever becomes of the key or the account.
CREATE TABLE audit (
    id           BIGSERIAL PRIMARY KEY,
    project_id   BIGINT    NOT NULL REFERENCES projects (id),
    api_key_id   BIGINT    NOT NULL,
    api_key_name TEXT      NOT NULL,
    action       TEXT      NOT NULL,
    app_id       TEXT,
    outcome      TEXT,
    created_at   TIMESTAMP NOT NULL
);
CREATE INDEX audit_by_project ON audit (project_id, id);

-- What WeChat lists as an account's templates, and what became of each since it was first seen.
-- `keys` is JSON. `previous_title` and `previous_content` are what stood there before `changed_at`.
CREATE TABLE templates (
    id               BIGSERIAL PRIMARY KEY,
    account_id       BIGINT    NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    template_id      TEXT      NOT NULL,
    kind             TEXT      NOT NULL,
    title            TEXT      NOT NULL,
    content          TEXT      NOT NULL,
    keys             TEXT      NOT NULL,
    first_seen_at    TIMESTAMP NOT NULL,
    last_seen_at     TIMESTAMP NOT NULL,
    gone_at          TIMESTAMP,
    changed_at       TIMESTAMP,
    previous_title   TEXT,
    previous_content TEXT,
    UNIQUE (account_id, template_id)
);

-- When an account's templates were last listed, and when they are again: due, or leased, while
-- `due_at` is set. Without a row they were never asked for, so nothing can be said of them.
CREATE TABLE template_syncs (
    account_id   BIGINT    PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    due_at       TIMESTAMP,
    synced_at    TIMESTAMP,
    attempts     INTEGER   NOT NULL,
    problem_code BIGINT,
    problem      TEXT
);
CREATE INDEX template_syncs_due ON template_syncs (due_at) WHERE due_at IS NOT NULL;
