-- Numbers by day. `day` is a day in the project's time zone, counted from 1970-01-01: date(day * 86400, 'unixepoch').
-- `account_id` is 0 where there is no account. What the words of a number are: docs/architecture.md.
CREATE TABLE daily_stats (
    day        INTEGER NOT NULL,
    project_id BIGINT  NOT NULL,
    metric     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    channel    TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    account_id BIGINT  NOT NULL,
    count      BIGINT  NOT NULL,
    PRIMARY KEY (day, project_id, metric, name, channel, reason, account_id)
) WITHOUT ROWID;

-- What is to be added to them. Transactions add rows here; the step `stats` moves them. A number is the sum of both
-- tables.
CREATE TABLE stats_changes (
    id         INTEGER PRIMARY KEY NOT NULL,
    day        INTEGER NOT NULL,
    project_id BIGINT  NOT NULL,
    metric     TEXT    NOT NULL,
    name       TEXT    NOT NULL,
    channel    TEXT    NOT NULL,
    reason     TEXT    NOT NULL,
    account_id BIGINT  NOT NULL,
    count      BIGINT  NOT NULL
);

-- The day with which a row is counted; null: it is not counted. A delivery is counted by its state, channel and
-- reason of the moment, so that its row says how; `channel` is that of `route`.
ALTER TABLE events ADD COLUMN stats_day INTEGER;
ALTER TABLE receipts ADD COLUMN stats_day INTEGER;
ALTER TABLE deliveries ADD COLUMN stats_day INTEGER;
ALTER TABLE deliveries ADD COLUMN channel TEXT;

-- Whatever changes a delivery is counted by that in the same transaction, here at once in `daily_stats`, as there is
-- one writer at a time. Queued ones are not among these numbers: there are as many as were accepted and are in no
-- other state.
CREATE TRIGGER deliveries_by_day AFTER UPDATE OF state, reason, channel, account_id, stats_day ON deliveries
WHEN NEW.state <> 'queued' OR OLD.state <> 'queued'
BEGIN
    INSERT INTO daily_stats (day, project_id, metric, name, channel, reason, account_id, count)
    SELECT OLD.stats_day, OLD.project_id, 'deliveries', OLD.state, COALESCE(OLD.channel, ''),
        COALESCE(OLD.reason, ''), COALESCE(OLD.account_id, 0), -1
    WHERE OLD.state <> 'queued' AND OLD.stats_day IS NOT NULL
    ON CONFLICT (day, project_id, metric, name, channel, reason, account_id)
    DO UPDATE SET count = count + excluded.count;
    INSERT INTO daily_stats (day, project_id, metric, name, channel, reason, account_id, count)
    SELECT NEW.stats_day, NEW.project_id, 'deliveries', NEW.state, COALESCE(NEW.channel, ''),
        COALESCE(NEW.reason, ''), COALESCE(NEW.account_id, 0), 1
    WHERE NEW.state <> 'queued' AND NEW.stats_day IS NOT NULL
    ON CONFLICT (day, project_id, metric, name, channel, reason, account_id)
    DO UPDATE SET count = count + excluded.count;
END;

-- Held by whoever moves changes to the numbers.
INSERT INTO sweeps (name, position) VALUES ('stats', 0);
