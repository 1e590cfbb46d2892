-- Pauses that were lifted while deliveries waited for them, until all of those are due: whoever lifts one
-- may be stopped before that.
CREATE TABLE resumptions (
    account_id BIGINT    NOT NULL,
    reason     TEXT      NOT NULL,
    lifted_at  TIMESTAMP NOT NULL,
    PRIMARY KEY (account_id, reason)
);
