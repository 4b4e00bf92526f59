-- The bookshop: the one truth about these tables. Django maps them with managed = False, the Node service queries them.
-- Content depends only on row numbers, so every start, on any machine, holds the same 200 authors, 2,000 books and 10,000 orders.
BEGIN;

CREATE TABLE authors (
    id integer PRIMARY KEY,
    name text NOT NULL,
    country text NOT NULL
);

CREATE TABLE books (
    id integer PRIMARY KEY,
    title text NOT NULL,
    author_id integer NOT NULL REFERENCES authors (id),
    price_cents integer NOT NULL,
    published_year integer NOT NULL
);

CREATE TABLE orders (
    id integer PRIMARY KEY,
    book_id integer NOT NULL REFERENCES books (id),
    quantity integer NOT NULL,
    placed_at timestamptz NOT NULL
);

INSERT INTO authors (id, name, country)
SELECT n,
    (ARRAY['Ada', 'Grace', 'Alan', 'Edsger', 'Barbara', 'Donald', 'Radia', 'Leslie', 'Margaret', 'Ken'])[1 + n % 10]
        || ' ' ||
    (ARRAY['O''Hara', 'Lindqvist', 'Moreau', 'Tanaka', 'Okafor', 'Novak', 'Silva', 'Haddad', 'Keller', 'Brandt',
           'Ferreira', 'Ivanova', 'Castillo', 'Nguyen', 'Rossi', 'Dubois', 'Larsen', 'Mbeki', 'Patel', 'Weiss'])[1 + n / 10 % 20],
    (ARRAY['NO', 'JP', 'BR', 'NG', 'DE', 'FR', 'IN', 'US'])[1 + n % 8]
FROM generate_series(1, 200) AS n;

INSERT INTO books (id, title, author_id, price_cents, published_year)
SELECT n,
    (ARRAY['The Quiet', 'A Brief', 'An Honest', 'The Reader''s', 'Another', 'The Last', 'A Practical', 'The Hidden'])[1 + n % 8]
        || ' ' ||
    (ARRAY['Queue', 'Tide & Tempo', 'Atlas', 'Harbour', 'Ledger', 'Garden', 'Engine', 'Lighthouse', 'Winter', 'Map'])[1 + n / 8 % 10]
        || ', volume ' || (1 + n / 80),
    1 + (n * 37) % 200,
    500 + (n * 7919) % 4500,
    1950 + (n * 13) % 75
FROM generate_series(1, 2000) AS n;

INSERT INTO orders (id, book_id, quantity, placed_at)
SELECT n,
    1 + ((n::bigint * 48271) % 2000)::integer,
    1 + (n * 31) % 5,
    timestamptz '2026-01-01 00:00:00+00' + n * interval '17 minutes'
FROM generate_series(1, 10000) AS n;

CREATE INDEX books_author_id ON books (author_id);
CREATE INDEX orders_book_id ON orders (book_id);

COMMIT;
ANALYZE;
