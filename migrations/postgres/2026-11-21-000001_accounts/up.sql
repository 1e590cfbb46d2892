-- A project is one unionid scope: the accounts under one Open Platform account.
CREATE TABLE projects (
    id         BIGSERIAL PRIMARY KEY,
    name       TEXT      NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL
);

-- One WeChat app. The sealed columns hold authenticated ciphertext under the master key.
CREATE TABLE accounts (
    id                    BIGSERIAL PRIMARY KEY,
    project_id            BIGINT    NOT NULL REFERENCES projects (id),
    app_id                TEXT      NOT NULL UNIQUE,
    kind                  TEXT      NOT NULL CHECK (kind IN ('official_account', 'mini_program')),
    name                  TEXT      NOT NULL,
    mode                  TEXT      NOT NULL CHECK (mode IN ('plain', 'compatible', 'secure')),
    sealed_callback_token BYTEA     NOT NULL,
    sealed_aes_key        BYTEA,
    sealed_secret         BYTEA,
    token_source          TEXT      NOT NULL CHECK (token_source IN ('stable_token', 'token')),
    welcome_text          TEXT,
    problem_code          BIGINT,
    problem_text          TEXT,
    problem_at            TIMESTAMP,
    created_at            TIMESTAMP NOT NULL,
    updated_at            TIMESTAMP NOT NULL
);
CREATE INDEX accounts_by_project ON accounts (project_id, id);

-- The access token that all replicas share. `generation` counts refreshes, so that a refused
-- token can be thrown away without touching its successor.
CREATE TABLE access_tokens (
    account_id   BIGINT PRIMARY KEY REFERENCES accounts (id) ON DELETE CASCADE,
    sealed_token BYTEA,
    generation   BIGINT    NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    lease_owner  TEXT,
    lease_until  TIMESTAMP
);

CREATE TABLE api_keys (
    id           BIGSERIAL PRIMARY KEY,
    project_id   BIGINT    NOT NULL REFERENCES projects (id),
    name         TEXT      NOT NULL,
    prefix       TEXT      NOT NULL,
    key_hash     BYTEA     NOT NULL UNIQUE,
    scopes       TEXT      NOT NULL,
    created_at   TIMESTAMP NOT NULL,
    revoked_at   TIMESTAMP
);
CREATE INDEX api_keys_by_project ON api_keys (project_id, id);
