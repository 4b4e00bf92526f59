-- The demo's second database. The image runs this in the first one, once, while the data directory is empty.
CREATE DATABASE events;
\connect events
\i /sql/events.sql
