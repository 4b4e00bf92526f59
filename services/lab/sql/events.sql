-- The second database: what visitors did. Both services write and read it, beside the bookshop.
BEGIN;

CREATE TABLE events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (length(kind) BETWEEN 1 AND 32),
    happened_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO events (kind, happened_at)
SELECT (ARRAY['view', 'search', 'basket', 'purchase'])[1 + n % 4],
    timestamptz '2026-01-01 00:00:00+00' + n * interval '1 second'
FROM generate_series(1, 400) AS n;

COMMIT;
ANALYZE;
