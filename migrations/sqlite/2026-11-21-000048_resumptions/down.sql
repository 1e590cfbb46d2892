DROP TABLE resumptions;
