-- People who sign in. `name_key` is the name in lower case: two names that differ only by case are one. The password is
-- stored as its Argon2id hash. Who came from an identity provider is known by its address and its number for them.
CREATE TABLE users (
    id            BIGSERIAL PRIMARY KEY,
    name          TEXT      NOT NULL,
    name_key      TEXT      NOT NULL UNIQUE,
    display_name  TEXT,
    password_hash TEXT,
    oidc_issuer   TEXT,
    oidc_subject  TEXT,
    is_owner      BOOLEAN   NOT NULL DEFAULT FALSE,
    disabled_at   TIMESTAMP,
    created_at    TIMESTAMP NOT NULL,
    updated_at    TIMESTAMP NOT NULL,
    UNIQUE (oidc_issuer, oidc_subject)
);

-- What somebody is in one project. Owners are owners of all, without a row.
CREATE TABLE user_roles (
    user_id    BIGINT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    project_id BIGINT NOT NULL REFERENCES projects (id) ON DELETE CASCADE,
    role       TEXT   NOT NULL CHECK (role IN ('operator', 'viewer')),
    PRIMARY KEY (user_id, project_id)
);

-- Who is signed in, by the SHA-256 of the token in their cookie. `seen_at` is exact to about a minute.
CREATE TABLE user_sessions (
    id         BIGSERIAL PRIMARY KEY,
    token_hash BYTEA    NOT NULL UNIQUE,
    user_id    BIGINT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at TIMESTAMP NOT NULL,
    seen_at    TIMESTAMP NOT NULL,
    expires_at TIMESTAMP NOT NULL,
    address    TEXT      NOT NULL,
    user_agent TEXT      NOT NULL
);
CREATE INDEX user_sessions_by_user ON user_sessions (user_id, id);
CREATE INDEX user_sessions_by_end ON user_sessions (expires_at);
