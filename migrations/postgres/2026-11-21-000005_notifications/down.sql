DROP TABLE receipts;
DROP TABLE attempts;
DROP TABLE deliveries;
DROP TABLE notifications;
DROP TABLE message_types;
