DROP TABLE route_alerts;
DROP TABLE switched_off;
