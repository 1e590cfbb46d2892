-- One openid in one account. `followed_time` and `unfollowed_time` are the newest CreateTime of
-- each kind (0: none seen), so their order of arrival does not matter.
-- Customer messages are allowed for a while after the person wrote (`spoke`) or did something else
-- (`acted`; a follow counts by `followed_time`): each the newest CreateTime and the messages sent
-- since. What was opened up to `refused_time` is closed, by WeChat's word.
CREATE TABLE identities (
    id                 BIGSERIAL PRIMARY KEY,
    project_id         BIGINT    NOT NULL REFERENCES projects (id),
    account_id         BIGINT    NOT NULL REFERENCES accounts (id),
    openid             TEXT      NOT NULL,
    unionid            TEXT,
    follow_state       TEXT      NOT NULL,
    followed_time      BIGINT    NOT NULL,
    unfollowed_time    BIGINT    NOT NULL,
    subscribe_scene    TEXT,
    qr_scene           TEXT,
    language           TEXT,
    remark             TEXT,
    tag_ids            TEXT,
    profile_state      TEXT      NOT NULL,
    profile_error      TEXT,
    profile_attempts   INTEGER   NOT NULL,
    profile_due_at     TIMESTAMP,
    profile_fetched_at TIMESTAMP,
    seen_import        BIGINT,
    spoke_time         BIGINT    NOT NULL DEFAULT 0,
    spoke_used         INTEGER   NOT NULL DEFAULT 0,
    acted_time         BIGINT    NOT NULL DEFAULT 0,
    acted_used         INTEGER   NOT NULL DEFAULT 0,
    refused_time       BIGINT    NOT NULL DEFAULT 0,
    created_at         TIMESTAMP NOT NULL,
    updated_at         TIMESTAMP NOT NULL,
    UNIQUE (account_id, openid)
);
CREATE INDEX identities_by_unionid ON identities (project_id, unionid) WHERE unionid IS NOT NULL;
CREATE INDEX identities_by_project ON identities (project_id, id);
CREATE INDEX identities_profile_due ON identities (account_id, profile_due_at) WHERE profile_due_at IS NOT NULL;

-- One walk over an account's followers; `next_openid` is where it goes on after an interruption.
CREATE TABLE imports (
    id          BIGSERIAL PRIMARY KEY,
    account_id  BIGINT    NOT NULL REFERENCES accounts (id),
    reconcile   BOOLEAN   NOT NULL,
    state       TEXT      NOT NULL,
    next_openid TEXT,
    collected   BIGINT    NOT NULL,
    total       BIGINT,
    created     BIGINT    NOT NULL,
    gone        BIGINT    NOT NULL,
    problem     TEXT,
    attempts    INTEGER   NOT NULL,
    due_at      TIMESTAMP,
    started_at  TIMESTAMP NOT NULL,
    finished_at TIMESTAMP
);
CREATE INDEX imports_by_account ON imports (account_id, id);
