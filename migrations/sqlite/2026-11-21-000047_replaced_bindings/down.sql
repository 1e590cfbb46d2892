DROP TABLE replaced_bindings;
