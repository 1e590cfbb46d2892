-- `profile_doubts`: how many answers in a row said that the person does not follow, soon after a
-- follow event said that they do. `profile_alone`: WeChat refused or spoilt an answer because of
-- this openid, so it is asked for without others.
ALTER TABLE identities ADD COLUMN profile_doubts INTEGER NOT NULL DEFAULT 0;
ALTER TABLE identities ADD COLUMN profile_alone BOOLEAN NOT NULL DEFAULT FALSE;

-- Deliveries that wait for what the profile says of following.
CREATE INDEX deliveries_awaiting_profile ON deliveries (identity_id)
    WHERE reason = 'not_following' AND due_at IS NOT NULL;
