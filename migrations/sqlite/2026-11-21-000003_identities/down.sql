DROP TABLE imports;
DROP TABLE identities;
