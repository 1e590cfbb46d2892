-- One-time tokens that bind whoever presents them to a staff member. Only a hash is kept of the
-- token, and nothing of the QR code, which would be as good as the token.
CREATE TABLE invitations (
    id              BIGSERIAL PRIMARY KEY,
    project_id      BIGINT    NOT NULL REFERENCES projects (id),
    staff_row_id    BIGINT    NOT NULL REFERENCES staff (id) ON DELETE CASCADE,
    account_id      BIGINT    NOT NULL REFERENCES accounts (id),
    mini_program_id BIGINT    REFERENCES accounts (id),
    token_hash      BYTEA     NOT NULL UNIQUE,
    rebind          BOOLEAN   NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    expires_at      TIMESTAMP NOT NULL,
    used_at         TIMESTAMP,
    used_by         BIGINT    REFERENCES identities (id) ON DELETE SET NULL,
    revoked_at      TIMESTAMP,
    refusal         TEXT,
    refused_at      TIMESTAMP,
    refused_to      BIGINT    REFERENCES identities (id) ON DELETE SET NULL
);
CREATE INDEX invitations_by_staff ON invitations (staff_row_id);
