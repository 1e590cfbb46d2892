-- Who has switched off the messages of a template inside WeChat, learnt by a refusal. No event tells
-- of it, nor of the change back: it is a warning, until a message of the template is taken.
CREATE TABLE switched_off (
    identity_id BIGINT    NOT NULL REFERENCES identities (id) ON DELETE CASCADE,
    template_id TEXT      NOT NULL,
    account_id  BIGINT    NOT NULL,
    since       TIMESTAMP NOT NULL,
    PRIMARY KEY (identity_id, template_id)
);
CREATE INDEX switched_off_by_account ON switched_off (account_id);
-- Templates and pages that WeChat refuses, and when that was last told.
CREATE TABLE route_alerts (
    account_id BIGINT    NOT NULL,
    subject    TEXT      NOT NULL,
    errcode    BIGINT    NOT NULL,
    told_at    TIMESTAMP NOT NULL,
    PRIMARY KEY (account_id, subject, errcode)
);
