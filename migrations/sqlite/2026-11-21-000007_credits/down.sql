DROP TABLE credit_entries;
DROP TABLE credits;
