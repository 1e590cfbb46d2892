DROP TABLE undone_bindings;
