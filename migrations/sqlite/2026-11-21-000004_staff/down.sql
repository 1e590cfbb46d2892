DROP TABLE bindings;
DROP TABLE staff;
