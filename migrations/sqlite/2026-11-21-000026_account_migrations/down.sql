DROP TABLE openid_moves;
DROP TABLE account_migrations;
