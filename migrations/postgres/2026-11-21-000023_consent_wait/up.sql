-- Deliveries that wait for somebody's consent: there are few, for some seconds each.
CREATE INDEX deliveries_awaiting_consent ON deliveries (identity_id)
    WHERE reason = 'waiting_for_consent';
