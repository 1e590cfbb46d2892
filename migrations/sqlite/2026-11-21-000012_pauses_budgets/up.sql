-- Accounts that may not send, or one call of theirs; `call` is empty where it concerns all of them.
-- Shared by all processes. The try that says so began at `tried_at`; `set_at` tells a success that came
-- after the pause from one that was under way.
CREATE TABLE account_pauses (
    account_id BIGINT    NOT NULL,
    call       TEXT      NOT NULL,
    kind       TEXT      NOT NULL,
    reason     TEXT      NOT NULL,
    detail     TEXT      NOT NULL,
    until      TIMESTAMP NOT NULL,
    failures   INTEGER   NOT NULL,
    alerted    BOOLEAN   NOT NULL,
    since      TIMESTAMP NOT NULL,
    tried_at   TIMESTAMP NOT NULL,
    set_at     TIMESTAMP NOT NULL,
    PRIMARY KEY (account_id, call)
);

-- What an account has used of a call on one day in Beijing (days since 1970), and in the second and
-- the minute (since 1970) in which it was used last.
CREATE TABLE budgets (
    account_id  BIGINT NOT NULL,
    call        TEXT   NOT NULL,
    day         BIGINT NOT NULL,
    used        BIGINT NOT NULL,
    second      BIGINT NOT NULL,
    second_used BIGINT NOT NULL,
    minute      BIGINT NOT NULL,
    minute_used BIGINT NOT NULL,
    PRIMARY KEY (account_id, call, day)
);
