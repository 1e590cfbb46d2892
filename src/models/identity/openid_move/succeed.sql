INSERT INTO identities (
    project_id, account_id, openid, unionid, follow_state, followed_time, unfollowed_time,
    subscribe_scene, qr_scene, language, remark, profile_state, profile_attempts, profile_due_at,
    created_at, updated_at
)
SELECT
    r.project_id, r.account_id, r.openid, r.unionid, r.follow_state, r.followed_time,
    r.unfollowed_time, r.subscribe_scene, r.qr_scene, r.language, r.remark, r.profile_state, 0,
    r.due_at, r.now, r.now
FROM {rows}
WHERE TRUE
ON CONFLICT (account_id, openid) DO UPDATE SET
    -- WeChat's word on the old openid outweighs the business's on the new one.
    unionid = CASE
        WHEN identities.unionid IS NULL
            OR identities.profile_state = 'unconfirmed' AND excluded.profile_state = 'complete'
            THEN excluded.unionid
        ELSE identities.unionid END,
    follow_state = CASE
        WHEN identities.follow_state = 'unknown' THEN excluded.follow_state
        ELSE identities.follow_state END,
    followed_time = CASE
        WHEN identities.follow_state = 'not_following'
            AND excluded.followed_time > identities.unfollowed_time THEN identities.followed_time
        ELSE {greatest}(identities.followed_time, excluded.followed_time) END,
    unfollowed_time = CASE
        WHEN identities.follow_state = 'following' AND excluded.unfollowed_time
            >= {greatest}(identities.followed_time, excluded.followed_time)
            THEN identities.unfollowed_time
        ELSE {greatest}(identities.unfollowed_time, excluded.unfollowed_time) END,
    subscribe_scene = CASE
        WHEN identities.subscribe_scene = 'ADD_SCENE_ACCOUNT_MIGRATION'
            THEN COALESCE(excluded.subscribe_scene, identities.subscribe_scene)
        ELSE COALESCE(identities.subscribe_scene, excluded.subscribe_scene) END,
    qr_scene = COALESCE(identities.qr_scene, excluded.qr_scene),
    language = COALESCE(identities.language, excluded.language),
    remark = COALESCE(identities.remark, excluded.remark),
    profile_state = CASE
        WHEN excluded.unionid IS NOT NULL AND (identities.unionid IS NULL
            OR identities.profile_state = 'unconfirmed' AND excluded.profile_state = 'complete')
            THEN excluded.profile_state
        ELSE identities.profile_state END,
    profile_due_at = excluded.profile_due_at,
    updated_at = excluded.updated_at
