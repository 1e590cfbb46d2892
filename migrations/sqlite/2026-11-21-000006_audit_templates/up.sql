-- Who did what that must not be done unseen. Names are copied, so that an entry is readable
-- whatever becomes of the key or the account.
CREATE TABLE audit (
    id           INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
    project_id   BIGINT    NOT NULL REFERENCES projects (id),
    api_key_id   BIGINT    NOT NULL,
    api_key_name TEXT      NOT NULL,
    action       TEXT      NOT NULL,
    app_id       TEXT,
    outcome      TEXT,
    created_at   TIMESTAMP NOT NULL
);
CREATE INDEX audit_by_project ON audit (project_id, id);
