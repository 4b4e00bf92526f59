const MIN_REVISION_WITH_BLOCK_INFO = 51_903;
const MIN_REVISION_WITH_CUSTOM_SERIALIZATION = 54_454;

const HELLO = /^\s*SELECT\s+displayName\(\)\s*,\s*version\(\)\s*,\s*revision\(\)\s*,\s*timezone\(\)\s*;?\s*$/i;

/** True for the query clickhouse-go opens every HTTP connection with. */
export function isHello(sql: string): boolean {
  return HELLO.test(sql);
}

/**
 * The answer to clickhouse-go's hello query, in Native format as its protocol revision expects it.
 *
 * It claims revision 0: from then on the driver decodes plain Native blocks, byte for byte what the embedded engine
 * writes, so no later answer needs another encoding.
 * Source: clickhouse-go `conn_http.go`; ClickHouse `src/Formats/NativeWriter.cpp`.
 */
export function helloBlock(name: string, version: string, timezone: string, clientRevision: number): Buffer {
  const parts: Buffer[] = [];
  if (clientRevision >= MIN_REVISION_WITH_BLOCK_INFO) {
    // Field 1: is_overflows; field 2: bucket number -1; 0 ends the list.
    parts.push(Buffer.from([1, 0, 2, 0xff, 0xff, 0xff, 0xff, 0]));
  }
  parts.push(Buffer.from([4, 1]));
  const column = (header: string, type: string, value: Buffer): void => {
    parts.push(text(header), text(type));
    if (clientRevision >= MIN_REVISION_WITH_CUSTOM_SERIALIZATION) parts.push(Buffer.from([0]));
    parts.push(value);
  };
  column("displayName()", "String", text(name));
  column("version()", "String", text(version));
  column("revision()", "UInt32", Buffer.alloc(4));
  column("timezone()", "String", text(timezone));
  return Buffer.concat(parts);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  if (bytes.length > 127) throw new RangeError(`hello text of ${bytes.length} bytes is over 127`);
  return Buffer.concat([Buffer.from([bytes.length]), bytes]);
}
