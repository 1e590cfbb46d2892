DROP TABLE api_keys;
DROP TABLE access_tokens;
DROP TABLE accounts;
DROP TABLE projects;
