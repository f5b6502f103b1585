-- Steps of payments without a number are not in the index of numbers: SQLite took it for them, and sorted all of them for each batch.
DROP INDEX payment_events_by_no;

CREATE UNIQUE INDEX payment_events_by_no ON payment_events (no) WHERE no IS NOT NULL;
