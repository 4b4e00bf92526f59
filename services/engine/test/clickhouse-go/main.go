// Command clickhouse-go-conformance asks the embedded engine what Grafana's ClickHouse plugin asks, with the driver it
// uses, and prints one JSON line per check: {"check": "...", "error": "..."}. It takes the address as its argument.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
	"github.com/shopspring/decimal"
)

type check struct {
	name string
	run  func(ctx context.Context, conn clickhouse.Conn) error
}

func open(addr, user, password string, compression clickhouse.CompressionMethod) (clickhouse.Conn, error) {
	return clickhouse.Open(&clickhouse.Options{
		Addr:        []string{addr},
		Auth:        clickhouse.Auth{Database: "default", Username: user, Password: password},
		Protocol:    clickhouse.HTTP,
		Compression: &clickhouse.Compression{Method: compression},
		ClientInfo: clickhouse.ClientInfo{Products: []struct{ Name, Version string }{
			{Name: "grafana", Version: "12.4.0"}}},
	})
}

func expect(got, want any) error {
	if at, ok := got.(time.Time); ok && at.Equal(want.(time.Time)) {
		return nil
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("got %#v, want %#v", got, want)
	}
	return nil
}

func scalar[T any](sql string, want T, args ...any) func(context.Context, clickhouse.Conn) error {
	return func(ctx context.Context, conn clickhouse.Conn) error {
		var got T
		if err := conn.QueryRow(ctx, sql, args...).Scan(&got); err != nil {
			return err
		}
		return expect(got, want)
	}
}

func pointer[T any](v T) *T { return &v }

var moment = time.Date(2026, 3, 29, 1, 2, 3, 456789012, time.UTC)

var checks = []check{
	{"ping", func(ctx context.Context, conn clickhouse.Conn) error { return conn.Ping(ctx) }},
	{"server version", func(ctx context.Context, conn clickhouse.Conn) error {
		v, err := conn.ServerVersion()
		if err != nil {
			return err
		}
		if v.Version.Major < 24 {
			return fmt.Errorf("version %v", v)
		}
		return nil
	}},
	{"UInt64", scalar("SELECT toUInt64(18446744073709551615)", uint64(18446744073709551615))},
	{"Float64", scalar("SELECT 0.1", 0.1)},
	{"Nullable(Float64) value", scalar("SELECT toNullable(0.5)", pointer(0.5))},
	{"Nullable(Float64) null", scalar("SELECT CAST(NULL, 'Nullable(Float64)')", (*float64)(nil))},
	{"String", scalar("SELECT 'it''s \\n ünï'", "it's \n ünï")},
	{"Bool", scalar("SELECT true", true)},
	{"DateTime", scalar("SELECT toDateTime('2026-03-29 01:02:03', 'UTC')", moment.Truncate(time.Second))},
	{"DateTime64(9, UTC)", scalar("SELECT toDateTime64('2026-03-29 01:02:03.456789012', 9, 'UTC')", moment)},
	{"Date", scalar("SELECT toDate('2026-03-29')", time.Date(2026, 3, 29, 0, 0, 0, 0, time.UTC))},
	{"Map", scalar("SELECT map('a', 'b')", map[string]string{"a": "b"})},
	{"Map(LowCardinality)", scalar("SELECT CAST(map('a', 1.5), 'Map(LowCardinality(String), Float64)')", map[string]float64{"a": 1.5})},
	{"LowCardinality", scalar("SELECT toLowCardinality('x')", "x")},
	{"LowCardinality(Nullable)", scalar("SELECT CAST('x', 'LowCardinality(Nullable(String))')", pointer("x"))},
	{"Array", scalar("SELECT [1.5, 2.5]", []float64{1.5, 2.5})},
	{"Array(Array)", scalar("SELECT [['a'], []]", [][]string{{"a"}, {}})},
	{"Tuple", scalar("SELECT CAST((1, 'b'), 'Tuple(a UInt8, b String)')", map[string]any{"a": uint8(1), "b": "b"})},
	{"UUID", scalar("SELECT toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0')", uuid.MustParse("61f0c404-5cb3-11e7-907b-a6006ad3dba0"))},
	{"Enum8", scalar("SELECT CAST('b', 'Enum8(''a'' = 1, ''b'' = 2)')", "b")},
	{"Decimal", func(ctx context.Context, conn clickhouse.Conn) error {
		var got decimal.Decimal
		if err := conn.QueryRow(ctx, "SELECT toDecimal64(1.25, 4)").Scan(&got); err != nil {
			return err
		}
		return expect(got.String(), "1.25")
	}},
	{"positional bind", scalar("SELECT concat(?, '-', toString(?))", "it's-7", "it's", 7)},
	{"server-side parameter", scalar("SELECT {n:UInt32} + length({s:String})", uint64(10), clickhouse.Named("n", "7"), clickhouse.Named("s", "a'b"))},
	{"many blocks", func(ctx context.Context, conn clickhouse.Conn) error {
		rows, err := conn.Query(ctx, "SELECT number, toString(number), toDateTime64(number, 3, 'UTC') FROM numbers(200000)")
		if err != nil {
			return err
		}
		defer rows.Close()
		var n, sum, number uint64
		var text string
		var ts time.Time
		for rows.Next() {
			if err := rows.Scan(&number, &text, &ts); err != nil {
				return err
			}
			if text != fmt.Sprint(number) || ts.Unix() != int64(number) {
				return fmt.Errorf("row %d: %s %v", number, text, ts)
			}
			n++
			sum += number
		}
		if rows.Err() != nil {
			return rows.Err()
		}
		return expect([]uint64{n, sum}, []uint64{200000, 19999900000})
	}},
	{"no rows", func(ctx context.Context, conn clickhouse.Conn) error {
		rows, err := conn.Query(ctx, "SELECT 1 AS a WHERE 0")
		if err != nil {
			return err
		}
		defer rows.Close()
		if rows.Next() {
			return errors.New("a row")
		}
		return rows.Err()
	}},
	{"error with its code", func(ctx context.Context, conn clickhouse.Conn) error {
		err := conn.QueryRow(ctx, "SELECT * FROM nope").Err()
		if err == nil {
			return errors.New("no error")
		}
		if want := "Code: 60"; !contains(err.Error(), want) {
			return fmt.Errorf("%q lacks %q", err, want)
		}
		return nil
	}},
	{"deadline becomes max_execution_time", func(ctx context.Context, conn clickhouse.Conn) error {
		ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
		defer cancel()
		return scalar("SELECT 1", uint8(1))(ctx, conn)
	}},
	{"eight at once", func(ctx context.Context, conn clickhouse.Conn) error {
		var wait sync.WaitGroup
		failures := make([]error, 8)
		for i := range failures {
			wait.Add(1)
			go func() {
				defer wait.Done()
				failures[i] = scalar("SELECT toUInt64(?)", uint64(i), i)(ctx, conn)
			}()
		}
		wait.Wait()
		return errors.Join(failures...)
	}},
	{"what the plugin's editor asks", func(ctx context.Context, conn clickhouse.Conn) error {
		for _, sql := range []string{"SELECT version()", "SHOW DATABASES", "SHOW TABLES FROM system", `DESC TABLE "system"."one"`,
			"SELECT name, database, table, type FROM system.columns LIMIT 5", "SELECT name FROM system.functions LIMIT 5"} {
			rows, err := conn.Query(ctx, sql)
			if err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
			n := 0
			for rows.Next() {
				n++
			}
			if err := errors.Join(rows.Err(), rows.Close()); err != nil || n == 0 {
				return fmt.Errorf("%s: %d rows, %w", sql, n, err)
			}
		}
		return nil
	}},
}

