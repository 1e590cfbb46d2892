DROP TABLE user_sessions;
DROP TABLE user_roles;
DROP TABLE users;
