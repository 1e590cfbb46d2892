-- WeChat's word on following counts only if nothing was heard of since the question was put, and
-- while it is not in doubt.
UPDATE identities SET
    unionid = COALESCE(r.unionid, identities.unionid),
    -- Which follow an event has told of is kept before the profile moves the time.
    followed_event = COALESCE(identities.followed_event, identities.followed_time),
    followed_time = CASE
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN identities.followed_time
        WHEN r.subscribe
            THEN {greatest}(identities.followed_time, r.subscribe_time, identities.unfollowed_time + 1)
        ELSE identities.followed_time END,
    unfollowed_time = CASE
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN identities.unfollowed_time
        WHEN r.subscribe OR r.doubts > 0 THEN identities.unfollowed_time
        ELSE {greatest}(identities.followed_time, identities.unfollowed_time, 1) END,
    follow_state = CASE
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN identities.follow_state
        WHEN r.doubts > 0 THEN identities.follow_state
        WHEN r.subscribe THEN 'following'
        ELSE 'not_following' END,
    subscribe_scene = CASE
        WHEN r.subscribe_scene = 'ADD_SCENE_ACCOUNT_MIGRATION'
            THEN COALESCE(identities.subscribe_scene, r.subscribe_scene)
        ELSE COALESCE(r.subscribe_scene, identities.subscribe_scene) END,
    qr_scene = COALESCE(r.qr_scene, identities.qr_scene),
    language = COALESCE(r.language, identities.language),
    remark = NULLIF(COALESCE(r.remark, identities.remark), ''),
    tag_ids = NULLIF(COALESCE(r.tag_ids, identities.tag_ids), ''),
    -- A unionid that is only the business's word is confirmed by nothing but a unionid; and an answer
    -- in doubt does not hide what the one before it said.
    profile_state = CASE
        WHEN r.unionid IS NOT NULL THEN 'complete'
        WHEN identities.unionid IS NOT NULL THEN identities.profile_state
        WHEN r.doubts > 0 AND identities.profile_state = 'not_bound_to_open_platform'
            THEN identities.profile_state
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN identities.profile_state
        ELSE r.profile_state END,
    profile_error = CASE
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN NULL
        ELSE r.error END,
    profile_attempts = CASE
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN identities.profile_attempts
        ELSE r.attempts END,
    profile_doubts = CASE
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN identities.profile_doubts
        ELSE r.doubts END,
    profile_alone = FALSE,
    profile_due_at = CASE
        WHEN identities.followed_time <> r.was_followed OR identities.unfollowed_time <> r.was_unfollowed
            THEN identities.profile_due_at
        ELSE r.due_at END,
    profile_fetched_at = r.now,
    updated_at = r.now
FROM {rows}
WHERE identities.id = r.id