func contains(text, part string) bool {
	for i := 0; i+len(part) <= len(text); i++ {
		if text[i:i+len(part)] == part {
			return true
		}
	}
	return false
}

var writes = check{"batch insert", func(ctx context.Context, conn clickhouse.Conn) error {
	if err := conn.Exec(ctx, "CREATE TABLE IF NOT EXISTS go_batch (a UInt64, s String, ts DateTime64(3), m Map(String, String)) ENGINE = MergeTree ORDER BY a"); err != nil {
		return err
	}
	batch, err := conn.PrepareBatch(ctx, "INSERT INTO go_batch")
	if err != nil {
		return err
	}
	for i := uint64(0); i < 1000; i++ {
		if err := batch.Append(i, "a\n\nb; DROP TABLE go_batch", moment, map[string]string{"k": "v"}); err != nil {
			return err
		}
	}
	if err := batch.Send(); err != nil {
		return err
	}
	return scalar("SELECT count() FROM go_batch WHERE s = 'a\\n\\nb; DROP TABLE go_batch'", uint64(1000))(ctx, conn)
}}

func main() {
	ctx := context.Background()
	out := json.NewEncoder(os.Stdout)
	report := func(name string, err error) {
		line := map[string]string{"check": name, "error": ""}
		if err != nil {
			line["error"] = err.Error()
		}
		_ = out.Encode(line)
	}
	for name, method := range map[string]clickhouse.CompressionMethod{"none": clickhouse.CompressionNone, "gzip": clickhouse.CompressionGZIP} {
		conn, err := open(os.Args[1], "reader", "", method)
		if err != nil {
			report(name+": open", err)
			continue
		}
		for _, c := range checks {
			report(name+": "+c.name, c.run(ctx, conn))
		}
		writer, err := open(os.Args[1], "tidemark", os.Args[2], method)
		if err == nil {
			err = writes.run(ctx, writer)
			_ = writer.Exec(ctx, "DROP TABLE IF EXISTS go_batch")
		}
		report(name+": "+writes.name, err)
	}
}
