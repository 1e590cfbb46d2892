-- `followed_time` may come from a profile that was fetched before the event of the follow was processed;
-- `followed_event` tells whether that has been, so that the event brings its scene all the same.
-- Who follows is who followed later than they unfollowed. In the same second nobody can tell from
-- the events: until the profile, which is fetched then, tells, they count as not following.
INSERT INTO identities (
    project_id, account_id, openid, follow_state, followed_time, unfollowed_time, qr_scene,
    profile_state, profile_attempts, profile_due_at, created_at, updated_at, followed_event
)
SELECT
    r.project_id, r.account_id, r.openid,
    CASE WHEN r.followed_time > r.unfollowed_time THEN 'following'
         WHEN r.unfollowed_time > 0 THEN 'not_following'
         ELSE 'unknown' END,
    r.followed_time, r.unfollowed_time, r.qr_scene,
    r.profile_state, 0, r.profile_due_at, r.now, r.now, r.followed_time
FROM {rows}
WHERE TRUE
ON CONFLICT (account_id, openid) DO UPDATE SET
    followed_time = {greatest}(identities.followed_time, excluded.followed_time),
    unfollowed_time = {greatest}(identities.unfollowed_time, excluded.unfollowed_time),
    follow_state = CASE
        WHEN {greatest}(identities.followed_time, excluded.followed_time)
           > {greatest}(identities.unfollowed_time, excluded.unfollowed_time) THEN 'following'
        ELSE 'not_following' END,
    qr_scene = CASE
        WHEN excluded.followed_time > identities.followed_time THEN excluded.qr_scene
        WHEN excluded.followed_time > COALESCE(identities.followed_event, identities.followed_time)
            AND excluded.followed_time > identities.unfollowed_time
            THEN COALESCE(excluded.qr_scene, identities.qr_scene)
        ELSE identities.qr_scene END,
    followed_event = CASE
        WHEN excluded.followed_time > COALESCE(identities.followed_event, identities.followed_time)
            THEN excluded.followed_time
        ELSE identities.followed_event END,
    profile_state = CASE
        WHEN identities.unionid IS NOT NULL THEN identities.profile_state
        WHEN {greatest}(identities.followed_time, excluded.followed_time)
           >= {greatest}(identities.unfollowed_time, excluded.unfollowed_time) THEN 'pending'
        ELSE 'not_following' END,
    profile_attempts = 0,
    profile_doubts = 0,
    profile_error = NULL,
    profile_due_at = CASE
        WHEN {greatest}(identities.followed_time, excluded.followed_time)
           >= {greatest}(identities.unfollowed_time, excluded.unfollowed_time)
        THEN excluded.updated_at
        ELSE NULL END,
    updated_at = excluded.updated_at
WHERE excluded.followed_time > identities.followed_time
   OR excluded.unfollowed_time > identities.unfollowed_time
   OR excluded.followed_time > COALESCE(identities.followed_event, identities.followed_time)
      AND excluded.followed_time > identities.unfollowed_time
