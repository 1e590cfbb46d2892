-- What one identity allows one subscription template. The times are WeChat's seconds since 1970,
-- each the newest of its kind (0: none), so their order of arrival does not matter.
-- `one_time_left` is what `credit_entries` amount to; it is counted anew whenever they change.
CREATE TABLE credits (
    id             BIGSERIAL PRIMARY KEY,
    account_id     BIGINT    NOT NULL REFERENCES accounts (id),
    identity_id    BIGINT    NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    template_id    TEXT      NOT NULL,
    long_term      BOOLEAN   NOT NULL,
    one_time_left  INTEGER   NOT NULL CHECK (one_time_left >= 0),
    event_time     BIGINT    NOT NULL,
    api_time       BIGINT    NOT NULL,
    rejected_time  BIGINT    NOT NULL,
    withdrawn_time BIGINT    NOT NULL,
    banned_time    BIGINT    NOT NULL,
    refused_time   BIGINT    NOT NULL,
    updated_at     TIMESTAMP NOT NULL,
    UNIQUE (identity_id, template_id)
);
CREATE INDEX credits_by_template ON credits (account_id, template_id, id);
CREATE INDEX credits_long_term ON credits (account_id, template_id) WHERE long_term;

-- Consents and sends, one row each. `mark` is 1 for a consent whose time is that of its report,
-- and WeChat's msgid for a send (0: not known).
CREATE TABLE credit_entries (
    id            BIGSERIAL PRIMARY KEY,
    credit_id     BIGINT    NOT NULL REFERENCES credits (id) ON DELETE CASCADE,
    kind          TEXT      NOT NULL,
    happened_time BIGINT    NOT NULL,
    mark          BIGINT    NOT NULL
);
CREATE INDEX credit_entries_by_credit ON credit_entries (credit_id, happened_time);
CREATE UNIQUE INDEX credit_entries_once ON credit_entries (credit_id, kind, happened_time, mark) WHERE kind <> 'taken';
