-- A walk over the openids of an account that was migrated to another one; `last_identity_id` is
-- where it goes on after an interruption.
CREATE TABLE account_migrations (
    id               BIGSERIAL PRIMARY KEY,
    from_account_id  BIGINT    NOT NULL REFERENCES accounts (id),
    to_account_id    BIGINT    NOT NULL REFERENCES accounts (id),
    state            TEXT      NOT NULL,
    last_identity_id BIGINT    NOT NULL,
    total            BIGINT    NOT NULL,
    asked            BIGINT    NOT NULL,
    moved            BIGINT    NOT NULL,
    refused          BIGINT    NOT NULL,
    problem          TEXT,
    started_at       TIMESTAMP NOT NULL,
    finished_at      TIMESTAMP
);
CREATE INDEX account_migrations_by_accounts ON account_migrations (from_account_id, to_account_id, id);

-- What became of each of these openids: the identity that goes on for it, or why there is none.
CREATE TABLE openid_moves (
    identity_id     BIGINT    PRIMARY KEY NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    to_account_id   BIGINT    NOT NULL REFERENCES accounts (id),
    new_identity_id BIGINT    REFERENCES identities (id) ON DELETE CASCADE,
    reason          TEXT,
    moved_at        TIMESTAMP NOT NULL
);
CREATE INDEX openid_moves_by_new ON openid_moves (new_identity_id) WHERE new_identity_id IS NOT NULL;
