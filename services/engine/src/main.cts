/**
 * The engine's process. Queries run on libuv's pool, one thread each, and its size is read once, at its first use: the
 * loader of ES modules uses it for the very first file, so this one is CommonJS and loads the rest after the size is set.
 */
// The readers' slots (TIDEMARK_ENGINE_READERS, at most 8), the writers' inserts beside them, and room for what cancels.
const POOL_THREADS = "24";
process.env.UV_THREADPOOL_SIZE ??= POOL_THREADS;

void import("./serve.ts");
